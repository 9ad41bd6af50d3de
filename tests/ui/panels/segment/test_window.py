"""Segmenting in a real window with a real worker: preview, slider, a run over everything, an edit, a table."""

from __future__ import annotations

import csv
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from qtpy.QtWidgets import QCheckBox, QLineEdit

from napari_pytc.geometry import Box
from napari_pytc.samples import sample_path
from napari_pytc.ui.panels.export.panel import ExportPanel
from napari_pytc.ui.panels.segment.panel import SegmentPanel
from napari_pytc.volumes.opening import open_volume
from tests.support.display import needs_display
from tests.ui.test_tutorial import User, user

__all__ = ["user"]

pytestmark = [needs_display, pytest.mark.filterwarnings("ignore::DeprecationWarning")]


def section(user: User, name: str = "Segments") -> np.ndarray:
    return user.shown(name, 31)


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_preview_slider_run_edit_and_table(user: User, tmp_path: Path) -> None:
    user.open_sample(tmp_path)
    workspace = user.workspace
    session = workspace.session
    assert session is not None
    session.strokes.add(open_volume(f"{sample_path('medulla')}:strokes"))
    user.run("Train", "trainButton")
    user.click("Predict", "scope-all")
    user.run("Predict", "predictButton")
    user.viewer.dims.set_current_step(0, 31)

    user.widget.show_panel("Segment")
    panel = user.widget.panel("Segment")
    assert isinstance(panel, SegmentPanel)
    user.wait(lambda: panel.choices is not None)
    live = panel.findChild(QCheckBox, "livePreview")
    assert live is not None
    live.setChecked(True)
    user.wait(lambda: panel.controller.preview.source is not None and not panel.controller.preview.is_busy)
    user.wait(lambda: section(user, "Segments, tried").any())
    assert not user.layer("Prediction").visible
    n_at_first = len(np.unique(section(user, "Segments, tried")))
    panel.decoder.slider.slider.setValue(5)
    user.wait(lambda: len(np.unique(section(user, "Segments, tried"))) < n_at_first)
    assert session.segmentations.records() == []

    panel.decoder.slider.slider.setValue(50)
    user.run("Segment", "segmentButton")
    user.wait(lambda: workspace.segments.document is not None)
    document: Any = workspace.segments.document
    user.wait(lambda: "Segments, tried" not in user.viewer.layers)
    user.wait(lambda: np.array_equal(section(user), document.segments(Box.at((31, 0, 0), (1, 192, 192)))[0]))
    user.wait(lambda: panel.list.records.tree.topLevelItemCount() == 1)
    shown = section(user)
    colour = user.layer("Segments").get_color(int(shown.max()))
    assert colour[3] == 1
    assert user.layer("Segments").get_color(0) is None

    largest = int(np.bincount(shown[shown > 0]).argmax())
    y, x = (int(v) for v in np.argwhere(shown == largest)[0])
    layers = workspace.layers
    assert layers is not None
    assert layers.segments.segment_at((31, y, x)) == largest
    workspace.segments.do(lambda proofreader: proofreader.apply({"kind": "delete", "segments": [largest]}))
    user.wait(lambda: not (section(user) == largest).any())
    workspace.segments.do(lambda proofreader: proofreader.undo())
    user.wait(lambda: np.array_equal(section(user), shown))

    export = user.widget.panel("Export")
    assert isinstance(export, ExportPanel)
    user.wait(lambda: export.what.currentData() == "segments")
    export.what.setCurrentIndex(export.what.findData("table"))
    path = user.widget.findChild(QLineEdit, "exportPath")
    assert path is not None
    path.setText(str(tmp_path / "segments.csv"))
    path.textEdited.emit(path.text())  # as typing does: the file is the user's choice
    user.run("Export", "exportButton")
    with (tmp_path / "segments.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert {int(row["id"]) for row in rows} == {int(s) for s in document.segment_ids()}

    user.click("Data", "closeProject")
    user.wait(lambda: not user.viewer.layers)
    assert workspace.segments.document is None
    workspace.open_project(session.folder)
    user.wait(lambda: np.array_equal(section(user), shown))
    user.wait(lambda: "Prediction" in user.viewer.layers)
    assert not user.layer("Prediction").visible
