"""Layers of a prediction: the most probable class, and the probability of a channel that the user chooses."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from qtpy.QtCore import QObject, Signal

from napari_pytc.errors import PytcError
from napari_pytc.geometry import Box, Shape, VoxelSpace
from napari_pytc.session.records import PALETTE, ClassInfo
from napari_pytc.ui.canvas.arrays import VolumeArray
from napari_pytc.ui.canvas.predictions.uncertainty_layer import UncertaintyLayer
from napari_pytc.ui.canvas.section_cache import SectionCache, SectionReader
from napari_pytc.ui.canvas.viewer.port import LayerStyle, ViewerPort
from napari_pytc.ui.tasks.background import Background
from napari_pytc.ui.tasks.timers import single_shot, throttler
from napari_pytc.volumes.channels import ClassRole, class_numbers, roles_of
from napari_pytc.volumes.zarr_output import ChunkedArray, open_ome_zarr

REFRESH_MS = 200
"""New voxels are read at most five times a second, and shown at most ten times."""
_PATIENCE_S = 0.008
_CACHE_BYTES = 256 * 2**20


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

    There are at most two, however many channels the prediction has: the most probable class, where some channels are
    classes, and the probability of one channel, once one is chosen. Of a prediction without classes that is the first
    channel to begin with.

    Parameters
    ----------
    viewer, background :
        The window, and its helper thread for opening files.
    reader : SectionReader
        The thread that reads sections.
    space : VoxelSpace
        Voxel space of the volume.
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
        self._probability: Any = None
        self._channel: int | None = None
        self._new: list[Box] = []
        self._renewing = throttler(self, REFRESH_MS, self._renew)
        self._refreshing = throttler(self, REFRESH_MS // 2, self.refresh)
        self._add_timer = single_shot(self, 0, self._add_missing)
        self._arrived.connect(self._refreshing.throttle)
        self.uncertainty = UncertaintyLayer(viewer, reader, space, below, focus, self)
        self.uncertainty.failed.connect(self.failed)
        self.uncertainty.added.connect(self.added)
        self._has_failed = False
        self._is_visible = True
        self._of_classes: list[int] = []
        """Channels that are classes; without any there is no class layer, and the probability is shown instead."""
        self._numbers: tuple[int, ...] = ()
        """Numbers of these classes in the project; those that it does not have follow after its own."""

    @property
    def folder(self) -> Path | None:
        """Folder of the prediction that is shown, or about to be."""
        return self._folder

    @property
    def channel(self) -> int | None:
        """Number of the channel whose probability is on the canvas; None if there is none, or it is switched off."""
        layer = self._probability
        if self._channel is None or (layer is not None and not self._viewer.is_visible(layer)):
            return None
        return self._channel

    @property
    def legend(self) -> list[ClassInfo]:
        """Names and colours of the channels."""
        names = [] if self._source is None else self._source.channels
        colours = self._colours(names)
        pairs = enumerate(zip(names, colours, strict=True), start=1)
        return [ClassInfo(id=k, name=name, colour=colour) for k, (name, colour) in pairs]

    @property
    def layers(self) -> list[Any]:
        """The class layer, the probability's and that of the uncertainty, also those that the user deleted."""
        return [layer for layer in (self._layer, self._probability, self.uncertainty.layer) if layer is not None]

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
        """Soon read the voxels in view that are new on disk."""
        self._new += boxes
        self._renewing.throttle()

    def refresh(self) -> None:
        """Show the voxels that were read."""
        for layer in self.layers:
            self._viewer.refresh(layer)

    def set_classes(self, classes: Sequence[ClassInfo]) -> None:
        """Colours of the classes."""
        self._classes = list(classes)
        if self._source is None:
            return
        colours = self._colours(self._source.channels)
        shown = {number: colours[k] for number, k in zip(self._numbers, self._of_classes, strict=True)}
        self._viewer.set_colours(self._layer, shown)
        if self._channel is not None:
            self._viewer.set_colours(self._probability, colours[self._channel])

    def show_channel(self, channel: int | None) -> None:
        """Show the probability of a channel in place of another one's, or of none."""
        if channel is None:
            self._viewer.set_visible(self._probability, False)  # the layer stays: adding one costs a third of a second
        elif self._source is not None and channel < len(self._source.channels):
            self._channel = channel
            self._put_probability()
            self._add_missing()
            self._viewer.set_visible(self._probability, True)

    def toggle(self) -> None:
        """Switch the class layer, or the probability where there are no classes, off or on."""
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

    # ---- private

    @property
    def _first(self) -> Any:
        """The first layer of the prediction that is there."""
        return self._layer if self._layer is not None else self._probability

    def _opened(self, folder: Path, source: ChunkedArray) -> None:
        if folder != self._folder:  # another was requested meanwhile
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
        chosen = None if self._source is None or self._channel is None else self._source.channels[self._channel]
        self._source, self._has_failed = source, False
        self._of_classes = [k for k, role in enumerate(roles) if isinstance(role, ClassRole)]
        # Numbers follow names: a model may have the project's classes in another order.
        names = [source.channels[k] for k in self._of_classes]
        self._numbers, _ = class_numbers(names, [known.name for known in self._classes])
        of_classes, numbers = self._of_classes, self._numbers
        self._cache = SectionCache(
            lambda box: _with_classes(source.read(box), of_classes, numbers),
            self._shape,
            np.dtype(np.uint8),
            self._reader,
            n_planes=1 + len(source.channels),
            n_bytes=_CACHE_BYTES,
            patience_s=_PATIENCE_S,
            on_arrival=self._arrived.emit,
            on_error=self._report_once,
            focus=self._focus,
        )
        if not of_classes:
            self._viewer.remove(self._layer)
            self._layer = None
        elif self._layer is not None:
            self._viewer.set_data(self._layer, VolumeArray(self._cache, 0))
        self._choose_channel(chosen)
        self._put_probability()
        self._add_missing()
        self.set_classes(self._classes)
        self.uncertainty.put(source, of_classes)

    def _choose_channel(self, name: str | None) -> None:
        """Keep the channel that was looked at where the new prediction has one of its name."""
        assert self._source is not None
        names = self._source.channels
        self._channel = names.index(name) if name in names else None if self._of_classes else 0
        if self._channel is None:
            self._viewer.remove(self._probability)
            self._probability = None

    def _put_probability(self) -> None:
        """Let the layer of the probability show the chosen channel."""
        if self._cache is not None and self._channel is not None and self._probability is not None:
            style = self._probability_style(self._channel)
            self._viewer.set_data(self._probability, VolumeArray(self._cache, 1 + self._channel), style.name)
            self._viewer.set_colours(self._probability, str(style.colours))

    def _not_opened(self, folder: Path, error: PytcError) -> None:
        if folder == self._folder:
            self._folder = None
            self.failed.emit(error)

    def _class_style(self) -> LayerStyle:
        assert self._source is not None
        colours = self._colours(self._source.channels)
        shown = {number: colours[k] for number, k in zip(self._numbers, self._of_classes, strict=True)}
        return LayerStyle("Prediction", "prediction", shown, opacity=0.4, visible=self._is_visible)

    def _probability_style(self, channel: int) -> LayerStyle:
        assert self._source is not None
        return LayerStyle(
            f"P({self._source.channels[channel]})",
            "probability",
            self._colours(self._source.channels)[channel],
            opacity=0.7,
            visible=bool(self._of_classes) or self._is_visible,
            contrast_limits=(0.0, 255.0),
            blending="additive",
        )

    def _add_missing(self) -> None:
        """Add a layer that is not there yet, or no longer; the next in the next turn, for each takes napari a while."""
        if self._cache is None:
            return
        below = self._below()
        if self._of_classes and not self._viewer.has(self._layer):
            array = VolumeArray(self._cache, 0)
            self._layer = self._add(self._viewer.add_labels(array, self._space, self._class_style()), below)
        elif self._channel is not None and not self._viewer.has(self._probability):
            array, style = VolumeArray(self._cache, 1 + self._channel), self._probability_style(self._channel)
            below = self._layer if self._of_classes else below
            self._probability = self._add(self._viewer.add_image(array, self._space, style), below)

    def _add(self, layer: Any, below: Any) -> Any:
        self._viewer.put_below(layer, below)
        self.added.emit(layer)
        self._add_timer.start()
        return layer

    def _take_away(self) -> None:
        self._renewing.cancel()
        self._refreshing.cancel()
        self._add_timer.stop()
        self.uncertainty.put(None)
        for layer in self.layers:
            self._viewer.remove(layer)
        self._layer = self._probability = self._channel = None
        self._new = []
        if self._cache is not None:
            self._cache.close()
        self._source = self._cache = None

    def _renew(self) -> None:
        boxes, self._new = self._new, []
        if self._cache is not None:
            self._cache.renew(boxes)
            self.uncertainty.renew(boxes)

    def _report_once(self, error: PytcError) -> None:
        """Called in the reader's thread."""
        if not self._has_failed:
            self._has_failed = True
            self.failed.emit(error)

    def _colours(self, names: Sequence[str]) -> list[str]:
        """Colours by the classes' names; a class that was renamed since keeps the colour of its position."""
        by_name = {found.name: found.colour for found in self._classes}
        by_place = [found.colour for found in self._classes]
        return [
            by_name.get(name) or (by_place[k] if k < len(by_place) else PALETTE[k % len(PALETTE)])
            for k, name in enumerate(names)
        ]


def _with_classes(probabilities: np.ndarray, of_classes: Sequence[int], numbers: Sequence[int]) -> np.ndarray:
    """The number of the most probable of the channels that are classes, 0 where there are none, then all channels."""
    if not of_classes:
        return np.concatenate([np.zeros_like(probabilities[:1]), probabilities])
    classes = probabilities if len(of_classes) == len(probabilities) else probabilities[list(of_classes)]
    found = np.array([0, *numbers], np.uint8)[most_probable(classes)]
    return np.concatenate([found[None], probabilities])
