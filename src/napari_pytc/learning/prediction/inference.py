"""Inference of one block: memory format, precision, copies, and fallbacks when memory runs out."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch

from napari_pytc.errors import ModelError, OutOfMemory
from napari_pytc.geometry import Box, Shape, TileGrid, distinct
from napari_pytc.learning.machine.precision import Precision, autocast_for
from napari_pytc.learning.networks.network import Network
from napari_pytc.learning.prediction.copies import Accumulator, DirectedCopies, brought_back, with_reach
from napari_pytc.learning.prediction.network_inferer import NetworkInferer
from napari_pytc.learning.prediction.predictor import ReadImage
from napari_pytc.plans.networks import NetworkLimits

_LEAST_VOXELS = 32**3


class Inferer(NetworkInferer):
    """Probabilities of a block of normalised intensities.

    When memory runs out the block is computed in halves, quarters and so on, then on the CPU; results stay the same,
    because the pieces overlap by the network's halo. The number of pieces is kept for the blocks to come.

    Parameters
    ----------
    limits : NetworkLimits
        Those of the network.
    options
        ``tta``, ``warn``, ``roles`` and ``kept`` of a `NetworkInferer`.
    """

    def __init__(
        self, network: Network, limits: NetworkLimits, device: torch.device, precision: Precision, **options: Any
    ) -> None:
        super().__init__(network, device, precision, **options)
        self.limits = with_reach(limits, self._activation.roles, self._orientations)
        self._halvings = 0

    def __call__(self, image: np.ndarray, inner: Box) -> torch.Tensor:
        """Probabilities of the voxels of `inner`.

        Parameters
        ----------
        image : ndarray
            (c, z, y, x) float32, its first voxel at a multiple of the network's alignment in the volume.
        inner : Box
            The voxels to keep.

        Returns
        -------
        Tensor
            (k, *inner.shape) float32 on the CPU.
        """
        return self._compute(lambda: self._in_pieces(image, inner), lambda: self._step_down(inner))

    def predict_box(self, read: ReadImage, box: Box, whole: Box) -> torch.Tensor:
        """Probabilities (k, *box.shape) of a box of a volume; see `BoxInferer`."""
        seen = box.grow(self.limits.halo).aligned(self.limits.alignment).intersect(whole)
        return self(read(seen), box.relative_to(seen.start))

    def _step_down(self, inner: Box) -> None:
        pieces = 2**self._halvings
        if inner.size / (2 * pieces) >= _LEAST_VOXELS:
            self._halvings += 1
            self._warn(f"Out of memory with a tile in {pieces} piece(s) on {self.device}; trying {2 * pieces}.")
        elif self.device.type != "cpu":
            self._warn(f"Out of memory on {self.device} even in small pieces; going on with the CPU.")
            self._halvings = 0
            self._go_on_with_the_cpu()
        else:
            raise OutOfMemory(
                f"There is not enough memory to predict a tile of {inner.shape} voxels, even in {pieces} pieces.",
                "Close other programs, or set a smaller tile_shape.",
            )

    def _in_pieces(self, image: np.ndarray, inner: Box) -> torch.Tensor:
        if not self._halvings:
            return self._forward(image, inner)
        grid = TileGrid(
            inner, self._piece(inner.shape), self.limits.halo, Box.of_shape(image.shape[1:]), self.limits.alignment
        )
        parts: torch.Tensor | None = None
        for tile in grid:
            part = self._forward(np.ascontiguousarray(image[(..., *tile.read.slices)]), tile.inner)
            if parts is None:
                parts = torch.empty(part.shape[0], *inner.shape)
            parts[(slice(None), *tile.write.relative_to(inner.start).slices)] = part
        if parts is None:
            raise ModelError(f"There is no voxel to predict in {inner}.")
        return parts

    def _piece(self, shape: Shape) -> Shape:
        piece = list(shape)
        for _ in range(self._halvings):
            axis = int(np.argmax(piece))
            piece[axis] = -(-piece[axis] // 2)
        return (piece[0], piece[1], piece[2])

    def _forward(self, image: np.ndarray, inner: Box) -> torch.Tensor:
        shown = Box.of_shape(image.shape[1:])
        missing = [-n % a for n, a in zip(shown.shape, self.limits.alignment, strict=True)]
        if any(missing):
            image = np.pad(image, [(0, 0), *((0, n) for n in missing)], "symmetric")
        block = self.precision.place(torch.from_numpy(image)[None].to(self.device))
        with torch.inference_mode(), autocast_for(self.device, self.precision):
            found = (self._directed if self._is_directed else self._undirected)(block, inner, shown)
            if self._combines_logits:
                found = self._activation.probabilities(found)
        return self._activation.kept(found).cpu()

    def _undirected(self, block: torch.Tensor, inner: Box, shown: Box) -> torch.Tensor:
        """The combination of copies whose channels are each about the same voxel."""
        copies, shape = Accumulator(self._modes), Box.of_shape(block.shape[2:]).shape
        for one in distinct(self._orientations, shape):
            logits = self.network.forward_inner(self._copy(block, one), one.box(inner, shape))
            copies.add(self._combined(brought_back(logits, one)[0]))
        return copies.result

    def _directed(self, block: torch.Tensor, inner: Box, shown: Box) -> torch.Tensor:
        """The combination of copies where a channel is about another voxel, or is another one."""
        copies = DirectedCopies(self._activation, inner, shown, self._modes, self._combines_logits)
        for one in distinct(self._orientations, block.shape[2:]):
            copy = self._copy(block, one)
            logits = self.network.forward_inner(copy, Box.of_shape(copy.shape[2:]))
            copies.add(self._combined(brought_back(logits, one)[0]), one)
        return copies.result

    def _combined(self, logits: torch.Tensor) -> torch.Tensor:
        """What copies are combined of."""
        return logits.to(torch.float32, copy=True) if self._combines_logits else self._activation.probabilities(logits)
