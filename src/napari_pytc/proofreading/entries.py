"""What the journal shows of itself, and what it needs of a project."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from napari_pytc.annotations.objects import ObjectStore
from napari_pytc.annotations.store import AnnotationStore
from napari_pytc.geometry import Box
from napari_pytc.proofreading.document import LabelDocument


class Documents(Protocol):
    """What a journal's edits change."""

    @property
    def annotations(self) -> AnnotationStore | None:
        """The strokes; None where there are none to edit."""

    @property
    def objects(self) -> ObjectStore | None:
        """The objects to learn from; None where there are none to edit."""

    def open(self, segmentation: str) -> LabelDocument:
        """A segmentation by id, as last flushed; raises a `PytcError` where it is gone or damaged."""


@dataclass(frozen=True, slots=True)
class Entry:
    """A line of the journal.

    Parameters
    ----------
    id : int
        Grows with every entry; what `Journal.jump` takes.
    box : Box
        Where: what a click on it flies to.
    segments : tuple of int
        The segments it touched.
    is_undone : bool
        Whether it is taken back at the moment.
    checkpoint : str
        The name given to the state behind it; empty for none.
    segmentation : str
        Id of the segmentation that was current; empty for none.
    sealed : str
        Why it cannot be undone any more; empty if it can.
    """

    id: int
    title: str
    kind: str
    time: float
    box: Box
    segments: tuple[int, ...]
    n_voxels: int
    is_undone: bool
    checkpoint: str
    target: str
    segmentation: str
    sealed: str
