"""The editor of offsets of affinities."""

from __future__ import annotations

from typing import Any

from napari_pytc.geometry import Shape
from napari_pytc.ui.widgets.forms.editors import SequenceEditor

_WIDTH = 90
_EXAMPLE = "-1,0,0; 0,-1,0; 0,0,-1"


class OffsetsEditor(SequenceEditor):
    """Offsets z, y, x in voxels, with semicolons between them."""

    def __init__(self) -> None:
        super().__init__("z,y,x; z,y,x; …", _WIDTH)

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

    def _text(self, value: Any) -> str:
        return "; ".join(",".join(map(str, offset)) for offset in value)

    def _parse(self) -> tuple[Shape, ...]:
        found = []
        for part in self.line.text().split(";"):
            if part.strip():
                z, y, x = (int(number) for number in part.split(","))
                found.append((z, y, x))
        return tuple(found)
