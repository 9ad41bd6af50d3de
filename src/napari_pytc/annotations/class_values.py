"""Values of a file's labels as classes of a project."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import fastremap
import numpy as np

from napari_pytc.annotations.label_transform import LabelTransform
from napari_pytc.annotations.special_values import BACKGROUND_WORD, NO_LABEL, UNKNOWN, ignored_notes, whole_numbers
from napari_pytc.errors import InvalidInput, listed
from napari_pytc.geometry import Box

_MOST_UNKNOWN = 8


class ClassValues:
    """The class of each value of some labels.

    Values are what a `LabelTransform` says; else 0 is not annotated, and others follow the names that the file has for
    them, or are numbers of classes where it has none.

    Parameters
    ----------
    transform : LabelTransform
        What values mean.
    classes : sequence of str
        Names of the project's classes; the first is class 1.
    names : mapping of int to str
        Names that the file has for its values; empty where it has none.

    Raises
    ------
    InvalidInput
        If the transform names a class that there is not.
    """

    def __init__(
        self, transform: LabelTransform, classes: Sequence[str], names: Mapping[int, str] | None = None
    ) -> None:
        self._classes, self._names = list(classes), dict(names or {})
        self._ignored = set(transform.ignored)
        self._mapped = {value: self._number(value, meaning) for value, meaning in transform.values.items()}
        if transform.dense and 0 not in self._mapped:
            self._mapped[0] = self._number(0, BACKGROUND_WORD)
        self._is_mapped = bool(transform.values)
        self._counts: dict[int, int] = {}
        self._unknown: dict[int, Box] = {}
        self._is_uint64 = False

    def scan(self, block: np.ndarray, box: Box) -> bool:
        """Note the values of a block, and return whether it labels a voxel; `check` reports those that are no class."""
        block = whole_numbers(block)
        self._is_uint64 |= block.dtype == np.uint64
        values, counts = fastremap.unique(block, return_counts=True)
        is_labelled = False
        for value, n in zip(values.tolist(), counts.tolist(), strict=True):
            self._counts[value] = self._counts.get(value, 0) + n
            number = self._class_of(value)
            is_labelled |= bool(number)
            if number is None:
                self._unknown.setdefault(value, box)
        if len(self._unknown) >= _MOST_UNKNOWN:  # more would say no more
            self.check()
        return is_labelled

    def check(self) -> None:
        """Raise an `InvalidInput` if a value that was scanned is no class."""
        if not self._unknown:
            return
        values = sorted(self._unknown)
        several = "s" if len(values) > 1 else ""
        more = " or more" if len(values) >= _MOST_UNKNOWN else ""
        found = (
            f"The labels hold the value{several} {listed(values, _MOST_UNKNOWN)}{more} in {self._unknown[values[0]]}"
        )
        hint = f"Nothing was changed. Say what {'it means' if len(values) == 1 else 'they mean'}"
        named = next((value for value in values if value in self._names), None)
        first = values[0] if named is None else named
        if named is not None:
            found += f"; the file names {named} {self._names[named]!r}, and the project has no such class"
        hint += f", for example --map {first}={self._classes[0] if self._classes else 1}, or --ignore-value {first}"
        hint += "." if named is None else f", or add the class {self._names[named]}."
        classes = ", ".join(f"{k} {name}" for k, name in enumerate(self._classes, 1))
        n = len(self._classes)
        of_project = f"there are {n} classes ({classes})" if n != 1 else f"there is one class ({classes})"
        rule = f"a label is 0 (not annotated) or 1 to {n}, unless it is mapped"
        if self._is_mapped:
            rule = "where values are mapped, all but 0 must be"
        raise InvalidInput(f"{found}, but {of_project}: {rule}.", hint)

    def apply(self, block: np.ndarray) -> np.ndarray:
        """Classes of a block that was scanned, uint8; 0 = not annotated."""
        block = whole_numbers(block)
        table = {value: self._class_of(value) or 0 for value in self._counts}
        if all(value == number for value, number in table.items()):
            return block.astype(np.uint8)
        return np.asarray(fastremap.remap(block, table)).astype(np.uint8)

    def counts(self) -> dict[str, int]:
        """Voxels of each class in the blocks that were scanned, by its name."""
        found = dict.fromkeys(self._classes, 0)
        for value, n in self._counts.items():
            if number := self._class_of(value):
                found[self._classes[number - 1]] += n
        return found

    def notes(self) -> list[str]:
        """What was changed or left out in the voxels that were scanned, a sentence each."""
        found = []
        moved = {
            value: self._class_of(value)
            for value in sorted(self._counts)
            if value in self._names and value not in self._mapped and value not in self._ignored
        }
        if any(value != number for value, number in moved.items()):
            text = ", ".join(f"{value} ({self._names[value]}) became {number}" for value, number in moved.items())
            found.append(f"Numbers of classes follow the names in the labels' file: {text}.")
        found += ignored_notes(self._counts, self._ignored, self._is_uint64)
        if self._is_mapped and 0 not in self._mapped and 0 not in self._ignored and self._counts.get(0):
            found.append(
                f"{self._counts[0]} voxels of 0 are not annotated, since 0 was not mapped: --map 0=CLASS makes them a "
                "class."
            )
        return found

    def _class_of(self, value: int) -> int | None:
        """The class of a value, 0 for not annotated, None where nothing says."""
        if value in self._ignored:
            return 0
        if value in self._mapped:
            return self._mapped[value]
        if value == 0 or (self._is_uint64 and value in (NO_LABEL, *UNKNOWN)):
            return 0
        if value in self._names:
            name = self._names[value]
            return self._classes.index(name) + 1 if name in self._classes else None
        if self._names or self._is_mapped or not 0 < value <= len(self._classes):
            return None
        return value

    def _number(self, value: int, meaning: int | str) -> int:
        if meaning in self._classes:
            return self._classes.index(str(meaning)) + 1
        if isinstance(meaning, int) and 0 <= meaning <= len(self._classes):
            return meaning
        raise InvalidInput(
            f"There is no class {meaning!r} for the value {value}; the classes are "
            f"{', '.join(f'{k} {name}' for k, name in enumerate(self._classes, 1))}.",
            f"Add the class, name another, or leave the value out with --ignore-value {value}.",
        )
