"""The line that shows the memory of a training step."""

from __future__ import annotations

from qtpy.QtGui import QHideEvent, QShowEvent
from qtpy.QtWidgets import QVBoxLayout, QWidget

from napari_pytc.ui.panels.train.step_memory_controller import StepMemoryController, StepMemoryState
from napari_pytc.ui.widgets.labels import wrapped

_KNOWN = {StepMemoryState.FITS, StepMemoryState.BEGINS_SMALLER, StepMemoryState.REFUSED}


class StepMemoryLine(QWidget):
    """What a step needs of the memory that is free; dim while it is not known.

    The worker is asked only while the line is seen.

    Parameters
    ----------
    controller : StepMemoryController
        Asks the worker.
    """

    def __init__(self, controller: StepMemoryController, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._controller = controller
        self._known, self._unknown = wrapped(), wrapped(dim=True)
        self._known.setObjectName("stepMemory")
        self._unknown.setObjectName("stepMemoryUnknown")
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        for label in (self._known, self._unknown):
            layout.addWidget(label)
        controller.changed.connect(self._show)
        self._show()

    def showEvent(self, event: QShowEvent | None) -> None:
        """Let the worker be asked."""
        super().showEvent(event)
        self._controller.watch(True)

    def hideEvent(self, event: QHideEvent | None) -> None:
        """Leave the worker alone."""
        super().hideEvent(event)
        self._controller.watch(False)

    def _show(self) -> None:
        text, is_known = self._controller.text, self._controller.state in _KNOWN
        for label, is_shown in ((self._known, is_known), (self._unknown, not is_known)):
            label.setText(text if is_shown else "")
            label.setVisible(is_shown and bool(text))
        self.setToolTip(self._controller.about)
