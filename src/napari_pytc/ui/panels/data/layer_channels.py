"""Channels of the user's layers as arrays, to be copied into a project."""

from __future__ import annotations

from typing import Any

import numpy as np

from napari_pytc.ui.canvas.viewer.layer_choice import LayerChoice
from napari_pytc.volumes.layout import mixed_to_grey
from napari_pytc.volumes.spec import ChannelChoice


class LayerChannel:
    """A position along an axis of a layer's data, or its colours mixed to grey; read where it is sliced.

    Parameters
    ----------
    data : array-like
        NumPy, dask, or anything else that napari shows.
    axis : int
        The axis of the channels, from 0.
    number : int, optional
        The channel; None for the colours, mixed to grey.
    """

    def __init__(self, data: Any, axis: int, number: int | None) -> None:
        self._data, self._axis, self._number = data, axis, number
        self.shape = tuple(int(n) for k, n in enumerate(data.shape) if k != axis)
        self.dtype = np.dtype(data.dtype)

    def __getitem__(self, index: tuple[slice, ...]) -> np.ndarray:
        whole = list(index)
        whole.insert(self._axis, slice(None) if self._number is None else slice(self._number, self._number + 1))
        block = np.asarray(self._data[tuple(whole)])
        return np.take(mixed_to_grey(block, self._axis) if self._number is None else block, 0, self._axis)


def arrays_of(choices: tuple[LayerChoice, ...], channel: ChannelChoice) -> Any:
    """The data of layers: one array, or a tuple of one a channel.

    Parameters
    ----------
    choices : tuple of LayerChoice
        Several of one channel each, or one.
    channel : int, tuple, "all" or None
        Of one with several channels: which; None mixes its colours to grey.
    """
    if len(choices) > 1:
        return tuple(finest(one) for one in choices)
    (choice,) = choices
    data, axis = finest(choice), choice.channel_axis
    if axis is None:
        return data
    if channel is None:
        return LayerChannel(data, axis, None)
    if isinstance(channel, int):
        return LayerChannel(data, axis, channel)
    n = min(choice.n_channels, 3) if choice.is_colour else choice.n_channels  # without the transparency
    return tuple(LayerChannel(data, axis, number) for number in (range(n) if channel == "all" else channel))


def finest(choice: LayerChoice) -> Any:
    """The layer's voxels; of a pyramid the finest."""
    layer = choice.layer
    return layer.data[0] if layer.multiscale else layer.data
