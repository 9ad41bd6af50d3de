"""The trial of which precision a machine computes a network in the fastest.

On a CPU with the right instructions bf16 with channels last is up to five times as fast as float32, and on another it
is many times slower; no table of processors lists which.
"""

from __future__ import annotations

import math
import platform
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import nullcontext
from dataclasses import dataclass, field
from typing import Any, Generic

import torch
from torch import Tensor

from napari_pytc.errors import InvalidInput
from napari_pytc.learning.machine.devices import one_thread
from napari_pytc.learning.machine.memory import is_out_of_memory
from napari_pytc.learning.machine.precision import N, NumberFormat, Precision, autocast_for
from napari_pytc.plans.plan import PrecisionName

LONGEST_S = 5.0
"""No pass begins that would end later than this, but the first."""
_HOPELESS, _CHEAP_S = 3.0, 0.1
"""A candidate whose first pass takes this many times the best one's is given up, unless passes are cheap anyway."""
_LEAST_VOXELS_ON_CPU = 1 << 15
"""Larger examples are cut down to this at first, then as little as there is time for: small ones favour float32."""
_LARGE_NETWORK = 8_000_000
"""Weights from which the first example is as small as the network takes it: each pass may take seconds."""
_ROUNDS = 2
"""How often each candidate is measured at least, where there is time."""
_WORTH = 0.95
"""A later candidate must take at most this share of an earlier one's time, so that noise does not decide."""


def call(network: Any, image: Tensor) -> Any:
    """The forward pass of a network."""
    return network(image)


@dataclass(frozen=True)
class PrecisionVerdict:
    """What a trial found.

    Parameters
    ----------
    precision : Precision, optional
        The fastest one; None where no candidate fits into memory with finite results.
    untried : tuple of Precision
        Candidates for which there was no time.
    """

    precision: Precision | None
    untried: tuple[Precision, ...] = ()


def measure(
    device: torch.device,
    build: Callable[[], N],
    example_shape: Sequence[int],
    *,
    training: bool,
    wanted: PrecisionName = "auto",
    seconds: float = 1.5,
    longest_s: float = LONGEST_S,
    multiple: Sequence[int] | None = None,
    compute: Callable[[N, Tensor], Any] = call,
    check: Callable[[], None] = lambda: None,
) -> PrecisionVerdict:
    """The fastest precision whose results are finite; see `choose_precision` for most of the parameters.

    On a CPU one thread computes, and its own time counts: that of several is spent waiting for one another, the longer
    the busier the machine is.

    Parameters
    ----------
    longest_s : float
        No pass begins that would end later than this, but the first one. A candidate that was measured only once is
        judged by that, and one that was not measured at all is named in the verdict.
    check : callable
        Called before each pass; what it raises ends the trial.
    """
    is_on_cpu = device.type == "cpu"
    threads = one_thread() if is_on_cpu else nullcontext()
    with threads, torch.random.fork_rng(devices=[device] if device.type == "cuda" else []):
        torch.manual_seed(0)
        network = build().to(device)
        network.train(training)
        shapes = _cuts(example_shape, multiple, _first_voxels(network)) if is_on_cpu else [tuple(example_shape)]
        trial = _Trial(device, network, torch.randn(shapes[-1]).to(device), training, compute, check, longest_s)
        candidates = list(_candidates(device, training, wanted, len(example_shape)))
        firsts, untried = _first_passes(trial, candidates, wanted, n_each=1 if is_on_cpu else 2)
        promising = _promising(firsts)
        if len(promising) < 2:
            return PrecisionVerdict(next(iter(promising), None), untried)
        if len(shapes) > 1 and trial.has_time(len(promising)):
            slowest = max(trial.seconds_of(candidate) for candidate in promising)
            trial.enlarge(_affordable(shapes, slowest * _ROUNDS * len(promising), seconds))
        return PrecisionVerdict(_fastest_in_turn(promising, trial, seconds) or _fastest(promising), untried)


@dataclass
class _Trial(Generic[N]):
    """Timed passes of one network, whose weights are laid out anew for each, to spare memory."""

    device: torch.device
    network: N
    example: Tensor
    training: bool
    compute: Callable[[N, Tensor], Any]
    check: Callable[[], None]
    longest_s: float
    _pass_s: float = 0.0
    """Time of the longest pass so far, on the clock on the wall."""
    _started: float = field(default_factory=lambda: time.perf_counter())

    def seconds_of(self, candidate: Precision) -> float:
        """Seconds of one pass; infinite where memory runs out or its results or gradients are not finite."""
        self.check()
        start = time.perf_counter()
        try:
            network = candidate.place_network(self.network)
            return _time_pass(self.device, network, self.example, candidate, self.training, self.compute)
        except (RuntimeError, MemoryError) as error:
            if not is_out_of_memory(error):
                raise
            return math.inf
        finally:
            self._pass_s = max(self._pass_s, time.perf_counter() - start)

    def has_time(self, n_passes: int = 1) -> bool:
        """Whether so many passes end in time, by the longest so far."""
        return time.perf_counter() - self._started + n_passes * self._pass_s <= self.longest_s

    def enlarge(self, shape: Sequence[int]) -> None:
        """Go on with a larger example."""
        before, self.example = self.example.numel(), torch.randn(tuple(shape)).to(self.device)
        self._pass_s *= self.example.numel() / before


def _first_passes(
    trial: _Trial[N], candidates: Sequence[Precision], wanted: PrecisionName, n_each: int
) -> tuple[dict[Precision, float], tuple[Precision, ...]]:
    """Seconds of the first passes, of which the last counts, and the candidates for which there was no time."""
    firsts: dict[Precision, float] = {}
    failure: RuntimeError | None = None
    untried = []
    for candidate in candidates:
        if firsts and not trial.has_time(n_each):
            untried.append(candidate)
            continue
        try:
            for _ in range(n_each):  # a GPU chooses its kernels in the first
                firsts[candidate] = trial.seconds_of(candidate)
        except RuntimeError as error:
            if candidate == Precision():
                raise  # nothing to do with precision or format: the network does not work
            firsts.pop(candidate, None)
            failure = error
    if failure is not None and not firsts:
        raise InvalidInput(
            f"This {trial.device.type} cannot compute the network in {wanted}: {str(failure).splitlines()[0]}",
            "Set precision=auto, or float32.",
        ) from failure
    return firsts, tuple(untried)


def _first_voxels(network: torch.nn.Module) -> int:
    """Voxels of the first example on a CPU, or a few more: as few as the network takes where it is large."""
    n_weights = sum(parameter.numel() for parameter in network.parameters())
    return 0 if n_weights >= _LARGE_NETWORK else _LEAST_VOXELS_ON_CPU


def _cuts(shape: Sequence[int], multiple: Sequence[int] | None, n_voxels: int) -> list[tuple[int, ...]]:
    """A shape (1, c, *spatial), and smaller ones down to few voxels; axes are halved while they stay multiples of 16.

    Where the input must have multiples of more, they stay two of these in the plane, and one across it.
    """
    if len(shape) not in (4, 5):
        return [tuple(shape)]
    cut = [1, *shape[1:]]
    found = [tuple(cut)]
    least = [16] * len(cut) if multiple is None else [1, 1, *_multiples(multiple)]
    while math.prod(cut[2:]) > n_voxels:
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


def _promising(firsts: dict[Precision, float]) -> dict[Precision, float]:
    """The candidates whose first pass is finite and not hopelessly slow, with its seconds."""
    finite = {candidate: first for candidate, first in firsts.items() if math.isfinite(first)}
    bound = max(_CHEAP_S, _HOPELESS * min(finite.values(), default=0.0))
    return {candidate: first for candidate, first in finite.items() if first <= bound}


def _fastest_in_turn(candidates: Iterable[Precision], trial: _Trial[N], seconds: float) -> Precision | None:
    """Measure in turn, so that whatever else the machine does slows every candidate alike.

    The best round of each decides, since other programs only ever add time. None where there is no time for a round.
    """
    best = dict.fromkeys(candidates, math.inf)
    end, n_rounds = time.perf_counter() + seconds, 0
    while (n_rounds < _ROUNDS or time.perf_counter() < end) and trial.has_time(len(best)):
        n_rounds += 1
        for candidate in best:
            best[candidate] = min(best[candidate], trial.seconds_of(candidate))
    return _fastest(best) if n_rounds else None


def _fastest(seconds: dict[Precision, float]) -> Precision:
    """The first candidate that no later one beats clearly."""
    chosen = next(iter(seconds))
    for candidate, taken in seconds.items():
        if taken < _WORTH * seconds[chosen]:
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
