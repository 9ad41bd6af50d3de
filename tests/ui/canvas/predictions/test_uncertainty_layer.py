"""Where a prediction is in doubt: the numbers, and the layer that comes and goes with the prediction."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from napari_pytc.geometry import Box, VoxelSpace
from napari_pytc.ui.canvas.predictions.prediction_layers import PredictionLayers
from napari_pytc.ui.canvas.predictions.uncertainty_layer import uncertainty
from napari_pytc.ui.canvas.section_cache import SectionReader
from napari_pytc.ui.tasks.background import Background
from napari_pytc.volumes.zarr_output import ChunkedArray, create_ome_zarr
from tests.support.viewers import FakeViewer

SPACE = VoxelSpace((40.0, 10.0, 10.0))
SHAPE = (4, 16, 20)


def by_sorting(probabilities: np.ndarray) -> np.ndarray:
    """The same by the book: 1 - (p1 - p2)."""
    ranked = np.sort(probabilities, axis=0)
    return np.where(probabilities.any(axis=0), 255 - (ranked[-1] - ranked[-2]), 0)


@pytest.mark.parametrize("n_classes", [2, 3, 5])
def test_it_is_one_less_the_lead_of_the_best_class(n_classes: int) -> None:
    found = np.random.default_rng(0).integers(0, 256, (n_classes, 3, 8, 9), np.uint8)
    found[:, 0, 0, :4] = 0
    doubt = uncertainty(found, range(n_classes))
    assert doubt.dtype == np.uint8
    np.testing.assert_array_equal(doubt, by_sorting(found))


def test_only_channels_that_are_classes_are_compared() -> None:
    found = np.array([[250], [240], [5]], np.uint8)
    assert uncertainty(found, [0, 2]) == 255 - 245
    assert uncertainty(found, [0, 1]) == 245


def test_yes_and_no_is_most_doubtful_at_a_half() -> None:
    found = np.array([[255, 0, 128, 1], [255, 0, 127, 0]], np.uint8)
    np.testing.assert_array_equal(uncertainty(found, []), [0, 0, 254, 1])


# ---- the layer


@pytest.fixture
def viewer() -> FakeViewer:
    return FakeViewer()


@pytest.fixture
def layers(qtbot: Any, viewer: FakeViewer) -> Iterator[PredictionLayers]:
    background, reader = Background(), SectionReader()
    found = PredictionLayers(viewer, background, reader, SHAPE, SPACE, lambda: None, lambda: (0.0, 8.0, 10.0))
    yield found
    found.close()
    reader.close()
    background.close()


@pytest.fixture
def make(tmp_path: Path) -> Callable[..., ChunkedArray]:
    def one(name: str, first: int) -> ChunkedArray:
        found = create_ome_zarr(tmp_path / name, SHAPE, np.uint8, SPACE, channels=("membrane", "inside"))
        block = np.zeros((2, *SHAPE), np.uint8)
        block[0], block[1] = first, 255 - first
        found.write(Box.of_shape(SHAPE), block)
        return found

    return one


def section(viewer: FakeViewer) -> np.ndarray:
    return np.asarray(viewer.find("Uncertainty").data[0, :, :])


def names(viewer: FakeViewer) -> list[str]:
    return [layer.name for layer in viewer.layers]


def test_the_layer_is_off_until_it_is_switched_on(
    qtbot: Any, layers: PredictionLayers, viewer: FakeViewer, make: Callable[..., ChunkedArray], tmp_path: Path
) -> None:
    make("one.zarr", 200)
    layers.show(tmp_path / "one.zarr")
    qtbot.waitUntil(lambda: names(viewer) == ["Prediction"])
    assert "Uncertainty" not in names(viewer)
    received: list[bool] = []
    layers.uncertainty.switched.connect(received.append)
    layers.uncertainty.switch(True)
    assert layers.uncertainty.is_on
    qtbot.waitUntil(lambda: bool((section(viewer) == 255 - (200 - 55)).all()))
    layers.uncertainty.switch(False)
    assert not viewer.find("Uncertainty").visible
    assert received == [True, False]


def test_new_voxels_are_shown(
    qtbot: Any, layers: PredictionLayers, viewer: FakeViewer, make: Callable[..., ChunkedArray], tmp_path: Path
) -> None:
    written = make("one.zarr", 200)
    layers.show(tmp_path / "one.zarr")
    layers.uncertainty.switch(True)
    qtbot.waitUntil(lambda: "Uncertainty" in names(viewer) and bool(section(viewer).all()))
    n_before = viewer.find("Uncertainty").refreshed
    sure = np.zeros((2, 1, 16, 20), np.uint8)
    sure[0] = 255
    box = Box((0, 0, 0), (1, 16, 20))
    written.write(box, sure)
    layers.show_new([box])
    qtbot.waitUntil(lambda: viewer.find("Uncertainty").refreshed > n_before)
    assert not section(viewer).any()


def test_it_stays_on_with_another_prediction_and_goes_with_the_last(
    qtbot: Any, layers: PredictionLayers, viewer: FakeViewer, make: Callable[..., ChunkedArray], tmp_path: Path
) -> None:
    make("one.zarr", 255)
    make("two.zarr", 128)
    layers.uncertainty.switch(True)  # before there is anything to doubt
    assert "Uncertainty" not in names(viewer)
    layers.show(tmp_path / "one.zarr")
    qtbot.waitUntil(lambda: "Uncertainty" in names(viewer))
    layers.show(tmp_path / "two.zarr")
    qtbot.waitUntil(lambda: bool((section(viewer) == 254).all()))
    layers.show(None)
    assert not viewer.layers
    assert layers.uncertainty.is_on


def test_one_that_the_user_deleted_comes_back(
    qtbot: Any, layers: PredictionLayers, viewer: FakeViewer, make: Callable[..., ChunkedArray], tmp_path: Path
) -> None:
    make("one.zarr", 200)
    layers.show(tmp_path / "one.zarr")
    qtbot.waitUntil(lambda: names(viewer) == ["Prediction"])
    layers.uncertainty.switch(True)
    viewer.remove(viewer.find("Uncertainty"))
    layers.uncertainty.switch(True)
    assert names(viewer).count("Uncertainty") == 1
    assert layers.uncertainty.is_on
