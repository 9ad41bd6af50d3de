"""Edits: frozen values that plan a change of a document. One file a subject; `base` has the registry."""

from napari_pytc.proofreading.edits.base import Edit, EditModel, parse_edit
from napari_pytc.proofreading.edits.importing import ImportLabels
from napari_pytc.proofreading.edits.merge import Merge
from napari_pytc.proofreading.edits.paint import Paint
from napari_pytc.proofreading.edits.scribble import MarkObjects, Scribble
from napari_pytc.proofreading.edits.states import Delete, Lock, Restore, SetClass, Unlock
from napari_pytc.proofreading.edits.switch import Switch

__all__ = [
    "Delete",
    "Edit",
    "EditModel",
    "ImportLabels",
    "Lock",
    "MarkObjects",
    "Merge",
    "Paint",
    "Restore",
    "Scribble",
    "SetClass",
    "Switch",
    "Unlock",
    "parse_edit",
]
