"""Choice of a stack: which images a TIFF file holds, which one is read, and what is said of the others."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import tifffile

from napari_pytc.errors import VolumeError
from napari_pytc.volumes.formats.tiff.described import check_alike, check_planes, described_stack
from napari_pytc.volumes.formats.tiff.plain_pages import PlainPages, plain_stacks, stand_alone, with_odd_pages
from napari_pytc.volumes.formats.tiff.stack import PALETTE, WHITE_IS_ZERO, TiffStack
from napari_pytc.volumes.missing import numbers_text
from napari_pytc.volumes.spec import TiffSpec

# What tifffile takes from metadata, in its words; all other files are pages and nothing else.
_DESCRIBED = (
    "shaped", "lsm", "mmstack", "ome", "imagej", "ndtiff", "fluoview", "stk", "sis", "svs", "scn", "qpi", "ndpi", "bif",
    "avs", "eer", "philips", "scanimage", "nih", "mdgel",
)  # fmt: skip
# Pages of longer stacks are looked at here and there.
_MOST_PAGES, _N_SAMPLES = 64, 8


def find_stacks(tiff: tifffile.TiffFile, path: Path) -> list[TiffStack]:
    """All stacks of a file; their places in the list are their numbers.

    Raises
    ------
    VolumeError
        If the file has no images, or its description does not fit its pages.
    """
    if not len(tiff.pages):
        raise VolumeError(f"{path} has no images.", "It may be truncated; copy or download it again.")
    is_described = any(getattr(tiff, f"is_{kind}", False) for kind in _DESCRIBED)
    if not is_described or (tiff.is_shaped and stand_alone(tiff)):
        return plain_stacks(tiff)
    check_planes(tiff, path)
    try:
        series = tiff.series
    except RuntimeError as error:
        if "keyframe" in str(error) or "hash" in str(error):
            check_alike(tiff, path)
        raise
    are_alone = all(one.kind == "shaped" and len(one) == 1 for one in series)
    if series and series[0].kind in _DESCRIBED and not are_alone:
        return [described_stack(tiff, one, str(number)) for number, one in enumerate(series)]
    if tiff.is_ome:
        note = "The OME description lies in another file or is damaged; all pages are taken as sections."
        return plain_stacks(tiff, note)
    if tiff.is_imagej:
        raise VolumeError(
            f"{path} is truncated: it holds less than its ImageJ description names.", "Copy or download it again."
        )
    return plain_stacks(tiff)


def choose_stack(tiff: tifffile.TiffFile, spec: TiffSpec) -> TiffStack:
    """The stack of the spec's number, or else the largest, with notes on what is left out.

    Raises
    ------
    VolumeError
        If there is no such stack, or pages of several kinds are mixed.
    """
    stacks = find_stacks(tiff, spec.path)
    if not stacks:
        raise VolumeError(f"{spec.path} has no images.", "It may be damaged; copy or download it again.")
    if spec.series is not None:
        if spec.series >= len(stacks):
            raise VolumeError(
                f"{spec.path} has {len(stacks)} series, so there is none of number {spec.series}.",
                f"It has {', '.join(f':{stack.name} ({stack.text})' for stack in stacks)}.",
            )
        chosen = stacks[spec.series]
        return replace(chosen, notes=(*chosen.notes, *_page_notes(tiff, chosen, spec.path)))
    chosen = max(stacks, key=lambda stack: math.prod(stack.lengths))
    others = [stack for stack in stacks if stack is not chosen]
    if isinstance(chosen.page, PlainPages):
        chosen, others = with_odd_pages(tiff, chosen, chosen.page, others, spec)
    notes = list(chosen.notes)
    if others:
        shown = ", ".join(f":{stack.name} ({stack.text})" for stack in others[:5])
        more = f" and {len(others) - 5} more" if len(others) > 5 else ""
        notes.append(f"The largest image of the file is read, {chosen.text}; left out: {shown}{more}.")
    return replace(chosen, notes=(*notes, *_page_notes(tiff, chosen, spec.path)))


def _page_notes(tiff: tifffile.TiffFile, stack: TiffStack, path: Path) -> list[str]:
    """What the pages say of their values, and what lies beside them; an error if they cannot be decoded."""
    page, notes = stack.keyframe, []
    _check_compression(page, path)
    empty = _empty_pages(stack)
    if empty:
        which = f"Page {empty[0]} has" if len(empty) == 1 else f"Pages {numbers_text(empty)} have"
        notes.append(f"{which} strips or tiles without data, which are read as blank.")
    if page.photometric == WHITE_IS_ZERO:
        notes.append("In the file 0 is white; values are read as they are stored, so bright is dark.")
    elif page.photometric == PALETTE:
        notes.append("The colours of the palette are left out; voxels are the numbers in it.")
    n_copies = len(page.subifds or ())
    if n_copies:
        notes.append(f"Each section has {n_copies} smaller copies in the file (a pyramid), which are not read.")
    calibration = (tiff.imagej_metadata or {}) if tiff.is_imagej else {}
    if "c0" in calibration and "c1" in calibration:
        notes.append(
            f"ImageJ's calibration, {calibration['c0']} + {calibration['c1']} x value, is not applied; values are read "
            "as they are stored."
        )
    return notes


def _check_compression(page: Any, path: Path) -> None:
    """Refuse pages that no installed library decodes, before they are read."""
    try:
        tifffile.TIFF.DECOMPRESSORS[page.compression]
    except (KeyError, ImportError) as error:
        name = getattr(page.compression, "name", str(page.compression))
        raise VolumeError(
            f"{path} is compressed with {name}, which is not read here.",
            "Save it with LZW, Deflate (ZIP), Zstandard or JPEG compression, or without any.",
        ) from error


def _empty_pages(stack: TiffStack) -> list[int]:
    """Numbers of pages, of a long stack among some that are spread over it, that have no data for a part of them.

    Writers leave out what is blank, and what they did not come to.
    """
    if stack.offset is not None:
        return []
    n_pages = math.prod(stack.lengths[: len(stack.lengths) - len(stack.keyframe.shape)])
    looked_at: Sequence[int] = range(n_pages)
    if n_pages > _MOST_PAGES:
        looked_at = np.linspace(0, n_pages - 1, _N_SAMPLES).astype(int).tolist()
    pages = ((number, stack.page(number)) for number in looked_at if number not in stack.missing)
    return [number for number, page in pages if page is not None and not all(page.databytecounts)]
