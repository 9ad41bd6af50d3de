"""Fields that say how to read a file: the axes, the time point, missing sections, and of labels the voxel size."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from qtpy.QtCore import Signal
from qtpy.QtWidgets import QVBoxLayout, QWidget

from napari_pytc.ui.widgets.fold import Fold
from napari_pytc.ui.widgets.forms import SettingsForm
from napari_pytc.volumes.spec import ReadOptions

OF_IMAGES = ("axes", "time", "missing_sections")
"""Fields of an image, whose form has others for channel and voxel size."""
OF_LABELS = (*OF_IMAGES, "voxel_size_nm")
"""Fields of labels."""


class ReadingFields(QWidget):
    """The settings of `ReadOptions` that no other field of the form has, in a fold.

    The fold opens where a message about the file is about one of them.

    Parameters
    ----------
    fields : sequence of str
        Names of the settings.
    """

    changed = Signal()
    """`options` are other ones, and valid."""

    def __init__(self, fields: Sequence[str] = OF_IMAGES, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._flags = [f"--{name.removesuffix('_nm').replace('_', '-')}" for name in fields]
        hidden = [name for name in ReadOptions.model_fields if name not in fields]
        self.form = SettingsForm(ReadOptions, hidden=hidden)
        self.fold = Fold("How to read it", self.form)
        self.fold.toggleButton().setObjectName("howToRead")
        self.fold.toggleButton().setToolTip("Axes, time point and the like, where the file is read wrong.")
        self._options = ReadOptions()
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.addWidget(self.fold)
        self.form.suggest("time", 0)
        self.form.changed.connect(self._on_changed)

    @property
    def options(self) -> ReadOptions:
        """The last valid options; those that are no field here are as by default."""
        return self._options

    def forget(self) -> None:
        """Begin anew, for another file."""
        self._options = ReadOptions()
        self.form.set_value(self._options)
        self.form.suggest("time", 0)
        self.fold.collapse()

    def suggest_axes(self, axes: str) -> None:
        """Offer the axes that the file names as what to change."""
        if axes and self._options.axes is None:
            self.form.suggest("axes", axes)

    def show_where_needed(self, messages: Iterable[str]) -> None:
        """Open the fold if a message, as for the command line, names one of the fields."""
        if any(option in message for message in messages for option in self._flags):
            self.fold.expand()

    def _on_changed(self) -> None:
        if self.form.problem:
            return
        options = self.form.value()
        assert isinstance(options, ReadOptions)
        if options != self._options:
            self._options = options
            self.changed.emit()
