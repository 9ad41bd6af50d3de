"""Tiles of the view and the cache of their features."""

from __future__ import annotations

import pytest
import torch

from napari_pytc.geometry import Box
from napari_pytc.learning.data.training_image import TrainingImage
from napari_pytc.learning.live.tiles import FeatureTiles, tile_shape_of, tiles_in_view
from tests.support.images import memory_image
from tests.support.live import (
    NORMALISATION,
    live_tissue,
    make_instant_model,
)


@pytest.mark.parametrize(
    ("view", "shape"),
    [
        (Box((3, 0, 0), (4, 512, 512)), (1, 128, 128)),
        (Box((0, 7, 0), (170, 8, 250)), (128, 1, 128)),
        (Box((0, 0, 0), (100, 100, 100)), (48, 48, 48)),
        (Box((3, 5, 0), (4, 6, 512)), (1, 1, 512)),
        (Box((3, 5, 7), (4, 6, 8)), (1, 1, 1)),
    ],
)
def test_tiles_are_thin_where_the_view_is(view: Box, shape: tuple[int, int, int]) -> None:
    assert tile_shape_of(view) == shape


def test_tiles_cover_the_view_and_begin_in_its_middle() -> None:
    volume, view = Box.of_shape((10, 1000, 900)), Box((3, 100, 50), (4, 700, 900))

    tiles = tiles_in_view(view, volume, (1, 128, 128), (1, 1, 1))

    assert sum(tile.intersect(view).size for tile in tiles) == view.size
    assert len(set(tiles)) == len(tiles)
    assert tiles[0].contains_point(view.centre)


def test_only_the_middle_of_a_huge_view_is_tiled() -> None:
    volume = Box.of_shape((4000, 40000, 40000))

    tiles = tiles_in_view(volume, volume, tile_shape_of(volume), (1, 1, 1))

    assert len(tiles) == 256
    assert tiles[0].grow((1, 1, 1)).contains_point(volume.centre)


def test_features_are_those_of_the_network_and_bounded_in_memory() -> None:
    tissue, network = live_tissue(), make_instant_model().network
    image = TrainingImage(memory_image(tissue.raw, tissue.space), NORMALISATION)
    boxes = [Box((z, 0, 0), (z + 1, 64, 64)) for z in range(6)]
    of_one = 64 * 64 * network.n_features * 2
    tiles = FeatureTiles(network, network.limits(), image, int(2.5 * of_one))

    for box in boxes:
        tiles.get(box)
    assert tiles.n_bytes == 2 * of_one
    tiles.get(boxes[-1])
    assert tiles.n_computed == 6
    tiles.get(boxes[0])
    assert tiles.n_computed == 7

    whole = torch.from_numpy(NORMALISATION.apply(tissue.raw[None]))[None]
    expected = network.features(whole)[0, :, 0].flatten(1).T
    assert (tiles.get(boxes[0]).float() - expected).abs().max() < 0.01


@pytest.mark.slow
def test_tiles_of_a_section_that_share_their_context_are_computed_together() -> None:
    tissue, network = live_tissue(shape=(3, 300, 290)), make_instant_model().network
    image, limits = TrainingImage(memory_image(tissue.raw, tissue.space), NORMALISATION), network.limits()
    together, alone = (FeatureTiles(network, limits, image, most) for most in (2**30, 2 * 2**20))
    volume = Box.of_shape(tissue.raw.shape)

    together.get(Box((1, 128, 128), (2, 256, 256)))
    assert together.n_computed == 4
    for box in tiles_in_view(Box((1, 0, 0), (2, 300, 290)), volume, (1, 128, 128), (1, 1, 1)):
        assert (together.get(box) - alone.get(box)).abs().max() < 0.01

    assert together.n_computed == 9
    assert alone.n_bytes <= 2 * 2**20
    assert together.get(Box((1, 5, 7), (2, 50, 60))).shape == (45 * 53, network.n_features)


def test_a_tile_larger_than_the_bound_is_computed_every_time() -> None:
    tissue, network = live_tissue(), make_instant_model().network
    image = TrainingImage(memory_image(tissue.raw, tissue.space), NORMALISATION)
    tiles = FeatureTiles(network, network.limits(), image, 1000)

    tiles.get(Box((0, 0, 0), (1, 64, 64)))

    assert tiles.n_bytes == 0
