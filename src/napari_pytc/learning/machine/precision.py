"""The precision in which a machine is fastest: measured for about two seconds, of large networks for a few passes that
take longer, then remembered.

On a CPU with the right instructions bf16 with channels last is up to five times as fast as float32, and on another it
is many times slower; no table of processors lists which.
"""

from __future__ import annotations

import json
import math
import platform
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, TypeVar, cast, get_args

import torch
from platformdirs import user_cache_path
from torch import Tensor, nn

from napari_pytc.errors import InvalidInput
from napari_pytc.files import write_text_durably
from napari_pytc.learning.machine.devices import one_thread
from napari_pytc.learning.machine.memory import is_out_of_memory, release_memory
from napari_pytc.plans.plan import PrecisionName

N = TypeVar("N", bound=nn.Module)

_DTYPES = {"bf16": torch.bfloat16, "fp16": torch.float16}
_HOPELESS, _CHEAP_S = 3.0, 0.1
"""A candidate whose first pass takes this many times the best one's is given up, unless passes are cheap anyway."""
_LEAST_VOXELS_ON_CPU = 1 << 15
"""Larger examples are cut down to this at first, then as little as there is time for: small ones favour float32."""
_ROUNDS = 2
"""How often each candidate is measured at least."""
_TRIAL = 2
"""Number of this way to measure: what another one chose is not remembered."""
_WORTH = 0.95
"""A later candidate must take at most this share of an earlier one's time, so that noise does not decide."""


NumberFormat = Literal["float32", "bf16", "fp16"]


@dataclass(frozen=True)
class Precision:
    """Number format of the layers that allow it, and how tensors lie in memory."""

    number_format: NumberFormat = "float32"
    channels_last: bool = False

    def place(self, tensor: Tensor) -> Tensor:
        """A tensor (b, c, ...) laid out in this memory format."""
        formats = {4: torch.channels_last, 5: torch.channels_last_3d}
        wanted = formats.get(tensor.dim()) if self.channels_last else None
        return tensor.contiguous(memory_format=wanted or torch.contiguous_format)

    def place_network(self, network: N) -> N:
        """The same network with its weights laid out in this memory format."""
        for weights in network.parameters():
            weights.data = self.place(weights.data)
        return network

    def __str__(self) -> str:
        return f"{self.number_format}{', channels last' if self.channels_last else ''}"


def autocast_for(device: torch.device | str, precision: Precision) -> torch.autocast:
    """The context in which a network computes in this precision."""
    kind = torch.device(device).type
    dtype = _DTYPES.get(precision.number_format)
    return torch.autocast(kind, dtype=dtype or torch.bfloat16, enabled=dtype is not None)


def _call(network: nn.Module, image: Tensor) -> Any:
    return network(image)


def choose_precision(
    device: torch.device | str,
    build: Callable[[], N],
    example_shape: Sequence[int],
    *,
    training: bool,
    wanted: PrecisionName = "auto",
    network_key: str,
    cache_file: Path | None = None,
    seconds: float = 1.5,
    multiple: Sequence[int] | None = None,
    compute: Callable[[N, Tensor], Any] = _call,
) -> Precision:
    """The fastest precision whose results are finite, for a network on a device.

    Parameters
    ----------
    device : torch.device
        Device to compute on.
    build : callable
        Makes the network; its weights are thrown away, and random generators are left as they were.
    example_shape : sequence of int
        Shape of a typical input (b, c, z, y, x); on a CPU a cut of it is computed.
    training : bool
        Measure forward and backward in training mode instead of forward alone.
    wanted : str
        A number format to keep to; then only the memory format is measured.
    network_key : str
        Name of the network and its settings in the cache.
    cache_file : Path, optional
        File in which choices are kept; in the user's cache folder by default.
    seconds : float
        Seconds to measure, besides a first pass of each candidate.
    multiple : sequence of int, optional
        Lengths of the input are multiples of this, and more than one of it along the last axes.
    compute : callable, optional
        What of a network is measured; its forward pass by default.
    """
    device = torch.device(device)
    remembered = _Memory(cache_file or user_cache_path("napari-pytc") / "arithmetic.json")
    mode = "training" if training else "inference"
    shape = "x".join(str(n) for n in example_shape)
    key = " | ".join(
        [machine(device), f"torch {torch.__version__}", f"trial {_TRIAL}", network_key, shape, mode, wanted]
    )
    found = remembered.get(key)
    if found is None:
        found = measure(
            device,
            build,
            example_shape,
            training=training,
            wanted=wanted,
            seconds=seconds,
            multiple=multiple,
            compute=compute,
        )
        release_memory(device)
        if found is None:  # not even one pass fits into memory: the fallback to less memory decides
            return Precision("float32" if wanted == "auto" else wanted)
        remembered.put(key, found)
    return found


def measure(
    device: torch.device,
    build: Callable[[], N],
    example_shape: Sequence[int],
    *,
    training: bool,
    wanted: PrecisionName = "auto",
    seconds: float = 1.5,
    multiple: Sequence[int] | None = None,
    compute: Callable[[N, Tensor], Any] = _call,
) -> Precision | None:
    """As `choose_precision`, remembering nothing; None where no candidate fits into memory with finite results.

    On a CPU one thread computes, and its own time counts: that of several is spent waiting for one another, the longer
    the busier the machine is.
    """
    is_on_cpu = device.type == "cpu"
    threads = one_thread() if is_on_cpu else nullcontext()
    with threads, torch.random.fork_rng(devices=[device] if device.type == "cuda" else []):
        torch.manual_seed(0)
        shapes = _cuts(example_shape, multiple) if is_on_cpu else [tuple(example_shape)]
        example = torch.randn(shapes[-1]).to(device)
        # One network a memory format, not one a candidate, to spare memory.
        networks = {last: Precision("float32", last).place_network(build().to(device)) for last in (False, True)}
        for network in networks.values():
            network.train(training)

        def seconds_of(candidate: Precision) -> float:
            try:
                return _time_pass(device, networks[candidate.channels_last], example, candidate, training, compute)
            except (RuntimeError, MemoryError) as error:
                if not is_out_of_memory(error):
                    raise
                return math.inf

        firsts: dict[Precision, float] = {}
        failure: RuntimeError | None = None
        for candidate in _candidates(device, training, wanted, len(example_shape)):
            try:
                first = seconds_of(candidate)
                firsts[candidate] = first if is_on_cpu else seconds_of(candidate)  # kernels are chosen first
            except RuntimeError as error:
                if candidate == Precision():
                    raise  # nothing to do with precision or format: the network does not work
                failure = error
        if failure is not None and not firsts:
            raise InvalidInput(
                f"This {device.type} cannot compute the network in {wanted}: {str(failure).splitlines()[0]}",
                "Set precision=auto, or float32.",
            ) from failure
        promising = _promising(firsts)
        if len(promising) < 2:
            return next(iter(promising), None)
        if len(shapes) > 1:
            slowest = max(seconds_of(candidate) for candidate in promising)
            example = torch.randn(_affordable(shapes, slowest * _ROUNDS * len(promising), seconds))
        return _fastest_in_turn(promising, seconds_of, seconds)


def _cuts(shape: Sequence[int], multiple: Sequence[int] | None = None) -> list[tuple[int, ...]]:
    """A shape (1, c, *spatial), and smaller ones down to few voxels; axes are halved while they stay multiples of 16.

    Where the input must have multiples of more, they stay two of these in the plane, and one across it.
    """
    if len(shape) not in (4, 5):
        return [tuple(shape)]
    cut = [1, *shape[1:]]
    found = [tuple(cut)]
    least = [16] * len(cut) if multiple is None else [1, 1, *_multiples(multiple)]
    while math.prod(cut[2:]) > _LEAST_VOXELS_ON_CPU:
        halves = [axis for axis in range(2, len(cut)) if cut[axis] % (2 * least[axis]) == 0]
        if not halves:
            break
        cut[max(halves, key=lambda axis: cut[axis])] //= 2
        found.append(tuple(cut))
    return found


def _affordable(shapes: Sequence[tuple[int, ...]], seconds_of_last: float, seconds: float) -> tuple[int, ...]:
    """The largest shape whose passes fit into the time, by those of the last and smallest shape."""
    smallest = math.prod(shapes[-1])
    fitting = (one for one in shapes if seconds_of_last * math.prod(one) / smallest <= seconds)
    return next(fitting, shapes[-1])


def _multiples(multiple: Sequence[int]) -> list[int]:
    z, *plane = multiple
    return [max(16, z), *(max(16, 2 * n if n > 1 else n) for n in plane)]


def _candidates(device: torch.device, training: bool, wanted: PrecisionName, n_axes: int) -> Iterator[Precision]:
    formats: list[NumberFormat] = ["float32"] if wanted == "auto" else [wanted]
    if wanted == "auto" and not _emulates_bf16(device) and not (training and _lacks_bf16_instructions(device)):
        formats.append("bf16")
    if wanted == "auto" and device.type != "cpu" and not training:  # training in fp16 needs its loss scaled
        formats.append("fp16")
    for number_format in formats:
        for last in (False, True) if n_axes in (4, 5) else (False,):
            yield Precision(number_format, last)


def _emulates_bf16(device: torch.device) -> bool:
    """Whether bf16 is only imitated, several times slower than float32, so that measuring it is wasted time."""
    if device.type == "cuda":
        return not torch.cuda.is_bf16_supported(including_emulation=False)
    on_x86 = platform.machine().lower() in ("x86_64", "amd64")
    return device.type == "cpu" and on_x86 and not torch.backends.cpu.get_cpu_capability().startswith("AVX512")


def _lacks_bf16_instructions(device: torch.device) -> bool:
    """Whether an x86 processor does bf16 in float32's instructions.

    Faster all the same where memory is the limit, but torch 2.13 then returns now and then, for the same input,
    gradients of small convolutions that are no numbers.
    """
    if device.type != "cpu" or platform.machine().lower() not in ("x86_64", "amd64"):
        return False
    known = torch.cpu.get_capabilities() if hasattr(torch.cpu, "get_capabilities") else {}
    return not any(known.get(name) for name in ("avx512_bf16", "amx_bf16", "avx10_1"))


def _promising(firsts: dict[Precision, float]) -> list[Precision]:
    """The candidates whose first pass is finite and not hopelessly slow."""
    finite = {candidate: first for candidate, first in firsts.items() if math.isfinite(first)}
    bound = max(_CHEAP_S, _HOPELESS * min(finite.values(), default=0.0))
    return [candidate for candidate, first in finite.items() if first <= bound]


def _fastest_in_turn(
    candidates: Sequence[Precision], seconds_of: Callable[[Precision], float], seconds: float
) -> Precision:
    """Measure in turn, so that whatever else the machine does slows every candidate alike.

    The best round of each decides, since other programs only ever add time.
    """
    best = dict.fromkeys(candidates, math.inf)
    end, n_rounds = time.perf_counter() + seconds, 0
    while n_rounds < _ROUNDS or time.perf_counter() < end:
        n_rounds += 1
        for candidate in best:
            best[candidate] = min(best[candidate], seconds_of(candidate))
    chosen = next(iter(best))
    for candidate, taken in best.items():
        if taken < _WORTH * best[chosen]:
            chosen = candidate
    return chosen


def _time_pass(
    device: torch.device,
    network: N,
    example: Tensor,
    precision: Precision,
    training: bool,
    compute: Callable[[N, Tensor], Any],
) -> float:
    """Seconds of one pass; infinite where its results or gradients are not finite."""
    # Time of the thread: on a busy machine the wall-clock time depends on other programs.
    clock = time.thread_time if device.type == "cpu" else time.perf_counter
    _wait_for(device)
    start = clock()
    with torch.set_grad_enabled(training):
        with autocast_for(device, precision):
            results = list(_tensors_of(compute(network, precision.place(example))))
        if training:
            sum((result.float().square().mean() for result in results), torch.zeros((), device=device)).backward()
    _wait_for(device)
    taken = clock() - start
    made = results + [p.grad for p in network.parameters() if p.grad is not None]
    network.zero_grad(set_to_none=True)
    return taken if all(bool(torch.isfinite(tensor).all()) for tensor in made) else math.inf


def _tensors_of(output: Any) -> Iterator[Tensor]:
    """A network's outputs, alone or several for deep supervision."""
    if isinstance(output, Tensor):
        yield output
    else:
        for part in output.values() if isinstance(output, dict) else output:
            yield from _tensors_of(part)


def _wait_for(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.synchronize(device)
    elif device.type == "mps":
        torch.mps.synchronize()


class _Memory:
    """Choices in a JSON file; one that cannot be read or written only costs measuring again."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def get(self, key: str) -> Precision | None:
        entry = self._read().get(key)
        if not isinstance(entry, dict):
            return None
        number_format, last = entry.get("precision"), entry.get("channels_last")
        if number_format not in get_args(NumberFormat) or not isinstance(last, bool):
            return None
        return Precision(cast(NumberFormat, number_format), last)

    def put(self, key: str, precision: Precision) -> None:
        entry = {"precision": precision.number_format, "channels_last": precision.channels_last}
        text = json.dumps({**self._read(), key: entry}, indent=1)
        try:
            self._path.parent.mkdir(parents=True, exist_ok=True)
            write_text_durably(self._path, text)
        except OSError:
            return

    def _read(self) -> dict[str, Any]:
        try:
            content = json.loads(self._path.read_text(encoding="utf-8"))
        except (OSError, ValueError):
            return {}
        return content if isinstance(content, dict) else {}


def machine(device: torch.device) -> str:
    """The processor and how much of it is used."""
    if device.type == "cuda":
        return f"cuda {torch.cuda.get_device_name(device)}"
    return f"{device.type} {_processor()} {torch.get_num_threads()} threads"


def _processor() -> str:
    """Name of the processor, and those of its instructions that decide what bf16 costs: a virtual one may hide them."""
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        lines = []
    parts = [line.partition(":") for line in reversed(lines)]
    told = {key.strip(): value.strip() for key, _, value in parts}
    name = told.get("model name") or platform.processor() or platform.machine()
    return " ".join([name, *(flag for flag in told.get("flags", "").split() if "bf16" in flag)])
