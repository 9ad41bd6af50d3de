"""The form that makes a project of a volume."""

from __future__ import annotations

from pathlib import Path

from qtpy.QtCore import Qt, Signal
from qtpy.QtWidgets import QFileDialog, QLabel, QPushButton, QVBoxLayout, QWidget

from napari_pytc.errors import PytcError
from napari_pytc.session.opening import NewProject
from napari_pytc.ui.controls import main_button, order_tabs
from napari_pytc.ui.datasets import array_text, shape_text
from napari_pytc.ui.looking import SUFFIX, Candidate, Found, look_at
from napari_pytc.ui.new_project_fields import FirstClasses, FolderField, VoxelSizeField, narrow_combo
from napari_pytc.ui.parts import Notice, allow, row, section, size, wrapped
from napari_pytc.ui.workspace import Workspace

_METADATA = ("zarr.json", ".zarray", ".zgroup", ".zattrs", "attributes.json", "info")
_FILES = (
    "Volumes (*.tif *.tiff *.btf *.h5 *.hdf5 *.hdf *.npy *.png *.jpg)"
    f";;Metadata of a Zarr, N5 or precomputed volume ({' '.join(_METADATA)});;All files (*)"
)
_INVITATION = "Take an image layer of this window, or choose a file. It stays where it is and is not changed."


class NewProjectForm(QWidget):
    """From a layer or a file to a project: what it is, how large its voxels are, where the project goes, its classes.

    Parameters
    ----------
    workspace : Workspace
        Makes the project.
    """

    open_asked = Signal(object)
    """The path of a project that is there already."""

    def __init__(self, workspace: Workspace, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._workspace = workspace
        self._candidates: list[Candidate] = []
        self._candidate: Candidate | None = None
        self._found: Found | None = None
        self._n_looks = 0
        self.notice = Notice()
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.addWidget(self._make_source())
        layout.addWidget(self.notice)
        layout.addWidget(self._make_details())
        self.destroyed.connect(workspace.viewer.on_layers_changed(self.refresh_layers))
        workspace.busy_changed.connect(self._on_busy)
        self.classes.changed.connect(lambda: order_tabs(self))
        order_tabs(self)
        self._show_found()

    def _make_source(self) -> QWidget:
        box, layout = section("Open a volume")
        self.source = narrow_combo("sourceCombo", "A layer of this window, or a file.")
        self.source.setPlaceholderText("Choose a layer or a file")
        self.source.activated.connect(self._pick)
        self.file, self.directory = QPushButton("File …"), QPushButton("Folder …")
        self.file.setObjectName("chooseFile")
        self.file.setToolTip("A TIFF, HDF5 or .npy file, or a file inside a Zarr, N5 or precomputed volume.")
        self.directory.setObjectName("chooseFolder")
        self.directory.setToolTip("A Zarr, N5 or precomputed volume, or a folder of numbered sections.")
        self.file.clicked.connect(self._choose_file)
        self.directory.clicked.connect(self._choose_folder)
        self.facts = wrapped(_INVITATION, dim=True)
        self.facts.setObjectName("facts")
        layout.addWidget(self.source)
        layout.addLayout(row(self.file, self.directory))
        layout.addWidget(self.facts)
        return box

    def _make_details(self) -> QWidget:
        self._details = QWidget()
        self.dataset = narrow_combo("datasetCombo", "Which array of the file: name, shape, type.")
        self.dataset.setPlaceholderText("Choose a dataset")
        self.dataset.activated.connect(self._pick_dataset)
        self.channel = narrow_combo("channelCombo", "Which channel to segment.")
        self.voxel_size = VoxelSizeField()
        self.voxel_size.changed.connect(self._allow)
        self.folder = FolderField(self._workspace.background)
        self.folder.changed.connect(self._allow)
        self.classes = FirstClasses()
        self.create_button, self.open_there = main_button("Create project"), QPushButton("Open what is there")
        self.create_button.setObjectName("createProject")
        self.create_button.clicked.connect(self._create)
        self.open_there.setObjectName("openThere")
        self.open_there.setToolTip("Open the project that is in this folder already.")
        self.open_there.clicked.connect(lambda: self.open_asked.emit(self.folder.folder))
        self._dataset_row, self._channel_row = _line("Dataset", self.dataset), _line("Channel", self.channel)
        layout = QVBoxLayout(self._details)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.setSpacing(4)
        layout.addWidget(self._dataset_row)
        layout.addWidget(self._channel_row)
        for title, field in (
            ("Voxel size in nm: z, y, x", self.voxel_size),
            ("Project folder", self.folder),
            ("Classes to begin with", self.classes),
        ):
            box, inside = section(title)
            inside.addWidget(field)
            layout.addWidget(box)
        self.reason = wrapped(dim=True)
        self.reason.setObjectName("createReason")
        layout.addWidget(self.create_button)
        layout.addWidget(self.reason)
        layout.addWidget(self.open_there)
        return self._details

    # ---- what the user points at

    def refresh_layers(self) -> None:
        """Offer the layers that the viewer has now; the choice stays as long as its layer does."""
        if self._workspace.session is not None:
            return
        chosen = self._candidate
        offered = [Candidate(layer=choice) for choice in self._workspace.viewer.image_choices()]
        if chosen is not None and chosen.layer is None:
            offered.append(chosen)
        self._candidates = offered
        self.source.clear()
        for number, candidate in enumerate(offered):
            self.source.addItem(candidate.name)
            tip = candidate.where if candidate.layer is None else candidate.layer.path or "A layer without a file."
            self.source.setItemData(number, tip, Qt.ItemDataRole.ToolTipRole)
        self.source.setCurrentIndex(
            next((i for i, one in enumerate(offered) if chosen is not None and one.is_same(chosen)), -1)
        )
        if chosen is None and len(offered) == 1:
            self.source.setCurrentIndex(0)
            self.look(offered[0])
        elif chosen is not None and self.source.currentIndex() < 0:  # its layer was deleted
            self._candidate, self._found = None, None
            self._n_looks += 1
            self._show_found()

    def choose_path(self, path: str) -> None:
        """Take a file, folder or URL; a file of a container's metadata stands for the container."""
        place = Path(path)
        self._candidate = Candidate(where=str(place.parent) if place.name in _METADATA else path)
        self.refresh_layers()
        self.look(self._candidate)

    def look(self, candidate: Candidate) -> None:
        """Look at a layer or file in the helper thread, then show it."""
        self.voxel_size.forget()
        self.folder.forget()
        self._look(candidate)

    def _look(self, candidate: Candidate) -> None:
        self._candidate, self._found = candidate, None
        self._n_looks += 1
        number = self._n_looks
        self.notice.clear()
        self.facts.setText(f"Looking at {candidate.name} …")
        self._allow()
        self._workspace.background.run(
            lambda: look_at(candidate),
            lambda found: self._on_found(number, found),
            lambda error: self._on_error(number, error),
            receiver=self,
        )

    def _on_found(self, number: int, found: Found) -> None:
        if number == self._n_looks:
            self._found = found
            self._show_found()
            self.folder.set_folder(self.folder.folder or found.folder)

    def _on_error(self, number: int, error: PytcError) -> None:
        if number == self._n_looks:
            self._show_found()
            self.notice.show_error(error)

    def _pick(self, index: int) -> None:
        self.look(self._candidates[index])

    def _pick_dataset(self, index: int) -> None:
        if self._candidate is not None and self._found is not None:
            candidate = Candidate(where=self._candidate.where, dataset=self._found.arrays[index].name)
            self._candidates = [candidate if one.is_same(self._candidate) else one for one in self._candidates]
            self._look(candidate)

    def _choose_file(self) -> None:
        path, _ = QFileDialog.getOpenFileName(self, "Open a volume", "", _FILES)
        if path:
            self.choose_path(path)

    def _choose_folder(self) -> None:
        path = QFileDialog.getExistingDirectory(self, "Open a Zarr, N5, precomputed volume or a folder of sections")
        if path.endswith(SUFFIX):
            self.open_asked.emit(Path(path))
        elif path:
            self.choose_path(path)

    # ---- what is shown of it

    def _show_found(self) -> None:
        found = self._found
        self._details.setVisible(found is not None)
        if found is not None:
            self.facts.setText(_facts_of(found))
            self._dataset_row.setVisible(bool(found.arrays))
            self.dataset.clear()
            self.dataset.addItems([array_text(array) for array in found.arrays])
            self.dataset.setCurrentIndex(next((i for i, a in enumerate(found.arrays) if a.name == found.dataset), -1))
            self._channel_row.setVisible(found.n_channels > 1)
            self.channel.clear()
            self.channel.addItems([str(k) for k in range(found.n_channels)])
            self.channel.setCurrentIndex(found.channel or 0)
            self.voxel_size.offer(found.voxel_size_nm, found.source)
        else:
            self.facts.setText(_INVITATION)
        self._allow()

    # ---- the end

    @property
    def request(self) -> NewProject | None:
        """The project as the form describes it; None while that cannot be made."""
        found, candidate = self._found, self._candidate
        if found is None or candidate is None or found.shape is None or self.folder.folder is None:
            return None
        is_said_by_file = found.image is not None and not self.voxel_size.is_typed and not found.is_layers_size
        return NewProject(
            folder=self.folder.folder,
            image=found.image,
            classes=self.classes.specs,
            voxel_size_nm=None if is_said_by_file else self.voxel_size.value,
            channel=self.channel.currentIndex() if found.n_channels > 1 else None,
            array=None if found.image is not None else candidate.data,
        )

    def _create(self) -> None:
        request = self.request
        if request is not None:
            self._workspace.create_project(request)

    def _on_busy(self, what: str) -> None:
        if not what and self.folder.folder is not None:
            self.folder.set_folder(self.folder.folder)  # it may be there now
        self._allow()

    def _allow(self) -> None:
        found = self._found
        reason = ""
        if self._workspace.busy:
            reason = "another project is being opened."
        elif found is None:
            reason = "no volume is chosen."
        elif found.shape is None:
            reason = "choose one of the datasets first."
        elif self.voxel_size.value is None:
            reason = "the voxel size is not known; type it."
        elif self.folder.exists:
            reason = "there is something in this place already."
        allow(self.create_button, reason, "Make the project folder and open it. The image is not changed.")
        self.reason.setText(reason[:1].upper() + reason[1:])
        self.reason.setVisible(bool(reason))
        self.open_there.setVisible(self.folder.is_project)


def _facts_of(found: Found) -> str:
    if found.shape is None:
        return "It holds several datasets; choose one."
    kept = "" if found.image else " The layer has no file of its own: its voxels are copied into the project."
    return f"{shape_text(found.shape)} voxels (z, y, x), {found.dtype}, {size(found.n_bytes)}.{kept}"


def _line(title: str, field: QWidget) -> QWidget:
    line = QWidget()
    label = QLabel(title)
    label.setBuddy(field)
    line.setLayout(row(label, field))
    return line
