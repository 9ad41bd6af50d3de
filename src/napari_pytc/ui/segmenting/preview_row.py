"""Live preview on or off, how deep, and what it shows."""

from __future__ import annotations

from typing import TYPE_CHECKING

from qtpy.QtCore import QTimer, Signal
from qtpy.QtWidgets import QCheckBox, QSpinBox, QVBoxLayout, QWidget

from napari_pytc.geometry import Box
from napari_pytc.ui.controls import Bar
from napari_pytc.ui.parts import Notice, row, voxels, wrapped
from napari_pytc.ui.segmenting.choices import SegmentChoices
from napari_pytc.ui.segmenting.preview import SegmentPreview, preview_box

if TYPE_CHECKING:
    from napari_pytc.ui.workspace import Workspace

FIRST_DEPTH = 5
_MOST_DEPTH = 64
_WATCH_MS = 700
"""How often it looks whether the user looks elsewhere: the canvas tells nobody when it is moved."""


class PreviewRow(QWidget):
    """Switches a `SegmentPreview` on and off, and lets it follow the view.

    Parameters
    ----------
    preview : SegmentPreview
        What it steers.
    """

    wanted = Signal()
    """It was switched on, or should look elsewhere: give it the choices with `show`."""

    def __init__(self, workspace: Workspace, preview: SegmentPreview, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._workspace, self._preview = workspace, preview
        self.check = QCheckBox("Live preview in view")
        self.check.setObjectName("livePreview")
        self.check.setToolTip(
            "Show what these settings make of what is in view, and again with every change. Nothing is kept of it."
        )
        self.sections = QSpinBox()
        self.sections.setObjectName("previewDepth")
        self.sections.setRange(1, _MOST_DEPTH)
        self.sections.setValue(FIRST_DEPTH)
        self.sections.setSuffix(" sections")
        self.sections.setSpecialValueText("1 section")
        self.sections.setToolTip("How many sections are decoded around the one in view: more is slower, and more true.")
        self.bar = Bar()
        self.bar.setTextVisible(False)
        self.bar.setMaximumHeight(6)
        self.bar.setRange(0, 0)
        self.status = wrapped(dim=True)
        self.status.setObjectName("previewStatus")
        self.notice = Notice()
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.setSpacing(3)
        layout.addLayout(row(self.check, 1, self.sections))
        for widget in (self.bar, self.status, self.notice):
            layout.addWidget(widget)
        self._problem = ""
        self._watch = QTimer(self)
        self._watch.setInterval(_WATCH_MS)
        self._watch.timeout.connect(self._follow)
        self.check.toggled.connect(self._on_toggled)
        self.sections.valueChanged.connect(self._on_depth)
        preview.changed.connect(self._tell)
        self._tell()

    @property
    def is_on(self) -> bool:
        """Whether it is switched on."""
        return self.check.isChecked()

    @property
    def box(self) -> Box | None:
        """What a preview of the present view is made of."""
        session, layers = self._workspace.session, self._workspace.layers
        if session is None or layers is None:
            return None
        return preview_box(layers.view_box(), self.sections.value(), session.annotations.shape)

    def show_choices(self, choices: SegmentChoices | None, problem: str) -> None:
        """Try these settings on what is in view; `problem` says what is wrong where there are none."""
        box = self.box
        self._problem = problem if choices is None else ""
        if not self.is_on or box is None:
            return
        if choices is not None:
            self._preview.show(choices, box)
            self._watch.start()
        self._tell()

    def switch_off(self) -> None:
        """Take the preview away, and make no more."""
        self.check.setChecked(False)

    def stop(self) -> None:
        """Make no more for now; what is shown is taken away."""
        self._watch.stop()
        self._preview.clear()

    # ---- what follows is ours

    def _on_toggled(self, is_on: bool) -> None:
        if is_on:
            self.wanted.emit()
        else:
            self.stop()
        self._tell()

    def _on_depth(self) -> None:
        if self.is_on:
            self.wanted.emit()

    def _follow(self) -> None:
        """Ask for another preview where the view has left the one that is shown."""
        wanted, has = self.box, self._preview.box
        if wanted is None or has is None or self._preview.is_busy:
            return
        layers = self._workspace.layers
        assert layers is not None
        shown = layers.view_box().intersect(wanted)
        if not has.contains(shown):
            self.wanted.emit()

    def _tell(self) -> None:
        preview, problem = self._preview, self._preview.problem
        self.bar.setVisible(self.is_on and preview.is_busy)
        self.sections.setEnabled(self.is_on)
        self.status.setText(self._words() if self.is_on else "")
        self.status.setVisible(bool(self.status.text()))
        if self.is_on and problem is not None and not preview.is_busy:
            self.notice.show_error(problem)
        else:
            self.notice.hide()

    def _words(self) -> str:
        preview, source = self._preview, self._preview.source
        if self._problem:
            return f"No preview: {self._problem}"
        if preview.is_busy:
            if not preview.is_waiting:
                return "Telling objects apart …"
            running = [job.title for job in self._workspace.jobs.running]
            return f"Waiting for the worker: {running[0]} is not over yet" if running else "Waiting for the worker …"
        if source is None:
            return "" if preview.problem is None else "There is no preview."
        if not source.n_supervoxels:
            return f"No object in {voxels(source.box.shape)}: nothing is predicted here, or all is too small."
        n, n_super = source.n_segments, source.n_supervoxels
        parts = f" of {n_super} supervoxels" if n_super != n else ""
        return f"{n} segment{'s' * (n != 1)}{parts} in {voxels(source.box.shape)} · {_took(preview.seconds)}"


def _took(seconds: float) -> str:
    return f"{1000 * seconds:.0f} ms" if seconds < 0.2 else f"{seconds:.1f} s"
