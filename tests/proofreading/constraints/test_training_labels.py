"""Training labels of edits, voxel by voxel on a row of blocks.

::

    x           0    10    20    30    40        sections 4 high, rows 6 long, voxels of 10 nm
    supervoxel  |  1  |  2  |  3  |  4  |        each a segment of its own, 10 voxels long
"""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from napari_pytc.annotations.object_relations import BACKGROUND, OTHER, ObjectRelations
from napari_pytc.errors import PytcError
from napari_pytc.geometry import Box, VoxelSpace
from napari_pytc.labels.store import LabelStore
from napari_pytc.proofreading.constraints.training_labels import CorrectionSettings, CorrectionsInfo, TrainingLabels
from napari_pytc.proofreading.edits import Delete, Lock, Merge, Paint, Restore, SwitchSegmentation, Unlock, parse_edit
from napari_pytc.proofreading.edits.split import Split
from napari_pytc.proofreading.journal.journal import Journal
from tests.support.hand_made import CUBIC, write_segmentation
from tests.support.segmentations import FolderDocuments

SHAPE = (4, 6, 40)
WHOLE = Box.of_shape(SHAPE)
NEAR = CorrectionSettings(reach_um=0.03, border_voxels=2)
"""Three voxels from the nearest one at the contact."""


class Clock:
    """Tells a minute more every time."""

    def __init__(self) -> None:
        self.now = 1_000_000.0

    def __call__(self) -> float:
        self.now += 60
        return self.now


def blocks() -> np.ndarray:
    return np.broadcast_to(np.arange(SHAPE[2]) // 10 + 1, SHAPE).copy()


class EditedBlocks:
    """A journal on a hand-made segmentation, and where its corrections go."""

    def __init__(self, folder: Path, supervoxels: np.ndarray, space: VoxelSpace = CUBIC) -> None:
        self.folder = folder
        write_segmentation(folder / "segments" / "first", supervoxels, space=space)
        self.clock = Clock()
        self.journal = Journal(folder / "journal.sqlite", FolderDocuments(folder), clock=self.clock)
        self.journal.apply(SwitchSegmentation(after="first"))
        self.held_out: tuple[Box, ...] = ()
        self.settings = NEAR

    @property
    def corrections(self) -> TrainingLabels:
        return TrainingLabels(self.folder / "corrections" / "first.zarr", self.held_out, self.settings)

    def collect(self) -> CorrectionsInfo:
        return self.corrections.collect("first", self.journal)

    def labels(self) -> np.ndarray:
        self.collect()
        store = LabelStore.open(self.corrections.folder, writable=False)
        return store.read(Box.of_shape(store.shape))

    def relations(self) -> ObjectRelations:
        return ObjectRelations.load(self.corrections.folder)

    def row(self) -> list[int]:
        """Labels along x, which are the same in every row of every section."""
        labels = self.labels()
        assert (labels == labels[:1, :1]).all()
        return labels[0, 0].tolist()


@pytest.fixture
def edited(tmp_path: Path) -> Iterator[EditedBlocks]:
    edited = EditedBlocks(tmp_path, blocks())
    yield edited
    edited.journal.close()


def in_a_row(**parts: int) -> list[int]:
    """Labels along x from ``from_8_to_12=3``; 0 elsewhere."""
    row = [0] * SHAPE[2]
    for name, label in parts.items():
        _, first, _, last = name.split("_")
        row[int(first) : int(last)] = [label] * (int(last) - int(first))
    return row


def test_a_merge_labels_voxels_near_its_contact(edited: EditedBlocks) -> None:
    kept = edited.journal.apply(Merge(segments=(2, 3))).moves[0].after[0]
    # The voxels at the contact are 19 and 20; three further on either side are within 30 nm.
    assert edited.row() == in_a_row(from_16_to_24=int(kept))
    assert edited.relations() == ObjectRelations()
    assert edited.collect() == CorrectionsInfo(n_merges=1, n_voxels=8 * 4 * 6)


def test_a_merge_of_three_labels_both_contacts_and_not_at_old_ones(edited: EditedBlocks) -> None:
    edited.journal.apply(Merge(segments=(1, 2, 3)))
    (label,) = set(edited.row()) - {0}
    assert edited.row() == in_a_row(from_6_to_14=label, from_16_to_24=label)


def test_a_merge_of_segments_that_do_not_touch_labels_nothing(edited: EditedBlocks) -> None:
    edited.journal.apply(Merge(segments=(1, 3)))
    assert not any(edited.row())
    assert edited.collect() == CorrectionsInfo()


def test_reach_is_in_micrometres(tmp_path: Path) -> None:
    thick = EditedBlocks(
        tmp_path, np.broadcast_to(np.array([1, 1, 2, 2])[:, None, None], (4, 3, 3)), VoxelSpace((40, 10, 10))
    )
    thick.journal.apply(Merge(segments=(1, 2)))
    thick.settings = CorrectionSettings(reach_um=0.039)
    assert [bool(section.any()) for section in thick.labels()] == [False, True, True, False]
    thick.settings = CorrectionSettings(reach_um=0.04)
    assert thick.labels().all()
    thick.journal.close()


def test_a_split_labels_both_sides_of_the_cut(edited: EditedBlocks) -> None:
    edited.journal.apply(Merge(segments=(1, 2, 3, 4)))
    edited.journal.apply(Split(seeds={1: ((1, 1, 12),), 2: ((1, 1, 28),)}))
    present = edited.journal.document
    assert present is not None
    left, right = (present.segment_at((1, 1, x)) for x in (12, 28))
    assert left != right
    row = edited.row()
    cut = next(x for x in range(39) if present.segment_at((1, 1, x)) != present.segment_at((1, 1, x + 1))) + 1
    assert row[cut - 4 : cut + 4] == [left] * 4 + [right] * 4
    assert edited.relations() == ObjectRelations(pairs=frozenset({(min(left, right), max(left, right))}))
    assert edited.collect().n_splits == 1


def test_a_split_through_a_supervoxel_labels_voxels_along_the_cut_alone(tmp_path: Path) -> None:
    edited = EditedBlocks(tmp_path, np.where(np.arange(40) < 30, 1, 2) * np.ones(SHAPE, int))
    edited.journal.apply(Split(seeds={1: ((1, 1, 5),), 2: ((1, 1, 20),)}))
    labels = edited.labels()
    present = edited.journal.document
    assert present is not None
    segments = present.segments(WHOLE)
    first, second = segments[1, 1, 5], segments[1, 1, 20]
    # By the definition: the voxels beside the other side, and those of each side within 30 nm of them.
    expected = np.zeros(SHAPE, np.uint32)
    for mine, other in ((first, second), (second, first)):
        touching = [v for v in np.argwhere(segments == mine) if _is_beside(segments, v, other)]
        for voxel in np.argwhere(segments == mine):
            if min(np.linalg.norm(voxel - t) for t in touching) <= 3:
                expected[tuple(voxel)] = mine
    assert np.array_equal(labels, expected)
    assert not (labels == segments[1, 1, 35]).any()  # the neighbour that nobody cut off
    edited.journal.close()


def _is_beside(segments: np.ndarray, voxel: np.ndarray, other: int) -> bool:
    for axis in range(3):
        for step in (-1, 1):
            near = voxel.copy()
            near[axis] += step
            if (near >= 0).all() and (near < segments.shape).all() and segments[tuple(near)] == other:
                return True
    return False


def test_what_was_cut_and_merged_again_is_no_cut(edited: EditedBlocks) -> None:
    edited.journal.apply(Merge(segments=(2, 3)))
    edited.journal.apply(Split(seeds={1: ((1, 1, 12),), 2: ((1, 1, 28),)}))
    document = edited.journal.document
    assert document is not None
    both = tuple(document.segment_at((1, 1, x)) for x in (12, 28))
    edited.journal.apply(Merge(segments=both))
    (label,) = set(edited.row()) - {0}
    assert label in both
    assert edited.relations().pairs == frozenset()
    assert edited.collect().n_splits == 0


def test_a_cut_follows_the_names_that_later_merges_give(edited: EditedBlocks) -> None:
    edited.journal.apply(Merge(segments=(2, 3)))
    edited.journal.apply(Split(seeds={1: ((1, 1, 12),), 2: ((1, 1, 28),)}))
    document = edited.journal.document
    assert document is not None
    edited.journal.apply(Merge(segments=(1, document.segment_at((1, 1, 12)))))
    edited.journal.apply(Merge(segments=(4, document.segment_at((1, 1, 28)))))
    left, right = document.segment_at((1, 1, 0)), document.segment_at((1, 1, 39))
    assert edited.row() == in_a_row(from_6_to_14=left, from_16_to_20=left, from_20_to_24=right, from_26_to_34=right)
    assert edited.relations().pairs == {(min(left, right), max(left, right))}


def test_a_locked_segment_labels_all_of_itself_and_what_it_is_not(edited: EditedBlocks) -> None:
    edited.journal.apply(Lock(segments=(2,)))
    assert edited.row() == in_a_row(from_8_to_10=OTHER, from_10_to_20=2, from_20_to_22=OTHER)
    assert edited.relations().whole == {2}
    edited.journal.apply(Unlock(segments=(2,)))
    assert not any(edited.row())


def test_the_border_of_a_locked_segment_gives_way_to_other_labels(edited: EditedBlocks) -> None:
    edited.journal.apply(Lock(segments=(2,)))
    kept = int(edited.journal.apply(Merge(segments=(3, 4))).moves[0].after[0])
    edited.settings = CorrectionSettings(reach_um=0.09)
    assert edited.row() == in_a_row(from_8_to_10=OTHER, from_10_to_20=2, from_20_to_40=kept)


def test_a_deleted_segment_is_no_object(edited: EditedBlocks) -> None:
    edited.journal.apply(Delete(segments=(3,)))
    assert edited.row() == in_a_row(from_20_to_30=BACKGROUND)
    edited.journal.apply(Restore(segments=(3,)))
    assert not any(edited.row())


def test_painted_voxels_are_labelled_as_they_are_now(edited: EditedBlocks) -> None:
    box = Box((1, 2, 17), (2, 4, 23))
    edited.journal.apply(Paint.of(box, np.ones(box.shape, bool), 3))
    edited.journal.apply(Paint.of(Box((1, 2, 17), (2, 3, 18)), np.ones((1, 1, 1), bool), 0))
    expected = np.zeros(SHAPE, np.uint32)
    expected[1, 2:4, 17:20] = 3  # those beyond were of segment 3 already
    expected[1, 2, 17] = BACKGROUND
    assert np.array_equal(edited.labels(), expected)
    assert edited.relations().painted == {3}
    assert edited.collect().n_painted == 2


def test_undone_edits_label_nothing_and_redone_ones_do(edited: EditedBlocks) -> None:
    edited.journal.apply(Merge(segments=(2, 3)))
    before = edited.row()
    edited.journal.undo()
    assert not any(edited.row())
    assert edited.collect() == CorrectionsInfo()
    edited.journal.redo()
    assert edited.row() == before
    edited.journal.undo()
    edited.journal.apply(Lock(segments=(4,)))  # the merge is left behind for good
    assert edited.row() == in_a_row(from_28_to_30=OTHER, from_30_to_40=4)


def test_held_out_voxels_are_never_labelled(edited: EditedBlocks) -> None:
    edited.held_out = (Box((0, 0, 18), (2, 6, 22)), Box((3, 0, 0), (4, 6, 40)))
    edited.journal.apply(Merge(segments=(2, 3)))
    edited.journal.apply(Lock(segments=(2,)))
    labels = edited.labels()
    assert labels.any()
    for box in edited.held_out:
        assert not labels[box.slices].any()


def test_chunks_count_as_changed_when_the_latest_edit_that_speaks_of_them_was_made(tmp_path: Path) -> None:
    wide = np.broadcast_to(np.arange(400) // 100 + 1, (2, 2, 400))
    edited = EditedBlocks(tmp_path, wide)
    edited.journal.apply(Merge(segments=(1, 2)))
    first = edited.clock.now
    edited.journal.apply(Lock(segments=(4,)))
    second = edited.clock.now
    edited.labels()
    found = {chunk.box.start[2]: chunk.changed for chunk in LabelStore.open(edited.corrections.folder).chunks()}
    assert found == {0: first, 256: second, 384: second}
    edited.journal.close()


def test_only_chunks_that_new_edits_touch_are_written_again(tmp_path: Path) -> None:
    wide = np.broadcast_to(np.arange(600) // 100 + 1, (2, 2, 600))
    edited = EditedBlocks(tmp_path, wide)
    edited.journal.apply(Lock(segments=(1,)))
    edited.collect()
    store = LabelStore.open(edited.corrections.folder)
    before = {chunk.box: chunk.version for chunk in store.chunks()}
    revision = store.revision
    edited.collect()
    assert store.revision == revision  # nothing to do
    edited.journal.apply(Lock(segments=(6,)))
    edited.collect()
    after = {chunk.box: chunk.version for chunk in store.chunks()}
    assert before.items() <= after.items()
    assert len(after) > len(before)
    edited.journal.close()


EDITS = [
    {"kind": "merge", "segments": [1, 2]},
    {"kind": "lock", "segments": [4]},
    {"kind": "split", "seeds": {1: [[1, 1, 3]], 2: [[2, 4, 17]]}},
    {"kind": "unlock", "segments": [4]},
    {"kind": "merge", "points": [[0, 0, 22], [0, 0, 38]]},
    {"kind": "delete", "points": [[0, 0, 0]]},
    {"kind": "fill_holes", "segment": 3},
    {"kind": "split", "seeds": {1: [[1, 1, 23]], 2: [[2, 4, 36]]}},
    {"kind": "lock", "points": [[1, 1, 23]]},
]


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(4))
def test_collecting_as_edits_come_is_collecting_all_at_once(tmp_path: Path, seed: int) -> None:
    rng = np.random.default_rng(seed)
    edited = EditedBlocks(tmp_path, np.kron(blocks().reshape(SHAPE)[:2, :3, :], np.ones((2, 2, 1), int)))
    for _ in range(25):
        chosen = rng.random()
        if chosen < 0.3:
            edited.journal.undo() if edited.journal.position > 1 else None
        elif chosen < 0.4:
            edited.journal.redo()
        else:
            start = [int(rng.integers(n - 2)) for n in SHAPE]
            box = Box.at(start, (2, 2, 2))
            paint = Paint.of(box, np.ones(box.shape, bool), int(rng.integers(1, 5)))
            edit = EDITS[int(rng.integers(len(EDITS)))]
            try:
                edited.journal.apply(paint if rng.random() < 0.3 else parse_edit(edit))
            except PytcError:  # refused here, as a person's may be
                continue
        if rng.random() < 0.5:
            edited.collect()
    info, labels, relations = edited.collect(), edited.labels(), edited.relations()
    times = [(chunk.box, chunk.changed) for chunk in LabelStore.open(edited.corrections.folder).chunks()]
    shutil.rmtree(edited.corrections.folder)
    assert edited.collect() == info
    assert np.array_equal(edited.labels(), labels)
    assert edited.relations() == relations
    found = LabelStore.open(edited.corrections.folder).chunks()
    assert [(chunk.box, chunk.changed) for chunk in found] == times
    assert info.n_voxels == np.count_nonzero(labels)
    edited.journal.close()


def test_a_collection_that_was_broken_off_is_completed(edited: EditedBlocks) -> None:
    edited.journal.apply(Merge(segments=(2, 3)))
    edited.collect()
    edited.journal.apply(Lock(segments=(4,)))

    def give_up() -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        edited.corrections.collect("first", edited.journal, check=give_up)
    edited.journal.undo()  # the edits are those of the last whole collection again, the chunks perhaps not
    (label,) = set(edited.row()) - {0}
    assert edited.row() == in_a_row(from_16_to_24=label)


def test_other_settings_and_a_damaged_note_collect_all_anew(edited: EditedBlocks) -> None:
    edited.journal.apply(Merge(segments=(2, 3)))
    near = edited.row()
    edited.settings = CorrectionSettings(reach_um=0.05)
    assert np.count_nonzero(edited.row()) == np.count_nonzero(near) + 4
    (edited.corrections.folder / "collected.json").write_text("{", encoding="utf-8")
    assert np.count_nonzero(edited.row()) == np.count_nonzero(near) + 4


@pytest.mark.parametrize(("a", "b", "apart"), [(3, 9, False), (3, 7, True), (3, 4, True), (5, 6, True), (5, 9, False)])
def test_relations_of_two_ids(a: int, b: int, apart: bool) -> None:
    relations = ObjectRelations(whole=frozenset({7}), painted=frozenset({5, 6}), pairs=frozenset({(3, 4)}))
    assert relations.apart(np.array([a, 0, b]))[0, 2] == apart
    assert relations.apart(np.array([b, 0, a]))[0, 2] == apart
    assert not relations.apart(np.array([a, 0, b]))[1].any()


def test_what_is_no_object_and_what_is_something_else() -> None:
    relations = ObjectRelations(whole=frozenset({7}))
    found = relations.apart(np.array([0, BACKGROUND, 7, 9, OTHER]))
    assert found[1].tolist() == [False, False, True, True, False]
    assert found[4].tolist() == [False, False, True, False, False]
