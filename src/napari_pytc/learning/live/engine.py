"""The loop of live learning: what is most urgent, one small piece at a time."""

from __future__ import annotations

import time
from typing import Any, Literal

import numpy as np
import torch

from napari_pytc.annotations.store import AnnotationStore
from napari_pytc.geometry import Box, VoxelSpace
from napari_pytc.jobs.context import JobContext
from napari_pytc.learning.data import TrainingImage
from napari_pytc.learning.devices import limit_threads, one_thread
from napari_pytc.learning.jobs import check_image
from napari_pytc.learning.live.instant import InstantModel
from napari_pytc.learning.live.job import LiveJob
from napari_pytc.learning.live.messages import Inbox, View
from napari_pytc.learning.live.prediction_store import TileWriter, open_live_prediction
from napari_pytc.learning.live.strokes import StrokeBook
from napari_pytc.learning.live.taught import Examples, TaughtVoxels
from napari_pytc.learning.live.tiles import FeatureTiles, tile_shape_of, tiles_in_view
from napari_pytc.learning.model_folder import ModelInfo, write_model_folder
from napari_pytc.learning.networks.limits import measure_limits
from napari_pytc.learning.normalisation import Normalisation
from napari_pytc.learning.weights import save_weights
from napari_pytc.metrics.overlap import ClassCounts
from napari_pytc.volumes.opening import open_spec
from napari_pytc.volumes.source import VolumeSource
from napari_pytc.volumes.statistics import sample_statistics

_IDLE_S = 0.005

Shown = Literal["instant", "network"]


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

    After each piece the loop begins again, so that whatever was told meanwhile comes first.
    """

    def __init__(self, job: LiveJob, source: VolumeSource, store: AnnotationStore, ctx: JobContext) -> None:
        self._job, self._plan, self._source, self._ctx = job, job.plan, source, ctx
        self._space = VoxelSpace(job.voxel_size_nm, source.space.origin_nm)
        self._whole = Box.of_shape(source.shape)
        self._book = StrokeBook(store, len(job.classes), job.held_out)
        self._book.refresh()
        self._normalisation = _normalisation(source, job.held_out, [page.box for page in self._book.pages.values()])
        image = TrainingImage(source, self._normalisation, job.held_out)
        visible = TrainingImage(source, self._normalisation) if job.held_out else image
        self._instant = InstantModel(self._plan.instant, len(job.classes), self._space)
        self._twin = InstantModel(self._plan.instant, len(job.classes), self._space)
        bank = self._instant.network
        self._limits = measure_limits(bank)
        self._features = FeatureTiles(bank, self._limits, visible, self._plan.feature_cache_mb * 2**20)
        self._taught = TaughtVoxels(bank, self._limits, image, visible, self._features)
        self._inbox = Inbox(ctx, self._whole)
        self._writer = TileWriter(open_live_prediction(job.output, self._whole.shape, self._space, job.classes), ctx)
        self._shown: Shown = "instant"
        self._generation = 0
        self._predicted: dict[Box, int] = {}
        self._told: tuple[int, int] | None = None
        self._queue: tuple[View, int, list[Box]] | None = None
        self._learnt, self._kept = _nothing(bank.n_features), _nothing(bank.n_features)
        self._fitted_revision = -1
        self._twin_is_due = False
        self._instant_score: float | None = None

    def run(self) -> dict[str, Any]:
        """Work until told to stop."""
        self._ctx.metric("shown", 0, 0)
        self._learn_strokes()
        while not self._inbox.stop:
            self._ctx.check()
            self._inbox.listen()
            if not self._work():
                self._writer.tell(most=0)
                self._report()
                time.sleep(_IDLE_S)
        return self._finish()

    def close(self) -> None:
        """End what runs beside."""
        self._writer.close()

    def _work(self) -> bool:
        """Do the most urgent piece; False when there is nothing to do."""
        return self._learn_strokes() or self._predict_tile() or self._score_instant()

    def _learn_strokes(self) -> bool:
        """Fit the instant model to strokes that changed."""
        self._book.refresh()
        if self._book.revision == self._fitted_revision:
            return False
        self._fitted_revision = self._book.revision
        if not self._book.is_enough:
            return False
        with one_thread():
            held = self._book.scores_held_out
            self._learnt, self._kept = self._taught.gather(self._book.pages.values(), held)
            # Kept strokes teach the model that is shown, too: who paints one wants to see it. The twin is scored.
            self._instant.fit(self._learnt if held else self._learnt + self._kept)
        self._twin_is_due = True
        if self._shown == "instant":
            self._generation += 1
        return True

    def _predict_tile(self) -> bool:
        """Predict the tile in view, nearest to its centre, that the model on show has not predicted yet."""
        tiles = self._tiles_to_predict()
        if not tiles:
            return False
        box = tiles.pop(0)
        self._writer.write(box, self._probabilities(box))
        self._predicted[box] = self._generation
        if not tiles:
            self._writer.tell(most=0)
            view = self._inbox.view
            assert view is not None
            self._ctx.metric("generation", self._fitted_revision, view.generation)
        return True

    def _tiles_to_predict(self) -> list[Box]:
        view = self._inbox.view
        if view is None or not self._instant.is_fitted:
            return []
        if self._queue is None or self._queue[:2] != (view, self._generation):
            tiles = tiles_in_view(view.box, self._whole, tile_shape_of(view.box), self._space.voxel_size_nm)
            stale = [box for box in tiles if self._predicted.get(box) != self._generation]
            self._queue = (view, self._generation, stale)
        return self._queue[2]

    def _probabilities(self, box: Box) -> torch.Tensor:
        rows = self._instant.probabilities(self._features.get(box))
        return rows.T.reshape(-1, *box.shape)

    def _score_instant(self) -> bool:
        """Fit the instant model's twin without what is kept, and score it on that."""
        if not self._twin_is_due:
            return False
        self._twin_is_due = False
        with one_thread():
            self._twin.fit(self._learnt)
            if len(self._kept):
                rows = self._twin.probabilities(self._kept.features)
                self._instant_score = _mean_dice(rows.argmax(1) + 1, self._kept.classes, len(self._job.classes))
        if self._instant_score is not None:
            self._ctx.metric("instant/score", 0, self._instant_score)
        return True

    def _report(self) -> None:
        """The status line."""
        if not self._instant.is_fitted:
            note = "waiting for strokes of two classes"
        elif self._instant_score is None:
            note = "instant model shown; no strokes to score by yet"
        else:
            note = f"instant model shown, score {self._instant_score:.2f}"
        self._ctx.report(0, 0, note)

    def _finish(self) -> dict[str, Any]:
        """Write the best model's folder."""
        if not self._instant.is_fitted:
            return {"model": None, "folder": None, "shown": self._shown, "scores": {}, "steps": 0}
        folder, job = self._job.model_folder, self._job
        if self._twin_is_due:
            self._score_instant()
        scores = {} if self._instant_score is None else {"mean": self._instant_score}
        info = ModelInfo(
            id=folder.name,
            name=folder.name,
            recipe="live",
            classes=job.classes,
            parent=None,
            voxel_size_nm=job.voxel_size_nm,
            limits=self._limits,
            n_annotated={name: int(n) for name, n in zip(job.classes, self._book.counts, strict=True)},
            plan=self._plan.instant,
            scores=scores,
        )
        weights = dict(self._instant.network.state_dict())
        write_model_folder(folder, info, self._normalisation, lambda path: save_weights(path, weights))
        return {"model": info.id, "folder": str(folder), "shown": self._shown, "scores": scores, "steps": 0}


def _normalisation(source: VolumeSource, held_out: tuple[Box, ...], painted: list[Box]) -> Normalisation:
    statistics = sample_statistics(source, exclude=held_out)
    if statistics.minimum == statistics.maximum and painted:  # mostly padding: tissue is where the strokes are
        statistics = sample_statistics(source, exclude=held_out, blocks=painted)
    return Normalisation.from_statistics(statistics)


def _nothing(n_features: int) -> Examples:
    return Examples(torch.zeros(0, n_features), torch.zeros(0, dtype=torch.int64))


def _mean_dice(predicted: torch.Tensor, truth: torch.Tensor, n_classes: int) -> float | None:
    """Mean Dice of the classes in the truth."""
    counts = ClassCounts(ignore=0)
    counts.add(predicted.to(torch.uint8).numpy(), truth.to(torch.uint8).numpy())
    ids = range(1, n_classes + 1)
    dice = counts.dice(ids)
    present = [dice[k] for k in ids if counts.confusion[k].any()]
    return float(np.mean(present)) if present else None
