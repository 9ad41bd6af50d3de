"""What every predictor does, whatever its network: `PredictorContract` is inherited by the tests of each."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from napari_pytc.errors import VolumeError
from napari_pytc.geometry import Box, Shape
from napari_pytc.jobs.context import JobCancelled
from napari_pytc.learning.prediction.predictor import Predictor
from tests.support.contexts import RecordingContext
from tests.support.images import MemoryImage, memory_image
from tests.support.learning import space

SHAPE: Shape = (8, 16, 24)
TILE: Shape = (4, 8, 8)
WHOLE = Box.of_shape(SHAPE)


def volume(shape: Shape = SHAPE, anisotropy: float = 1.0, seed: int = 0) -> MemoryImage:
    """Random intensities."""
    raw = np.random.default_rng(seed).integers(0, 255, shape).astype(np.uint8)
    return memory_image(raw, space(anisotropy))


class Sink:
    """Probabilities in memory; notes the boxes and fails when told to."""

    def __init__(self, shape: Shape = SHAPE, n_classes: int = 2, dtype: type = np.float32) -> None:
        self.data = np.zeros((n_classes, *shape), dtype)
        self.dtype = np.dtype(dtype)
        self.boxes: list[Box] = []
        self.fail_at: int | None = None

    def write(self, box: Box, data: np.ndarray) -> None:
        if self.fail_at is not None and len(self.boxes) >= self.fail_at:
            raise VolumeError("The disk is full.", "Make room and run it again.")
        self.boxes.append(box)
        self.data[(slice(None), *box.slices)] = data


class Finished:
    """A ledger in memory."""

    def __init__(self, indices: set[int] = frozenset()) -> None:  # type: ignore[assignment]
        self.indices = set(indices)

    def done(self) -> set[int]:
        return set(self.indices)

    def mark(self, index: int) -> None:
        self.indices.add(index)


class PredictorContract:
    """Tests of a predictor with tiles of `TILE` on `volume()`; a test class gives one by `make`."""

    make: Callable[..., Predictor]

    def run(self, sink: Sink | None = None, ctx: RecordingContext | None = None, **options) -> Sink:
        sink = sink or Sink()
        self.make().predict(volume(), sink, WHOLE, ctx or RecordingContext(), **options)
        return sink

    def test_tiles_partition_the_box_and_classes_add_up(self) -> None:
        sink = self.run()
        covered = np.zeros(SHAPE, int)
        for box in sink.boxes:
            covered[box.slices] += 1
        assert (covered == 1).all()
        assert np.allclose(sink.data.sum(axis=0), 1, atol=1e-5)

    def test_progress_grows_to_the_end_and_boxes_are_told(self) -> None:
        ctx = RecordingContext()
        sink = self.run(ctx=ctx)
        shares = [done / total for done, total, _ in ctx.progress]
        assert shares[0] == 0
        assert shares[-1] == 1
        assert shares == sorted(shares)
        assert ctx.artifacts == [("prediction", box) for box in sink.boxes]

    def test_bytes_are_rounded_probabilities(self) -> None:
        floats, found = self.run(), self.run(Sink(dtype=np.uint8))
        assert np.array_equal(found.data, np.round(floats.data * 255).astype(np.uint8))

    def test_the_tile_around_the_focus_comes_first(self) -> None:
        focus = (6.0, 12.0, 20.0)
        sink = self.run(focus=focus)
        assert sink.boxes[0].contains_point(focus)
        assert len(sink.boxes) == len(self.make().grid(volume(), WHOLE))
        assert np.array_equal(sink.data, self.run().data)

    def test_finished_tiles_are_left_out(self) -> None:
        n = len(self.make().grid(volume(), WHOLE))
        done = Finished({1, n - 1})
        sink = self.run(done=done)
        grid, whole = self.make().grid(volume(), WHOLE), self.run()
        assert set(sink.boxes) == {grid[index].write for index in range(n)} - {
            grid[index].write for index in (1, n - 1)
        }
        assert done.indices == set(range(n))
        for box in sink.boxes:
            assert np.array_equal(sink.data[(slice(None), *box.slices)], whole.data[(slice(None), *box.slices)])

    @pytest.mark.parametrize("n_checks", [0, 1, 3, 8])
    def test_a_cancel_keeps_what_is_finished_and_a_later_run_does_the_rest(self, n_checks: int) -> None:
        sink, done = Sink(), Finished()
        with pytest.raises(JobCancelled):
            self.run(sink, RecordingContext(cancel_after=n_checks), done=done)
        n_before = len(done.indices)
        assert n_before == len(sink.boxes)
        report = self.make().predict(volume(), sink, WHOLE, RecordingContext(), done=done)
        assert report.tiles_done_before == n_before
        assert len(sink.boxes) == report.tiles == len(set(sink.boxes))
        assert np.array_equal(sink.data, self.run().data)

    def test_a_full_disk_is_one_error_and_its_tile_is_not_marked(self) -> None:
        sink, done = Sink(), Finished()
        sink.fail_at = 3
        with pytest.raises(VolumeError, match="The disk is full"):
            self.run(sink, done=done)
        assert len(done.indices) == 3
        sink.fail_at = None
        self.run(sink, done=done)
        assert np.array_equal(sink.data, self.run().data)

    def test_a_box_is_predicted_as_in_the_whole(self) -> None:
        box, sink = Box((2, 3, 5), (7, 16, 20)), Sink()
        self.make().predict(volume(), sink, box, RecordingContext())
        inside = (slice(None), *box.slices)
        assert np.abs(sink.data[inside] - self.run().data[inside]).max() < 1e-5
        sink.data[inside] = 0
        assert not sink.data.any()

    def test_intensities_that_are_no_finite_numbers_are_counted_once(self) -> None:
        raw = np.random.default_rng(0).uniform(0, 255, SHAPE).astype(np.float32)
        raw[0, 0, :3], raw[5, 8, 8], raw[-1, -1, -1] = np.nan, np.inf, -np.inf  # some are in the halo of other tiles
        predictor, sink = self.make(), Sink()
        predictor.predict(memory_image(raw, space(1.0)), sink, WHOLE, RecordingContext())
        assert predictor.n_unknown == 5
        assert np.isfinite(sink.data).all()

    def test_what_is_in_view_equals_the_whole(self) -> None:
        part, sink = Box((4, 2, 2), (5, 14, 20)), Sink()
        predictor = self.make().for_view(volume(), part)
        predictor.predict(volume(), sink, part, RecordingContext(), focus=part.centre)
        inside = (slice(None), *part.slices)
        assert np.abs(sink.data[inside] - self.run().data[inside]).max() < 1e-5
        assert predictor.n_computed(volume(), part) >= part.size
        grid = self.make().grid(volume(), WHOLE)
        some = self.make().n_computed(volume(), WHOLE, list(grid.overlapping(part)))
        assert part.size <= some <= self.make().n_computed(volume(), WHOLE)
