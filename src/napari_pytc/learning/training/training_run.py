"""One run of a training: what is learnt from what, in which steps, and the model that it leaves."""

from __future__ import annotations

import copy
import shutil
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, closing, nullcontext
from dataclasses import replace
from pathlib import Path
from typing import Any

import lightning.pytorch as pl
import torch

from napari_pytc.jobs.context import JobContext
from napari_pytc.learning.data.augmentations.mixup import with_mixup
from napari_pytc.learning.data.prefetch_features import FeaturePrefetcher, with_features
from napari_pytc.learning.data.pseudo_labels import PseudoLabels
from napari_pytc.learning.data.sampling import TrainingVolume
from napari_pytc.learning.data.training_data import TrainingData
from napari_pytc.learning.data.training_image import CACHE_BYTES, TrainingImage
from napari_pytc.learning.data.voxel_features import annotated_features
from napari_pytc.learning.evaluation.object_scoring import ObjectScorer
from napari_pytc.learning.evaluation.patch_pictures import PatchPictures
from napari_pytc.learning.machine.devices import spare_thread
from napari_pytc.learning.machine.oom_fallback import MemoryPlan
from napari_pytc.learning.machine.precision import Precision
from napari_pytc.learning.machine.weights import save_weights
from napari_pytc.learning.networks.filter_bank import FilterBank
from napari_pytc.learning.networks.network import FeatureBank, build_network
from napari_pytc.learning.networks.step_memory import StepMemoryCounter
from napari_pytc.learning.prediction.image_statistics import input_names
from napari_pytc.learning.prediction.model import TrainedModel
from napari_pytc.learning.prediction.tiling import training_tiling
from napari_pytc.learning.tracking.recorder import Recorder
from napari_pytc.learning.training.finished_model import Checkpoint, most_annotated_normalisation, trained_volumes
from napari_pytc.learning.training.folders import TrainingFolders
from napari_pytc.learning.training.memory.step_plans import fitting_plans
from napari_pytc.learning.training.parent import load_distilled_model, start_from
from napari_pytc.learning.training.progress import Learner, ProgressCallback
from napari_pytc.learning.training.state.checkpoints import delete_training_state, load_training_state
from napari_pytc.learning.training.state.training_identity import training_fingerprint
from napari_pytc.learning.training.steps.compiling import TrainingLogits, compiled_logits
from napari_pytc.learning.training.steps.distillation import (
    LEAST_RECALL,
    DistillationTargets,
    distillation_targets_of,
    lowest_recall,
)
from napari_pytc.learning.training.steps.filter_bank_fit import FilterBankFit
from napari_pytc.learning.training.steps.loop import Loader, fit_network, measured_precision, memory_plans
from napari_pytc.learning.training.steps.module import SegmentationModule
from napari_pytc.learning.training.steps.nonfinite import LossGuard
from napari_pytc.learning.training.steps.optimisation import check_backbone
from napari_pytc.learning.training.steps.profiling import PROFILE_FILES, StepProfile
from napari_pytc.learning.training.tasks.task import LearningTask
from napari_pytc.plans.model_folder import ModelInfo, read_model_info, write_model_folder
from napari_pytc.plans.networks import NetworkLimits
from napari_pytc.plans.normalisation import ImageNormalisation
from napari_pytc.plans.plan import TrainPlan
from napari_pytc.plans.windows import Windows

TEACHER = "teacher"
"""Folder of the instant model that makes pseudo-labels, in that of the run."""


class TrainingRun:
    """State of one training that outlives an attempt that ran out of memory.

    Parameters
    ----------
    plan : TrainPlan
        The recipe.
    task : LearningTask
        Channels, annotations, batches and scores of its target.
    normalisations : sequence of ImageNormalisation
        Of each volume.
    started : float
        When the training began, by `time.monotonic`.
    train_teacher : callable
        Trains the instant model that makes pseudo-labels, in the folder ``teacher`` of the run's.
    distils : bool
        Whether predictions of the parent are distilled where nothing is annotated, if the plan says so.
    profile : bool
        Whether a few steps are profiled, see `StepProfile`.
    recorder : Recorder, optional
        Records the training; told here that it begins.
    """

    def __init__(
        self,
        plan: TrainPlan,
        data: TrainingData,
        task: LearningTask,
        folders: TrainingFolders,
        normalisations: Sequence[ImageNormalisation],
        ctx: JobContext,
        started: float,
        train_teacher: Callable[[], TrainedModel],
        distils: bool = True,
        profile: bool = False,
        recorder: Recorder | None = None,
    ) -> None:
        self._profile, self._recorder = profile, recorder
        self.notes: list[str] = []
        """What is told of the training while it runs."""
        self._task, self._titles = task, tuple(role.title for role in task.roles)
        self._plan, self._data, self._folders, self._ctx = plan, data, folders, ctx
        self._normalisations = tuple(normalisations)
        torch.manual_seed(plan.seed)
        self._network = build_network(plan.network, len(task.roles), data.space, data.n_inputs)
        check_backbone(plan, self._network.encoder_part())
        self.tiling = training_tiling(self._network, plan, data.space)
        self._parent = None if folders.parent is None else read_model_info(folders.parent)
        from_voxels = plan.network.learns_from == "voxels"
        self._n_learnt = max(1, sum(1 for volume in data.volumes if task.chunks(volume)))  # others are only scored
        cache_bytes = CACHE_BYTES // self._n_learnt
        self._volumes = [
            TrainingVolume(volume, TrainingImage(volume.source, normalisation, volume.held_out, cache_bytes))
            for volume, normalisation in zip(data.volumes, normalisations, strict=True)
        ]
        distilled = load_distilled_model(plan, task, folders, ctx.warn) if distils else None
        self._parent_network = None if distilled is None or from_voxels else distilled.network.requires_grad_(False)
        self._targets: DistillationTargets | None = None
        bank = self._network.feature_bank
        if distilled is not None and bank is not None and from_voxels:
            self._targets = distillation_targets_of(distilled, bank, plan, self._volumes)
        is_normalised, fits = False, False
        if folders.parent is not None and self._parent is not None and self._targets is None and distils:
            is_normalised, fits = start_from(self._network, plan, self._parent, folders.parent, self._titles, ctx.warn)
        self._precision = Precision()
        fingerprint = training_fingerprint(plan, data, self._parent)
        wants_pictures = recorder is not None and recorder.wants_pictures
        pictures = PatchPictures(data, task.roles, normalisations) if wants_pictures else None
        self._progress = ProgressCallback(
            plan,
            task,
            normalisations,
            data.space,
            self.tiling,
            folders.run,
            fingerprint,
            ctx,
            started,
            folders.baselines,
            ObjectScorer.of(plan, data, normalisations, task.roles, self._tell),
            recorder,
            pictures,
        )
        if not self._progress.has_scores:
            for sentence in plan.notes_without_scores():
                self._tell(sentence)
        self._features: tuple[torch.Tensor, torch.Tensor, torch.Tensor] | None = None
        self._teacher = folders.run / TEACHER
        if fits:
            self._progress.first = _copy(self._network.state_dict())
        if plan.guess_weight and not from_voxels:
            teacher = self._label_by_teacher(train_teacher)
            if not is_normalised and self._network.load_bank(teacher.network.state_dict()):
                is_normalised = True
                self._progress.first = _copy({**self._network.state_dict(), **self._network.bank_alone()})
        if bank is not None and (from_voxels or not is_normalised):
            features = self._annotated_features(bank)
            if not is_normalised:
                bank.fit_normalisation(features[0])
            self._features = features if from_voxels else None
        self._learner: Learner | None = None
        self._saved = load_training_state(folders.run, ctx.warn) if folders.resume else None
        if self._saved is not None and self._saved.fingerprint != fingerprint:
            ctx.warn("The checkpoint in the run folder is of other settings or classes; training starts anew.")
            self._saved = None
        if recorder is not None:
            info = self._info({}, 0).model_dump(mode="json", exclude={"plan", "scores", "seconds", "steps"})
            first = 0 if self._saved is None else self._saved.step
            recorder.begin(folders.model.name, plan.model_dump(mode="json"), info, first)

    @property
    def has_lost_a_class(self) -> bool:
        """Whether distillation left a model that finds hardly any voxel of some painted class."""
        bank = self._network.feature_bank
        if self._targets is None or self._features is None or bank is None:
            return False
        features, classes, _ = self._features
        with torch.no_grad():
            return lowest_recall(bank.classify(features), classes) < LEAST_RECALL

    def memory_plans(self) -> list[MemoryPlan]:
        """Batch, patch and device from those of the plan down to the least that works."""
        plans = memory_plans(self._plan, self._data.space, self.tiling)
        if self._plan.network.learns_from == "voxels":
            return plans
        self._tell_of_levels(plans[0])
        return fitting_plans(self._network, plans, self._ctx.warn, parent=self._parent_network)

    def _tell_of_levels(self, memory: MemoryPlan) -> None:
        """Say which weights of levels the network has no level for, or which levels have none."""
        weights = self._plan.supervision_weights
        if weights is None:
            return
        counter = StepMemoryCounter(copy.deepcopy(self._network))
        n_levels = counter.count(memory.batch_size, memory.shape).n_levels
        if n_levels == 1 and len(weights) >= 1:
            self._tell("supervision_weights has no effect: this network has a single level with a loss.")
        elif len(weights) > n_levels:
            self._tell(f"supervision_weights: the network has {n_levels} levels; the weights beyond have no effect.")
        elif len(weights) < n_levels:
            self._tell(
                f"supervision_weights: the network has {n_levels} levels; the {n_levels - len(weights)} coarsest have "
                "no weight and are not learnt from."
            )

    def fit(self, memory: MemoryPlan) -> None:
        """Train as far as the plan demands, with the batch, patch and device of a memory plan."""
        if self._features is None:
            self._ctx.report(self._progress.step, self._plan.steps, "measuring which precision is fastest")
            self._precision = measured_precision(
                self._plan, self._network, len(self._titles), self._data.space, memory, ctx=self._ctx
            )
            self._progress.precision = self._precision
            self._fit_network(memory)
        else:
            self._fit_filter_bank(memory, *self._features)

    def _fit_network(self, memory: MemoryPlan) -> None:
        n_each = self._plan.gradients.accumulate
        self._precision.place_network(self._network)
        module = SegmentationModule(
            self._network,
            self._plan,
            self._progress,
            self._precision.channels_last,
            self._task.roles,
            self._parent_network,
            LossGuard(self._folders.run, self._progress, lambda number: source.batch(number), n_each),
        )
        self._learner = module
        if self._parent_network is not None:
            self._precision.place_network(self._parent_network)
        if self._is_over_once_restored(module):
            return
        batches = self._task.batches(self._volumes, self._plan, memory.batch_size, memory.shape)
        source = with_features(with_mixup(batches, self._plan), self._network, memory.device)
        loader = Loader(source, self._progress.step * n_each, self._plan.steps * n_each)
        is_shared = isinstance(source, FeaturePrefetcher)
        n_left = self._plan.steps - self._progress.step
        callbacks: list[pl.Callback] = [self._progress]
        if self._profile:
            callbacks.append(StepProfile(self._folders.run, self._tell))
        threads = spare_thread() if is_shared else nullcontext()
        with threads, closing(loader), self._compiled(memory, has_features=is_shared) as module.training_logits:
            fit_network(
                module,
                loader,
                memory,
                self._precision,
                callbacks,
                max_steps=n_left,
                accumulate=n_each,
                deterministic=self._plan.execution.deterministic,
            )

    def _compiled(self, memory: MemoryPlan, has_features: bool) -> AbstractContextManager[TrainingLogits]:
        """What steps compute the logits by: compiled if the plan says so."""
        if self._plan.execution.compile and not has_features:
            return compiled_logits(self._network, memory, self._precision, self._tell)
        if self._plan.execution.compile:
            self._tell("This network is trained on features that are computed ahead; it is not compiled.")
        return nullcontext(self._network.training_logits)

    def _tell(self, sentence: str) -> None:
        """Warn, and keep the sentence in the result."""
        if sentence not in self.notes:
            self.notes.append(sentence)
            self._ctx.warn(sentence)

    def _annotated_features(self, bank: FeatureBank) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        """Features, classes and the volume's number of the annotated voxels of all volumes."""
        found = []
        painted = [(number, volume) for number, volume in enumerate(self._volumes) if volume.data.chunks]
        for number, volume in painted:
            features, classes = annotated_features(
                bank, self._plan, volume.data, volume.image, self._ctx, n_volumes=len(painted)
            )
            found.append((features, classes, torch.full_like(classes, number)))
        features, classes, volumes = (torch.cat(parts) for parts in zip(*found, strict=True))
        return features, classes, volumes

    def _fit_filter_bank(
        self, memory: MemoryPlan, features: torch.Tensor, classes: torch.Tensor, volumes: torch.Tensor
    ) -> None:
        assert isinstance(self._network, FilterBank)
        plan, progress = self._plan, self._progress
        numbers = volumes if len(self._volumes) > 1 else None
        fit = FilterBankFit(self._network, plan, features, classes, self._targets, memory.batch_size, numbers)
        self._learner = fit
        if self._is_over_once_restored(fit):
            return
        fit.to(memory.device)
        try:
            if not progress.begin(fit):
                fit.run(
                    plan.steps,
                    plan.learning_rate,
                    first=progress.step,
                    share=progress.share,
                    after_step=lambda loss: progress.after_step(fit, loss),
                    guard=LossGuard(self._folders.run, progress),
                )
        except BaseException:
            progress.keep_latest(fit)
            raise
        finally:
            fit.to("cpu")

    def _is_over_once_restored(self, learner: Learner) -> bool:
        """Resume from a checkpoint, if there is one; whether there are no steps left."""
        state = self._progress.latest or self._saved
        if state is not None:
            self._progress.restore(learner, state)
        return self._progress.step >= self._plan.steps

    def finish(self) -> Checkpoint:
        """Score, write the model folder, drop the checkpoints."""
        assert self._learner is not None
        weights, scores = self._progress.final(self._learner)
        self._progress.check_folder()
        folder = self._folders.model
        info = self._info(scores, self._progress.step)
        normalisation = most_annotated_normalisation(self._data, self._task, self._normalisations)
        write_model_folder(folder, info, normalisation, lambda path: self._write(path, weights))
        delete_training_state(self._folders.run)
        self._progress.kept.delete()
        if self._profile:
            for name in PROFILE_FILES:
                (self._folders.run / name).unlink(missing_ok=True)
        shutil.rmtree(self._teacher, ignore_errors=True)
        return Checkpoint(folder, info, self._progress.stopped)

    def _info(self, scores: dict[str, Any], n_steps: int) -> ModelInfo:
        """The description of the model that this training makes."""
        folder = self._folders.model
        return ModelInfo(
            id=folder.name,
            name=folder.name,
            recipe=self._plan.recipe,
            classes=self._titles,
            parent=None if self._parent is None else self._parent.id,
            voxel_size_nm=self._data.space.voxel_size_nm,
            is_voxel_size_known=self._data.space.known,
            limits=self.tiling if isinstance(self.tiling, NetworkLimits) else None,
            window_shape=self.tiling.shape if isinstance(self.tiling, Windows) else None,
            seconds=round(self._progress.seconds, 2),
            steps=n_steps,
            boundary_class=self._data.boundary_class,
            n_annotated=self._task.n_annotated,
            n_inputs=self._data.n_inputs,
            input_names=input_names(self._data.volumes[0].source),
            precision=str(self._precision),
            volumes=trained_volumes(self._data, self._normalisations),
            plan=self._plan,
            scores=scores,
        )

    def _write(self, path: Path, weights: dict[str, torch.Tensor]) -> None:
        """Write weights into a model folder that is being made, and what is kept beside them."""
        save_weights(path, weights)
        self._progress.kept.copy_to(path.parent)
        for name in PROFILE_FILES:
            if self._profile and (self._folders.run / name).is_file():
                shutil.copyfile(self._folders.run / name, path.parent / name)

    def _label_by_teacher(self, train_teacher: Callable[[], TrainedModel]) -> TrainedModel:
        """Train the instant model on the same strokes; volumes get its pseudo-labels."""
        self._ctx.report(0, self._plan.steps, "training the instant model for pseudo-labels")
        teacher = train_teacher()
        confidence, n_volumes = self._plan.guess_confidence, self._n_learnt
        self._volumes = [
            replace(volume, pseudo_labels=PseudoLabels(teacher, volume.image, confidence, n_volumes=n_volumes))
            for volume in self._volumes
        ]
        return teacher


def _copy(weights: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    return {name: tensor.detach().clone() for name, tensor in weights.items()}
