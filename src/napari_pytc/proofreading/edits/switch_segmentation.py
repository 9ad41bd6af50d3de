"""Another segmentation becomes the current one."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from pydantic import Field

from napari_pytc.errors import InvalidEdit
from napari_pytc.geometry import Box
from napari_pytc.proofreading.changes import Change
from napari_pytc.proofreading.edits.base import EditModel

if TYPE_CHECKING:
    from napari_pytc.proofreading.document import LabelDocument


class SwitchSegmentation(EditModel):
    """From one segmentation to another, or to none; the edits of either stay."""

    kind: Literal["switch"] = "switch"
    before: str | None = Field(None, description="Id of the segmentation that is current.")
    after: str | None = Field(None, description="Id of the one that is to be.")

    def plan(self, document: LabelDocument | None) -> Change:
        """A change of the current segmentation alone."""
        if self.before == self.after:
            raise InvalidEdit(f"{self.after or 'No segmentation'} is current already.")
        title = f"Switch to {self.after}" if self.after else "Close the segmentation"
        box = Box((0, 0, 0), (0, 0, 0)) if document is None else Box.of_shape(document.shape)
        return Change(edit=self.to_json(), title=title, box=box)
