"""Training, fresh or fine-tuning: one path for every network."""

from __future__ import annotations

import time
from contextlib import nullcontext
from dataclasses import replace
from functools import partial
from typing import Any

import torch

from napari_pytc.jobs.context import JobContext, SilentContext
from napari_pytc.learning.data.training_data import TrainingData
from napari_pytc.learning.data.volume_data import VolumeData
from napari_pytc.learning.machine.devices import limit_threads, one_thread
from napari_pytc.learning.machine.oom_fallback import run_with_fallback
from napari_pytc.learning.prediction.model import TrainedModel
from napari_pytc.learning.tracking.recorder import RecordedContext, Recorder, recorded
from napari_pytc.learning.tracking.tracker import TrainingOutcome
from napari_pytc.learning.training.finished_model import Checkpoint
from napari_pytc.learning.training.folders import TrainingFolders
from napari_pytc.learning.training.progress import check_watched_score
from napari_pytc.learning.training.tasks.task_of_plan import make_task
from napari_pytc.learning.training.training_run import TEACHER, TrainingRun
from napari_pytc.plans.input_channels import check_n_inputs, check_same_channels
from napari_pytc.plans.model_folder import read_model_info
from napari_pytc.plans.plan import TrainPlan
from napari_pytc.plans.recipes import load_recipe
from napari_pytc.plans.specs import TrainJob
from napari_pytc.plans.tracking import Tracking


def run(job: TrainJob, ctx: JobContext) -> dict[str, Any]:
    """Train a model as a job describes; returns its id, folder, scores, steps, seconds and why training stopped."""
    data = TrainingData.open(job)
    output = job.output
    folders = TrainingFolders(
        model=output.model_folder,
        run=output.run_folder,
        parent=output.parent,
        resume=job.resume,
        in_use=output.baseline,
    )
    tracking = job.tracking or Tracking()
    recorder = Recorder(tracking, tracking.folder_of(output.run_folder), ctx.warn)
    with recorded(recorder):
        done = train(job.plan, data, folders, RecordedContext(ctx, recorder), job.profile, recorder)
        recorder.finish(TrainingOutcome("finished", _outcome(done)), ctx.check)
    return replace(done, notes=(*done.notes, *recorder.notes), tracked=recorder.folders).summary()


def train(
    plan: TrainPlan,
    data: TrainingData | VolumeData,
    folders: TrainingFolders,
    ctx: JobContext,
    profile: bool = False,
    recorder: Recorder | None = None,
) -> Checkpoint:
    """Train a model on annotations and write its folder.

    Parameters
    ----------
    plan : TrainPlan
        The recipe.
    data : TrainingData or VolumeData
        Images, annotations and held-out boxes of several volumes or of one.
    folders : TrainingFolders
        The model folder appears complete or not at all; a checkpoint in the run folder is resumed, if it is of the
        same work.
    ctx : JobContext
        Gets progress, losses and scores; a cancel is checked between steps. A cancelled training leaves a
        checkpoint.
    profile : bool
        Whether a few steps are profiled, see `StepProfile`.
    recorder : Recorder, optional
        Records what `ctx` is not told; its caller ends it.

    Raises
    ------
    ModelError
        If there is nothing to learn from, or the parent does not fit.
    OutOfMemory
        If not even the smallest patch on the CPU fits into memory.
    """
    started = time.monotonic()
    limit_threads()
    plan.check()
    data = TrainingData.of(data)
    if plan.patch_shape is not None:
        plan.network.check_deepest_level(plan.patch_shape, data.space)
    check_same_channels([(volume.title, volume.source.n_channels) for volume in data.volumes])
    if folders.parent is not None:
        check_n_inputs(read_model_info(folders.parent), data.n_inputs, data.volumes[0].image_title)
    plan = plan.model_copy(update={"target": plan.target.of_classes(data.classes)})
    plan.target.check_patch(plan.patch_shape or plan.network.patch_shape(data.space))
    task = make_task(plan, data)
    plan.check_channels(task.roles)
    check_watched_score(plan, task.roles)
    notes = [*data.notes, *task.check(), *plan.notes(), *plan.network.notes(len(task.roles))]
    if profile and plan.network.learns_from == "voxels":
        notes.append("No profile is made: this network learns in a loop of its own, of a few milliseconds a step.")
    normalisations = []
    for volume in data.volumes:
        normalisation, further = volume.normalisation([chunk.box for chunk in task.chunks(volume)], plan.normalisation)
        normalisations.append(normalisation)
        notes += further
        ctx.check()
    for sentence in notes:
        ctx.warn(sentence)

    # Thousands of tiny operations: threads that wait for one another would cost more than they save.
    threads = one_thread() if plan.network.learns_from == "voxels" else nullcontext()
    with threads:
        teach = partial(_train_teacher, plan, data, folders, ctx)
        run = TrainingRun(
            plan, data, task, folders, normalisations, ctx, started, teach, profile=profile, recorder=recorder
        )
        run_with_fallback(run.memory_plans(), run.fit, ctx)
        if run.has_lost_a_class:
            ctx.warn("Near its parent the model found hardly any voxel of a class that is painted: trained afresh.")
            afresh = replace(folders, resume=False)
            run = TrainingRun(
                plan, data, task, afresh, normalisations, ctx, started, teach, distils=False, recorder=recorder
            )
            run_with_fallback(run.memory_plans(), run.fit, ctx)
    return replace(run.finish(), notes=(*notes, *run.notes))


def _outcome(done: Checkpoint) -> dict[str, float | str]:
    """The final numbers of a training for trackers."""
    info, scores = done.info, done.info.scores
    found: dict[str, float | str] = {"stopped by": done.stopped, "steps": info.steps, "seconds": round(info.seconds, 2)}
    for name in ("mean", "mean_iou", "accuracy", "mean_accuracy"):
        if scores.get(name) is not None:
            found[f"final/{name}"] = scores[name]
    for kind in ("dice", "iou"):
        of_kind = scores.get(kind) or {}
        found |= {f"final/{kind}/{name}": value for name, value in of_kind.items() if value is not None}
    return found


def _train_teacher(plan: TrainPlan, data: TrainingData, folders: TrainingFolders, ctx: JobContext) -> TrainedModel:
    """Train the instant model, whose confident predictions are the pseudo-labels of a network, on the same strokes."""
    teacher, run = folders.run / TEACHER, folders.run / "teacher-run"
    where = TrainingFolders(teacher, run, resume=False, distil_from=folders.distil_from or folders.parent)
    changes = [f"seed={plan.seed}", *plan.network.teacher_settings()]
    # The teacher sees what the network sees.
    recipe = load_recipe("instant", changes).model_copy(update={"normalisation": plan.normalisation})
    train(recipe, data, where, SilentContext(ctx))
    torch.manual_seed(plan.seed)  # random numbers of the network do not depend on those of its teacher
    return TrainedModel.load(teacher)
