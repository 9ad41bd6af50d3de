"""The form that makes a project of a volume."""

from __future__ import annotations

from qtpy.QtWidgets import QPushButton, QVBoxLayout, QWidget

from napari_pytc.session.opening import NewProject
from napari_pytc.ui.panels.data.image_form import ImageForm
from napari_pytc.ui.panels.data.inspect_image import InspectedImage
from napari_pytc.ui.panels.data.new_project_fields import FirstClasses, FolderField
from napari_pytc.ui.widgets.buttons import allow, main_button
from napari_pytc.ui.widgets.labels import wrapped
from napari_pytc.ui.widgets.layout import order_tabs, section
from napari_pytc.ui.workspace import Workspace


class NewProjectForm(ImageForm):
    """Form for a new project of a layer or file: the image, its voxel size, the project's folder, the first classes.

    Parameters
    ----------
    workspace : Workspace
        Makes the project.
    """

    def __init__(self, workspace: Workspace, parent: QWidget | None = None) -> None:
        super().__init__(workspace, "Open a volume", parent)
        self.classes.changed.connect(lambda: order_tabs(self))

    def _add_fields(self, layout: QVBoxLayout) -> None:
        self.folder = FolderField(self._workspace.background)
        self.folder.changed.connect(self._allow)
        self.classes = FirstClasses()
        self.create_button, self.open_there = main_button("Create project"), QPushButton("Open what is there")
        self.create_button.setObjectName("createProject")
        self.create_button.clicked.connect(self._create)
        self.open_there.setObjectName("openThere")
        self.open_there.setToolTip("Open the project that is in this folder already.")
        self.open_there.clicked.connect(lambda: self.open_requested.emit(self.folder.folder))
        for title, field in (("Project folder", self.folder), ("Classes to begin with", self.classes)):
            box, inside = section(title)
            inside.addWidget(field)
            layout.addWidget(box)
        self.reason = wrapped(dim=True)
        self.reason.setObjectName("createReason")
        layout.addWidget(self.create_button)
        layout.addWidget(self.reason)
        layout.addWidget(self.open_there)

    @property
    def request(self) -> NewProject | None:
        """The project as the form describes it; None while that cannot be made."""
        found = self._inspected
        if found is None or found.shape is None or self.folder.folder is None:
            return None
        return NewProject(
            folder=self.folder.folder,
            image=self.image,
            classes=self.classes.specs,
            options=self.options,
            array=self.array,
            channel_names=self.channel_names,
        )

    # ---- private

    @property
    def _is_wanted(self) -> bool:
        return self._workspace.session is None

    def _forget(self) -> None:
        self.folder.forget()

    def _suggest(self, found: InspectedImage) -> None:
        self.folder.set_folder(self.folder.folder or found.folder)

    def _create(self) -> None:
        request = self.request
        if request is not None:
            self._workspace.create_project(request, self.layers, self.replaced)

    def _on_busy(self, what: str) -> None:
        if not what and self.folder.folder is not None:
            self.folder.set_folder(self.folder.folder)  # it may be there now
        self._allow()

    def _allow(self) -> None:
        there = "there is something in this place already." if self.folder.exists else ""
        reason = "another project is being opened." if self._workspace.busy else self.problem or there
        allow(self.create_button, reason, "Make the project folder and open it. The image is not changed.")
        self.reason.setText(reason[:1].upper() + reason[1:])
        self.reason.setVisible(bool(reason))
        self.open_there.setVisible(self.folder.is_project)
