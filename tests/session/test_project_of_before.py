"""A project that version 0.1 wrote opens, and everything in it is read as that version read it.

`tests/fixtures/README.md` says what is in the project and how it was made. What version 0.1 read is in
``project-0.1.json`` beside it, and the probabilities that its models predicted in ``project-0.1.npz``.
"""

from __future__ import annotations

import hashlib
import json
import shutil
import sqlite3
import tarfile
from collections.abc import Callable, Iterator
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from napari_pytc.cli.commands.proofread import entry_document
from napari_pytc.decoding.evidence import EvidenceReader
from napari_pytc.errors import VolumeError
from napari_pytc.geometry import Box
from napari_pytc.jobs.events import Finished, JobEvent, Measured, Produced, Progressed
from napari_pytc.jobs.runners import InlineRunner
from napari_pytc.jobs.spec import JobSpec
from napari_pytc.learning.machine.weights import load_weights_and_notes
from napari_pytc.learning.prediction.inference import Inferer
from napari_pytc.learning.prediction.model import TrainedModel
from napari_pytc.learning.prediction.tiled import TiledPredictor
from napari_pytc.learning.training.state.checkpoints import load_training_state
from napari_pytc.plans.live_messages import stop_message, suggest_message, view_message
from napari_pytc.session.session import Session
from napari_pytc.volumes.zarr_output import open_ome_zarr
from tests.support.contexts import RecordingContext

FIXTURES = Path(__file__).parents[1] / "fixtures"
EXPECTED: dict[str, Any] = json.loads((FIXTURES / "project-0.1.json").read_text(encoding="utf-8"))
RESUMED = EXPECTED["resumed"]
SHAPE = (16, 48, 48)
WHOLE = Box.of_shape(SHAPE)
TILE = Box((2, 8, 8), (4, 24, 24))
ACCURACY = 1e-5


@pytest.fixture(scope="module")
def unpacked(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder with the image and the projects, as they came from another machine."""
    root = tmp_path_factory.mktemp("before")
    with tarfile.open(FIXTURES / "project-0.1.tar.gz") as archive:
        archive.extractall(root, filter="data")
    return root


@pytest.fixture(scope="module")
def relinked(unpacked: Path) -> Path:
    """The project, told where its image is now; to read only."""
    place = Path(shutil.copytree(unpacked / "cells.pytc", unpacked / "relinked.pytc"))
    with Session.open(place) as session:
        session.image.relink(f"{unpacked / 'image.h5'}:raw")
    return place


@pytest.fixture
def session(relinked: Path, tmp_path: Path) -> Iterator[Session]:
    """A copy of the project, to change."""
    with Session.open(shutil.copytree(relinked, tmp_path / "cells.pytc")) as session:
        yield session


@pytest.fixture(scope="module")
def read(relinked: Path) -> dict[str, Any]:
    """All that the project is read as now, under the names of what version 0.1 read."""
    with Session.open(relinked) as session:
        return {**read_project(session), **read_segments(session), "replays": replayed(session)}


def read_project(session: Session) -> dict[str, Any]:
    """Description, image, what is annotated, models, predictions and runs."""
    return {
        "written_by": session.project.description.written_by,
        "classes": [[c.id, c.name, c.colour] for c in session.classes.records()],
        "held_out": [str(box) for box in session.held_out.boxes],
        "voxel_size_nm": list(session.image.space.voxel_size_nm),
        "image": digest(session.image.source.channels[0].read(WHOLE)),
        "annotated_voxels": session.strokes.counts(),
        "marked_objects": asdict(session.objects.counts()),
        "models": [
            {
                "id": m.id,
                "name": m.name,
                "created": m.created,
                "recipe": m.recipe,
                "parent": m.parent,
                "scores": m.scores,
                "active": m.active,
                "problem": m.problem,
                "classes": list(m.classes),
            }
            for m in session.models.records()
        ],
        "predictions": [
            {
                "id": p.id,
                "model": p.model,
                "box": None if p.box is None else str(p.box),
                "flips": p.flips,
                "created": p.created,
                "state": p.state,
                "voxels": digest(open_ome_zarr(p.folder, writable=False).read(WHOLE)),
                "kind": str(EvidenceReader.open(p.folder, None).kind),
            }
            for p in session.predictions.records()
        ],
        "runs": [
            {
                "id": r.id,
                "kind": r.kind,
                "subject": Path(r.subject).name,
                "state": r.state,
                "n_points": len(session.jobs.metrics(r.id)),
            }
            for r in session.jobs.runs()
        ],
        "unfinished_trainings": [job.output.model_folder.name for job in session.jobs.unfinished_trainings()],
        "unfinished_segmentations": [job.output.name for job in session.segmentations.unfinished()],
        "suggestions": session.live.suggestions().model_dump(mode="json"),
        "live_model": session.live.job().output.model_folder.name,
    }


def read_segments(session: Session) -> dict[str, Any]:
    """Segmentations, their edits, and what follows from these."""
    proofreader, retraining = session.proofreader, session.retraining.find()
    queue = proofreader.queue()
    item = queue.next()
    return {
        "segmentations": [
            {
                "id": s.id,
                "folder": s.folder.name,
                "created": s.created,
                "box": None if s.box is None else str(s.box),
                "decoder": s.decoder,
                "prediction": s.prediction,
                "n_supervoxels": s.n_supervoxels,
                "n_segments": s.n_segments,
                "seconds": None,
                "active": s.active,
                "problem": s.problem,
            }
            for s in session.segmentations.records()
        ],
        "history": [entry_document(entry) for entry in proofreader.entries()],
        "now": digests(session),
        "review": {
            "n_done": queue.n_done,
            "n_total": queue.n_total,
            "next": None if item is None else [item.kind, list(item.segments), item.text],
        },
        "corrections": {**asdict(session.corrections.info()), "revision": session.corrections.revision},
        "retraining": None if retraining is None else retraining.state.model_dump(mode="json"),
    }


def replayed(session: Session) -> dict[str, Any]:
    """Every segmentation, made again from its decoding and the journal."""
    found = [session.proofreader.replay(s.id) for s in session.segmentations.records()]
    return {r.segmentation: [r.n_edits, r.checksum, r.stored, r.agrees] for r in found}


def digest(array: np.ndarray) -> str:
    """Of an array's voxels in C order, and its shape."""
    array = np.ascontiguousarray(array)
    return hashlib.sha256(f"{array.shape} {array.dtype.name}".encode() + array.tobytes()).hexdigest()[:16]


def digests(session: Session) -> dict[str, Any]:
    """What edits change: strokes, objects and segments."""
    document = session.proofreader.document
    assert document is not None
    supervoxels = np.arange(document.next_id, dtype=np.uint32)
    return {
        "position": session.proofreader.position,
        "strokes": digest(session.strokes.store.read(WHOLE)),
        "objects": digest(session.objects.store.read(WHOLE)),
        "supervoxels": digest(document.supervoxels(WHOLE)),
        "segments": digest(document.segments(WHOLE)),
        "table": digest(document.owners(supervoxels)),
        "checksum": document.checksum(),
        "notes": [
            f"{k} {document.state(k).class_id} {document.state(k).locked} {document.state(k).deleted}"
            for k in sorted(document.noted_segments())
        ],
    }


def run(session: Session, job: JobSpec, sink: Callable[[JobEvent], None] = lambda event: None) -> dict[str, Any]:
    """Run a job inline; its result."""
    with InlineRunner() as runner:
        end = session.jobs.run(job, runner, sink).wait()
    assert isinstance(end, Finished), end
    return end.result


def old_specs(folder: Path) -> list[tuple[str, str, dict[str, Any]]]:
    """Kind, subject and JSON of every job that the database tells of."""
    connection = sqlite3.connect(folder / "project.sqlite")
    try:
        rows = connection.execute("SELECT kind, subject, spec FROM runs ORDER BY started").fetchall()
    finally:
        connection.close()
    return [(kind, Path(subject).name, json.loads(spec)) for kind, subject, spec in rows]


def live_subjects(folder: Path) -> list[str]:
    """What the kept state of Live is of: the network, the strokes that were kept, and the instant model."""
    strokes = json.loads((folder / "strokes.json").read_text(encoding="utf-8"))
    _, remembered = load_weights_and_notes(folder / "remembered.safetensors")
    state = load_training_state(folder)
    assert state is not None
    return [state.fingerprint, strokes["fingerprint"], remembered["of"], remembered["digest"]]


class Probabilities:
    """A sink in memory that takes floats."""

    dtype = np.dtype(np.float32)

    def __init__(self, n_channels: int) -> None:
        self.data = np.zeros((n_channels, *SHAPE), np.float32)

    def write(self, box: Box, data: np.ndarray) -> None:
        self.data[(slice(None), *box.slices)] = data


def test_the_image_is_missed_until_it_is_relinked(unpacked: Path, tmp_path: Path) -> None:
    with Session.open(shutil.copytree(unpacked / "cells.pytc", tmp_path / "cells.pytc")) as session:
        with pytest.raises(VolumeError) as missed:
            session.image.check()
        assert "relink" in missed.value.hint
        assert session.strokes.counts() == EXPECTED["annotated_voxels"]

        session.image.relink(f"{unpacked / 'image.h5'}:raw")

        assert digest(session.image.check().channels[0].read(WHOLE)) == EXPECTED["image"]


@pytest.mark.slow
@pytest.mark.parametrize("what", [name for name in EXPECTED if name not in ("walk", "resumed")])
def test_it_is_read_as_before(read: dict[str, Any], what: str) -> None:
    assert json.loads(json.dumps(read[what])) == EXPECTED[what]


def test_undo_and_redo_lead_where_they_led(session: Session) -> None:
    for number, expected in enumerate(EXPECTED["walk"]):
        change = getattr(session.proofreader, expected["step"])()

        assert change is not None
        found = {"step": expected["step"], "title": change.title, "box": str(change.box), **digests(session)}
        assert found == expected, number


def test_corrections_that_are_up_to_date_stay_as_they_are(session: Session) -> None:
    session.corrections.collect()

    found = {**asdict(session.corrections.info()), "revision": session.corrections.revision}
    assert found == EXPECTED["corrections"]


@pytest.mark.slow
@pytest.mark.parametrize("model", [model["id"] for model in EXPECTED["models"]])
def test_a_model_predicts_what_it_predicted(relinked: Path, model: str) -> None:
    with Session.open(relinked) as session:
        loaded = TrainedModel.load(session.models.resolve(model))
        device, precision = loaded.place("cpu", "float32")
        inferer = Inferer(loaded.network, loaded.limits, device, precision, roles=loaded.roles)
        sink = Probabilities(len(loaded.info.classes))
        predictor = TiledPredictor(inferer, loaded.normalisation, TILE.shape)
        predictor.predict(session.image.source, sink, TILE, RecordingContext())

    with np.load(FIXTURES / "project-0.1.npz") as expected:
        np.testing.assert_allclose(sink.data[(slice(None), *TILE.slices)], expected[model], rtol=0, atol=ACCURACY)


@pytest.mark.parametrize("kind", ["train", "predict", "live", "segment", "export"])
def test_the_jobs_in_the_database_are_still_jobs(relinked: Path, kind: str) -> None:
    specs = [(subject, spec) for of, subject, spec in old_specs(relinked) if of == kind]
    assert specs
    for subject, spec in specs:
        job: Any = JobSpec.parse(spec)

        assert job.kind == kind
        made = job.output.model_folder if kind in ("train", "live") else job.output
        assert subject in (made.name, made.stem)
        again = type(job).model_validate_json(job.model_dump_json())
        assert again == job
        if kind == "train":
            assert (job.plan.recipe, job.plan.seed) == (spec["plan"]["recipe"], spec["plan"]["seed"])
            assert job.plan.network.model_dump(mode="json") == spec["plan"]["network"]


@pytest.mark.slow
@pytest.mark.parametrize("name", RESUMED["trainings"])
def test_a_training_goes_on_where_it_was_cut_short(session: Session, name: str) -> None:
    first, last, parent = RESUMED["trainings"][name]
    job = next(job for job in session.jobs.unfinished_trainings() if job.output.model_folder.name == name)
    done: list[int] = []

    result = run(
        session,
        job,
        lambda event: done.append(event.done) if isinstance(event, Progressed) and event.note == "training" else None,
    )

    assert done == list(range(first, last + 1))
    assert (result["model"], result["steps"]) == (name, last)
    assert next(m for m in session.models.records() if m.id == name).parent == parent


def test_the_same_plan_finds_the_training_that_was_cut_short(session: Session) -> None:
    begun = {job.output.model_folder.name: job for job in session.jobs.unfinished_trainings()}[RESUMED["by_plan"]]

    job = session.jobs.train_job(begun.plan)

    assert (job.output.model_folder, job.output.run_folder) == (begun.output.model_folder, begun.output.run_folder)


def test_a_prediction_goes_on_where_it_was_cut_short(session: Session) -> None:
    name, n_tiles, n_before = RESUMED["prediction"]
    records = {record.id: record for record in session.predictions.records()}
    plan = next(JobSpec.parse(spec).plan for _, subject, spec in old_specs(session.folder) if subject == name)

    job = session.jobs.resume_prediction_job(records[name])
    result = run(session, job)

    assert (job.plan, job.output) == (plan, records[name].folder)
    assert (result["tiles"], result["tiles_done_before"]) == (n_tiles, n_before)
    box = records[name].box
    assert box is not None
    found, whole = (
        open_ome_zarr(records[id].folder, writable=False).read(box).astype(int) for id in (name, records[name].model)
    )
    assert np.abs(found - whole).max() <= 1


def test_a_segmentation_goes_on_where_it_was_cut_short(session: Session) -> None:
    (begun,) = session.segmentations.unfinished()

    again = session.jobs.segment_job("watershed", begun.prediction, block_shape=begun.block_shape)
    result = run(session, begun)

    found = [again.output.name, result["segmentation"], result["n_supervoxels"], result["n_segments"]]
    assert found == RESUMED["segmentation"]


@pytest.mark.slow
def test_live_goes_on_where_it_stopped(session: Session) -> None:
    (spec,) = (spec for kind, _, spec in old_specs(session.folder) if kind == "live")
    job = session.live.job(JobSpec.parse(spec).plan)
    saved = load_training_state(job.output.run_folder)
    assert saved is not None
    subjects = live_subjects(job.output.run_folder)
    found: dict[str, Any] = {"begun": False, "suggested": False, "steps": []}
    with InlineRunner() as runner:

        def sink(event: JobEvent) -> None:
            if not runner.unfinished():
                return
            (handle,) = runner.unfinished()
            if not found["begun"]:
                found["begun"] = True
                handle.send(view_message(Box((4, 0, 0), (5, 48, 48)), 1))
                handle.send(suggest_message(3))
            if isinstance(event, Measured) and event.name == "network/score":
                found["steps"].append(event.step)
            found["suggested"] |= isinstance(event, Produced) and event.kind == "suggestions"
            if found["suggested"] and found["steps"]:
                handle.send(stop_message())

        end = session.jobs.run(job, runner, sink).wait()

    assert isinstance(end, Finished), end
    assert saved.step >= 8
    assert found["steps"][0] > saved.step
    assert live_subjects(job.output.run_folder) == subjects
    assert end.result["model"] == EXPECTED["live_model"]
    assert session.live.suggestions().boxes


def test_a_retraining_goes_on_where_it_stands(session: Session) -> None:
    retraining = session.retraining.find()
    assert retraining is not None

    task = retraining.task()

    assert task.step == "train"
    assert task.describe is not None
    job: Any = task.describe()
    assert job.output.parent.name == EXPECTED["retraining"]["parent"]
    assert job.boundary_class == "membrane"
    assert job.plan.minutes == EXPECTED["retraining"]["minutes"]


def test_what_is_saved_now_has_the_form_of_before(session: Session) -> None:
    before = json.loads((session.folder / "project.json").read_text())

    session.classes.rename(1, "border")

    before["classes"][0]["name"] = "border"
    assert json.loads((session.folder / "project.json").read_text()) == before


def test_an_image_of_the_project_itself_needs_no_relinking(unpacked: Path) -> None:
    with Session.open(unpacked / "layer.pytc") as session:
        np.testing.assert_array_equal(
            session.image.check().read(Box.of_shape((4, 8, 8))).ravel(), np.arange(256, dtype=np.uint8)
        )
        assert session.strokes.counts() == {"a": 0, "b": 6}
