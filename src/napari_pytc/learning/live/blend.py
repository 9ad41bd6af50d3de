"""The network's view, brought up to date at once by what the instant model learnt since.

A network needs seconds to learn a stroke and seconds more to predict a view; who paints wants to see something before.
Its logits of a tile are kept, and moved by how much those of the instant model changed since the network's weights were
taken (a product of experts, Hinton 2002, one of which is renewed). With the next weights of the network it begins anew.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable

import torch
from torch import Tensor

from napari_pytc.geometry import Box
from napari_pytc.learning.live.instant import InstantModel

_LEAST = 1e-4
_MOST_TILES = 512


class Blend:
    """Tiles of the network's view as it was and as it is.

    Parameters
    ----------
    instant : InstantModel
        Learns after every stroke.
    reference : InstantModel
        Another one of its kind, for what it was.
    """

    def __init__(self, instant: InstantModel, reference: InstantModel) -> None:
        self._instant, self._reference = instant, reference
        self._tiles: OrderedDict[Box, Tensor] = OrderedDict()
        self.is_changed = False
        """Whether the instant model learnt more since the network's weights were taken."""

    def begin(self) -> None:
        """The network has new weights, which know what the instant model knows."""
        self._tiles.clear()
        self.is_changed = False
        self._reference.network.load_state_dict(self._instant.network.state_dict())

    def note_change(self) -> None:
        """The instant model learnt more."""
        self.is_changed = True

    def knows(self, box: Box) -> bool:
        """Whether the network need not be asked for a tile."""
        return box in self._tiles

    @torch.inference_mode()
    def probabilities(self, box: Box, network: Callable[[Box], Tensor], features: Callable[[Box], Tensor]) -> Tensor:
        """Probabilities (k, *box.shape) of a tile.

        Parameters
        ----------
        network : callable
            Its probabilities (k, *box.shape) of a tile that was not predicted yet.
        features : callable
            What the instant model sees of a tile.
        """
        before = self._tiles.get(box)
        if before is None:
            before = network(box)
            self._tiles[box] = before.half()
            if len(self._tiles) > _MOST_TILES:
                self._tiles.popitem(last=False)
        before = before.float()
        if not self.is_changed:
            return before
        seen = features(box)
        new, old = (model.probabilities(seen).clamp_(min=_LEAST).log_() for model in (self._instant, self._reference))
        moved = before.clamp(min=_LEAST).log() + (new - old).reshape(before.shape)
        return moved.softmax(0)
