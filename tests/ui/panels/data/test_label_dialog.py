"""The dialog of imported labels says where they lie, and lets the user say otherwise."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
from qtpy.QtWidgets import QDialogButtonBox

from napari_pytc.errors import VolumeError
from napari_pytc.geometry import VoxelSpace
from napari_pytc.ui.panels.data.inspect_labels import LabelFile, inspect_labels
from napari_pytc.ui.panels.data.label_dialog import LabelDialog
from napari_pytc.volumes.spec import ReadOptions

IMAGE = (12, 64, 64)
SPACE = VoxelSpace((40, 4, 4))
PLACED = LabelFile("a.h5:labels", (4, 32, 32), "uint64", VoxelSpace((40, 4, 4), (160, 64, 64)))


def shown(qtbot: Any, file: LabelFile, classes: list[str] | None = None, is_dense: bool = False) -> LabelDialog:
    dialog = LabelDialog(file, IMAGE, SPACE, classes, is_dense)
    qtbot.addWidget(dialog)
    dialog.show()
    return dialog


def can_import(dialog: LabelDialog) -> bool:
    button = dialog.buttons.button(QDialogButtonBox.StandardButton.Ok)
    assert button is not None
    return button.isEnabled()


def test_labels_lie_where_their_file_says_unless_the_user_moves_them(qtbot: Any) -> None:
    dialog = shown(qtbot, PLACED)
    assert [box.value() for box in dialog.offset] == [4, 16, 16]
    assert "4:8,16:48,16:48" in dialog.place.text()
    assert dialog.answer.transform.offset is None
    dialog.offset[0].setValue(2)
    assert dialog.answer.transform.offset == (2, 16, 16)
    assert "begin at voxel 4,16,16" in dialog.place.text()
    dialog.offset[1].setValue(60)
    assert not can_import(dialog)
    assert "do not lie within" in dialog.problem.text()
    dialog.as_in_file.click()
    assert can_import(dialog)
    assert dialog.answer.transform.offset is None


def test_a_place_that_no_file_says_is_told(qtbot: Any) -> None:
    dialog = shown(qtbot, LabelFile("a.png", (1, 32, 32), "uint8", VoxelSpace.unknown()))
    assert "does not say how large" in dialog.facts.text()
    assert "do not say where they lie" in dialog.place.text()
    assert can_import(dialog)


def test_other_voxels_need_a_tick(qtbot: Any) -> None:
    assert not shown(qtbot, PLACED).resample.isVisible()
    dialog = shown(qtbot, LabelFile("a.h5", (6, 32, 32), "uint8", VoxelSpace((80, 8, 8))))
    assert dialog.resample.isVisible()
    assert not can_import(dialog)
    assert "80 x 8 x 8 nm" in dialog.problem.text()
    dialog.resample.setChecked(True)
    assert can_import(dialog)
    assert "0:12,0:64,0:64" in dialog.place.text()
    assert dialog.answer.transform.resample


def test_values_are_mapped_ignored_and_taken_apart(qtbot: Any) -> None:
    dialog = shown(qtbot, PLACED, ["mito"])
    assert not dialog.components.isVisible()
    dialog.values.setText("255=mito")
    dialog.ignored.setText("7, 9")
    assert dialog.answer.transform.values == {255: "mito"}
    assert dialog.answer.transform.ignored == (7, 9)
    dialog.values.setText("255")
    assert not can_import(dialog)
    dialog.values.setText("")
    dialog.ignored.setText("x")
    assert "whole numbers" in dialog.problem.text()
    objects = shown(qtbot, PLACED, None, is_dense=True)
    assert objects.components.isVisible()
    objects.components.setChecked(True)
    assert objects.answer.transform.components
    assert objects.answer.transform.dense
    objects.keep_ids.setChecked(True)
    assert not can_import(objects)


def test_names_and_channels_of_the_file_are_shown(qtbot: Any, tmp_path: Path) -> None:
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file["labels"] = np.ones((2, 3, 64, 64), np.uint8)
        file["labels"].attrs["class_names"] = ["mito", "er"]
        for dimension, letter in zip(file["labels"].dims, "czyx", strict=True):
            dimension.label = letter
    found = inspect_labels(str(tmp_path / "a.h5"))
    assert (found.shape, found.n_channels, found.class_names) == ((3, 64, 64), 2, {1: "mito", 2: "er"})
    dialog = shown(qtbot, found, ["er", "mito"])
    assert "1 mito, 2 er" in dialog.place.text()
    dialog.channel.setCurrentIndex(1)
    assert dialog.answer.options.channel == 1
    assert shown(qtbot, PLACED).answer.options.channel is None


@pytest.mark.parametrize("is_dense", [True, False])
def test_nothing_else_is_assumed(qtbot: Any, is_dense: bool) -> None:
    transform = shown(qtbot, PLACED, None, is_dense).answer.transform
    assert transform.model_dump(exclude_defaults=True) == ({"dense": True} if is_dense else {})


def test_the_file_is_read_again_as_the_fields_say(qtbot: Any, tmp_path: Path) -> None:
    import tifffile

    labels = np.ones((2, 6, 64, 64), np.uint8)
    path = tmp_path / "movie.tif"
    tifffile.imwrite(path, labels, imagej=True, metadata={"axes": "TZYX"})
    found = inspect_labels(str(path))
    assert "2 time points" in found.problem
    asked: list[ReadOptions] = []

    def inspect(options: ReadOptions, take: Callable[[LabelFile], object]) -> None:
        asked.append(options)
        take(inspect_labels(str(path), options))

    dialog = LabelDialog(found, IMAGE, SPACE, ["mito"], inspect=inspect)
    qtbot.addWidget(dialog)
    dialog.show()
    assert not can_import(dialog)
    assert dialog.reading.fold.isExpanded()
    assert "“Time point”" in dialog.problem.text()
    assert "--" not in dialog.problem.text()
    editor: Any = dialog.reading.form._parts[0].editors["time"]
    editor.inner.set_value(1)
    editor.box.setChecked(True)
    assert asked[-1].time == 1
    assert can_import(dialog)
    assert "6 × 64 × 64 voxels" in dialog.facts.text()
    assert dialog.answer.options == asked[-1]
    size: Any = dialog.reading.form._parts[0].editors["voxel_size_nm"]
    size.inner.set_value((40.0, 4.0, 4.0))
    size.box.setChecked(True)
    assert asked[-1].voxel_size_nm == (40, 4, 4)
    assert "voxels of 40 × 4 × 4 nm" in dialog.facts.text()


def test_a_file_that_is_gone_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(VolumeError):
        inspect_labels(str(tmp_path / "gone.tif"))


def test_an_answer_after_the_dialog_was_closed_is_dropped(qtbot: Any) -> None:
    answers: list[Callable[[LabelFile], object]] = []
    dialog = LabelDialog(PLACED, IMAGE, SPACE, None, inspect=lambda options, take: answers.append(take))
    qtbot.addWidget(dialog)
    dialog.show()
    editor: Any = dialog.reading.form._parts[0].editors["axes"]
    editor.inner.set_value("zyx")
    editor.box.setChecked(True)
    before = dialog.facts.text()
    dialog.reject()
    answers[-1](LabelFile("a.h5", (1, 1, 1), "uint8", SPACE))
    assert dialog.facts.text() == before
