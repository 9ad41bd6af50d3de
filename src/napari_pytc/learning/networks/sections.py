"""Networks that see one section at a time."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

from torch import Tensor

T = TypeVar("T", Tensor, tuple[Tensor, ...])


def section_by_section(network: Callable[[Tensor], T], image: Tensor) -> T:
    """What a network of images (b, c, y, x) returns for the sections of a volume (b, c, z, y, x)."""
    n_batch, _, n_sections, _, _ = image.shape
    found = network(image.movedim(2, 1).flatten(0, 1))

    def volume(levels: Tensor) -> Tensor:
        return levels.unflatten(0, (n_batch, n_sections)).movedim(1, 2)

    return volume(found) if isinstance(found, Tensor) else tuple(volume(level) for level in found)
