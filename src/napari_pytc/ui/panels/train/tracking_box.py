"""Trackers of experiments as a folded part of the Train panel."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from qtpy.QtCore import QSignalBlocker
from qtpy.QtWidgets import QCheckBox, QFileDialog, QLabel, QLineEdit, QPushButton, QSizePolicy, QVBoxLayout, QWidget

from napari_pytc.ui.panels.train.tracking_controller import TrackingController
from napari_pytc.ui.widgets.buttons import allow
from napari_pytc.ui.widgets.fold import Fold
from napari_pytc.ui.widgets.forms import SettingsForm
from napari_pytc.ui.widgets.forms.editors import Editor
from napari_pytc.ui.widgets.labels import wrapped
from napari_pytc.ui.widgets.layout import row

if TYPE_CHECKING:
    from napari_pytc.plans.tracking import TrackerSettings

_TITLE = "Track experiments"
_ABOUT = (
    "Record trainings beside one another: curves, pictures, settings, and what they were made from. Nothing is "
    "recorded or sent unless it is switched on here; what is on stays on for the next trainings."
)


class WordsEditor(Editor):
    """Words with commas between them."""

    def __init__(self) -> None:
        super().__init__()
        self.line = QLineEdit()
        self.line.setPlaceholderText("words, with commas")
        self._row.addWidget(self.line)
        self.line.textChanged.connect(self.changed)
        self.setFocusProxy(self.line)

    def value(self) -> tuple[str, ...]:
        """The words that are shown."""
        return tuple(word.strip() for word in self.line.text().split(",") if word.strip())

    def set_value(self, value: Any) -> None:
        """Show words."""
        self.line.setText(", ".join(value))


class TrackerSwitch(QWidget):
    """One tracker: a box to tick, what it does, and its settings where it is on.

    Parameters
    ----------
    model : type of TrackerSettings
        The tracker.
    controller : TrackingController
        Keeps what is chosen.
    """

    def __init__(
        self, model: type[TrackerSettings], controller: TrackingController, parent: QWidget | None = None
    ) -> None:
        super().__init__(parent)
        assert controller.choice is not None
        self._controller = controller
        kind = self.kind = str(model.model_fields["kind"].default)
        self.box = QCheckBox(model.title.replace("&", "&&"))
        self.box.setObjectName(f"track-{kind}")
        reason = "" if model.is_installed() else f"{model.package} is not installed; {model.install}"
        allow(self.box, reason, f"Record the next trainings by {model.title}.")
        self.about = wrapped(f"Not installed: {model.install}" if reason else model.about, dim=True)
        settings = controller.choice.settings_of(model)
        words = [name for name, field in model.model_fields.items() if field.annotation == tuple[str, ...]]
        self.form = SettingsForm(
            model, settings, hidden=model.not_remembered, editors=dict.fromkeys(words, WordsEditor)
        )
        inside = QVBoxLayout()
        inside.setContentsMargins(18, 0, 0, 0)
        inside.setSpacing(2)
        inside.addWidget(self.about)
        inside.addWidget(self.form)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.setSpacing(2)
        layout.addWidget(self.box)
        layout.addLayout(inside)
        self.box.toggled.connect(partial(controller.switch, kind))
        self.form.changed.connect(self._on_edited)

    @property
    def problem(self) -> str:
        """What is wrong with its settings, where it is on."""
        return self.form.problem if self.box.isChecked() else ""

    def refresh(self) -> None:
        """Show whether it is on."""
        choice = self._controller.choice
        with QSignalBlocker(self.box):
            self.box.setChecked(self.box.isEnabled() and choice is not None and self.kind in choice.on)
        self.form.setVisible(self.box.isChecked())

    def _on_edited(self) -> None:
        if not self.form.problem:
            settings: Any = self.form.value()
            self._controller.set_settings(settings)


class TrackingBox(Fold):
    """The trackers of trainings, folded; the line names those that are on.

    Parameters
    ----------
    controller : TrackingController
        Keeps what is chosen.
    """

    def __init__(self, controller: TrackingController, parent: QWidget | None = None) -> None:
        inside = QWidget()
        self._controller = controller
        self.switches: dict[str, TrackerSwitch] = {}
        self.folder = QLineEdit()
        self.folder.setObjectName("trackFolder")
        self.folder.setPlaceholderText("tracking, in the project")
        self.folder.setToolTip(
            "Where trackers write, in a folder for each training; empty: the folder tracking of the project."
        )
        self.folder.setClearButtonEnabled(True)
        self.browse = QPushButton("Choose…")
        self.browse.setObjectName("chooseTrackFolder")
        self.browse.setToolTip("Choose a folder for the files of trackers.")
        self._layout = QVBoxLayout(inside)
        self._layout.setContentsMargins(8, 0, 0, 0)
        self._layout.setSpacing(4)
        self._layout.addWidget(wrapped(_ABOUT, dim=True))
        self._layout.addLayout(row(QLabel("Folder"), self.folder, self.browse))
        super().__init__(_TITLE, inside, parent=parent)
        self.setObjectName("trackingBox")
        self.toggleButton().setObjectName("trackExperiments")
        # A long line is cut; it does not widen the panel.
        self.toggleButton().setSizePolicy(QSizePolicy.Policy.Ignored, QSizePolicy.Policy.Fixed)
        self.toggleButton().setToolTip("Record trainings in TensorBoard or Weights & Biases.")
        self.folder.editingFinished.connect(self._on_folder)
        self.browse.clicked.connect(self._choose)
        self.toggled.connect(self.refresh)
        controller.changed.connect(self.refresh)
        self.refresh()

    def refresh(self, *_: object) -> None:
        """Show what is chosen; settings are made when they are first seen, since a form takes a while."""
        controller = self._controller
        on = controller.kinds_on
        self.setText(f"{_TITLE}: {', '.join(on)}" if on else _TITLE)
        if controller.choice is None or not self.isExpanded():
            return
        if not self.switches:
            for number, (kind, model) in enumerate(controller.models.items(), 1):
                self.switches[kind] = TrackerSwitch(model, controller)
                self.switches[kind].form.changed.connect(self._tell_problem)
                self.switches[kind].box.toggled.connect(self._tell_problem)
                self._layout.insertWidget(number, self.switches[kind])
        for switch in self.switches.values():
            switch.refresh()
        if not self.folder.hasFocus():
            folder = controller.choice.folder
            self.folder.setText("" if folder is None else str(folder))

    def _tell_problem(self) -> None:
        problems = [switch.problem for switch in self.switches.values() if switch.problem]
        self._controller.set_problem(problems[0] if problems else "")

    def _on_folder(self) -> None:
        from napari_pytc.files import plain_path

        text = self.folder.text().strip()
        self._controller.set_folder(plain_path(text) if text else None)

    def _choose(self) -> None:
        chosen = QFileDialog.getExistingDirectory(self, "Folder for the files of trackers", self.folder.text())
        if chosen:
            self.folder.setText(chosen)
            self._controller.set_folder(Path(chosen))
