"""Grids of overlapping windows over a volume."""

from __future__ import annotations

from dataclasses import dataclass

from napari_pytc.errors import InvalidInput
from napari_pytc.geometry.box import Box, Shape


@dataclass(frozen=True, slots=True)
class WindowGrid:
    """Windows of one shape at fixed places of a volume, so that they do not depend on the box that is predicted.

    ::

        |<------- volume ------->|        along one axis
        [ window ]                        first window at voxel 0
             [ window ]                   every `step` voxels
                  [ window ]
                       [ window ]         the last is shifted inward, to end with the volume

           [  window  ]                   a volume shorter than a window lies in the middle of the only one

    The places are those of MONAI's `sliding_window_inference`.

    Parameters
    ----------
    volume : Shape
        Lengths of the volume.
    window : Shape
        Lengths of a window.
    step : Shape
        Voxels from one window to the next.
    """

    volume: Shape
    window: Shape
    step: Shape

    def __post_init__(self) -> None:
        if min(self.volume) < 1 or min(self.window) < 1 or min(self.step) < 1:
            raise InvalidInput(
                f"Windows need lengths and steps of at least 1 voxel, got windows of {self.window} every {self.step} "
                f"voxels of a volume of {self.volume}."
            )
        if any(s > w for s, w in zip(self.step, self.window, strict=True)):
            raise InvalidInput(f"Windows of {self.window} voxels at every {self.step} leave gaps.")

    @classmethod
    def of(cls, volume: Shape, window: Shape, overlap: float) -> WindowGrid:
        """The windows that share a fraction `overlap` of each length with the next."""
        z, y, x = (max(1, int(n * (1 - overlap))) for n in window)
        return cls(volume, window, (z, y, x))

    @property
    def counts(self) -> Shape:
        """Number of windows along z, y, x."""
        z, y, x = (max(0, -(-(n - w) // s)) + 1 for n, w, s in zip(self.volume, self.window, self.step, strict=True))
        return (z, y, x)

    def __len__(self) -> int:
        z, y, x = self.counts
        return z * y * x

    def start(self, axis: int, number: int) -> int:
        """First voxel of a window along an axis; negative where the volume is shorter than the window."""
        n, window = self.volume[axis], self.window[axis]
        if n < window:
            return -((window - n) // 2)
        return min(number * self.step[axis], n - window)

    def over(self, axis: int, start: int, stop: int) -> range:
        """Numbers of the windows along an axis that hold any voxel of a range."""
        n, window, step, last = self.volume[axis], self.window[axis], self.step[axis], self.counts[axis] - 1
        if stop <= start or stop <= 0 or start >= n:
            return range(0)
        first = min(last, max(0, (start - window) // step + 1))
        # The last one is shifted inward, so that it may begin before the voxel that its number would give.
        return range(first, last + 1 if n - window < stop else (stop - 1) // step + 1)

    def box(self, numbers: Shape) -> Box:
        """The box of a window, by its numbers along z, y, x."""
        return Box.at([self.start(axis, number) for axis, number in enumerate(numbers)], self.window)

    def n_over(self, box: Box) -> int:
        """Number of the windows that hold any voxel of a box."""
        z, y, x = (len(self.over(axis, box.start[axis], box.stop[axis])) for axis in range(3))
        return z * y * x
