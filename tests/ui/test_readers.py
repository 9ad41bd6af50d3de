"""HDF5, Zarr, N5 and precomputed open in napari with their voxel size, large ones without being read."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from npe2 import PluginManager

from napari_pytc.errors import PytcError, VolumeError
from napari_pytc.geometry import Box
from napari_pytc.ui import readers
from napari_pytc.ui.canvas.arrays import FileArray
from napari_pytc.ui.canvas.viewer.layer_choice import layer_choice
from napari_pytc.ui.readers import get_reader, looks_like_labels, read_volumes
from napari_pytc.ui.widgets.array_dialog import ArrayDialog, choices_of
from napari_pytc.volumes.inspection import describe_volume
from napari_pytc.volumes.opening import open_volume
from tests.support.display import needs_display
from tests.support.stores import write_bdv_hdf5, write_bdv_xml, write_mrc, write_nifti, zip_folder
from tests.volumes.files import image, write_hdf5, write_n5, write_ome_zarr, write_precomputed, write_tiff, write_zarr

SIZE = {"voxel_size_nm": [40.0, 8.0, 4.0]}
AXES = [{"name": a, "type": "space", "unit": "nanometer"} for a in "zyx"]


def _write(kind: str, folder: Path) -> tuple[Path, np.ndarray, tuple[float, ...] | None]:
    data = image("uint16")
    if kind == "hdf5":
        return write_hdf5(folder / "a.h5", {"raw": data}, SIZE), data, (40, 8, 4)
    if kind == "zarr2":
        return write_zarr(folder / "a.zarr", data, 2), data, None
    if kind == "ome_zarr":
        path = folder / "a.zarr"
        return write_ome_zarr(path, [data, data[:, ::2, ::2]], "0.5", AXES, [[40, 8, 4], [40, 16, 8]]), data, (40, 8, 4)
    if kind == "n5":
        path = write_n5(folder / "a.n5", data, "volumes/raw", {"resolution": [4, 8, 40]})
        return path, data, (40, 8, 4)
    if kind == "mrc":
        return write_mrc(folder / "a.mrc", data, (400, 80, 40)), data, (40, 8, 4)
    if kind == "nifti":
        return write_nifti(folder / "a.nii", data.T, np.diag([4e-6, 8e-6, 4e-5, 1])), data, (40, 8, 4)
    if kind == "bigdataviewer":
        write_bdv_hdf5(folder / "a.h5", {(0, 0): data})
        return write_bdv_xml(folder / "a.xml", "a.h5", data.shape), data, (40, 8, 4)
    if kind == "zip":
        return zip_folder(write_zarr(folder / "a", data, 2), folder / "a.zarr.zip"), data, None
    return write_precomputed(folder / "cutout", data[None]), data, (40, 4, 4)


@pytest.mark.parametrize(
    "kind", [*("hdf5", "zarr2", "ome_zarr", "n5", "precomputed"), *("mrc", "nifti", "bigdataviewer", "zip")]
)
def test_volume_becomes_a_layer_with_its_voxel_size(kind: str, tmp_path: Path) -> None:
    path, data, size = _write(kind, tmp_path)
    reader = get_reader(str(path))
    assert reader is not None
    ((found, options, layer_type),) = reader(str(path))
    np.testing.assert_array_equal(np.asarray(found), data)
    assert layer_type == "image"
    assert options.get("scale") == size
    assert options["contrast_limits"][1] > options["contrast_limits"][0]


@pytest.mark.slow
@needs_display
def test_napari_opens_by_plugin_and_remembers_the_dataset(make_napari_viewer: Callable, tmp_path: Path) -> None:
    path = write_hdf5(tmp_path / "cells.h5", {"raw": image()}, SIZE)
    viewer = make_napari_viewer()
    (layer,) = viewer.open(str(path), plugin="napari-pytc")
    np.testing.assert_allclose(layer.scale, (40, 8, 4))
    assert {str(unit) for unit in layer.units} == {"nanometer"}
    choice = layer_choice(layer)
    assert choice is not None
    assert (choice.path, choice.voxel_size_nm) == (str(path), (40, 8, 4))


def test_one_dataset_can_be_named(tmp_path: Path) -> None:
    path = write_hdf5(tmp_path / "cells.h5", {"a": image(), "volumes/b": image(seed=1)})
    reader = get_reader(f"{path}:volumes/b")
    assert reader is not None
    ((data, options, _),) = reader(f"{path}:volumes/b")
    np.testing.assert_array_equal(data, image(seed=1))
    assert options["metadata"]["pytc_volume"] == (f"{path}:volumes/b", None)


@pytest.mark.slow
@needs_display
def test_of_several_datasets_the_user_picks(
    make_napari_viewer: Callable, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = write_hdf5(tmp_path / "cells.h5", {"raw": image(), "neurons": image("uint32"), "classes": image()}, SIZE)
    asked = []

    def pick(title: str, arrays: list) -> list:
        asked.append((title, [array.name for array in arrays]))
        return [array for array in arrays if array.name != "classes"]

    monkeypatch.setattr(readers, "ask_for_arrays", pick)
    viewer = make_napari_viewer()
    layers = viewer.open(str(path), plugin="napari-pytc")
    assert asked == [("cells.h5", ["classes", "neurons", "raw"])]
    assert {layer.name: layer._type_string for layer in layers} == {"cells neurons": "labels", "cells raw": "image"}


@pytest.mark.slow
@needs_display
def test_nothing_opens_where_the_user_cancels(
    make_napari_viewer: Callable, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = write_hdf5(tmp_path / "cells.h5", {"a": image(), "b": image()})
    monkeypatch.setattr(readers, "ask_for_arrays", lambda title, arrays: [])
    viewer = make_napari_viewer()
    assert viewer.open(str(path), plugin="napari-pytc") == []
    assert not viewer.layers


def test_without_a_window_the_usual_dataset_is_taken_or_all_are_named(tmp_path: Path) -> None:
    guessed = write_hdf5(tmp_path / "guessed.h5", {"raw": image(), "neurons": image("uint32")})
    ((_, options, _),) = read_volumes(str(guessed))
    assert options["name"] == "guessed raw"
    unclear = write_hdf5(tmp_path / "unclear.h5", {"a": image(), "b": image()})
    with pytest.raises(VolumeError, match=r"several datasets.*a \(9.*b \(9"):
        read_volumes(str(unclear))


def test_dialog_opens_what_is_ticked(qtbot, tmp_path: Path) -> None:
    path = write_hdf5(tmp_path / "a.h5", {"raw": image(), "text": np.array([1.0]), "seg": image("uint32")})
    dialog = ArrayDialog("a.h5", choices_of(describe_volume(path)))
    qtbot.addWidget(dialog)
    assert [array.name for array in dialog.picked] == ["raw"]
    assert dialog.list.topLevelItem(1).text(1) == "9 × 37 × 41"
    dialog.list.itemDoubleClicked.emit(dialog.list.topLevelItem(1), 0)
    assert [array.name for array in dialog.picked] == ["seg"]
    dialog.list.topLevelItem(1).setCheckState(0, dialog.list.topLevelItem(0).checkState(0))
    assert not dialog.picked
    assert not dialog.buttons.button(dialog.buttons.StandardButton.Open).isEnabled()


def test_channels_become_layers_in_colours(tmp_path: Path) -> None:
    data = image(shape=(2, 9, 37, 41))
    path = write_hdf5(tmp_path / "two.h5", {"raw": data})
    layers = read_volumes(str(path))
    assert [options["name"] for _, options, _ in layers] == ["two channel 0", "two channel 1"]
    assert all(options["visible"] and options["blending"] == "additive" for _, options, _ in layers)
    assert [options["colormap"].name for _, options, _ in layers] == ["#00ff00", "#ff00ff"]
    np.testing.assert_array_equal(layers[1][0], data[1])
    assert layers[1][1]["metadata"]["pytc_volume"] == (str(path), 1)


def test_of_many_channels_the_first_is_shown(tmp_path: Path) -> None:
    layers = read_volumes(str(write_hdf5(tmp_path / "many.h5", {"raw": image(shape=(6, 9, 37, 41))})))
    assert [options["visible"] for _, options, _ in layers] == [True, *[False] * 5]
    assert all("colormap" not in options for _, options, _ in layers)


def test_a_mask_of_bool_is_labels(tmp_path: Path) -> None:
    mask = image() > 100
    ((data, _, kind),) = read_volumes(str(write_hdf5(tmp_path / "a.h5", {"x": mask})))
    assert kind == "labels"
    assert np.array_equal(data, mask)
    ((_, _, kind),) = read_volumes(str(write_zarr(tmp_path / "b.zarr", mask, 2)))
    assert kind == "labels"


def test_colours_are_one_layer_in_grey(tmp_path: Path) -> None:
    colours = image(shape=(2, 37, 41, 3))
    write_tiff(tmp_path / "rgb.tif", colours, photometric="rgb")
    [(data, options, kind)] = read_volumes(str(tmp_path / "rgb.tif"))
    assert (options["name"], kind) == ("rgb", "image")
    assert np.abs(np.asarray(data) - colours @ (0.299, 0.587, 0.114)).max() <= 0.5


def test_large_volumes_are_read_where_they_are_looked_at(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(readers, "SMALL_BYTES", 100)
    data = image("uint32")
    path = write_hdf5(tmp_path / "big.h5", {"neurons": data})
    ((lazy, _, layer_type),) = read_volumes(str(path))
    assert isinstance(lazy, FileArray)
    assert layer_type == "labels"
    np.testing.assert_array_equal(np.asarray(lazy[3]), data[3])
    np.testing.assert_array_equal(lazy[2:5, :, 7], data[2:5, :, 7])
    np.testing.assert_array_equal(lazy[:, ::-3, [1, 5]], data[:, ::-3, [1, 5]])
    with pytest.raises(PytcError, match="not painted into"):
        lazy[0, 0, 0] = 1


def test_reads_only_what_is_asked_for(tmp_path: Path) -> None:
    class Counting:
        def __init__(self) -> None:
            self._inner = open_volume(write_hdf5(tmp_path / "a.h5", {"raw": image()}))
            self.shape, self.dtype, self.space = self._inner.shape, self._inner.dtype, self._inner.space
            self.spec, self.boxes = self._inner.spec, []

        def read(self, box: Box) -> np.ndarray:
            self.boxes.append(box)
            return self._inner.read(box)

    source = Counting()
    lazy = FileArray(source)
    assert np.asarray(lazy[4]).shape == (37, 41)
    assert lazy[2:2].shape == (0, 37, 41)
    assert source.boxes == [Box((4, 0, 0), (5, 37, 41))]


@pytest.mark.parametrize(
    ("name", "dtype", "expected"),
    [
        ("raw", "uint8", False),
        ("raw", "uint16", False),
        ("volumes/labels/neuron_ids", "uint8", True),
        ("gt", "uint8", True),
        ("grids", "uint8", False),
        ("raw", "uint64", True),
        ("labels", "float32", False),
    ],
)
def test_labels_are_reported_from_images(name: str, dtype: str, expected: bool) -> None:
    assert looks_like_labels(name, np.dtype(dtype)) is expected


def test_other_readers_keep_what_is_theirs(tmp_path: Path, npe2pm: PluginManager) -> None:
    assert get_reader(str(write_tiff(tmp_path / "a.tif", image()))) is None
    (tmp_path / "sections").mkdir()
    write_tiff(tmp_path / "sections" / "0.tif", image()[0])
    assert get_reader(str(tmp_path / "sections")) is None
    assert get_reader([str(tmp_path / "a.h5"), str(tmp_path / "b.h5")]) is None


@pytest.mark.parametrize("name", ["missing.h5", "empty.h5", "empty.zarr", "text.h5"])
def test_bad_files_are_reported_in_a_sentence(name: str, tmp_path: Path) -> None:
    path = tmp_path / name
    if name == "empty.h5":
        path.touch()
    elif name == "empty.zarr":
        path.mkdir()
    elif name == "text.h5":
        path.write_text(json.dumps({"not": "hdf5"}))
    reader = get_reader(str(path))
    assert reader is not None
    with pytest.raises(PytcError) as raised:
        reader(str(path))
    assert "Traceback" not in str(raised.value)
    assert name in raised.value.message


def test_projects_open_in_the_workspace_of_the_viewer(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    opened = []
    viewer = object()
    monkeypatch.setattr(readers, "current_viewer", lambda: viewer)
    monkeypatch.setattr(readers, "open_project_in", lambda where, folder: opened.append((where, folder)))
    folder = tmp_path / "fly.pytc"
    folder.mkdir()
    reader = get_reader(str(folder))
    assert reader is not None
    assert reader(str(folder)) == [(None,)]
    assert opened == [(viewer, str(folder))]
