"""Edits: frozen values that plan a change of a document. One file a subject; `base` has the registry."""

from napari_pytc.proofreading.edits.annotation import MarkObjects, Scribble
from napari_pytc.proofreading.edits.base import Edit, EditModel, parse_edit
from napari_pytc.proofreading.edits.import_labels import ImportLabels
from napari_pytc.proofreading.edits.merge import Merge
from napari_pytc.proofreading.edits.paint import NewSegment, Paint
from napari_pytc.proofreading.edits.states import Delete, Lock, Restore, SetClass, Unlock
from napari_pytc.proofreading.edits.switch_segmentation import SwitchSegmentation

__all__ = [
    "Delete",
    "Edit",
    "EditModel",
    "ImportLabels",
    "Lock",
    "MarkObjects",
    "Merge",
    "NewSegment",
    "Paint",
    "Restore",
    "Scribble",
    "SetClass",
    "SwitchSegmentation",
    "Unlock",
    "parse_edit",
]
