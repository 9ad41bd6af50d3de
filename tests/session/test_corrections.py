"""Corrections of a project: collected from its journal, kept from one segmentation to the next."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from napari_pytc.errors import InvalidInput, ProjectError
from napari_pytc.geometry import Box
from napari_pytc.labels.segmentation import read_record
from napari_pytc.labels.store import LabelStore
from napari_pytc.learning.data.correction_labels import open_corrections
from napari_pytc.plans.plan import TrainPlan
from napari_pytc.proofreading.constraints.training_labels import CorrectionsInfo
from napari_pytc.session.corrections import Corrections
from napari_pytc.session.session import Session
from napari_pytc.session.volumes.building import NewVolume
from napari_pytc.volumes.spec import ReadOptions
from tests.session.models import make_model
from tests.support.proofreading import SIZE_NM, make_segmented_project
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
    session.proofreader.apply({"kind": kind, "segments": segments})


def second_segmentation(session: Session) -> None:
    """A copy of the decoding under another name becomes current."""
    first, second = (session.folder / "volumes/v1/segments" / name for name in ("first", "second"))
    session.proofreader.flush()
    shutil.copytree(first, second, ignore=shutil.ignore_patterns("edits.zarr", "state.npz", "review*"))
    record = read_record(second).model_copy(update={"id": "second"})
    (second / "segmentation.json").write_text(record.model_dump_json(), encoding="utf-8")
    session.segmentations.activate("second")


def labels(session: Session, segmentation: str = "first") -> np.ndarray:
    return LabelStore.open(session.folder / "volumes/v1/corrections" / f"{segmentation}.zarr").read(WHOLE)


def test_nothing_edited_is_nothing_to_learn_from(segmented: Session) -> None:
    assert segmented.corrections.collect() == CorrectionsInfo()
    assert segmented.corrections.info() == CorrectionsInfo()
    assert not (segmented.folder / "volumes/v1/corrections").exists()
    with pytest.raises(ProjectError, match="no corrections to learn from"):
        segmented.jobs.train_job(TrainPlan(), corrections=True)


def test_a_project_without_a_segmentation_has_none(session: Session) -> None:
    session.strokes.paint(Box((0, 0, 0), (1, 1, 4)), 1)
    assert session.corrections.collect() == CorrectionsInfo()


def test_edits_become_what_a_training_learns_from(segmented: Session, made: SegmentedTissue) -> None:
    apply(segmented, "merge", *touching(made))
    told: list[tuple[int, int]] = []
    found = segmented.corrections.collect(lambda done, total: told.append((done, total)))
    assert (found.n_merges, found.n_edits) == (1, 1)
    assert found.n_voxels == np.count_nonzero(labels(segmented)) > 0
    assert told[-1][0] == told[-1][1]
    assert segmented.corrections.info() == found
    job = segmented.jobs.train_job(TrainPlan(), corrections=True)
    assert job.inputs[0].corrections == segmented.folder / "volumes/v1/corrections"
    assert segmented.jobs.train_job(TrainPlan()).inputs[0].corrections is None
    (opened,) = open_corrections(segmented.folder / "volumes/v1/corrections")
    assert np.array_equal(opened.labels(WHOLE), labels(segmented))


def test_new_corrections_are_another_work(segmented: Session, made: SegmentedTissue) -> None:
    apply(segmented, "merge", *touching(made))
    segmented.corrections.collect()
    merged = segmented.corrections.revision
    segmented.corrections.collect()
    assert segmented.corrections.revision == merged
    segmented.proofreader.undo()
    segmented.corrections.collect()
    assert segmented.corrections.revision == ""
    apply(segmented, "lock", touching(made)[0])
    segmented.corrections.collect()
    assert segmented.corrections.revision not in ("", merged)


def test_held_out_voxels_are_left_out_when_they_are_held_out_later(segmented: Session, made: SegmentedTissue) -> None:
    first = touching(made)[0]
    apply(segmented, "lock", first)
    segmented.corrections.collect()
    held = Box((0, 0, 0), (6, 40, 48))
    assert labels(segmented)[held.slices].any()
    segmented.held_out.add(held)
    segmented.corrections.collect()
    assert not labels(segmented)[held.slices].any()
    assert labels(segmented).any()


def test_labels_of_an_earlier_segmentation_stay_training_data(segmented: Session, made: SegmentedTissue) -> None:
    a, b = touching(made)
    apply(segmented, "merge", a, b)
    alone = segmented.corrections.collect()
    before = labels(segmented)
    second_segmentation(segmented)
    apply(segmented, "lock", a)
    both = segmented.corrections.collect()
    assert (both.n_merges, both.n_locked) == (1, 1)
    assert both.n_voxels > alone.n_voxels
    assert np.array_equal(labels(segmented), before)
    assert len(open_corrections(segmented.folder / "volumes/v1/corrections")) >= 1
    segmented.segmentations.delete("first")
    assert segmented.corrections.collect() == both  # its voxels are as true as before


def test_an_edit_undone_across_a_switch_is_no_training_data(segmented: Session, made: SegmentedTissue) -> None:
    apply(segmented, "merge", *touching(made))
    second_segmentation(segmented)
    assert segmented.corrections.collect().n_merges == 1
    for _ in range(2):  # the switch, then the merge
        segmented.proofreader.undo()
    assert segmented.corrections.collect() == CorrectionsInfo()
    assert open_corrections(segmented.folder / "volumes/v1/corrections") == ()


def test_corrections_of_a_segmentation_that_is_not_current_are_collected_too(
    segmented: Session, made: SegmentedTissue
) -> None:
    apply(segmented, "merge", *touching(made))
    second_segmentation(segmented)
    assert segmented.corrections.collect().n_merges == 1
    assert labels(segmented).any()


def test_what_is_edited_meanwhile_is_collected_too(segmented: Session, made: SegmentedTissue) -> None:
    a, b = touching(made)
    apply(segmented, "merge", a, b)
    others = [int(k) for k in np.unique(made.segments) if k and k not in (a, b)]

    def edit(done: int, total: int) -> None:
        if others and len(others) > 7:
            apply(segmented, "lock", others.pop())

    found = segmented.corrections.collect(edit)
    apart = segmented.corrections.collect()
    assert found == apart
    assert found.n_locked > 0


def test_a_reader_collects_nothing(made: SegmentedTissue, tmp_path: Path) -> None:
    with (
        Session.open(tmp_path / "a.pytc", read_only=True) as reader,
        pytest.raises(ProjectError, match="reading only"),
    ):
        reader.corrections.collect()


def test_the_plan_is_that_of_the_parent(segmented: Session) -> None:
    make_model(segmented.folder / "models" / "m1", plan=TrainPlan(recipe="mine", minutes=20, guess_weight=0.5))
    plan = segmented.corrections.plan()
    assert (plan.recipe, plan.minutes, plan.guess_weight, plan.distil_weight) == ("mine", 5, 0, 1)
    assert segmented.corrections.plan("m1", minutes=2).minutes == 2


def test_classes_learn_the_one_that_keeps_objects_apart(segmented: Session, made: SegmentedTissue) -> None:
    apply(segmented, "lock", touching(made)[0])
    segmented.corrections.collect()
    assert segmented.jobs.train_job(TrainPlan(), corrections=True).boundary_class == "membrane"
    instances = TrainPlan.model_validate({"target": {"kind": "instances"}})
    assert segmented.jobs.train_job(instances, corrections=True).boundary_class is None
    with pytest.raises(InvalidInput, match="learns from painted voxels alone"):
        segmented.jobs.train_job(TrainPlan.model_validate({"network": {"kind": "filter_bank"}}), corrections=True)
    segmented.classes.rename(1, "thing")
    with pytest.raises(InvalidInput, match="none of the classes thing, inside does"):
        segmented.jobs.train_job(TrainPlan(), corrections=True)


@pytest.fixture
def two(segmented: Session, made: SegmentedTissue, tmp_path: Path) -> Session:
    """Two segmented volumes, a and b, of the same tissue."""
    segmented.volumes.add(NewVolume(tmp_path / "a.tif", "b", ReadOptions(voxel_size_nm=SIZE_NM), anyway=True))
    shutil.copytree(segmented.folder / "volumes/v1/segments", segmented.folder / "volumes/v2/segments")
    segmented.at("b").segmentations.activate("first")
    return segmented


def test_a_training_learns_from_the_corrections_of_all_volumes_or_of_those_that_are_named(
    two: Session, made: SegmentedTissue
) -> None:
    apply(two, "lock", touching(made)[0])
    apply(two.at("b"), "merge", *touching(made))
    for name in "ab":
        two.at(name).corrections.collect()

    def corrected(**options: Any) -> dict[str, bool]:
        job = two.jobs.train_job(TrainPlan(), corrections=True, **options)
        return {one.name: one.corrections is not None for one in job.inputs}

    assert corrected() == {"a": True, "b": True}
    assert corrected(volumes=["b"]) == {"b": True}
    assert corrected(edited=["b"]) == {"b": True}
    two.strokes.paint(Box((0, 0, 0), (1, 1, 4)), 1)
    assert corrected(edited=["b"]) == {"a": False, "b": True}
    job = two.jobs.train_job(TrainPlan(), corrections=True)
    assert [one.corrections for one in job.inputs] == [two.at(name).corrections.folder for name in "ab"]
    two.at("b").proofreader.undo()
    two.at("b").corrections.collect()
    assert corrected() == {"a": True}
    with pytest.raises(ProjectError, match="no corrections to learn from"):
        corrected(volumes=["b"])


def test_corrections_of_different_classes_are_not_learnt_together(
    two: Session, made: SegmentedTissue, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in "ab":
        apply(two.at(name), "lock", touching(made)[0])
        two.at(name).corrections.collect()
    of_a = two.corrections
    monkeypatch.setattr(Corrections, "boundary_class", lambda self, plan: "membrane" if self is of_a else "inside")
    with pytest.raises(InvalidInput, match="of a are kept apart by the class 'membrane', those of b by 'inside'"):
        two.jobs.train_job(TrainPlan(), corrections=True)
    assert two.jobs.train_job(TrainPlan(), corrections=True, edited=["b"]).boundary_class == "inside"
