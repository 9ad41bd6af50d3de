"""What happens between the steps of a training: reports, scores, checkpoints, and the end."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import lightning.pytorch as pl
import numpy as np
import torch
from torch import Tensor

from napari_pytc.errors import ModelError
from napari_pytc.jobs.context import JobCancelled, JobContext
from napari_pytc.learning.arithmetic import Arithmetic
from napari_pytc.learning.checkpoints import TrainingState, save_training_state
from napari_pytc.learning.comparison import Standing, not_compared
from napari_pytc.learning.config import TrainPlan
from napari_pytc.learning.inference import Inferer
from napari_pytc.learning.lessons import Lesson
from napari_pytc.learning.module import SegmentationModule
from napari_pytc.learning.networks import NetworkLimits
from napari_pytc.learning.normalisation import Normalisation

_SCORED_VOXELS, _FINALLY_SCORED_VOXELS = 400_000, 3_000_000


class TrainingProgress(pl.Callback):
    """Counts steps and seconds, scores, saves, stops.

    Parameters
    ----------
    run_folder : Path
        Where checkpoints go.
    fingerprint : str
        Names the work, so that a checkpoint of other work is not gone on from.
    started : float
        When the training began, by the monotonic clock.
    baselines : sequence of Path
        Folders of the models that the new one is compared with.
    """

    def __init__(
        self,
        plan: TrainPlan,
        lesson: Lesson,
        normalisation: Normalisation,
        limits: NetworkLimits,
        run_folder: Path,
        fingerprint: str,
        ctx: JobContext,
        started: float,
        baselines: Sequence[Path] = (),
    ) -> None:
        self._plan, self._ctx, self._limits = plan, ctx, limits
        self._baselines = tuple(baselines)
        self._run_folder, self._fingerprint = run_folder, fingerprint
        self._had_run_folder = run_folder.is_dir()
        self._roles = lesson.roles
        self._scorer = lesson.scorer(normalisation, _SCORED_VOXELS, "watched")
        self._final_scorer = lesson.scorer(normalisation, _FINALLY_SCORED_VOXELS, "scored")
        if not self._final_scorer.n_boxes:
            ctx.warn("No annotated voxel is held out, so the model gets no score and the last weights are kept.")
        elif not self._scorer.n_boxes:
            ctx.warn("So little is annotated in the held-out boxes that all of it scores: the last weights are kept.")
        self._started = started
        self._seconds_before = 0.0
        self._since_best = 0
        self._rng = np.random.default_rng(plan.seed)
        self.step = 0
        self.best_score: float | None = None
        self.best: dict[str, Tensor] | None = None
        self.history: list[dict[str, Any]] = []
        self.latest: TrainingState | None = None
        self.first: dict[str, Tensor] | None = None
        """Weights of the model that the training begins as, which it must improve on; None where it begins random."""
        self.arithmetic = Arithmetic()
        self.stopped = "steps"

    @property
    def seconds(self) -> float:
        """Time this training took so far, also before it was interrupted."""
        return self._seconds_before + time.monotonic() - self._started

    def check_folder(self) -> None:
        """Refuse to write where the folder that was there was deleted: half a project would appear in its place."""
        if self._had_run_folder and not self._run_folder.is_dir():
            raise ModelError(
                f"The folder {self._run_folder} was deleted or moved while the training ran.",
                "Put the project back where it was, then train again.",
            )

    def share(self) -> float:
        """How much of the training is over, from 0 to 1, by steps or minutes, whichever is further."""
        by_steps = self.step / self._plan.steps
        by_time = self.seconds / (60 * self._plan.minutes) if self._plan.minutes else 0.0
        return max(by_steps, by_time)

    def on_train_batch_end(
        self, trainer: pl.Trainer, module: pl.LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """Report; every so often score and save; stop when it is time."""
        assert isinstance(module, SegmentationModule)
        self.step += 1
        module.move_average()  # here, because Lightning calls a module's own hook after this one: too late for saving
        if self.step % 10 == 0 or self.step == 1:
            # Reading the loss waits for the device, so not at every step.
            loss = float(outputs["loss"])
            if not np.isfinite(loss):
                raise ModelError("The loss is no finite number any more.", "Train again with a lower learning_rate.")
            self._ctx.metric("loss", self.step, loss)
        self._ctx.report(self.step, self._plan.steps, "training")
        try:
            self._ctx.check()
            if self._score_is_due():
                self._validate(module)
        except JobCancelled:
            self._save(trainer, module)
            raise
        if self.step % self._plan.checkpoint_every == 0 and self.step < self._plan.steps:
            self._save(trainer, module)
        self._stop_in_time(trainer)

    def on_train_start(self, trainer: pl.Trainer, module: pl.LightningModule) -> None:
        """Score what the training begins as, or catch up on the score that an interruption came before.

        A resumed training must decide as the whole one.
        """
        if self.step == 0 and self.first is not None and not self.history and isinstance(module, SegmentationModule):
            average = module.average.module
            begun = {name: tensor.detach().clone() for name, tensor in average.state_dict().items()}
            average.load_state_dict(self.first)
            self._validate(module)
            average.load_state_dict(begun)
        if self.step and self._score_is_due() and isinstance(module, SegmentationModule):
            self._validate(module)
            self._stop_in_time(trainer)

    def _score_is_due(self) -> bool:
        is_new = not self.history or self.history[-1]["step"] != self.step
        return is_new and self.step % self._plan.validate_every == 0 and self.step < self._plan.steps

    def _stop_in_time(self, trainer: pl.Trainer) -> None:
        if self._plan.patience and self._since_best >= self._plan.patience:
            self.stopped, trainer.should_stop = "no better score", True
        if self._plan.minutes and self.seconds >= 60 * self._plan.minutes:
            self.stopped, trainer.should_stop = "minutes", True

    def on_exception(self, trainer: pl.Trainer, module: pl.LightningModule, exception: BaseException) -> None:
        """Keep what was learnt, for the next rung of the out-of-memory ladder."""
        if self.step and isinstance(module, SegmentationModule) and trainer.optimizers:
            self.latest = _detached(self._capture(trainer, module))

    def restore(self, module: SegmentationModule, state: TrainingState) -> None:
        """Go on from a checkpoint."""
        try:
            module.network.load_state_dict(state.network)
            if state.average is not None:
                module.average.load_state_dict(state.average)
        except RuntimeError as error:
            raise ModelError(
                "The checkpoint does not fit the network any more.", "Start anew: train with --fresh."
            ) from error
        module.optimiser_state = state.optimiser
        torch.set_rng_state(state.torch_rng.cpu())
        self.step, self.best, self.best_score = state.step, state.best, state.best_score
        self.history, self._since_best = list(state.history), int(state.extra["since_best"])
        if state is not self.latest:
            self._seconds_before = state.seconds

    def final(self, module: SegmentationModule) -> tuple[dict[str, Tensor], dict[str, Any]]:
        """The weights to keep, on the CPU, and their scores."""
        self._ctx.report(self.step, self._plan.steps, "scoring")
        average = module.average.module
        if self._scorer.n_boxes:
            if not self.history or self.history[-1]["step"] != self.step:
                self._validate(module)
            if self.best is not None:
                average.load_state_dict(self.best)
        scores = not_compared(self._baselines, "nothing annotated is held out")
        if self._final_scorer.n_boxes:
            with self._inferer(module) as inferer:
                found = Standing.of(self._final_scorer, inferer, self._ctx.check)
            compared = found.against(self._baselines, self._roles, self._plan, self._ctx)
            scores = {**found.scores, "history": self.history, **compared}
        return {name: tensor.detach().cpu().contiguous() for name, tensor in average.state_dict().items()}, scores

    @contextmanager
    def _inferer(self, module: SegmentationModule) -> Iterator[Inferer]:
        network, roles, device = module.average.module.eval(), self._roles, module.device
        try:
            yield Inferer(network, self._limits, device, self.arithmetic, warn=self._ctx.warn, roles=roles)
        finally:
            network.to(module.device)  # the averaged weights go on here, also if memory only sufficed on the CPU

    def _validate(self, module: SegmentationModule) -> None:
        if not self._scorer.n_boxes:
            return
        with self._inferer(module) as inferer:
            scores = self._scorer.score(inferer, self._ctx.check)
        self.history.append({"step": self.step, "mean": scores["mean"], "dice": scores["dice"]})
        for name, value in scores["dice"].items():
            if value is not None:
                self._ctx.metric(f"dice/{name}", self.step, value)
        if scores["mean"] is None:
            return
        self._ctx.metric("dice", self.step, scores["mean"])
        self._since_best += 1
        if self.best_score is None or scores["mean"] > self.best_score:
            self.best_score, self._since_best = scores["mean"], 0
            self.best = {n: t.detach().cpu().clone() for n, t in module.average.module.state_dict().items()}

    def _capture(self, trainer: pl.Trainer, module: SegmentationModule) -> TrainingState:
        return TrainingState.capture(
            module.network,
            trainer.optimizers[0],
            self._rng,
            fingerprint=self._fingerprint,
            step=self.step,
            seconds=self.seconds,
            average=dict(module.average.state_dict()),
            best=self.best,
            best_score=self.best_score,
            history=self.history,
            extra={"since_best": self._since_best},
        )

    def _save(self, trainer: pl.Trainer, module: SegmentationModule) -> None:
        if trainer.optimizers:
            self.check_folder()
            try:
                save_training_state(self._run_folder, self._capture(trainer, module))
            except (OSError, ModelError):
                self.check_folder()  # deleted at this moment
                raise


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
