from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from napari_pytc.annotations.object_relations import BACKGROUND
from napari_pytc.decoding.jobs import SegmentJob
from napari_pytc.errors import InvalidEdit, InvalidInput, ProjectError
from napari_pytc.geometry import Box, VoxelSpace
from napari_pytc.jobs.events import Cancelled, Failed, Finished, JobEvent
from napari_pytc.jobs.runners import InlineRunner
from napari_pytc.labels.segments_view import SegmentsView
from napari_pytc.labels.store import LabelStore
from napari_pytc.plans.plan import TrainPlan
from napari_pytc.session.records import PredictionRecord
from napari_pytc.session.session import Session
from tests.session.models import make_model
from tests.session.runners import ScriptedRunner
from tests.support.evidence import prediction_of
from tests.support.segmentations import make_segmentation
from tests.support.tissue import Tissue

SHAPE = (12, 48, 40)
WHOLE = Box.of_shape(SHAPE)
SPACE = VoxelSpace((40.0, 10.0, 10.0))


def add_prediction(session: Session, cells: np.ndarray, name: str = "p1", what: tuple[str, ...] = ("classes",)) -> Path:
    """A finished prediction of the project, as if a model `m` had made it."""
    folder = session.folder / "volumes/v1/predictions" / f"{name}.zarr"
    folder.parent.mkdir(exist_ok=True)
    prediction_of(folder, cells, SPACE, what)
    record = PredictionRecord(
        id=name, volume="v1", model="m", folder=folder, box=None, flips=False, created=name, state="finished"
    )
    session.project.database.put_prediction(record, session.image.digest)
    return folder


@pytest.fixture
def predicted(session: Session, tissue: Tissue) -> Session:
    add_prediction(session, tissue.cells)
    return session


def segment(session: Session, **choices: Any) -> SegmentJob:
    job = session.jobs.segment_job(**choices)
    events: list[JobEvent] = []
    with InlineRunner() as runner:
        end = session.jobs.run(job, runner, events.append).wait()
    assert isinstance(end, Finished), end
    return job


def test_a_segmentation_is_made_listed_and_becomes_current(predicted: Session):
    heard: list[str] = []
    predicted.segmentations.changed.connect(lambda: heard.append("changed"))
    job = segment(predicted)
    (info,) = predicted.segmentations.records()
    assert (info.id, info.active, info.prediction, info.problem) == (job.output.name, True, "p1", "")
    assert info.decoder["kind"] == job.decoder.kind == "agglomeration"
    assert info.n_segments > 1
    assert heard
    proofreader = predicted.proofreader
    assert proofreader.segmentation == info.id
    assert proofreader.entries()[-1].kind == "switch"
    document = proofreader.document
    assert document is not None
    assert len(document.segment_ids()) == info.n_segments
    assert document.boundary(WHOLE).max() > 0.5
    (run,) = predicted.jobs.runs()
    assert (run.kind, run.subject, run.state) == ("segment", info.id, "finished")
    assert list((predicted.folder / "runs").iterdir()) == []


def test_the_former_one_comes_back_by_undo_with_its_edits(predicted: Session):
    first = segment(predicted).output.name
    proofreader = predicted.proofreader
    document = proofreader.document
    assert document is not None
    proofreader.apply({"kind": "merge", "segments": document.segment_ids().tolist()[:2]})
    edited = document.segments(WHOLE)
    switched: list[str | None] = []
    proofreader.switched.connect(switched.append)
    second = segment(predicted, settings={"threshold": 0.9}).output.name
    assert [info.id for info in predicted.segmentations.records() if info.active] == [second]
    proofreader.undo()
    assert switched == [second, first]
    former = proofreader.document
    assert former is not None
    assert np.array_equal(former.segments(WHOLE), edited)
    predicted.segmentations.activate(second)
    assert switched[-1] == second
    n = len(proofreader.entries())
    predicted.segmentations.activate(second)
    assert len(proofreader.entries()) == n


def test_the_models_recipe_names_the_decoder_and_settings_change_it(predicted: Session):
    plan = TrainPlan(decoder={"kind": "watershed", "smallest_um3": 0.002})
    make_model(predicted.folder / "models" / "m", plan=plan)
    job = predicted.jobs.segment_job()
    assert (job.decoder.kind, job.decoder.smallest_um3) == ("watershed", 0.002)
    assert predicted.jobs.segment_job(settings={"smallest_um3": 0.5}).decoder.smallest_um3 == 0.5
    assert predicted.jobs.segment_job("watershed").decoder.smallest_um3 == 0.002
    assert predicted.jobs.segment_job("components", settings={"object_class": "inside"}).decoder.kind == "components"


@pytest.mark.parametrize("what", [("near",), ("boundary",), ("near", "far", "classes")])
def test_predictions_with_boundaries_are_agglomerated(session: Session, tissue: Tissue, what: tuple[str, ...]):
    add_prediction(session, tissue.cells, what=what)
    assert session.jobs.segment_job().decoder.kind == "agglomeration"


def test_refusals_come_before_anything_runs(predicted: Session):
    with pytest.raises(InvalidInput, match="No decoder is called 'guess'"):
        predicted.jobs.segment_job("guess")
    with pytest.raises(InvalidInput, match="threshold"):
        predicted.jobs.segment_job(settings={"threshold": 7})
    with pytest.raises(InvalidInput, match="no class called 'axon'"):
        predicted.jobs.segment_job(boundary_class="axon")
    with pytest.raises(InvalidInput, match="no class called 'axon'"):
        predicted.jobs.segment_job(mask_class="axon")
    with pytest.raises(InvalidInput, match="no such option: workers"):
        predicted.jobs.segment_job(workers=0)
    with pytest.raises(InvalidInput, match="within the volume"):
        predicted.jobs.segment_job(box=Box((0, 0, 0), (99, 1, 1)))
    with pytest.raises(ProjectError, match="no prediction 'p9'"):
        predicted.jobs.segment_job(prediction="p9")
    assert not (predicted.folder / "volumes/v1/segments").exists()


def test_a_project_without_a_prediction_gives_a_hint(session: Session):
    with pytest.raises(ProjectError, match="no prediction yet"):
        session.jobs.segment_job()
    with pytest.raises(ProjectError, match="no segmentation yet"):
        session.segmentations.resolve()


def test_the_same_work_that_was_cut_short_is_gone_on_with(predicted: Session):
    job = predicted.jobs.segment_job()
    predicted.jobs.run(job, ScriptedRunner([Cancelled(job="cut")]))
    assert predicted.segmentations.records() == []
    assert predicted.jobs.segment_job(workers=2).output == job.output
    assert predicted.jobs.segment_job(settings={"threshold": 0.9}).output != job.output
    assert [unfinished.output for unfinished in predicted.segmentations.unfinished()] == [job.output]
    predicted.project.database.put_prediction(
        predicted.predictions.records()[0].model_copy(update={"state": "interrupted"}),
        predicted.image.digest,
    )
    assert predicted.jobs.segment_job().output != job.output  # the prediction is another one now
    predicted.segmentations.discard(job)
    assert predicted.segmentations.unfinished() == []


def test_a_failed_job_leaves_the_current_one(predicted: Session):
    first = segment(predicted)
    job = predicted.jobs.segment_job(settings={"threshold": 0.9})
    predicted.jobs.run(job, ScriptedRunner([Failed(job="j2", message="No room.", hint="Make some.")]))
    assert predicted.proofreader.segmentation == first.output.name


def test_one_at_a_time_and_what_is_used_is_kept(predicted: Session):
    job = predicted.jobs.segment_job()
    predicted._shared.active.add(job.output.name, job, "v1")
    with pytest.raises(ProjectError, match="runs already"):
        predicted.jobs.run(job, ScriptedRunner())
    with pytest.raises(ProjectError, match="A job needs this prediction"):
        predicted.predictions.delete("p1")


def test_a_preview_leaves_no_trace_in_the_project(predicted: Session):
    box = Box((0, 0, 0), (12, 32, 32))
    job, other = predicted.jobs.preview_job(box), predicted.jobs.preview_job(box)
    assert job.output != other.output
    assert job.output.parent == predicted.folder / "volumes/v1/segments" / ".preview"
    with InlineRunner() as runner:
        assert isinstance(predicted.jobs.run(job, runner).wait(), Finished)
    assert SegmentsView.open(job.output).read(box).any()
    assert predicted.segmentations.records() == []
    assert predicted.jobs.runs() == []
    assert predicted.proofreader.segmentation is None
    predicted.segmentations.discard(job)
    assert not job.output.exists()
    with InlineRunner() as runner:
        predicted.jobs.run(other, runner).wait()
    predicted.close()
    with Session.open(predicted.folder):
        assert not other.output.exists()


def test_the_journal_refuses_to_go_back_to_a_deleted_one(predicted: Session):
    job = segment(predicted)
    heard: list[str | None] = []
    predicted.proofreader.switched.connect(heard.append)
    predicted.segmentations.delete(job.output.name)
    assert predicted.segmentations.records() == []
    assert heard == [None]
    assert predicted.proofreader.document is None
    with pytest.raises(ProjectError, match="was deleted"):
        predicted.proofreader.undo()
    assert predicted.jobs.segment_job().output != job.output  # the journal speaks of that name


def test_names_are_found_by_their_beginning(predicted: Session, tmp_path: Path):
    make_segmentation(predicted.folder / "volumes/v1/segments" / "20260101-a", shape=SHAPE)
    make_segmentation(predicted.folder / "volumes/v1/segments" / "20260102-b", shape=SHAPE)
    assert predicted.segmentations.resolve("20260102").name == "20260102-b"
    with pytest.raises(ProjectError, match="Several segmentations begin with '2026'"):
        predicted.segmentations.resolve("2026")
    with pytest.raises(ProjectError, match="no segmentation 'x'"):
        predicted.segmentations.resolve("x")
    with pytest.raises(ProjectError, match="No segmentation is current"):
        predicted.segmentations.resolve()


def test_a_damaged_one_is_listed_with_its_problem(predicted: Session):
    job = segment(predicted)
    (job.output / "segmentation.json").write_text("{", encoding="utf-8")
    (info,) = predicted.segmentations.records()
    assert "damaged" in info.problem


def test_supervoxels_are_grouped_anew_without_touching_a_voxel(predicted: Session):
    job = segment(predicted, settings={"threshold": 0.9})
    proofreader, switched = predicted.proofreader, []
    proofreader.switched.connect(switched.append)
    document = proofreader.document
    assert document is not None
    many, supervoxels = len(document.segment_ids()), document.supervoxels(WHOLE)
    info = predicted.segmentations.regroup(job.output.name, {"threshold": 0.05})
    assert switched == [job.output.name]
    assert info.decoder["threshold"] == 0.05
    document = proofreader.document
    assert document is not None
    assert len(document.segment_ids()) == info.n_segments < many
    assert np.array_equal(document.supervoxels(WHOLE), supervoxels)
    proofreader.apply({"kind": "lock", "segments": document.segment_ids().tolist()[:1]})
    proofreader.undo()
    with pytest.raises(ProjectError, match="has edits"):
        predicted.segmentations.regroup(job.output.name, {"threshold": 0.5})


def test_without_a_boundary_prediction_the_image_is_used(session: Session):
    made = make_segmentation(session.folder / "volumes/v1/segments" / "first", shape=SHAPE)
    session.segmentations.activate("first")
    document = session.proofreader.document
    assert document is not None
    boundary = document.boundary(WHOLE)
    assert boundary.dtype == np.float32
    assert 0 <= boundary.min() < 0.5 < boundary.max() <= 1
    box = Box((2, 8, 5), (9, 30, 33))
    assert np.allclose(document.boundary(box), boundary[box.slices], atol=1e-5)
    assert made.segmentation.record.prediction == ""
    shutil.move(session.image.spec.path, session.folder / "elsewhere.h5")  # type: ignore[union-attr]
    session.proofreader.reopen(lambda: None)
    session.image.close()
    document = session.proofreader.document
    assert document is not None
    assert not document.boundary(box).any()


def test_the_class_that_was_chosen_for_the_boundary_is_the_one_to_cut_along(predicted: Session, tissue: Tissue):
    segment(predicted, boundary_class="inside")
    document = predicted.proofreader.document
    assert document is not None
    boundary = document.boundary(WHOLE)
    membrane = tissue.classes == 1
    assert boundary[~membrane].mean() > 0.5 > boundary[membrane].mean()
    predicted.predictions.delete("p1")
    steep = document.boundary(WHOLE)
    assert not np.array_equal(steep, boundary)
    assert steep.any()


def test_there_is_one_queue_for_a_segmentation(predicted: Session):
    with pytest.raises(InvalidEdit, match="no segmentation to review"):
        predicted.proofreader.queue()
    segment(predicted)
    queue = predicted.proofreader.queue()
    assert predicted.proofreader.queue() is queue
    segment(predicted, settings={"threshold": 0.9})
    assert predicted.proofreader.queue() is not queue


def test_segments_are_exported_with_edits_that_no_file_had_yet(predicted: Session, tmp_path: Path):
    segment(predicted)
    proofreader = predicted.proofreader
    document = proofreader.document
    assert document is not None
    ids = document.segment_ids().tolist()
    proofreader.apply({"kind": "merge", "segments": ids[:2]})
    proofreader.apply({"kind": "delete", "segments": ids[-1:]})
    expected = document.segments(WHOLE)
    job = predicted.jobs.export_job("segments", tmp_path / "s.zarr")
    assert predicted.jobs.preview_export("segments", tmp_path / "s.zarr").dtype == "uint32"
    with InlineRunner() as runner:
        assert isinstance(predicted.jobs.run(job, runner).wait(), Finished)
    from napari_pytc.volumes.opening import open_volume

    assert np.array_equal(open_volume(tmp_path / "s.zarr").read(WHOLE), expected)
    table = predicted.jobs.preview_export("table", tmp_path / "t.csv")
    assert (table.format, table.shape[0]) == ("CSV", len(np.unique(expected)) - 1)


def test_objects_are_added_sparse_and_dense(session: Session, tissue: Tissue):
    assert session.objects.revision == 0
    sparse = np.zeros(SHAPE, np.int64)
    sparse[2, 5:9, 5:9] = 7
    heard: list[Box] = []
    session.objects.changed.connect(heard.append)
    added = session.objects.add(sparse)
    assert (added.n_objects, added.n_voxels, added.n_background, added.box) == (1, 16, 0, WHOLE)
    store = LabelStore.open(session.folder / "volumes/v1/objects.zarr")
    assert np.array_equal(store.read(WHOLE), sparse)
    dense = np.zeros((2, 10, 10), np.uint8)
    dense[:, :5] = 3
    added = session.objects.add(dense, (1, 4, 4), dense=True)
    assert (added.n_objects, added.n_voxels, added.n_background) == (1, 100, 100)
    expected = sparse.copy()
    expected[1:3, 4:14, 4:14] = np.where(dense > 0, dense, np.int64(BACKGROUND))
    assert np.array_equal(store.read(WHOLE), expected)
    assert heard == [WHOLE, Box((1, 4, 4), (3, 14, 14))]
    assert session.objects.revision > 0
    job = session.jobs.train_job(TrainPlan())
    assert job.inputs[0].objects == session.folder / "volumes/v1/objects.zarr"


@pytest.mark.parametrize(
    ("labels", "sentence"),
    [
        (np.full(SHAPE, -1, np.int32), "id -1"),
        (np.full(SHAPE, BACKGROUND, np.uint32), "id 4294967295"),
        (np.zeros(SHAPE, np.uint8), "hold no object"),
        (np.full(SHAPE, 0.5, np.float32), "whole numbers"),
        (np.ones((13, 48, 40), np.uint8), "do not lie within"),
    ],
)
def test_what_is_no_object_is_refused_and_nothing_made(session: Session, labels: np.ndarray, sentence: str):
    with pytest.raises(InvalidInput, match=sentence):
        session.objects.add(labels)
    assert not (session.folder / "volumes/v1/objects.zarr").exists()
