"""Columns of windows: memory that does not grow with the volume, tiles that fit, other voxel sizes."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from napari_pytc.geometry import Box, Shape
from napari_pytc.learning.machine.precision import Precision
from napari_pytc.learning.networks.network import build_network
from napari_pytc.learning.prediction.network_inferer import NO_COPIES
from napari_pytc.learning.prediction.scales import ScaleCombination, scaled_images
from napari_pytc.learning.prediction.window_blending import RollingArray
from napari_pytc.learning.prediction.window_inferer import WindowInferer, sweep_axis
from napari_pytc.learning.prediction.window_predictor import WindowPredictor, fit_window_tile
from napari_pytc.plans.networks import UNetNetwork
from napari_pytc.plans.test_time import TtaSettings
from napari_pytc.plans.windows import Windows
from napari_pytc.volumes.resampling import resampled
from tests.support.contexts import RecordingContext
from tests.support.images import one_channel
from tests.support.learning import space
from tests.support.predictor_contract import Sink, volume

NORMALISATION = one_channel(mean=120, std=60, low=-1000, high=1000)
WINDOWS = Windows(shape=(4, 8, 8), batch_size=2)


def inferer(tta: TtaSettings = NO_COPIES) -> WindowInferer:
    torch.manual_seed(0)
    network = build_network(UNetNetwork(channels=(4, 8)), 2, space()).eval()
    return WindowInferer(network, WINDOWS, torch.device("cpu"), Precision(), tta=tta)


def most_held(predictor: WindowPredictor, shape: Shape, box: Box | None = None) -> int:
    """The most numbers that the sums, or the image, hold while a box is predicted, the weights of windows included."""
    sizes: list[int] = []
    with pytest.MonkeyPatch.context() as patch:

        def note(rolling: RollingArray, n_rows: int, real=RollingArray._shape) -> list[int]:
            sizes.append(math.prod(real(rolling, n_rows)))
            return real(rolling, n_rows)

        patch.setattr(RollingArray, "_shape", note)
        box = box or Box.of_shape(shape)
        predictor.predict(volume(shape), Sink(shape), box, RecordingContext(), focus=box.centre)
    return max(sizes)


def test_memory_does_not_grow_with_the_length_of_a_volume() -> None:
    predictor = WindowPredictor(inferer(), NORMALISATION, (4, 8, 8))
    short, long = (most_held(predictor, (length, 8, 8)) for length in (24, 96))
    assert short == long < 2 * 20 * 8 * 8


def test_memory_does_not_grow_with_the_length_of_a_volume_where_copies_are_kept_apart() -> None:
    tta = TtaSettings(turns=True, combine="min", scales=(0.5, 1, 1.5))
    held = []
    for length in (24, 96):
        source = volume((length, 8, 8))
        size = source.space.voxel_size_nm
        scaled = scaled_images(source, tta, size, size)
        predictor = WindowPredictor(
            inferer(tta), NORMALISATION, (4, 8, 8), None, scaled, ScaleCombination(("min",), [True, True])
        )
        held.append(most_held(predictor, (length, 8, 8)))
    assert held[0] == held[1] < 8 * 20 * 12 * 12


def test_scales_are_swept_along_the_axis_of_the_volume() -> None:
    # On its own the smaller image would be swept along another axis than tiles follow one another.
    shape: Shape = (4, 8, 14)
    tta, source = TtaSettings(scales=(0.5, 1)), volume(shape)
    size = source.space.voxel_size_nm
    (small,) = scaled_images(source, tta, size, size)
    assert (sweep_axis(shape, WINDOWS), sweep_axis(small.shape, WINDOWS)) == (2, 0)
    found = []
    for tile in (shape, (4, 8, 5)):
        sink = Sink(shape)
        WindowPredictor(
            inferer(tta), NORMALISATION, tile, None, [small], ScaleCombination(("mean",), [True, True])
        ).predict(source, sink, Box.of_shape(shape), RecordingContext())
        found.append(sink.data)
    assert np.abs(found[0] - found[1]).max() < 1e-5


@pytest.mark.parametrize(
    ("shape", "part"), [((8, 24, 24), Box((5, 0, 0), (6, 24, 24))), ((16, 8, 16), Box((0, 2, 0), (16, 4, 16)))]
)
def test_a_large_view_takes_no_more_memory_than_tiles(shape: Shape, part: Box) -> None:
    predictor = WindowPredictor(inferer(), NORMALISATION, (4, 8, 8))
    view = predictor.for_view(volume(shape), part)
    assert most_held(view, shape, part) <= most_held(predictor, shape)


def test_a_view_that_fits_is_one_tile() -> None:
    source, part = volume((24, 64, 64)), Box((5, 10, 10), (6, 26, 20))
    predictor = WindowPredictor(inferer(), NORMALISATION, (4, 16, 16))
    assert predictor.for_view(source, part).tile_shape == part.shape


def test_a_volume_of_other_voxels_is_predicted_on_its_own_in_any_tiles() -> None:
    shape = (6, 20, 24)
    source = volume(shape)
    seen = resampled(source, (10.0, 10.0, 10.0), (10.0, 20.0, 15.0))
    assert seen is not None
    found = []
    for tile in (shape, (2, 7, 9)):
        sink = Sink(shape)
        predictor = WindowPredictor(inferer(), NORMALISATION, tile, seen)
        predictor.predict(source, sink, Box.of_shape(shape), RecordingContext())
        assert np.allclose(sink.data.sum(axis=0), 1, atol=1e-5)
        found.append(sink.data)
    assert np.abs(found[0] - found[1]).max() < 1e-5


@pytest.mark.parametrize(
    ("volume", "axis"), [((64, 512, 512), 1), ((1024, 256, 256), 0), ((256, 256, 256), 0), ((16, 4000, 100), 1)]
)
def test_windows_sweep_where_a_slab_is_smallest(volume: Shape, axis: int) -> None:
    assert sweep_axis(volume, Windows(shape=(32, 64, 64))) == axis


@pytest.mark.parametrize("n_channels", [2, 12])
@pytest.mark.parametrize("free_gb", [1, 8, 100])
@pytest.mark.parametrize("shape", [(64, 512, 512), (500, 2000, 2000), (20_000, 20_000, 20_000), (5, 30, 30)])
def test_columns_fit_into_memory_and_are_whole_chunks(shape: Shape, free_gb: int, n_channels: int) -> None:
    windows = Windows(shape=(32, 96, 96))
    tile = fit_window_tile(shape, shape, windows, n_channels, 1, free_gb * 2**30)
    assert all(n % c == 0 for n, c in zip(tile, (32, 128, 128), strict=True))
    axis = sweep_axis(shape, windows)
    across = [min(tile[a], shape[a]) for a in range(3) if a != axis]
    held = across[0] * across[1] * 4 * (n_channels + 2) * windows.shape[axis]
    smallest = 4 * (n_channels + 2) * 128 * 128 * windows.shape[axis]
    assert held <= max(min(2**30, free_gb * 2**30 / 4), smallest)


def test_more_memory_computes_no_more_windows() -> None:
    shape, windows = (500, 3000, 3000), Windows(shape=(32, 96, 96))
    tiles = [fit_window_tile(shape, shape, windows, 2, 1, n * 2**28) for n in (1, 4, 16)]
    assert tiles[0] != tiles[-1]
    axis = sweep_axis(shape, windows)
    areas = [np.prod([tile[a] for a in range(3) if a != axis]) for tile in tiles]
    assert areas == sorted(areas)
