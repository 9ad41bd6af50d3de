"""Which of a training's memory plans fit into the memory that is free, by what a step needs."""

from __future__ import annotations

import copy
from collections.abc import Callable, Sequence

from napari_pytc.errors import InvalidInput, OutOfMemory
from napari_pytc.geometry import Shape, whole_multiples
from napari_pytc.learning.machine.memory import free_memory_bytes
from napari_pytc.learning.machine.oom_fallback import MemoryPlan
from napari_pytc.learning.networks.network import Network
from napari_pytc.learning.networks.step_memory import StepMemoryCounter

SMALLEST_PATCH: Shape = (16, 32, 32)


def fitting_plans(
    network: Network,
    plans: Sequence[MemoryPlan],
    warn: Callable[[str], None],
    free_bytes: Callable[[str], int] = free_memory_bytes,
    parent: Network | None = None,
) -> list[MemoryPlan]:
    """The plans from the first one on whose step fits into the free memory of its device.

    Parameters
    ----------
    network : Network
        It is copied, and stays as it is.
    plans : sequence of MemoryPlan
        From what is wanted down to the least.
    warn : callable
        Told, in a sentence, if the first one does not fit.
    parent : Network, optional
        The network that is distilled in each step; copied, too.

    Raises
    ------
    OutOfMemory
        If none fits, with both numbers.
    """
    counter = StepMemoryCounter(copy.deepcopy(network), copy.deepcopy(parent))
    first, least = "", plans[0]
    needed, free = 0, 0
    for number, plan in enumerate(plans):
        try:
            needed, free = counter.count(plan.batch_size, plan.shape).total, free_bytes(plan.device)
        except InvalidInput:
            if number == 0:
                raise
            continue  # a patch to fall back to that this network does not take
        if needed <= free:
            if first:
                warn(f"{first}; the training begins with {plan}.")
            return list(plans[number:])
        least = plan
        first = first or f"A step with {plan} would take about {in_gb(needed)}, and {in_gb(free)} are free"
    raise OutOfMemory(
        f"A training step takes about {in_gb(needed)} even with {least}, and {in_gb(free)} of memory are free on "
        f"{least.device}.",
        "Choose a smaller network or fewer channels, let it recompute activations, or use a machine with more memory.",
    )


def least_patch(patch: Shape, multiple: Shape, margin: Shape = (0, 0, 0), of_target: Shape = (1, 1, 1)) -> Shape:
    """The smallest patch that a training falls back to.

    It has more than one voxel of the deepest level in the plane, one that is learnt within the `margin`, and is no
    smaller than what the target needs.
    """
    deepest = (multiple[0], *(2 * m if m > 1 else 1 for m in multiple[1:]))
    z, y, x = (
        max(n, m, 2 * edge + 1, needed)
        for n, m, edge, needed in zip(SMALLEST_PATCH, deepest, margin, of_target, strict=True)
    )
    least = whole_multiples((z, y, x), multiple)
    z, y, x = (min(n, p) for n, p in zip(least, patch, strict=True))
    return (z, y, x)


def in_gb(n_bytes: int) -> str:
    """Bytes as text for people."""
    return f"{n_bytes / 1e9:.1f} GB" if n_bytes >= 1e8 else f"{max(1, round(n_bytes / 1e6))} MB"
