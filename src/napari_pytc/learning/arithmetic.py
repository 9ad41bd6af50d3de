"""Which arithmetic a machine does fastest: measured for about a second, then remembered.

On a CPU with the right instructions bf16 with channels last is up to five times as fast as float32, and on another it
is many times slower; no table of processors says which.
"""

from __future__ import annotations

import json
import math
import platform
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal, cast, get_args

import torch
from platformdirs import user_cache_path
from torch import Tensor, nn

from napari_pytc.errors import InvalidInput
from napari_pytc.learning.config import Precision
from napari_pytc.learning.durable import write_durably
from napari_pytc.learning.memory import is_out_of_memory, release_memory

_DTYPES = {"bf16": torch.bfloat16, "fp16": torch.float16}
_HOPELESS = 3.0
"""A candidate this many times slower than the best in its first round is not measured further."""
_WORTH = 0.95
"""A later candidate must take at most this share of an earlier one's time, so that noise does not decide."""


NumberFormat = Literal["float32", "bf16", "fp16"]


@dataclass(frozen=True)
class Arithmetic:
    """Number format of the layers that allow it, and how tensors lie in memory."""

    precision: NumberFormat = "float32"
    channels_last: bool = False

    def place(self, tensor: Tensor) -> Tensor:
        """A tensor (b, c, ...) laid out in this memory format."""
        formats = {4: torch.channels_last, 5: torch.channels_last_3d}
        wanted = formats.get(tensor.dim()) if self.channels_last else None
        return tensor.contiguous(memory_format=wanted or torch.contiguous_format)

    def place_network(self, network: nn.Module) -> nn.Module:
        """The same network with its weights laid out in this memory format."""
        for weights in network.parameters():
            weights.data = self.place(weights.data)
        return network

    def __str__(self) -> str:
        return f"{self.precision}{', channels last' if self.channels_last else ''}"


def autocast_for(device: torch.device | str, arithmetic: Arithmetic) -> torch.autocast:
    """The context in which a network computes with this arithmetic."""
    kind = torch.device(device).type
    dtype = _DTYPES.get(arithmetic.precision)
    return torch.autocast(kind, dtype=dtype or torch.bfloat16, enabled=dtype is not None)


def choose_precision(
    device: torch.device | str,
    build: Callable[[], nn.Module],
    example_shape: Sequence[int],
    *,
    training: bool,
    wanted: Precision = "auto",
    network_key: str,
    cache_file: Path | None = None,
    seconds: float = 1.0,
) -> Arithmetic:
    """The fastest arithmetic whose results are finite, for a network on a device.

    Parameters
    ----------
    device : torch.device
        Where to compute.
    build : callable
        Makes the network; its weights are thrown away, and random generators are left as they were.
    example_shape : sequence of int
        Shape of a typical input (b, c, z, y, x); not larger than needed, since every candidate computes it a few times.
    training : bool
        Measure forward and backward in training mode instead of forward alone.
    wanted : str
        A precision to keep to; then only the memory format is measured.
    network_key : str
        Names the network and its settings in what is remembered.
    cache_file : Path, optional
        Where choices are remembered; in the user's cache folder by default.
    seconds : float
        How long to measure, besides a first pass of each candidate.
    """
    device = torch.device(device)
    remembered = _Memory(cache_file or user_cache_path("napari-pytc") / "arithmetic.json")
    mode = "training" if training else "inference"
    shape = "x".join(str(n) for n in example_shape)
    key = " | ".join([machine(device), f"torch {torch.__version__}", network_key, shape, mode, wanted])
    found = remembered.get(key)
    if found is None:
        found = measure(device, build, example_shape, training=training, wanted=wanted, seconds=seconds)
        if found is None:  # not even one pass fits into memory: the ladder's business, and no reason to remember
            return Arithmetic("float32" if wanted == "auto" else wanted)
        remembered.put(key, found)
    return found


def measure(
    device: torch.device,
    build: Callable[[], nn.Module],
    example_shape: Sequence[int],
    *,
    training: bool,
    wanted: Precision = "auto",
    seconds: float = 1.0,
) -> Arithmetic | None:
    """As `choose_precision`, without memory; None where every candidate ran out of it."""
    with torch.random.fork_rng(devices=[device] if device.type == "cuda" else []):
        torch.manual_seed(0)
        example = torch.randn(tuple(example_shape)).to(device)
        # Not one network a candidate: their weights together could fill a GPU.
        networks = {last: Arithmetic("float32", last).place_network(build().to(device)) for last in (False, True)}
        for network in networks.values():
            network.train(training)
        times: dict[Arithmetic, list[float]] = {}
        failure: RuntimeError | None = None
        for candidate in _candidates(device, training, wanted, len(example_shape)):
            try:
                first = _time_pass(device, networks[candidate.channels_last], example, candidate, training)
                if math.isfinite(first):
                    # The first pass also compiles kernels; the second says whether there is hope.
                    again = _time_pass(device, networks[candidate.channels_last], example, candidate, training)
                    times[candidate] = [again]
            except (RuntimeError, MemoryError) as error:
                if is_out_of_memory(error):
                    continue
                if candidate.precision == "float32":
                    raise  # nothing to do with precision: the network does not work
                failure = cast(RuntimeError, error)
        if failure is not None and not times and wanted not in ("auto", "float32"):
            raise InvalidInput(
                f"This {device.type} cannot compute the network in {wanted}: {str(failure).splitlines()[0]}",
                "Set precision=auto, or float32.",
            ) from failure
        _measure_further(device, networks, example, times, training, seconds)
    del networks, example
    release_memory(device)
    return _fastest(times)


def _candidates(device: torch.device, training: bool, wanted: Precision, n_axes: int) -> Iterator[Arithmetic]:
    formats: list[NumberFormat] = ["float32"] if wanted == "auto" else [wanted]
    if wanted == "auto" and (device.type != "cuda" or torch.cuda.is_bf16_supported(including_emulation=False)):
        formats.append("bf16")
    if wanted == "auto" and device.type != "cpu" and not training:  # training in fp16 needs its loss scaled
        formats.append("fp16")
    for precision in formats:
        for last in (False, True) if n_axes in (4, 5) else (False,):
            yield Arithmetic(precision, last)


def _measure_further(
    device: torch.device,
    networks: dict[bool, nn.Module],
    example: Tensor,
    times: dict[Arithmetic, list[float]],
    training: bool,
    seconds: float,
) -> None:
    """Add rounds in turn, so that whatever else the machine does slows every candidate alike."""
    best = min((taken[0] for taken in times.values()), default=math.inf)
    running = [candidate for candidate, taken in times.items() if taken[0] <= _HOPELESS * best]
    end = time.perf_counter() + seconds
    while len(running) > 1 and time.perf_counter() < end:
        for candidate in running:
            network = networks[candidate.channels_last]
            times[candidate].append(_time_pass(device, network, example, candidate, training))


def _fastest(times: dict[Arithmetic, list[float]]) -> Arithmetic | None:
    """The best round of each decides: other programs only ever add time."""
    chosen: Arithmetic | None = None
    for candidate, taken in times.items():
        if chosen is None or min(taken) < _WORTH * min(times[chosen]):
            chosen = candidate
    return chosen


def _time_pass(
    device: torch.device, network: nn.Module, example: Tensor, arithmetic: Arithmetic, training: bool
) -> float:
    """Seconds of one pass; infinite where its results or gradients are not finite."""
    _wait_for(device)
    start = time.perf_counter()
    with torch.set_grad_enabled(training):
        with autocast_for(device, arithmetic):
            results = list(_tensors_of(network(arithmetic.place(example))))
        if training:
            sum((result.float().square().mean() for result in results), torch.zeros((), device=device)).backward()
    _wait_for(device)
    taken = time.perf_counter() - start
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

    def get(self, key: str) -> Arithmetic | None:
        entry = self._read().get(key)
        if not isinstance(entry, dict):
            return None
        precision, last = entry.get("precision"), entry.get("channels_last")
        if precision not in get_args(NumberFormat) or not isinstance(last, bool):
            return None
        return Arithmetic(cast(NumberFormat, precision), last)

    def put(self, key: str, arithmetic: Arithmetic) -> None:
        text = json.dumps({**self._read(), key: asdict(arithmetic)}, indent=1)
        try:
            self._path.parent.mkdir(parents=True, exist_ok=True)
            write_durably(self._path, lambda aside: _write_text(aside, text))
        except OSError:
            return

    def _read(self) -> dict[str, Any]:
        try:
            content = json.loads(self._path.read_text(encoding="utf-8"))
        except (OSError, ValueError):
            return {}
        return content if isinstance(content, dict) else {}


def _write_text(path: Path, text: str) -> None:
    path.write_text(text, encoding="utf-8")


def machine(device: torch.device) -> str:
    """The processor and how much of it is used."""
    if device.type == "cuda":
        return f"cuda {torch.cuda.get_device_name(device)}"
    return f"{device.type} {_processor()} {torch.get_num_threads()} threads"


def _processor() -> str:
    try:
        for line in Path("/proc/cpuinfo").read_text(encoding="utf-8", errors="replace").splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    except OSError:
        pass
    return platform.processor() or platform.machine()
