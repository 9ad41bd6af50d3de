"""Unfinished trainings are found again by their notes, the latest first, and by the work that they were."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest

from napari_pytc.geometry import Box, VoxelSpace
from napari_pytc.plans.plan import TrainPlan
from napari_pytc.plans.specs import ModelOutput, TrainJob, VolumeInputs
from napari_pytc.session.runs.training_runs import (
    Revisions,
    discard_unbegun,
    note_work,
    noted_volumes,
    unfinished_runs,
    work_of,
)
from napari_pytc.volumes.spec import NpySpec


def train_job(root: Path, plan: TrainPlan | None = None, **changes: Any) -> TrainJob:
    inputs = VolumeInputs(
        volume=NpySpec(path=root / "raw.npy"), digest="d", space=VoxelSpace((30, 8, 8)), annotations=root / "a.zarr"
    )
    fields: dict[str, Any] = {
        "inputs": (inputs,),
        "classes": ("membrane", "inside"),
        "plan": plan or TrainPlan(),
        "output": ModelOutput(model_folder=root / "models" / "m", run_folder=root / "runs" / "m"),
        **changes,
    }
    return TrainJob(**fields)


def leave_run(root: Path, name: str, age_s: float, note: str | None = None, has_checkpoint: bool = True) -> Path:
    folder = root / "runs" / name
    note_work(folder, "work", train_job(root), ["v1", "v3"])
    if note is not None:
        (folder / "work.json").write_text(note)
    if has_checkpoint:
        (folder / "state.safetensors").write_bytes(b"weights")
        os.utime(folder / "state.safetensors", (1e9 - age_s, 1e9 - age_s))
    return folder


def test_the_latest_unfinished_run_comes_first(tmp_path: Path) -> None:
    for name, age_s in (("older", 60), ("newest", 1), ("oldest", 3600)):
        leave_run(tmp_path, name, age_s)
    found = unfinished_runs(tmp_path / "runs", tmp_path / "models", ())
    assert [name for name, _ in found] == ["newest", "older", "oldest"]
    assert {note["work"] for _, note in found} == {"work"}
    assert noted_volumes(found[0][1]) == ["v1", "v3"]
    assert TrainJob.model_validate(found[0][1]["job"]) == train_job(tmp_path)


def test_runs_that_cannot_go_on_are_left_out(tmp_path: Path) -> None:
    leave_run(tmp_path, "without a checkpoint", 1, has_checkpoint=False)
    leave_run(tmp_path, "running", 1)
    leave_run(tmp_path, "finished", 1)
    (tmp_path / "models" / "finished").mkdir(parents=True)
    leave_run(tmp_path, "damaged", 1, note="{")
    leave_run(tmp_path, "a list", 1, note="[]")
    (leave_run(tmp_path, "without a note", 1) / "work.json").unlink()
    assert unfinished_runs(tmp_path / "runs", tmp_path / "models", ("running",)) == []
    assert unfinished_runs(tmp_path / "nowhere", tmp_path / "models", ()) == []


def test_a_note_of_version_0_1_is_of_the_first_volume() -> None:
    assert noted_volumes({}) == ["v1"]


def test_a_run_that_wrote_nothing_leaves_nothing(tmp_path: Path) -> None:
    unbegun = leave_run(tmp_path, "unbegun", 1, has_checkpoint=False)
    begun = leave_run(tmp_path, "begun", 1)
    for folder in (unbegun, begun, tmp_path / "gone"):
        discard_unbegun(folder)
    assert not unbegun.exists()
    assert begun.exists()


def test_the_work_is_what_decides_the_outcome_and_not_where_it_is_done(tmp_path: Path) -> None:
    revision = [Revisions("d", 3)]
    work = work_of(train_job(tmp_path), revision)
    elsewhere = ModelOutput(model_folder=tmp_path / "models" / "other", run_folder=tmp_path / "runs" / "other")
    on_gpu = TrainPlan(device="cuda", precision="bf16", checkpoint_every=7)
    assert work_of(train_job(tmp_path, output=elsewhere), revision) == work
    assert work_of(train_job(tmp_path, on_gpu), revision) == work


@pytest.mark.parametrize(
    "what", ["plan", "classes", "held_out", "strokes", "objects", "corrections", "image", "parent"]
)
def test_anything_that_is_learnt_otherwise_is_other_work(tmp_path: Path, what: str) -> None:
    job, revision = train_job(tmp_path), Revisions("d", 3)
    work = work_of(job, [revision])
    (inputs,) = job.inputs
    held_out = inputs.model_copy(update={"held_out": (Box((0, 0, 0), (1, 2, 2)),)})
    jobs = {
        "plan": train_job(tmp_path, TrainPlan(steps=401)),
        "classes": train_job(tmp_path, classes=("membrane", "other")),
        "held_out": train_job(tmp_path, inputs=(held_out,)),
        "parent": train_job(tmp_path, output=job.output.model_copy(update={"parent": tmp_path / "models" / "p"})),
    }
    revisions = {
        "strokes": Revisions("d", 4),
        "objects": Revisions("d", 3, objects=1),
        "corrections": Revisions("d", 3, corrections="c"),
        "image": Revisions("e", 3),
    }
    assert work_of(jobs.get(what, job), [revisions.get(what, revision)]) != work


def test_the_note_is_json_that_a_person_can_read(tmp_path: Path) -> None:
    folder = leave_run(tmp_path, "run", 1)
    assert set(json.loads((folder / "work.json").read_text())) == {"work", "volumes", "job"}
