"""The loop of live learning: what is most urgent, one small piece at a time."""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import Any

from torch import Tensor

from napari_pytc.annotations.store import AnnotationStore
from napari_pytc.errors import OutOfMemory
from napari_pytc.geometry import Box, VoxelSpace
from napari_pytc.jobs.context import JobCancelled, JobContext
from napari_pytc.learning.data import TrainingImage
from napari_pytc.learning.devices import limit_threads, one_thread
from napari_pytc.learning.jobs import check_image
from napari_pytc.learning.live.behind import CACHE_BYTES, Behind
from napari_pytc.learning.live.blend import Blend
from napari_pytc.learning.live.contest import Contest, Rounds
from napari_pytc.learning.live.gate import standing
from napari_pytc.learning.live.instant import InstantModel
from napari_pytc.learning.live.job import SUGGESTIONS, LiveJob
from napari_pytc.learning.live.keeping import (
    KeptModel,
    KeptState,
    fingerprint_of,
    info_of,
    keep_model,
    keep_state,
    kept_state,
    network_of,
)
from napari_pytc.learning.live.memory import Memory
from napari_pytc.learning.live.messages import Inbox, View
from napari_pytc.learning.live.painter import ViewPainter
from napari_pytc.learning.live.prediction_store import TileWriter, open_live_prediction
from napari_pytc.learning.live.scores import ScoredPlace, Scoring, chosen_places
from napari_pytc.learning.live.strokes import StrokeBook
from napari_pytc.learning.live.suggesting import PlaceFinder, Places, write_suggestions
from napari_pytc.learning.live.taught import Examples, TaughtVoxels
from napari_pytc.learning.live.tiles import FeatureTiles
from napari_pytc.learning.model_folder import read_model_info
from napari_pytc.learning.networks.limits import measure_limits
from napari_pytc.learning.normalisation import Normalisation
from napari_pytc.volumes.opening import open_spec
from napari_pytc.volumes.source import VolumeSource
from napari_pytc.volumes.statistics import sample_statistics

_IDLE_S = 0.005
_MOST_AHEAD = 32
"""Tiles whose features are computed before anything is painted."""
_REPORT_S, _SAVE_S = 0.5, 60.0


def learn_live(job: LiveJob, ctx: JobContext) -> dict[str, Any]:
    """Open what a job names and learn until told to stop; what `LiveJob.run` answers."""
    job.plan.check()
    limit_threads()
    source = open_spec(job.image)
    check_image(source, job.image_digest)
    engine = LiveEngine(job, source, AnnotationStore.open(job.annotations, writable=False), ctx)
    try:
        return engine.run()
    finally:
        engine.close()


class LiveEngine:
    """Everything one live job holds, and the order in which it does things.

    ::

        stopped? -- new strokes: instant model -- tiles in view -- scores -- suggestions -- a step of the network
           ^                                                                                       |
           +---------------------------------------------------------------------------------------+

    After each piece the loop begins again, so that whatever was told meanwhile comes first. While a stroke is painted
    only the first three are done.
    """

    def __init__(self, job: LiveJob, source: VolumeSource, store: AnnotationStore, ctx: JobContext) -> None:
        self._job, self._plan, self._ctx = job, job.plan, ctx
        self._source, self._store = source, store
        self._started = time.monotonic()
        self._space = VoxelSpace(job.voxel_size_nm, source.space.origin_nm)
        self._whole = Box.of_shape(source.shape)
        self._fingerprint = fingerprint_of(job, source.shape)
        earlier = kept_state(job.run_folder, self._fingerprint, ctx)
        self._book = StrokeBook(store, len(job.classes), job.held_out, None if earlier is None else earlier.anchors)
        self._book.refresh()
        self._normalisation = _normalisation(source, job.held_out, [page.box for page in self._book.pages.values()])
        image = TrainingImage(source, self._normalisation, job.held_out, CACHE_BYTES)
        visible = TrainingImage(source, self._normalisation, (), CACHE_BYTES) if job.held_out else image
        self._instant, self._twin, reference = (
            InstantModel(self._plan.instant, len(job.classes), self._space) for _ in range(3)
        )
        self._blend = Blend(self._instant, reference)
        bank = self._instant.network
        self._limits = measure_limits(bank)
        self._features = FeatureTiles(bank, self._limits, visible, self._plan.feature_cache_mb * 2**20)
        self._taught = TaughtVoxels(bank, self._limits, image, visible, self._features)
        self._memory = Memory(job, self._instant, self._twin, self._taught.sees_held_out)
        if earlier is not None:  # else what is kept to score by may be chosen anew, and the twin must not know it
            self._memory.restore(self._book.painted())
        self._contest = Contest(self._plan.margin, self._plan.tolerance)
        self._rounds = Rounds(() if earlier is None else earlier.rounds)
        self._behind = Behind(
            job, source, self._space, self._normalisation, visible, self._contest, self._show_network, ctx
        )
        self._behind.begin(None if earlier is None else earlier.network)
        self._inbox = Inbox(ctx, self._whole)
        store_of_tiles = open_live_prediction(job.output, self._whole.shape, self._space, job.classes)
        self._writer = TileWriter(store_of_tiles, ctx)
        self._painter = ViewPainter(self._whole, self._space.voxel_size_nm, self._writer)
        self._of_network: set[Box] = set()
        self._learnt: Examples | None = None
        self._fitted_revision = -1
        self._places: list[ScoredPlace] = []
        self._place_features: dict[Any, Tensor] = {}
        self._instant_scores: dict[str, Any] = {}
        self._told: tuple[int, View] | None = None
        self._ahead: tuple[View, list[Box]] | None = None
        self._looking: Iterator[Places | None] | None = None
        self._scores_are_due = False
        self._reported = self._saved = self._started

    def run(self) -> dict[str, Any]:
        """Work until told to stop; what was learnt is also kept when the job is cancelled."""
        self._ctx.metric("shown", self._behind.step, 0)
        try:
            while not self._inbox.stop:
                if not self.turn():
                    time.sleep(_IDLE_S)
        except JobCancelled:
            self._keep_state()
            raise
        return self._finish()

    def close(self) -> None:
        """End what runs beside."""
        self._behind.close()
        self._writer.close()

    def turn(self) -> bool:
        """Listen and do the most urgent piece of work; False when there was nothing to do."""
        self._ctx.check()
        self._inbox.listen()
        worked = self._learn_strokes() or self._predict_tile() or self._work_behind()
        self._writer.tell_done()
        self._report()
        return worked

    def _work_behind(self) -> bool:
        """What nobody waits for; nothing of it while a stroke is painted, so that the worker is free at its end."""
        if self._inbox.is_stroke_coming:
            self._behind.hold()
            return False
        return self._score_instant() or self._suggest() or self._behind.work(self._places, self._painter)

    def _learn_strokes(self) -> bool:
        """Fit the instant model to strokes that changed."""
        self._book.refresh()
        if self._book.revision == self._fitted_revision:
            return False
        self._behind.hold()
        is_first = self._fitted_revision < 0
        self._fitted_revision = self._book.revision
        if not self._book.is_enough:
            self._behind.pause()
            return False
        with one_thread():
            self._learnt, kept = self._taught.gather(self._book.pages.values())
            # Kept strokes teach the model that is shown, too: who paints one wants to see it. Its twin is scored.
            self._memory.fit("instant", self._learnt + kept, self._book.painted())
        self._contest.expire()
        self._scores_are_due = True
        if not is_first:
            self._rounds.painted()
        self._blend.note_change()
        self._painter.renew()
        return True

    def _predict_tile(self) -> bool:
        """Predict the tile in view, nearest to its centre, that the model on show has not predicted yet."""
        view = self._inbox.view
        if view is None:
            return False
        if not self._instant.is_fitted:
            return self._look_ahead(view)
        if not self._painter.is_done(view):
            self._behind.hold()
            self._painter.advance(view, self._probabilities, self._at_once)
            return True
        if (self._painter.n_renewed, view) != self._told:
            self._told = (self._painter.n_renewed, view)
            self._ctx.metric("generation", self._fitted_revision, view.generation)
        return False

    def _look_ahead(self, view: View) -> bool:
        """Compute a tile's features before there are strokes, so that the first ones are answered at once."""
        if self._ahead is None or self._ahead[0] != view:
            self._ahead = view, self._painter.waiting(view)[:_MOST_AHEAD]
        if not self._ahead[1]:
            return False
        self._features.get(self._ahead[1].pop(0))
        return True

    def _probabilities(self, box: Box) -> Tensor:
        if self._contest.shown == "network":
            try:
                found = self._blend.probabilities(box, self._behind.predict, self._features.get)
            except OutOfMemory as error:
                self._behind.give_up(error.message, self._painter)
            else:
                self._of_network.add(box)
                return found
        self._of_network.discard(box)
        return self._of_instant(box)

    def _at_once(self, box: Box) -> Tensor | None:
        """What to show of a tile until the network has answered, which may take a second for each.

        Nothing where its former weights have, unless a stroke came since: who paints wants to see it.
        """
        if self._contest.shown == "instant" or self._blend.knows(box):
            return None
        return None if box in self._of_network and not self._blend.is_changed else self._of_instant(box)

    def _of_instant(self, box: Box) -> Tensor:
        features = self._features.get(box)
        self._memory.look(box, features)
        return self._instant.probabilities(features).reshape(-1, *box.shape)

    def _show_network(self) -> None:
        """The network's weights on show changed."""
        self._blend.begin()
        self._painter.renew()

    def _score_instant(self) -> bool:
        """Fit the instant model's twin without what is kept, and score it on that."""
        if not self._scores_are_due or self._learnt is None:
            return False
        self._scores_are_due = False
        self._places = chosen_places(self._book.pages.values(), self._plan.seed)
        with one_thread():
            self._memory.fit("twin", self._learnt, self._book.painted())
            scoring = Scoring(self._places, self._instant_classes)
            while not scoring.is_over:
                scoring.advance()
        self._instant_scores = scoring.result(self._job.classes)
        self._contest.score_instant(self._instant_scores["mean"], not self._book.scores_held_out)
        if self._contest.instant is not None:
            self._ctx.metric("instant/score", self._behind.step, self._contest.instant)
        self._behind.teach(self._book, self._twin, self._limits, self._learnt)
        return True

    def _instant_classes(self, place: ScoredPlace) -> Any:
        known = self._place_features.get(place.key)
        if known is None:
            known = self._taught.features(place.where, visible=self._book.scores_held_out)
            self._place_features[place.key] = known
        return (self._twin.probabilities(known).argmax(0) + 1).numpy()

    def _suggest(self) -> bool:
        """Look at one candidate of the places to paint next, when they are wanted."""
        wish = self._inbox.take_wish() if self._instant.is_fitted else None
        if wish is not None:
            finder = PlaceFinder(
                self._space,
                self._job.held_out,
                lambda box: self._features.get(box).float(),
                self._instant.probabilities,
                self._behind.predict_newest if self._behind.is_trained else None,
                self._plan.seed + self._fitted_revision,
            )
            self._looking = finder.find(wish, list(self._book.pages.values()))
        if self._looking is None:
            return False
        places = next(self._looking)
        if places is not None:
            self._looking = None
            saturated, text = self._rounds.verdict()
            write_suggestions(self._job.output.parent / SUGGESTIONS, places, saturated, text)
            self._ctx.artifact("suggestions", places.within)
        return True

    def _report(self) -> None:
        """The status line, and every so often the state."""
        scores = [score for score in (self._contest.instant, self._contest.network) if score is not None]
        if scores:
            self._rounds.scored(max(scores))
        now = time.monotonic()
        if now - self._reported >= _REPORT_S:
            self._reported = now
            self._ctx.report(0, 0, self._note())
        if now - self._saved >= _SAVE_S:
            self._keep_state()

    def _note(self) -> str:
        contest, step = self._contest, self._behind.step
        if not self._instant.is_fitted:
            return "waiting for strokes of two classes"
        instant, network = _text(contest.instant), _text(contest.network)
        if contest.shown == "network":
            note = f"network shown, step {step}, score {network} against {instant} of the instant model"
            return f"{note}, too close to tell on a few strokes" if contest.is_doubtful else note
        note = f"instant model shown, score {instant}"
        if self._behind.failure:
            return f"{note}; {self._behind.failure}"
        if step:
            note += f"; network at step {step}, score {network}"
        return note

    def _keep_state(self) -> None:
        self._saved = time.monotonic()
        if self._instant.is_fitted:
            state = self._behind.state(self._fingerprint, self._saved - self._started)
            keep_state(
                self._job.run_folder, self._fingerprint, KeptState(state, self._book.anchors(), self._rounds.scores)
            )
            self._memory.keep()

    def _finish(self) -> dict[str, Any]:
        """Keep what is shown as the model, and the state to go on from."""
        self._ctx.report(0, 0, "keeping the best model")
        if not self._instant.is_fitted:
            return {"model": None, "folder": None, "shown": "instant", "scores": {}, "steps": 0}
        self._keep_state()
        is_network = self._contest.shown == "network"
        plan, weights, limits, precision = (
            self._behind.kept()
            if is_network
            else (self._plan.instant, dict(self._instant.network.state_dict()), self._limits, "float32")
        )
        model = KeptModel(
            plan=plan,
            weights=weights,
            limits=limits,
            normalisation=self._normalisation,
            steps=self._behind.step if is_network else self._plan.instant.steps,
            seconds=time.monotonic() - self._started,
            precision=precision,
            n_annotated={n: int(c) for n, c in zip(self._job.classes, self._book.counts, strict=True)},
            scores=self._scores(),
        )
        parent = None if self._job.parent is None or not is_network else read_model_info(self._job.parent).id
        info = info_of(self._job, model, parent)
        compared = standing(self._job, self._source, self._store, network_of(info, model), self._ctx)
        info = info.model_copy(update={"scores": {**info.scores, **compared}})
        keep_model(self._job, info, model)
        return {
            "model": info.id,
            "folder": str(self._job.model_folder),
            "shown": self._contest.shown,
            "scores": info.scores,
            "steps": self._behind.step,
        }

    def _scores(self) -> dict[str, Any]:
        """Scores of what is shown: those of held-out boxes as every model's, others under a name of their own."""
        found = self._behind.scores if self._contest.shown == "network" else self._instant_scores
        both = {"instant": self._contest.instant, "network": self._contest.network}
        if found.get("mean") is None:
            return {}
        if self._book.scores_held_out:
            return {**found, "boxes": [str(box) for box in self._job.held_out], "live": both}
        return {"live": {**both, "mean": found["mean"], "dice": found["dice"], "of": "strokes kept from learning"}}


def _normalisation(source: VolumeSource, held_out: tuple[Box, ...], painted: list[Box]) -> Normalisation:
    statistics = sample_statistics(source, exclude=held_out)
    if statistics.minimum == statistics.maximum and painted:  # mostly padding: tissue is where the strokes are
        statistics = sample_statistics(source, exclude=held_out, blocks=painted)
    return Normalisation.from_statistics(statistics)


def _text(score: float | None) -> str:
    return "not known yet" if score is None else f"{score:.2f}"
