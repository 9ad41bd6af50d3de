"""A stack of a TIFF file: the pages that are one image."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from napari_pytc.errors import VolumeError

WHITE_IS_ZERO, RGB, PALETTE, YCBCR = 0, 2, 3, 6
"""What the values of pixels mean, as tags of TIFF say it."""
LOOKED_AT = 512
"""Pages of files up to this length are looked at when a file is opened; of longer ones some, the others when they are
read: a directory takes 0.1 ms."""
_N_SAMPLES = 64

Frame = tuple[str, tuple[tuple[str, int], ...]]
"""Type of a voxel and length of each axis of a page, in alphabetical order."""


@dataclass(frozen=True)
class TiffStack:
    """Pages that make one image.

    Parameters
    ----------
    axes : str
        Letters as in `AxisLayout`; the first ones count pages, those of `keyframe.axes` lie within a page.
    lengths : tuple of int
        Length of each axis.
    keyframe : tifffile.TiffPage
        The page that describes how all or most are stored.
    page : callable
        Gives the page of a number, counted over the leading axes; None where it is missing.
    missing : frozenset of int
        Numbers of the pages that the description names and the file lacks.
    offset : int, optional
        Where the voxels begin, of a stack that is one uncompressed piece.
    name : str
        What stands behind the colon to name it.
    notes : tuple of str
        What was assumed about its pages, or left out.
    """

    axes: str
    lengths: tuple[int, ...]
    keyframe: Any
    page: Callable[[int], Any]
    name: str
    missing: frozenset[int] = frozenset()
    offset: int | None = None
    notes: tuple[str, ...] = ()

    @property
    def dtype(self) -> np.dtype:
        """Type of a voxel in the file."""
        return np.dtype(self.keyframe.dtype)

    @property
    def text(self) -> str:
        """Its shape and type for people."""
        return f"{' x '.join(map(str, self.lengths))} {self.dtype}"


def frame_of(page: Any) -> Frame:
    """What pages of one stack have in common, whatever their compression, strips and order of colours."""
    return (str(page.dtype), tuple(sorted(zip(page.axes, page.shape, strict=True))))


def frame_text(page: Any) -> str:
    """Size and type of a page for people."""
    colours = f", {page.samplesperpixel} colours" if page.samplesperpixel > 1 else ""
    return f"{page.imagelength} x {page.imagewidth} pixels of {page.dtype}{colours}"


def odd_page_error(path: Path, number: int, page: Any, expected: Any, kinds: str = "") -> VolumeError:
    """The error of a section that differs from the others."""
    if frame_of(page) == frame_of(expected):
        return VolumeError(
            f"Section {number} of {path} has another palette than the others, so that its numbers mean other colours.",
            "Save all with one palette, or in grey, or read it as blank with --missing-sections blank.",
        )
    one = f"Name the pages of one kind: {kinds}; or read" if kinds else "Save all with one size and type, or read"
    return VolumeError(
        f"Section {number} of {path} has {frame_text(page)}; the others have {frame_text(expected)}.",
        f"{one} it as blank with --missing-sections blank.",
    )


def page_axes(page: Any, axes: str | None = None) -> str:
    """Axes of a page; samples are colours where the file says that they are, else channels."""
    axes = (page.axes if axes is None else axes).lower()
    has_alpha = any(int(kind) in (1, 2) for kind in page.extrasamples)
    is_colour = page.photometric in (RGB, YCBCR) or (page.samplesperpixel == 2 and has_alpha)
    return axes if is_colour else axes.replace("s", "c")


def spread_over(n_pages: int) -> Sequence[int]:
    """Numbers of all pages, or of some that are spread over a long file."""
    if n_pages <= LOOKED_AT:
        return range(n_pages)
    spread = np.linspace(0, n_pages - 1, _N_SAMPLES).astype(int).tolist()
    return sorted({0, 1, n_pages - 2, n_pages - 1, *spread})
