"""The editor of offsets of affinities."""

from __future__ import annotations

from typing import Any

from qtpy.QtWidgets import QLineEdit

from napari_pytc.geometry import Shape
from napari_pytc.ui.widgets.forms.editors import Editor

_WIDTH = 90
_EXAMPLE = "-1,0,0; 0,-1,0; 0,0,-1"


class OffsetsEditor(Editor):
    """Offsets z, y, x in voxels, with semicolons between them."""

    def __init__(self) -> None:
        super().__init__()
        self.line = QLineEdit()
        self.line.setPlaceholderText("z,y,x; z,y,x; …")
        self.line.setMinimumWidth(_WIDTH)
        self._row.addWidget(self.line)
        self.line.textChanged.connect(self.changed)
        self.setFocusProxy(self.line)

    @property
    def problem(self) -> str:
        """See `Editor`."""
        try:
            self._parse()
        except ValueError:
            return (
                f"must be whole numbers z,y,x with semicolons between offsets, as {_EXAMPLE}, got {self.line.text()!r}"
            )
        return ""

    def value(self) -> tuple[Shape, ...]:
        """The offsets that are shown."""
        try:
            return self._parse()
        except ValueError:
            return ()

    def set_value(self, value: Any) -> None:
        """Show offsets."""
        self.line.setText("; ".join(",".join(map(str, offset)) for offset in value))
        self.line.setCursorPosition(0)

    def _parse(self) -> tuple[Shape, ...]:
        found = []
        for part in self.line.text().split(";"):
            if part.strip():
                z, y, x = (int(number) for number in part.split(","))
                found.append((z, y, x))
        return tuple(found)
