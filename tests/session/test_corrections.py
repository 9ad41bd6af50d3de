"""Corrections of a project: collected from its journal, kept from one segmentation to the next."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from napari_pytc.errors import InvalidInput, ProjectError
from napari_pytc.geometry import Box
from napari_pytc.labels.segmentation import read_record
from napari_pytc.labels.store import LabelStore
from napari_pytc.learning.config import TrainPlan
from napari_pytc.learning.corrections import open_corrections
from napari_pytc.proofreading.corrections import CorrectionsInfo
from napari_pytc.session.session import Session
from tests.session.models import make_model
from tests.support.proofreading import make_segmented_project
from tests.support.segmentations import SegmentedTissue

SHAPE = (12, 40, 48)
WHOLE = Box.of_shape(SHAPE)


@pytest.fixture
def made(tmp_path: Path) -> SegmentedTissue:
    return make_segmented_project(tmp_path, "a", shape=SHAPE, n_cells=10)


@pytest.fixture
def segmented(made: SegmentedTissue, tmp_path: Path) -> Iterator[Session]:
    with Session.open(tmp_path / "a.pytc") as session:
        yield session


def touching(made: SegmentedTissue) -> tuple[int, int]:
    """Two segments that touch."""
    for u, v in made.segmentation.graph.edges:
        a, b = made.segmentation.segments[[u, v]].tolist()
        if a != b:
            return a, b
    raise AssertionError("all are apart")


def apply(session: Session, kind: str, *segments: int) -> None:
    session.proofreader().apply({"kind": kind, "segments": segments})


def second_segmentation(session: Session) -> None:
    """A copy of the decoding under another name becomes current."""
    first, second = (session.folder / "segments" / name for name in ("first", "second"))
    session.proofreader().flush()
    shutil.copytree(first, second, ignore=shutil.ignore_patterns("edits.zarr", "state.npz", "review*"))
    record = read_record(second).model_copy(update={"id": "second"})
    (second / "segmentation.json").write_text(record.model_dump_json(), encoding="utf-8")
    session.activate_segmentation("second")


def labels(session: Session, segmentation: str = "first") -> np.ndarray:
    return LabelStore.open(session.folder / "corrections" / f"{segmentation}.zarr").read(WHOLE)


def test_nothing_edited_is_nothing_to_learn_from(segmented: Session) -> None:
    assert segmented.collect_corrections() == CorrectionsInfo()
    assert segmented.corrections() == CorrectionsInfo()
    assert not (segmented.folder / "corrections").exists()
    with pytest.raises(ProjectError, match="no corrections to learn from"):
        segmented.train_job(TrainPlan(), corrections=True)


def test_a_project_without_a_segmentation_has_none(session: Session) -> None:
    session.paint(Box((0, 0, 0), (1, 1, 4)), 1)
    assert session.collect_corrections() == CorrectionsInfo()


def test_edits_become_what_a_training_learns_from(segmented: Session, made: SegmentedTissue) -> None:
    apply(segmented, "merge", *touching(made))
    told: list[tuple[int, int]] = []
    found = segmented.collect_corrections(lambda done, total: told.append((done, total)))
    assert (found.n_merges, found.n_edits) == (1, 1)
    assert found.n_voxels == np.count_nonzero(labels(segmented)) > 0
    assert told[-1][0] == told[-1][1]
    assert segmented.corrections() == found
    job = segmented.train_job(TrainPlan(), corrections=True)
    assert job.corrections == segmented.folder / "corrections"
    assert segmented.train_job(TrainPlan()).corrections is None
    (opened,) = open_corrections(segmented.folder / "corrections")
    assert np.array_equal(opened.labels(WHOLE), labels(segmented))


def test_new_corrections_are_another_work(segmented: Session, made: SegmentedTissue) -> None:
    apply(segmented, "merge", *touching(made))
    segmented.collect_corrections()
    merged = segmented.corrections_revision
    segmented.collect_corrections()
    assert segmented.corrections_revision == merged
    segmented.proofreader().undo()
    segmented.collect_corrections()
    assert segmented.corrections_revision == ""
    apply(segmented, "lock", touching(made)[0])
    segmented.collect_corrections()
    assert segmented.corrections_revision not in ("", merged)


def test_held_out_voxels_are_left_out_when_they_are_held_out_later(segmented: Session, made: SegmentedTissue) -> None:
    first = touching(made)[0]
    apply(segmented, "lock", first)
    segmented.collect_corrections()
    held = Box((0, 0, 0), (6, 40, 48))
    assert labels(segmented)[held.slices].any()
    segmented.hold_out(held)
    segmented.collect_corrections()
    assert not labels(segmented)[held.slices].any()
    assert labels(segmented).any()


def test_what_was_said_of_an_earlier_segmentation_goes_on_teaching(segmented: Session, made: SegmentedTissue) -> None:
    a, b = touching(made)
    apply(segmented, "merge", a, b)
    alone = segmented.collect_corrections()
    before = labels(segmented)
    second_segmentation(segmented)
    apply(segmented, "lock", a)
    both = segmented.collect_corrections()
    assert (both.n_merges, both.n_locked) == (1, 1)
    assert both.n_voxels > alone.n_voxels
    assert np.array_equal(labels(segmented), before)
    assert len(open_corrections(segmented.folder / "corrections")) >= 1
    segmented.delete_segmentation("first")
    assert segmented.collect_corrections() == both  # its voxels are as true as before


def test_an_edit_that_is_taken_back_across_a_switch_teaches_no_more(segmented: Session, made: SegmentedTissue) -> None:
    apply(segmented, "merge", *touching(made))
    second_segmentation(segmented)
    assert segmented.collect_corrections().n_merges == 1
    for _ in range(2):  # the switch, then the merge
        segmented.proofreader().undo()
    assert segmented.collect_corrections() == CorrectionsInfo()
    assert open_corrections(segmented.folder / "corrections") == ()


def test_corrections_of_a_segmentation_that_is_not_current_are_collected_too(
    segmented: Session, made: SegmentedTissue
) -> None:
    apply(segmented, "merge", *touching(made))
    second_segmentation(segmented)
    assert segmented.collect_corrections().n_merges == 1
    assert labels(segmented).any()


def test_what_is_edited_meanwhile_is_collected_too(segmented: Session, made: SegmentedTissue) -> None:
    a, b = touching(made)
    apply(segmented, "merge", a, b)
    others = [int(k) for k in np.unique(made.segments) if k and k not in (a, b)]

    def edit(done: int, total: int) -> None:
        if others and len(others) > 7:
            apply(segmented, "lock", others.pop())

    found = segmented.collect_corrections(edit)
    apart = segmented.collect_corrections()
    assert found == apart
    assert found.n_locked > 0


def test_a_reader_collects_nothing(made: SegmentedTissue, tmp_path: Path) -> None:
    with (
        Session.open(tmp_path / "a.pytc", read_only=True) as reader,
        pytest.raises(ProjectError, match="reading only"),
    ):
        reader.collect_corrections()


def test_the_plan_is_that_of_the_parent(segmented: Session) -> None:
    make_model(segmented.folder / "models" / "m1", plan=TrainPlan(recipe="mine", minutes=20, guess_weight=0.5))
    plan = segmented.correction_plan()
    assert (plan.recipe, plan.minutes, plan.guess_weight, plan.distil_weight) == ("mine", 5, 0, 1)
    assert segmented.correction_plan("m1", minutes=2).minutes == 2


def test_classes_learn_the_one_that_keeps_objects_apart(segmented: Session, made: SegmentedTissue) -> None:
    apply(segmented, "lock", touching(made)[0])
    segmented.collect_corrections()
    assert segmented.train_job(TrainPlan(), corrections=True).boundary_class == "membrane"
    instances = TrainPlan.model_validate({"target": {"kind": "instances"}})
    assert segmented.train_job(instances, corrections=True).boundary_class is None
    with pytest.raises(InvalidInput, match="learns from painted voxels alone"):
        segmented.train_job(TrainPlan.model_validate({"network": {"kind": "filter_bank"}}), corrections=True)
    segmented.rename_class(1, "thing")
    with pytest.raises(InvalidInput, match="none of the classes thing, inside does"):
        segmented.train_job(TrainPlan(), corrections=True)
