"""The small widgets that all panels share."""

from __future__ import annotations

import pytest
from pytestqt.qtbot import QtBot
from qtpy.QtGui import QPaintEvent
from qtpy.QtWidgets import QLabel, QPushButton, QTabWidget, QVBoxLayout, QWidget

from napari_pytc.errors import InvalidInput
from napari_pytc.ui.widgets.buttons import allow
from napari_pytc.ui.widgets.choices import Combo
from napari_pytc.ui.widgets.fold import Fold
from napari_pytc.ui.widgets.labels import duration, size, voxels, wrapped
from napari_pytc.ui.widgets.layout import Scrolled, order_tabs, row, section
from napari_pytc.ui.widgets.notice import EmptyState, Notice
from napari_pytc.ui.widgets.progress import BusyBar


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
    assert not notice._fold.isExpanded()
    with qtbot.waitSignal(notice.closed):
        notice.clear()
    assert notice.isHidden()
    notice.show_remark("It is open.")
    assert notice._fold.isHidden()
    assert notice._hint.isHidden()


def test_a_fold_opens_and_closes(qtbot: QtBot) -> None:
    fold = Fold("More", QLabel("inside"))
    qtbot.addWidget(fold)
    assert fold.content().isHidden()
    fold.toggleButton().click()
    assert not fold.content().isHidden()
    fold.toggleButton().click()
    assert fold.content().isHidden()


def test_long_words_do_not_widen_a_panel(qtbot: QtBot) -> None:
    inside = QWidget()
    layout = QVBoxLayout(inside)
    combo = Combo()
    combo.addItem("a_very_long_name_" * 10)
    for widget in (wrapped("word " * 100), wrapped("dim " * 100, dim=True), combo):
        layout.addWidget(widget)
    scrolled = Scrolled(inside)
    qtbot.addWidget(scrolled)
    assert scrolled.minimumSizeHint().width() <= 320


class Tabs(QTabWidget):
    """Two panels, the first of which has nothing to show."""

    def __init__(self) -> None:
        super().__init__()
        self.empty = EmptyState("There is nothing yet.", "Train")
        self.addTab(self.empty, "Data")
        self.addTab(QWidget(), "Train (1)")


def test_a_panel_is_as_high_as_its_texts_and_scrolls_only_where_that_is_too_high(qtbot: QtBot) -> None:
    inside = QWidget()
    layout = QVBoxLayout(inside)
    labels = [
        wrapped("Some words that are told again and again, so that lines have to be broken. " * 2) for _ in range(5)
    ]
    box, within = section("With a title")
    for label in labels[:3]:
        within.addWidget(label)
    layout.addWidget(box)
    for label in labels[3:]:
        layout.addWidget(label)
    layout.addStretch(1)
    scrolled = Scrolled(inside)
    qtbot.addWidget(scrolled)
    bar = scrolled.verticalScrollBar()
    assert bar is not None
    scrolled.resize(360, 600)
    scrolled.show()
    qtbot.waitUntil(lambda: inside.width() == 360)
    scrolled.resize(360, layout.heightForWidth(360) + 4)
    qtbot.waitUntil(lambda: inside.height() == scrolled.height())
    assert not bar.isVisible()
    scrolled.resize(360, 120)
    qtbot.waitUntil(bar.isVisible)
    for label in labels:
        assert label.height() >= label.heightForWidth(label.width())


def test_an_empty_panel_leads_to_the_one_where_something_can_be_done(qtbot: QtBot) -> None:
    tabs = Tabs()
    qtbot.addWidget(tabs)
    tabs.show()
    assert tabs.empty.link.text() == "Go to Train"
    tabs.empty.link.click()
    assert tabs.currentIndex() == 1


def test_a_panel_that_is_a_dock_of_its_own_leads_nowhere(qtbot: QtBot) -> None:
    empty = EmptyState("There is nothing yet.", "Train")
    qtbot.addWidget(empty)
    empty.show()
    assert not empty.link.isVisible()
    assert empty.label.isVisible()


def test_tab_walks_in_the_order_of_the_layout(qtbot: QtBot) -> None:
    panel, group = QWidget(), QWidget()
    qtbot.addWidget(panel)
    buttons = [QPushButton(str(number)) for number in range(4)]
    inside = QVBoxLayout(group)
    layout = QVBoxLayout(panel)
    for place, number in ((layout, 3), (inside, 2), (inside, 1)):
        place.insertWidget(0, buttons[number])
    layout.insertWidget(0, group)
    layout.insertLayout(0, row(buttons[0], 1))
    order_tabs(panel)
    panel.show()
    qtbot.waitExposed(panel)
    panel.activateWindow()
    buttons[0].setFocus()
    seen = []
    for _ in range(4):
        seen.append(panel.focusWidget())
        panel.focusNextChild()
    assert seen == buttons


def test_long_entries_lose_their_middle(qtbot: QtBot) -> None:
    combo = Combo()
    qtbot.addWidget(combo)
    combo.resize(120, 30)
    combo.addItem("i" * 20)
    combo.addItem("i" * 20 + " " * 60 + "W")
    combo.show()
    short = combo.grab().toImage()
    combo.setCurrentIndex(1)
    assert combo.grab().toImage() != short  # the end is seen
    assert combo.currentText().endswith("W")


def test_a_bar_is_painted_later_than_its_value_is_set(qtbot: QtBot) -> None:
    painted = []

    class Watched(BusyBar):
        def paintEvent(self, event: QPaintEvent | None) -> None:
            painted.append(self.value())
            super().paintEvent(event)

    bar = Watched()
    qtbot.addWidget(bar)
    bar.setRange(0, 10)
    with qtbot.waitExposed(bar):
        bar.show()
    qtbot.waitUntil(lambda: bool(painted))
    painted.clear()
    bar.setValue(3)
    bar.setValue(7)
    assert painted == []
    qtbot.waitUntil(lambda: bool(painted))
    assert set(painted) == {7}
