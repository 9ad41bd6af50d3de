"""The review queue in the panel: the question, the answers, and the progress."""

from __future__ import annotations

from collections.abc import Sequence

from qtpy.QtCore import QSize, Qt
from qtpy.QtGui import QColor, QPainter, QPen, QPixmap
from qtpy.QtWidgets import QGridLayout, QLabel, QVBoxLayout, QWidget

from napari_pytc.ui.canvas.segments.segment_layers import CONTACT_COLOUR, HIGHLIGHT
from napari_pytc.ui.panels.proofread.actions import SegmentActions
from napari_pytc.ui.panels.proofread.toolbox import action_grid
from napari_pytc.ui.panels.proofread.tools import action, key_text
from napari_pytc.ui.widgets.buttons import allow
from napari_pytc.ui.widgets.labels import duration, wrapped
from napari_pytc.ui.widgets.progress import BusyBar

_DONE = "Nothing is left to review. Well done."
_NOTHING = "There is nothing to review: the prediction is in doubt nowhere, and no segment looks unusual."
_SWATCH = QSize(16, 16)
_ANSWERS = ("merge", "leave", "skip", "next")


class ReviewBox(QWidget):
    """The candidate in view, and a button for each answer.

    Parameters
    ----------
    actions : SegmentActions
        The actions of the buttons.
    """

    def __init__(self, actions: SegmentActions, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._actions, self._review = actions, actions.review
        self.question = wrapped()
        self.question.setObjectName("reviewQuestion")
        self.bar = BusyBar()
        self.bar.setObjectName("reviewBar")
        self.bar.setTextVisible(True)
        self.left = wrapped(dim=True)
        self.left.setObjectName("reviewLeft")
        self.legend = OutlineLegend()
        self.buttons, grid = action_grid(actions, _ANSWERS, "review")
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.setSpacing(4)
        layout.addWidget(self.question)
        layout.addWidget(self.legend)
        layout.addLayout(grid)
        layout.addWidget(self.bar)
        layout.addWidget(self.left)
        self._review.changed.connect(self.refresh)
        actions.editor.changed.connect(self.refresh)
        self.refresh()

    def refresh(self) -> None:
        """Show the review as it is now."""
        review, progress = self._review, self._review.progress
        item = review.item
        if review.is_looking:
            self.question.setText("One moment …")
        elif progress is None:
            self.question.setText("Goes from one doubtful place to the next, the most useful first.")
        elif review.is_settled and progress.item is not None:
            self.question.setText("Your edit settled this place. J flies to the next one.")
        else:
            self.question.setText(
                progress.item.text if progress.item is not None else _DONE if progress.n_total else _NOTHING
            )
        self.legend.show_legend(() if item is None or review.is_looking else item.segments, review.contact is not None)
        self.bar.setVisible(progress is not None and progress.n_total > 0)
        if progress is not None:
            self.bar.setRange(0, max(1, progress.n_total))
            self.bar.setValue(progress.n_done)
            self.bar.setFormat(f"{progress.n_done} of {progress.n_total}")
            seconds = progress.seconds_left
            self.left.setText(
                "" if seconds is None or item is None else f"About {duration(seconds)} left at your pace."
            )
        self.left.setVisible(progress is not None and bool(self.left.text()))
        for name, button in self.buttons.items():
            found = action(name)
            allow(button, review.why_not(name), f"{found.tip}\n\nKey: {key_text(found.key)}")
        more = "Search again" if progress is None or progress.item is None else "Next place"
        self.buttons["next"].show_title("Start" if progress is None else "Look again" if item is not None else more)


class OutlineLegend(QWidget):
    """Which outline on the canvas is which segment, and the colour of their contact."""

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setObjectName("outlineLegend")
        self._grid = QGridLayout(self)
        self._grid.setContentsMargins(0, 0, 0, 0)
        self._grid.setSpacing(4)
        self._grid.setColumnStretch(1, 1)
        self._grid.setColumnStretch(3, 1)
        swatches = [_outline(HIGHLIGHT[0]), _outline(HIGHLIGHT[1]), _outline(CONTACT_COLOUR, is_filled=True)]
        self.entries = [self._add(number, swatch) for number, swatch in enumerate(swatches)]
        self.hide()

    def show_legend(self, segments: Sequence[int], has_contact: bool) -> None:
        """Name the outlined segments, at most two, and their contact."""
        titles = [*(f"segment {segment}" for segment in segments[:2]), "", ""][:2]
        titles.append("where they touch" if has_contact else "")
        for (swatch, text), title in zip(self.entries, titles, strict=True):
            text.setText(title)
            swatch.setVisible(bool(title))
            text.setVisible(bool(title))
        self.setVisible(bool(segments))

    def _add(self, number: int, picture: QPixmap) -> tuple[QLabel, QLabel]:
        swatch, text = QLabel(), QLabel()
        swatch.setPixmap(picture)
        self._grid.addWidget(swatch, number // 2, 2 * (number % 2))
        self._grid.addWidget(text, number // 2, 2 * (number % 2) + 1)
        return swatch, text


def _outline(colour: str, is_filled: bool = False) -> QPixmap:
    """A square of an outline's colour on grey, as on the canvas: white is seen in a light theme, too."""
    picture = QPixmap(_SWATCH)
    picture.fill(QColor("#5a5f69"))
    with QPainter(picture) as painter:
        if is_filled:
            painter.fillRect(3, 6, 10, 4, QColor(colour))
        else:
            painter.setPen(QPen(QColor(colour), 2, Qt.PenStyle.SolidLine, Qt.PenCapStyle.SquareCap))
            painter.drawRect(3, 3, 10, 10)
    return picture
