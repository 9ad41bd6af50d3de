"""Where objects may be at all: only inside of a class, or never through one."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from qtpy.QtCore import QSignalBlocker, Qt, Signal
from qtpy.QtWidgets import QFormLayout, QWidget

from napari_pytc.ui.controls import Combo, elastic
from napari_pytc.ui.segmenting.choices import MaskChoice

if TYPE_CHECKING:
    from napari_pytc.ui.segmenting.choices import PredictionFacts

_MODES = (
    ("Anywhere", None, "Objects may be everywhere."),
    ("Only inside", "inside", "Objects lie only where the class is probable: mitochondria in cells, for example."),
    ("Not through", "not_through", "No object reaches through the class: neurites end at membranes, for example."),
)


class MaskFields(QWidget):
    """A mode, and the class of any prediction of classes that it is about; hidden while there is no such prediction."""

    changed = Signal()

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.mode = elastic(Combo())
        self.mode.setObjectName("maskMode")
        self.mode.setToolTip("Restrict objects by a class that was predicted, also by another model.")
        for number, (title, value, tip) in enumerate(_MODES):
            self.mode.addItem(title, value)
            self.mode.setItemData(number, tip, Qt.ItemDataRole.ToolTipRole)
        self.classes = elastic(Combo())
        self.classes.setObjectName("maskClass")
        self.classes.setToolTip("The class, and the model that predicted it.")
        self.fields = QFormLayout(self)
        self.fields.setContentsMargins(0, 0, 0, 0)
        self.fields.setFieldGrowthPolicy(QFormLayout.FieldGrowthPolicy.ExpandingFieldsGrow)
        self.fields.addRow("Restrict", self.mode)
        self.fields.addRow("Class", self.classes)
        self.fields.setRowVisible(self.classes, False)
        self.mode.currentIndexChanged.connect(self._on_mode)
        self.classes.currentIndexChanged.connect(self.changed)

    @property
    def value(self) -> MaskChoice | None:
        """What restricts; None for nothing."""
        mode, chosen = self.mode.currentData(), self.classes.currentData()
        if mode is None or chosen is None:
            return None
        prediction, name = chosen
        return MaskChoice(prediction, name, mode)

    def put(self, facts: Sequence[PredictionFacts]) -> None:
        """Offer the classes of these predictions."""
        found = [
            ((fact.prediction.id, name), f"{name} ({fact.prediction.model})")
            for fact in facts
            for name in fact.kind.class_names
        ]
        chosen = self.classes.currentData()
        if [self.classes.itemData(k) for k in range(self.classes.count())] == [value for value, _ in found]:
            return
        with QSignalBlocker(self.classes):
            self.classes.clear()
            for value, title in found:
                self.classes.addItem(title, value)
            self.classes.setCurrentIndex(max(0, self.classes.findData(chosen)))
        self.setVisible(bool(found))
        if not found:
            self.mode.setCurrentIndex(0)
        elif self.classes.currentData() != chosen:
            self.changed.emit()

    def _on_mode(self) -> None:
        self.fields.setRowVisible(self.classes, self.mode.currentData() is not None)
        self.changed.emit()
