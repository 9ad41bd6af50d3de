"""The loop of live learning: the most urgent piece of work, one after the other."""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import Any

from torch import Tensor

from napari_pytc.annotations.paint_store import PaintStore
from napari_pytc.errors import ModelError, OutOfMemory
from napari_pytc.geometry import Box
from napari_pytc.jobs.context import JobCancelled, JobContext
from napari_pytc.learning.data.training_image import TrainingImage
from napari_pytc.learning.data.volume_data import VolumeData
from napari_pytc.learning.live.blend import Blend
from napari_pytc.learning.live.finish import NOTHING, FinishedInstant, keep_model
from napari_pytc.learning.live.instant import InstantModel
from napari_pytc.learning.live.instant_learner import InstantLearner
from napari_pytc.learning.live.labelled_features import LabelledFeatures
from napari_pytc.learning.live.model_selection import LearningCurve, ModelSelector
from napari_pytc.learning.live.other_volumes import OtherVolumes
from napari_pytc.learning.live.persistence import (
    LiveRunState,
    load_live_state,
    save_live_state,
    work_fingerprint,
)
from napari_pytc.learning.live.prediction_store import TileWriter, open_live_prediction
from napari_pytc.learning.live.stroke_split import StrokeSplit
from napari_pytc.learning.live.suggestions import SuggestionFinder, SuggestionGrid, write_suggestions
from napari_pytc.learning.live.tiles import FeatureTiles
from napari_pytc.learning.live.trainer import CACHE_BYTES, NetworkTrainer
from napari_pytc.learning.live.view_predictor import ViewPredictor
from napari_pytc.learning.machine.devices import limit_threads
from napari_pytc.plans.input_channels import check_n_inputs
from napari_pytc.plans.live_messages import Inbox, LiveRequest, LiveView
from napari_pytc.plans.live_spec import SUGGESTIONS, LiveJob
from napari_pytc.plans.model_folder import read_model_info
from napari_pytc.volumes.fingerprint import check_image, fingerprint
from napari_pytc.volumes.image import open_image_spec
from napari_pytc.volumes.source import ImageSource

_IDLE_S = 0.005
_MOST_AHEAD = 32
"""Tiles whose features are computed before anything is painted."""
_REPORT_S, _SAVE_S = 0.5, 60.0


def run(job: LiveJob, ctx: JobContext) -> dict[str, Any]:
    """Learn from strokes as they are painted, until a stop message comes.

    Returns
    -------
    dict
        ``model`` and ``folder`` of the best model (None where nothing was learnt), ``shown`` ("instant" or "network"),
        ``scores`` and ``steps`` of the network.
    """
    job.plan.check()
    for note in (*job.notes, *job.plan.notes):
        ctx.warn(note)
    limit_threads()
    source = open_image_spec(job.in_view.volume)
    digest = check_image(source, job.in_view.digest)
    engine = LiveEngine(job, source, PaintStore.open(job.in_view.annotations, writable=False), ctx, digest)
    try:
        return engine.run()
    finally:
        engine.close()


class LiveEngine:
    """The parts of a live job, and the order in which they work.

    ::

        stopped? -- new strokes: instant model -- tiles in view -- scores -- suggestions -- a step of the network
           ^                                                                                       |
           +---------------------------------------------------------------------------------------+

    After each piece the loop begins again, so that new messages come first. While a stroke is painted only the first
    three are done. While there is a network the loop runs within Lightning's, which requests a batch
    before each of its steps.
    """

    def __init__(
        self, job: LiveJob, source: ImageSource, store: PaintStore, ctx: JobContext, digest: str | None = None
    ) -> None:
        self._job, self._plan, self._ctx = job, job.plan, ctx
        if job.output.parent is not None:
            check_n_inputs(read_model_info(job.output.parent), source.n_channels)
        scaling = job.plan.normalisation
        digest = digest or fingerprint(source).digest
        self._started = time.monotonic()
        self._space = job.in_view.space
        self._whole = Box.of_shape(source.shape)
        self._fingerprint = work_fingerprint(job, source.shape)
        earlier = load_live_state(job.output.run_folder, self._fingerprint, ctx)
        self._split = StrokeSplit(
            store, len(job.classes), job.in_view.held_out, None if earlier is None else earlier.anchors
        )
        self._split.refresh()
        self._in_view = VolumeData(
            source,
            store,
            job.classes,
            job.in_view.held_out,
            self._space,
            name=job.in_view.name,
            digest=digest,
        )
        painted = [chunk.box for chunk in self._split.chunks.values()]
        self._normalisation, notes = self._in_view.normalisation(painted, scaling, is_learnt=True)
        for note in notes:
            ctx.warn(note)
        image = TrainingImage(source, self._normalisation, job.in_view.held_out, CACHE_BYTES)
        unmasked = TrainingImage(source, self._normalisation, (), CACHE_BYTES) if job.in_view.held_out else image
        self._instant, validation_copy, reference = (
            InstantModel(self._plan.instant, len(job.classes), self._space, source.n_channels) for _ in range(3)
        )
        self._blend = Blend(self._instant, reference)
        bank = self._instant.network
        self._limits = bank.limits()
        self._features = FeatureTiles(bank, self._limits, unmasked, self._plan.feature_cache_mb * 2**20)
        labelled = LabelledFeatures(bank, self._limits, image, unmasked, self._features)
        self._others = OtherVolumes(job.inputs[1:], job.classes, self._space, bank, self._limits, scaling, ctx)
        self._learner = InstantLearner(
            job, self._split, self._others, self._instant, validation_copy, labelled, is_resumed=earlier is not None
        )
        self._selector = ModelSelector(self._plan.margin, self._plan.tolerance)
        self._curve = LearningCurve(() if earlier is None else earlier.round_scores)
        store_of_tiles = open_live_prediction(job.prediction, self._whole.shape, self._space, job.classes)
        self._writer = TileWriter(store_of_tiles, ctx)
        self._view_predictor = ViewPredictor(self._whole, self._space.voxel_size_nm, self._writer)
        self._trainer = NetworkTrainer(
            job,
            source,
            self._space,
            self._normalisation,
            unmasked,
            self._selector,
            self._view_predictor,
            self._on_weights_shown,
            ctx,
        )
        self._trainer.restore(None if earlier is None else earlier.network)
        self._inbox = Inbox(ctx, self._whole)
        self._network_tiles: set[Box] = set()
        self._reported_view: tuple[int, LiveView] | None = None
        self._features_ahead: tuple[LiveView, list[Box]] | None = None
        self._search: Iterator[SuggestionGrid | None] | None = None
        self._search_request: LiveRequest | None = None
        self._is_score_due = False
        self._reported = self._saved = self._started

    def run(self) -> dict[str, Any]:
        """Work until a stop message comes; a cancelled job saves its state, too."""
        self._ctx.metric("shown", self._trainer.step, 0)
        try:
            while not self._inbox.stop:
                if self._trainer.is_training:
                    self._trainer.train(self._work_until_step)
                elif not self.turn():
                    time.sleep(_IDLE_S)
        except JobCancelled:
            self._save_state()
            raise
        return self._finish()

    def close(self) -> None:
        """End the threads."""
        self._trainer.close()
        self._writer.close()

    def _work_until_step(self) -> bool:
        """Do all that is more urgent than the next step of the network; False to leave its loop."""
        while self._trainer.is_training and not self._inbox.stop:
            if not self.turn():
                if not self._inbox.is_stroke_coming and self._trainer.is_step_ready():
                    return True
                time.sleep(_IDLE_S)
        return False

    def turn(self) -> bool:
        """Read messages and do the most urgent piece of work but a step of the network; False when there is none."""
        self._ctx.check()
        self._inbox.read_messages()
        worked = self._fit_instant() or self._predict_tile() or self._work_in_background()
        self._writer.report_written()
        self._report()
        return worked

    def _work_in_background(self) -> bool:
        """Do work that nobody waits for; none while a stroke is painted, so that the worker is free at its end."""
        if self._inbox.is_stroke_coming:
            self._trainer.pause_batches()
            return False
        return self._validate_instant() or self._suggest() or self._trainer.score(self._learner.regions)

    def _fit_instant(self) -> bool:
        """Fit the instant model if strokes changed."""
        if not self._learner.refresh():
            return False
        self._trainer.pause_batches()
        is_first = self._learner.revision < 0
        if not self._learner.fit():
            self._trainer.clear_data()
            return False
        self._selector.invalidate()
        self._is_score_due = True
        if not is_first:
            self._curve.start_round()
        self._blend.mark_changed()
        self._view_predictor.invalidate()
        return True

    def _predict_tile(self) -> bool:
        """Predict the next tile in view that the model in use has not predicted yet."""
        view = self._inbox.view
        if view is None:
            return False
        if not self._instant.is_fitted:
            return self._compute_features_ahead(view)
        if not self._view_predictor.is_done(view):
            self._trainer.pause_batches()
            self._view_predictor.predict_next(view, self._probabilities, self._interim)
            return True
        if (self._view_predictor.n_invalidated, view) != self._reported_view:
            self._reported_view = (self._view_predictor.n_invalidated, view)
            self._ctx.metric("generation", self._learner.revision, view.generation)
        return False

    def _compute_features_ahead(self, view: LiveView) -> bool:
        """Compute features of a tile before there are strokes, so that the first ones have an effect at once."""
        if self._features_ahead is None or self._features_ahead[0] != view:
            self._features_ahead = view, self._view_predictor.pending(view)[:_MOST_AHEAD]
        if not self._features_ahead[1]:
            return False
        self._features.get(self._features_ahead[1].pop(0))
        return True

    def _probabilities(self, box: Box) -> Tensor:
        if self._selector.shown == "network":
            try:
                found = self._blend.probabilities(box, self._trainer.predict, self._features.get)
            except (OutOfMemory, ModelError) as error:
                self._trainer.give_up(error.message)
            else:
                self._network_tiles.add(box)
                return found
        self._network_tiles.discard(box)
        return self._instant_probabilities(box)

    def _interim(self, box: Box) -> Tensor | None:
        """The instant model's prediction of a tile, to show until the network's, which may take a second a tile.

        Returns None where earlier weights of the network have predicted it, unless strokes were painted since.
        """
        if self._selector.shown == "instant" or self._blend.has_tile(box):
            return None
        return None if box in self._network_tiles and not self._blend.is_changed else self._instant_probabilities(box)

    def _instant_probabilities(self, box: Box) -> Tensor:
        return self._instant.probabilities(self._features.get(box)).reshape(-1, *box.shape)

    def _on_weights_shown(self) -> None:
        """Predict the view again, because the network's weights in use have changed."""
        self._blend.reset()
        self._view_predictor.invalidate()

    def _validate_instant(self) -> bool:
        """Fit the copy of the instant model without validation strokes, and score it on those."""
        if not self._is_score_due or self._learner.examples is None:
            return False
        self._is_score_due = False
        self._learner.validate()
        self._selector.set_instant_score(self._learner.scores["mean"], not self._split.has_held_out_strokes)
        if self._selector.instant is not None:
            self._ctx.metric("instant/score", self._trainer.step, self._selector.instant)
        self._trainer.set_strokes(
            self._split, self._learner.validation_copy, self._limits, self._learner.examples, self._others
        )
        return True

    def _suggest(self) -> bool:
        """Rate one candidate of the places to paint next, if suggestions were requested."""
        request = self._inbox.pop_request() if self._instant.is_fitted else None
        if request is not None:
            self._search, self._search_request = self._begin_search(request), request
        if self._search is None or self._search_request is None:
            return False
        try:
            places = next(self._search)
        except (OutOfMemory, ModelError) as error:
            if not self._trainer.has_scored_weights:
                raise
            self._trainer.give_up(error.message)
            self._search = self._begin_search(self._search_request)
            return True
        if places is not None:
            self._search = None
            saturated, text = self._curve.saturation()
            write_suggestions(self._job.prediction.parent / SUGGESTIONS, places, saturated, text)
            self._ctx.artifact("suggestions", places.within)
        return True

    def _begin_search(self, request: LiveRequest) -> Iterator[SuggestionGrid | None]:
        """The search for places to paint next, by both models where there are two."""
        finder = SuggestionFinder(
            self._space,
            self._job.in_view.held_out,
            lambda box: self._features.get(box).float(),
            self._instant.probabilities,
            self._trainer.predict_best if self._trainer.has_scored_weights else None,
            self._plan.seed + self._learner.revision,
        )
        return finder.find(request, list(self._split.chunks.values()))

    def _report(self) -> None:
        """Report the status line, and save the state once a minute."""
        scores = [score for score in (self._selector.instant, self._selector.network) if score is not None]
        if scores:
            self._curve.add_score(max(scores))
        now = time.monotonic()
        if now - self._reported >= _REPORT_S:
            self._reported = now
            self._ctx.report(0, 0, self._note())
        if now - self._saved >= _SAVE_S:
            self._save_state()

    def _note(self) -> str:
        selector, step = self._selector, self._trainer.step
        if not self._instant.is_fitted:
            return "waiting for strokes of two classes"
        instant, network = _text(selector.instant), _text(selector.network)
        if selector.shown == "network":
            note = f"network shown, step {step}, score {network} against {instant} of the instant model"
            return f"{note}, too close to tell on a few strokes" if selector.is_doubtful else note
        note = f"instant model shown, score {instant}"
        if self._trainer.failure:
            return f"{note}; {self._trainer.failure}"
        if step:
            note += f"; network at step {step}, score {network}"
        return note

    def _save_state(self) -> None:
        self._saved = time.monotonic()
        if self._instant.is_fitted:
            state = self._trainer.state(self._fingerprint, self._saved - self._started)
            save_live_state(
                self._job.output.run_folder,
                self._fingerprint,
                LiveRunState(state, self._split.anchors(), self._curve.scores),
            )
            self._learner.save()

    def _finish(self) -> dict[str, Any]:
        """Write the model in use, and the state from which the next session continues."""
        self._ctx.report(0, 0, "keeping the best model")
        if not self._instant.is_fitted:
            return dict(NOTHING)
        self._save_state()
        instant = FinishedInstant(dict(self._instant.network.state_dict()), self._limits, self._learner.scores)
        return keep_model(
            self._job,
            [(self._in_view, self._normalisation), *self._others.volumes],
            self._learner.counts,
            instant,
            self._trainer,
            self._selector,
            self._split.has_held_out_strokes,
            self._started,
            self._ctx,
        )


def _text(score: float | None) -> str:
    return "not known yet" if score is None else f"{score:.2f}"
