"""Tunings of a volume: where their truth comes from, what is told of it, and what is kept."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest

from napari_pytc.errors import InvalidInput, ProjectError
from napari_pytc.geometry import Box
from napari_pytc.jobs.events import Finished, JobEvent
from napari_pytc.jobs.runners import InlineRunner
from napari_pytc.session.session import Session
from napari_pytc.tuning.describe import TuneRequest
from napari_pytc.tuning.jobs import TuneJob
from tests.session.runners import ScriptedRunner
from tests.session.test_segmentations import SPACE, add_prediction, segment
from tests.support.evidence import prediction_of
from tests.support.tissue import Tissue

HELD_OUT = Box((2, 0, 0), (8, 48, 40))


@pytest.fixture
def predicted(session: Session, tissue: Tissue) -> Session:
    add_prediction(session, tissue.cells, what=("near", "far"))
    return session


@pytest.fixture
def truth(tmp_path: Path, tissue: Tissue) -> Path:
    path = tmp_path / "truth.h5"
    with h5py.File(path, "w") as file:
        file["main"] = tissue.cells
        file["main"].attrs["voxel_size_nm"] = (40.0, 10.0, 10.0)
    return path


def tune(session: Session, job: TuneJob) -> dict[str, Any]:
    events: list[JobEvent] = []
    with InlineRunner() as runner:
        end = session.jobs.run(job, runner, events.append).wait()
    assert isinstance(end, Finished), end
    return end.result


def test_it_says_what_truth_is_missing(predicted: Session, tissue: Tissue) -> None:
    tunings = predicted.tunings
    assert "no box is held out" in tunings.why_not
    with pytest.raises(ProjectError, match="no box is held out"):
        tunings.tune_job(TuneRequest())
    predicted.held_out.add(HELD_OUT)
    assert "no object is labelled" in tunings.why_not
    predicted.objects.add(tissue.cells[HELD_OUT.slices], offset=HELD_OUT.start)
    assert tunings.why_not == ""
    assert tunings.truth_boxes() == (HELD_OUT,)


def test_a_tuning_on_held_out_objects_is_recorded_and_its_best_is_segmented(predicted: Session, tissue: Tissue) -> None:
    predicted.held_out.add(HELD_OUT)
    predicted.objects.add(tissue.cells[HELD_OUT.slices], offset=HELD_OUT.start)
    job = predicted.tunings.tune_job(TuneRequest(trials=5))
    assert job.notes == () or all("not held out" not in note for note in job.notes)
    result = tune(predicted, job)
    (record,) = predicted.tunings.records()
    assert (record.id, record.boxes) == (result["tuning"], (str(HELD_OUT),))
    assert job.output.parent == predicted.folder / "volumes/v1/tuning"
    (run,) = [run for run in predicted.jobs.runs() if run.kind == "tune"]
    assert (run.subject, run.state, run.result["n_trials"]) == (record.id, "finished", 5)
    assert [point.name for point in predicted.jobs.metrics(run.id)].count("score") == 5
    again = predicted.tunings.tune_job(TuneRequest(trials=9))
    assert again.output == job.output
    described = predicted.jobs.segment_job(**predicted.tunings.segment_arguments(record))
    assert described.decoder.model_dump(mode="json") == record.best.decoder
    predicted.objects.add(np.full((1, 4, 4), 99, np.uint32), offset=(3, 4, 4))
    assert predicted.tunings.tune_job(TuneRequest()).output != job.output, "the truth is another one now"


def test_truth_that_the_network_may_have_learnt_from_is_told(predicted: Session, tissue: Tissue, truth: Path) -> None:
    assert not any("not held out" in note for note in predicted.tunings.tune_job(TuneRequest(), truth).notes)
    strokes = np.zeros((12, 48, 40), np.uint8)
    strokes[4:6, 10, 10:20] = 1
    predicted.strokes.add(strokes)
    (note,) = [note for note in predicted.tunings.tune_job(TuneRequest(), truth).notes if "not held out" in note]
    assert note.startswith("20 voxels of strokes, objects or corrections")
    predicted.held_out.add(Box((4, 0, 0), (5, 48, 40)))
    (note,) = [note for note in predicted.tunings.tune_job(TuneRequest(), truth).notes if "not held out" in note]
    assert note.startswith("10 voxels")
    predicted.held_out.add(Box((5, 0, 0), (6, 48, 40)))
    assert not any("not held out" in note for note in predicted.tunings.tune_job(TuneRequest(), truth).notes)


def test_corrections_are_training_data(predicted: Session, tissue: Tissue, truth: Path) -> None:
    segment(predicted)
    document = predicted.proofreader.document
    assert document is not None
    predicted.proofreader.apply({"kind": "merge", "segments": document.segment_ids().tolist()[:2]})
    assert not any("not held out" in note for note in predicted.tunings.tune_job(TuneRequest(), truth).notes)
    n_voxels = predicted.corrections.collect().n_voxels
    assert n_voxels
    (note,) = [note for note in predicted.tunings.tune_job(TuneRequest(), truth).notes if "not held out" in note]
    assert note.startswith(f"{n_voxels} voxels of strokes, objects or corrections")


@pytest.mark.parametrize(
    ("is_file", "kind"), [(False, "train"), (True, "train"), (True, "live")], ids=["objects", "file", "live"]
)
def test_a_box_that_was_held_out_after_the_training_is_told(
    predicted: Session, tissue: Tissue, truth: Path, is_file: bool, kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    predicted.held_out.add(HELD_OUT)
    predicted.objects.add(tissue.cells[HELD_OUT.slices], offset=HELD_OUT.start)
    inputs = {"digest": predicted.image.digest, "held_out": []}
    monkeypatch.setattr(predicted.jobs, "specs", lambda one: {"m": {"inputs": [inputs]}} if one == kind else {})

    def told() -> list[str]:
        notes = predicted.tunings.tune_job(TuneRequest(), truth if is_file else None).notes
        assert not any("does not know" in note for note in notes)
        return [note for note in notes if "held out" in note]

    (note,) = told()
    assert note.startswith(f"The model was trained before {HELD_OUT} was held out")
    inputs["held_out"] = [json.loads(json.dumps({"start": HELD_OUT.start, "stop": HELD_OUT.stop}))]
    assert told() == []
    inputs["held_out"], inputs["digest"] = [], "of another volume"
    assert told() == []


def test_it_is_told_that_nothing_is_known_of_a_model(
    predicted: Session, tissue: Tissue, truth: Path, tmp_path: Path
) -> None:
    predicted.held_out.add(HELD_OUT)
    predicted.objects.add(tissue.cells[HELD_OUT.slices], offset=HELD_OUT.start)
    elsewhere = prediction_of(tmp_path / "p.zarr", tissue.cells, SPACE)
    for labels in (None, truth):
        for prediction, name in ((elsewhere, "a prediction from elsewhere"), (None, "the model m")):
            notes = predicted.tunings.tune_job(TuneRequest(), labels, prediction=prediction).notes
            assert any(f"does not know what {name} has learnt from" in note for note in notes)
            assert not any("was held out" in note for note in notes)


def test_boundary_class_and_mask_go_into_the_segmentation(session: Session, tissue: Tissue, truth: Path) -> None:
    add_prediction(session, tissue.cells, what=("classes",))
    options = {"boundary_class": "membrane", "mask_class": "inside", "mask_mode": "not_through"}
    job = session.tunings.tune_job(TuneRequest(trials=2), truth, **options)
    tune(session, job)
    (record,) = session.tunings.records()
    assert record.options == options
    described = session.jobs.segment_job(**session.tunings.segment_arguments(record))
    assert (described.boundary_class, described.mask_class, described.mask_mode) == tuple(options.values())


def test_predictions_of_other_projects_are_told_apart_and_known_again_until_they_change(
    session: Session, tissue: Tissue, tmp_path: Path, truth: Path
) -> None:
    places = []
    for number in range(2):
        (tmp_path / str(number)).mkdir()
        places.append(prediction_of(tmp_path / str(number) / "p.zarr", tissue.cells, SPACE, seed=number))
    outputs = [session.tunings.tune_job(TuneRequest(), truth, prediction=place).output for place in places]
    assert outputs[0] != outputs[1]
    assert session.tunings.tune_job(TuneRequest(), truth, prediction=places[0]).output == outputs[0]
    shutil.rmtree(places[0])
    prediction_of(places[0], tissue.cells, SPACE, seed=2)
    assert session.tunings.tune_job(TuneRequest(), truth, prediction=places[0]).output != outputs[0]


def test_another_state_of_the_prediction_with_the_mask_is_another_tuning(
    predicted: Session, tissue: Tissue, tmp_path: Path, truth: Path
) -> None:
    mask = prediction_of(tmp_path / "mask.zarr", tissue.cells, SPACE, ("classes",))
    outputs = []
    for seed in (0, 1):
        shutil.rmtree(mask)
        prediction_of(mask, tissue.cells, SPACE, ("classes",), seed=seed)
        job = predicted.tunings.tune_job(TuneRequest(), truth, mask_class="inside", mask_prediction=mask)
        outputs.append(job.output)
    assert outputs[0] != outputs[1]


def test_a_tuning_runs_once_at_a_time_and_damaged_records_are_left_out(predicted: Session, truth: Path) -> None:
    job = predicted.tunings.tune_job(TuneRequest(trials=2), truth)
    refused: list[str] = []

    def run_again(job: TuneJob) -> None:
        with pytest.raises(ProjectError) as caught:
            predicted.jobs.run(job, ScriptedRunner())
        refused.append(caught.value.message)

    predicted.jobs.run(job, ScriptedRunner(before=run_again))
    assert refused == ["This tuning runs already."]
    predicted.tunings.folder.mkdir(exist_ok=True)
    (predicted.tunings.folder / "damaged.json").write_text("{")
    assert predicted.tunings.records() == []


def test_truth_that_holds_no_ids_is_refused(predicted: Session, tmp_path: Path) -> None:
    np.save(tmp_path / "complex.npy", np.zeros((12, 48, 40), np.complex64))
    with pytest.raises(Exception, match="complex"):
        predicted.tunings.tune_job(TuneRequest(), tmp_path / "complex.npy")
    with pytest.raises(InvalidInput, match="must lie within the volume"):
        predicted.tunings.tune_job(TuneRequest(box=Box((0, 0, 0), (99, 1, 1))))
