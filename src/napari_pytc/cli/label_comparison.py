"""What the comparisons of labels with the truth share, for `evaluate`."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from napari_pytc.errors import InvalidInput

if TYPE_CHECKING:
    from napari_pytc.geometry import Box
    from napari_pytc.volumes.source import VolumeSource
    from napari_pytc.volumes.spec import ReadOptions


@dataclass(frozen=True)
class ComparedFile:
    """A volume of labels, as it was typed.

    Parameters
    ----------
    path : str
        With a dataset after a colon where it needs one.
    options : ReadOptions
        How it is read.
    """

    path: str
    options: ReadOptions

    def open(self) -> VolumeSource:
        """The opened labels."""
        from napari_pytc.volumes.opening import open_labels

        return open_labels(self.path, self.options)

    def open_beside(self) -> VolumeSource:
        """The same of labels that belong to others; where the options do not fit, a file that leaves no choice."""
        from napari_pytc.errors import VolumeError
        from napari_pytc.volumes.opening import open_labels

        try:
            return self.open()
        except VolumeError:
            with suppress(VolumeError):
                return open_labels(self.path)
            raise


def checked_region(asked: Box | None, whole: Box) -> Box:
    """The box to compare, by default all that both volumes cover."""
    if asked is not None and not whole.contains(asked):
        raise InvalidInput(f"The box to compare must lie within {whole}, where both volumes are, got {asked}.")
    return asked or whole


def with_notes(figures: dict[str, Any], region: Box, notes: Sequence[str]) -> dict[str, Any]:
    """The figures with what the files made necessary."""
    figures["compared"]["box"] = str(region)
    figures["notes"] = [*notes, *figures["notes"]]
    return figures


def class_title(figures: dict[str, Any], key: str) -> str:
    """The number of a class with its name, where it has one."""
    return f"{key} {figures['names'][key]}" if key in figures["names"] else key


def mapped_values(text: str | None) -> dict[int, int]:
    """Values and numbers of --map; names have no meaning here."""
    from napari_pytc.annotations.label_transform import LabelTransform

    found: dict[int, int] = {}
    for value, number in LabelTransform.parse_values(text).items():
        if not isinstance(number, int) or number < 0:
            raise InvalidInput(
                f"evaluate maps values to numbers from 0, got {value}={number}.", "For example: --map 255=1."
            )
        found[value] = number
    return found
