"""The field that chooses the channels of an image: one, several, all, or colours mixed to grey."""

from __future__ import annotations

from collections.abc import Sequence

from qtpy.QtCore import Signal
from qtpy.QtWidgets import QLineEdit, QVBoxLayout, QWidget

from napari_pytc.ui.widgets.choices import Combo
from napari_pytc.volumes.spec import ChannelChoice

_TIP = (
    "The channels to work with. Of several each one is a layer, and all of them go into networks, together. A model "
    "works on images with as many channels as it was trained on."
)
_SEVERAL = "several"


class ChannelField(QWidget):
    """A choice among the channels of an image, with a field for several of them."""

    changed = Signal()
    """`value` or `problem` is another one."""

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._names: tuple[str, ...] = ()
        self._is_colour, self._is_picked = False, False
        self.choice = Combo("channelCombo", _TIP)
        self.numbers = QLineEdit()
        self.numbers.setObjectName("channelNumbers")
        self.numbers.setPlaceholderText("Numbers with commas, as 0,2")
        self.numbers.setToolTip("The numbers of the channels, in the order in which they are used.")
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.addWidget(self.choice)
        layout.addWidget(self.numbers)
        self.choice.activated.connect(self._on_picked)
        self.choice.currentIndexChanged.connect(self._on_changed)
        self.numbers.textChanged.connect(self._on_changed)
        self.numbers.hide()

    @property
    def n_channels(self) -> int:
        """Number of channels to choose from."""
        return len(self._names)

    def forget(self) -> None:
        """Forget what was picked, for another image."""
        self._is_picked = False
        self.numbers.clear()

    def offer(self, names: Sequence[str], is_colour: bool, first: ChannelChoice) -> None:
        """Offer the channels of an image; what was picked stays where they are as many.

        Parameters
        ----------
        names : sequence of str
            One a channel, "" where it has none.
        is_colour : bool
            Whether they are colours, which can be mixed to grey.
        first : int, tuple or None
            The choice to begin with.
        """
        stays = self._is_picked and (len(names), is_colour) == (len(self._names), self._is_colour)
        value = self.value if stays and not self.problem else first
        self._names, self._is_colour = tuple(names), is_colour
        self.choice.blockSignals(True)
        self.choice.clear()
        if is_colour:
            self.choice.addItem("all, mixed to grey", None)
        for number, name in enumerate(names):
            self.choice.addItem(f"{number} {name}".strip(), number)
        if len(names) > 1:
            self.choice.addItem(f"all {len(names)}, one layer each", "all")
        if len(names) > 2:
            self.choice.addItem("several …", _SEVERAL)
        self.choice.blockSignals(False)
        self.choose(value)

    def choose(self, value: ChannelChoice) -> None:
        """Choose one channel, several, all, or None for grey."""
        if isinstance(value, tuple):
            self.numbers.setText(",".join(map(str, value)))
            value = "all" if value == tuple(range(self.n_channels)) else _SEVERAL  # type: ignore[assignment]
        self.choice.setCurrentIndex(max(0, self.choice.findData(value)))
        self._on_changed()

    @property
    def value(self) -> ChannelChoice:
        """What is chosen; None for grey, and where there is a problem."""
        chosen: ChannelChoice = self.choice.currentData()
        if chosen == _SEVERAL:
            numbers = self._typed()
            return None if self.problem else numbers[0] if len(numbers) == 1 else numbers
        return chosen

    @property
    def problem(self) -> str:
        """What is wrong with the numbers that were typed, as a part of a sentence; empty if nothing is."""
        if self.choice.currentData() != _SEVERAL:
            return ""
        numbers, last = self._typed(), self.n_channels - 1
        if not numbers or max(numbers) > last or min(numbers) < 0:
            return f"type channels from 0 to {last} with commas, as 0,{last}."
        return "type each channel once." if len(set(numbers)) < len(numbers) else ""

    def _typed(self) -> tuple[int, ...]:
        try:
            return tuple(int(part) for part in self.numbers.text().split(","))
        except ValueError:
            return ()

    def _on_picked(self) -> None:
        self._is_picked = True

    def _on_changed(self) -> None:
        self.numbers.setVisible(self.choice.currentData() == _SEVERAL)
        self.changed.emit()
