"""The review queue as a part of the panel: what is asked, the answers, and how far it is."""

from __future__ import annotations

from qtpy.QtWidgets import QGridLayout, QVBoxLayout, QWidget

from napari_pytc.ui.controls import Bar
from napari_pytc.ui.parts import allow, duration, wrapped
from napari_pytc.ui.proofreading.acts import Acts
from napari_pytc.ui.proofreading.toolbox import KeyButton
from napari_pytc.ui.proofreading.tools import action, key_text

_DONE = "Nothing is left to review. Well done."
_NOTHING = "There is nothing to review: the prediction is in doubt nowhere, and no segment looks unusual."
_ANSWERS = ("merge", "leave", "skip", "next")


class ReviewBox(QWidget):
    """Shows the place that is looked at, and has a button for each answer.

    Parameters
    ----------
    acts : Acts
        What the buttons do.
    """

    def __init__(self, acts: Acts, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._acts, self._review = acts, acts.review
        self.question = wrapped()
        self.question.setObjectName("reviewQuestion")
        self.bar = Bar()
        self.bar.setObjectName("reviewBar")
        self.bar.setTextVisible(True)
        self.left = wrapped(dim=True)
        self.left.setObjectName("reviewLeft")
        grid = QGridLayout()
        grid.setContentsMargins(0, 0, 0, 0)
        grid.setSpacing(3)
        self.buttons: dict[str, KeyButton] = {}
        for number, name in enumerate(_ANSWERS):
            found = action(name)
            button = self.buttons[name] = KeyButton(found.title, found.key)
            button.setObjectName(f"review-{name}")
            button.clicked.connect(lambda checked=False, name=name: acts.run(name))
            grid.addWidget(button, number // 2, number % 2)
        for column in range(2):
            grid.setColumnStretch(column, 1)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.setSpacing(4)
        layout.addWidget(self.question)
        layout.addLayout(grid)
        layout.addWidget(self.bar)
        layout.addWidget(self.left)
        self._review.changed.connect(self.refresh)
        acts.desk.changed.connect(self.refresh)
        self.refresh()

    def refresh(self) -> None:
        """Show the review as it stands."""
        review, stand = self._review, self._review.stand
        item = review.item
        if review.is_looking:
            self.question.setText("One moment …")
        elif stand is None:
            self.question.setText("Goes from one doubtful place to the next, the most useful first.")
        elif review.is_settled and stand.item is not None:
            self.question.setText("Your edit settled this place. J flies to the next one.")
        else:
            self.question.setText(stand.item.text if stand.item is not None else _DONE if stand.n_total else _NOTHING)
        self.bar.setVisible(stand is not None and stand.n_total > 0)
        if stand is not None:
            self.bar.setRange(0, max(1, stand.n_total))
            self.bar.setValue(stand.n_done)
            self.bar.setFormat(f"{stand.n_done} of {stand.n_total}")
            seconds = stand.seconds_left
            self.left.setText(
                "" if seconds is None or item is None else f"About {duration(seconds)} left at your pace."
            )
        self.left.setVisible(stand is not None and bool(self.left.text()))
        reason = self._acts.desk.locked_reason
        busy = "one moment." if review.is_looking else ""
        nothing = "" if item is not None else "nothing is looked at; begin with Start (J)."
        alone = "" if item is None or len(item.segments) > 1 else "there is only one segment here."
        reasons = {"merge": nothing or alone, "leave": nothing, "skip": nothing, "next": ""}
        for name, button in self.buttons.items():
            found = action(name)
            allow(button, reason or busy or reasons[name], f"{found.tip}\n\nKey: {key_text(found.key)}")
        more = "Search again" if stand is None or stand.item is None else "Next place"
        self.buttons["next"].say("Start" if stand is None else "Look again" if item is not None else more)
