"""When memory runs out: smaller batch, then smaller pieces, then the CPU, each step told.

::

    batch 2 x 32x96x96 on cuda
        batch 1 x 32x96x96 on cuda
            16x96x96 ... 8x24x24 on cuda
                32x96x96 on cpu
                    16x96x96 ... 8x24x24 on cpu
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TypeVar

from napari_pytc.errors import OutOfMemory
from napari_pytc.geometry import Shape
from napari_pytc.jobs.context import JobContext
from napari_pytc.learning.memory import is_out_of_memory, release_memory

T = TypeVar("T")


@dataclass(frozen=True)
class Rung:
    """One way to do a piece of work; lower rungs need less memory."""

    batch_size: int
    shape: Shape
    device: str

    def __str__(self) -> str:
        of = f"a batch of {self.batch_size} x " if self.batch_size > 1 else ""
        return f"{of}{'x'.join(str(n) for n in self.shape)} voxels on {self.device}"


def make_rungs(
    batch_size: int, shape: Shape, device: str, *, multiple: Shape = (1, 1, 1), smallest: Shape = (1, 1, 1)
) -> list[Rung]:
    """Every rung from what was asked down to the least that works.

    Parameters
    ----------
    batch_size : int
        Patches at a time; halved first.
    shape : Shape
        Patch or tile; its longest axis is halved next, again and again.
    device : str
        Where to compute; the CPU comes last, with a batch of one and the shape that was asked.
    multiple, smallest : Shape
        Lengths stay multiples of the one, and no less than the other.
    """
    rungs = [Rung(batch_size, shape, device)]
    while rungs[-1].batch_size > 1:
        rungs.append(Rung(rungs[-1].batch_size // 2, shape, device))
    while (smaller := _smaller(rungs[-1].shape, multiple, smallest)) is not None:
        rungs.append(Rung(1, smaller, device))
    if device.partition(":")[0] != "cpu":
        rungs.append(Rung(1, shape, "cpu"))
        while (smaller := _smaller(rungs[-1].shape, multiple, smallest)) is not None:
            rungs.append(Rung(1, smaller, "cpu"))
    return rungs


def _smaller(shape: Shape, multiple: Shape, smallest: Shape) -> Shape | None:
    """The shape with the longest axis that can be halved, halved; None where none can."""
    for axis in sorted(range(3), key=lambda axis: -shape[axis]):
        least = -(-max(smallest[axis], 1) // multiple[axis]) * multiple[axis]
        length = max(least, shape[axis] // 2 // multiple[axis] * multiple[axis])
        if length < shape[axis]:
            z, y, x = (length if a == axis else n for a, n in enumerate(shape))
            return (z, y, x)
    return None


def run_with_ladder(rungs: Sequence[Rung], attempt: Callable[[Rung], T], ctx: JobContext) -> T:
    """Do a piece of work on the first rung whose memory is enough.

    Parameters
    ----------
    rungs : sequence of Rung
        From what was asked down; see `make_rungs`.
    attempt : callable
        Does the work as a rung says. It is called again from scratch, so it keeps what is finished on disk itself.
    ctx : JobContext
        Told of each step down, and asked before it whether to go on.

    Raises
    ------
    OutOfMemory
        If the last rung fails too. Errors of any other kind pass through at once.
    """
    for number, rung in enumerate(rungs):
        ctx.check()
        try:
            return attempt(rung)
        except (RuntimeError, MemoryError) as error:
            if not is_out_of_memory(error):
                raise
            said = str(error).strip().partition("\n")[0] or type(error).__name__
        # The handler is left: its error, whose frames hold the tensors, is gone and memory can be given back.
        release_memory(rung.device)
        if number + 1 < len(rungs):
            ctx.warn(f"Out of memory with {rung}; trying {rungs[number + 1]}.")
    raise OutOfMemory(
        f"Memory ran out even with {rungs[-1]} ({said[:200]}).",
        "Close other programs, choose a smaller network, or use a machine with more memory.",
    )
