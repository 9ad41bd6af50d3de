"""Training, fresh or fine-tuning: one path for every network."""

from __future__ import annotations

import hashlib
import json
import shutil
import time
from contextlib import closing, nullcontext
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import lightning.pytorch as pl
import torch
from torch import nn

from napari_pytc.jobs.context import JobContext, Unheard
from napari_pytc.learning.arithmetic import Arithmetic, choose_precision
from napari_pytc.learning.checkpoints import delete_training_state, load_training_state
from napari_pytc.learning.config import TrainPlan
from napari_pytc.learning.data import TrainingData, TrainingImage
from napari_pytc.learning.devices import choose_device, limit_threads, one_thread, spare_thread
from napari_pytc.learning.features_ahead import BatchesWithFeatures, with_features
from napari_pytc.learning.held_answers import LEAST_REPEATED, Held, held_answers, knows_enough, least_repeated
from napari_pytc.learning.ladder import Rung, make_rungs, run_with_ladder
from napari_pytc.learning.lessons import Lesson, make_lesson
from napari_pytc.learning.loader import Loader, quiet_lightning
from napari_pytc.learning.model import TrainedModel
from napari_pytc.learning.model_folder import ModelInfo, read_model_info, weights_path, write_model_folder
from napari_pytc.learning.module import SegmentationModule
from napari_pytc.learning.networks.filter_bank import FilterBank
from napari_pytc.learning.networks.limits import measure_limits
from napari_pytc.learning.normalisation import Normalisation
from napari_pytc.learning.progress import TrainingProgress
from napari_pytc.learning.pseudo_labels import PseudoLabels
from napari_pytc.learning.recipes import load_recipe
from napari_pytc.learning.sampling import BatchSource, VoxelBatches
from napari_pytc.learning.voxel_features import annotated_features
from napari_pytc.learning.weights import load_matching, load_weights, save_weights
from napari_pytc.volumes.statistics import sample_statistics

_SMALLEST_PATCH = (16, 32, 32)
_LIGHTNING_PRECISION = {"float32": "32-true", "bf16": "bf16-mixed", "fp16": "16-mixed"}


@dataclass(frozen=True)
class TrainingFolders:
    """Where the model appears, where checkpoints are kept, what to start from, and which model is in use now.

    A model named by `near` is not started from: its answers are stayed near, as the parent's are.
    """

    model: Path
    run: Path
    parent: Path | None = None
    resume: bool = True
    in_use: Path | None = None
    near: Path | None = None

    @property
    def baselines(self) -> tuple[Path, ...]:
        """The models that the new one is to beat: its parent first, then the one in use."""
        return tuple(dict.fromkeys(path for path in (self.parent, self.in_use) if path is not None))


@dataclass(frozen=True)
class Checkpoint:
    """A finished model on disk."""

    folder: Path
    info: ModelInfo
    stopped: str

    def summary(self) -> dict[str, Any]:
        """What the job answers."""
        return {
            "model": self.info.id,
            "folder": str(self.folder),
            "scores": self.info.scores,
            "steps": self.info.steps,
            "seconds": round(self.info.seconds, 2),
            "stopped": self.stopped,
        }


def train(plan: TrainPlan, data: TrainingData, folders: TrainingFolders, ctx: JobContext) -> Checkpoint:
    """Train a model on annotations and write its folder.

    Parameters
    ----------
    plan : TrainPlan
        The recipe.
    data : TrainingData
        Image, annotations, held-out boxes.
    folders : TrainingFolders
        The model folder appears complete or not at all; a checkpoint in the run folder is gone on from, if it is of the
        same work.
    ctx : JobContext
        Told progress, losses and scores; asked between steps whether to go on. A cancelled training leaves a
        checkpoint.

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
    lesson = make_lesson(plan, data)
    for sentence in lesson.check():
        ctx.warn(sentence)
    statistics = sample_statistics(data.source, exclude=data.held_out)
    if statistics.minimum == statistics.maximum:  # a volume that is mostly padding: tissue is where the strokes are
        painted = [chunk.box for chunk in lesson.chunks]
        statistics = sample_statistics(data.source, exclude=data.held_out, blocks=painted)
    if statistics.n_nonfinite:
        ctx.warn("The image holds voxels that are not finite numbers; they count as the mean intensity.")
    normalisation = Normalisation.from_statistics(statistics)
    ctx.check()

    # Thousands of tiny operations: threads that wait for one another would cost more than they save.
    threads = one_thread() if plan.network.learns_from == "voxels" else nullcontext()
    with threads:
        run = _Run(plan, data, lesson, folders, normalisation, ctx, started)
        run_with_ladder(run.rungs(), run.fit, ctx)
        if run.hides_a_class:
            ctx.warn("Near its parent the model found hardly any voxel of a class that is painted: trained afresh.")
            run = _Run(plan, data, lesson, replace(folders, resume=False), normalisation, ctx, started, hold=False)
            run_with_ladder(run.rungs(), run.fit, ctx)
    return run.finish()


class _Run:
    """One training: what outlives an attempt of the out-of-memory ladder."""

    def __init__(
        self,
        plan: TrainPlan,
        data: TrainingData,
        lesson: Lesson,
        folders: TrainingFolders,
        normalisation: Normalisation,
        ctx: JobContext,
        started: float,
        hold: bool = True,
    ) -> None:
        self._lesson, self._titles = lesson, tuple(role.title for role in lesson.roles)
        self._plan, self._data, self._folders, self._ctx = plan, data, folders, ctx
        self._normalisation = normalisation
        torch.manual_seed(plan.seed)
        self._network = plan.network.build(len(lesson.roles), data.space)
        self.limits = measure_limits(self._network)
        self._parent = None if folders.parent is None else read_model_info(folders.parent)
        from_voxels = plan.network.learns_from == "voxels"
        self._image = TrainingImage(data.source, normalisation, data.held_out)
        near = self._model_to_stay_near() if hold else None
        self._near = None if near is None or from_voxels else near.network.requires_grad_(False)
        self._held: Held | None = None
        if near is not None and isinstance(self._network, FilterBank):
            self._held = held_answers(near, self._network, plan, data, self._image, self.limits)
        is_normalised, fits = False, False
        if self._parent is not None and self._held is None and hold:
            is_normalised, fits = self._start_from(self._parent, folders)
        self._arithmetic = Arithmetic()
        fingerprint = _fingerprint(plan, data, self._parent)
        self._progress = TrainingProgress(
            plan, lesson, normalisation, self.limits, folders.run, fingerprint, ctx, started, folders.baselines
        )
        self._features: tuple[torch.Tensor, torch.Tensor] | None = None
        self._guesses: PseudoLabels | None = None
        self._teacher = folders.run / "teacher"
        if fits:
            self._progress.first = _copy(self._network.state_dict())
        if plan.guess_weight and not from_voxels:
            self._guesses, teacher = self._teach()
            if not is_normalised and _begin_like(self._network, teacher):
                is_normalised = True
                self._progress.first = _copy({**self._network.state_dict(), **self._network.untaught})  # type: ignore[dict-item]
        if from_voxels or (hasattr(self._network, "fit_normalisation") and not is_normalised):
            features = annotated_features(self._network, plan, data, self._image, self.limits, ctx)
            if not is_normalised:
                self._network.fit_normalisation(features[0])  # type: ignore[operator]
            self._features = features if from_voxels else None
        self._module = SegmentationModule(self._network, plan, self._progress, roles=lesson.roles, held=self._held)
        self._saved = load_training_state(folders.run, ctx.warn) if folders.resume else None
        if self._saved is not None and self._saved.fingerprint != fingerprint:
            ctx.warn("The checkpoint in the run folder is of other settings or classes; training starts anew.")
            self._saved = None

    @property
    def hides_a_class(self) -> bool:
        """Whether a model that was held near another answers hardly any voxel of some class as it was painted."""
        if self._held is None or self._features is None:
            return False
        features, classes = self._features
        with torch.no_grad():
            return least_repeated(self._network.classify(features), classes) < LEAST_REPEATED  # type: ignore[operator]

    def _start_from(self, parent: ModelInfo, folders: TrainingFolders) -> tuple[bool, bool]:
        """Take over a parent's weights; whether its features' mean and scale are among them, and whether all fit."""
        assert folders.parent is not None
        report = load_matching(self._network, load_weights(weights_path(folders.parent)))
        if report.reinitialised:
            self._ctx.warn(f"Not all of the parent fits: {report}")
        if len(parent.classes) == len(self._titles) and parent.classes != self._titles:
            self._ctx.warn(
                f"The parent's classes are {', '.join(parent.classes)}, these are {', '.join(self._titles)}: "
                "what it knew of one is taken for the other of the same number."
            )
        return "feature_mean" in report.loaded, not report.reinitialised

    def _model_to_stay_near(self) -> TrainedModel | None:
        """The model whose answers count where nothing is said."""
        folder = self._folders.near or self._folders.parent
        if folder is None or not self._plan.distil_weight:
            return None
        model = TrainedModel.load(folder)
        if model.roles != self._lesson.roles:
            if folder == self._folders.parent:
                self._ctx.warn(
                    "The parent answers something else than is learnt now, so that nothing can hold it near."
                )
            return None
        if self._plan.network.learns_from == "voxels" and not knows_enough(model.info, self._lesson.n_annotated):
            self._ctx.warn("The parent learnt too little of some class to stay near it: its weights are gone on from.")
            return None
        return model

    def rungs(self) -> list[Rung]:
        """Batch, patch and device from what the plan says down to the least that works."""
        shape = self._plan.patch_shape or self._plan.network.patch_shape(self._data.space)
        z, y, x = (-(-n // a) * a for n, a in zip(shape, self.limits.alignment, strict=True))
        return make_rungs(
            self._plan.batch_size,
            (z, y, x),
            str(choose_device(self._plan.device)),
            multiple=self.limits.alignment,
            smallest=_SMALLEST_PATCH,
        )

    def fit(self, rung: Rung) -> None:
        """Train as far as the plan says, with the batch, patch and device of a rung."""
        self._arithmetic = self._choose_arithmetic(rung)
        self._module = SegmentationModule(
            self._network,
            self._plan,
            self._progress,
            self._arithmetic.channels_last,
            self._lesson.roles,
            self._near,
            self._held,
        )
        self._arithmetic.place_network(self._network)
        if self._near is not None:
            self._arithmetic.place_network(self._near)
        state = self._progress.latest or self._saved
        if state is not None:
            self._progress.restore(self._module, state)
        source = self._batches(rung)
        self._progress.arithmetic = self._arithmetic
        if self._progress.step >= self._plan.steps:
            return
        loader = Loader(source, self._progress.step, self._plan.steps)
        is_shared = isinstance(source, BatchesWithFeatures)
        with quiet_lightning(), spare_thread() if is_shared else nullcontext(), closing(loader):
            self._trainer(rung).fit(self._module, train_dataloaders=loader)

    def _trainer(self, rung: Rung) -> pl.Trainer:
        return pl.Trainer(
            accelerator=torch.device(rung.device).type.replace("cuda", "gpu"),
            devices=1,
            precision=_LIGHTNING_PRECISION[self._arithmetic.precision],
            max_steps=max(1, self._plan.steps - self._progress.step),
            max_epochs=-1,
            callbacks=[self._progress],
            logger=False,
            enable_checkpointing=False,
            enable_progress_bar=False,
            enable_model_summary=False,
            num_sanity_val_steps=0,
            limit_val_batches=0,
        )

    def finish(self) -> Checkpoint:
        """Score, write the model folder, drop the checkpoints."""
        weights, scores = self._progress.final(self._module)
        self._progress.check_folder()
        folder = self._folders.model
        info = ModelInfo(
            id=folder.name,
            name=folder.name,
            recipe=self._plan.recipe,
            classes=self._titles,
            parent=None if self._parent is None else self._parent.id,
            voxel_size_nm=self._data.space.voxel_size_nm,
            limits=self.limits,
            seconds=round(self._progress.seconds, 2),
            steps=self._progress.step,
            n_annotated=self._lesson.n_annotated,
            precision=str(self._arithmetic),
            plan=self._plan,
            scores=scores,
        )
        write_model_folder(folder, info, self._normalisation, lambda path: save_weights(path, weights))
        delete_training_state(self._folders.run)
        shutil.rmtree(self._teacher, ignore_errors=True)
        return Checkpoint(folder, info, self._progress.stopped)

    def _choose_arithmetic(self, rung: Rung) -> Arithmetic:
        plan, network = self._plan, self._network
        if plan.network.learns_from == "voxels":
            return Arithmetic()
        return choose_precision(
            torch.device(rung.device),
            lambda: plan.network.build(len(self._titles), self._data.space),
            (rung.batch_size, 1, *rung.shape),
            training=True,
            wanted=plan.precision,
            network_key=f"{plan.network} {self._data.space.anisotropy:.2g} {type(network).__name__}",
        )

    def _batches(self, rung: Rung) -> BatchSource:
        if self._features is not None:
            return VoxelBatches(*self._features, len(self._data.classes), self._plan, rung.batch_size)
        batches = self._lesson.batches(self._image, self._plan, rung.batch_size, rung.shape, self._guesses)
        return with_features(batches, self._network, rung.device)

    def _teach(self) -> tuple[PseudoLabels, TrainedModel]:
        """Train the instant model on the same strokes; its guesses, and itself."""
        self._ctx.report(0, self._plan.steps, "training the instant model for its guesses")
        run, near = self._folders.run / "teacher-run", self._folders.near or self._folders.parent
        folders = TrainingFolders(self._teacher, run, resume=False, near=near)
        changes = [f"seed={self._plan.seed}"]
        if hasattr(self._plan.network, "starter"):
            changes.append(f"network.starter={str(self._plan.network.starter).lower()}")
        train(load_recipe("instant", changes), self._data, folders, Unheard(self._ctx))
        torch.manual_seed(self._plan.seed)
        teacher = TrainedModel.load(self._teacher)
        return PseudoLabels(teacher, self._image, self._plan.guess_confidence), teacher


def _begin_like(network: nn.Module, teacher: TrainedModel) -> bool:
    """Let a network that holds a filter bank like the teacher's begin with its weights; whether it does."""
    bank = getattr(network, "bank", None)
    weights = teacher.network.state_dict()
    if bank is None or {n: t.shape for n, t in bank.state_dict().items()} != {n: t.shape for n, t in weights.items()}:
        return False
    bank.load_state_dict(weights)
    return True


def _copy(weights: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    return {name: tensor.detach().clone() for name, tensor in weights.items()}


def _fingerprint(plan: TrainPlan, data: TrainingData, parent: ModelInfo | None) -> str:
    settings = json.loads(plan.model_dump_json(exclude={"device", "precision", "checkpoint_every", "decoder"}))
    # As it was before there were other targets, corrections and distillation.
    if plan.target.kind == "classes":
        del settings["target"]
    if not data.corrections:
        del settings["corrections_share"]
    if not plan.distil_weight:
        del settings["distil_weight"]
    work = {
        "plan": settings,
        "classes": data.classes,
        "held_out": [str(box) for box in data.held_out],
        "shape": data.source.shape,
        "voxel_size_nm": data.space.voxel_size_nm,
        "parent": None if parent is None else parent.id,
    }
    return hashlib.sha256(json.dumps(work, sort_keys=True).encode()).hexdigest()[:16]
