"""A network applied to one block: memory format, precision, flips, and what happens when memory runs out."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from itertools import product

import numpy as np
import torch
from torch import nn

from napari_pytc.errors import ModelError, OutOfMemory
from napari_pytc.geometry import Box, Shape, TileGrid
from napari_pytc.learning.answers import Answers, FlipMean
from napari_pytc.learning.arithmetic import Arithmetic, autocast_for
from napari_pytc.learning.memory import is_out_of_memory, release_memory
from napari_pytc.learning.networks import NetworkLimits
from napari_pytc.volumes.channels import ChannelRole

_LEAST_VOXELS = 32**3


class Inferer:
    """Probabilities of a block of normalised intensities.

    When memory runs out the block is computed in halves, quarters and so on, then on the CPU; results stay the same,
    because the pieces overlap by the network's halo. What was learnt is kept for the blocks to come.

    Parameters
    ----------
    network : Module
        In eval mode: (b, 1, z, y, x) to logits (b, k, z, y, x).
    limits : NetworkLimits
        Those of the network.
    flips : bool
        Average over mirrored copies.
    warn : callable
        Told each step down.
    roles : sequence of ChannelRole
        What the channels mean, where they are no classes.
    """

    def __init__(
        self,
        network: nn.Module,
        limits: NetworkLimits,
        device: torch.device,
        arithmetic: Arithmetic,
        *,
        flips: bool = False,
        warn: Callable[[str], None] = lambda _: None,
        roles: Sequence[ChannelRole] = (),
    ) -> None:
        self._answers = Answers(roles)
        self.network = network
        self.limits = self._answers.with_reach(limits) if flips else limits
        self.device = device
        self.arithmetic = arithmetic
        self._flips = flips
        self._warn = warn
        self._halvings = 0
        # A filter bank computes its fine scales where they are kept only, if told so.
        self._takes_inner = getattr(network, "takes_inner", False)

    def __call__(self, image: np.ndarray, inner: Box) -> torch.Tensor:
        """Probabilities of the voxels of `inner`.

        Parameters
        ----------
        image : ndarray
            (z, y, x) float32, its first voxel at a multiple of the network's alignment in the volume.
        inner : Box
            What to keep of it.

        Returns
        -------
        Tensor
            (k, *inner.shape) float32 on the CPU.
        """
        while True:
            try:
                return self._finite(image, inner)
            except (RuntimeError, MemoryError) as error:
                if not is_out_of_memory(error):
                    raise
            # Outside of the handler: the error's traceback would hold the tensors that are to be released.
            release_memory(self.device)
            self._step_down(inner)

    def _finite(self, image: np.ndarray, inner: Box) -> torch.Tensor:
        found = self._in_pieces(image, inner)
        if torch.isfinite(found.sum()):  # a sum keeps what is not finite, and needs no memory for an answer a voxel
            return found
        if self.arithmetic.precision == "float32":
            raise ModelError(
                "The network returned values that are not finite numbers.", "Train it again with a lower learning_rate."
            )
        self._warn(f"Not all probabilities were finite in {self.arithmetic.precision}; going on in float32.")
        self.arithmetic = Arithmetic("float32", self.arithmetic.channels_last)
        return self._finite(image, inner)

    def _step_down(self, inner: Box) -> None:
        pieces = 2**self._halvings
        if inner.size / (2 * pieces) >= _LEAST_VOXELS:
            self._halvings += 1
            self._warn(f"Out of memory with a tile in {pieces} piece(s) on {self.device}; trying {2 * pieces}.")
        elif self.device.type != "cpu":
            self._warn(f"Out of memory on {self.device} even in small pieces; going on with the CPU.")
            self.device, self._halvings = torch.device("cpu"), 0
            self.arithmetic = Arithmetic()
            self.network = self.network.to(self.device)
        else:
            raise OutOfMemory(
                f"There is not enough memory to predict a tile of {inner.shape} voxels, even in {pieces} pieces.",
                "Close other programs, or set a smaller tile_shape.",
            )

    def _in_pieces(self, image: np.ndarray, inner: Box) -> torch.Tensor:
        if not self._halvings:
            return self._forward(image, inner)
        grid = TileGrid(
            inner, self._piece(inner.shape), self.limits.halo, Box.of_shape(image.shape), self.limits.alignment
        )
        parts: torch.Tensor | None = None
        for tile in grid:
            part = self._forward(np.ascontiguousarray(image[tile.read.slices]), tile.inner)
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
        shown = Box.of_shape(image.shape)
        missing = [-n % a for n, a in zip(image.shape, self.limits.alignment, strict=True)]
        if any(missing):
            image = np.pad(image, [(0, n) for n in missing], "symmetric")
        block = self.arithmetic.place(torch.from_numpy(image)[None, None].to(self.device))
        with torch.inference_mode(), autocast_for(self.device, self.arithmetic):
            if self._flips and self._answers.is_directed:
                return self._directed_mean(block, inner, shown)
            total: torch.Tensor | None = None
            n = 0
            for axes in self._mirrored(block):
                kept = self._logits(block.flip(axes), _mirror(inner, block, axes)).flip(axes)
                probabilities = self._answers.probabilities(kept[0])
                total, n = (probabilities if total is None else total.add_(probabilities)), n + 1
        assert total is not None
        return (total / n if n > 1 else total).cpu()

    def _directed_mean(self, block: torch.Tensor, inner: Box, shown: Box) -> torch.Tensor:
        """The mean over flips where a mirrored channel is about another voxel."""
        mean, whole = FlipMean(self._answers, inner, shown), Box.of_shape(block.shape[2:])
        for axes in self._mirrored(block):
            logits = self._logits(block.flip(axes), whole).flip(axes)
            mean.add(self._answers.probabilities(logits[0]), [axis - 2 for axis in axes])
        return mean.mean.cpu()

    def _logits(self, block: torch.Tensor, inner: Box) -> torch.Tensor:
        if self._takes_inner:
            cut: torch.Tensor = self.network(block, inner)
            return cut
        logits: torch.Tensor = self.network(block)
        return logits[(..., *inner.slices)]

    def _mirrored(self, block: torch.Tensor) -> Iterator[list[int]]:
        axes = [axis for axis in (2, 3, 4) if block.shape[axis] > 1] if self._flips else []
        for chosen in product((False, True), repeat=len(axes)):
            yield [axis for axis, flip in zip(axes, chosen, strict=True) if flip]


def _mirror(inner: Box, block: torch.Tensor, axes: list[int]) -> Box:
    """Where the voxels of a box lie after the block was flipped."""
    start, stop = list(inner.start), list(inner.stop)
    for axis in axes:
        length = block.shape[axis]
        start[axis - 2], stop[axis - 2] = length - inner.stop[axis - 2], length - inner.start[axis - 2]
    return Box((start[0], start[1], start[2]), (stop[0], stop[1], stop[2]))
