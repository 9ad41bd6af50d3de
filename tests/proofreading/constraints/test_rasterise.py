"""Constraints as labels: the same however a volume is cut into chunks."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from napari_pytc.annotations.object_relations import BACKGROUND, OTHER
from napari_pytc.geometry import Box, TileGrid
from napari_pytc.proofreading.constraints.placed_constraints import (
    PlacedConstraint,
    boxes_of,
    object_relations,
    place_constraints,
)
from napari_pytc.proofreading.constraints.rasterise import ConstraintRasteriser, CorrectionSettings
from napari_pytc.proofreading.document import LabelDocument
from napari_pytc.proofreading.edits import Delete, Lock, Merge, Paint, SetClass, SwitchSegmentation, parse_edit
from napari_pytc.proofreading.edits.constraints import DenseTruth, HasClass, NoObject, Painted
from napari_pytc.proofreading.edits.split import Split
from napari_pytc.proofreading.journal.journal import Journal
from tests.support.hand_made import write_segmentation
from tests.support.random_edits import folder_in_memory, random_step
from tests.support.segmentations import FolderDocuments, make_project

SHAPE = (4, 6, 40)
WHOLE = Box.of_shape(SHAPE)
NEAR = CorrectionSettings(reach_um=0.03, border_voxels=2)


@pytest.fixture
def journal(tmp_path: Path) -> Iterator[Journal]:
    """Four blocks along x, each a supervoxel and a segment of its own, 1 to 4."""
    blocks = np.broadcast_to(np.arange(SHAPE[2]) // 10 + 1, SHAPE).copy()
    write_segmentation(tmp_path / "segments" / "first", blocks)
    times = iter(range(100, 10_000, 100))
    journal = Journal(tmp_path / "journal.sqlite", FolderDocuments(tmp_path), clock=lambda: float(next(times)))
    journal.apply(SwitchSegmentation(after="first"))
    yield journal
    journal.close()


def placed(journal: Journal) -> tuple[LabelDocument, list[PlacedConstraint]]:
    document = journal.document_of("first")
    return document, place_constraints(document, journal.edits_of("first", latest_first=True))


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(4))
def test_labels_do_not_depend_on_chunks(seed: int) -> None:
    rng = np.random.default_rng(seed)
    shape = (8, 36, 36)
    with folder_in_memory() as folder:
        made = make_project(folder, shape=shape, n_cells=14, seed=seed, merged=seed % 2 == 0, membranes=seed > 1)
        np.save(folder / "labels.npy", rng.integers(0, 3, (1, 4, 5)).astype(np.uint8))
        journal = Journal(folder / "journal.sqlite", FolderDocuments(folder, made.boundary))
        journal.apply(SwitchSegmentation(after="first"))
        for _ in range(25):
            random_step(journal, rng, folder / "labels.npy")
        document, constraints = placed(journal)
        rasteriser = ConstraintRasteriser(document, CorrectionSettings(reach_um=0.04, border_voxels=1))
        whole, latest = rasteriser.labels(Box.of_shape(shape), constraints)
        assert whole.any()
        times = [0.0]
        for tile in TileGrid(Box.of_shape(shape), (5, 13, 17)):
            reached = [
                one for one in constraints if any(b.grow(rasteriser.halo).overlaps(tile.write) for b in one.boxes)
            ]
            part, time = rasteriser.labels(tile.write, reached)
            np.testing.assert_array_equal(part, whole[tile.write.slices])
            times.append(time)
        assert max(times) == latest
        ids = set(np.unique(whole).tolist()) - {0, BACKGROUND, OTHER}
        segments = document.owners(document.supervoxels(Box.of_shape(shape)))
        is_object = np.isin(whole, list(ids))
        np.testing.assert_array_equal(whole[is_object], segments[is_object])
        journal.close()


def test_nothing_is_labelled_without_constraints(journal: Journal) -> None:
    document, constraints = placed(journal)
    assert constraints == []
    labels, time = ConstraintRasteriser(document, NEAR).labels(WHOLE, constraints)
    assert (labels.any(), labels.dtype, time) == (False, np.uint32, 0.0)


def test_the_time_is_that_of_the_last_constraint_that_labels_the_chunk(journal: Journal) -> None:
    journal.apply(Lock(segments=(1,)))
    journal.apply(Delete(segments=(4,)))
    document, constraints = placed(journal)
    rasteriser = ConstraintRasteriser(document, NEAR)
    lock, deletion = (one.time for one in constraints)
    assert lock < deletion
    left, right = Box((0, 0, 0), (4, 6, 20)), Box((0, 0, 20), (4, 6, 40))
    labels, time = rasteriser.labels(left, constraints)
    assert time == lock
    assert set(np.unique(labels).tolist()) == {0, 1, OTHER}
    labels, time = rasteriser.labels(right, constraints)
    assert time == deletion
    assert set(np.unique(labels).tolist()) == {0, BACKGROUND}


def test_a_segment_locked_twice_counts_once_with_the_later_time(journal: Journal) -> None:
    for kind in ("lock", "unlock", "lock"):
        journal.apply(parse_edit({"kind": kind, "segments": [2]}))
    _, constraints = placed(journal)
    assert [(one.constraint, one.time) for one in constraints] == [(DenseTruth((2,)), journal.entries()[-1].time)]


def test_classes_label_no_voxel(journal: Journal) -> None:
    journal.apply(SetClass(segments=(2,), class_id=1))
    document, constraints = placed(journal)
    assert constraints == []
    given = [PlacedConstraint(HasClass((2,), 1), 5.0, [WHOLE])]
    labels, time = ConstraintRasteriser(document, NEAR).labels(WHOLE, given)
    assert (labels.any(), time) == (False, 0.0)


def test_states_without_an_entry_are_of_no_time(journal: Journal) -> None:
    """The journal was moved away after the segmentation was saved: what is noted still holds."""
    journal.apply(Lock(segments=(1,)))
    journal.apply(Delete(segments=(4,)))
    document = journal.document_of("first")
    found = place_constraints(document, [])
    assert {one.constraint for one in found} == {DenseTruth((1,)), NoObject((4,))}
    assert {one.time for one in found} == {0.0}


def test_relations_are_of_painted_complete_and_cut_segments(journal: Journal) -> None:
    box = Box((1, 1, 8), (2, 2, 12))
    journal.apply(Paint.of(box, np.ones(box.shape, bool), 3))
    journal.apply(Lock(segments=(4,)))
    kept = int(journal.apply(Merge(segments=(1, 2))).moves[0].after[0])
    journal.apply(Split(seeds={1: ((0, 0, 0),), 2: ((0, 0, 19),)}))
    document, constraints = placed(journal)
    relations = object_relations(document, constraints)
    sides = sorted({document.segment_at((0, 0, 0)), document.segment_at((0, 0, 19))})
    assert kept in sides
    assert relations.whole == {4}
    assert relations.painted == {3}
    assert relations.pairs == {tuple(sides)}
    assert any(isinstance(one.constraint, Painted) for one in constraints)


def test_supervoxels_without_a_voxel_have_no_box(journal: Journal) -> None:
    box = Box((0, 0, 10), (4, 6, 20))
    journal.apply(Paint.of(box, np.ones(box.shape, bool), 1))
    document = journal.document_of("first")
    assert boxes_of(document, np.array([1], np.uint32)) == [Box((0, 0, 0), (4, 6, 20))]
