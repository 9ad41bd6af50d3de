"""The small widgets that all panels share."""

from __future__ import annotations

import pytest
from pytestqt.qtbot import QtBot
from qtpy.QtWidgets import QComboBox, QLabel, QPushButton, QVBoxLayout, QWidget

from napari_pytc.errors import InvalidInput
from napari_pytc.ui.parts import Fold, Notice, Scrolled, allow, duration, elastic, size, voxels, wrapped


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0.2, "0 s"),
        (59.4, "59 s"),
        (59.6, "1 min 00 s"),
        (125, "2 min 05 s"),
        (3599.9, "1 h 00 min"),
        (4800, "1 h 20 min"),
    ],
)
def test_durations(seconds: float, text: str) -> None:
    assert duration(seconds) == text


@pytest.mark.parametrize(
    ("n_bytes", "text"),
    [(0, "0 bytes"), (999, "999 bytes"), (3_400_000, "3.4 MB"), (2.5e12, "2.5 TB"), (5e15, "5000.0 TB")],
)
def test_sizes(n_bytes: float, text: str) -> None:
    assert size(n_bytes) == text


def test_shapes() -> None:
    assert voxels((1, 512, 256)) == "1 × 512 × 256 voxels"


def test_a_disabled_button_says_why(qtbot: QtBot) -> None:
    button = QPushButton()
    qtbot.addWidget(button)
    allow(button, "there is no model.", "Predict.")
    assert not button.isEnabled()
    assert button.toolTip() == "Predict.\n\nNot now: there is no model."
    allow(button, "", "Predict.")
    assert button.isEnabled()
    assert button.toolTip() == "Predict."


def test_a_notice_says_the_error_and_folds_the_log(qtbot: QtBot) -> None:
    notice = Notice()
    qtbot.addWidget(notice)
    assert notice.isHidden()
    notice.show_error(InvalidInput("It has 3 classes.", "Choose another."), "Traceback")
    assert notice.text == "It has 3 classes."
    assert not notice._fold.isHidden()
    assert not notice._fold.button.isChecked()
    with qtbot.waitSignal(notice.closed):
        notice.clear()
    assert notice.isHidden()
    notice.show_remark("It is open.")
    assert notice._fold.isHidden()
    assert notice._hint.isHidden()


def test_a_fold_opens_and_closes(qtbot: QtBot) -> None:
    fold = Fold("More", QLabel("inside"))
    qtbot.addWidget(fold)
    assert fold.inside.isHidden()
    fold.button.click()
    assert not fold.inside.isHidden()
    fold.button.click()
    assert fold.inside.isHidden()


def test_long_words_do_not_widen_a_panel(qtbot: QtBot) -> None:
    inside = QWidget()
    layout = QVBoxLayout(inside)
    combo = elastic(QComboBox())
    combo.addItem("a_very_long_name_" * 10)
    for widget in (wrapped("word " * 100), wrapped("dim " * 100, dim=True), combo):
        layout.addWidget(widget)
    scrolled = Scrolled(inside)
    qtbot.addWidget(scrolled)
    assert scrolled.minimumSizeHint().width() <= 320
