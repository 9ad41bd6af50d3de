"""Tiles: together they are the whole, in order, and what is finished stays finished."""

from __future__ import annotations

import errno
import threading

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from napari_pytc.geometry import Box, Shape, VoxelSpace
from napari_pytc.jobs.context import JobCancelled
from napari_pytc.learning.machine.precision import Precision
from napari_pytc.learning.machine.prefetch import prefetch
from napari_pytc.learning.prediction import inference
from napari_pytc.learning.prediction.inference import Inferer
from napari_pytc.learning.prediction.tiled import TiledPredictor
from napari_pytc.plans.networks import (
    DynUNetNetwork,
    FilterBankNetwork,
    FilterUNetNetwork,
    NetworkSettings,
    UNetNetwork,
)
from tests.support.contexts import RecordingContext
from tests.support.images import MemoryImage, memory_image, one_channel
from tests.support.learning import space, tta_of
from tests.support.predictor_contract import Finished, Sink, volume

NETWORKS: dict[str, NetworkSettings] = {
    "unet": UNetNetwork(channels=(4, 8)),
    "dynunet": DynUNetNetwork(channels=(2, 4, 4)),
    "filter_bank": FilterBankNetwork(sigmas=(0.7, 1.6), hidden=(6,)),
    "filter_unet": FilterUNetNetwork(sigmas=(0.7, 1.6), hidden=(6,), channels=(4, 8)),
    "flat_filter_unet": FilterUNetNetwork(sigmas=(0.7, 1.6), hidden=(6,), channels=(4, 8), flat=True),
}
NORMALISATION = one_channel(mean=120, std=60, low=-1000, high=1000)


def built(name: str, anisotropy: float) -> nn.Module:
    torch.manual_seed(0)
    network = NETWORKS[name].build(2, space(anisotropy)).eval()
    for buffer_name, buffer in network.named_buffers():
        if buffer.is_floating_point() and buffer.dim() == 1:
            buffer.uniform_(-0.2, 0.2) if "mean" in buffer_name else buffer.uniform_(0.8, 1.2)
    return network


def predictor(network: nn.Module, tile: Shape, flips: bool = False) -> TiledPredictor:
    made = Inferer(network, network.limits(), torch.device("cpu"), Precision(), tta=tta_of(flips))
    return TiledPredictor(made, NORMALISATION, tile)


@pytest.mark.slow
@pytest.mark.parametrize("name", NETWORKS)
@settings(max_examples=12)
@given(
    shape=st.tuples(st.integers(1, 9), st.integers(1, 40), st.integers(1, 40)),
    tile=st.tuples(st.integers(1, 9), st.integers(6, 40), st.integers(6, 40)),
    flips=st.booleans(),
    anisotropy=st.sampled_from([1.0, 2.5, 8.0]),
    cut=st.booleans(),
    seed=st.integers(0, 5),
)
def test_tiles_are_the_whole(name: str, shape, tile, flips, anisotropy, cut, seed) -> None:
    network, source = built(name, anisotropy), volume(shape, anisotropy, seed)
    whole = Box.of_shape(shape)
    box = Box(tuple(n // 3 for n in shape), shape) if cut else whole
    sink = Sink(shape)
    predictor(network, tile, flips).predict(source, sink, box, RecordingContext())
    image = NORMALISATION.apply(source.array)
    made = Inferer(network, network.limits(), torch.device("cpu"), Precision(), tta=tta_of(flips))
    expected = made(image, box).numpy()
    assert np.abs(sink.data[(slice(None), *box.slices)] - expected).max() < 1e-5
    outside = np.ones(shape, bool)
    outside[box.slices] = False
    assert not sink.data[:, outside].any()


@pytest.mark.parametrize("name", ["unet", "dynunet"])
def test_the_whole_is_the_network_itself(name: str) -> None:
    network, source = built(name, 1.0), volume((8, 16, 24))
    sink = Sink((8, 16, 24))
    predictor(network, (4, 8, 8)).predict(source, sink, Box.of_shape((8, 16, 24)), RecordingContext())
    image = torch.from_numpy(NORMALISATION.apply(source.array))[None]
    with torch.no_grad():
        expected = network(image)[0].softmax(0).numpy()
    assert np.abs(sink.data - expected).max() < 1e-5


def run(
    tile: Shape = (4, 8, 8), shape: Shape = (8, 16, 24), ctx: RecordingContext | None = None, **options
) -> tuple[Sink, RecordingContext]:
    sink, ctx = options.pop("sink", None) or Sink(shape), ctx or RecordingContext()
    source = options.pop("source", None) or volume(shape)
    predictor(built("unet", 1.0), tile).predict(source, sink, Box.of_shape(shape), ctx, **options)
    return sink, ctx


def test_progress_and_artifacts_come_tile_by_tile() -> None:
    sink, ctx = run()
    assert [(done, total) for done, total, _ in ctx.progress] == [(n, 12) for n in range(13)]
    assert [box for _, box in ctx.artifacts] == sink.boxes
    assert {kind for kind, _ in ctx.artifacts} == {"prediction"}


def test_tiles_nearest_to_the_focus_come_first() -> None:
    focus = (6.0, 12.0, 20.0)
    sink, _ = run(focus=focus)
    assert sink.boxes[0].contains_point(focus)
    away = [sum((c - f) ** 2 for c, f in zip(box.centre, focus, strict=True)) for box in sink.boxes]
    assert away == sorted(away)
    assert len(sink.boxes) == 12


def test_distance_to_the_focus_is_in_nanometres() -> None:
    shape = (4, 8, 8)
    source = memory_image(volume(shape).array, VoxelSpace((100, 1, 1)))
    sink = Sink(shape)
    predictor(built("unet", 1.0), (2, 4, 4)).predict(
        source, sink, Box.of_shape(shape), RecordingContext(), focus=(0.5, 1, 1)
    )
    assert {box.start[0] for box in sink.boxes[:4]} == {0}


@pytest.mark.slow
@pytest.mark.parametrize("n_checks", [0, 1, 2, 5, 11, 23])
def test_a_cancel_keeps_finished_tiles_and_a_later_run_does_the_rest(n_checks: int) -> None:
    whole, _ = run()
    sink, done, ctx = Sink((8, 16, 24)), Finished(), RecordingContext(cancel_after=n_checks)
    with pytest.raises(JobCancelled):
        run(sink=sink, done=done, ctx=ctx)
    assert len(done.indices) == len(sink.boxes) == len(ctx.artifacts) == (n_checks + 1) // 2
    first = list(sink.boxes)
    again = RecordingContext()
    report = predictor(built("unet", 1.0), (4, 8, 8)).predict(
        volume((8, 16, 24)), sink, Box.of_shape((8, 16, 24)), again, done=done
    )
    assert (report.tiles, report.tiles_done_before) == (12, len(first))
    assert sorted(sink.boxes) == sorted(set(sink.boxes))
    assert again.progress[0][:2] == (len(first), 12)
    assert np.array_equal(sink.data, whole.data)


def test_a_failing_read_ends_the_run_and_keeps_the_tiles_before() -> None:
    class Torn(MemoryImage):
        n_reads = 0

        def read(self, box: Box) -> np.ndarray:
            self.n_reads += 1
            if self.n_reads == 4:
                raise OSError(errno.EIO, "Input/output error")
            return super().read(box)

    sink, done = Sink((8, 16, 24)), Finished()
    with pytest.raises(OSError, match="Input/output"):
        run(source=Torn(volume((8, 16, 24)).array), sink=sink, done=done)
    assert done.indices == {0, 1, 2}
    assert len(sink.boxes) == 3


@pytest.mark.slow
def test_memory_running_out_in_the_middle_changes_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(inference, "_LEAST_VOXELS", 16)
    expected, _ = run()
    network = built("unet", 1.0)
    limits, real, n_calls = network.limits(), network.forward, 0

    def forward(image: torch.Tensor) -> torch.Tensor:
        nonlocal n_calls
        n_calls += 1
        if n_calls > 5 and image.numel() > 2000:
            raise RuntimeError("CUDA out of memory.")
        return real(image)

    network.forward = forward
    ctx, sink = RecordingContext(), Sink((8, 16, 24))
    made = Inferer(network, limits, torch.device("cpu"), Precision(), warn=ctx.warn)
    TiledPredictor(made, NORMALISATION, (4, 8, 8)).predict(volume((8, 16, 24)), sink, Box.of_shape((8, 16, 24)), ctx)
    assert ctx.warnings
    assert np.abs(sink.data - expected.data).max() < 1e-6


def test_a_later_tile_is_read_while_one_is_computed_but_not_the_whole_volume() -> None:
    class Ahead(MemoryImage):
        n_reads = 0

        def read(self, box: Box) -> np.ndarray:
            type(self).n_reads += 1
            return super().read(box)

    class Noting(Sink):
        def write(self, box: Box, data: np.ndarray) -> None:
            super().write(box, data)
            ahead.append(Ahead.n_reads - len(self.boxes))

    ahead: list[int] = []
    run(source=Ahead(volume((8, 16, 24)).array), sink=Noting((8, 16, 24)))
    assert max(ahead) <= 4


def test_work_is_done_ahead_in_order_and_ends_with_its_reader() -> None:
    made: list[int] = []

    def make(n: int) -> int:
        made.append(n)
        assert threading.current_thread() is not threading.main_thread()
        return n * n

    work = prefetch(make, iter(range(100)), depth=2)
    assert [next(work) for _ in range(3)] == [0, 1, 4]
    work.close()
    assert len(made) <= 6


def test_an_error_made_ahead_is_raised_in_its_turn() -> None:
    def make(n: int) -> int:
        if n == 2:
            raise ValueError("two")
        return n

    work = prefetch(make, range(5))
    assert [next(work), next(work)] == [0, 1]
    with pytest.raises(ValueError, match="two"):
        next(work)
