"""Fields of the form for a new project: the voxel size, the folder, the first classes."""

from __future__ import annotations

from pathlib import Path

from qtpy.QtCore import Signal
from qtpy.QtWidgets import (
    QDoubleSpinBox,
    QFileDialog,
    QPushButton,
    QSizePolicy,
    QVBoxLayout,
    QWidget,
)

from napari_pytc.session.records import PALETTE, ClassInfo, ClassSpec
from napari_pytc.ui.panels.data.classes import ClassList
from napari_pytc.ui.panels.data.inspect_image import SUFFIX
from napari_pytc.ui.tasks.background import Background
from napari_pytc.ui.widgets.labels import ElidedLabel, wrapped
from napari_pytc.ui.widgets.layout import row

_FIRST_CLASSES = ("membrane", "inside")
_UNKNOWN = "Not known: type z, y, x. Networks and exports follow the voxels' shape."


class LengthBox(QDoubleSpinBox):
    """A length in nm, narrow, without zeros behind the point; 0 stands for not known."""

    def __init__(self, axis: str, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setObjectName(f"voxelSize{axis.upper()}")
        self.setRange(0.0, 1e6)
        self.setDecimals(3)
        self.setSpecialValueText("?")
        self.setButtonSymbols(QDoubleSpinBox.ButtonSymbols.NoButtons)
        self.setSizePolicy(QSizePolicy.Policy.Ignored, QSizePolicy.Policy.Fixed)
        self.setStyleSheet("QDoubleSpinBox { min-width: 36px; padding: 1px 2px; }")
        self.setToolTip(f"Length of a voxel along {axis}, in nanometres.")

    def textFromValue(self, value: float) -> str:
        """The number without trailing zeros."""
        return f"{value:.3f}".rstrip("0").rstrip(".")


class VoxelSizeField(QWidget):
    """Three lengths in nm, and where they are from."""

    changed = Signal()

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.is_typed = False
        self._source = ""
        self.boxes = [LengthBox(axis) for axis in "zyx"]
        for box in self.boxes:
            box.valueChanged.connect(self._on_typed)
        self.source = wrapped(dim=True)
        self.source.setObjectName("sizeSource")
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.setSpacing(2)
        layout.addLayout(row(*self.boxes))
        layout.addWidget(self.source)

    @property
    def value(self) -> tuple[float, float, float] | None:
        """Lengths along z, y, x in nm; None while one of them is not known."""
        z, y, x = (box.value() for box in self.boxes)
        return (z, y, x) if z > 0 and y > 0 and x > 0 else None

    def forget(self) -> None:
        """Forget the typed voxel size: it was for the last volume."""
        self.is_typed = False

    def offer(self, lengths: tuple[float, float, float] | None, source: str) -> None:
        """Show the voxel size of a file or layer, unless the user has typed one."""
        self._source = source
        if not self.is_typed:
            for box, length in zip(self.boxes, lengths or (0.0, 0.0, 0.0), strict=True):
                box.blockSignals(True)
                box.setValue(length)
                box.blockSignals(False)
        self._show_source()

    def _on_typed(self) -> None:
        self.is_typed = True
        self._show_source()
        self.changed.emit()

    def _show_source(self) -> None:
        known = "Typed by you." if self.is_typed else self._source
        self.source.setText(known if self.value is not None else _UNKNOWN)


class FolderField(QWidget):
    """Folder of the new project, with a remark where something is there already."""

    changed = Signal()

    def __init__(self, background: Background, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._background = background
        self.folder: Path | None = None
        self.exists = False
        self.path = ElidedLabel()
        self.path.setObjectName("projectFolder")
        self.change = QPushButton("Change …")
        self.change.setObjectName("changeFolder")
        self.change.setToolTip("Choose where the project folder will be.")
        self.change.clicked.connect(self._choose)
        self.state = wrapped(dim=True)
        self.state.setObjectName("folderState")
        line = row(self.path, self.change)
        line.setStretch(0, 1)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.setSpacing(2)
        layout.addLayout(line)
        layout.addWidget(self.state)

    @property
    def is_project(self) -> bool:
        """Whether a project is there already."""
        return self.exists and self.folder is not None and self.folder.suffix == SUFFIX

    def set_folder(self, folder: Path) -> None:
        """Set the folder, and check in the helper thread whether it exists."""
        self.folder = folder
        self.path.setText(str(folder))

        def show(exists: bool) -> None:
            if folder == self.folder:
                self.exists = exists
                self._show_state()
                self.changed.emit()

        self._background.run(folder.exists, show, lambda error: None, receiver=self)

    def forget(self) -> None:
        """Another volume: another folder."""
        self.folder, self.exists = None, False

    def _show_state(self) -> None:
        if self.is_project:
            self.state.setText("A project is there already: open it, or choose another place.")
        elif self.exists:
            self.state.setText("There is something in this place already; choose another.")
        else:
            self.state.setText("A new folder; strokes, models and predictions are kept in it.")

    def _choose(self) -> None:
        path, _ = QFileDialog.getSaveFileName(
            self,
            "Where the project will be",
            str(self.folder or ""),
            f"Projects (*{SUFFIX})",
            options=QFileDialog.Option.DontConfirmOverwrite,
        )
        if path:
            self.set_folder(Path(path if path.endswith(SUFFIX) else f"{path}{SUFFIX}"))


class FirstClasses(QWidget):
    """The classes that a new project begins with."""

    changed = Signal()

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._classes: tuple[ClassInfo, ...] = ()
        self.list = ClassList(can_paint=False)
        self.list.added.connect(self._add)
        self.list.renamed.connect(self._rename)
        self.list.recoloured.connect(lambda number, colour: self._change(number, colour=colour))
        self.list.removed.connect(self._remove)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.addWidget(self.list)
        for name in _FIRST_CLASSES:
            self._add(name)

    @property
    def specs(self) -> tuple[ClassSpec, ...]:
        """Names and colours in their order."""
        return tuple(ClassSpec(name=info.name, colour=info.colour) for info in self._classes)

    def _add(self, name: str) -> None:
        number = len(self._classes) + 1
        used = {info.colour for info in self._classes}
        colour = next((c for c in PALETTE if c not in used), PALETTE[(number - 1) % len(PALETTE)])
        self._show((*self._classes, ClassInfo(id=number, name=name, colour=colour)))

    def _rename(self, number: int, name: str) -> None:
        if name not in [info.name for info in self._classes]:
            self._change(number, name=name)

    def _change(self, number: int, **changes: str) -> None:
        self._show(tuple(info.model_copy(update=changes) if info.id == number else info for info in self._classes))

    def _remove(self, number: int) -> None:
        kept = [info for info in self._classes if info.id != number]
        self._show(tuple(info.model_copy(update={"id": k}) for k, info in enumerate(kept, start=1)))

    def _show(self, classes: tuple[ClassInfo, ...]) -> None:
        self._classes = classes
        self.list.show_classes(classes)
        self.changed.emit()
