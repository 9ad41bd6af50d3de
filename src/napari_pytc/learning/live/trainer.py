"""Schedule of the network in live learning: training, scoring, and taking over the view."""

from __future__ import annotations

import copy
import time
from collections.abc import Callable
from typing import Any

import numpy as np
from torch import Tensor

from napari_pytc.errors import ModelError, OutOfMemory, VolumeError
from napari_pytc.geometry import Box, VoxelSpace
from napari_pytc.jobs.context import JobContext
from napari_pytc.learning.data.training_image import TrainingImage
from napari_pytc.learning.data.volume_data import VolumeData
from napari_pytc.learning.live.instant import InstantModel
from napari_pytc.learning.live.labelled_features import Examples
from napari_pytc.learning.live.live_network import LiveNetwork, Weights
from napari_pytc.learning.live.model_selection import ModelScores, ModelSelector
from napari_pytc.learning.live.other_volumes import OtherVolumes
from napari_pytc.learning.live.scores import ScoredRegion, Scoring, most_probable
from napari_pytc.learning.live.stroke_split import StrokeSnapshot, StrokeSplit, TrainingStrokes
from napari_pytc.learning.live.view_predictor import ViewPredictor
from napari_pytc.learning.machine.weights import load_weights
from napari_pytc.learning.networks.ensemble import agreement_of
from napari_pytc.learning.prediction.model import TrainedModel
from napari_pytc.learning.training.state.checkpoints import TrainingState
from napari_pytc.plans.live_spec import LiveJob
from napari_pytc.plans.model_folder import ModelInfo, weights_path
from napari_pytc.plans.networks import NetworkLimits
from napari_pytc.plans.normalisation import ImageNormalisation
from napari_pytc.plans.plan import TrainPlan
from napari_pytc.volumes.source import ImageSource

CACHE_BYTES = 256 * 2**20
"""Raw blocks that a reader of the image keeps."""
_TEACHER_S = (8.0, 64.0)
"""Seconds between two teachers: pseudo-labels of a new one are all computed afresh, which holds the network up. The
first strokes change the instant model the most, so the time is doubled up to the second of these."""
_SCORING_SHARE = 0.25
"""Largest share of the network's time for scores."""
_REFRESH_SHARE = 0.25
"""Largest share of the time for predictions of the view by slightly better weights."""
_STEPS_FOR_STROKES = 20
"""After so many steps on new strokes the view is predicted by the newest weights, whatever their score."""


class NetworkTrainer:
    """The network in live learning: its training, its scores, and the choice of the weights that are shown."""

    def __init__(
        self,
        job: LiveJob,
        source: ImageSource,
        space: VoxelSpace,
        normalisation: ImageNormalisation,
        unmasked: TrainingImage,
        selector: ModelSelector,
        view_predictor: ViewPredictor,
        on_weights_shown: Callable[[], None],
        ctx: JobContext,
    ) -> None:
        self._job, self._plan, self._selector, self._ctx = job, job.plan, selector, ctx
        self._on_weights_shown, self._view_predictor = on_weights_shown, view_predictor
        self._source, self._space, self._normalisation = source, space, normalisation
        # An image of its own, because the thread that makes batches reads it.
        self._image = TrainingImage(source, normalisation, job.in_view.held_out, CACHE_BYTES)
        self._unmasked = unmasked
        self._others: OtherVolumes | None = None
        self._network: LiveNetwork | None = None
        self._earlier: TrainingState | None = None
        self._has_data = False
        self._data_step = -1
        self._teacher_s = -np.inf
        self._teacher_lasts_s = _TEACHER_S[0]
        self._snapshot: StrokeSnapshot | None = None
        self._has_erased = False
        self._candidate: ModelScores | None = None
        self._scoring: Scoring | None = None
        self._scored_at = 0
        self._train_s = self._score_s = 0.0
        self._shown_s = -np.inf
        self._shown_weights: Weights | None = None
        self.scores: dict[str, Any] = {}
        self.failure = ""

    @property
    def step(self) -> int:
        """Steps of the network so far."""
        return 0 if self._network is None else self._network.step

    def restore(self, earlier: TrainingState | None) -> None:
        """Set the state of an earlier session, which the network will begin with."""
        self._earlier = earlier

    def close(self) -> None:
        """End the thread that makes batches."""
        if self._network is not None:
            self._network.stop_batches()

    def set_strokes(
        self,
        split: StrokeSplit,
        validation_copy: InstantModel,
        limits: NetworkLimits,
        training: Examples,
        others: OtherVolumes,
    ) -> None:
        """Train on other strokes from the next step on; neither network nor copy learns the validation strokes."""
        if self._plan.instant_only or self.failure:
            return
        self._others = others
        data = VolumeData(
            self._source,
            TrainingStrokes(self._source.shape, list(split.chunks.values()), split.revision),
            self._job.classes,
            self._job.in_view.held_out,
            self._space,
        )
        if self._network is None:
            try:
                self._network = self._make(data, validation_copy, training, others)
            except VolumeError as error:
                if not others.raised(error):
                    raise
                return  # strokes come anew, without that volume
        before, self._snapshot = self._snapshot, split.snapshot().with_others(others.snapshots())
        if before is not None and not self._snapshot.is_extension_of(before):
            self._has_erased = True
        now, teacher = time.monotonic(), None
        if now - self._teacher_s >= self._teacher_lasts_s:
            if np.isfinite(self._teacher_s):
                self._teacher_lasts_s = min(2 * self._teacher_lasts_s, _TEACHER_S[1])
            self._teacher_s, teacher = now, self._teacher(validation_copy, limits)
        self._network.set_data(data, teacher, others.training_volumes())
        self._has_data, self._data_step = True, self._network.step
        self._candidate = self._scoring = None

    def clear_data(self) -> None:
        """Stop training until `set_strokes`."""
        self.close()
        self._has_data = False

    def pause_batches(self) -> None:
        """Leave the processor to more urgent work, until `is_step_ready` is called."""
        if self._network is not None:
            self._network.pause_batches()

    @property
    def is_training(self) -> bool:
        """Whether there is a network with training data."""
        return self._network is not None and self._has_data and not self.failure

    def is_step_ready(self) -> bool:
        """Whether a step can begin without waiting for its batch."""
        return self._network is not None and self._network.is_ready()

    def train(self, wait: Callable[[], bool]) -> None:
        """Train in Lightning's loop until `wait` returns False.

        Parameters
        ----------
        wait : callable
            Called before every step; does all that is more urgent.
        """
        assert self._network is not None
        failure: BaseException | None = None
        started = 0.0

        def wait_guarded() -> bool:
            """Keep errors of other work out of Lightning, which would take them for the network's."""
            nonlocal failure, started
            try:
                is_step = wait()
            except BaseException as error:
                failure, is_step = error, False
            started = time.monotonic()
            return is_step

        def after_step() -> None:
            self._train_s += time.monotonic() - started
            self._after_step()

        try:
            self._network.fit(wait_guarded, after_step)
        except (OutOfMemory, ModelError) as error:
            self.give_up(error.message)
        except VolumeError as error:
            if self._others is None or not self._others.raised(error):
                raise
            self.close()  # batches come anew; strokes do, too, without that volume
        if failure is not None:
            raise failure

    def _after_step(self) -> None:
        assert self._network is not None
        if self._selector.shown == "network" and self._network.step == self._data_step + _STEPS_FOR_STROKES:
            self._show(self._network.average())
        is_due = self._network.step - self._scored_at >= self._plan.score_every
        if is_due and self._score_s <= _SCORING_SHARE * (self._train_s + self._score_s):
            self._candidate = ModelScores(self._network.average(), self._network.step, None)
            self._score_s = 0.0

    def score(self, regions: list[ScoredRegion]) -> bool:
        """Score one region by the newest weights, if that is due; False where there is nothing to score."""
        if self._candidate is None or not self.is_training:
            return False
        started = time.monotonic()
        if self._scoring is None:
            self._scoring = Scoring(regions, self._predict_region)
        try:
            self._advance_score()
        except (OutOfMemory, ModelError) as error:
            self.give_up(error.message)
        self._score_s += time.monotonic() - started
        return True

    def predict(self, box: Box) -> Tensor:
        """Probabilities of a box by the weights in view."""
        assert self._network is not None
        assert self._shown_weights is not None
        return self._network.predict(self._shown_weights, box)

    @property
    def has_scored_weights(self) -> bool:
        """Whether there are weights for `predict_best`."""
        return self._network is not None and self._selector.best is not None

    def predict_best(self, box: Box) -> Tensor:
        """Probabilities of a box by the best weights, also where the instant model is in view."""
        assert self._network is not None
        assert self._selector.best is not None
        return self._network.predict(self._selector.best.weights, box)

    def finished_parts(self) -> tuple[TrainPlan, Weights, NetworkLimits, str]:
        """Recipe, weights in view, limits and precision, for a model folder."""
        assert self._network is not None
        assert self._shown_weights is not None
        return self._plan.network, self._shown_weights, self._network.limits, self._network.precision

    def state(self, fingerprint: str, seconds: float) -> TrainingState | None:
        """The state from which the next session continues."""
        return self._earlier if self._network is None else self._network.state(fingerprint, seconds)

    def _make(
        self, data: VolumeData, validation_copy: InstantModel, training: Examples, others: OtherVolumes
    ) -> LiveNetwork:
        network = LiveNetwork(
            self._plan.network, data, self._image, self._unmasked, self._job.output.run_folder, self._ctx
        )
        network.set_data(data, None, others.training_volumes())
        if self._earlier is not None:
            try:
                network.restore(self._earlier)
                self._scored_at = -self._plan.score_every  # score it first
                return network
            except ModelError as error:
                self._ctx.warn(f"{error.message} {error.hint}")
        if self._job.output.parent is not None:
            network.load_parent(load_weights(weights_path(self._job.output.parent)))
        else:
            network.start_from_bank(dict(validation_copy.network.state_dict()), training.features)
        return network

    def _teacher(self, validation_copy: InstantModel, limits: NetworkLimits) -> TrainedModel:
        """The model that makes the pseudo-labels: the instant model without validation strokes, used in a thread.

        Its predictions change with every stroke, and a network that follows them gets worse elsewhere. The network's
        own perceptron therefore takes part: only where both are certain there is a pseudo-label. It takes no part
        after something was erased or where a class is new, because it still predicts the erased strokes.
        """
        assert self._network is not None
        info = ModelInfo(
            id="teacher",
            name="teacher",
            recipe="instant",
            classes=self._job.classes,
            voxel_size_nm=self._job.in_view.space.voxel_size_nm,
            n_inputs=validation_copy.network.n_inputs,
            plan=validation_copy.plan,
        )
        bank = copy.deepcopy(validation_copy.network)
        own = self._network.averaged_bank() if self._network.step and not self._has_erased else None
        if own is not None and own.has_features_of(bank):
            bank = agreement_of(bank, own)
        self._has_erased = False
        return TrainedModel(info, bank, limits, self._normalisation, "live")

    def _predict_region(self, region: ScoredRegion) -> np.ndarray:
        assert self._network is not None
        assert self._candidate is not None
        return most_probable(self._network.predict(self._candidate.weights, region.box), region)

    def _advance_score(self) -> None:
        assert self._network is not None
        assert self._scoring is not None
        assert self._candidate is not None
        if not self._scoring.is_over:
            self._scoring.score_next()
            return
        found = self._scoring.result(self._job.classes)
        candidate = ModelScores(self._candidate.weights, self._candidate.step, found["mean"])
        self._candidate = self._scoring = None
        self._scored_at, self._train_s = self._network.step, 0.0
        if candidate.score is not None:
            self._ctx.metric("network/score", candidate.step, candidate.score)
        if self._selector.submit(candidate):
            self.scores = found
            is_refresh_due = time.monotonic() - self._shown_s >= self._view_predictor.view_seconds / _REFRESH_SHARE
            has_new_strokes = candidate.step >= self._data_step + _STEPS_FOR_STROKES
            if self._selector.shown == "network" and is_refresh_due and has_new_strokes:
                self._show(candidate.weights)
        if self._selector.select():
            self._report_shown()
            assert self._selector.best is not None
            self._show(self._selector.best.weights)

    def _show(self, weights: Weights) -> None:
        self._shown_weights, self._shown_s = weights, time.monotonic()
        self._on_weights_shown()

    def give_up(self, message: str) -> None:
        """Go on without the network."""
        self.failure = "the network cannot train"
        self._ctx.warn(f"{message} Live learning goes on with the instant model alone.")
        self.close()
        self._candidate = self._scoring = None
        if self._selector.drop_network():
            self._report_shown()
            self._view_predictor.invalidate()

    def _report_shown(self) -> None:
        self._ctx.metric("shown", self.step, float(self._selector.shown == "network"))
