"""Layers of an image with several channels: one each, in colours, from one cache, below all other layers of ours."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from napari_pytc.geometry import Box
from napari_pytc.session.session import Session
from napari_pytc.ui.canvas.arrays import FileArray, VolumeArray
from napari_pytc.ui.canvas.project_layers import ProjectLayers
from napari_pytc.ui.canvas.viewer.port import LayerStyle
from napari_pytc.ui.canvas.viewer.viewer import NapariViewer
from napari_pytc.ui.tasks.background import Background
from napari_pytc.volumes.channel_colours import added_colours, channel_colour
from napari_pytc.volumes.image import open_image
from napari_pytc.volumes.source import ImageSource
from napari_pytc.volumes.spec import ReadOptions
from napari_pytc.volumes.zarr_output import create_ome_zarr
from tests.support.display import needs_display
from tests.support.viewers import FakeViewer
from tests.ui.canvas.conftest import SHAPE, SPACE

DATA = np.stack([np.random.default_rng(k).integers(0, 100 * (k + 1), SHAPE).astype(np.uint16) for k in range(2)])


@pytest.fixture
def two(tmp_path: Path) -> ImageSource:
    sink = create_ome_zarr(tmp_path / "two.zarr", SHAPE, np.uint16, SPACE, channels=("DAPI", "GFP"))
    sink.write(Box.of_shape(SHAPE), DATA)
    return open_image(tmp_path / "two.zarr", ReadOptions(channel="all"))


@pytest.fixture
def shown(
    background: Background, viewer: FakeViewer, session: Session, two: ImageSource
) -> Iterator[Callable[..., ProjectLayers]]:
    made: list[ProjectLayers] = []

    def show(*own: Any) -> ProjectLayers:
        made.append(ProjectLayers(viewer, session, two, background, own_layers=own))
        return made[-1]

    yield show
    for layers in made:
        layers.close()


def test_each_channel_is_a_layer_with_a_contrast_of_its_own(
    qtbot: Any, shown: Callable[..., ProjectLayers], viewer: FakeViewer
) -> None:
    layers = shown()
    assert [layer.name for layer in viewer.layers] == ["fly: DAPI", "fly: GFP", "Strokes"]
    first, second = layers.images
    assert [one.style.colours for one in (first, second)] == ["#00ff00", "#ff00ff"]
    assert {one.style.blending for one in (first, second)} == {"additive"}
    for layer, truth in zip(layers.images, DATA, strict=True):
        np.testing.assert_array_equal(layer.data[2, :, :], truth[2])
        assert "1" in layer.keys, "the keys of the classes work on each"
    qtbot.waitUntil(lambda: second.contrast[1] < 65535)
    assert first.contrast[1] < second.contrast[1]


def test_one_that_was_deleted_comes_back_below_the_strokes(
    shown: Callable[..., ProjectLayers], viewer: FakeViewer
) -> None:
    layers = shown()
    first, second = layers.images
    viewer.remove(first)
    assert layers.image is second, "the other one stands for the view"
    layers.restore()
    assert layers.image is layers.images[0] is not first
    assert [layer.name for layer in viewer.layers] == ["fly: DAPI", "fly: GFP", "Strokes"]
    layers.close()
    assert viewer.layers == []


def test_the_users_layers_are_the_channels_where_there_is_one_for_each(
    shown: Callable[..., ProjectLayers], viewer: FakeViewer, two: ImageSource
) -> None:
    data = FileArray(two.channels[1])
    mine = [viewer.add_image(one, SPACE, LayerStyle(name, "")) for one, name in ((DATA[0], "a"), (data, "b"))]
    layers = shown(*mine)
    assert layers.images == tuple(mine)
    assert isinstance(mine[1].data, VolumeArray)
    np.testing.assert_array_equal(mine[1].data[1, :, :], DATA[1, 1])
    assert [layer.name for layer in viewer.layers] == ["a", "b", "Strokes"]
    layers.close()
    assert [layer.name for layer in viewer.layers] == ["a", "b"]
    assert mine[1].data is data
    others = shown(mine[0])
    assert others.own_layers == (), "one layer is not enough for two channels"
    assert [layer.name for layer in others.images] == ["fly: DAPI", "fly: GFP"]


def test_colours() -> None:
    assert channel_colour(0, 1) == "#ffffff"
    assert [channel_colour(k, 3, name) for k, name in enumerate(("EM", "Red", ""))] == ["#ffffff", "#ff0000", "#00b4ff"]
    assert len({channel_colour(k, 8) for k in range(8)}) == 8
    channels = np.array([[[255, 0, 128]], [[255, 255, 0]]], np.uint8)
    np.testing.assert_array_equal(
        added_colours(channels, ["#ffffff", "#ff00ff"]), [[[255, 255, 255], [255, 0, 255], [128, 128, 128]]]
    )


@pytest.mark.slow
@needs_display
def test_layers_of_another_volume_lie_below_what_is_used_again(
    make_napari_viewer: Callable[..., Any], qtbot: Any, session: Session, two: ImageSource
) -> None:
    viewer = make_napari_viewer()
    port, background = NapariViewer(viewer), Background()
    first = ProjectLayers(port, session, session.image.source, background)
    with port.layers_reused():
        first.close()
        second = ProjectLayers(port, session, two, background)
    try:
        order = [layer.name for layer in viewer.layers]
        assert order.index("fly: GFP") == order.index("fly: DAPI") + 1 < order.index("Strokes")
        assert [viewer.layers[f"fly: {name}"].colormap.name for name in ("DAPI", "GFP")] == ["#00ff00", "#ff00ff"]
        assert {str(viewer.layers[f"fly: {name}"].blending) for name in ("DAPI", "GFP")} == {"additive"}
    finally:
        second.close()
        background.close()
