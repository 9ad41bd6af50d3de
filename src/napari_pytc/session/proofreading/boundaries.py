"""Boundary maps for proofreading: from the prediction, else from dark ridges in the image."""

from __future__ import annotations

import threading
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np

from napari_pytc.errors import PytcError
from napari_pytc.geometry import Box
from napari_pytc.volumes.image import channel_titles
from napari_pytc.volumes.ridges import RidgeReader
from napari_pytc.volumes.source import ImageSource
from napari_pytc.volumes.statistics import sample_statistics

_N_BLOCKS = 16


class ProjectBoundary:
    """A `BoundaryReader` that is opened when it is first read; any thread.

    Parameters
    ----------
    prediction : Path, optional
        The prediction that was segmented. Where it is gone or has no boundary, the image is used instead.
    boundary_class : str, optional
        The class of it that stands for the boundary.
    image : callable
        Opens the image; may raise a `PytcError`, and then there is no boundary anywhere.
    boundaries : dict, optional
        The `BoundaryMap`, as JSON, that scored the contacts of an imported segmentation.
    channel : int
        The place among the image's channels of the one whose ridges are looked at.

    Attributes
    ----------
    note : str
        A sentence, once it was read, where something else than the expected boundaries had to do; else empty.
    """

    def __init__(
        self,
        prediction: Path | None,
        boundary_class: str | None,
        image: Callable[[], ImageSource],
        boundaries: dict[str, Any] | None = None,
        channel: int = 0,
    ) -> None:
        self._prediction, self._boundary_class, self._image = prediction, boundary_class, image
        self._boundaries, self._channel = boundaries, channel
        self.note = ""
        self._opening = threading.Lock()
        self._read: Callable[[Box], np.ndarray] | None = None
        self._was_there = False

    def read(self, box: Box) -> np.ndarray:
        """Boundary probability of each voxel, float32, 0 to 1; shape ``box.shape``."""
        with self._opening:
            there = self._prediction is not None and self._prediction.is_dir()
            if self._read is None or there != self._was_there:  # deleted since: its chunks would read as 0
                self._read, self._was_there = self._open(), there
            read = self._read
        return read(box)

    def _open(self) -> Callable[[Box], np.ndarray]:
        self.note = ""
        if self._prediction is not None and self._prediction.is_dir():
            from napari_pytc.decoding.evidence import EvidenceReader

            try:
                reader = EvidenceReader.open(self._prediction, self._boundary_class)
            except PytcError:  # damaged, or without that class: the image is still there
                reader = None
            if reader is not None and reader.kind.has_boundary_map:
                return lambda box: reader.read(box).boundary_map()
        if self._boundaries is not None:
            from napari_pytc.decoding.imports.boundary_map import BoundaryMap

            with suppress(PytcError, ValueError):  # moved or deleted: the image is still there
                return BoundaryMap.model_validate(self._boundaries).open().read
        lost = self._lost()
        try:
            image = self._image()
            channel = image.channels[self._channel]
            spread = sample_statistics(channel, n_blocks=_N_BLOCKS).std
        except PytcError:
            self.note = f"{lost or 'There are no boundaries'}, and the image cannot be read: cuts go by distance alone."
            return lambda box: np.zeros(box.shape, np.float32)
        if lost:
            title = "" if image.n_channels == 1 else f"{channel_titles(image)[self._channel]} in "
            self.note = f"{lost}: cuts follow the dark ridges of {title}the image."
        return RidgeReader(channel.read, channel.shape, channel.space, spread).read

    def _lost(self) -> str:
        """What should have had the boundaries; empty where none was expected to."""
        if self._prediction is not None:
            is_there = self._prediction.is_dir()
            return "The prediction that was segmented " + ("has no boundaries" if is_there else "is gone")
        return "" if self._boundaries is None else "The boundary map of the import is gone"
