"""Labels that another program made."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import numpy as np
from pydantic import Field, PrivateAttr

from napari_pytc.errors import InvalidEdit, PytcError
from napari_pytc.geometry import Box, TileGrid
from napari_pytc.proofreading.builder import ChangeBuilder
from napari_pytc.proofreading.changes import Change
from napari_pytc.proofreading.edits.base import EditModel, Point, check_box
from napari_pytc.volumes.opening import open_volume

if TYPE_CHECKING:
    from napari_pytc.proofreading.document import LabelDocument

_TILE = (32, 256, 256)


class ImportLabels(EditModel):
    """Objects of a label volume become segments of their own; voxels labelled 0 stay as they are."""

    kind: Literal["import_labels"] = "import_labels"
    path: str = Field(description="PATH[:DATASET] of a file or Zarr with whole numbers, one an object.")
    offset: Point = Field((0, 0, 0), description="Voxel (z, y, x) of the volume at which the labels begin.")
    _report: Callable[[int, int], None] | None = PrivateAttr(None)

    def told(self, report: Callable[[int, int], None]) -> ImportLabels:
        """The same edit, which calls `report` with the pieces done and their total; what that raises ends `plan`."""
        edit = self.model_copy()
        edit._report = report
        return edit

    def plan(self, document: LabelDocument) -> Change:
        """A new supervoxel and segment for every object."""
        try:
            source = open_volume(self.path)
        except PytcError as error:
            raise InvalidEdit(f"The labels cannot be imported: {error.message}", error.hint) from error
        if source.dtype.kind not in "iub":
            raise InvalidEdit(f"Labels are whole numbers, but {self.path} holds {source.dtype}.")
        whole = Box.at(self.offset, source.shape)
        check_box(document, whole)
        builder = ChangeBuilder(document, self.to_json(), f"Import {Path(self.path).name}")
        supervoxels: dict[int, int] = {}
        grid = TileGrid(whole, _TILE)
        for tile in grid:
            if self._report is not None:
                self._report(tile.index, len(grid))
            labels = source.read(tile.write.relative_to(whole.start))
            values, inverse = np.unique(labels, return_inverse=True)
            if len(values) and values[0] < 0:
                raise InvalidEdit(f"Labels are 0 or more, but {self.path} holds {values[0]}.")
            for value in values[values > 0].tolist():
                if value not in supervoxels:
                    supervoxels[value] = builder.new_supervoxel()
                    builder.move([supervoxels[value]], builder.new_segment())
            ids = np.array([supervoxels.get(value, 0) for value in values.tolist()], np.uint32)
            new = ids[inverse].reshape(labels.shape)
            builder.set_voxels(tile.write, np.where(new > 0, new, builder.supervoxels(tile.write)))
        return builder.build()
