"""A project with segments, a workspace and the Proofread panel; the window is a fake, all else is real."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from qtpy.QtWidgets import QApplication, QWidget

from napari_pytc.geometry import Box
from napari_pytc.proofreading.document import LabelDocument
from napari_pytc.session.project.recent import RecentProjects
from napari_pytc.session.session import Session
from napari_pytc.ui.canvas.viewer.port import Pointer
from napari_pytc.ui.controllers import Controllers
from napari_pytc.ui.panels.proofread.panel import ProofreadPanel
from napari_pytc.ui.workspace import Workspace
from tests.support.proofreading import make_segmented_project
from tests.support.viewers import FakeLayer, FakeViewer

SHAPE = (12, 64, 64)
Z = 6
Voxel = Sequence[int]


class Bench:
    """A user who proofreads."""

    def __init__(self, qtbot: Any, folder: Path, opened: bool = True, undecided: bool = False, **options: Any) -> None:
        self.bot = qtbot
        self.made = make_segmented_project(folder, **{"shape": SHAPE, "n_cells": 10} | options)
        self.path = folder / "cells.pytc"
        if undecided:  # then there is something to review
            scores = self.path / "volumes/v1/segments/first" / "scores.npy"
            np.save(scores, np.random.default_rng(0).uniform(0.5, 0.8, np.load(scores).shape).astype(np.float32))
        self.viewer = FakeViewer()
        self.viewer.middle = (float(Z), 32.0, 32.0)
        self.viewer.in_view = Box((Z, 0, 0), (Z + 1, 64, 64))
        self.workspace = Workspace(
            self.viewer, lambda: pytest.fail("no worker is needed"), RecentProjects(folder / "recent.json")
        )
        self.errors: list[Any] = []
        self.workspace.failed.connect(self.errors.append)
        self.controllers = Controllers(self.workspace)
        self.panel = ProofreadPanel(self.workspace, self.controllers.actions, self.controllers.retraining)
        self.editor, self.actions = self.controllers.editor, self.controllers.actions
        qtbot.addWidget(self.panel)
        self.panel.resize(340, 900)
        self.panel.show()
        if opened:
            self.open()

    # ---- the project

    def open(self) -> None:
        self.workspace.open_project(self.path)
        self.until(lambda: self.workspace.segments.document is not None)
        self.idle()

    @property
    def session(self) -> Session:
        assert self.workspace.session is not None
        return self.workspace.session

    @property
    def document(self) -> LabelDocument:
        assert self.editor.document is not None
        return self.editor.document

    @property
    def section(self) -> np.ndarray:
        """Segments of the section that is looked at."""
        return self.document.segments(Box((Z, 0, 0), (Z + 1, *SHAPE[1:])))[0]

    def segment_at(self, voxel: Voxel) -> int:
        return int(self.document.segment_at(voxel))

    def neighbours(self) -> tuple[tuple[int, int, int], tuple[int, int, int]]:
        """Two voxels well within two segments that touch along x."""
        section = self.section
        for y, x in np.argwhere(section[:, 8:-8] != section[:, 9:-7]):
            a, b = (Z, int(y), int(x) + 4), (Z, int(y), int(x) + 13)
            if self.is_inside(a) and self.is_inside(b) and self.segment_at(a) != self.segment_at(b):
                return a, b
        raise AssertionError("no neighbours")

    def is_inside(self, voxel: Voxel, margin: int = 3) -> bool:
        """Whether all around a voxel is of its segment."""
        y, x = voxel[1:]
        if not (margin <= y < SHAPE[1] - margin and margin <= x < SHAPE[2] - margin):
            return False
        return len(np.unique(self.section[y - margin : y + margin + 1, x - margin : x + margin + 1])) == 1

    def two_cells(self) -> tuple[tuple[int, int, int], tuple[int, int, int]]:
        """Voxels of two cells that the decoder took for one segment (made with ``merged=True``)."""
        cells, section = self.made.tissue.cells[Z], self.section
        for segment in np.unique(section):
            places = []
            for cell in np.unique(cells[section == segment]):
                inside = np.argwhere((cells == cell) & (section == segment))
                inside = [(Z, int(y), int(x)) for y, x in inside if self.is_inside((Z, y, x), 1)]
                if len(inside) > 60:
                    places.append(inside[len(inside) // 2])
            if len(places) == 2:
                return places[0], places[1]
        raise AssertionError("no two cells in one segment")

    # ---- what is done

    @property
    def layer(self) -> FakeLayer:
        return self.viewer.find("Segments")

    def point(self, phase: Any, voxel: Voxel | None, button: int = 1, keys: Sequence[str] = (), **more: Any) -> None:
        pixel = (0.0, 0.0) if voxel is None else (8.0 * voxel[2], 8.0 * voxel[1])
        place = None if voxel is None else tuple(float(v) for v in voxel)
        self.layer.point(Pointer(phase, button, pixel, place, modifiers=frozenset(keys), **more))  # type: ignore[arg-type]

    def draw(self, voxels: Sequence[Voxel], button: int = 1, keys: Sequence[str] = (), wait: bool = True) -> None:
        """Press at the first voxel, move over the others, release."""
        self.point("press", voxels[0], button, keys)
        for voxel in voxels[1:]:
            self.point("move", voxel, button, keys)
        self.point("release", voxels[-1], button, keys)
        if wait:
            self.idle()

    def click(self, voxel: Voxel, button: int = 1, keys: Sequence[str] = (), **more: Any) -> None:
        self.point("press", voxel, button, keys, **more)
        self.point("release", voxel, button, keys, **more)
        self.idle()

    def key(self, key: str, wait: bool = True) -> None:
        """Press a key while the segments are the active layer."""
        self.layer.press(key)
        if wait:
            self.idle()

    def press(self, kind: type[QWidget], name: str) -> None:
        """Click a button of the panel."""
        found: Any = self.panel.findChild(kind, name)
        assert found is not None, name
        assert found.isEnabled(), found.toolTip()
        found.click()
        self.idle()

    def idle(self) -> None:
        """Wait until nothing is worked out any more."""
        self.until(lambda: not self.editor.is_busy)
        QApplication.processEvents()
        self.until(lambda: not self.editor.is_busy)

    def until(self, happened: Callable[[], object]) -> None:
        self.bot.waitUntil(lambda: bool(happened()))

    # ---- what is seen

    @property
    def titles(self) -> list[str]:
        """What was done and not taken back, without the switch to the segmentation."""
        return [entry.title for entry in self.actions.history.entries if not entry.is_undone][1:]

    @property
    def proposed(self) -> str:
        return "" if self.editor.proposal is None else self.editor.proposal.change.title

    @property
    def message(self) -> str:
        return f"{self.editor.message.text} {self.editor.message.hint}".strip()

    @property
    def refusal(self) -> str:
        return self.message if self.editor.message.refused else ""

    def is_shown(self, name: str) -> bool:
        """Whether a layer has something to show in the section."""
        return any(np.asarray(layer.data[Z]).any() for layer in self.viewer.layers if layer.name == name)

    @property
    def n_marked(self) -> int:
        """Voxels of marks in the section."""
        layers = [layer for layer in self.viewer.layers if layer.name == "Marks"]
        return int((np.asarray(layers[0].data[Z]) > 0).sum()) if layers else 0

    def close(self) -> None:
        self.workspace.shutdown()
