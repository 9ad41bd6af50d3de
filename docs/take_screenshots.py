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
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

import napari
import numpy as np
from napari.settings import get_settings
from qtpy.QtWidgets import QAbstractButton, QApplication, QComboBox, QLineEdit
from scipy import ndimage
from skimage.morphology import skeletonize

from napari_pytc.geometry import Box
from napari_pytc.samples import sample_path
from napari_pytc.session.volumes.building import NewVolume
from napari_pytc.ui.canvas.viewer.port import Pointer
from napari_pytc.ui.panels.data.sample_project import open_sample_in
from napari_pytc.ui.panels.proofread.actions import SegmentActions
from napari_pytc.ui.panels.proofread.selection import show_menu
from napari_pytc.ui.plugin import show_workspace
from napari_pytc.volumes.opening import open_volume
from napari_pytc.volumes.spec import ReadOptions

IMAGES = Path(__file__).parent / "images"
SIZE = (1366, 768)
SECTION = 20
STEPS = 150
PAINTED = (4, 12, SECTION, 28, 36)
_N_STROKES, _LONGEST = 10, 28
_MARGIN = 40
"""Of what is shown from the volume's border, in voxels."""


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
        self.wait(lambda: len(self.workspace.jobs.jobs) > n_before and self.workspace.jobs.jobs[-1].is_over, 900)
        job = self.workspace.jobs.jobs[-1]
        if job.message:
            raise RuntimeError(f"{job.message} {job.trace}")

    def look_at(self, section: int) -> None:
        self.viewer.dims.set_current_step(0, section)
        self.rest(0.3)

    def paint(self, sections: Sequence[int] = PAINTED) -> None:
        """Strokes along membranes and through cells, as somebody paints them who knows what is what."""
        truth = sample("classes")
        layer = self.workspace.layers.strokes
        for section in sections:
            for label, strokes in ((1, along_membranes(truth[section])), (2, through_cells(truth[section]))):
                rows, columns = np.nonzero(strokes)
                layer.data_setitem((np.full(len(rows), section), rows, columns), label)
        self.rest(1.5)

    def hold_out(self) -> None:
        """The last sections, with strokes of their own to score on."""
        self.paint(range(46, 64, 4))
        self.workspace.session.held_out.add(Box((40, 0, 0), (64, 192, 192)))
        self.rest(1.5)

    def click(self, name: str) -> None:
        """Press a button of the panel in front, as soon as that can be done."""
        button = self.widget.findChild(QAbstractButton, name)
        self.wait(button.isEnabled)
        button.click()
        self.rest(0.3)

    def run(self, panel: str, button: str) -> None:
        """Press a button that starts a job, and wait for its end."""
        self.widget.show_panel(panel)
        n = len(self.workspace.jobs.jobs)
        self.click(button)
        self.finish_job(n)

    def choose_recipe(self, name: str) -> None:
        """Choose a recipe in the Train panel."""
        self.widget.show_panel("Train")
        combo = self.widget.findChild(QComboBox, "recipeCombo")
        index = combo.findData(name)
        combo.setCurrentIndex(index)
        combo.activated.emit(index)
        recipe = self.widget.controllers.train.recipe
        self.wait(lambda: recipe.plan is not None and recipe.plan.recipe == name)

    def choose_fast(self) -> None:
        """So many steps as a minute has on a laptop: pictures are no worse where the machine has other work."""
        self.choose_recipe("fast")
        form = self.widget.panel("Train").recipe.form
        form.set_value(form.value().model_copy(update={"steps": STEPS, "minutes": None}))
        self.rest(0.3)

    def segment(self) -> None:
        """From strokes to cells, with the network of a minute's training."""
        self.choose_fast()
        self.run("Train", "trainButton")
        self.predict_everything()
        self.run("Segment", "segmentButton")
        self.wait(lambda: self.workspace.segments.document is not None)
        self.rest(1.5)

    def predict_everything(self) -> None:
        """With the active model."""
        self.widget.show_panel("Predict")
        self.click("scope-all")
        self.run("Predict", "predictButton")
        self.rest(1.0)


def tutorial() -> None:
    """From nothing to an exported prediction."""
    with tempfile.TemporaryDirectory() as place:
        camera = Photographer(Path(place))
        workspace, widget = camera.workspace, camera.widget
        open_sample_in(workspace, camera.folder)
        camera.wait(lambda: workspace.layers is not None and workspace.worker.is_warm)
        camera.look_at(SECTION)
        camera.take("tutorial-2-open")
        camera.paint()
        camera.take("tutorial-3-painted")

        camera.run("Train", "trainButton")
        camera.take("tutorial-4-trained")
        camera.predict_everything()
        camera.take("tutorial-5-predicted")

        camera.hold_out()
        camera.choose_fast()
        n = len(workspace.jobs.jobs)
        camera.click("trainButton")
        camera.wait(lambda: len(workspace.jobs.jobs) > n and workspace.jobs.jobs[-1].share > 0.7, 900)
        camera.take("tutorial-6-training")
        camera.finish_job(n)

        camera.predict_everything()
        camera.run("Segment", "segmentButton")
        camera.wait(lambda: workspace.segments.document is not None)
        camera.rest(1.5)
        camera.take("tutorial-7-segmented")

        widget.show_panel("Export")
        path = widget.findChild(QLineEdit, "exportPath")
        path.setText(str(camera.folder / "cells.tif"))
        path.textEdited.emit(path.text())
        camera.run("Export", "exportButton")
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
        camera.wait(lambda: workspace.layers is not None and workspace.worker.is_warm)
        widget.show_panel("Train")
        box = widget.panel("Train").live
        box.switch.click()
        camera.wait(lambda: box.chip.text() == "Waiting for strokes")
        camera.paint()
        camera.wait(lambda: box.chip.text() in ("Instant model", "Network"))
        with suppress(TimeoutError):  # a network that does not beat the instant model is not shown
            camera.wait(lambda: box.chip.text() == "Network", 120)
        box.suggestions_fold.expand(animate=False)
        camera.wait(lambda: box.list.tree.topLevelItemCount())
        box.list.next_button.click()
        camera.rest(15)
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
        inside = sample("classes")[SECTION] == 2
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


def volumes() -> None:
    """A project with a second volume: the sample, turned around."""
    with tempfile.TemporaryDirectory() as place:
        camera = Photographer(Path(place))
        workspace = camera.workspace
        open_sample_in(workspace, camera.folder)
        camera.wait(lambda: workspace.layers is not None)
        camera.look_at(SECTION)
        camera.paint()
        turned = np.ascontiguousarray(sample("raw")[:, ::-1, ::-1])
        size = ReadOptions(voxel_size_nm=(10.0, 10.0, 10.0))
        workspace.volumes.add(NewVolume(None, "medulla turned", size, turned))
        camera.wait(lambda: workspace.volumes.current == "v2")
        camera.rest(1.5)
        camera.take("several-volumes")
        camera.viewer.close()


class Proofreader:
    """Somebody who proofreads in a window: the mouse on the segments, and the keys."""

    def __init__(self, camera: Photographer) -> None:
        self.camera = camera
        self.actions: SegmentActions = camera.widget.controllers.actions

    def mark(self, voxels: list[tuple[int, int, int]], colour: int = 0) -> None:
        tools = self.actions.canvas_tools
        tools.choose_colour(colour)
        for number, voxel in enumerate([*voxels, voxels[-1]]):
            phase = "press" if number == 0 else "release" if number == len(voxels) else "move"
            place = tuple(float(v) for v in voxel)
            tools.on_pointer(Pointer(phase, 1, (8.0 * voxel[2], 8.0 * voxel[1]), place))
        self.finish()

    def press(self, key: str) -> None:
        self.actions.keys()[key]()
        self.finish()

    def finish(self) -> None:
        self.camera.rest(0.2)
        self.camera.wait(lambda: not self.actions.editor.is_busy)
        self.camera.rest(0.2)

    def pair(self) -> list[tuple[int, int, int]]:
        """A voxel in each of the two segments of the review, in one section and close to the place."""
        item, document = self.actions.review.item, self.actions.editor.document
        z, y, x = (int(v) for v in item.place)
        if not all(_MARGIN <= v < n - _MARGIN for v, n in zip((y, x), document.shape[1:], strict=True)):
            return []  # the picture would be half empty
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
        camera.wait(lambda: workspace.layers is not None and workspace.worker.is_warm)
        camera.look_at(SECTION)
        camera.paint()
        camera.segment()
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
        editor = user.actions.editor
        editor.select_ids([editor.document.segment_at(places[0])])
        user.finish()
        picked = editor.selected[0]
        menu = show_menu(user.actions, picked, widget)
        camera.rest(0.5)
        window = camera.viewer.window._qt_window
        corner = window.mapToGlobal(window.rect().topLeft())
        menu.move(corner.x() + 560, corner.y() + 260)
        camera.rest(0.5)
        screen = QApplication.primaryScreen()
        screen.grabWindow(0, corner.x(), corner.y(), *SIZE).save(str(IMAGES / "proofreading-menu.png"))
        menu.close()
        user.press("L")
        user.actions.history.checkpoint("first cell done")
        user.finish()
        user.press("J")
        user.press("U")
        user.actions.history.undo()
        user.finish()
        panel = widget.panel("Proofread")
        scrolled = panel.parentWidget().parentWidget()
        scrolled.verticalScrollBar().setValue(10_000)
        camera.take("proofreading-history")
        camera.viewer.close()


PAGES = {"tutorial": tutorial, "live": live, "recipes": recipes, "volumes": volumes, "proofreading": proofreading}


def main(names: list[str]) -> None:
    IMAGES.mkdir(exist_ok=True)
    get_settings().appearance.theme = "dark"
    for name in names or list(PAGES):
        PAGES[name]()


def sample(dataset: str) -> np.ndarray:
    """A dataset of the bundled sample."""
    source = open_volume(f"{sample_path('medulla')}:{dataset}")
    return source.read(Box.of_shape(source.shape))


def along_membranes(truth: np.ndarray) -> np.ndarray:
    """Some strokes in a section, each along the middle of a membrane from one branch to the next, or a part of it."""
    middle = skeletonize(truth == 1)
    n_beside = ndimage.convolve(middle.astype(int), np.ones((3, 3), int), mode="constant") - middle
    pieces, n_pieces = ndimage.label(middle & (n_beside < 3), np.ones((3, 3)))
    strokes = np.zeros(truth.shape, bool)
    lengths = np.bincount(pieces.ravel())
    for piece in sorted(range(1, n_pieces + 1), key=lambda piece: -lengths[piece])[:_N_STROKES]:
        rows, columns = np.nonzero(pieces == piece)
        near = np.hypot(rows - rows[0], columns - columns[0]) < _LONGEST
        strokes[rows[near], columns[near]] = True
    return ndimage.binary_dilation(strokes) & (truth == 1)


def through_cells(truth: np.ndarray) -> np.ndarray:
    """A stroke in each of the larger cells of a section, where the cell is widest."""
    depth = ndimage.distance_transform_edt(np.pad(truth == 2, 1))[1:-1, 1:-1]
    cells, n_cells = ndimage.label(depth > 4)
    sizes = np.bincount(cells.ravel())
    strokes = np.zeros(truth.shape, bool)
    for cell in sorted(range(1, n_cells + 1), key=lambda cell: -sizes[cell])[:_N_STROKES]:
        row, column = np.unravel_index(np.where(cells == cell, depth, 0).argmax(), depth.shape)
        half = int(min(depth[row, column], _LONGEST / 2))
        strokes[max(0, row - 1) : row + 2, max(0, column - half) : column + half] = True
    return strokes & (truth == 2)


if __name__ == "__main__":
    main(sys.argv[1:])
