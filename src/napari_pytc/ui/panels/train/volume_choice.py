"""The volumes that a training learns from, each with a tick."""

from __future__ import annotations

from collections.abc import Sequence

from qtpy.QtCore import Qt, Signal
from qtpy.QtWidgets import QAbstractItemView, QListWidget, QListWidgetItem, QVBoxLayout, QWidget

from napari_pytc.ui.panels.train.training_volumes import VolumeAnnotations
from napari_pytc.ui.widgets.labels import wrapped
from napari_pytc.ui.widgets.layout import fit_height

_ID = Qt.ItemDataRole.UserRole
_MOST_LINES = 5


class VolumeChoice(QWidget):
    """A list with a tick for each volume; hidden where the project has one.

    Volumes without anything to learn from have none.
    """

    chosen = Signal(str, bool)
    """Id of a volume, and whether to learn from it."""

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.about = wrapped(dim=True)
        self.about.setObjectName("learnsFrom")
        self.list = QListWidget()
        self.list.setObjectName("trainingVolumes")
        self.list.setToolTip("A training learns from the ticked volumes, each normalised by its own statistics.")
        self.list.setSelectionMode(QAbstractItemView.SelectionMode.NoSelection)
        self.list.setTextElideMode(Qt.TextElideMode.ElideMiddle)
        self.list.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        self.list.itemChanged.connect(self._on_changed)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.setSpacing(3)
        layout.addWidget(self.about)
        layout.addWidget(self.list)
        self.hide()

    def show_volumes(self, volumes: Sequence[VolumeAnnotations]) -> None:
        """Show the volumes as they are now."""
        self.list.blockSignals(True)
        self.list.clear()
        for volume in volumes:
            item = QListWidgetItem(f"{volume.name}   {_amount(volume)}")
            item.setData(_ID, volume.id)
            item.setToolTip(volume.name)
            if volume.n_learnt:
                item.setFlags(Qt.ItemFlag.ItemIsEnabled | Qt.ItemFlag.ItemIsUserCheckable)
                item.setCheckState(Qt.CheckState.Checked if volume.is_chosen else Qt.CheckState.Unchecked)
            else:
                item.setFlags(Qt.ItemFlag.NoItemFlags)
            self.list.addItem(item)
        self.list.blockSignals(False)
        fit_height(self.list, len(volumes), _MOST_LINES)
        self.about.setText(learns_from(volumes))
        self.setVisible(len(volumes) > 1)

    def _on_changed(self, item: QListWidgetItem) -> None:
        self.chosen.emit(str(item.data(_ID)), item.checkState() == Qt.CheckState.Checked)


def learns_from(volumes: Sequence[VolumeAnnotations]) -> str:
    """The volumes that are learned from, as a sentence."""
    if any(volume.painted is None for volume in volumes):
        return "Counting what is painted …"
    learnt = [volume for volume in volumes if volume.n_learnt]
    names = [volume.name for volume in learnt if volume.is_chosen]
    if not names:
        nothing = "No objects are marked" if any(volume.learns_objects for volume in volumes) else "Nothing is painted"
        return "Tick a volume to learn from." if learnt else f"{nothing} in any volume yet."
    return f"Learns from {names[0] if len(names) == 1 else f'{len(names)} volumes'}:"


def _amount(volume: VolumeAnnotations) -> str:
    if volume.painted is None:
        return "…"
    if volume.learns_objects:
        n_objects = f"{volume.n_objects:,} object{'' if volume.n_objects == 1 else 's'}"
        return n_objects if volume.n_objects else "no objects"
    return f"{volume.n_painted:,} voxels" if volume.n_painted else "nothing painted"
