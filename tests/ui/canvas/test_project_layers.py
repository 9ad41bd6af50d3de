"""A project's layers without a window: what is shown, painted, saved and put back."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from napari_pytc.errors import PytcError, VolumeError
from napari_pytc.geometry import Box, VoxelSpace
from napari_pytc.proofreading.document import LabelDocument
from napari_pytc.session.session import Session
from napari_pytc.ui.canvas.arrays import FileArray, VolumeArray
from napari_pytc.ui.canvas.predictions.prediction_layers import most_probable
from napari_pytc.ui.canvas.project_layers import ProjectLayers
from napari_pytc.ui.canvas.viewer.port import LayerStyle
from napari_pytc.ui.canvas.viewer.view import VIEW_IN_3D
from napari_pytc.ui.tasks.background import Background
from napari_pytc.volumes.channels import BoundaryRole, DistanceRole, roles_to_json
from napari_pytc.volumes.memory import MemoryVolume
from napari_pytc.volumes.zarr_output import ChunkedArray, create_ome_zarr
from tests.support.arrays import VirtualArray
from tests.support.segmentations import make_segmentation
from tests.support.viewers import FakeViewer
from tests.ui.canvas.conftest import SHAPE, SPACE


def test_a_project_opens_ready_to_paint(layers: ProjectLayers, viewer: FakeViewer, session: Session) -> None:
    assert [layer.name for layer in viewer.layers] == ["fly", "Strokes"]
    strokes = viewer.find("Strokes")
    assert viewer.selected is strokes
    assert (strokes.mode, strokes.label, strokes.paintable) == ("paint", 1, True)
    assert strokes.style.colours == {c.id: c.colour for c in session.classes.records()}
    np.testing.assert_array_equal(
        viewer.find("fly").data[3, :, :], session.image.source.channels[0].read(Box((3, 0, 0), (4, 48, 40)))[0]
    )


def test_contrast_is_set_from_samples_unless_the_user_did(
    qtbot: Any,
    show: Callable[..., ProjectLayers],
    viewer: FakeViewer,
    session: Session,
    background: Background,
) -> None:
    layers = show(session)
    qtbot.waitUntil(lambda: viewer.find("fly").contrast != (0.0, 255.0))
    low, high = viewer.find("fly").contrast or (0, 0)
    assert 0 < low < high < 255
    layers.close()
    show(session)
    viewer.find("fly").contrast = (5.0, 50.0)
    done: list[Any] = []
    background.run(lambda: None, done.append)
    qtbot.waitUntil(lambda: bool(done))
    assert viewer.find("fly").contrast == (5.0, 50.0)


def test_what_is_painted_is_in_the_project(
    qtbot: Any, layers: ProjectLayers, viewer: FakeViewer, session: Session
) -> None:
    with qtbot.waitSignal(layers.saved):
        viewer.find("Strokes").data[3:4, 10:20, 10:20] = np.full((1, 10, 10), 2, np.uint8)
    assert session.strokes.counts() == {"membrane": 0, "inside": 100}


def test_close_saves_and_leaves_nothing(
    show: Callable[..., ProjectLayers], viewer: FakeViewer, session: Session
) -> None:
    layers = show(session)
    layers.start_drawing_box()
    session.held_out.add(Box((0, 0, 0), (2, 10, 10)))
    viewer.find("Strokes").data[3, 10, 10] = 1
    layers.close()
    assert session.strokes.counts()["membrane"] == 1
    assert viewer.layers == []
    session.classes.recolour(1, "#000000")
    layers.close()


def test_number_keys_choose_the_class(qtbot: Any, layers: ProjectLayers, viewer: FakeViewer) -> None:
    chosen: list[int] = []
    layers.class_chosen.connect(chosen.append)
    viewer.find("Strokes").press("2")
    assert (layers.chosen_class, viewer.find("Strokes").label) == (2, 2)
    viewer.find("fly").press("0")
    assert (layers.chosen_class, viewer.find("Strokes").label) == (0, 0)
    viewer.find("fly").press("7")  # there is no such class
    assert layers.chosen_class == 0
    viewer.choose_label(viewer.find("Strokes"), 9)  # as napari's own box lets the user
    assert layers.chosen_class == 2
    assert chosen == [2, 0, 2]


def test_the_erasing_tool_is_class_0(layers: ProjectLayers, viewer: FakeViewer) -> None:
    strokes = viewer.find("Strokes")
    strokes.mode = "erase"
    strokes.on_label[0]()
    assert layers.chosen_class == 0
    layers.choose_class(2)
    assert (strokes.mode, layers.chosen_class) == ("paint", 2)


def test_deleted_layers_come_back_with_their_strokes(layers: ProjectLayers, viewer: FakeViewer) -> None:
    viewer.find("Strokes").data[3, 10, 10] = 2
    layers.choose_class(2)
    viewer.remove(viewer.find("Strokes"))
    assert "safe" in viewer.status
    viewer.remove(viewer.find("fly"))
    assert layers.focus() == (6, 24, 20)
    assert layers.drawn_box() is None
    layers.choose_class(1)
    strokes = viewer.find("Strokes")
    assert (strokes.data[3, 10, 10], strokes.label, viewer.selected) == (2, 1, strokes)
    assert viewer.find("fly")
    strokes.press("2")
    assert layers.chosen_class == 2


def test_a_read_only_project_cannot_be_painted(
    show: Callable[..., ProjectLayers], viewer: FakeViewer, session: Session
) -> None:
    with Session.open(session.folder) as second:
        assert second.project.read_only
        layers = show(second)
        assert not viewer.find("Strokes").paintable
        layers.allow_painting(True)
        assert not viewer.find("Strokes").paintable
        seen: list[int] = []
        layers.flush(lambda: seen.append(1))
        assert seen == [1]
        layers.close()


def test_classes_and_held_out_boxes_are_followed(layers: ProjectLayers, viewer: FakeViewer, session: Session) -> None:
    session.classes.add("vesicle")
    session.classes.recolour(1, "#010203")
    colours = viewer.find("Strokes").style.colours
    assert colours == {c.id: c.colour for c in session.classes.records()}
    assert colours[1] == "#010203"
    box = Box((0, 0, 0), (2, 10, 10))
    session.held_out.add(box)
    assert viewer.find("Held out").boxes == [box]
    names = [layer.name for layer in viewer.layers]
    assert names.index("Held out") < names.index("Strokes")
    assert viewer.selected is viewer.find("Strokes")
    session.held_out.release(box)
    assert "Held out" not in [layer.name for layer in viewer.layers]


def test_strokes_that_others_write_are_shown(
    qtbot: Any, layers: ProjectLayers, viewer: FakeViewer, session: Session
) -> None:
    strokes = viewer.find("Strokes")
    assert not strokes.data[3, :, :].any()
    with qtbot.waitSignal(layers.saved):
        session.strokes.paint(Box((3, 0, 0), (4, 5, 5)), 2)
    assert strokes.data[3, :, :].sum() == 50
    assert strokes.refreshed


def test_removing_a_class_changes_the_strokes_that_are_shown(
    qtbot: Any, layers: ProjectLayers, viewer: FakeViewer, session: Session
) -> None:
    strokes = viewer.find("Strokes")
    strokes.data[3, 0:5, 0] = 1
    strokes.data[3, 0:7, 1] = 2
    layers.choose_class(2)
    layers.allow_painting(False)
    assert not strokes.paintable
    done: list[int] = []
    layers.flush(lambda: done.append(1))
    qtbot.waitUntil(lambda: bool(done))
    with qtbot.waitSignal(layers.saved):
        session.classes.remove(1)
    layers.allow_painting(True)
    assert strokes.paintable
    assert layers.chosen_class == 1
    assert np.bincount(strokes.data[3, :, :].ravel(), minlength=3).tolist() == [48 * 40 - 7, 7, 0]


def test_where_the_user_looks_and_draws(layers: ProjectLayers, viewer: FakeViewer) -> None:
    viewer.in_view = Box((3, 5, 6), (4, 20, 30))
    viewer.middle = (3.2, 100.0, -4.0)
    assert layers.view_box() == viewer.in_view
    assert layers.focus() == (3.2, 47.0, 0.0)
    assert layers.drawn_box() is None
    outside = np.array([[3, 100, 100], [3, 120, 120]])
    viewer.boxes = [np.array([[3, 1.0, 2.0], [3, 1.0, 9.4], [3, 5.2, 9.4], [3, 5.2, 2.0]]), outside]
    assert layers.drawn_box() == Box((3, 1, 2), (4, 6, 10))
    layers.start_drawing_box()
    assert (viewer.selected.name, viewer.selected.mode) == ("Box", "add_rectangle")  # type: ignore[union-attr]
    layers.start_drawing_box()
    assert [layer.name for layer in viewer.layers].count("Box") == 1


class Huge(VirtualArray):
    """A volume of 40 GB."""

    spec, notes = None, ()


def test_volumes_too_large_for_3d_are_switched_off_there(
    show: Callable[..., ProjectLayers], viewer: FakeViewer, session: Session
) -> None:
    image = Huge((40_000, 1024, 1024))
    layers = show(session, image)
    layers.focus = lambda: (20_000.0, 5.0, 1000.0)  # type: ignore[method-assign]
    viewer.show_3d(True)
    assert not viewer.find("fly").visible
    assert "too large" in viewer.status
    box = layers.view_box()
    assert (box.shape, box.start) == (VIEW_IN_3D, (19_968, 0, 512))
    viewer.show_3d(False)
    assert viewer.find("fly").visible
    assert image.largest <= 4 * 128 * 128 * 64


# ---- predictions


def test_a_layer_of_the_user_is_the_image(
    background: Background, viewer: FakeViewer, session: Session, tmp_path: Path
) -> None:
    mine = viewer.add_image(np.zeros(SHAPE, np.uint8), VoxelSpace((1.0, 1.0, 1.0)), LayerStyle("mine", ""))
    layers = ProjectLayers(viewer, session, session.image.source, background, own_layers=(mine,))
    assert layers.image is mine
    assert mine.space == SPACE
    assert "1" in mine.keys
    assert [layer.name for layer in viewer.layers] == ["mine", "Strokes"]
    layers.close()
    assert [layer.name for layer in viewer.layers] == ["mine"]
    assert mine.metadata == {}


def test_one_that_reads_its_file_is_read_ahead_of_the_scrolling_meanwhile(
    background: Background, viewer: FakeViewer, session: Session
) -> None:
    data = FileArray(session.image.source.channels[0])
    mine = viewer.add_image(data, SPACE, LayerStyle("mine", ""))
    layers = ProjectLayers(viewer, session, session.image.source, background, own_layers=(mine,))
    assert isinstance(mine.data, VolumeArray)
    np.testing.assert_array_equal(mine.data[3, :, :], data[3, :, :])
    layers.close()
    assert mine.data is data


def test_where_the_users_layer_is_deleted_another_one_shows_the_image(
    background: Background, viewer: FakeViewer, session: Session
) -> None:
    mine = viewer.add_image(np.zeros(SHAPE, np.uint8), SPACE, LayerStyle("mine", ""))
    layers = ProjectLayers(viewer, session, session.image.source, background, own_layers=(mine,))
    viewer.remove(mine)
    layers.restore()
    assert [layer.name for layer in viewer.layers] == ["fly", "Strokes"]
    assert layers.image is viewer.find("fly")
    layers.close()
    assert viewer.layers == []


def prediction_of(folder: Path, channels: tuple[str, ...] = ("membrane", "inside")) -> ChunkedArray:
    return create_ome_zarr(folder, SHAPE, np.uint8, SPACE, channels=channels, chunk_shape=(4, 16, 16))


def filled(box: Box, *values: int) -> np.ndarray:
    return np.stack([np.full(box.shape, value, np.uint8) for value in values])


def test_the_most_probable_class() -> None:
    probabilities = np.array([[0, 5, 9, 7, 0], [0, 5, 1, 8, 3], [0, 0, 2, 9, 0]], np.uint8)
    np.testing.assert_array_equal(most_probable(probabilities), [0, 1, 1, 3, 2])


def test_tiles_appear_as_they_are_written(
    qtbot: Any, layers: ProjectLayers, viewer: FakeViewer, session: Session, tmp_path: Path
) -> None:
    sink = prediction_of(tmp_path / "p.zarr")
    layers.show_new_voxels(sink.path, [])
    qtbot.waitUntil(lambda: len(viewer.layers) == 3)
    assert [layer.name for layer in viewer.layers] == ["fly", "Prediction", "Strokes"]
    assert viewer.selected is viewer.find("Strokes")
    shown = viewer.find("Prediction")
    assert shown.style.colours == {c.id: c.colour for c in session.classes.records()}
    assert not shown.paintable
    assert not shown.data[3, :, :].any()
    tile = Box((0, 0, 0), (4, 16, 16))
    sink.write(tile, filled(tile, 10, 200))
    before = shown.refreshed
    layers.show_new_voxels(sink.path, [tile])
    qtbot.waitUntil(lambda: shown.refreshed > before)
    assert (shown.data[3, :16, :16] == 2).all()
    assert shown.data[3, :, :].sum() == 2 * 256


def test_numbers_of_the_class_layer_follow_the_names_of_the_project(
    qtbot: Any, layers: ProjectLayers, viewer: FakeViewer, session: Session, tmp_path: Path
) -> None:
    sink = prediction_of(tmp_path / "p.zarr", ("glia", "inside", "membrane"))
    whole = Box.of_shape(SHAPE)
    sink.write(whole, filled(whole, 0, 10, 200))
    layers.show_new_voxels(sink.path, [])
    qtbot.waitUntil(lambda: len(viewer.layers) == 3)
    shown = viewer.find("Prediction")
    qtbot.waitUntil(lambda: bool((shown.data[3, :, :] == 1).all()))  # membrane is the project's first class
    first, second = session.classes.records()
    assert shown.style.colours[1] == first.colour
    assert shown.style.colours[2] == second.colour
    assert set(shown.style.colours) == {1, 2, 3}


def test_one_layer_shows_the_probability_of_the_channel_that_is_chosen(
    qtbot: Any, layers: ProjectLayers, viewer: FakeViewer, session: Session, tmp_path: Path
) -> None:
    sink = prediction_of(tmp_path / "p.zarr")
    sink.write(Box.of_shape(SHAPE), filled(Box.of_shape(SHAPE), 10, 200))
    layers.show_new_voxels(sink.path, [])
    qtbot.waitUntil(lambda: len(viewer.layers) == 3)
    predictions = layers.predictions
    assert predictions.channel is None
    predictions.show_channel(1)
    assert [layer.name for layer in viewer.layers] == ["fly", "P(inside)", "Prediction", "Strokes"]
    assert predictions.channel == 1
    assert (viewer.find("P(inside)").data[3, :, :] == 200).all()
    predictions.show_channel(0)
    layer = viewer.find("P(membrane)")
    assert len(viewer.layers) == 4
    assert (layer.data[3, :, :] == 10).all()
    assert layer.style.colours == session.classes.records()[0].colour
    predictions.show_channel(None)
    assert predictions.channel is None
    assert not layer.visible
    predictions.show_channel(0)
    assert layer.visible
    viewer.remove(layer)  # by the user
    assert predictions.channel is None
    predictions.show_channel(1)
    assert viewer.find("P(inside)").visible
    # Of another prediction the channel of the same name is looked at.
    other = prediction_of(tmp_path / "q.zarr", ("inside", "membrane"))
    layers.show_new_voxels(other.path, [])
    qtbot.waitUntil(lambda: predictions.channel == 0)
    assert [layer.name for layer in viewer.layers] == ["fly", "P(inside)", "Prediction", "Strokes"]


def test_of_a_prediction_without_classes_the_first_channel_is_shown(
    qtbot: Any, layers: ProjectLayers, viewer: FakeViewer, tmp_path: Path
) -> None:
    roles = [BoundaryRole(), DistanceRole(reach_nm=100.0)]
    sink = create_ome_zarr(
        tmp_path / "b.zarr", SHAPE, np.uint8, SPACE, channels=[role.title for role in roles],
        chunk_shape=(4, 16, 16), attributes={"napari_pytc": {"channels": roles_to_json(roles)}},
    )  # fmt: skip
    sink.write(Box.of_shape(SHAPE), filled(Box.of_shape(SHAPE), 10, 200))
    layers.show_new_voxels(sink.path, [])
    qtbot.waitUntil(lambda: len(viewer.layers) == 3)
    qtbot.wait(50)
    assert [layer.name for layer in viewer.layers] == ["fly", "P(boundary)", "Strokes"]
    assert viewer.find("P(boundary)").visible
    assert (viewer.find("P(boundary)").data[3, :, :] == 10).all()
    assert [one.name for one in layers.predictions.legend] == ["boundary", "distance"]
    layers.predictions.show_channel(1)
    assert [layer.name for layer in viewer.layers] == ["fly", "P(distance)", "Strokes"]
    assert (viewer.find("P(distance)").data[3, :, :] == 200).all()
    layers.toggle_prediction()
    assert not viewer.find("P(distance)").visible
    # One of classes in its place has a class layer again.
    classes = prediction_of(tmp_path / "c.zarr")
    layers.show_new_voxels(classes.path, [])
    qtbot.waitUntil(lambda: [layer.name for layer in viewer.layers] == ["fly", "Prediction", "Strokes"])


def test_segments_take_the_place_of_the_predicted_classes(
    qtbot: Any, layers: ProjectLayers, viewer: FakeViewer, tmp_path: Path
) -> None:
    made = make_segmentation(tmp_path / "segments", SHAPE)
    layers.show_new_voxels(prediction_of(tmp_path / "p.zarr").path, [])
    qtbot.waitUntil(lambda: len(viewer.layers) == 3)
    layers.show_segments(LabelDocument(made.segmentation))
    assert not viewer.find("Prediction").visible
    np.testing.assert_array_equal(viewer.find("Segments").data[3, :, :], made.segments[3])
    assert "1" in viewer.find("Segments").keys
    trial = LabelDocument(made.segmentation)
    layers.show_trial(trial)
    assert not viewer.find("Segments").visible
    layers.show_trial(None)
    assert viewer.find("Segments").visible
    assert not viewer.find("Prediction").visible
    layers.show_segments(None)
    assert viewer.find("Prediction").visible
    layers.show_trial(trial)
    assert not viewer.find("Prediction").visible
    layers.show_trial(None)
    assert viewer.find("Prediction").visible


@pytest.mark.slow
def test_voxels_elsewhere_cause_no_refresh(
    qtbot: Any, layers: ProjectLayers, viewer: FakeViewer, tmp_path: Path
) -> None:
    sink = prediction_of(tmp_path / "p.zarr")
    layers.show_new_voxels(sink.path, [])
    qtbot.waitUntil(lambda: len(viewer.layers) == 3)
    shown = viewer.find("Prediction")
    qtbot.waitUntil(lambda: not shown.data[9, :, :].any())
    qtbot.wait(300)
    before = shown.refreshed
    tile = Box((0, 0, 0), (4, 16, 16))
    sink.write(tile, filled(tile, 10, 200))
    layers.show_new_voxels(sink.path, [tile])
    qtbot.wait(500)
    assert shown.refreshed == before
    assert (shown.data[3, :16, :16] == 2).all()


@pytest.mark.slow
def test_many_tiles_refresh_at_most_ten_times_a_second(
    qtbot: Any, layers: ProjectLayers, viewer: FakeViewer, tmp_path: Path
) -> None:
    sink = prediction_of(tmp_path / "p.zarr")
    layers.show_new_voxels(sink.path, [])
    qtbot.waitUntil(lambda: len(viewer.layers) == 3)
    shown = viewer.find("Prediction")
    tile = Box((0, 0, 0), (4, 16, 16))
    before, started = shown.refreshed, time.monotonic()
    for k in range(100):
        _ = shown.data[3, :, :]
        sink.write(tile, filled(tile, 10, 100 + k))
        layers.show_new_voxels(sink.path, [tile])
        qtbot.wait(10)
    n_refreshed, seconds = shown.refreshed - before, time.monotonic() - started
    qtbot.waitUntil(lambda: shown.refreshed > before)
    assert n_refreshed <= 12 * seconds + 3
    layers.predictions.show_channel(1)
    qtbot.waitUntil(lambda: viewer.find("P(inside)").data[0, 0, 0] == 199)


def test_another_prediction_takes_the_place_of_the_first(
    qtbot: Any, layers: ProjectLayers, viewer: FakeViewer, tmp_path: Path
) -> None:
    whole = Box.of_shape(SHAPE)
    first, second = prediction_of(tmp_path / "p.zarr"), prediction_of(tmp_path / "q.zarr", ("inside",))
    first.write(whole, filled(whole, 10, 200))
    second.write(whole, filled(whole, 9))
    layers.show_new_voxels(first.path, [])
    qtbot.waitUntil(lambda: len(viewer.layers) == 3)
    shown = viewer.find("Prediction")
    viewer.set_visible(shown, False)
    layers.show_new_voxels(second.path, [])
    qtbot.waitUntil(lambda: shown.style.colours == {2: "#3cb44b"})
    assert not shown.visible
    qtbot.waitUntil(lambda: bool((shown.data[3, :, :] == 2).all()))  # inside is the project's second class
    layers.toggle_prediction()
    assert shown.visible
    layers.show_prediction(None)
    assert [layer.name for layer in viewer.layers] == ["fly", "Strokes"]
    layers.toggle_prediction()


def test_a_deleted_prediction_layer_comes_back(
    qtbot: Any, layers: ProjectLayers, viewer: FakeViewer, tmp_path: Path
) -> None:
    sink = prediction_of(tmp_path / "p.zarr")
    layers.show_new_voxels(sink.path, [])
    qtbot.waitUntil(lambda: len(viewer.layers) == 3)
    viewer.remove(viewer.find("Prediction"))
    layers.show_new_voxels(sink.path, [Box.of_shape(SHAPE)])
    layers.toggle_prediction()
    assert viewer.find("Prediction")


def test_a_prediction_that_cannot_be_read_is_reported(
    qtbot: Any, layers: ProjectLayers, viewer: FakeViewer, tmp_path: Path
) -> None:
    create_ome_zarr(tmp_path / "other.zarr", (4, 8, 8), np.uint8, SPACE, channels=("a",))
    for folder in (tmp_path / "none.zarr", tmp_path / "other.zarr"):
        with qtbot.waitSignal(layers.failed) as received:
            layers.show_new_voxels(folder, [])
        assert isinstance(received.args[0], PytcError)
    assert len(viewer.layers) == 2


def test_an_image_that_went_away_is_reported_once(
    qtbot: Any, show: Callable[..., ProjectLayers], viewer: FakeViewer, session: Session
) -> None:
    class Gone(MemoryVolume):
        def read(self, box: Box) -> np.ndarray:
            raise VolumeError("The image went away.")

    received: list[PytcError] = []
    layers = show(session, Gone(np.zeros(SHAPE, np.uint8), SPACE))
    layers.failed.connect(received.append)
    for z in range(4):
        assert not viewer.find("fly").data[z, :, :].any()
    qtbot.waitUntil(lambda: bool(received))
    qtbot.wait(50)
    assert len(received) == 1
