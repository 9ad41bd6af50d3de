"""Timings in turns: shared machines swing tenfold within seconds, so variants take turns and medians are compared."""

from __future__ import annotations

import resource
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import median

Timings = dict[str, list[float]]
"""Seconds of every round, by variant."""


class ProcessorTime:
    """Processor seconds of every call of some variants, of all threads of this process.

    They depend less on what else runs on the machine than seconds of the clock do.
    """

    def __init__(self) -> None:
        self.timings: Timings = {}

    def of(self, name: str, work: Callable[[], object]) -> Callable[[], object]:
        """The same work, measured under a name."""
        taken = self.timings.setdefault(name, [])

        def measured() -> None:
            started = time.process_time()
            work()
            taken.append(time.process_time() - started)

        return measured


@dataclass(frozen=True)
class Claim:
    """That `variant` takes at most ``1 / bar`` times as long as `reference`."""

    variant: str
    reference: str
    bar: float


def interleave(variants: dict[str, Callable[[], object]], n_rounds: int, n_warm_ups: int = 1) -> Timings:
    """Seconds of each variant in each round; every round begins with another one."""
    names = list(variants)
    timings: Timings = {name: [] for name in names}
    for turn in range(-n_warm_ups, n_rounds):
        first = turn % len(names)
        for name in names[first:] + names[:first]:
            taken = seconds(variants[name])
            if turn >= 0:
                timings[name].append(taken)
    return timings


def seconds(work: Callable[[], object]) -> float:
    """How long a call takes."""
    started = time.perf_counter()
    work()
    return time.perf_counter() - started


def print_timings(title: str, timings: Timings, amount: float, unit: str, claims: Sequence[Claim] = ()) -> None:
    """A table of medians, bests and rates, and the ratios of medians beside their bars."""
    width = max(len(name) for name in timings)
    print(f"\n{title}\n{'':{width}}  rounds  median s    best s  {unit + '/s':>12}")
    for name, taken in timings.items():
        middle = median(taken)
        print(f"{name:{width}}  {len(taken):6}  {middle:8.3f}  {min(taken):8.3f}  {amount / middle:12.3f}")
    for claim in claims:
        ratio = median(timings[claim.reference]) / median(timings[claim.variant])
        best = min(timings[claim.reference]) / min(timings[claim.variant])
        what = f"{claim.reference} / {claim.variant}"
        print_bar(f"{what}, medians (bests {best:.3f})", ratio, at_least=claim.bar)


def print_bar(what: str, value: float, *, at_least: float | None = None, at_most: float | None = None) -> None:
    """One figure beside its bar."""
    if at_least is not None:
        print(f"  {what}: {value:.3f}, bar >= {at_least:g}: {'met' if value >= at_least else 'MISSED'}", flush=True)
    elif at_most is not None:
        print(f"  {what}: {value:.3g}, bar <= {at_most:g}: {'met' if value <= at_most else 'MISSED'}", flush=True)


def peak_mib() -> float:
    """The most memory that this process has held, in MiB.

    On Linux from /proc: what getrusage says begins with the memory of the process that started this one.
    """
    status = Path("/proc/self/status")
    if status.exists():
        line = next(line for line in status.read_text(encoding="ascii").splitlines() if line.startswith("VmHWM:"))
        return int(line.split()[1]) / 2**10
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak / (2**20 if sys.platform == "darwin" else 2**10)
