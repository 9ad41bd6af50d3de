"""The segmentation that edits change, kept in memory as far as it changed."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np

from napari_pytc.errors import InvalidInput
from napari_pytc.files import put_in_place, temporary_beside
from napari_pytc.geometry import Box, Shape, VoxelSpace
from napari_pytc.labels.editable import CACHE_BYTES, EditableLabels
from napari_pytc.labels.id_table import IdTable
from napari_pytc.labels.merge_table import MergeTable
from napari_pytc.labels.region_graph import RegionGraph
from napari_pytc.labels.saved_state import EDITS, SavedState
from napari_pytc.labels.segment_index import SegmentIndex
from napari_pytc.labels.segmentation import Segmentation, digest_of
from napari_pytc.labels.store import LabelStore
from napari_pytc.proofreading.changes import Change, SegmentState
from napari_pytc.proofreading.contacts import EditedContacts
from napari_pytc.proofreading.digests import Digests, digest_of_notes, digest_of_pairs, digests_after, text_of
from napari_pytc.volumes.source import BoundaryReader


class LabelDocument:
    """Supervoxels, their segments, and the noted states of these; any thread.

    A document has no journal: it has a state and takes changes. Changes that were not flushed are lost with it; a
    journal makes them again.

    Parameters
    ----------
    boundary : BoundaryReader, optional
        For cuts through voxels and for scores of contacts that edits made; without it every voxel is as good.
    writable : bool
        Whether it can be flushed; without, changes stay in memory.
    folder : Path, optional
        Folder that edits are flushed to, the segmentation's own by default.
    boundary_note : callable, optional
        Called after the boundary was read: a sentence on what stands in for it, empty where nothing does.

    Raises
    ------
    VolumeError
        If what was saved beside the segmentation is damaged.
    """

    def __init__(
        self,
        segmentation: Segmentation,
        boundary: BoundaryReader | None = None,
        writable: bool = True,
        cache_bytes: int = CACHE_BYTES,
        folder: Path | None = None,
        boundary_note: Callable[[], str] = str,
    ) -> None:
        self.segmentation = segmentation
        self.folder = segmentation.folder if folder is None else folder
        self.writable = writable
        self._boundary = boundary
        self.boundary_note = boundary_note
        self._lock = threading.RLock()
        self._labels = EditableLabels(
            segmentation.supervoxels, _edits_store(segmentation, self.folder, writable), cache_bytes
        )
        self._table = MergeTable(segmentation.segments)
        self._index = SegmentIndex(segmentation.sizes, segmentation.boxes)
        self._contacts = EditedContacts(self)
        self._notes: dict[int, SegmentState] = {}
        self._locked: set[int] = set()
        self._hidden: IdTable | None = None
        self._has_classes: bool | None = None
        decoded = int(segmentation.record.checksum or "0", 16)
        self._digests: Digests = (decoded, 0, 0)
        self._next_id = max(len(segmentation.segments), int(segmentation.segments.max(initial=0)) + 1)
        self.log_index = 0
        self.revision = 0
        state = SavedState.load(self.folder)
        if state is not None:
            self._restore(state)

    @property
    def id(self) -> str:
        """Id of the segmentation."""
        return self.segmentation.record.id

    @property
    def shape(self) -> Shape:
        """Lengths of the volume along z, y, x."""
        return self.segmentation.shape

    @property
    def space(self) -> VoxelSpace:
        """Voxel size and origin."""
        return self.segmentation.space

    @property
    def graph(self) -> RegionGraph:
        """Contacts of the supervoxels as decoded."""
        return self.segmentation.graph

    @property
    def class_names(self) -> tuple[str, ...]:
        """Names of the semantic classes; class k is the k-th, 0 is none."""
        return self.segmentation.record.classes

    @property
    def next_id(self) -> int:
        """The first id that was never used, by a supervoxel or by a segment."""
        return self._next_id

    @property
    def dirty_bytes(self) -> int:
        """Memory of voxels that were not flushed."""
        return self._labels.dirty_bytes

    def supervoxels(self, box: Box) -> np.ndarray:
        """Supervoxels of a box within the volume, uint32; errors as in `EditableLabels.read`."""
        return self._labels.read(box)

    def segments(self, box: Box) -> np.ndarray:
        """Segments of a box as shown: those that are deleted are 0; uint32."""
        return self.lookup(self._labels.read(box))

    def lookup(self, supervoxels: np.ndarray) -> np.ndarray:
        """Segments of an array of supervoxels as shown: those that are deleted are 0."""
        with self._lock:
            segments = self._table.lookup(supervoxels)
            if self._hidden is not None:
                segments[self._hidden.get(segments)] = 0
            return segments

    def owners(self, supervoxels: np.ndarray) -> np.ndarray:
        """Segments of an array of supervoxels, the deleted ones included."""
        with self._lock:
            return self._table.lookup(np.asarray(supervoxels, np.uint32))

    def supervoxel_at(self, voxel: Sequence[int]) -> int:
        """The supervoxel of a voxel (z, y, x); 0 for background and outside of the volume."""
        place = tuple(int(v) for v in voxel)
        if not Box.of_shape(self.shape).contains_point(place):
            return 0
        return int(self._labels.read(Box.at(place, (1, 1, 1)))[0, 0, 0])

    def segment_at(self, voxel: Sequence[int]) -> int:
        """The segment of a voxel (z, y, x) as shown; 0 for background and outside of the volume."""
        return int(self.lookup(np.array([self.supervoxel_at(voxel)], np.uint32))[0])

    def exists(self, segment: int) -> bool:
        """Whether a segment has voxels; a deleted one does."""
        return self.n_members(segment) > 0

    def segment_ids(self) -> np.ndarray:
        """All segments that are not deleted, sorted, uint32."""
        with self._lock:
            found = self._table.segments()
            return found if self._hidden is None else found[~self._hidden.get(found)]

    def members(self, segment: int) -> np.ndarray:
        """The supervoxels of a segment, sorted, uint32."""
        with self._lock:
            return self._table.members(segment)

    def n_members(self, segment: int) -> int:
        """Number of supervoxels of a segment, without listing them."""
        with self._lock:
            return self._table.n_members(segment)

    def size(self, segment: int) -> int:
        """Number of voxels of a segment."""
        with self._lock:
            return self._index.size(self._table.members(segment))

    def sizes(self, supervoxels: np.ndarray) -> np.ndarray:
        """Voxels of each supervoxel, int64."""
        with self._lock:
            return self._index.sizes(supervoxels)

    def boxes(self, supervoxels: np.ndarray) -> np.ndarray:
        """Boxes of supervoxels, int32, shape (n, 6): start z, y, x, stop z, y, x; never smaller than needed."""
        with self._lock:
            return self._index.boxes(supervoxels)

    @property
    def touched(self) -> np.ndarray:
        """Supervoxels that edits gave voxels or took them from, sorted, uint32."""
        with self._lock:
            return self._index.touched

    def box(self, segment: int) -> Box:
        """A box around a segment: never smaller than it, larger where it lost voxels."""
        return self.box_of(self.members(segment))

    def box_of(self, supervoxels: np.ndarray) -> Box:
        """A box around some supervoxels, as `box`."""
        with self._lock:
            return self._index.box(supervoxels)

    def note(self, segment: int) -> SegmentState | None:
        """The state that edits noted of a segment; None where they noted nothing."""
        return self._notes.get(segment)

    def state(self, segment: int) -> SegmentState:
        """The state of a segment; its class is the decoded one where no edit gave it another."""
        with self._lock:
            noted = self._notes.get(segment)
            return SegmentState(class_id=self._decoded_class(segment)) if noted is None else noted

    def is_locked(self, segment: int) -> bool:
        """Whether a segment is locked, without looking at its voxels."""
        return segment in self._locked

    def noted_segments(self) -> list[int]:
        """All segments of which something is noted."""
        with self._lock:
            return sorted(self._notes)

    def edges_within(self, supervoxels: np.ndarray) -> RegionGraph:
        """Contacts among some supervoxels as they are now.

        Contacts of supervoxels that no edit touched are the stored ones; the others are found in the voxels, and their
        scores in the boundary map.
        """
        with self._lock:
            chosen = np.unique(np.asarray(supervoxels, np.uint32))
            touched = np.intersect1d(chosen, self._index.touched)
            kept = self.graph.within(np.setdiff1d(chosen, touched))
            stored = RegionGraph(
                *(getattr(self.graph, name)[kept] for name in ("edges", "scores", "contacts", "places"))
            )
            return self._contacts.added_to(stored, chosen, touched) if len(touched) else stored

    def boundary(self, box: Box) -> np.ndarray:
        """Probability that each voxel of a box is a boundary, float32, 0 to 1; 0 without a boundary map."""
        return np.zeros(box.shape, np.float32) if self._boundary is None else self._boundary.read(box)

    def prepare(self, change: Change) -> None:
        """Read all that a change needs, so that making it meets no disk error; errors as in `supervoxels`."""
        self._labels.load(patch.box for patch in change.patches)

    def apply(self, change: Change) -> None:
        """Make a change, in memory; each change is made once, in the order of the journal's log."""
        if change.target != "segments":
            raise InvalidInput(f"A segmentation takes changes of segments, got one of {change.target}.")
        with self._lock:
            digests = digests_after(self._digests, change, self.shape)
            self.prepare(change)
            for patch in change.patches:
                self._labels.apply(patch)
                self._index.apply(patch)
                self._contacts.forget(patch)
            for move in change.moves:
                self._table.move(move.supervoxels, move.after)
            for note in change.notes:
                self._set_note(note.segment, note.after)
            # Never back: an id that an undone edit used is not given to another one.
            self._next_id = max(self._next_id, *change.next_id)
            self._digests = digests
            self.revision += 1

    @property
    def digests(self) -> Digests:
        """The digests of which the present checksum is made."""
        return self._digests

    def checksum_of(self, digests: Digests) -> str:
        """The checksum of a state with these digests."""
        return text_of(digests, self.segmentation.record.checksum)

    def present_checksum(self) -> str:
        """The checksum as kept up to date with every change; costs nothing."""
        return self.checksum_of(self._digests)

    def checksum(self) -> str:
        """The checksum, worked out anew from all edited chunks, the table and the notes.

        Independent of chunking, of what is in memory and of the order of edits; equal to `present_checksum` unless
        something is damaged.
        """
        with self._lock:
            voxels = int(self.segmentation.record.checksum or "0", 16)
            for box in self._labels.edited_boxes():
                voxels += digest_of(self._labels.read(box), box.start, self.shape)
                voxels -= digest_of(self._labels.read_base(box), box.start, self.shape)
            moved, now = self._table.overrides()
            inside = moved < len(self.segmentation.segments)
            table = digest_of_pairs(moved, now)
            table -= digest_of_pairs(moved[inside], self.segmentation.segments[moved[inside]])
            return self.checksum_of((voxels % 2**64, table % 2**64, digest_of_notes(self._notes.items())))

    def flush(self, log_index: int) -> None:
        """Save voxels and tables beside the segmentation.

        Parameters
        ----------
        log_index : int
            Row of the journal's log up to which all changes were made.

        Raises
        ------
        VolumeError
            If the disk refuses; nothing is lost, and flushing again goes on.
        """
        with self._lock:
            self._labels.flush()
            noted = sorted(self._notes)
            states = [self._notes[segment] for segment in noted]
            moved, segments = self._table.overrides()
            touched, sizes, boxes = self._index.overrides()
            SavedState(
                log_index=log_index,
                next_id=self._next_id,
                digests=np.array(self._digests, np.uint64),
                moved=moved,
                segments=segments,
                touched=touched,
                sizes=sizes,
                boxes=boxes,
                noted=np.array(noted, np.uint32),
                locked=np.array([state.locked for state in states], bool),
                deleted=np.array([state.deleted for state in states], bool),
                classes=np.array([state.class_id for state in states], np.uint8),
            ).save(self.folder)
            self.log_index = log_index

    def _restore(self, state: SavedState) -> None:
        self.log_index, self._next_id = state.log_index, state.next_id
        voxels, table, notes = (int(value) for value in state.digests)
        self._digests = (voxels, table, notes)
        self._table.load_overrides(state.moved, state.segments)
        self._index.load_overrides(state.touched, state.sizes, state.boxes)
        columns = (state.noted, state.locked, state.deleted, state.classes)
        for segment, locked, deleted, class_id in zip(*columns, strict=True):
            self._set_note(int(segment), SegmentState(bool(locked), bool(deleted), int(class_id)))

    def _set_note(self, segment: int, state: SegmentState | None) -> None:
        self._notes.pop(segment, None)
        if state is not None:
            self._notes[segment] = state
        (self._locked.add if state is not None and state.locked else self._locked.discard)(segment)
        deleted = state is not None and state.deleted
        if deleted and self._hidden is None:
            self._hidden = IdTable(np.zeros(len(self.segmentation.segments), bool))
        if self._hidden is not None:
            self._hidden.set(np.array([segment], np.uint32), np.array([deleted]))

    def _decoded_class(self, segment: int) -> int:
        classes = self.segmentation.classes
        if self._has_classes is None:
            self._has_classes = bool(classes.any())
        members = self._table.members(segment)
        members = members[members < len(classes)]
        if not self._has_classes or not len(members):
            return 0
        return int(np.bincount(classes[members], weights=self._index.sizes(members)).argmax())


def _edits_store(segmentation: Segmentation, folder: Path, writable: bool) -> LabelStore | None:
    path = folder / EDITS
    if not path.exists():
        if not writable:
            return None
        aside = temporary_beside(path)
        chunk_shape = segmentation.supervoxels.chunk_shape
        LabelStore.create(aside, segmentation.shape, np.uint32, segmentation.space, chunk_shape)
        put_in_place(aside, path)
    return LabelStore.open(path, writable)
