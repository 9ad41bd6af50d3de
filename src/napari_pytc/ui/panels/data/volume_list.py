"""The volumes of the project in the Data panel: which one is shown, and buttons to add, rename and remove one."""

from __future__ import annotations

from qtpy.QtCore import Qt
from qtpy.QtWidgets import (
    QAbstractItemView,
    QInputDialog,
    QListWidget,
    QListWidgetItem,
    QMessageBox,
    QPushButton,
    QVBoxLayout,
    QWidget,
)

from napari_pytc.session.project.description import VolumeRecord
from napari_pytc.ui.panels.data.new_volume import NewVolumeForm
from napari_pytc.ui.volume_switch import NEXT_KEY, PREVIOUS_KEY
from napari_pytc.ui.widgets.buttons import allow
from napari_pytc.ui.widgets.labels import shape_text, wrapped
from napari_pytc.ui.widgets.layout import fit_height, row
from napari_pytc.ui.workspace import Workspace

_ID = Qt.ItemDataRole.UserRole
_MOST_LINES = 6


class VolumeList(QWidget):
    """The volumes, of which a click shows one; the form for another one is unfolded below.

    Parameters
    ----------
    workspace : Workspace
        Its project has the volumes.
    """

    def __init__(self, workspace: Workspace, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._workspace, self._volumes = workspace, workspace.volumes
        self.list = QListWidget()
        self.list.setObjectName("volumeList")
        self.list.setSelectionMode(QAbstractItemView.SelectionMode.SingleSelection)
        self.list.setTextElideMode(Qt.TextElideMode.ElideMiddle)
        self.list.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        self.list.itemClicked.connect(self._on_chosen)
        self.list.itemActivated.connect(self._on_chosen)
        self.state = wrapped(dim=True)
        self.state.setObjectName("volumeState")
        self.add, self.rename, self.remove = (QPushButton(text) for text in ("Add …", "Rename …", "Remove …"))
        for button, name, act in (
            (self.add, "openAddVolume", self._open_form),
            (self.rename, "renameVolume", self._ask_for_name),
            (self.remove, "removeVolume", self._ask_to_remove),
        ):
            button.setObjectName(name)
            button.clicked.connect(lambda checked=False, act=act: act())
        self.form = NewVolumeForm(workspace)
        self.form.hide()
        self.form.finished.connect(self._close_form)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.setSpacing(4)
        layout.addWidget(self.list)
        layout.addWidget(self.state)
        layout.addLayout(row(self.add, self.rename, self.remove))
        layout.addWidget(self.form)
        self._volumes.changed.connect(self.refresh)
        workspace.volumes_changed.connect(self.refresh)
        workspace.project_changed.connect(self._close_form)
        self.refresh()

    def refresh(self) -> None:
        """Show the volumes as they are now."""
        volumes, records = self._volumes, self._volumes.records
        self.list.clear()
        for record in records:
            item = self._item(record)
            self.list.addItem(item)
            if record.id == (volumes.wanted or volumes.current):
                self.list.setCurrentItem(item)
        self.list.setVisible(len(records) > 1)
        fit_height(self.list, len(records), _MOST_LINES)
        wanted = next((record.name for record in records if record.id == volumes.wanted), "")
        self.state.setText(volumes.doing or (f"Opening {wanted} …" if wanted else ""))
        self.state.setVisible(bool(self.state.text()))
        reason = volumes.why_not_change()
        allow(self.add, reason, "Add another image to the project: a layer, a file or a folder.")
        allow(self.rename, reason, "Give the volume that is shown another name.")
        allow(
            self.remove,
            volumes.why_not_remove(),
            "Remove the volume that is shown, with its strokes, predictions and segmentations. They are kept in the "
            "trash for 30 days; models and the image stay.",
        )
        self.add.setText("Add …" if len(records) > 1 else "Add another volume …")
        self.rename.setVisible(len(records) > 1)
        self.remove.setVisible(len(records) > 1)

    # ---- private

    def _item(self, record: VolumeRecord) -> QListWidgetItem:
        is_missing = record.id in self._volumes.missing
        item = QListWidgetItem(f"⚠ {record.name}" if is_missing else record.name)
        item.setData(_ID, record.id)
        z, y, x = (f"{length:g}" for length in record.voxel_size_nm)
        lines = [
            f"{shape_text(record.shape)} voxels of {z} × {y} × {x} nm",
            str(getattr(record.spec, "path", None) or getattr(record.spec, "url", "")),
            f"{NEXT_KEY} shows the next volume, {PREVIOUS_KEY} the one before.",
        ]
        if is_missing:
            lines.insert(0, "Its image was not found.")
        item.setToolTip("\n".join(lines))
        if record.id == (self._volumes.wanted or self._volumes.current):
            font = item.font()
            font.setBold(True)
            item.setFont(font)
        return item

    def _on_chosen(self, item: QListWidgetItem) -> None:
        self._volumes.show(str(item.data(_ID)))

    def _open_form(self) -> None:
        self.form.show()
        self.add.hide()

    def _close_form(self) -> None:
        self.form.hide()
        self.add.show()

    @property
    def _current(self) -> VolumeRecord | None:
        return next((record for record in self._volumes.records if record.id == self._volumes.current), None)

    def _ask_for_name(self) -> None:
        record = self._current
        if record is None:
            return
        name, is_given = QInputDialog.getText(self, "Rename volume", f"New name of {record.name}", text=record.name)
        if is_given:
            self._volumes.rename(record.id, name)

    def _ask_to_remove(self) -> None:
        record, session = self._current, self._workspace.session
        if record is None:
            return
        question = QMessageBox(self)
        question.setIcon(QMessageBox.Icon.Warning)
        question.setText(f"Remove the volume {record.name}?")
        question.setInformativeText(
            "Its strokes, predictions and segmentations go to the trash of the project, where they are kept for 30 "
            "days: napari-pytc restore brings it back. Models that learned from it stay. The image is not touched."
        )
        remove = question.addButton("Remove", QMessageBox.ButtonRole.DestructiveRole)
        question.setDefaultButton(question.addButton("Keep", QMessageBox.ButtonRole.RejectRole))
        question.exec()
        is_sure = question.clickedButton() is remove
        question.deleteLater()
        if is_sure and self._workspace.session is session:
            self._volumes.remove(record.id)
