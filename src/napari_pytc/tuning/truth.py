"""Truth that a tuning compares with: a file of labels, or the object labels in held-out boxes of a project."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal, Protocol

import fastremap
import numpy as np
from pydantic import Field

from napari_pytc.annotations.importing import source_notes
from napari_pytc.annotations.label_transform import LabelTransform, PlacedLabels
from napari_pytc.annotations.object_relations import BACKGROUND, OTHER
from napari_pytc.annotations.paint_store import PaintStore
from napari_pytc.annotations.special_values import NO_LABEL, UNKNOWN, whole_numbers
from napari_pytc.errors import InvalidInput, VolumeError
from napari_pytc.geometry import Box, Shape, VoxelSpace
from napari_pytc.settings import Settings
from napari_pytc.volumes.fingerprint import fingerprint
from napari_pytc.volumes.opening import open_spec
from napari_pytc.volumes.spec import VolumeSpec


class TruthReader(Protocol):
    """Truth on the voxels of a prediction."""

    boxes: tuple[Box, ...]
    """Where it is, in voxels of the prediction."""
    notes: tuple[str, ...]
    """What was assumed, as sentences."""

    def read(self, box: Box) -> tuple[np.ndarray, np.ndarray | None]:
        """Ids of a box, 0 for no object, and the mask of the voxels that are known; None where all are."""


class LabelTruth(Settings):
    """A file of labels: an id for each object."""

    kind: Literal["labels"] = "labels"
    labels: VolumeSpec
    digest: str | None = Field(None, description="Digest of the labels' fingerprint; other labels are refused.")
    transform: LabelTransform = Field(LabelTransform(), description="Where they lie, and what their values mean.")

    def open(self, shape: Shape, space: VoxelSpace) -> TruthReader:
        """Open it on the voxels of a prediction.

        Raises
        ------
        VolumeError
            If the file cannot be read, or is not the one that was described.
        InvalidInput
            If it does not fit into the prediction.
        """
        source = open_spec(self.labels)
        if self.digest is not None and fingerprint(source).digest != self.digest:
            raise VolumeError("The truth changed since the tuning was described.", "Start it again.")
        placed = self.transform.place(source, shape, space)
        notes = (*source_notes(source), *placed.placement.notes)
        return _PlacedTruth(placed, self.transform, tuple(dict.fromkeys(notes)))


class HeldOutTruth(Settings):
    """The object labels in held-out boxes; what nobody labelled there is left out."""

    kind: Literal["held_out"] = "held_out"
    objects: Path = Field(description="Folder of the object labels.")
    revision: int = Field(0, description="Their revision; with another one the truth is another.")
    boxes: tuple[Box, ...] = Field(min_length=1, description="The held-out boxes with object labels.")

    def open(self, shape: Shape, space: VoxelSpace) -> TruthReader:
        """Open it; errors as of `LabelTruth.open`."""
        store = PaintStore.open(self.objects, writable=False, dtype=np.uint32)
        if store.shape != tuple(shape):
            raise InvalidInput(
                f"Object labels and prediction must have one shape, got {store.shape} and {tuple(shape)}.",
                "Predict the volume of the labels.",
            )
        return _ObjectTruth(store, self.boxes)


AnyTruth = Annotated[LabelTruth | HeldOutTruth, Field(discriminator="kind")]
"""Truth of either kind."""


class _PlacedTruth:
    def __init__(self, placed: PlacedLabels, transform: LabelTransform, notes: tuple[str, ...]) -> None:
        self._placed, self._ignored = placed, transform.ignored
        self._values = {NO_LABEL: 0, **dict.fromkeys(UNKNOWN, 0), **transform.mapped_ids()}
        self.boxes: tuple[Box, ...] = (placed.box,)
        self.notes: tuple[str, ...] = notes

    def read(self, box: Box) -> tuple[np.ndarray, np.ndarray | None]:
        block = whole_numbers(self._placed.read(box))
        known = ~np.isin(block, self._ignored) if self._ignored else None
        info = np.iinfo(block.dtype)
        values = {value: id for value, id in self._values.items() if info.min <= value <= info.max}
        ids = fastremap.remap(block.astype(np.int64 if block.dtype.kind == "i" else np.uint64), values, True)
        if known is not None:
            ids[~known] = 0
        if ids.size and ids.min() < 0:
            raise InvalidInput(
                f"Ids of objects are 0 or more, but the truth holds {ids.min()}.",
                f"Leave it out: --ignore {ids.min()}.",
            )
        return np.asarray(ids), known


class _ObjectTruth:
    def __init__(self, store: PaintStore, boxes: tuple[Box, ...]) -> None:
        self._store = store
        self.boxes: tuple[Box, ...] = boxes
        self.notes: tuple[str, ...] = ()

    def read(self, box: Box) -> tuple[np.ndarray, np.ndarray | None]:
        ids = self._store.read(box)
        known = (ids != 0) & (ids != OTHER)
        return np.where(known & (ids != BACKGROUND), ids, np.uint32(0)), known
