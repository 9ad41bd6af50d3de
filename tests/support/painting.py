"""Strokes as the brush makes them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Protocol

import numpy as np

from napari_pytc.annotations.paint_store import PaintStore
from napari_pytc.geometry import Box
from napari_pytc.labels.patches import LabelPatch


class Painted(Protocol):
    """The strokes or object labels of a session."""

    store: PaintStore

    def writer(self) -> Callable[[Sequence[LabelPatch]], None]:
        """A function that takes the patches of a stroke."""


def box_writer(painted: Painted) -> Callable[[Box, np.ndarray], None]:
    """A function that replaces the labels of a box, as one stroke; one that changes nothing is none."""
    write = painted.writer()

    def paint(box: Box, labels: np.ndarray) -> None:
        patch = painted.store.patch_of(box, labels, np.ones(labels.shape, bool))
        write([] if patch is None else [patch])

    return paint
