"""Take the pictures of the documentation from the real window: `make screenshots`.

    python docs/take_screenshots.py                 # all of them
    python docs/take_screenshots.py proofreading    # those of one page

Needs a display; the Makefile gives it one with xvfb-run. Every picture is of the program at work: the strokes are
painted, the models trained and the predictions computed while it runs.
"""

from __future__ import annotations

import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import napari
import numpy as np
from napari.settings import get_settings
from qtpy.QtWidgets import QApplication, QComboBox, QLineEdit
from scipy import ndimage

from napari_pytc.geometry import Box
from napari_pytc.samples import sample_path
from napari_pytc.ui.demo import open_sample_in
from napari_pytc.ui.plugin import show_workspace
from napari_pytc.ui.port import Pointer
from napari_pytc.ui.proofreading.acts import Acts, acts_of
from napari_pytc.ui.proofreading.menu import show_menu
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


def tutorial() -> None:
    """From nothing to an exported prediction."""
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

        n = len(workspace.jobs.jobs)
        workspace.predict("all")
        camera.finish_job(n)
        widget.show_panel("Segment")
        n = len(workspace.jobs.jobs)
        workspace.start_job("segment", "Segment the volume", lambda session: session.segment_job())
        camera.finish_job(n)
        camera.wait(lambda: workspace.segments.document is not None)
        camera.rest(1.5)
        camera.take("tutorial-7-segmented")

        widget.show_panel("Export")
        widget.findChild(QLineEdit, "exportPath").setText(str(camera.folder / "membranes.tif"))
        camera.rest(0.5)
        n = len(workspace.jobs.jobs)
        workspace.export("classes", camera.folder / "membranes.tif")
        camera.finish_job(n)
        camera.take("tutorial-8-exported")
        widget.show_panel("Jobs")
        camera.take("tutorial-9-jobs")
        camera.viewer.close()


def live() -> None:
    """Live learning on the sample's strokes, and a place to paint next."""
    with tempfile.TemporaryDirectory() as place:
        camera = Photographer(Path(place))
        workspace, widget = camera.workspace, camera.widget
        open_sample_in(workspace, camera.folder)
        camera.wait(lambda: workspace.layers is not None and workspace.is_warm)
        widget.show_panel("Train")
        box = widget.panel("Train").live
        box.switch.click()
        camera.wait(lambda: box.chip.text() == "Waiting for strokes")
        camera.paint()
        box.where.button.setChecked(True)
        camera.wait(lambda: box.list.tree.topLevelItemCount())
        box.list.next_button.click()
        camera.wait(lambda: "network" in box.status.text())
        camera.rest(5)
        camera.take("live")
        camera.viewer.close()


def recipes() -> None:
    """Single objects marked in the Data panel: a stroke in each of some cells."""
    with tempfile.TemporaryDirectory() as place:
        camera = Photographer(Path(place))
        workspace = camera.workspace
        open_sample_in(workspace, camera.folder)
        camera.wait(lambda: workspace.layers is not None)
        camera.look_at(SECTION)
        source = open_volume(f"{sample_path('medulla')}:classes")
        inside = source.read(Box.of_shape(source.shape))[SECTION] == 2
        depth = ndimage.distance_transform_edt(np.pad(inside, 1))[1:-1, 1:-1]
        cells, n_cells = ndimage.label(depth > 4)
        largest = sorted(range(1, n_cells + 1), key=lambda cell: -np.count_nonzero(cells == cell))
        objects = workspace.layers.objects
        for cell in largest[:9]:
            objects.new_object()
            row, column = np.unravel_index(np.where(cells == cell, depth, 0).argmax(), depth.shape)
            stroke = np.zeros(inside.shape, bool)
            stroke[max(0, row - 2) : row + 2, max(0, column - 12) : column + 12] = True
            rows, columns = np.nonzero(stroke & (cells == cell))
            objects.layer.data_setitem((np.full(len(rows), SECTION), rows, columns), objects.label)
            camera.rest(0.5)
        camera.rest(1.5)
        camera.take("recipes-objects")
        camera.viewer.close()


class Proofreader:
    """Somebody who proofreads in a window: the mouse on the segments, and the keys."""

    def __init__(self, camera: Photographer) -> None:
        self.camera = camera
        self.acts: Acts = acts_of(camera.workspace)

    def mark(self, voxels: list[tuple[int, int, int]], colour: int = 0) -> None:
        pencil = self.acts.pencil
        pencil.choose_colour(colour)
        for number, voxel in enumerate([*voxels, voxels[-1]]):
            phase = "press" if number == 0 else "release" if number == len(voxels) else "move"
            place = tuple(float(v) for v in voxel)
            pencil.take(Pointer(phase, 1, (8.0 * voxel[2], 8.0 * voxel[1]), place))
        self.finish()

    def press(self, key: str) -> None:
        self.acts.keys()[key]()
        self.finish()

    def finish(self) -> None:
        self.camera.rest(0.2)
        self.camera.wait(lambda: not self.acts.desk.is_busy)
        self.camera.rest(0.2)

    def pair(self) -> list[tuple[int, int, int]]:
        """A voxel in each of the two segments of the review, in one section and close to the place."""
        item, document = self.acts.review.item, self.acts.desk.document
        z, y, x = (int(v) for v in item.place)
        around = Box.at((z, y, x), (1, 1, 1)).grow((0, 24, 24)).intersect(Box.of_shape(document.shape))
        labels = document.segments(around)[0]
        found = []
        for segment in item.segments:
            depth = ndimage.distance_transform_edt(labels == segment)
            row, column = np.unravel_index(depth.argmax(), depth.shape)
            if depth.max() < 3:
                return []
            found.append((z, int(row) + around.start[1], int(column) + around.start[2]))
        return found if len(found) == 2 else []


def proofreading() -> None:
    """Merge, split, the menu, the review and the history, on the sample's cells."""
    with tempfile.TemporaryDirectory() as place:
        camera = Photographer(Path(place))
        workspace, widget = camera.workspace, camera.widget
        open_sample_in(workspace, camera.folder)
        camera.wait(lambda: workspace.layers is not None and workspace.is_warm)
        camera.look_at(SECTION)
        camera.paint()
        for start in (
            workspace.train_now,
            lambda: workspace.predict("all"),
            lambda: workspace.start_job("segment", "Segment", lambda session: session.segment_job()),
        ):
            n = len(workspace.jobs.jobs)
            start()
            camera.finish_job(n)
        camera.wait(lambda: workspace.segments.document is not None)
        widget.show_panel("Proofread")
        user = Proofreader(camera)
        user.press("J")
        places = user.pair()
        while not places:
            user.press("I")
            places = user.pair()
        camera.take("proofreading-review")
        user.press("M")
        user.mark(places)
        camera.take("proofreading-merge")
        user.press("Enter")
        for colour, voxel in enumerate(places):
            user.mark([voxel, (voxel[0], voxel[1] + 2, voxel[2] + 2)], colour)
        camera.take("proofreading-split")
        user.press("Enter")
        user.press("Z")
        desk = user.acts.desk
        desk.select_ids([desk.document.segment_at(places[0])])
        user.finish()
        picked = desk.selected[0]
        menu = show_menu(user.acts, picked, widget)
        camera.rest(0.5)
        window = camera.viewer.window._qt_window
        corner = window.mapToGlobal(window.rect().topLeft())
        menu.move(corner.x() + 560, corner.y() + 260)
        camera.rest(0.5)
        screen = QApplication.primaryScreen()
        screen.grabWindow(0, corner.x(), corner.y(), *SIZE).save(str(IMAGES / "proofreading-menu.png"))
        menu.close()
        user.press("L")
        user.acts.past.checkpoint("first cell done")
        user.finish()
        user.press("J")
        user.press("U")
        user.acts.past.undo()
        user.finish()
        panel = widget.panel("Proofread")
        scrolled = panel.parentWidget().parentWidget()
        scrolled.verticalScrollBar().setValue(10_000)
        camera.take("proofreading-history")
        camera.viewer.close()


PAGES = {"tutorial": tutorial, "live": live, "recipes": recipes, "proofreading": proofreading}


def main(names: list[str]) -> None:
    IMAGES.mkdir(exist_ok=True)
    get_settings().appearance.theme = "dark"
    for name in names or list(PAGES):
        PAGES[name]()


def most_painted() -> int:
    """The section with the most strokes."""
    source = open_volume(f"{sample_path('medulla')}:strokes")
    return int((source.read(Box.of_shape(source.shape)) > 0).sum(axis=(1, 2)).argmax())


if __name__ == "__main__":
    main(sys.argv[1:])
