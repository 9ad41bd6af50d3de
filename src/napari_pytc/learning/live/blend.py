"""The network's prediction of the view, updated at once by what the instant model has learnt since.

A network needs seconds to learn a stroke and seconds more to predict a view; users want to see an effect before.
Its probabilities of a tile are cached, and moved by how much the instant model's log-probabilities have changed since
the network's weights were taken (a product of experts, Hinton 2002, one of which is replaced). New weights of the
network start over.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from napari_pytc.caching import ByteBoundedCache
from napari_pytc.geometry import Box
from napari_pytc.learning.live.instant import InstantModel

_LEAST = 1e-4
_MOST_TILES = 512


class Blend:
    """The network's probabilities of tiles, moved by the instant model.

    Parameters
    ----------
    instant : InstantModel
        Fitted after every stroke.
    reference : InstantModel
        Another one of its kind, which takes the weights of the moment of `reset`.
    """

    def __init__(self, instant: InstantModel, reference: InstantModel) -> None:
        self._instant, self._reference = instant, reference
        self._tiles: ByteBoundedCache[Box, Tensor] = ByteBoundedCache(_MOST_TILES, size_of=lambda tile: 1)
        self.is_changed = False
        """Whether the instant model was fitted again since `reset`."""

    def reset(self) -> None:
        """Start over with new weights of the network, which have learnt all strokes."""
        self._tiles.clear()
        self.is_changed = False
        self._reference.network.load_state_dict(self._instant.network.state_dict())

    def mark_changed(self) -> None:
        """Note that the instant model was fitted again."""
        self.is_changed = True

    def has_tile(self, box: Box) -> bool:
        """Whether the network's probabilities of a tile are cached."""
        return box in self._tiles

    @torch.inference_mode()
    def probabilities(self, box: Box, network: Callable[[Box], Tensor], features: Callable[[Box], Tensor]) -> Tensor:
        """Probabilities (k, *box.shape) of a tile.

        Parameters
        ----------
        network : callable
            Gives its probabilities (k, *box.shape) of a tile.
        features : callable
            Gives the features of a tile.
        """
        before = self._tiles.find(box)
        if before is None:
            before = network(box)
            self._tiles.put(box, before.half())
        before = before.float()
        if not self.is_changed:
            return before
        seen = features(box)
        new, old = (model.probabilities(seen).clamp_(min=_LEAST).log_() for model in (self._instant, self._reference))
        moved = before.clamp(min=_LEAST).log() + (new - old).reshape(before.shape)
        return moved.softmax(0)
