"""A project with segments of a model of objects, and a runner that makes models and predictions without learning."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from napari_pytc.errors import PytcError
from napari_pytc.geometry import Box
from napari_pytc.jobs.events import Cancelled, Failed, Finished, JobEvent, Started
from napari_pytc.jobs.runners import InlineRunner
from napari_pytc.jobs.spec import JobSpec
from napari_pytc.labels.segments_view import SegmentsView
from napari_pytc.plans.plan import TrainPlan
from napari_pytc.plans.targets import InstancesTarget
from napari_pytc.proofreading.document import LabelDocument
from napari_pytc.session.records import PredictionRecord
from napari_pytc.session.retraining import Retraining
from napari_pytc.session.session import Session
from tests.session.models import make_model
from tests.support.evidence import prediction_of
from tests.support.tissue import MEMBRANE, Tissue

WHAT = ("near", "boundary")
CHANGED = Box((0, 0, 0), (12, 10, 12))
WORSE = {
    "comparison": {
        "baseline": "m1", "verdict": "worse", "mean": 0.5, "baseline_mean": 0.8, "difference": -0.3, "low": -0.4,
        "high": -0.2, "n_blocks": 9,
    }
}  # fmt: skip


def cells_of(tissue: Tissue) -> np.ndarray:
    return np.where(tissue.classes == MEMBRANE, 0, tissue.cells)


class StandIn:
    """Runs segmentations and comparisons; a training gives a model, a prediction what such a model would say.

    Parameters
    ----------
    scores : dict
        Of the models it makes.
    cancel : str
        Kind of the job that is cancelled instead of run.
    """

    def __init__(self, tissue: Tissue, scores: dict[str, Any] | None = None, cancel: str = "") -> None:
        self.tissue, self.scores, self.cancel = tissue, scores or {}, cancel
        self.jobs: list[Any] = []
        self.changes = True

    def start(self, spec: JobSpec, sink: Callable[[JobEvent], None]) -> Any:
        self.jobs.append(spec)
        job: Any = type(spec).model_validate_json(spec.model_dump_json())
        if self.cancel == job.kind:
            sink(Started(job="j"))
            self._half_made(job)
            sink(Cancelled(job="j"))
            return "j"
        if job.kind not in ("train", "predict"):
            with InlineRunner() as runner:
                end = runner.start(spec, sink).wait()
            assert isinstance(end, Finished), end
            return "j"
        sink(Started(job="j"))
        result = self._train(job) if job.kind == "train" else self._predict(job)
        sink(Finished(job="j", result=result))
        return "j"

    def _half_made(self, job: Any) -> None:
        if job.kind == "train":
            (job.output.run_folder / "last.safetensors").write_bytes(b"half")
        elif job.kind == "predict":
            self._predict(job)

    def _train(self, job: Any) -> dict[str, Any]:
        assert job.inputs[0].corrections is not None
        make_model(
            job.output.model_folder,
            "2026-11-22T00:00:00+00:00",
            plan=plan(),
            parent=job.output.parent.name,
            scores=self.scores,
        )
        return {"model": job.output.model_folder.name, "folder": str(job.output.model_folder)}

    def _predict(self, job: Any) -> dict[str, Any]:
        cells = cells_of(self.tissue)
        if self.changes:
            cells[CHANGED.slices] = 0
        if not job.output.exists():
            prediction_of(job.output, cells, self.tissue.space, WHAT)
        return {"output": str(job.output)}


def plan() -> TrainPlan:
    from napari_pytc.plans.networks import LeanUNetNetwork

    return TrainPlan(recipe="neurites", target=InstancesTarget(), network=LeanUNetNetwork(channels=(4, 8)))


def prepare(session: Session, tissue: Tissue) -> str:
    """A model, its prediction and a segmentation of it, which is current; gives the segmentation's id."""
    make_model(session.folder / "models" / "m1", plan=plan(), recipe="neurites", scores={})
    folder = session.folder / "volumes/v1/predictions" / "m1.zarr"
    folder.parent.mkdir(exist_ok=True)
    prediction_of(folder, cells_of(tissue), tissue.space, WHAT)
    record = PredictionRecord(
        id="m1", volume="v1", model="m1", folder=folder, box=None, flips=False, created="1", state="finished"
    )
    session.project.database.put_prediction(record, session.image.digest)
    job = session.jobs.segment_job(
        "agglomeration", settings={"smallest_um3": 0.0, "threshold": 0.7}, block_shape=(6, 24, 20)
    )
    with InlineRunner() as runner:
        assert isinstance(session.jobs.run(job, runner).wait(), Finished)
    return str(job.output.name)


def document(session: Session) -> LabelDocument:
    found = session.proofreader.document
    assert found is not None
    return found


def proofread(session: Session) -> dict[str, list[int]]:
    """Merge, lock, delete and paint; gives the segments by what was done."""
    proofreader, now = session.proofreader, document(session)
    pairs = now.owners(now.graph.edges)
    a, b = pairs[pairs[:, 0] != pairs[:, 1]][-1].tolist()
    proofreader.apply({"kind": "merge", "segments": [a, b]})
    others = [k for k in now.segment_ids().tolist() if k not in (a, b)]
    others.sort(key=lambda k: -now.size(k))
    locked, deleted = others[0], others[1]
    proofreader.apply({"kind": "lock", "segments": [locked]})
    proofreader.apply({"kind": "delete", "segments": [deleted]})
    return {"merged": [a, b], "locked": [locked], "deleted": [deleted]}


def run(session: Session, retraining: Retraining, runner: StandIn, until: str = "") -> str:
    """Run task after task, up to one that does not finish or is named; gives where it stands."""
    while not retraining.is_over:
        task = retraining.task()
        if task.step == until:
            return until
        if task.work is not None:
            retraining.done(task.work(lambda done, total: None, lambda: None))
            continue
        assert task.describe is not None
        ends: list[JobEvent] = []
        session.jobs.run(task.describe(), runner, ends.append)  # type: ignore[arg-type]
        end = next(event for event in ends if isinstance(event, Finished | Cancelled | Failed))
        if not isinstance(end, Finished):
            return f"{task.step} {type(end).__name__}"
        retraining.done(end.result)
    return "over"


def everything(session: Session) -> dict[str, Any]:
    """What must be as before after a retraining that was given up."""
    now = document(session)
    whole = Box.of_shape(now.shape)
    return {
        "segmentation": session.proofreader.segmentation,
        "segments": now.segments(whole).tobytes(),
        "checksum": now.checksum(),
        "entries": [(entry.id, entry.title, entry.is_undone) for entry in session.proofreader.entries()],
        "models": [(model.id, model.active) for model in session.models.records()],
        "predictions": [record.id for record in session.predictions.records()],
        "segmentations": [(info.id, info.active) for info in session.segmentations.records()],
        "trainings": [job.output.run_folder.name for job in session.jobs.unfinished_trainings()],
        "begun": [job.output.name for job in session.segmentations.unfinished()],
        "folder": sorted(p.name for p in session.folder.iterdir() if p.name not in ("trash", "corrections")),
        "runs": sorted(p.name for p in (session.folder / "runs").iterdir()),
    }


def segments_on_disk(folder: Path, shape: Any) -> np.ndarray:
    return SegmentsView.open(folder).read(Box.of_shape(shape))


class Stopped(PytcError):
    """Somebody gave up."""


def stop() -> None:
    raise Stopped("Stopped.")
