"""When the network behind trains, is scored, and takes over the view."""

from __future__ import annotations

import copy
import time
from collections.abc import Callable
from typing import Any

import numpy as np
from torch import Tensor

from napari_pytc.errors import ModelError, OutOfMemory
from napari_pytc.geometry import Box, VoxelSpace
from napari_pytc.jobs.context import JobContext
from napari_pytc.learning.checkpoints import TrainingState
from napari_pytc.learning.config import TrainPlan
from napari_pytc.learning.data import TrainingData, TrainingImage
from napari_pytc.learning.live.contest import Candidate, Contest
from napari_pytc.learning.live.instant import InstantModel
from napari_pytc.learning.live.job import LiveJob
from napari_pytc.learning.live.network import NetworkBehind, Weights
from napari_pytc.learning.live.painter import ViewPainter
from napari_pytc.learning.live.scores import ScoredPlace, Scoring, most_probable
from napari_pytc.learning.live.strokes import LearntStrokes, Painted, StrokeBook
from napari_pytc.learning.live.taught import Examples
from napari_pytc.learning.model import TrainedModel
from napari_pytc.learning.model_folder import ModelInfo, weights_path
from napari_pytc.learning.networks import NetworkLimits
from napari_pytc.learning.networks.agreement import agreement_of
from napari_pytc.learning.normalisation import Normalisation
from napari_pytc.learning.weights import load_weights
from napari_pytc.volumes.source import VolumeSource

CACHE_BYTES = 256 * 2**20
"""Raw blocks that a reader of the image keeps."""
_TEACHER_S = (8.0, 64.0)
"""Guesses of a new instant model replace the old ones after so long: all are computed anew, which holds the network up.
The first strokes change it the most, so the time is doubled up to the second of these."""
_SCORING_SHARE = 0.25
"""Scores take at most this share of the network's time."""
_REFRESH_SHARE = 0.25
"""So do predictions of the view by a network that became a little better."""
_STEPS_FOR_STROKES = 20
"""After so many steps on new strokes the network's view is predicted anew, whatever its score."""


class Behind:
    """The network's side of live learning, as the loop sees it: a piece of work at a time."""

    def __init__(
        self,
        job: LiveJob,
        source: VolumeSource,
        space: VoxelSpace,
        normalisation: Normalisation,
        visible: TrainingImage,
        contest: Contest,
        on_shown: Callable[[], None],
        ctx: JobContext,
    ) -> None:
        self._job, self._plan, self._contest, self._ctx = job, job.plan, contest, ctx
        self._on_shown = on_shown
        self._source, self._space, self._normalisation = source, space, normalisation
        # Its own, because the thread that makes batches reads it.
        self._image = TrainingImage(source, normalisation, job.held_out, CACHE_BYTES)
        self._visible = visible
        self._network: NetworkBehind | None = None
        self._earlier: TrainingState | None = None
        self._is_taught = False
        self._taught_at = -1
        self._teacher_s = -np.inf
        self._teacher_lasts_s = _TEACHER_S[0]
        self._painted: Painted | None = None
        self._is_in_doubt = False
        self._candidate: Candidate | None = None
        self._scoring: Scoring | None = None
        self._scored_at = 0
        self._train_s = self._score_s = 0.0
        self._adopted_s = -np.inf
        self._on_show: Weights | None = None
        self.scores: dict[str, Any] = {}
        self.failure = ""

    @property
    def step(self) -> int:
        """Steps of the network so far."""
        return 0 if self._network is None else self._network.step

    def begin(self, earlier: TrainingState | None) -> None:
        """Take over what an earlier job left."""
        self._earlier = earlier

    def close(self) -> None:
        """End the thread that makes batches."""
        if self._network is not None:
            self._network.rest()

    def teach(self, book: StrokeBook, twin: InstantModel, limits: NetworkLimits, learnt: Examples) -> None:
        """Learn other strokes from the next step on; what kept strokes say is known to neither network nor twin."""
        if self._plan.instant_only or self.failure:
            return
        data = TrainingData(
            self._source,
            LearntStrokes(self._source.shape, list(book.pages.values()), book.revision),
            self._job.classes,
            self._job.held_out,
            self._space,
        )
        if self._network is None:
            self._network = self._make(data, twin, learnt)
        before, self._painted = self._painted, book.painted()
        if before is not None and not self._painted.goes_on_from(before):
            self._is_in_doubt = True
        now, teacher = time.monotonic(), None
        if now - self._teacher_s >= self._teacher_lasts_s:
            if np.isfinite(self._teacher_s):
                self._teacher_lasts_s = min(2 * self._teacher_lasts_s, _TEACHER_S[1])
            self._teacher_s, teacher = now, self._teacher(twin, limits)
        self._network.teach(data, teacher)
        self._is_taught, self._taught_at = True, self._network.step
        self._candidate = self._scoring = None

    def pause(self) -> None:
        """There is nothing to learn any more, until `teach`."""
        self.close()
        self._is_taught = False

    def hold(self) -> None:
        """Leave the processor to those who wait for it, until `work`."""
        if self._network is not None:
            self._network.hold()

    def work(self, places: list[ScoredPlace], painter: ViewPainter) -> bool:
        """A step, or a place of a score; False where there is nothing to train, or the batch is not there yet."""
        if self._network is None or not self._is_taught or self.failure:
            return False
        started = time.monotonic()
        try:
            if self._scoring is not None:
                self._advance_score(painter)
                self._score_s += time.monotonic() - started
                return True
            if not self._network.is_ready():
                return False
            self._network.train_step()
        except (OutOfMemory, ModelError) as error:
            self.give_up(error.message, painter)
            return True
        self._train_s += time.monotonic() - started
        if self._contest.shown == "network" and self._network.step == self._taught_at + _STEPS_FOR_STROKES:
            self._adopt(self._network.average())
        if self._score_is_due():
            self._candidate = Candidate(self._network.average(), self._network.step, None)
            self._scoring = Scoring(places, self._classes)
            self._score_s = 0.0
        return True

    def predict(self, box: Box) -> Tensor:
        """Probabilities of a box by the weights on show."""
        assert self._network is not None
        assert self._on_show is not None
        return self._network.predict(self._on_show, box)

    @property
    def is_trained(self) -> bool:
        """Whether the network's opinion is worth asking for."""
        return self._network is not None and self._contest.best is not None

    def predict_newest(self, box: Box) -> Tensor:
        """Probabilities of a box by the best weights there are, whatever is on show."""
        assert self._network is not None
        assert self._contest.best is not None
        return self._network.predict(self._contest.best.weights, box)

    def kept(self) -> tuple[TrainPlan, Weights, NetworkLimits, str]:
        """Recipe, weights on show, limits and arithmetic, for a model folder."""
        assert self._network is not None
        assert self._on_show is not None
        return self._plan.network, self._on_show, self._network.limits, self._network.arithmetic

    def state(self, fingerprint: str, seconds: float) -> TrainingState | None:
        """What a later job goes on from."""
        return self._earlier if self._network is None else self._network.state(fingerprint, seconds)

    def _make(self, data: TrainingData, twin: InstantModel, learnt: Examples) -> NetworkBehind:
        network = NetworkBehind(self._plan.network, data, self._image, self._visible, self._ctx)
        if self._earlier is not None:
            try:
                network.go_on_from(self._earlier)
                self._scored_at = -self._plan.score_every  # whether it is the better one is the first thing to know
                return network
            except ModelError as error:
                self._ctx.warn(f"{error.message} {error.hint}")
        if self._job.parent is not None:
            network.begin_as(load_weights(weights_path(self._job.parent)))
        else:
            network.begin_like(dict(twin.network.state_dict()), learnt.features)
        return network

    def _teacher(self, twin: InstantModel, limits: NetworkLimits) -> TrainedModel:
        """Who makes the guesses, asked by the batches' thread: a copy of the instant model without the kept strokes.

        It swings with the strokes, and a network that follows unlearns what it knew. So the network has a say of its
        own, by its perceptron: a guess counts where both are sure. Not after something was erased, or where
        a class is new: then the network still says what it should not.
        """
        assert self._network is not None
        info = ModelInfo(
            id="teacher",
            name="teacher",
            recipe="instant",
            classes=self._job.classes,
            voxel_size_nm=self._job.voxel_size_nm,
            plan=twin.plan,
        )
        bank = copy.deepcopy(twin.network)
        own = self._network.perceptron() if self._network.step and not self._is_in_doubt else None
        if own is not None and own.finds_what(bank):
            bank = agreement_of(bank, own)
        self._is_in_doubt = False
        return TrainedModel(info, bank, limits, self._normalisation, "live")

    def _score_is_due(self) -> bool:
        assert self._network is not None
        if self._network.step - self._scored_at < self._plan.score_every:
            return False
        return self._score_s <= _SCORING_SHARE * (self._train_s + self._score_s)

    def _classes(self, place: ScoredPlace) -> np.ndarray:
        assert self._network is not None
        assert self._candidate is not None
        return most_probable(self._network.predict(self._candidate.weights, place.box), place)

    def _advance_score(self, painter: ViewPainter) -> None:
        assert self._network is not None
        assert self._scoring is not None
        assert self._candidate is not None
        if not self._scoring.is_over:
            self._scoring.advance()
            return
        found = self._scoring.result(self._job.classes)
        candidate = Candidate(self._candidate.weights, self._candidate.step, found["mean"])
        self._candidate = self._scoring = None
        self._scored_at, self._train_s = self._network.step, 0.0
        if candidate.score is not None:
            self._ctx.metric("network/score", candidate.step, candidate.score)
        if self._contest.enter(candidate):
            self.scores = found
            seldom = time.monotonic() - self._adopted_s >= painter.view_seconds / _REFRESH_SHARE
            knows_strokes = candidate.step >= self._taught_at + _STEPS_FOR_STROKES
            if self._contest.shown == "network" and seldom and knows_strokes:
                self._adopt(candidate.weights)
        if self._contest.decide():
            self._tell_shown()
            assert self._contest.best is not None
            self._adopt(self._contest.best.weights)

    def _adopt(self, weights: Weights) -> None:
        self._on_show, self._adopted_s = weights, time.monotonic()
        self._on_shown()

    def give_up(self, message: str, painter: ViewPainter) -> None:
        """Go on without the network."""
        self.failure = "the network cannot train"
        self._ctx.warn(f"{message} Live learning goes on with the instant model alone.")
        self.close()
        self._candidate = self._scoring = None
        if self._contest.concede():
            self._tell_shown()
            painter.renew()

    def _tell_shown(self) -> None:
        self._ctx.metric("shown", self.step, float(self._contest.shown == "network"))
