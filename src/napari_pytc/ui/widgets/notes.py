"""Notes on what a reader or a job assumed, converted or left out."""

from __future__ import annotations

from collections.abc import Sequence

from qtpy.QtWidgets import QVBoxLayout, QWidget

from napari_pytc.ui.widgets.fold import Fold
from napari_pytc.ui.widgets.labels import wrapped

N_OPEN = 2
"""Notes that are seen at once; the others are folded."""


class NoteList(QWidget):
    """Sentences, one below the other: the first two, and a fold with the rest; hidden while there are none.

    Parameters
    ----------
    name : str
        Of the Qt object.
    """

    def __init__(self, name: str = "notes", parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setObjectName(name)
        self.first, self.rest = wrapped(), wrapped()
        self.fold = Fold("", self.rest)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.setSpacing(2)
        layout.addWidget(self.first)
        layout.addWidget(self.fold)
        self.hide()

    def show_notes(self, notes: Sequence[str]) -> None:
        """Show these notes in place of those before."""
        self.first.setText(_lines(notes[:N_OPEN]))
        folded = notes[N_OPEN:]
        if self.rest.text() != _lines(folded):
            self.fold.toggleButton().setChecked(False)
        self.rest.setText(_lines(folded))
        self.fold.setText(f"{len(folded)} more note{'s' * (len(folded) != 1)}")
        self.fold.setVisible(bool(folded))
        self.setVisible(bool(notes))


def _lines(notes: Sequence[str]) -> str:
    return "\n".join(f"⚠ {note}" for note in notes)
