"""What a model predicted, as layers: the most probable class, and the probability of each channel."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from qtpy.QtCore import QObject, QTimer, Signal

from napari_pytc.errors import PytcError
from napari_pytc.geometry import Box, Shape, VoxelSpace
from napari_pytc.session.records import PALETTE, ClassInfo
from napari_pytc.ui.arrays import VolumeArray
from napari_pytc.ui.background import Background
from napari_pytc.ui.port import Look, ViewerPort
from napari_pytc.ui.sections import SectionCache, SectionReader
from napari_pytc.ui.throttle import Throttle
from napari_pytc.ui.uncertainty import UncertaintyLayer
from napari_pytc.volumes.channels import ClassRole, roles_of
from napari_pytc.volumes.zarr_output import ChunkedArray, open_ome_zarr

REFRESH_MS = 200
"""New voxels are read at most five times a second, and shown at most ten times."""
_PATIENCE_S = 0.008
_CACHE_BYTES = 256 * 2**20


def once(parent: QObject, interval_ms: int, call: Callable[[], object]) -> QTimer:
    """A timer that calls once, some time after it was started."""
    timer = QTimer(parent)
    timer.setSingleShot(True)
    timer.setInterval(interval_ms)
    timer.timeout.connect(call)
    return timer


def most_probable(probabilities: np.ndarray) -> np.ndarray:
    """The number of the most probable channel, counted from 1, and 0 where all are 0; uint8.

    Parameters
    ----------
    probabilities : ndarray
        (c, ...) uint8.
    """
    best = probabilities[0].copy()
    found = (best > 0).astype(np.uint8)
    for k, channel in enumerate(probabilities[1:], start=2):
        more = channel > best
        found[more] = k
        np.maximum(best, channel, out=best)
    return found


class PredictionLayers(QObject):
    """The layers of the prediction that is shown. They are read as they are looked at, also while a job writes them.

    Parameters
    ----------
    viewer, background :
        The window, and its helper thread for opening files.
    reader : SectionReader
        The thread that reads sections.
    space : VoxelSpace
        Where the volume lies.
    below : callable
        The layer that ours are put below of.
    """

    failed = Signal(object)
    """A `PytcError`: the prediction cannot be read."""
    added = Signal(object)
    """A layer that was added."""

    _arrived = Signal()

    def __init__(
        self,
        viewer: ViewerPort,
        background: Background,
        reader: SectionReader,
        shape: Shape,
        space: VoxelSpace,
        below: Callable[[], Any],
        focus: Callable[[], Sequence[float]],
        parent: QObject | None = None,
    ) -> None:
        super().__init__(parent)
        self._viewer, self._background, self._reader = viewer, background, reader
        self._shape, self._space, self._below, self._focus = shape, space, below, focus
        self._classes: list[ClassInfo] = []
        self._folder: Path | None = None
        self._source: ChunkedArray | None = None
        self._cache: SectionCache | None = None
        self._layer: Any = None
        self._channels: list[Any] = []
        self._new: list[Box] = []
        self._renewing = Throttle(REFRESH_MS, self._renew, self)
        self._refreshing = Throttle(REFRESH_MS // 2, self.refresh, self)
        self._add_timer = once(self, 0, self._add_missing)
        self._arrived.connect(self._refreshing.ask)
        self.uncertainty = UncertaintyLayer(viewer, reader, space, below, focus, self)
        self.uncertainty.failed.connect(self.failed)
        self.uncertainty.added.connect(self.added)
        self._has_failed = False
        self._is_visible = True
        self._of_classes: list[int] = []
        """Which channels are classes; without any there is no class layer, and the first channel is shown instead."""

    @property
    def folder(self) -> Path | None:
        """Where the prediction that is shown, or about to be, lies."""
        return self._folder

    @property
    def channels(self) -> list[Any]:
        """The channels' layers, also those that are still to come or that the user deleted."""
        return list(self._channels)

    @property
    def legend(self) -> list[ClassInfo]:
        """Names and colours of the channels."""
        names = [] if self._source is None else self._source.channels
        colours = self._colours(names)
        pairs = enumerate(zip(names, colours, strict=True), start=1)
        return [ClassInfo(id=k, name=name, colour=colour) for k, (name, colour) in pairs]

    @property
    def layers(self) -> list[Any]:
        """The class layer, the channels' layers and that of the doubt, also those that the user deleted."""
        return [layer for layer in (self._layer, *self._channels, self.uncertainty.layer) if layer is not None]

    def show(self, folder: Path | None) -> None:
        """Show the prediction of a folder, or none."""
        if folder is None:
            self._folder = None
            self._take_away()
            return
        if folder == self._folder and self._cache is not None:
            self._add_missing()
            self.show_new([Box.of_shape(self._shape)])
            return
        self._folder = folder
        self._background.run(
            lambda: open_ome_zarr(folder),
            lambda source: self._opened(folder, source),
            lambda error: self._not_opened(folder, error),
        )

    def show_new(self, boxes: Sequence[Box]) -> None:
        """Voxels on disk are new; read those that are looked at, soon."""
        self._new += boxes
        self._renewing.ask()

    def refresh(self) -> None:
        """Show what was read."""
        for layer in self.layers:
            self._viewer.refresh(layer)

    def set_classes(self, classes: Sequence[ClassInfo]) -> None:
        """Colours of the classes."""
        self._classes = list(classes)
        if self._source is None:
            return
        colours = self._colours(self._source.channels)
        shown = {number: colours[k] for number, k in enumerate(self._of_classes, start=1)}
        self._viewer.set_colours(self._layer, shown)
        for layer, colour in zip(self._channels, colours, strict=True):
            if layer is not None:
                self._viewer.set_colours(layer, colour)

    def toggle(self) -> None:
        """Switch the class layer, or the first channel where there are no classes, off or on."""
        if self._first is not None:
            self._add_missing()
            self.set_visible(not self._viewer.is_visible(self._first))

    @property
    def is_visible(self) -> bool:
        """Whether that layer is switched on, or will be once it is there."""
        return self._is_visible if self._first is None else self._viewer.is_visible(self._first)

    def set_visible(self, visible: bool) -> None:
        """Switch that layer on or off, also one that is still to come."""
        self._is_visible = visible
        if self._first is not None and self._viewer.is_visible(self._first) != visible:
            self._viewer.set_visible(self._first, visible)

    def close(self) -> None:
        """Take the layers away and read no more."""
        self._folder = None
        self._take_away()

    # ---- what follows is ours

    @property
    def _first(self) -> Any:
        """What a prediction is shown by."""
        return next((layer for layer in (self._layer, *self._channels) if layer is not None), None)

    def _opened(self, folder: Path, source: ChunkedArray) -> None:
        if folder != self._folder:  # another was asked for meanwhile
            return
        if source.shape != self._shape or not source.channels:
            self._not_opened(folder, PytcError(f"{folder} is no prediction of this volume.", "Choose another one."))
            return
        if self._cache is not None:
            self._cache.close()
        try:
            roles = roles_of(source.attributes, source.channels)
        except PytcError as error:
            self._not_opened(folder, error)
            return
        self._source, self._has_failed = source, False
        self._of_classes = [k for k, role in enumerate(roles) if isinstance(role, ClassRole)]
        of_classes = self._of_classes
        self._cache = SectionCache(
            lambda box: _with_classes(source.read(box), of_classes),
            self._shape,
            np.dtype(np.uint8),
            self._reader,
            n_planes=1 + len(source.channels),
            n_bytes=_CACHE_BYTES,
            patience_s=_PATIENCE_S,
            on_arrival=self._arrived.emit,
            on_error=self._tell_once,
            focus=self._focus,
        )
        while len(self._channels) > len(source.channels):
            self._viewer.remove(self._channels.pop())
        self._channels += [None] * (len(source.channels) - len(self._channels))
        if not self._of_classes:
            self._viewer.remove(self._layer)
            self._layer = None
        for layer, (plane, look) in zip([self._layer, *self._channels], self._looks(), strict=True):
            if layer is not None:
                self._viewer.set_data(layer, VolumeArray(self._cache, plane), look.name)
        self._add_missing()
        self.set_classes(self._classes)
        self.uncertainty.put(source, of_classes)

    def _not_opened(self, folder: Path, error: PytcError) -> None:
        if folder == self._folder:
            self._folder = None
            self.failed.emit(error)

    def _looks(self) -> list[tuple[int, Look]]:
        """Plane and look of each layer, the class layer first."""
        assert self._source is not None
        colours = self._colours(self._source.channels)
        shown = {number: colours[k] for number, k in enumerate(self._of_classes, start=1)}
        looks = [Look("Prediction", "prediction", shown, opacity=0.4, visible=self._is_visible)]
        for k, (name, colour) in enumerate(zip(self._source.channels, colours, strict=True)):
            looks.append(
                Look(
                    f"P({name})",
                    "probability",
                    colour,
                    opacity=0.7,
                    visible=k == 0 and not self._of_classes and self._is_visible,
                    contrast_limits=(0.0, 255.0),
                    blending="additive",
                )
            )
        return list(enumerate(looks))

    def _add_missing(self) -> None:
        """Add a layer that is not there yet, or no longer; the next in the next turn, for each takes napari a while."""
        if self._cache is None:
            return
        below = self._below()
        for k, (plane, look) in enumerate(self._looks()):
            if k == 0 and not self._of_classes:
                continue
            layer = self._layer if k == 0 else self._channels[k - 1]
            if not self._viewer.has(layer):
                add = self._viewer.add_labels if k == 0 else self._viewer.add_image
                layer = add(VolumeArray(self._cache, plane), self._space, look)
                self._viewer.put_below(layer, below)
                if k == 0:
                    self._layer = layer
                else:
                    self._channels[k - 1] = layer
                self.added.emit(layer)
                self._add_timer.start()
                return
            below = layer

    def _take_away(self) -> None:
        for timer in (self._renewing, self._refreshing, self._add_timer):
            timer.stop()
        self.uncertainty.put(None)
        for layer in self.layers:
            self._viewer.remove(layer)
        self._layer, self._channels, self._new = None, [], []
        if self._cache is not None:
            self._cache.close()
        self._source = self._cache = None

    def _renew(self) -> None:
        boxes, self._new = self._new, []
        if self._cache is not None:
            self._cache.renew(boxes)
            self.uncertainty.renew(boxes)

    def _tell_once(self, error: PytcError) -> None:
        """Called in the reader's thread."""
        if not self._has_failed:
            self._has_failed = True
            self.failed.emit(error)

    def _colours(self, names: Sequence[str]) -> list[str]:
        """By the classes' names; a class that was renamed since keeps its place's colour."""
        by_name = {found.name: found.colour for found in self._classes}
        by_place = [found.colour for found in self._classes]
        return [
            by_name.get(name) or (by_place[k] if k < len(by_place) else PALETTE[k % len(PALETTE)])
            for k, name in enumerate(names)
        ]


def _with_classes(probabilities: np.ndarray, of_classes: Sequence[int]) -> np.ndarray:
    """The most probable of the channels that are classes, 0 where there are none, then all channels."""
    if not of_classes:
        return np.concatenate([np.zeros_like(probabilities[:1]), probabilities])
    classes = probabilities if len(of_classes) == len(probabilities) else probabilities[list(of_classes)]
    return np.concatenate([most_probable(classes)[None], probabilities])
