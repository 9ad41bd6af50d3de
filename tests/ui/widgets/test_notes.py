"""Notes in a panel: none, a few, and many, of which most are folded."""

from __future__ import annotations

from pytestqt.qtbot import QtBot

from napari_pytc.ui.widgets.notes import NoteList


def test_many_notes_are_folded(qtbot: QtBot) -> None:
    notes = NoteList()
    qtbot.addWidget(notes)
    assert notes.isHidden()
    notes.show_notes(("Section 5 is missing.", "The unit is not known."))
    notes.show()
    assert notes.first.text() == "⚠ Section 5 is missing.\n⚠ The unit is not known."
    assert notes.fold.isHidden()
    notes.show_notes([f"Note {k}." for k in range(5)])
    assert notes.first.text() == "⚠ Note 0.\n⚠ Note 1."
    assert notes.fold.text() == "3 more notes"
    assert not notes.rest.isVisible()
    notes.fold.expand()
    assert notes.rest.isVisible()
    assert notes.rest.text().endswith("⚠ Note 4.")
    notes.show_notes([f"Another {k}." for k in range(3)])
    assert notes.fold.text() == "1 more note"
    assert not notes.rest.isVisible(), "those of another volume are folded again"
    notes.show_notes(())
    assert notes.isHidden()
