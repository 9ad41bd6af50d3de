"""The part of a form that chooses an image: a layer or a file, its dataset, its channel and its voxel size."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

from qtpy.QtCore import Qt, Signal
from qtpy.QtWidgets import QFileDialog, QLabel, QPushButton, QVBoxLayout, QWidget

from napari_pytc.errors import PytcError
from napari_pytc.ui.panels.data.channel_field import ChannelField
from napari_pytc.ui.panels.data.inspect_image import SUFFIX, ImageChoice, InspectedImage, inspect, layers_as_channels
from napari_pytc.ui.panels.data.layer_channels import arrays_of
from napari_pytc.ui.panels.data.new_project_fields import VoxelSizeField
from napari_pytc.ui.widgets.array_dialog import array_text
from napari_pytc.ui.widgets.choices import Combo
from napari_pytc.ui.widgets.flags import error_in_window, in_window
from napari_pytc.ui.widgets.labels import shape_text, size, wrapped
from napari_pytc.ui.widgets.layout import order_tabs, row, section
from napari_pytc.ui.widgets.notes import NoteList
from napari_pytc.ui.widgets.notice import Notice
from napari_pytc.ui.widgets.reading_fields import ReadingFields
from napari_pytc.ui.workspace import Workspace
from napari_pytc.volumes.opening import file_patterns
from napari_pytc.volumes.spec import ReadOptions

_METADATA = ("zarr.json", ".zarray", ".zgroup", ".zattrs", "attributes.json", "info")
_FILES = (
    f"Volumes ({' '.join(file_patterns())})"
    f";;Metadata of a Zarr, N5 or precomputed volume ({' '.join(_METADATA)});;All files (*)"
)
_INVITATION = "Take an image layer of this window, or choose a file. It stays where it is and is not changed."


class ImageForm(QWidget):
    """Form for the image of a new volume; subclasses add their fields below, and the button that makes it.

    Parameters
    ----------
    workspace : Workspace
        Its viewer has the layers.
    title : str
        Of the part that chooses the image.
    """

    open_requested = Signal(object)
    """The path of a project that was chosen instead of an image."""

    def __init__(self, workspace: Workspace, title: str, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._workspace = workspace
        self._choices: list[ImageChoice] = []
        self._choice: ImageChoice | None = None
        self._inspected: InspectedImage | None = None
        self._n_inspections = 0
        self.notice = Notice()
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.addWidget(self._make_source(title))
        layout.addWidget(self.notice)
        layout.addWidget(self._make_details())
        self.destroyed.connect(workspace.viewer.on_layers_changed(self.refresh_layers))
        self.destroyed.connect(workspace.viewer.on_selection_changed(self._on_selected))
        workspace.busy_changed.connect(self._on_busy)
        order_tabs(self)
        self._show_inspected()

    # ---- for subclasses

    def _add_fields(self, layout: QVBoxLayout) -> None:
        """Add fields and buttons below the voxel size."""
        raise NotImplementedError

    @property
    def _is_wanted(self) -> bool:
        """Whether an image can be chosen now."""
        raise NotImplementedError

    def _forget(self) -> None:
        """Another image was chosen: what was filled in for the former one is forgotten."""

    def _suggest(self, found: InspectedImage) -> None:
        """Fill fields in for the image that was inspected."""

    def _allow(self) -> None:
        """Enable the buttons that can be pressed."""
        raise NotImplementedError

    def _on_busy(self, what: str) -> None:
        self._allow()

    # ---- the image

    def _make_source(self, title: str) -> QWidget:
        box, layout = section(title)
        self.source = Combo("sourceCombo", "A layer of this window, or a file.")
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
        self.notes = NoteList("imageNotes")
        layout.addWidget(self.source)
        layout.addLayout(row(self.file, self.directory))
        layout.addWidget(self.facts)
        layout.addWidget(self.notes)
        self.reading = ReadingFields()
        self.reading.changed.connect(self._reread)
        self.reading.form.changed.connect(self._allow)
        layout.addWidget(self.reading)
        return box

    def _make_details(self) -> QWidget:
        self._details = QWidget()
        self.dataset = Combo("datasetCombo", "Which array of the file: name, shape, type.")
        self.dataset.setPlaceholderText("Choose a dataset")
        self.dataset.activated.connect(self._pick_dataset)
        self.channel = ChannelField()
        self.channel.changed.connect(self._allow)
        self.voxel_size = VoxelSizeField()
        self.voxel_size.changed.connect(self._allow)
        self._dataset_row, self._channel_row = _line("Dataset", self.dataset), _line("Channels", self.channel)
        layout = QVBoxLayout(self._details)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.setSpacing(4)
        layout.addWidget(self._dataset_row)
        layout.addWidget(self._channel_row)
        box, inside = section("Voxel size in nm: z, y, x")
        inside.addWidget(self.voxel_size)
        layout.addWidget(box)
        self._add_fields(layout)
        return self._details

    # ---- choice of the image

    def refresh_layers(self) -> None:
        """Offer the layers that the viewer has now; the choice stays as long as its layer does."""
        if not self._is_wanted:
            return
        chosen = self._choice
        choices = self._workspace.viewer.image_choices()
        together = layers_as_channels(choices)
        offered = [ImageChoice(layer=choice) for choice in choices]
        offered += [together] if together is not None else []
        if chosen is not None and chosen.others and all(not one.is_same(chosen) for one in offered):
            there = [choice.layer for choice in choices]
            offered += [chosen] if all(one.layer in there for one in chosen.layers) else []
        if chosen is not None and chosen.layer is None:
            offered.append(chosen)
        self._choices = offered
        self.source.clear()
        for number, choice in enumerate(offered):
            self.source.addItem(f"{len(choice.layers)} layers: {choice.name}" if choice.others else choice.name)
            tip = choice.where if choice.layer is None else choice.path or "A layer without a file."
            tip = "The selected layers, each as a channel of one image." if choice.others else tip
            self.source.setItemData(number, tip, Qt.ItemDataRole.ToolTipRole)
        self.source.setCurrentIndex(
            next((i for i, one in enumerate(offered) if chosen is not None and one.is_same(chosen)), -1)
        )
        if chosen is None and len(offered) == 1:
            self.source.setCurrentIndex(0)
            self.choose(offered[0])
        elif chosen is not None and self.source.currentIndex() < 0:  # its layer was deleted
            self.forget()

    def forget(self) -> None:
        """Choose nothing any more."""
        self._choice = self._inspected = None
        self._n_inspections += 1
        self.reading.forget()
        self.source.setCurrentIndex(-1)
        self._show_inspected()

    def choose_path(self, path: str) -> None:
        """Take a file, folder or URL; a file of a container's metadata stands for the container."""
        place = Path(path)
        self._choice = ImageChoice(where=str(place.parent) if place.name in _METADATA else path)
        self.refresh_layers()
        self.choose(self._choice)

    def choose(self, choice: ImageChoice) -> None:
        """Look at a layer or file in the helper thread, then show it."""
        self.voxel_size.forget()
        self.reading.forget()
        self.channel.forget()
        self._forget()
        self._inspect(choice)

    def _inspect(self, choice: ImageChoice) -> None:
        self._choice, self._inspected = choice, None
        self._n_inspections += 1
        number = self._n_inspections
        self.notice.clear()
        self.facts.setText(f"Looking at {choice.name} …")
        self.notes.show_notes(())
        self._allow()
        self._workspace.background.run(
            lambda: inspect(choice),
            lambda found: self._on_inspected(number, found),
            lambda error: self._on_error(number, error),
            receiver=self,
        )

    def _on_inspected(self, number: int, found: InspectedImage) -> None:
        if number == self._n_inspections:
            self._inspected = found
            self._show_inspected()
            self.reading.suggest_axes(found.axes)
            self.reading.show_where_needed(found.notes)
            self._suggest(found)

    def _on_error(self, number: int, error: PytcError) -> None:
        if number == self._n_inspections:
            self._show_inspected()
            self.reading.show_where_needed([str(error)])
            self.notice.show_error(error_in_window(error))

    def _pick(self, index: int) -> None:
        self.choose(self._choices[index])

    def _pick_dataset(self, index: int) -> None:
        if self._choice is not None and self._inspected is not None:
            self.channel.forget()
            choice = replace(self._choice, dataset=self._inspected.arrays[index].name)
            self._choices = [choice if one.is_same(self._choice) else one for one in self._choices]
            self._inspect(choice)

    def _on_selected(self) -> None:
        """Other layers of the window are selected: several of one shape can be taken as channels."""
        if self._is_wanted and (self._choice is None or not self._choice.where):
            self.refresh_layers()

    def _reread(self) -> None:
        """Look at the file again, as the fields say; of a layer the file counts then, whatever the layer shows."""
        former = self._choice
        if former is None or former.path is None:
            return
        choice = ImageChoice(where=former.path, dataset=former.dataset, options=self.reading.options)
        if former.layer is None:
            self._choices = [choice if one.is_same(former) else one for one in self._choices]
        else:
            self._choice = choice
            self.refresh_layers()
        self._inspect(choice)

    def _choose_file(self) -> None:
        path, _ = QFileDialog.getOpenFileName(self, "Open a volume", "", _FILES)
        if path:
            self.choose_path(path)

    def _choose_folder(self) -> None:
        path = QFileDialog.getExistingDirectory(self, "Open a Zarr, N5, precomputed volume or a folder of sections")
        if path.endswith(SUFFIX):
            self.open_requested.emit(Path(path))
        elif path:
            self.choose_path(path)

    # ---- display

    def _show_inspected(self) -> None:
        found = self._inspected
        self._details.setVisible(found is not None)
        self.notes.show_notes(() if found is None else [in_window(note) for note in found.notes])
        self.reading.setVisible(self._choice is not None and self._choice.path is not None)
        if found is not None:
            self.facts.setText(_facts_of(found))
            self._dataset_row.setVisible(bool(found.arrays))
            self.dataset.clear()
            self.dataset.addItems([array_text(array) for array in found.arrays])
            self.dataset.setCurrentIndex(next((i for i, a in enumerate(found.arrays) if a.name == found.dataset), -1))
            self._channel_row.setVisible(found.n_channels > 1)
            names = found.channel_names if found.n_channels == len(found.channel_names) else ("",) * found.n_channels
            self.channel.offer(names, found.n_channels > 1 and found.channel is None, found.channel)
            self.voxel_size.offer(found.voxel_size_nm, found.source)
        else:
            self.facts.setText(_INVITATION)
        self._allow()

    # ---- what was chosen

    @property
    def image(self) -> str | None:
        """The chosen file, ``PATH[:DATASET]``; None where the layer's data is copied, or nothing is chosen."""
        return None if self._inspected is None else self._inspected.image

    @property
    def array(self) -> Any:
        """The data of the chosen layers, where it is in no file; a tuple where there are several channels."""
        if self._choice is None or self.image is not None:
            return None
        return arrays_of(self._choice.layers, self.channel.value)

    @property
    def channel_names(self) -> tuple[str, ...]:
        """Names of the channels of `array`, where it has several."""
        found, array = self._inspected, self.array
        if found is None or not isinstance(array, tuple):
            return ()
        if found.n_channels == 1:
            return found.channel_names
        numbers = self.channel.value if isinstance(self.channel.value, tuple) else range(len(array))
        return tuple(found.channel_names[number] for number in numbers)

    @property
    def layers(self) -> tuple[Any, ...]:
        """The chosen layers that show the image, one a channel; empty for a file, and for a layer of many channels."""
        if self._choice is None or any(one.channel_axis is not None for one in self._choice.layers):
            return ()
        return tuple(one.layer for one in self._choice.layers)

    @property
    def replaced(self) -> tuple[Any, ...]:
        """The chosen layer of many channels, in whose place a layer a channel is shown."""
        chosen = () if self._choice is None else self._choice.layers
        return tuple(one.layer for one in chosen if one.channel_axis is not None)

    @property
    def options(self) -> ReadOptions:
        """How to read the image."""
        found = self._inspected
        assert found is not None
        is_said_by_file = found.image is not None and not self.voxel_size.is_typed and not found.is_layers_size
        return self.reading.options.model_copy(
            update={
                "voxel_size_nm": None if is_said_by_file else self.voxel_size.value,
                "channel": self.channel.value if found.n_channels > 1 else found.channel,
            }
        )

    @property
    def problem(self) -> str:
        """Reason why the image cannot be used yet, as a part of a sentence; empty if it can."""
        if self._inspected is None:
            return "no volume is chosen."
        if self.reading.form.problem:
            return "change how to read it: " + self.reading.form.problem
        if self._inspected.shape is None:
            return "choose one of the datasets first."
        if self._inspected.n_channels > 1 and self.channel.problem:
            return self.channel.problem
        return "" if self.voxel_size.value is not None else "the voxel size is not known; type it."


def _facts_of(found: InspectedImage) -> str:
    if found.shape is None:
        return "It holds several datasets; choose one."
    n = len(found.channel_names) if found.n_channels == 1 else 1  # several layers
    whose = "The layers are not all of one file: their" if n > 1 else "The layer has no file of its own: its"
    kept = "" if found.image else f" {whose} voxels are copied into the project."
    several = f"{n} channels of " if n > 1 else ""
    return f"{several}{shape_text(found.shape)} voxels (z, y, x), {found.dtype}, {size(found.n_bytes)}.{kept}"


def _line(title: str, field: QWidget) -> QWidget:
    line = QWidget()
    label = QLabel(title)
    label.setBuddy(field)
    line.setLayout(row(label, field))
    return line
