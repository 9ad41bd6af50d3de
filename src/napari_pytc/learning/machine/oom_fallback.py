"""Fallback when memory runs out: a smaller batch, then smaller pieces, then the CPU, each with a warning.

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
from napari_pytc.learning.machine.memory import is_out_of_memory, release_memory

T = TypeVar("T")


@dataclass(frozen=True)
class MemoryPlan:
    """Batch, shape and device of a piece of work; later plans need less memory."""

    batch_size: int
    shape: Shape
    device: str

    def __str__(self) -> str:
        of = f"a batch of {self.batch_size} x " if self.batch_size > 1 else ""
        return f"{of}{'x'.join(str(n) for n in self.shape)} voxels on {self.device}"


def make_memory_plans(
    batch_size: int, shape: Shape, device: str, *, multiple: Shape = (1, 1, 1), smallest: Shape = (1, 1, 1)
) -> list[MemoryPlan]:
    """Memory plans from what is wanted down to the least that works.

    Parameters
    ----------
    batch_size : int
        Patches at a time; halved first.
    shape : Shape
        Patch or tile; its longest axis is halved next, again and again.
    device : str
        Device to compute on; the CPU comes last, with a batch of one and the wanted shape.
    multiple, smallest : Shape
        Lengths stay multiples of the one, and no less than the other.
    """
    plans = [MemoryPlan(batch_size, shape, device)]
    while plans[-1].batch_size > 1:
        plans.append(MemoryPlan(plans[-1].batch_size // 2, shape, device))
    while (smaller := _smaller(plans[-1].shape, multiple, smallest)) is not None:
        plans.append(MemoryPlan(1, smaller, device))
    if device.partition(":")[0] != "cpu":
        plans.append(MemoryPlan(1, shape, "cpu"))
        while (smaller := _smaller(plans[-1].shape, multiple, smallest)) is not None:
            plans.append(MemoryPlan(1, smaller, "cpu"))
    return plans


def _smaller(shape: Shape, multiple: Shape, smallest: Shape) -> Shape | None:
    """The shape with the longest axis that can be halved, halved; None where none can."""
    for axis in sorted(range(3), key=lambda axis: -shape[axis]):
        least = -(-max(smallest[axis], 1) // multiple[axis]) * multiple[axis]
        length = max(least, shape[axis] // 2 // multiple[axis] * multiple[axis])
        if length < shape[axis]:
            z, y, x = (length if a == axis else n for a, n in enumerate(shape))
            return (z, y, x)
    return None


def run_with_fallback(plans: Sequence[MemoryPlan], attempt: Callable[[MemoryPlan], T], ctx: JobContext) -> T:
    """Do a piece of work by the first plan whose memory is enough.

    Parameters
    ----------
    plans : sequence of MemoryPlan
        From what is wanted down; see `make_memory_plans`.
    attempt : callable
        Does the work by a plan. It is called again from scratch, so that it keeps finished parts on disk itself.
    ctx : JobContext
        Warned of each fallback; a cancel is checked before it.

    Raises
    ------
    OutOfMemory
        If the last plan fails, too. Errors of any other kind pass through at once.
    """
    for number, plan in enumerate(plans):
        ctx.check()
        try:
            return attempt(plan)
        except (RuntimeError, MemoryError) as error:
            if not is_out_of_memory(error):
                raise
            said = str(error).strip().partition("\n")[0] or type(error).__name__
        # The handler is left: its error, whose frames hold the tensors, is gone and memory can be given back.
        release_memory(plan.device)
        if number + 1 < len(plans):
            ctx.warn(f"Out of memory with {plan}; trying {plans[number + 1]}.")
    raise OutOfMemory(
        f"Memory ran out even with {plans[-1]} ({said[:200]}).",
        "Close other programs, choose a smaller network, or use a machine with more memory.",
    )
