"""The Proofread panel: merge, split, paint, lock; what is to be looked at next; everything that was done."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from qtpy.QtCore import Qt
from qtpy.QtGui import QKeySequence, QShortcut, QShowEvent
from qtpy.QtWidgets import QFileDialog, QPushButton, QVBoxLayout, QWidget

from napari_pytc.errors import InvalidEdit
from napari_pytc.ui.controls import order_tabs
from napari_pytc.ui.importing import ImportProgress
from napari_pytc.ui.parts import MARGIN, EmptyState, Notice, allow, section, wrapped
from napari_pytc.ui.proofreading.acts import acts_of
from napari_pytc.ui.proofreading.desk import Saying
from napari_pytc.ui.proofreading.history import HistoryList
from napari_pytc.ui.proofreading.menu import show_menu
from napari_pytc.ui.proofreading.retrainer import retrainer_of
from napari_pytc.ui.proofreading.retraining import RetrainingBox
from napari_pytc.ui.proofreading.review import ReviewBox
from napari_pytc.ui.proofreading.selection import SelectionBox
from napari_pytc.ui.proofreading.toolbox import KeyButton, Toolbox
from napari_pytc.ui.proofreading.tools import ACTIONS, TOOLS, action, key_text

if TYPE_CHECKING:
    from napari_pytc.proofreading.journal import Entry
    from napari_pytc.ui.proofreading.picking import Picked
    from napari_pytc.ui.workspace import Workspace

_CANVAS_ONLY = frozenset({"commit", "undo", "redo"})
"""Enter presses the button that has the focus, and Ctrl+Z is undo within a field of text."""


class ProofreadPanel(QWidget):
    """Tools and their keys, the selected segments, the review queue, and the journal.

    Parameters
    ----------
    workspace : Workspace
        What it shows and steers.
    """

    def __init__(self, workspace: Workspace, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setObjectName("proofreadPanel")
        self._workspace = workspace
        self.acts = acts_of(workspace)
        self.desk = self.acts.desk
        self.empty = EmptyState()
        self.saying = wrapped()
        self.saying.setObjectName("saying")
        self.refusal = Notice()
        self.refusal.setObjectName("refusal")
        self.toolbox = Toolbox(self.acts)
        self.commit = self._button("commit")
        self.drop = self._button("drop")
        self.decide = QWidget()
        deciding = QVBoxLayout(self.decide)
        deciding.setContentsMargins(0, 0, 0, 0)
        deciding.setSpacing(3)
        for button in (self.commit, self.drop):
            deciding.addWidget(button)
        self.tools, tools = section("Tools")
        for widget in (self.toolbox, self.saying, self.refusal, self.decide):
            tools.addWidget(widget)
        self.selection = SelectionBox(self.acts)
        self.selected, selected = section("Selected")
        selected.addWidget(self.selection)
        self.review = ReviewBox(self.acts)
        self.reviewing, reviewing = section("Review")
        reviewing.addWidget(self.review)
        self.retrainer = retrainer_of(workspace, self.desk)
        self.retraining = RetrainingBox(self.acts, self.retrainer)
        self.learning, learning = section("Learn from edits")
        learning.addWidget(self.retraining)
        self.history = HistoryList(self.acts.past)
        self.past, past = section("History")
        past.addWidget(self.history)
        self.import_button = QPushButton("Import labels …")
        self.import_button.setObjectName("importLabelsButton")
        self.import_button.clicked.connect(self._import)
        self.importing = ImportProgress()
        layout = QVBoxLayout(self)
        layout.setContentsMargins(MARGIN, MARGIN, MARGIN, MARGIN)
        parts = (self.empty, self.tools, self.selected, self.reviewing, self.learning, self.past, self.import_button)
        for part in (*parts, self.importing):
            layout.addWidget(part)
        layout.addStretch(1)
        order_tabs(self)
        self._bind()
        self.desk.changed.connect(self.refresh)
        self.desk.said.connect(self._say)
        self.history.visited.connect(self._visit)
        self.acts.pencil.menu_asked.connect(self._open_menu)
        workspace.session_changed.connect(self.refresh)
        workspace.segments.document_changed.connect(self.refresh)
        self._say(self.desk.saying)
        self.refresh()

    def refresh(self) -> None:
        """Show what there is to proofread, and what can be pressed."""
        session, desk = self._workspace.session, self.desk
        has_segments = desk.document is not None
        self.empty.setVisible(not has_segments)
        if session is None:
            self.empty.say("No project is open. Open one in the Data panel.", "Data")
        elif self._workspace.segments.proofreader is None:
            self.empty.say("One moment: the history of the project is read …")
        else:
            self.empty.say("There are no segments to proofread yet. Make some in the Segment panel.", "Segment")
        for part in (self.tools, self.selected, self.reviewing, self.learning, self.import_button):
            part.setVisible(has_segments)
        self.past.setVisible(session is not None)
        pending = desk.proposal is not None or desk.is_planning or desk.n_marks > 0
        self.decide.setVisible(pending)
        planned = desk.proposal is not None or desk.is_planning
        tips = {name: f"{action(name).tip}\n\nKey: {key_text(action(name).key)}" for name in ("commit", "drop")}
        allow(self.commit, "" if planned else "nothing is worked out yet; mark more.", tips["commit"])
        allow(self.drop, "", tips["drop"])
        changeable = "" if self._workspace.is_changeable else "this project is open for reading only."
        self.history.allow(changeable)
        allow(
            self.import_button,
            desk.locked_reason or ("an edit is under way." if desk.is_busy else ""),
            "Make segments of the objects in a file of labels that is as large as the volume; it can be undone.",
        )

    def showEvent(self, event: QShowEvent | None) -> None:
        """Whoever opens the panel wants the mouse on the segments."""
        super().showEvent(event)
        self.acts.pencil.take_up()

    # ---- what follows is ours

    def _button(self, name: str) -> KeyButton:
        found = action(name)
        button = KeyButton(found.title, found.key)
        button.setObjectName(f"{name}Button")
        button.clicked.connect(lambda: self.acts.run(name))
        return button

    def _bind(self) -> None:
        """The canvas' keys, while the keyboard is in the panel; fields of text keep theirs."""
        calls = self.acts.keys()
        for found in (*TOOLS, *ACTIONS):
            if found.name not in _CANVAS_ONLY:
                shortcut = QShortcut(QKeySequence(key_text(found.key)), self)
                shortcut.setContext(Qt.ShortcutContext.WidgetWithChildrenShortcut)
                shortcut.activated.connect(calls[found.key])

    def _say(self, saying: Saying) -> None:
        item = self.acts.review.item
        is_asked_below = item is not None and saying.text == item.text
        self.saying.setVisible(bool(saying.text) and not saying.refused and not is_asked_below)
        if saying.refused:
            self.refusal.show_error(InvalidEdit(saying.text, saying.hint))
        else:
            self.refusal.hide()
            self.saying.setText(f"{saying.text} {saying.hint}".rstrip())

    def _visit(self, entry: Entry) -> None:
        if not entry.box.is_empty:
            self.desk.go_to(entry.box)
        document = self.desk.document
        if entry.segments and not entry.is_undone and document is not None and entry.segmentation == document.id:
            self.desk.select_ids(entry.segments[:8])

    def _open_menu(self, picked: Picked) -> None:
        show_menu(self.acts, picked, self)

    def _import(self) -> None:
        path, _ = QFileDialog.getOpenFileName(
            self, "Import labels", str(Path.home()), "Labels (*.tif *.tiff *.h5 *.hdf5 *.npy);;All files (*)"
        )
        if path:
            self.import_labels(Path(path))

    def import_labels(self, path: Path) -> None:
        """Make segments of the objects in a file, with progress and a way to give it up."""
        report = self.importing.begin(f"Importing {path.name}", "Nothing was changed.")
        self.acts.import_labels(path, report, self.importing.end)
