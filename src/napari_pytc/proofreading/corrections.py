"""What proofreading teaches: every edit in effect as labels of single objects, kept up to date chunk by chunk."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, fields
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np

from napari_pytc.durable import write_text_durably
from napari_pytc.errors import InvalidInput
from napari_pytc.geometry import Box, Shape
from napari_pytc.labels.store import LabelStore
from napari_pytc.proofreading.document import LabelDocument
from napari_pytc.proofreading.entries import Entry
from napari_pytc.proofreading.journal import Journal
from napari_pytc.proofreading.spoken import ChunkLabels, CorrectionSettings
from napari_pytc.proofreading.statements import Statement, Statements

__all__ = ["CorrectionSettings", "Corrections", "CorrectionsInfo"]

CHUNK: Shape = (32, 128, 128)
_NOTE = "collected.json"
_VERSION = 1

Index = tuple[int, int, int]
Report = Callable[[int, int], None]


@dataclass(frozen=True, slots=True)
class CorrectionsInfo:
    """How much there is to learn from: edits in effect by kind, and voxels of which they say something."""

    n_merges: int = 0
    n_splits: int = 0
    n_locked: int = 0
    n_painted: int = 0
    n_deleted: int = 0
    n_voxels: int = 0

    @property
    def n_edits(self) -> int:
        """All edits that teach."""
        return self.n_merges + self.n_splits + self.n_locked + self.n_painted + self.n_deleted

    def __add__(self, other: CorrectionsInfo) -> CorrectionsInfo:
        return CorrectionsInfo(*(getattr(self, f.name) + getattr(other, f.name) for f in fields(self)))


class Corrections:
    """Labels of a segmentation's objects from its edits, in a `LabelStore` of uint32.

    ::

        said by          voxels                                                    label
        merge            of the segment, near the contact that was joined          the segment
        split            of either side, near the cut                              the segment of that side
        lock             all of the segment                                        the segment
                         around it, where nothing else is said                     OTHER
        paint, import    those that were painted; erased ones                      the segment; BACKGROUND
        delete           all of the segment                                        BACKGROUND
        nothing          all others                                                0

    Labels are the present segments, so that edits made later count; which of two labels are different objects is in
    the `Said` beside them. A chunk counts as changed when the latest edit that speaks of it was made. Voxels of
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
        report: Report | None = None,
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
        statements = Statements.of(document, journal.edits_of(segmentation))
        changed = [box for id, box in (note.edits | edits).items() if (id in note.edits) != (id in edits)]
        store = self._open(document)
        note.pending += [str(box) for box in changed]
        note.save(self.folder)
        self._write(document, statements, store, note, report or _silent, check)
        statements.said(document).save(self.folder)
        note.edits, note.pending = edits, []
        note.counts = {
            "n_merges": len(statements.joined),
            "n_splits": len(statements.cut),
            "n_locked": len(statements.whole),
            "n_painted": len(statements.painted),
            "n_deleted": len(statements.nothing),
        }
        note.save(self.folder)
        return note.info

    def info(self) -> CorrectionsInfo:
        """What was collected last."""
        return _Note.load(self.folder).info

    @property
    def revision(self) -> str:
        """What was collected last, as text; as long as it is the same, so are the labels."""
        note = _Note.load(self.folder)
        return json.dumps([note.basis, sorted(note.edits), note.pending])

    @property
    def edits(self) -> set[int]:
        """Entries of the journal that were collected last."""
        return set(_Note.load(self.folder).edits)

    def _write(
        self,
        document: LabelDocument,
        statements: Statements,
        store: LabelStore,
        note: _Note,
        report: Report,
        check: Callable[[], None],
    ) -> None:
        around = ChunkLabels(document, self._settings)
        speaking: dict[Index, list[Statement]] = {}
        for statement in statements.all:
            for index in {k for box in statement.places for k in _chunks(box.grow(around.halo), document.shape)}:
                speaking.setdefault(index, []).append(statement)
        stored = {k for chunk in store.chunks() for k in _chunks(chunk.box, document.shape)}
        reached = [Box.parse(text).grow(around.halo) for text in note.pending]
        known = set(speaking) | stored
        due = sorted(index for index in known if any(_box(index, document.shape).overlaps(box) for box in reached))
        for number, index in enumerate(due, start=1):
            check()
            box = _box(index, document.shape)
            labels, changed = around.labels(box, speaking.get(index, []))
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
    """What was collected last, kept beside the labels: written before the first chunk of a collection and after it."""

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


def _chunks(box: Box, shape: Shape) -> Iterator[Index]:
    """The chunks that share a voxel with a box."""
    inside = box.intersect(Box.of_shape(shape))
    if not inside.is_empty:
        ranges = [range(a // n, -(-b // n)) for a, b, n in zip(inside.start, inside.stop, CHUNK, strict=True)]
        yield from product(ranges[0], ranges[1], ranges[2])


def _box(index: Index, shape: Shape) -> Box:
    return Box.at([i * n for i, n in zip(index, CHUNK, strict=True)], CHUNK).intersect(Box.of_shape(shape))


def _silent(done: int, total: int) -> None:
    """Tell nobody."""
