"""The form that adds a volume to the project that is open."""

from __future__ import annotations

from qtpy.QtCore import Signal
from qtpy.QtGui import QShowEvent
from qtpy.QtWidgets import QLineEdit, QPushButton, QVBoxLayout, QWidget

from napari_pytc.session.volumes.building import NewVolume
from napari_pytc.ui.panels.data.image_form import ImageForm
from napari_pytc.ui.widgets.buttons import allow, main_button
from napari_pytc.ui.widgets.labels import wrapped
from napari_pytc.ui.widgets.layout import row
from napari_pytc.ui.workspace import Workspace


class NewVolumeForm(ImageForm):
    """Form for another volume of a project: the image, its voxel size, and a name.

    Parameters
    ----------
    workspace : Workspace
        Its project gets the volume.
    """

    finished = Signal()
    """The volume is being added, or is not wanted any more."""

    def __init__(self, workspace: Workspace, parent: QWidget | None = None) -> None:
        super().__init__(workspace, "Another volume", parent)
        workspace.volumes.changed.connect(self._on_volumes)

    def _add_fields(self, layout: QVBoxLayout) -> None:
        self.name = QLineEdit()
        self.name.setObjectName("volumeName")
        self.name.setPlaceholderText("Name: as the file, if left empty")
        self.name.setToolTip("The name of the volume in lists, and of --volume on the command line.")
        self.add_button, self.cancel_button = main_button("Add volume"), QPushButton("Cancel")
        self.add_button.setObjectName("addVolume")
        self.cancel_button.setObjectName("cancelVolume")
        self.cancel_button.setToolTip("Add no volume.")
        self.add_button.clicked.connect(self._add)
        self.cancel_button.clicked.connect(self.finished)
        self.reason = wrapped(dim=True)
        self.reason.setObjectName("addReason")
        buttons = row(self.add_button, self.cancel_button)
        buttons.setStretch(0, 1)
        layout.addWidget(self.name)
        layout.addLayout(buttons)
        layout.addWidget(self.reason)

    @property
    def request(self) -> NewVolume | None:
        """The volume as the form describes it; None while that cannot be added."""
        if self._inspected is None or self._inspected.shape is None:
            return None
        name = self.name.text().strip() or None
        return NewVolume(self.image, name, self.options, self.array, self.channel_names)

    def showEvent(self, event: QShowEvent | None) -> None:
        """Offer the layers that are there now."""
        super().showEvent(event)
        self.refresh_layers()

    # ---- private

    @property
    def _is_wanted(self) -> bool:
        return self._workspace.session is not None and self.isVisible()

    def _add(self) -> None:
        request, layers = self.request, self.layers
        if request is not None:
            self._workspace.volumes.add(request, layers, self._on_added)

    def _on_added(self) -> None:
        """Close the form; where the volume cannot be added, it stays as it is."""
        for layer in self.replaced:
            self._workspace.viewer.set_visible(layer, False)
        self.forget()
        self.name.clear()
        self.finished.emit()

    def _on_volumes(self) -> None:
        self.setEnabled(not self._workspace.volumes.doing)
        self._allow()

    def _allow(self) -> None:
        reason = self._workspace.volumes.why_not_change() or self.problem
        allow(self.add_button, reason, "Add it to the project and show it. The image is not changed.")
        self.reason.setText(reason[:1].upper() + reason[1:])
        self.reason.setVisible(bool(reason))
