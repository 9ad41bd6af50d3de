"""What edits mean, as derived once for training and for the transfer to another segmentation."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from napari_pytc.geometry import Box
from napari_pytc.proofreading.constraints.derivation import derive_constraints
from napari_pytc.proofreading.constraints.edit_constraints import anchor_constraints
from napari_pytc.proofreading.constraints.placed_constraints import place_constraints
from napari_pytc.proofreading.edits import (
    Delete,
    Lock,
    Merge,
    NewSegment,
    Paint,
    Restore,
    SetClass,
    SwitchSegmentation,
    Unlock,
)
from napari_pytc.proofreading.edits.constraints import (
    CannotLink,
    Constraint,
    DenseTruth,
    HasClass,
    MustLink,
    NoObject,
    Painted,
)
from napari_pytc.proofreading.edits.shape_edits import Smooth
from napari_pytc.proofreading.edits.split import Split, SplitLine
from napari_pytc.proofreading.journal.journal import Journal
from tests.support.hand_made import write_segmentation
from tests.support.random_edits import folder_in_memory, random_step
from tests.support.segmentations import FolderDocuments, make_project

SHAPE = (4, 6, 40)
BOX = Box((1, 1, 2), (3, 3, 5))
ALL = np.ones(BOX.shape, bool)


@pytest.fixture
def journal(tmp_path: Path) -> Iterator[Journal]:
    """Four blocks along x, each a supervoxel and a segment of its own, 1 to 4."""
    blocks = np.broadcast_to(np.arange(SHAPE[2]) // 10 + 1, SHAPE).copy()
    write_segmentation(tmp_path / "segments" / "first", blocks)
    journal = Journal(tmp_path / "journal.sqlite", FolderDocuments(tmp_path))
    journal.apply(SwitchSegmentation(after="first"))
    yield journal
    journal.close()


def derived(journal: Journal) -> list[list[Constraint]]:
    """The constraints of each edit, the oldest edit first."""
    edits = journal.edits_of("first", latest_first=True)
    return [constraints for _, constraints in derive_constraints(journal.document_of("first"), edits)][::-1]


def only(journal: Journal) -> Constraint:
    (constraint,) = derived(journal)[0]
    return constraint


def test_a_merge_links_what_was_moved(journal: Journal) -> None:
    kept = int(journal.apply(Merge(segments=(2, 3))).moves[0].after[0])
    link = only(journal)
    assert isinstance(link, MustLink)
    assert link.is_chosen
    (moved,) = {2, 3} - {kept}
    assert (link.supervoxels.tolist(), link.came_from.tolist()) == ([moved], [moved])
    assert link.groups(np.array([1, 2, 3], np.uint32)).tolist() == [0, *(k if k == moved else 0 for k in (2, 3))]


@pytest.mark.parametrize(
    ("edit", "is_chosen"),
    [(Paint.of(BOX, ALL, 2), True), (NewSegment.of(BOX, ALL), True), (Smooth(segment=1, radius_um=0.05), False)],
    ids=["paint", "new segment", "smooth"],
)
def test_voxels_are_chosen_by_people_or_worked_out(journal: Journal, edit: Paint, is_chosen: bool) -> None:
    if not is_chosen:  # a bump to smooth
        journal.apply(Paint.of(Box((1, 2, 10), (3, 4, 12)), np.ones((2, 2, 2), bool), 1))
    change = journal.apply(edit)
    painted = derived(journal)[-1][-1]
    assert isinstance(painted, Painted)
    assert painted.is_chosen == is_chosen
    assert [box for box, _ in painted.patches] == [patch.box for patch in change.patches]


def test_a_cut_names_its_sides_as_they_are_called_now(journal: Journal) -> None:
    journal.apply(Merge(segments=(1, 2)))
    change = journal.apply(Split(seeds={1: ((1, 1, 1),), 2: ((1, 1, 18),)}))
    assert {int(k) for k in change.segments} == set(derived(journal)[1][0].segments)  # type: ignore[union-attr]
    document = journal.document_of("first")
    left = document.segment_at((1, 1, 18))
    journal.apply(Merge(segments=(left, 3)))
    journal.apply(Merge(segments=(document.segment_at((1, 1, 18)), 4)))
    cut = derived(journal)[1][0]
    assert isinstance(cut, CannotLink)
    assert cut.segments == tuple(sorted({document.segment_at((1, 1, 1)), document.segment_at((1, 1, 18))}))
    segments = np.array(cut.segments, np.uint32)
    assert cut.seeds(document, segments) == [[(1, 1, 1)], [(1, 1, 18)]]


def test_a_line_marks_both_of_its_sides(journal: Journal) -> None:
    segment = int(journal.apply(Merge(segments=(1, 2))).moves[0].after[0])
    journal.apply(SplitLine(segment=segment, line=((1, 0, 10), (1, 5, 10))))
    cut = derived(journal)[1][0]
    assert isinstance(cut, CannotLink)
    document = journal.document_of("first")
    seeds = cut.seeds(document, np.array(cut.segments, np.uint32))
    sides = [{document.segment_at(voxel) for voxel in side} for side in seeds]
    assert sorted(sides, key=min) == sorted([{document.segment_at((1, 1, x))} for x in (9, 12)], key=min)


@pytest.mark.parametrize(
    ("edit", "back", "expected"),
    [
        (Delete(segments=(2,)), Restore(segments=(2,)), NoObject((2,))),
        (Lock(segments=(2, 3)), Unlock(segments=(2,)), DenseTruth((2, 3))),
        (SetClass(segments=(2,), class_id=1), SetClass(segments=(2,), class_id=2), HasClass((2,), 1)),
    ],
    ids=["delete", "lock", "class"],
)
def test_states_hold_until_they_are_taken_back(journal: Journal, edit: Lock, back: Lock, expected: Lock) -> None:
    journal.apply(edit)
    assert derived(journal) == [[expected]]
    journal.apply(back)
    left = [segment for segment in edit.segments if segment not in back.segments]
    assert derived(journal)[0] == ([replace(expected, segments=tuple(left))] if left else [])  # type: ignore[type-var]


def test_what_is_undone_means_nothing(journal: Journal) -> None:
    journal.apply(Merge(segments=(1, 2)))
    journal.undo()
    assert derived(journal) == []


def test_an_edit_of_another_version_means_what_it_moved_and_painted(journal: Journal) -> None:
    change = journal.plan(Paint.of(BOX, ALL, 2))
    journal.apply_change(replace(change, edit={"kind": "paint_by_thought", "power": 3}))
    merged = journal.plan(Merge(segments=(3, 4)))
    journal.apply_change(replace(merged, edit={"kind": "merge", "by": "someone"}))
    (painted,), (link,) = derived(journal)
    assert isinstance(painted, Painted)
    assert isinstance(link, MustLink)
    assert not painted.is_chosen
    assert not link.is_chosen


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(3))
def test_both_readers_read_the_same_constraints(seed: int) -> None:
    """On random edits, training and transfer have locks, deletions and cuts of the same segments."""
    with folder_in_memory() as folder:
        made = make_project(folder, shape=(8, 40, 40), n_cells=14, seed=seed, merged=seed % 2 == 0)
        labels = folder / "labels.npy"
        rng = np.random.default_rng(seed)
        np.save(labels, rng.integers(0, 3, (1, 4, 5)).astype(np.uint8))
        journal = Journal(folder / "journal.sqlite", FolderDocuments(folder, made.boundary))
        journal.apply(SwitchSegmentation(after="first"))
        for _ in range(60):
            random_step(journal, rng, labels)
        document = journal.document_of("first")
        placed = place_constraints(document, journal.edits_of("first", latest_first=True))
        anchored = anchor_constraints(document, journal.edits_of("first", latest_first=True))
        n_segments_edits = sum(e.target == "segments" and e.kind != "switch" for e in journal.entries())
        assert [one.entry for one in anchored] == sorted({one.entry for one in anchored})
        assert len(anchored) == n_segments_edits
        for kind, field in ((DenseTruth, "locked"), (NoObject, "gone")):
            training = {
                segment
                for one in placed
                if isinstance(one.constraint, kind)
                for segment in one.constraint.segments
                if document.size(segment)
            }
            transfer = {int(document.owners(document.supervoxels(Box.at(v, (1, 1, 1))))[0, 0, 0])
                        for one in anchored for v in getattr(one, field)}  # fmt: skip
            assert training == transfer
        for one in placed:
            if isinstance(one.constraint, MustLink | Painted):
                assert one.constraint.is_chosen
        journal.close()
