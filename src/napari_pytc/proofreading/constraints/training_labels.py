"""Training labels from edits: the constraints of every edit in effect as object labels in a store of chunks."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, fields
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np

from napari_pytc.errors import InvalidInput
from napari_pytc.files import write_text_durably
from napari_pytc.geometry import Box, ChunkIndex, Shape
from napari_pytc.jobs.context import ProgressCallback
from napari_pytc.labels.store import LabelStore
from napari_pytc.proofreading.constraints.placed_constraints import (
    PlacedConstraint,
    object_relations,
    place_constraints,
)
from napari_pytc.proofreading.constraints.rasterise import ConstraintRasteriser, CorrectionSettings
from napari_pytc.proofreading.document import LabelDocument
from napari_pytc.proofreading.edits.constraints import CannotLink, DenseTruth, MustLink, NoObject, Painted
from napari_pytc.proofreading.journal.journal import Journal
from napari_pytc.proofreading.journal.journal_file import Entry

__all__ = ["CorrectionSettings", "CorrectionsInfo", "TrainingLabels"]

CHUNK: Shape = (32, 128, 128)
_NOTE = "collected.json"
_VERSION = 1
_COUNTED = {
    "n_merges": MustLink,
    "n_splits": CannotLink,
    "n_locked": DenseTruth,
    "n_painted": Painted,
    "n_deleted": NoObject,
}


@dataclass(frozen=True, slots=True)
class CorrectionsInfo:
    """Amount of training data from edits: edits in effect by kind, and voxels that they label."""

    n_merges: int = 0
    n_splits: int = 0
    n_locked: int = 0
    n_painted: int = 0
    n_deleted: int = 0
    n_voxels: int = 0

    @property
    def n_edits(self) -> int:
        """All edits in effect that are training data."""
        return self.n_merges + self.n_splits + self.n_locked + self.n_painted + self.n_deleted

    def __add__(self, other: CorrectionsInfo) -> CorrectionsInfo:
        return CorrectionsInfo(*(getattr(self, f.name) + getattr(other, f.name) for f in fields(self)))


class TrainingLabels:
    """Labels of a segmentation's objects from its edits, in a `LabelStore` of uint32.

    ::

        edit             voxels                                                    label
        merge            of the segment, near the contact that was joined          the segment
        split            of either side, near the cut                              the segment of that side
        lock             all of the segment                                        the segment
                         around it, where nothing else is labelled                 OTHER
        paint, import    those that were painted; erased ones                      the segment; BACKGROUND
        delete           all of the segment                                        BACKGROUND
        nothing          all others                                                0

    Labels are the present segments, so that edits made later count; which of two labels are different objects is in
    the `ObjectRelations` beside them. A chunk counts as changed when the latest edit about it was made. Voxels of
    held-out boxes stay 0.

    Parameters
    ----------
    folder : Path
        Of the store; made when there is something to write.
    """

    def __init__(self, folder: Path, held_out: Sequence[Box] = (), settings: CorrectionSettings | None = None) -> None:
        self.folder, self._held_out = folder, tuple(held_out)
        self._settings = settings or CorrectionSettings()

    def collect(
        self,
        segmentation: str,
        journal: Journal,
        report: ProgressCallback | None = None,
        check: Callable[[], None] = lambda: None,
    ) -> CorrectionsInfo:
        """Bring the store up to date with a segmentation's edits; only chunks that changed edits touch are written.

        Parameters
        ----------
        report : callable, optional
            Called with the number of chunks done and their total.
        check : callable
            Called before each chunk; raises to give up, after which collecting again goes on.

        Raises
        ------
        PytcError
            If the segmentation or an entry of the journal is damaged, or the disk refuses.
        """
        edits = {entry.id: entry.box for entry in journal.entries() if _is_edit(entry, segmentation)}
        note = _Note.load(self.folder)
        basis = [_VERSION, segmentation, self._settings.model_dump(), [str(box) for box in self._held_out]]
        if note.basis == basis and note.edits == edits and not note.pending:
            return note.info
        if note.basis != basis:
            shutil.rmtree(self.folder, ignore_errors=True)
            note = _Note.empty(basis)
        document = journal.document_of(segmentation)
        placed = place_constraints(document, journal.edits_of(segmentation, latest_first=True))
        changed = [box for id, box in (note.edits | edits).items() if (id in note.edits) != (id in edits)]
        store = self._open(document)
        note.pending += [str(box) for box in changed]
        note.save(self.folder)
        self._write(document, placed, store, note, report or (lambda done, total: None), check)
        object_relations(document, placed).save(self.folder)
        note.edits, note.pending = edits, []
        note.counts = {name: sum(isinstance(one.constraint, kind) for one in placed) for name, kind in _COUNTED.items()}
        note.save(self.folder)
        return note.info

    def info(self) -> CorrectionsInfo:
        """Amounts of the last collection."""
        return _Note.load(self.folder).info

    @property
    def revision(self) -> str:
        """Revision of the last collection, as text; as long as it is the same, so are the labels."""
        note = _Note.load(self.folder)
        return json.dumps([note.basis, sorted(note.edits), note.pending])

    @property
    def edits(self) -> set[int]:
        """Entries of the journal that were collected last."""
        return set(_Note.load(self.folder).edits)

    def _write(
        self,
        document: LabelDocument,
        placed: Sequence[PlacedConstraint],
        store: LabelStore,
        note: _Note,
        report: ProgressCallback,
        check: Callable[[], None],
    ) -> None:
        rasteriser = ConstraintRasteriser(document, self._settings)
        by_chunk: dict[ChunkIndex, list[PlacedConstraint]] = {}
        for one in placed:
            for index in {k for box in one.boxes for k in _chunks(box.grow(rasteriser.halo), document.shape)}:
                by_chunk.setdefault(index, []).append(one)
        stored = {k for chunk in store.chunks() for k in _chunks(chunk.box, document.shape)}
        reached = [Box.parse(text).grow(rasteriser.halo) for text in note.pending]
        known = set(by_chunk) | stored
        due = sorted(index for index in known if any(_box(index, document.shape).overlaps(box) for box in reached))
        for number, index in enumerate(due, start=1):
            check()
            box = _box(index, document.shape)
            labels, changed = rasteriser.labels(box, by_chunk.get(index, []))
            for held in self._held_out:
                labels[held.intersect(box).relative_to(box.start).slices] = 0
            store.write(box, labels)
            store.set_changed(box, changed)
            note.voxels[",".join(map(str, index))] = int(np.count_nonzero(labels))
            report(number, len(due))

    def _open(self, document: LabelDocument) -> LabelStore:
        if (self.folder / "zarr.json").exists():
            return LabelStore.open(self.folder)
        shutil.rmtree(self.folder, ignore_errors=True)
        attributes = {"holds": "corrections", "segmentation": document.id}
        return LabelStore.create(self.folder, document.shape, np.uint32, document.space, CHUNK, attributes)


def _is_edit(entry: Entry, segmentation: str) -> bool:
    is_done = not entry.is_undone and entry.kind != "switch"
    return is_done and entry.target == "segments" and entry.segmentation == segmentation


@dataclass
class _Note:
    """Note of the last collection beside the labels: written before the first chunk of a collection and after it."""

    basis: list[Any]
    edits: dict[int, Box]
    pending: list[str]
    counts: dict[str, int]
    voxels: dict[str, int]

    @classmethod
    def empty(cls, basis: list[Any]) -> _Note:
        return cls(basis, {}, [], {}, {})

    @property
    def info(self) -> CorrectionsInfo:
        return CorrectionsInfo(**self.counts, n_voxels=sum(self.voxels.values()))

    @classmethod
    def load(cls, folder: Path) -> _Note:
        """The note of a store; an empty one where there is none, or one that cannot be read: all is collected anew."""
        try:
            content = json.loads((folder / _NOTE).read_text(encoding="utf-8"))
            edits = {int(id): Box.parse(text) for id, text in content["edits"].items()}
            return cls(content["basis"], edits, content["pending"], content["counts"], content["voxels"])
        except (OSError, ValueError, KeyError, TypeError, AttributeError, InvalidInput):
            return cls.empty([])

    def save(self, folder: Path) -> None:
        edits = {str(id): str(box) for id, box in self.edits.items()}
        content = {"basis": self.basis, "edits": edits, "pending": self.pending}
        content |= {"counts": self.counts, "voxels": self.voxels}
        write_text_durably(folder / _NOTE, json.dumps(content))


def _chunks(box: Box, shape: Shape) -> Iterator[ChunkIndex]:
    """The chunks that share a voxel with a box."""
    inside = box.intersect(Box.of_shape(shape))
    if not inside.is_empty:
        ranges = [range(a // n, -(-b // n)) for a, b, n in zip(inside.start, inside.stop, CHUNK, strict=True)]
        yield from product(ranges[0], ranges[1], ranges[2])


def _box(index: ChunkIndex, shape: Shape) -> Box:
    return Box.at([i * n for i, n in zip(index, CHUNK, strict=True)], CHUNK).intersect(Box.of_shape(shape))
