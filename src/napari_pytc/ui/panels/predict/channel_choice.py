"""The channels of a prediction as a choice: which probability is on the canvas."""

from __future__ import annotations

from qtpy.QtCore import QSize, Qt, Signal
from qtpy.QtGui import QColor, QIcon, QPixmap
from qtpy.QtWidgets import QLabel, QVBoxLayout, QWidget

from napari_pytc.ui.panels.predict.controller import Legend
from napari_pytc.ui.widgets.choices import Combo
from napari_pytc.ui.widgets.layout import row

_ICON = QSize(12, 12)
_TIP = "Show on the canvas how probable a channel is: black 0, full colour 1. The arrow keys go through the channels."


class ChannelChoice(QWidget):
    """A list of the channels in their colours, of which one or none is on the canvas."""

    chosen = Signal(object)
    """Number of the channel, from 0; None for none."""

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.combo = Combo("probabilityCombo", _TIP)
        self.combo.setIconSize(_ICON)
        self.combo.activated.connect(lambda index: self.chosen.emit(index - 1 if index else None))
        label = QLabel("Probability")
        label.setBuddy(self.combo)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.addLayout(row(label, self.combo))
        self._entries: list[tuple[str, str]] = []
        self.hide()

    def show_legend(self, legend: Legend) -> None:
        """Offer these channels; the one that is on the canvas is chosen."""
        entries = [(channel.name, channel.colour) for channel in legend.channels]
        if entries != self._entries:
            self._entries = entries
            self.combo.clear()
            self.combo.addItem("none")
            for number, (name, colour) in enumerate(entries, start=1):
                self.combo.addItem(_square(colour), name)
                self.combo.setItemData(number, name, Qt.ItemDataRole.ToolTipRole)
        self.combo.setCurrentIndex(0 if legend.shown is None else legend.shown + 1)
        self.setVisible(bool(entries))


def _square(colour: str) -> QIcon:
    picture = QPixmap(_ICON)
    picture.fill(QColor(colour))
    return QIcon(picture)
