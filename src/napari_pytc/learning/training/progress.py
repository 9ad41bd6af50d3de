"""Between the steps of a training: reports, scores, checkpoints, and the end."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Protocol, cast

import lightning.pytorch as pl
import numpy as np
import torch
from lightning.pytorch.plugins.precision import Precision as LightningPrecision
from torch import Tensor

from napari_pytc.errors import InvalidInput, ModelError
from napari_pytc.geometry import VoxelSpace
from napari_pytc.jobs.context import JobCancelled, JobContext
from napari_pytc.jobs.execution import in_one_sentence
from napari_pytc.learning.evaluation.evaluation import ScoredModel, not_compared
from napari_pytc.learning.evaluation.instance_scoring import group_of
from napari_pytc.learning.evaluation.object_scoring import ObjectScorer, precision_curves
from napari_pytc.learning.evaluation.patch_pictures import PatchPictures
from napari_pytc.learning.machine.precision import Precision
from napari_pytc.learning.networks.network import Network
from napari_pytc.learning.prediction.predictor import BoxInferer
from napari_pytc.learning.prediction.tiling import make_inferer
from napari_pytc.learning.tracking.recorder import Recorder
from napari_pytc.learning.training.losses import TrainingLoss
from napari_pytc.learning.training.state.best_weights import BestWeights
from napari_pytc.learning.training.state.checkpoints import TrainingState, save_training_state
from napari_pytc.learning.training.steps.module import SegmentationModule
from napari_pytc.learning.training.steps.optimisation import LearningRate, WeightAverage, is_reported
from napari_pytc.learning.training.tasks.task import LearningTask
from napari_pytc.plans.normalisation import ImageNormalisation
from napari_pytc.plans.plan import TrainPlan
from napari_pytc.plans.windows import Tiling
from napari_pytc.volumes.roles import ChannelRole

_SCORED_VOXELS, _FINALLY_SCORED_VOXELS = 400_000, 3_000_000


class Learner(Protocol):
    """Learner of a training: a `SegmentationModule` in Lightning's loop, or a `FilterBankFit` in its own."""

    rate: LearningRate
    loss: TrainingLoss
    gradient_norm: Tensor | None
    optimiser: torch.optim.Optimizer | None
    optimiser_state: dict[str, Any] | None

    @property
    def network(self) -> Network:
        """The network that learns."""

    @property
    def average(self) -> WeightAverage:
        """The network with averaged weights."""

    @property
    def device(self) -> torch.device:
        """Device of the weights."""

    def check_loss(self) -> None:
        """End the training if the last loss is no number."""

    def move_average(self) -> None:
        """Move the averaged weights towards those of the step that is over."""


class GradScalerState:
    """State of Lightning's loss scaler, where the precision has one: fp16 on a GPU."""

    def __init__(self) -> None:
        self._plugin: LightningPrecision | None = None
        self._restored: dict[str, Any] = {}

    def attach(self, trainer: pl.Trainer) -> None:
        """Take the scaler of a trainer, and give it the state that was restored."""
        self._plugin = trainer.precision_plugin
        if self._restored:
            self._plugin.load_state_dict(self._restored)
            self._restored = {}

    def state(self) -> dict[str, Any]:
        """Its state as JSON values; empty where there is no scaler."""
        return self._restored if self._plugin is None else dict(self._plugin.state_dict())

    def restore(self, state: dict[str, Any]) -> None:
        """Set the state that `attach` gives to the scaler."""
        self._plugin, self._restored = None, dict(state)


class ProgressCallback(pl.Callback):
    """Counts steps and seconds, scores, saves, stops.

    Lightning's loop calls the hooks of a callback; the filter bank's fit calls `begin` and `after_step`.

    Parameters
    ----------
    normalisations : sequence of ImageNormalisation
        Of each volume.
    space : VoxelSpace
        Voxel size of the network.
    run_folder : Path
        Folder of the checkpoints.
    fingerprint : str
        Digest of the work, so that a checkpoint of other work is not resumed.
    started : float
        Start of the training, by the monotonic clock.
    baselines : sequence of Path
        Folders of the models that the new one is compared with.
    objects : ObjectScorer, optional
        Scores single objects; nothing is decided by them.
    recorder : Recorder, optional
        Gets, beside the metrics of `ctx`, parts of the loss and pictures.
    pictures : PatchPictures, optional
        Draws these.
    """

    def __init__(
        self,
        plan: TrainPlan,
        task: LearningTask,
        normalisations: Sequence[ImageNormalisation],
        space: VoxelSpace,
        tiling: Tiling,
        run_folder: Path,
        fingerprint: str,
        ctx: JobContext,
        started: float,
        baselines: Sequence[Path] = (),
        objects: ObjectScorer | None = None,
        recorder: Recorder | None = None,
        pictures: PatchPictures | None = None,
    ) -> None:
        self._objects = objects
        self._plan, self._ctx, self._tiling = plan, ctx, tiling
        self._recorder, self._pictures = recorder, pictures
        self._baselines = tuple(baselines)
        self._run_folder, self._fingerprint = run_folder, fingerprint
        self._had_run_folder = run_folder.is_dir()
        self._roles = task.roles
        self._space = space
        self._watches_loss = plan.watching.score == "loss"
        self._scorer = task.scorer(normalisations, _SCORED_VOXELS, "watched")
        self._final_scorer = task.scorer(normalisations, _FINALLY_SCORED_VOXELS, "scored")
        if not self._final_scorer.n_boxes:
            kept = "those of the least loss" if self._watches_loss else "the last weights"
            ctx.warn(f"No annotated voxel is held out, so the model gets no score and {kept} are kept.")
        elif not self._scorer.n_boxes and not self._watches_loss:
            ctx.warn("So little is annotated in the held-out boxes that all of it scores: the last weights are kept.")
        self._started = started
        self._seconds_before = 0.0
        self._since_best = 0
        self._reference: float | None = None
        """The score that another must be better than by the least change."""
        self._losses: Tensor | None = None
        self._n_losses = 0
        self._parts: list[Tensor] = []
        """Losses of the batches of a step that is not over."""
        self._scaler = GradScalerState()
        self.kept = BestWeights(run_folder, plan.watching.keep_best, is_lower_better=self._watches_loss)
        self._rng = np.random.default_rng(plan.seed)
        self.step = 0
        self.best_score: float | None = None
        self.best: dict[str, Tensor] | None = None
        self.history: list[dict[str, Any]] = []
        self.latest: TrainingState | None = None
        self.first: dict[str, Tensor] | None = None
        """Weights of the model that the training begins as, which it must improve on; None where it begins random."""
        self.precision = Precision()
        self.stopped = "steps"

    @property
    def has_scores(self) -> bool:
        """Whether anything is held out that is scored while the training runs."""
        return bool(self._scorer.n_boxes)

    @property
    def seconds(self) -> float:
        """Time this training took so far, also before it was interrupted."""
        return self._seconds_before + time.monotonic() - self._started

    def check_folder(self) -> None:
        """Refuse to write where the run folder was deleted: half a project would appear in its place."""
        if self._had_run_folder and not self._run_folder.is_dir():
            raise ModelError(
                f"The folder {self._run_folder} was deleted or moved while the training ran.",
                "Put the project back where it was, then train again.",
            )

    def share(self) -> float:
        """Fraction of the training that is over, from 0 to 1, by steps or minutes, whichever is further."""
        by_steps = self.step / self._plan.steps
        by_time = self.seconds / (60 * self._plan.minutes) if self._plan.minutes else 0.0
        return max(by_steps, by_time)

    def on_train_batch_end(
        self, trainer: pl.Trainer, module: pl.LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """Report; every so often score and save; stop when it is time."""
        assert isinstance(module, SegmentationModule)
        self._parts.append(outputs["loss"])
        if len(self._parts) == self._plan.gradients.accumulate:
            loss = self._parts[0] if len(self._parts) == 1 else torch.stack(self._parts).sum()
            self._parts = []
            trainer.should_stop |= self.after_step(module, loss)

    def after_step(self, learner: Learner, loss: Tensor) -> bool:
        """Count a step, score and save where that is due; whether the training is to stop."""
        self.step += 1
        learner.move_average()  # here, because Lightning calls a module's own hook after this one: too late for saving
        if self._watches_loss:
            self._losses = loss.detach().float() + (0.0 if self._losses is None else self._losses)
            self._n_losses += 1
        if is_reported(self.step):
            self._ctx.metric("loss", self.step, float(loss))
            if learner.gradient_norm is not None and torch.isfinite(learner.gradient_norm):
                self._ctx.metric("gradient norm", self.step, float(learner.gradient_norm))
            if learner.optimiser is not None:
                self._ctx.metric("learning rate", self.step, learner.optimiser.param_groups[-1]["lr"])
            self._record_parts(learner)
        learner.loss.forget_parts()
        self._ctx.report(self.step, self._plan.steps, "training")
        try:
            self._ctx.check()
            if self._score_is_due():
                self._validate(learner)
                self._record_pictures(learner)
        except JobCancelled:
            self._save(learner)
            raise
        if self.step % self._plan.checkpoint_every == 0 and self.step < self._plan.steps:
            self._save(learner)
        return self._is_over()

    def on_train_start(self, trainer: pl.Trainer, module: pl.LightningModule) -> None:
        """Score before the first step where that is due; whether the training is to stop."""
        assert isinstance(module, SegmentationModule)
        self._parts = []  # of a step that ran out of memory
        self._scaler.attach(trainer)
        trainer.should_stop |= self.begin(module)

    def _record_parts(self, learner: Learner) -> None:
        if self._recorder is not None:
            for name, value in learner.loss.take_parts().items():
                self._recorder.scalar(f"loss/{name}", self.step, value)

    def _record_pictures(self, learner: Learner) -> None:
        number = self.step // self._plan.validate_every
        if self._recorder is not None and self._pictures is not None and self._pictures.are_due(number):
            try:
                with self._inferer(learner) as inferer:
                    self._recorder.pictures(self.step, self._pictures.draw(inferer, self._ctx.check))
            except Exception as error:  # the trackers' boundary, as in the recorder: a picture is worth no training
                self._pictures = None
                self._recorder.tell(f"No more pictures are recorded: {in_one_sentence(error)}. The training goes on.")

    def begin(self, learner: Learner) -> bool:
        """Score the model that the training begins as, or catch up on the score before an interruption.

        A resumed training must decide as an uninterrupted one. Returns whether it is to stop at once.
        """
        if self.step == 0 and self.first is not None and not self.history:
            average = learner.average.module
            begun = {name: tensor.detach().clone() for name, tensor in average.state_dict().items()}
            average.load_state_dict(self.first)
            self._validate(learner)
            average.load_state_dict(begun)
        if self.step and self._score_is_due():
            self._validate(learner)
            return self._is_over()
        return False

    def _score_is_due(self) -> bool:
        is_new = not self.history or self.history[-1]["step"] != self.step
        return is_new and self.step % self._plan.validate_every == 0 and self.step < self._plan.steps

    def _is_over(self) -> bool:
        """Whether the training stops before its last step."""
        if self._plan.patience and self._since_best >= self._plan.patience:
            self.stopped = "no lower loss" if self._watches_loss else "no better score"
        if self._plan.minutes and self.seconds >= 60 * self._plan.minutes:
            self.stopped = "minutes"
        return self.stopped != "steps"

    def on_exception(self, trainer: pl.Trainer, module: pl.LightningModule, exception: BaseException) -> None:
        """Do as `keep_latest`."""
        assert isinstance(module, SegmentationModule)
        self.keep_latest(module)

    def keep_latest(self, learner: Learner) -> None:
        """Keep the state for an attempt with less memory."""
        if self.step and learner.optimiser is not None:
            self.latest = _detached(self._capture(learner, learner.optimiser))

    def restore(self, learner: Learner, state: TrainingState) -> None:
        """Resume from a checkpoint."""
        try:
            learner.network.load_state_dict(state.network)
            if state.average is not None:
                learner.average.load_state_dict(state.average)
            if state.loss:
                learner.loss.load_state_dict(state.loss)
        except RuntimeError as error:
            raise ModelError(
                "The checkpoint does not fit the network any more.", "Start anew: train with --fresh."
            ) from error
        learner.optimiser_state = state.optimiser
        torch.set_rng_state(state.torch_rng.cpu())
        if state.device_rng is not None and torch.cuda.is_available():
            torch.cuda.set_rng_state(state.device_rng.cpu())
        self.step, self.best, self.best_score = state.step, state.best, state.best_score
        self.history, self._since_best = list(state.history), int(state.extra["since_best"])
        self._reference = state.extra.get("reference", state.best_score)
        self._n_losses, self._losses = int(state.extra.get("n_losses", 0)), None
        if self._n_losses:
            self._losses = torch.tensor(state.extra["losses"], device=learner.device)
        learner.rate.restore(state.extra.get("rate", {}))
        self._scaler.restore(state.extra.get("scaler", {}))
        self.kept.restore(state.extra.get("kept", []))
        if state is not self.latest:
            self._seconds_before = state.seconds

    def final(self, learner: Learner) -> tuple[dict[str, Tensor], dict[str, Any]]:
        """The weights to keep, on the CPU, and their scores."""
        learner.check_loss()
        self._ctx.report(self.step, self._plan.steps, "scoring")
        average = learner.average.module
        if self._scorer.n_boxes or self._watches_loss:
            if not self.history or self.history[-1]["step"] != self.step:
                self._validate(learner)
            if self.kept.n:
                self.kept.save_last(average.state_dict(), self.step)
            if self.best is not None:
                average.load_state_dict(self.best)
        scores = not_compared(self._baselines, "nothing annotated is held out")
        if self._final_scorer.n_boxes:
            with self._inferer(learner) as inferer:
                size = self._space.voxel_size_nm if self._space.known else None
                found = ScoredModel.of(self._final_scorer, inferer, self._ctx.check, size)
                objects = self._scores_of_objects(inferer, _FINALLY_SCORED_VOXELS, with_skeletons=True)
            compared = found.compare_with(self._baselines, self._roles, self._plan, self._ctx)
            scores = {**found.scores, **objects, "history": self.history, **compared}
        return {name: tensor.detach().cpu().contiguous() for name, tensor in average.state_dict().items()}, scores

    @contextmanager
    def _inferer(self, learner: Learner) -> Iterator[BoxInferer]:
        network, roles, device = cast(Network, learner.average.module.eval()), self._roles, learner.device
        try:
            yield make_inferer(network, self._tiling, device, self.precision, warn=self._ctx.warn, roles=roles)
        finally:
            network.to(learner.device)  # the averaged weights go on here, also if memory only sufficed on the CPU

    def _validate(self, learner: Learner) -> None:
        if not self._scorer.n_boxes and not self._watches_loss:
            return
        learner.check_loss()
        scores: dict[str, Any] = {"mean": None, "dice": {}}
        if self._scorer.n_boxes:
            with self._inferer(learner) as inferer:
                scores = self._scorer.score(inferer, self._ctx.check)
                scores |= self._scores_of_objects(inferer, _SCORED_VOXELS)
        watched = self._watched(scores)
        entry = {"step": self.step, "mean": scores["mean"], "dice": scores["dice"]}
        self.history.append(entry if self._plan.watching.score == "mean" else {**entry, "watched": watched})
        for name, value in scores["dice"].items():
            if value is not None:
                self._ctx.metric(f"dice/{name}", self.step, value)
        if scores["mean"] is not None:
            self._ctx.metric("dice", self.step, scores["mean"])
        for name in ("mean_iou", "accuracy", "mean_accuracy"):
            if scores.get(name) is not None:
                self._ctx.metric(name, self.step, scores[name])
        for name, value in precision_curves(scores.get("objects", {})).items():
            self._ctx.metric(name, self.step, value)
        if watched is not None:
            self._take_score(learner, watched)

    def _scores_of_objects(self, inferer: BoxInferer, most_voxels: int, with_skeletons: bool = False) -> dict[str, Any]:
        """Scores of single objects as ``objects``; empty where none are held out, or they cannot be decoded."""
        if self._objects is None:
            return {}
        try:
            return {"objects": self._objects.score(inferer, most_voxels, self._ctx.check, with_skeletons)}
        except (InvalidInput, MemoryError) as error:
            self._objects = None  # it would fail again, and the training is worth more than a score
            self._ctx.warn(f"Single objects get no scores: {in_one_sentence(error)}")
            return {}

    def _watched(self, scores: dict[str, Any]) -> float | None:
        """The score that decides; None where nothing of it is annotated."""
        wanted = self._plan.watching.score
        if wanted == "mean":
            found: float | None = scores["mean"]
            return found
        if wanted != "loss":
            of_name: float | None = scores["dice"].get(wanted)
            return of_name
        if self._losses is None:
            return None
        mean, self._losses, self._n_losses = float(self._losses) / self._n_losses, None, 0
        return mean

    def _take_score(self, learner: Learner, score: float) -> None:
        sign = -1 if self._watches_loss else 1
        self._since_best += 1
        if self._reference is None or sign * score > sign * self._reference + self._plan.watching.min_change:
            self._reference, self._since_best = score, 0
        weights = learner.average.module.state_dict()
        if self.best_score is None or sign * score > sign * self.best_score:
            self.best_score = score
            self.best = {n: t.detach().cpu().clone() for n, t in weights.items()}
        self.kept.offer(weights, self.step, score)
        learner.rate.observe(score)

    def _extra(self, learner: Learner) -> dict[str, Any]:
        """What a checkpoint holds beside weights and optimiser, as JSON values."""
        found: dict[str, Any] = {"since_best": self._since_best, "reference": self._reference}
        if self._losses is not None:
            found |= {"losses": float(self._losses), "n_losses": self._n_losses}
        return {
            **found,
            **{
                name: value
                for name, value in (
                    ("rate", learner.rate.state()),
                    ("scaler", self._scaler.state()),
                    ("kept", self.kept.index),
                )
                if value
            },
        }

    def _capture(self, learner: Learner, optimiser: torch.optim.Optimizer) -> TrainingState:
        return TrainingState.capture(
            learner.network,
            optimiser,
            self._rng,
            fingerprint=self._fingerprint,
            step=self.step,
            seconds=self.seconds,
            average=dict(learner.average.state_dict()),
            best=self.best,
            best_score=self.best_score,
            history=self.history,
            loss=dict(learner.loss.state_dict()) or None,
            extra=self._extra(learner),
        )

    def _save(self, learner: Learner) -> None:
        if learner.optimiser is not None:
            self.check_folder()
            try:
                save_training_state(self._run_folder, self._capture(learner, learner.optimiser))
            except (OSError, ModelError):
                self.check_folder()  # deleted at this moment
                raise


def check_watched_score(plan: TrainPlan, roles: Sequence[ChannelRole]) -> None:
    """Refuse to watch a score that the channels do not have.

    Raises
    ------
    InvalidInput
        With those there are.
    """
    is_classes = plan.target.kind == "classes"
    names = dict.fromkeys(role.title if is_classes else group_of(role) for role in roles)
    known = ["mean", "loss", *names]
    if plan.watching.score not in known:
        raise InvalidInput(
            f"No score is called {plan.watching.score!r}, as watching.score says.", f"There are {', '.join(known)}."
        )


def _detached(state: TrainingState) -> TrainingState:
    """A copy on the CPU: the device's memory is about to be given back."""
    state.network = {name: tensor.detach().cpu().clone() for name, tensor in state.network.items()}
    if state.average is not None:
        state.average = {name: tensor.detach().cpu().clone() for name, tensor in state.average.items()}
    state.optimiser = _to_cpu(state.optimiser)
    return state


def _to_cpu(value: Any) -> Any:
    if isinstance(value, Tensor):
        return value.detach().cpu().clone()
    if isinstance(value, dict):
        return {key: _to_cpu(part) for key, part in value.items()}
    if isinstance(value, list):
        return [_to_cpu(part) for part in value]
    return value
