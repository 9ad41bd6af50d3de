"""Corrections of segments as labels of objects to learn from."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from napari_pytc.annotations.said import Said
from napari_pytc.geometry import Box, Shape
from napari_pytc.labels.store import LabelStore
from napari_pytc.learning.objects import ObjectLabels, ObjectSource


class Overruled:
    """Labels of a segmentation where no later one says anything: an `ObjectSource`.

    Parameters
    ----------
    later : sequence of ObjectSource
        What was said since.
    """

    def __init__(self, source: ObjectSource, later: Sequence[ObjectSource]) -> None:
        self._source, self._later = source, tuple(later)

    @property
    def shape(self) -> Shape:
        """Lengths along z, y, x in voxels."""
        return self._source.shape

    def boxes(self) -> list[tuple[Box, float]]:
        """The chunks that were written and when each last changed."""
        return self._source.boxes()

    def read(self, box: Box) -> np.ndarray:
        """Ids of a box; 0 where something later says something."""
        labels = self._source.read(box)
        for later in self._later:
            labels[later.read(box) != 0] = 0
        return labels


def open_corrections(folder: Path, hidden: Sequence[Box] = ()) -> tuple[ObjectLabels, ...]:
    """What was said of each segmentation, the oldest first; stores without labels to learn from are left out.

    Parameters
    ----------
    folder : Path
        Of the stores, one a segmentation.
    hidden : sequence of Box
        Boxes that are not read.

    Raises
    ------
    VolumeError
        If one is damaged.
    """
    stores = [LabelStore.open(path, writable=False) for path in sorted(folder.glob("*.zarr"))]
    dated = [(max(changed for _, changed in store.boxes()), store) for store in stores if store.boxes()]
    ordered = [store for _, store in sorted(dated, key=lambda one: one[0])]
    found = []
    for number, store in enumerate(ordered):
        labels = ObjectLabels(Overruled(store, ordered[number + 1 :]), hidden, Said.load(store.path))
        if labels.chunks:
            found.append(labels)
    return tuple(found)
