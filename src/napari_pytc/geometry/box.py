"""Half-open boxes of voxels."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from napari_pytc.errors import InvalidInput

Shape = tuple[int, int, int]
"""Lengths along z, y, x in voxels."""

Voxel = tuple[int, int, int]
"""Position of a voxel along z, y, x."""

ChunkIndex = tuple[int, int, int]
"""Position of a chunk in the grid of chunks, counted along z, y, x."""

_RANGE = re.compile(r"^\s*(-?\d+)\s*:\s*(-?\d+)\s*$")


@dataclass(frozen=True, slots=True, order=True)
class Box:
    """A half-open box ``start <= voxel < stop`` in (z, y, x).

    Parameters
    ----------
    start, stop : tuple of int
        First voxel inside and first voxel outside, along z, y, x.
    """

    start: Shape
    stop: Shape

    def __post_init__(self) -> None:
        start, stop = tuple(int(v) for v in self.start), tuple(int(v) for v in self.stop)
        if len(start) != 3 or len(stop) != 3:
            raise InvalidInput(f"A box needs three starts and three stops (z, y, x), got {start} and {stop}.")
        if any(b < a for a, b in zip(start, stop, strict=True)):
            raise InvalidInput(f"A box must stop at or after its start, got start {start} and stop {stop}.")
        object.__setattr__(self, "start", start)
        object.__setattr__(self, "stop", stop)

    @classmethod
    def of_shape(cls, shape: Sequence[int]) -> Box:
        """The box from the origin that an array of this shape fills."""
        return cls((0, 0, 0), (shape[0], shape[1], shape[2]))

    @classmethod
    def at(cls, start: Sequence[int], shape: Sequence[int]) -> Box:
        """The box of this shape at this start."""
        return cls((start[0], start[1], start[2]), (start[0] + shape[0], start[1] + shape[1], start[2] + shape[2]))

    @classmethod
    def parse(cls, text: str) -> Box:
        """Read ``Z0:Z1,Y0:Y1,X0:X1``, as the command line and `str` write it."""
        parts = [_RANGE.match(part) for part in text.split(",")]
        if len(parts) != 3 or not all(parts):
            raise InvalidInput(
                f"A box is written Z0:Z1,Y0:Y1,X0:X1, for example 0:16,0:256,0:256; got {text!r}.",
            )
        numbers = [(int(p.group(1)), int(p.group(2))) for p in parts if p]
        return cls(tuple(a for a, _ in numbers), tuple(b for _, b in numbers))  # type: ignore[arg-type]

    def __str__(self) -> str:
        return ",".join(f"{a}:{b}" for a, b in zip(self.start, self.stop, strict=True))

    @property
    def shape(self) -> Shape:
        """Lengths along z, y, x."""
        return tuple(b - a for a, b in zip(self.start, self.stop, strict=True))  # type: ignore[return-value]

    @property
    def size(self) -> int:
        """Number of voxels."""
        z, y, x = self.shape
        return z * y * x

    @property
    def is_empty(self) -> bool:
        """Whether no voxel lies inside."""
        return self.size == 0

    @property
    def slices(self) -> tuple[slice, slice, slice]:
        """Index of the box in an array whose first voxel is the origin."""
        return tuple(slice(a, b) for a, b in zip(self.start, self.stop, strict=True))  # type: ignore[return-value]

    @property
    def centre(self) -> tuple[float, float, float]:
        """Middle of the box in voxels."""
        return tuple((a + b) / 2 for a, b in zip(self.start, self.stop, strict=True))  # type: ignore[return-value]

    def intersect(self, other: Box) -> Box:
        """The common box; an empty one where there is none."""
        start = tuple(max(a, b) for a, b in zip(self.start, other.start, strict=True))
        stop = tuple(max(s, min(a, b)) for s, a, b in zip(start, self.stop, other.stop, strict=True))
        return Box(start, stop)  # type: ignore[arg-type]

    def overlaps(self, other: Box) -> bool:
        """Whether the boxes share a voxel."""
        return not self.intersect(other).is_empty

    def contains(self, other: Box) -> bool:
        """Whether every voxel of the other box lies in this one."""
        return other.is_empty or (
            all(a <= b for a, b in zip(self.start, other.start, strict=True))
            and all(a >= b for a, b in zip(self.stop, other.stop, strict=True))
        )

    def contains_point(self, point: Sequence[float]) -> bool:
        """Whether the voxel at this point lies inside."""
        return all(a <= p < b for a, p, b in zip(self.start, point, self.stop, strict=True))

    def hull(self, other: Box) -> Box:
        """The smallest box around both; an empty box adds nothing."""
        if self.is_empty:
            return other
        if other.is_empty:
            return self
        start = tuple(min(a, b) for a, b in zip(self.start, other.start, strict=True))
        stop = tuple(max(a, b) for a, b in zip(self.stop, other.stop, strict=True))
        return Box(start, stop)  # type: ignore[arg-type]

    def shift(self, offset: Sequence[int]) -> Box:
        """The box moved by an offset."""
        start = tuple(a + o for a, o in zip(self.start, offset, strict=True))
        stop = tuple(b + o for b, o in zip(self.stop, offset, strict=True))
        return Box(start, stop)  # type: ignore[arg-type]

    def relative_to(self, origin: Sequence[int]) -> Box:
        """The same box in coordinates whose origin is the given voxel."""
        return self.shift([-o for o in origin])

    def grow(self, margin: Sequence[int]) -> Box:
        """The box with a margin added on both sides along each axis."""
        start = tuple(a - m for a, m in zip(self.start, margin, strict=True))
        stop = tuple(b + m for b, m in zip(self.stop, margin, strict=True))
        return Box(start, stop)  # type: ignore[arg-type]

    def aligned(self, multiple: Sequence[int]) -> Box:
        """The smallest box around this one whose starts and stops are multiples, counted from the origin."""
        start = tuple(a // m * m for a, m in zip(self.start, multiple, strict=True))
        stop = tuple(-(-b // m) * m for b, m in zip(self.stop, multiple, strict=True))
        return Box(start, stop)  # type: ignore[arg-type]


def whole_multiples(shape: Shape, multiple: Shape) -> Shape:
    """The shape with every length rounded up to a multiple."""
    z, y, x = (-(-n // m) * m for n, m in zip(shape, multiple, strict=True))
    return (z, y, x)


def hull_of(boxes: Iterable[Box]) -> Box:
    """The smallest box around all; the empty box at the origin for none."""
    hull = Box((0, 0, 0), (0, 0, 0))
    for box in boxes:
        hull = hull.hull(box)
    return hull
