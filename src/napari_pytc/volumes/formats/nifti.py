"""NIfTI files (nibabel)."""

from __future__ import annotations

import logging
import math
import threading
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

from napari_pytc.errors import VolumeError
from napari_pytc.volumes.base import FileVolume, existing_file
from napari_pytc.volumes.formats.extent import check_extent
from napari_pytc.volumes.layout import layout_of
from napari_pytc.volumes.optional_packages import optional_package
from napari_pytc.volumes.space import FoundSpace, found_space, stated_origin
from napari_pytc.volumes.spec import NiftiSpec

_NM = {"meter": 1e9, "mm": 1e6, "micron": 1e3}
_AXES = "xyztc"
_LISTENING = threading.Lock()
_COMMENT = 6
"""Code of a text among the extensions of a header."""


class NiftiVolume(FileVolume):
    """A NIfTI-1 or NIfTI-2 file; voxels stay where they are stored, whatever its affine says.

    Scaled voxels (``scl_slope``, ``scl_inter``) are read as float32.
    """

    def __init__(self, spec: NiftiSpec) -> None:
        path = existing_file(spec.path)
        self._image, oddities = _load(path)
        name = str(spec.path)
        data = self._image.dataobj
        shape, axes = _used_axes(tuple(int(n) for n in data.shape), name)
        check_extent(shape, (), 1, name)
        _check_size(self._image, path)
        layout = layout_of(axes, shape, spec, name)
        self._n_axes = len(data.shape)
        self._is_scaled = (float(data.slope), float(data.inter)) != (1.0, 0.0)
        dtype = np.dtype(np.float32) if self._is_scaled else np.dtype(self._image.header.get_data_dtype())
        notes = [f"Its header is unusual: {text}." for text in oddities]
        if self._is_scaled:
            stored = self._image.header.get_data_dtype().name
            notes.append(
                f"Voxels are stored as {stored} with the factor {data.slope:g} and the shift {data.inter:g}, and are "
                "read as float32."
            )
        if path.suffix.lower() == ".gz":
            notes.append(
                "The file is compressed as a whole, so each piece is read from its beginning; unpack it to be fast."
            )
        self._describe(name, layout, dtype, _space(self._image), spec, notes)

    def _fetch(self, index: tuple[slice, ...]) -> np.ndarray:
        full = (*index, *[slice(0, 1)] * (self._n_axes - len(index)))
        try:
            data = np.asarray(self._image.dataobj[full])
        except (ValueError, EOFError, zlib.error) as error:
            raise OSError(f"the file is damaged or ends before its voxels do: {error}") from error
        data = data.reshape(data.shape[: len(index)])
        return data.astype(np.float32) if self._is_scaled else data


class _Messages(logging.Handler):
    """Texts that nibabel would print about a header."""

    def __init__(self) -> None:
        super().__init__()
        self.texts: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.texts.append(record.getMessage().rstrip("."))


@contextmanager
def _messages(logger: logging.Logger) -> Iterator[list[str]]:
    """What is said about one file, in place of the output of the library."""
    messages = _Messages()
    with _LISTENING:
        others, logger.handlers = logger.handlers, [messages]
        try:
            yield messages.texts
        finally:
            logger.handlers = others


def _load(path: Path) -> tuple[Any, list[str]]:
    """The image, and what is odd about its header."""
    nibabel = optional_package("nibabel", path, "a NIfTI file")
    try:
        with _messages(nibabel.imageglobals.logger) as texts:
            image = nibabel.load(path)
    except (
        nibabel.filebasedimages.ImageFileError,
        nibabel.spatialimages.HeaderDataError,
        OSError,
        ValueError,
        EOFError,
        zlib.error,
    ) as error:
        raise VolumeError(f"{path} is not a NIfTI file that can be read: {error}.", "Copy it again.") from error
    if not isinstance(image, nibabel.Nifti1Pair):
        raise VolumeError(f"{path} is a {type(image).__name__}, not a NIfTI file.", "Save it as .nii.")
    return image, texts


def nifti_comments(path: Path) -> list[str]:
    """The comments in the header of a NIfTI file."""
    found = [e.get_content() for e in _load(path)[0].header.extensions if e.get_code() == _COMMENT]
    texts = [text.decode("utf-8", "replace") if isinstance(text, bytes) else str(text) for text in found]
    return [text.rstrip("\0 ") for text in texts]


def _check_size(image: Any, path: Path) -> None:
    """Refuse a file that ends before its voxels do; of a compressed one it shows when they are read."""
    data, file = image.dataobj, Path(image.file_map["image"].filename)
    if file.suffix.lower() in (".gz", ".bz2", ".zst"):
        return
    if not file.is_file():
        raise VolumeError(f"There is no file {file}, which holds the voxels of {path}.", "Copy both.")
    missing = data.offset + math.prod(data.shape) * data.dtype.itemsize - file.stat().st_size
    if missing > 0:
        raise VolumeError(f"{path} is truncated: {missing} bytes of its voxels are missing.", "Copy it again.")


def _used_axes(shape: tuple[int, ...], name: str) -> tuple[tuple[int, ...], str]:
    """The axes up to the last that is longer than 1, at least x and y."""
    n = len(shape)
    while n > 2 and shape[n - 1] == 1:
        n -= 1
    if n > len(_AXES) or n < 2:
        raise VolumeError(f"{name} has {len(shape)} axes, shape {shape}; expected x, y, z, time and channel.")
    return shape[:n], _AXES[:n]


def _space(image: Any) -> FoundSpace:
    """Voxel size, and the place of the first voxel along the stored axes."""
    header = image.header
    try:
        unit = header.get_xyzt_units()[0]
    except KeyError:
        unit = "unknown"
    # The header has single precision: 0.004 mm come as 0.0040000002.
    zooms = [float(f"{v:.6g}") for v in header.get_zooms()[:3]]
    zooms += [min(zooms)] * (3 - len(zooms))
    origin, place_notes = _place(image, zooms)
    if unit not in _NM:
        return FoundSpace.nothing(
            f"The NIfTI header gives voxels of {' x '.join(f'{v:g}' for v in zooms)} (x, y, z) without a unit; the "
            "voxel size is not known.",
            place_notes=place_notes,
        )
    factor = _NM[unit]
    place = None if origin is None else stated_origin((origin[::-1] * factor).tolist())
    return found_space([v * factor for v in zooms[::-1]], "NIfTI header", place, place_notes=place_notes)


def _place(image: Any, zooms: list[float]) -> tuple[np.ndarray | None, list[str]]:
    """Place of the first voxel along the stored axes x, y, z, if the header has one, and notes on the orientation."""
    if int(image.header["sform_code"]) <= 0 and int(image.header["qform_code"]) <= 0:
        return None, []
    turn = np.asarray(image.affine[:3, :3], float) / np.array(zooms)
    if not abs(np.linalg.det(turn)) > 1e-6:  # not a number, too
        return None, []
    return np.linalg.solve(turn, image.affine[:3, 3]), _turn_notes(turn)


def _turn_notes(turn: np.ndarray) -> list[str]:
    if np.abs(turn - np.diag(np.diag(turn))).max() > 1e-3:
        return ["The affine of the NIfTI file turns or shears the image; the voxels are read as they are stored."]
    flipped = [a for a, v in zip("xyz", np.diag(turn), strict=True) if v < 0]
    if flipped:
        return [f"The affine of the NIfTI file flips {', '.join(flipped)}; the voxels are read as they are stored."]
    return []
