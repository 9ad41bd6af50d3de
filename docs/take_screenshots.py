"""Take the pictures of the tutorial from the real window: `make screenshots`.

Needs a display; the Makefile gives it one with xvfb-run. Every picture is of the program at work: the strokes are
painted, the models trained and the predictions computed while it runs.
"""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import napari
import numpy as np
from napari.settings import get_settings
from qtpy.QtWidgets import QApplication, QComboBox, QLineEdit

from napari_pytc.geometry import Box
from napari_pytc.samples import sample_path
from napari_pytc.ui.demo import open_sample_in
from napari_pytc.ui.plugin import show_workspace
from napari_pytc.volumes.opening import open_volume

IMAGES = Path(__file__).parent / "images"
SIZE = (1366, 768)
SECTION = 20


class Photographer:
    """A window, and what is done in it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.viewer = napari.Viewer(title="napari", show=True)
        self.viewer.window._qt_window.resize(*SIZE)
        self.widget = show_workspace(self.viewer)
        self.workspace = self.widget.workspace
        self.wait(lambda: self.widget.is_furnished)
        self.rest(1.0)

    def rest(self, seconds: float) -> None:
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            QApplication.processEvents()
            time.sleep(0.01)

    def wait(self, happened: Callable[[], Any], seconds: float = 180) -> None:
        end = time.monotonic() + seconds
        while not happened():
            if time.monotonic() > end:
                raise TimeoutError("What was waited for did not come.")
            self.rest(0.05)

    def take(self, name: str) -> None:
        """A picture of the whole window."""
        self.rest(0.8)
        self.viewer.window.screenshot(str(IMAGES / f"{name}.png"), canvas_only=False, flash=False)

    def finish_job(self, n_before: int) -> None:
        self.wait(lambda: len(self.workspace.jobs.jobs) > n_before and self.workspace.jobs.jobs[-1].is_over)
        job = self.workspace.jobs.jobs[-1]
        if job.message:
            raise RuntimeError(f"{job.message} {job.trace}")

    def look_at(self, section: int) -> None:
        self.viewer.dims.set_current_step(0, section)
        self.rest(0.3)

    def paint(self) -> None:
        """The sample's strokes, as a user would have painted them."""
        source = open_volume(f"{sample_path('medulla')}:strokes")
        strokes = source.read(Box.of_shape(source.shape))
        layer = self.workspace.layers.strokes
        for label in (1, 2):
            layer.data_setitem(np.nonzero(strokes == label), label)
        self.rest(1.5)

    def hold_out(self) -> None:
        """The last sections, with some rows annotated in them to score on."""
        source = open_volume(f"{sample_path('medulla')}:classes")
        truth = source.read(Box.of_shape(source.shape))
        rows = np.zeros(truth.shape, bool)
        rows[44::6, 8::16] = True
        for label in (1, 2):
            self.workspace.layers.strokes.data_setitem(np.nonzero(rows & (truth == label)), label)
        self.workspace.session.hold_out(Box((40, 0, 0), (64, 192, 192)))
        self.rest(1.5)


def main() -> None:
    IMAGES.mkdir(exist_ok=True)
    get_settings().appearance.theme = "dark"
    with tempfile.TemporaryDirectory() as place:
        camera = Photographer(Path(place))
        workspace, widget = camera.workspace, camera.widget
        open_sample_in(workspace, camera.folder)
        camera.wait(lambda: workspace.layers is not None and workspace.is_warm)
        camera.look_at(SECTION)
        camera.take("tutorial-2-open")
        camera.paint()
        camera.look_at(most_painted())
        camera.take("tutorial-3-painted")

        widget.show_panel("Train")
        n = len(workspace.jobs.jobs)
        workspace.train_now()
        camera.finish_job(n)
        camera.take("tutorial-4-trained")
        widget.show_panel("Predict")
        n = len(workspace.jobs.jobs)
        workspace.predict("all")
        camera.finish_job(n)
        camera.rest(1.0)
        camera.take("tutorial-5-predicted")

        camera.hold_out()
        widget.show_panel("Train")
        combo = widget.findChild(QComboBox, "recipeCombo")
        index = combo.findData("fast")
        combo.setCurrentIndex(index)
        combo.activated.emit(index)
        camera.wait(lambda: workspace.plan is not None and workspace.plan.recipe == "fast")
        n = len(workspace.jobs.jobs)
        workspace.train_now()
        camera.wait(lambda: len(workspace.jobs.jobs) > n and workspace.jobs.jobs[-1].done > 60)
        camera.take("tutorial-6-training")
        camera.finish_job(n)

        widget.show_panel("Export")
        widget.findChild(QLineEdit, "exportPath").setText(str(camera.folder / "membranes.tif"))
        camera.rest(0.5)
        n = len(workspace.jobs.jobs)
        workspace.export("classes", camera.folder / "membranes.tif")
        camera.finish_job(n)
        camera.take("tutorial-7-exported")
        widget.show_panel("Jobs")
        camera.take("tutorial-8-jobs")
        camera.viewer.close()


def most_painted() -> int:
    """The section with the most strokes."""
    source = open_volume(f"{sample_path('medulla')}:strokes")
    return int((source.read(Box.of_shape(source.shape)) > 0).sum(axis=(1, 2)).argmax())


if __name__ == "__main__":
    main()
