"""The layers of a project's image: one, in grey, or one a channel, whose colours are added up."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from qtpy.QtCore import QObject, Signal

from napari_pytc.errors import PytcError
from napari_pytc.geometry import VoxelSpace
from napari_pytc.ui.canvas.arrays import FileArray, VolumeArray
from napari_pytc.ui.canvas.contrast import find_contrast, widest
from napari_pytc.ui.canvas.section_cache import SectionCache, SectionReader
from napari_pytc.ui.canvas.viewer.port import LayerStyle, ViewerPort
from napari_pytc.ui.tasks.background import Background
from napari_pytc.ui.tasks.timers import single_shot
from napari_pytc.volumes.channel_colours import channel_colour
from napari_pytc.volumes.image import channel_titles
from napari_pytc.volumes.source import ImageSource

_REFRESH_MS = 60


class ImageLayers(QObject):
    """Shows an image in a viewer, from one cache of its sections. All methods belong to the Qt thread.

    Parameters
    ----------
    viewer : ViewerPort
        The window.
    image : ImageSource
        The image; of several channels each is a layer.
    title : callable
        The name of the layer, or the beginning of the names.
    reader : SectionReader
        The thread that reads.
    background : Background
        For the samples from which the contrast is found.
    on_added : callable
        Called with each layer that is shown.
    focus : callable
        The voxel whose surroundings are read first.
    own : sequence
        The user's layers that show the channels already, one a channel: they are the layers, and stay at the end.
    """

    failed = Signal(object)
    """A `PytcError`, once: an image that went away would fail for every piece."""
    _arrived = Signal()

    def __init__(
        self,
        viewer: ViewerPort,
        image: ImageSource,
        space: VoxelSpace,
        title: Callable[[], str],
        reader: SectionReader,
        background: Background,
        on_added: Callable[[Any], object],
        focus: Callable[[], Sequence[float]],
        own: Sequence[Any] = (),
        parent: QObject | None = None,
    ) -> None:
        super().__init__(parent)
        self._viewer, self._image, self._space, self._title, self._on_added = viewer, image, space, title, on_added
        self._is_open, self._has_failed = True, False
        n = image.n_channels
        self._cache = SectionCache(
            image.read if n > 1 else image.channels[0].read,
            image.shape,
            np.dtype(image.dtype),
            reader,
            n_planes=n if n > 1 else 0,
            on_arrival=self._arrived.emit,
            on_error=self._report_once,
            focus=focus,
        )
        self._timer = single_shot(self, _REFRESH_MS, self._refresh)
        self._arrived.connect(self._on_arrived)
        self._layers: list[Any] = [None] * n
        self._own_data: dict[int, FileArray] = {}
        self.own: tuple[Any, ...] = ()
        """The user's layers that are the image's; empty where ours are."""
        if len(own) == n and all(viewer.has(layer) for layer in own):
            self.own = tuple(own)
            for place, layer in enumerate(own):
                self._adopt(place, layer)
        self.restore()
        if not self.own:
            for place, channel in enumerate(image.channels):
                find_contrast(viewer, channel, self._still_open(place), background)

    @property
    def layers(self) -> tuple[Any, ...]:
        """The layers, one a channel; the user may have deleted some."""
        return tuple(self._layers)

    @property
    def main(self) -> Any:
        """The layer whose voxels stand for the view: the first that is still there."""
        return next((layer for layer in self._layers if self._viewer.has(layer)), self._layers[0])

    @property
    def bytes_in_3d(self) -> dict[Any, int]:
        """Bytes of a voxel that each layer of ours has in memory, for all channels are read at once.

        The user's own layers are the user's to switch.
        """
        size = np.dtype(self._image.dtype).itemsize * self._image.n_channels
        return {layer: size for layer in self._layers if layer not in self.own}

    def restore(self) -> None:
        """Put back the layers that the user deleted, below all others of ours."""
        added = []
        n = self._image.n_channels
        titles = channel_titles(self._image) if n > 1 else ("",)
        for place, channel in enumerate(self._image.channels):
            if self._viewer.has(self._layers[place]):
                continue
            style = LayerStyle(self._title(), "image", contrast_limits=widest(channel))
            if n > 1:
                style = LayerStyle(
                    f"{self._title()}: {titles[place]}",
                    f"image {place}",
                    channel_colour(place, n, titles[place]),
                    contrast_limits=widest(channel),
                    blending="additive",
                )
            layer = self._viewer.add_image(VolumeArray(self._cache, place if n > 1 else None), self._space, style)
            self._layers[place] = layer
            self._on_added(layer)
            added.append(layer)
        for layer in reversed(added):
            self._viewer.put_lowest(layer)

    def close(self) -> None:
        """Take our layers away and give the user's back."""
        self._is_open = False
        self._timer.stop()
        for place, layer in enumerate(self._layers):
            if layer not in self.own:
                self._viewer.remove(layer)
                continue
            if place in self._own_data:
                self._viewer.set_data(layer, self._own_data[place])
            self._viewer.release_image(layer)
        self._cache.close()

    # ---- private

    def _adopt(self, place: int, layer: Any) -> None:
        """Take a layer of the user's for a channel."""
        self._layers[place] = layer
        self._viewer.adopt_image(layer, self._space)
        if isinstance(layer.data, FileArray):  # it reads in the window's thread; our cache reads ahead of the scrolling
            self._own_data[place] = layer.data
            plane = place if self._image.n_channels > 1 else None
            self._viewer.set_data(layer, VolumeArray(self._cache, plane))
        self._on_added(layer)

    def _still_open(self, place: int) -> Callable[[], Any]:
        return lambda: self._layers[place] if self._is_open else None

    def _on_arrived(self) -> None:
        if self._is_open and not self._timer.isActive():
            self._timer.start()

    def _refresh(self) -> None:
        for layer in self._layers:
            self._viewer.refresh(layer)

    def _report_once(self, error: PytcError) -> None:
        """Report an error from the reader's thread."""
        if not self._has_failed:
            self._has_failed = True
            self.failed.emit(error)
