"""Transform of a file's labels to those of a project: where they lie, and what their values mean."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from pydantic import Field

from napari_pytc.annotations.label_source import LabelSource, whole_numbered
from napari_pytc.annotations.placement import LabelPlacement, place_labels
from napari_pytc.annotations.special_values import BACKGROUND_WORD, NO_LABEL
from napari_pytc.errors import InvalidInput
from napari_pytc.geometry import Box, Shape, Voxel, VoxelSpace
from napari_pytc.settings import Settings


class LabelTransform(Settings):
    """How the labels of a file become those of a project: where they lie, and what their values mean.

    One value for everything that takes labels of other programs: strokes, object labels, segmentations. `place` puts
    labels into an image; `ClassValues` and `ObjectIds` turn values into classes and ids.

    Examples
    --------
    >>> transform = LabelTransform(values=LabelTransform.parse_values("0=background,255=mito"), ignored=(254,))
    >>> transform.values
    {0: 'background', 255: 'mito'}
    """

    offset: Voxel | None = Field(
        None, description="Voxel (z, y, x) of the image at which the labels begin; by default as their file says."
    )
    resample: bool = Field(
        False, description="Labels with voxels of another size are resampled (nearest) instead of refused."
    )
    values: dict[int, int | str] = Field(
        {}, description="What values mean: the number or name of a class; for objects an id, or background."
    )
    ignored: tuple[int, ...] = Field((), description="Values that mean that nothing is known there.")
    dense: bool = Field(False, description="0 means that no object is there (objects), or background (classes).")
    components: bool = Field(False, description="Each connected part of an id is an object of its own.")
    keep_ids: bool = Field(False, description="Ids that the project has already name the same objects there.")

    @staticmethod
    def parse_values(text: str | None) -> dict[int, int | str]:
        """Read ``VALUE=CLASS,VALUE=NUMBER``, as ``0=background,255=mito``."""
        found: dict[int, int | str] = {}
        for part in (text or "").split(",") if text else []:
            value, equals, meaning = (word.strip() for word in part.partition("="))
            if not equals or not meaning or not _is_whole_number(value):
                raise InvalidInput(
                    f"Values are mapped as VALUE=CLASS or VALUE=NUMBER, with commas between, got {part.strip()!r}.",
                    "For example: --map 0=background,255=mito.",
                )
            if int(value) in found:
                raise InvalidInput(f"The value {value} is mapped twice.", "Give each value one meaning.")
            found[int(value)] = int(meaning) if _is_whole_number(meaning) else meaning
        return found

    def mapped_ids(self) -> dict[int, int]:
        """Ids of segments that values are taken for; 0 for background.

        Raises
        ------
        InvalidInput
            If a value is mapped to a class or to what is no id, or is ignored as well.
        """
        self._check_meanings()
        found = {}
        for value, meaning in self.values.items():
            id = 0 if meaning == BACKGROUND_WORD else meaning
            if not isinstance(id, int) or not 0 <= id < NO_LABEL:
                raise InvalidInput(
                    f"A value of a segmentation is mapped to an id from 1, or to background, got {value}={meaning}.",
                    "For example: --map 7=3,255=background.",
                )
            found[value] = id
        return found

    def _check_meanings(self) -> None:
        for value in self.values:
            if value in self.ignored:
                raise InvalidInput(
                    f"The value {value} is mapped to {self.values[value]} and ignored.",
                    "Give it one meaning: --map or --ignore-value.",
                )

    def place(self, labels: LabelSource, image_shape: Shape, image_space: VoxelSpace) -> PlacedLabels:
        """The labels as they lie in an image.

        Parameters
        ----------
        labels : LabelSource
            Whole numbers or bool; floats that are whole are taken, others refused when they are read.
        image_shape : tuple of int
            Lengths along z, y, x of the image.
        image_space : VoxelSpace
            Its voxel size and origin.

        Raises
        ------
        InvalidInput
            If they are no whole numbers, their voxels have another size (and `resample` is off), they reach beyond the
            image, or a value is mapped and ignored as well.
        """
        self._check_meanings()
        labels = whole_numbered(labels)
        placement = place_labels(labels.shape, labels.space, image_shape, image_space, self.offset, self.resample)
        return PlacedLabels(labels, placement)


@dataclass(frozen=True)
class PlacedLabels:
    """Labels as they lie in an image, read in its voxels.

    Parameters
    ----------
    labels : LabelSource
        The labels in their own voxels.
    placement : LabelPlacement
        Their place; its notes say what was assumed.
    """

    labels: LabelSource
    placement: LabelPlacement

    @property
    def box(self) -> Box:
        """The voxels of the image that they fill."""
        return self.placement.box

    @property
    def dtype(self) -> np.dtype:
        """Type of a value."""
        return self.labels.dtype

    def read(self, box: Box) -> np.ndarray:
        """Values of a box of the image, within `box`, as the file has them; shape ``box.shape``."""
        if self.placement.indices is None:
            return self.labels.read(box.relative_to(self.placement.start))
        inner = box.relative_to(self.box.start)
        if inner.is_empty:
            return np.zeros(inner.shape, self.dtype)
        z, y, x = (index[part] for index, part in zip(self.placement.indices, inner.slices, strict=True))
        source = Box((z[0], y[0], x[0]), (z[-1] + 1, y[-1] + 1, x[-1] + 1))
        return self.labels.read(source)[np.ix_(z - z[0], y - y[0], x - x[0])]


def transform_of(
    transform: LabelTransform | None, offset: Sequence[int] | None = None, dense: bool = False
) -> LabelTransform:
    """A transform with an offset or the meaning of 0 given beside it."""
    found = transform or LabelTransform()
    changes = {} if offset is None else {"offset": _voxel(offset)}
    return found.model_copy(update=changes | ({"dense": True} if dense else {}))


def _voxel(offset: Sequence[int]) -> Voxel:
    if len(offset) != 3:
        raise InvalidInput(f"An offset is three voxels along z, y, x, got {tuple(offset)}.")
    z, y, x = (int(v) for v in offset)
    return z, y, x


def _is_whole_number(text: str) -> bool:
    return text.removeprefix("-").isdecimal()
