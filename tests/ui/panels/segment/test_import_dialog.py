"""Import of a segmentation of another program from the Segment panel."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import h5py
import numpy as np
import pytest
from pytestqt.qtbot import QtBot
from qtpy.QtWidgets import QFileDialog

from napari_pytc.annotations.label_transform import LabelTransform
from napari_pytc.errors import VolumeError
from napari_pytc.jobs.events import Finished, Progressed
from napari_pytc.ui.panels.segment.controller import SegmentController
from napari_pytc.ui.panels.segment.import_dialog import ImportChoices, ImportDialog, PathField
from napari_pytc.ui.panels.segment.panel import SegmentPanel
from napari_pytc.volumes.inspection import ArrayInfo
from napari_pytc.volumes.spec import ReadOptions
from tests.support.workspaces import FakeSession, FakeWorkspace, segmentation


@pytest.fixture
def picked() -> list[tuple[PathField, str]]:
    return []


@pytest.fixture
def dialog(qtbot: QtBot, picked: list[tuple[PathField, str]]) -> ImportDialog:
    dialog = ImportDialog(lambda field, path: picked.append((field, path)))
    qtbot.addWidget(dialog)
    return dialog


@pytest.fixture
def panel(workspace: FakeWorkspace, qtbot: QtBot) -> SegmentPanel:
    panel = SegmentPanel(SegmentController(workspace))  # type: ignore[arg-type]
    qtbot.addWidget(panel)
    panel.show()
    return panel


@pytest.fixture
def session(workspace: FakeWorkspace, panel: SegmentPanel, tmp_path: Path) -> FakeSession:
    return workspace.open(tmp_path / "a.pytc")


def test_the_channel_with_the_ridges_is_chosen(qtbot: QtBot) -> None:
    dialog = ImportDialog(lambda field, path: None, None, {0: "EM", 3: "DAPI"})
    qtbot.addWidget(dialog)
    dialog.show()
    assert dialog.channel.isVisible()
    dialog.labels.line.setText("/data/cells.h5:ids")
    dialog.channel.setCurrentIndex(1)
    dialog.import_button.click()
    assert dialog.choices is not None
    assert dialog.choices.arguments()["image_channel"] == 3
    dialog.boundaries.line.setText("/data/b.tif")
    assert not dialog.channel.isEnabled()
    dialog.import_button.click()
    assert dialog.choices.arguments()["image_channel"] is None


def test_the_choices_are_those_of_the_job(dialog: ImportDialog) -> None:
    assert not dialog.import_button.isEnabled()
    dialog.labels.line.setText("/data/cells.h5:ids")
    assert dialog.import_button.isEnabled()
    dialog.import_button.click()
    assert dialog.choices == ImportChoices("/data/cells.h5:ids")
    dialog.boundaries.line.setText(" /data/b.tif ")
    dialog.gap.setValue(0.03)
    dialog.offset.setText("1, 2,3")
    dialog.mapped.setText("7=3, 255=background")
    dialog.ignored.setText("254, -1")
    dialog.resample.setChecked(True)
    dialog.import_button.click()
    assert dialog.choices is not None
    assert dialog.choices.name == "cells.h5"
    assert dialog.choices.arguments() == {
        "labels": "/data/cells.h5:ids",
        "options": ReadOptions(),
        "transform": LabelTransform(
            offset=(1, 2, 3), resample=True, ignored=(254, -1), values={7: 3, 255: "background"}
        ),
        "boundaries": "/data/b.tif",
        "gap_um": 0.03,
        "image_channel": None,
    }


@pytest.mark.parametrize(("name", "text", "words"), [
    ("offset", "1, 2", "three voxels"), ("offset", "a", "whole numbers"), ("ignored", "x", "no ids"),
    ("mapped", "1=mito", "mapped to an id"), ("mapped", "1", "mapped as"),
])  # fmt: skip
def test_what_cannot_be_read_is_explained(dialog: ImportDialog, name: str, text: str, words: str) -> None:
    dialog.labels.line.setText("a.tif")
    getattr(dialog, name).setText(text)
    dialog.import_button.click()
    assert dialog.choices is None
    assert words in dialog.notice.text


def test_how_the_file_is_read_is_chosen_and_checked_before_the_dialog_closes(qtbot: QtBot) -> None:
    answers: list[Any] = []
    dialog = ImportDialog(lambda field, path: None, check=lambda *words: answers.append(words))
    qtbot.addWidget(dialog)
    dialog.show()
    dialog.labels.line.setText("/data/movie.tif")
    dialog.labels_channel.setText("2")
    dialog.import_button.click()
    choices, accept, refuse = answers[-1]
    assert choices.options == ReadOptions(channel=2)
    assert not dialog.import_button.isEnabled(), "while it is looked at"
    refuse(VolumeError("movie.tif has 5 time points: give one with --time."))
    assert dialog.isVisible()
    assert "“Time point”" in dialog.notice.text
    assert dialog.reading.fold.isExpanded()
    editor: Any = dialog.reading.form._parts[0].editors["time"]
    editor.inner.set_value(3)
    editor.box.setChecked(True)
    dialog.import_button.click()
    choices, accept, refuse = answers[-1]
    assert choices.arguments()["options"] == ReadOptions(channel=2, time=3)
    accept()
    assert not dialog.isVisible()
    assert dialog.choices is choices


@pytest.mark.parametrize("text", ["-1", "1, 2", "x"])
def test_a_channel_is_one_number(dialog: ImportDialog, text: str) -> None:
    dialog.labels.line.setText("a.tif")
    dialog.labels_channel.setText(text)
    dialog.import_button.click()
    assert dialog.choices is None
    assert "hannel" in dialog.notice.text


def test_a_file_or_a_folder_is_picked(
    dialog: ImportDialog, picked: list[tuple[PathField, str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(QFileDialog, "getOpenFileName", lambda *a: ("/d/a.tif", ""))
    monkeypatch.setattr(QFileDialog, "getExistingDirectory", lambda *a: "")
    dialog.labels._pick_file()
    dialog.boundaries._pick_folder()
    assert picked == [(dialog.labels, "/d/a.tif")]


def test_the_panel_starts_the_import_and_shows_it_without_any_prediction(
    panel: SegmentPanel, session: FakeSession, workspace: FakeWorkspace, qtbot: QtBot, monkeypatch: pytest.MonkeyPatch
) -> None:
    choices = ImportChoices("/data/cells.tif", gap_um=0.1)
    monkeypatch.setattr(ImportDialog, "exec", lambda self: setattr(self, "choices", choices) or True)
    assert panel.import_button.isEnabled()
    panel.import_button.click()
    kind, title, (_, arguments) = workspace.calls[-1]
    assert (kind, title) == ("import_segmentation", "Import cells.tif")
    assert arguments == choices.arguments()
    spec = SimpleNamespace(output=Path("/segments/s1"))
    _, sink = workspace.start(
        "import_segmentation", title, spec, Progressed(job="j1", done=1, total=8, time=1.0, note="measuring contacts")
    )
    (row,) = panel.import_rows.rows
    qtbot.waitUntil(row.isVisible)
    assert "runs already" in panel.import_button.toolTip()
    session.segmentation_records = [segmentation("s1", active=True)]
    sink(Finished(job="j1", result={"n_segments": 12, "mvoxel_per_s": 0.5}))
    workspace.jobs.drain()
    assert "12 segments" in row.status.text()
    qtbot.waitUntil(lambda: panel.list.records.tree.topLevelItemCount() == 1)


def test_one_that_was_cut_short_is_resumed(
    panel: SegmentPanel, session: FakeSession, workspace: FakeWorkspace, qtbot: QtBot
) -> None:
    job = SimpleNamespace(kind="import_segmentation")
    session.unfinished = [job]
    workspace.segmentations_changed.emit()
    qtbot.waitUntil(panel.resume_button.isVisible)
    assert "import of labels" in panel.resume_button.toolTip()
    panel.resume_button.click()
    assert workspace.calls == [("import_segmentation", "Import labels (resumed)", job)]


def test_of_several_datasets_one_is_picked(
    panel: SegmentPanel, session: FakeSession, qtbot: QtBot, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "two.h5"
    with h5py.File(path, "w") as file:
        file["raw"] = file["ids"] = np.zeros((3, 4, 5), np.uint16)

    def pick(title: str, arrays: list[ArrayInfo], parent: object) -> list[ArrayInfo]:
        return [array for array in arrays if array.name.strip("/") == "ids"]

    monkeypatch.setattr("napari_pytc.ui.panels.segment.panel.ask_for_arrays", pick)
    field = PathField("x", "", "", lambda field, path: None)
    qtbot.addWidget(field)
    panel._pick_dataset(field, str(path))
    qtbot.waitUntil(lambda: field.text.endswith("ids"))
    assert field.text.startswith(f"{path}:")
