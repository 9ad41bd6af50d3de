"""Layers that are too large for 3D display are switched off in it, and on again afterwards."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from napari_pytc.ui.canvas.arrays import MOST_BYTES
from napari_pytc.ui.canvas.viewer.port import ViewerPort


class HideIn3D:
    """Switches layers off in 3D display and on again after it; see `LazyArray` for what they would do in 3D.

    Parameters
    ----------
    viewer : ViewerPort
        The window.
    n_voxels : int
        Of the volume that all of them show.
    """

    def __init__(self, viewer: ViewerPort, n_voxels: int) -> None:
        self._viewer, self._n_voxels = viewer, n_voxels
        self._hidden: list[Any] = []

    def update(self, item_sizes: Mapping[Any, int]) -> None:
        """The display may be another one: switch layers off or on. Given are the bytes of a voxel by layer."""
        if not self._viewer.is_3d():
            hidden, self._hidden = self._hidden, []
            for layer in hidden:
                self._viewer.set_visible(layer, True)
            return
        for layer, size in item_sizes.items():
            if self._n_voxels * size > MOST_BYTES and self._viewer.is_visible(layer):
                self._viewer.set_visible(layer, False)
                self._hidden.append(layer)
        if self._hidden:
            self._viewer.show_status("The volume is too large for 3D display; its layers come back in 2D.")
