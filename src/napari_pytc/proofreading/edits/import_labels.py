"""Labels that another program made."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar, Literal

import numpy as np
from pydantic import Field, PrivateAttr

from napari_pytc.annotations.importing import source_notes
from napari_pytc.annotations.label_transform import LabelTransform, PlacedLabels
from napari_pytc.annotations.object_ids import ObjectIds
from napari_pytc.errors import InvalidEdit, PytcError
from napari_pytc.geometry import Box, TileGrid, Voxel
from napari_pytc.jobs.context import ProgressCallback
from napari_pytc.proofreading.builder import ChangeBuilder
from napari_pytc.proofreading.changes import Change
from napari_pytc.proofreading.edits.base import EditModel, check_box
from napari_pytc.volumes.opening import open_labels
from napari_pytc.volumes.spec import ReadOptions

if TYPE_CHECKING:
    from napari_pytc.proofreading.document import LabelDocument

_TILE = (32, 256, 256)


class ImportLabels(EditModel):
    """Objects of a label volume become segments of their own; voxels labelled 0 stay as they are.

    They lie where their file says: (origin of the labels - origin of the volume) / voxel size.
    """

    kind: Literal["import_labels"] = "import_labels"
    voxels_are_chosen: ClassVar[bool] = True
    path: str = Field(description="PATH[:DATASET] of a file or Zarr with whole numbers, one an object.")
    offset: Voxel | None = Field(
        None, description="Voxel (z, y, x) of the volume at which the labels begin; by default as their file says."
    )
    resample: bool = Field(False, description="Labels with voxels of another size are resampled instead of refused.")
    ignored: tuple[int, ...] = Field((), description="Values that are no objects, as 0.")
    components: bool = Field(False, description="Each connected part of an id becomes a segment of its own.")
    channel: int | None = Field(None, description="Which channel, from 0, where the file has several.")
    axes: str | None = Field(None, description="A letter for each axis of the file, where it does not say.")
    time: int | None = Field(None, description="Which time point, from 0, where the file has several.")
    notes: tuple[str, ...] = Field((), description="What was assumed when it was made; told, not asked for.")
    _report: ProgressCallback | None = PrivateAttr(None)

    def with_progress(self, report: ProgressCallback) -> ImportLabels:
        """The same edit, which calls `report` with the pieces done and their total; what that raises ends `plan`."""
        edit = self.model_copy()
        edit._report = report
        return edit

    def plan(self, document: LabelDocument) -> Change:
        """A new supervoxel and segment for every object."""
        with _refused():
            source = open_labels(self.path, ReadOptions(channel=self.channel, axes=self.axes, time=self.time))
            placed = self._transform.place(source, document.shape, document.space)
        check_box(document, placed.box)
        grid = TileGrid(placed.box, _TILE)
        ids = self._scanned(placed, grid)
        notes = (*source_notes(source), *placed.placement.notes, *ids.notes())
        # The journal keeps where they were put, whatever the file says later.
        is_exact = placed.placement.indices is None and placed.box == Box.at(placed.box.start, source.shape)
        offset = placed.box.start if is_exact else self.offset
        recorded = self.model_copy(update={"offset": offset, "notes": notes})
        builder = ChangeBuilder(document, recorded.to_json(), f"Import {Path(self.path).name}")
        supervoxels: dict[int, int] = {}
        for tile in grid:
            self._tell(len(grid) + tile.index, 2 * len(grid))
            _set_objects(builder, tile.write, ids.apply(tile, placed.read(tile.write)), supervoxels)
        return builder.build()

    @property
    def _transform(self) -> LabelTransform:
        return LabelTransform(
            offset=self.offset, resample=self.resample, ignored=self.ignored, components=self.components
        )

    def _scanned(self, placed: PlacedLabels, grid: TileGrid) -> ObjectIds:
        """The ids of the labels, once all were seen."""
        ids = ObjectIds(self._transform, grid)
        for tile in grid:
            self._tell(tile.index, 2 * len(grid))  # what this raises is no fault of the labels
            with _refused():
                ids.scan(tile, placed.read(tile.write))
        with _refused():
            ids.number()
        return ids

    def _tell(self, done: int, total: int) -> None:
        if self._report is not None:
            self._report(done, total)


@contextmanager
def _refused() -> Iterator[None]:
    """Errors of a file as refusals of the edit."""
    try:
        yield
    except PytcError as error:
        raise InvalidEdit(f"The labels cannot be imported: {error.message}", error.hint) from error


def _set_objects(builder: ChangeBuilder, box: Box, ids: np.ndarray, supervoxels: dict[int, int]) -> None:
    """Give the objects of a block supervoxels and segments of their own; `supervoxels` has those of earlier blocks."""
    values, inverse = np.unique(ids, return_inverse=True)
    for value in values[values > 0].tolist():
        if value not in supervoxels:
            supervoxels[value] = builder.new_supervoxel()
            builder.move([supervoxels[value]], builder.new_segment())
    numbers = np.array([supervoxels.get(value, 0) for value in values.tolist()], np.uint32)
    new = numbers[inverse].reshape(ids.shape)
    builder.set_voxels(box, np.where(new > 0, new, builder.supervoxels(box)))
