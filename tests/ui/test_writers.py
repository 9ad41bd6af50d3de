"""Labels layers written from napari: type, voxels and voxel size kept, lazy data read in blocks."""

from __future__ import annotations

import threading
from collections.abc import Callable
from pathlib import Path

import h5py
import numpy as np
import pytest
import tifffile
import zarr
from qtpy.QtCore import QTimer
from qtpy.QtWidgets import QApplication, QProgressDialog, QPushButton

from napari_pytc.errors import InvalidInput, VolumeError
from napari_pytc.geometry import Box
from napari_pytc.ui import writers
from napari_pytc.ui.canvas.arrays import LazyArray, Selection, VolumeArray
from napari_pytc.ui.canvas.section_cache import SectionCache, SectionReader
from napari_pytc.ui.writers import LayerLabels, write_labels
from napari_pytc.volumes.opening import open_volume
from tests.support.display import needs_display
from tests.support.waiting import PATIENCE_S
from tests.volumes.files import image, write_hdf5

NM = {"scale": (40.0, 8.0, 4.0), "translate": (400.0, 0.0, 0.0), "units": ("nm", "nm", "nm")}
NAMES = ("a.tif", "a.ome.tif", "a.h5", "a.zarr")


def _read_elsewhere(path: Path) -> np.ndarray:
    """By the reference libraries."""
    if path.suffix == ".h5":
        with h5py.File(path) as file:
            return file["main"][...]
    if path.suffix == ".zarr":
        return np.asarray(zarr.open_group(path, mode="r")["labels/labels/0"])
    return tifffile.imread(path)


class Virtual(LazyArray):
    """Labels that are computed, and refuse to be read whole."""

    def __init__(self, shape: tuple[int, int, int], gate: threading.Event | None = None) -> None:
        self.shape, self.dtype, self.largest, self._gate = shape, np.dtype(np.uint8), 0, gate

    def read(self, selection: Selection) -> np.ndarray:
        raise AssertionError("what may be incomplete must not be written")

    def voxels(self, box: Box) -> np.ndarray:
        if self._gate is not None:
            assert self._gate.wait(PATIENCE_S)
        self.largest = max(self.largest, box.size)
        return np.full(box.shape, 1 + box.start[0] % 7, np.uint8)


@pytest.mark.slow
@needs_display
@pytest.mark.parametrize("name", NAMES)
def test_napari_saves_by_plugin_and_all_comes_back(make_napari_viewer: Callable, name: str, tmp_path: Path) -> None:
    data = image("uint16")
    viewer = make_napari_viewer()
    viewer.add_labels(data, **NM)
    path = tmp_path / name
    assert viewer.layers.save(str(path), plugin="napari-pytc") == [str(path)]
    found = _read_elsewhere(path)
    np.testing.assert_array_equal(found, data)
    assert found.dtype == data.dtype
    again = open_volume(path)
    np.testing.assert_allclose(again.space.voxel_size_nm, (40, 8, 4), rtol=1e-5)
    viewer.layers[0].data = data[:, ::-1]
    viewer.layers.save(str(path), plugin="napari-pytc")
    np.testing.assert_array_equal(_read_elsewhere(path), data[:, ::-1])


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("dtype", ["uint8", "uint32", "int32", "bool"])
def test_types_are_kept(name: str, dtype: str, tmp_path: Path) -> None:
    data = image() % 2 == 0 if dtype == "bool" else image(dtype)
    write_labels(str(tmp_path / name), data, NM)
    found = _read_elsewhere(tmp_path / name)
    assert found.dtype == (np.uint8 if dtype == "bool" else dtype)
    np.testing.assert_array_equal(found, data)


@pytest.mark.slow
@needs_display
def test_a_scale_in_pixels_gives_no_voxel_size(make_napari_viewer: Callable, tmp_path: Path) -> None:
    viewer = make_napari_viewer()
    viewer.add_labels(image(), scale=(3, 1, 1))
    viewer.layers.save(str(tmp_path / "a.h5"), plugin="napari-pytc")
    assert not open_volume(tmp_path / "a.h5").space.known


@pytest.mark.slow
@needs_display
def test_micrometres_are_reported_as_such(make_napari_viewer: Callable, tmp_path: Path) -> None:
    viewer = make_napari_viewer()
    viewer.add_labels(image(), scale=(0.04, 0.008, 0.008), units=("um", "um", "um"))
    viewer.layers.save(str(tmp_path / "a.h5"), plugin="napari-pytc")
    np.testing.assert_allclose(open_volume(tmp_path / "a.h5").space.voxel_size_nm, (40, 8, 8))


def test_a_section_is_a_volume_of_one(tmp_path: Path) -> None:
    data = image("uint16")[0]
    write_labels(str(tmp_path / "a.h5"), data, {})
    np.testing.assert_array_equal(_read_elsewhere(tmp_path / "a.h5"), data[None])
    write_labels(str(tmp_path / "b.h5"), data[None, None], {})
    np.testing.assert_array_equal(_read_elsewhere(tmp_path / "b.h5"), data[None])


@pytest.mark.slow
def test_lazy_layers_are_read_in_blocks(tmp_path: Path) -> None:
    lazy = Virtual((300, 1024, 1024))
    write_labels(str(tmp_path / "a.zarr"), lazy, NM)
    assert 0 < lazy.largest <= 64 * 2**20
    found = open_volume(tmp_path / "a.zarr")
    assert found.shape == lazy.shape
    assert found.read(Box((299, 0, 0), (300, 1, 1))).item() > 0


def test_the_window_stays_alive_while_much_is_written(qtbot, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(writers, "_AT_ONCE_BYTES", 0)
    gate, ticks = threading.Event(), []

    def tick() -> None:
        ticks.append(1)
        if len(ticks) == 3:
            gate.set()

    timer = QTimer()
    timer.timeout.connect(tick)
    timer.start(20)
    assert write_labels(str(tmp_path / "a.h5"), Virtual((3, 64, 64), gate), NM) == [str(tmp_path / "a.h5")]
    timer.stop()
    assert len(ticks) >= 3
    assert _read_elsewhere(tmp_path / "a.h5").min() == 1


def test_cancel_leaves_nothing(qtbot, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(writers, "_AT_ONCE_BYTES", 0)
    gate = threading.Event()

    def cancel() -> None:
        for widget in QApplication.topLevelWidgets():
            if isinstance(widget, QProgressDialog):
                widget.findChild(QPushButton).click()
        gate.set()

    QTimer.singleShot(50, cancel)
    assert write_labels(str(tmp_path / "a.h5"), Virtual((90, 64, 64), gate), NM) == []
    assert list(tmp_path.iterdir()) == []


def test_an_error_in_the_thread_is_reported_here(qtbot, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(writers, "_AT_ONCE_BYTES", 0)
    with pytest.raises(VolumeError, match="does not exist"):
        write_labels(str(tmp_path / "nowhere" / "a.h5"), image(), NM)


def test_bad_input_is_reported_in_a_sentence(tmp_path: Path) -> None:
    with pytest.raises(InvalidInput, match="axes z, y, x; this one has the shape"):
        LayerLabels(image(shape=(2, 3, 4, 5)), {})
    with pytest.raises(InvalidInput, match="whole numbers, got float32"):
        LayerLabels(image("float32"), {})
    with pytest.raises(InvalidInput, match="known suffix"):
        write_labels(str(tmp_path / "a.png"), image(), {})
    path = write_hdf5(tmp_path / "a.h5", {"raw": image()})
    with pytest.raises(InvalidInput, match=r"shows a\.h5 itself"):
        write_labels(str(path), image(), {"metadata": {"pytc_volume": (f"{path}:raw", None)}})
    assert path.exists()


def test_of_pyramids_the_finest_level_is_written(tmp_path: Path) -> None:
    data = image()
    write_labels(str(tmp_path / "a.h5"), [data, data[:, ::2, ::2]], NM | {"multiscale": True})
    np.testing.assert_array_equal(_read_elsewhere(tmp_path / "a.h5"), data)


def test_sections_that_are_still_being_read_are_waited_for(tmp_path: Path) -> None:
    data = image()
    reader = SectionReader()

    may_read = threading.Event()

    def read(box: Box) -> np.ndarray:
        assert may_read.wait(PATIENCE_S)
        return data[box.slices]

    cache = SectionCache(read, data.shape, data.dtype, reader, patience_s=0.0)
    try:
        layer = VolumeArray(cache)
        assert not np.asarray(layer[4]).any()  # what the window shows at first
        threading.Timer(0.05, may_read.set).start()
        write_labels(str(tmp_path / "a.tif"), layer, NM)
    finally:
        reader.close()
        cache.close()
    np.testing.assert_array_equal(tifffile.imread(tmp_path / "a.tif"), data)
