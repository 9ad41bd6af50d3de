"""The Proofread panel: tools, the selected segments, the review, retraining and the history."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from qtpy.QtCore import Qt
from qtpy.QtGui import QKeySequence, QShortcut, QShowEvent
from qtpy.QtWidgets import QFileDialog, QGroupBox, QPushButton, QVBoxLayout, QWidget

from napari_pytc.errors import InvalidEdit
from napari_pytc.ui.panels.proofread.actions import SegmentActions
from napari_pytc.ui.panels.proofread.editor import Message
from napari_pytc.ui.panels.proofread.history import HistoryList
from napari_pytc.ui.panels.proofread.retraining_box import RetrainingBox
from napari_pytc.ui.panels.proofread.retraining_controller import RetrainingController
from napari_pytc.ui.panels.proofread.review_box import ReviewBox
from napari_pytc.ui.panels.proofread.selection import SelectionBox, show_menu
from napari_pytc.ui.panels.proofread.toolbox import Toolbox, action_button
from napari_pytc.ui.panels.proofread.tools import ACTIONS, TOOLS, action, key_text
from napari_pytc.ui.widgets.buttons import allow
from napari_pytc.ui.widgets.labels import wrapped
from napari_pytc.ui.widgets.layout import MARGIN, order_tabs, section
from napari_pytc.ui.widgets.notice import EmptyState, Notice
from napari_pytc.ui.widgets.progress import ImportProgress
from napari_pytc.volumes.opening import file_patterns

if TYPE_CHECKING:
    from napari_pytc.ui.panels.proofread.picking import PickedSegment
    from napari_pytc.ui.workspace import Workspace

_CANVAS_ONLY = frozenset({"commit", "undo", "redo"})
"""Enter presses the button that has the focus, and Ctrl+Z is undo within a field of text."""


class ProofreadPanel(QWidget):
    """Tools and their keys, the selected segments, the review queue, and the journal.

    Parameters
    ----------
    workspace : Workspace
        The workspace of the project to proofread.
    actions : SegmentActions
        The actions of buttons, keys and menus.
    retraining : RetrainingController
        Trains from corrections.
    """

    def __init__(
        self,
        workspace: Workspace,
        actions: SegmentActions,
        retraining: RetrainingController,
        parent: QWidget | None = None,
    ) -> None:
        super().__init__(parent)
        self.setObjectName("proofreadPanel")
        self._workspace, self._actions, self._editor = workspace, actions, actions.editor
        self.empty = EmptyState()
        self.message = wrapped()
        self.message.setObjectName("saying")
        self.refusal = Notice()
        self.refusal.setObjectName("refusal")
        self.toolbox = Toolbox(actions.editor, actions.canvas_tools)
        self.commit = action_button(actions, "commit", "commitButton")
        self.drop = action_button(actions, "drop", "dropButton")
        self.pending = QWidget()
        pending = QVBoxLayout(self.pending)
        pending.setContentsMargins(0, 0, 0, 0)
        pending.setSpacing(3)
        for button in (self.commit, self.drop):
            pending.addWidget(button)
        self.selection = SelectionBox(actions)
        self.review = ReviewBox(actions)
        self.retraining = RetrainingBox(actions.editor, retraining)
        self.history = HistoryList(actions.history)
        self.import_button = QPushButton("Import labels …")
        self.import_button.setObjectName("importLabelsButton")
        self.import_button.clicked.connect(self._choose_labels)
        self.importing = ImportProgress()
        layout = QVBoxLayout(self)
        layout.setContentsMargins(MARGIN, MARGIN, MARGIN, MARGIN)
        layout.addWidget(self.empty)
        self.sections: dict[str, QGroupBox] = {}
        for title, widgets in (
            ("Tools", (self.toolbox, self.message, self.refusal, self.pending)),
            ("Selected", (self.selection,)),
            ("Review", (self.review,)),
            ("Learn from edits", (self.retraining,)),
            ("History", (self.history,)),
        ):
            self.sections[title], inside = section(title)
            for widget in widgets:
                inside.addWidget(widget)
            layout.addWidget(self.sections[title])
        layout.addWidget(self.import_button)
        layout.addWidget(self.importing)
        layout.addStretch(1)
        order_tabs(self)
        self._bind_keys()
        self._editor.changed.connect(self.refresh)
        self._editor.message_changed.connect(self._show_message)
        actions.canvas_tools.menu_requested.connect(self._open_menu)
        workspace.session_changed.connect(self.refresh)
        workspace.segments.document_changed.connect(self.refresh)
        self._show_message(self._editor.message)
        self.refresh()

    def refresh(self) -> None:
        """Show the current segmentation, and enable the buttons that can be pressed."""
        session, editor = self._workspace.session, self._editor
        has_segments = editor.document is not None
        self.empty.setVisible(not has_segments)
        if session is None:
            self.empty.show_no_project()
        elif self._workspace.segments.proofreader is None:
            self.empty.show_text("One moment: the history of the project is read …")
        else:
            self.empty.show_text("There are no segments to proofread yet. Make some in the Segment panel.", "Segment")
        for title, box in self.sections.items():
            box.setVisible(has_segments or (title == "History" and session is not None))
        self.import_button.setVisible(has_segments)
        self.pending.setVisible(editor.has_pending)
        tips = {name: f"{action(name).tip}\n\nKey: {key_text(action(name).key)}" for name in ("commit", "drop")}
        allow(self.commit, "" if editor.has_plan else "nothing is worked out yet; mark more.", tips["commit"])
        allow(self.drop, "", tips["drop"])
        allow(
            self.import_button,
            self._actions.why_not_import,
            "Make segments of the objects in a file of labels that is as large as the volume; it can be undone.",
        )

    def showEvent(self, event: QShowEvent | None) -> None:
        """Give the mouse to the segments: a user who opens the panel wants to edit them."""
        super().showEvent(event)
        self._actions.canvas_tools.activate_layer()

    # ---- private

    def _bind_keys(self) -> None:
        """Bind the canvas' keys while the keyboard is in the panel; fields of text keep theirs."""
        calls = self._actions.keys()
        for found in (*TOOLS, *ACTIONS):
            if found.name not in _CANVAS_ONLY:
                shortcut = QShortcut(QKeySequence(key_text(found.key)), self)
                shortcut.setContext(Qt.ShortcutContext.WidgetWithChildrenShortcut)
                shortcut.activated.connect(calls[found.key])

    def _show_message(self, message: Message) -> None:
        item = self._actions.review.item
        is_shown_below = item is not None and message.text == item.text
        self.message.setVisible(bool(message.text) and not message.refused and not is_shown_below)
        if message.refused:
            self.refusal.show_error(InvalidEdit(message.text, message.hint))
        else:
            self.refusal.hide()
            self.message.setText(f"{message.text} {message.hint}".rstrip())

    def _open_menu(self, picked: PickedSegment) -> None:
        show_menu(self._actions, picked, self)

    def _choose_labels(self) -> None:
        path, _ = QFileDialog.getOpenFileName(
            self, "Import labels", str(Path.home()), f"Labels ({' '.join(file_patterns())});;All files (*)"
        )
        if path:
            self.import_labels(Path(path))

    def import_labels(self, path: Path) -> None:
        """Make segments of the objects in a file, with progress and a way to give it up."""
        report = self.importing.begin(f"Importing {path.name}", "Nothing was changed.")
        self._actions.import_labels(path, report, self.importing.end)
