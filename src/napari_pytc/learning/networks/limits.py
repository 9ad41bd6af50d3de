"""Measurement of a network's halo and alignment."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import torch
from torch import nn

from napari_pytc.errors import ModelError
from napari_pytc.geometry import Shape
from napari_pytc.learning.machine.memory import is_out_of_memory
from napari_pytc.learning.networks.every_voxel_counts import EveryVoxelCounts
from napari_pytc.plans.networks.base import NetworkLimits

_CANDIDATES = (1, 2, 3, 4, 6, 8, 9, 12, 16, 18, 24, 27, 32)
_ACROSS = (16, 24, 32, 36, 96)
"""Lengths along the axes that are not measured: the first that the network takes."""
_SAME = 1e-4
_FARTHEST = 512


def measure_limits(network: nn.Module, n_inputs: int = 1, alignment: Shape | None = None) -> NetworkLimits:
    """The halo and alignment of a network in eval mode, which takes images of `n_inputs` channels.

    The alignment is the smallest multiple at which the network returns the shape of its input and treats a shifted
    image alike; the halo is how far the gradient of an aligned block of outputs reaches into the input, rounded up to
    whole blocks, so that it also holds for tiles that begin within one. The gradient is taken with `EveryVoxelCounts`,
    so that it reaches what an output depends on for any image, not only for one.

    Parameters
    ----------
    alignment : Shape, optional
        The alignment, where the architecture tells: a deep network with random weights depends so little on its deepest
        level that it treats images alike which are shifted by less than its stride.

    Raises
    ------
    ModelError
        If there is no such multiple up to 32, an output depends on the whole image (instance norm, attention), or the
        network has an operation whose reach cannot be measured (sorting, indices of maxima).
    """
    was_training = network.training
    network.eval()
    try:
        probe = _Probe(network, n_inputs, alignment)
        if alignment is None:
            keeping = probe.alignment()
            found = [probe.limits_along(axis, keeping[axis]) for axis in range(3)]
        else:
            found = [(probe.halo(axis, block), block) for axis, block in enumerate(alignment)]
    finally:
        network.train(was_training)
    halo, blocks = zip(*found, strict=True)
    return NetworkLimits(halo=halo, alignment=blocks)


@contextmanager
def _ones_for_zeros(network: nn.Module) -> Iterator[None]:
    """Weights that are all 0 are 1 meanwhile: a scale of 0 hides what a network looks at once it has learnt."""
    zeros = [parameter for parameter in network.parameters() if not parameter.any()]
    for parameter in zeros:
        parameter.data.fill_(1.0)
    try:
        yield
    finally:
        for parameter in zeros:
            parameter.data.zero_()


@contextmanager
def _constant_weights(network: nn.Module) -> Iterator[None]:
    """Only what depends on the image has gradients meanwhile."""
    learnt = [parameter for parameter in network.parameters() if parameter.requires_grad]
    for parameter in learnt:
        parameter.requires_grad_(False)
    try:
        yield
    finally:
        for parameter in learnt:
            parameter.requires_grad_()


class _Probe:
    """Trials of a network on images of random intensities."""

    def __init__(self, network: nn.Module, n_inputs: int, alignment: Shape | None) -> None:
        self._network, self._n_inputs = network, n_inputs
        if alignment is None:
            across = next((n for n in _ACROSS if self._keeps_shape([n, n, n])), _ACROSS[0])
            self._across = [across, across, across]
        else:
            self._across = [2 * a if a > 1 else 1 for a in alignment]

    def alignment(self) -> Shape:
        """The smallest multiples at which the network keeps the shape."""
        found = [1, 1, 1]
        for axis in range(3):
            for candidate in _CANDIDATES:
                shape = list(self._across)
                # An odd number of them: a length that a multiple of the candidate's divisors alone would not pass; no
                # shorter than what the network takes at all, since one that pads what does not fit has a shortest.
                shape[axis] = candidate * max(7, -(-self._across[axis] // candidate) | 1)
                if self._keeps_shape(shape):
                    found[axis] = candidate
                    break
            else:
                raise ModelError(
                    f"The network takes no multiple of up to {_CANDIDATES[-1]} voxels along axis {axis}.",
                    "Choose a network with fewer levels.",
                )
        return (found[0], found[1], found[2])

    def limits_along(self, axis: int, multiple: int) -> tuple[int, int]:
        """Halo and alignment along an axis: a network may keep every shape by padding and still have strides."""
        for block in (c for c in _CANDIDATES if c % multiple == 0):
            halo = self.halo(axis, block)
            if self._is_alike_when_shifted(axis, block, halo):
                return halo, block
        raise ModelError(
            f"The network treats places along axis {axis} differently, at any multiple of up to {_CANDIDATES[-1]} "
            "voxels.",
            "Let it override `limits`, and expect tiles to differ a little.",
        )

    def halo(self, axis: int, block: int, radius: int = 64) -> int:
        """How far a block of outputs looks along an axis, in whole blocks."""
        length = math.ceil(radius / block) * block
        image = self._image(axis, 2 * length + block).requires_grad_()
        with _ones_for_zeros(self._network):
            output = self._counting_every_voxel(image).narrow(axis + 2, length, block)
            weights = torch.randn(output.shape, generator=torch.Generator().manual_seed(1)).to(output)
            (gradient,) = torch.autograd.grad((output * weights).sum(), image)
        others = [a + 2 for a in range(3) if a != axis]
        reached = gradient.abs().sum(dim=[0, 1, *others]).nonzero().flatten()
        if not len(reached):
            return 0
        reach = max(length - int(reached.min()), int(reached.max()) - (length + block - 1), 0)
        if reach < length:
            return -(-reach // block) * block
        if radius >= _FARTHEST:
            raise ModelError(
                f"The network looks further than {_FARTHEST} voxels along axis {axis}, perhaps at the whole image.",
                'Let its settings return "windows" from `tiles`: it is then predicted in overlapping windows.',
            )
        return self.halo(axis, block, radius * 2)

    def _counting_every_voxel(self, image: torch.Tensor) -> torch.Tensor:
        """The network's output for an image, of which every voxel counts."""
        try:
            with _constant_weights(self._network), EveryVoxelCounts():
                found: torch.Tensor = self._network(image)
        except (RuntimeError, TypeError, IndexError) as error:
            if is_out_of_memory(error):
                raise
            with torch.no_grad():
                self._network(image)  # raises as it is where that has nothing to do with the measurement
            why = str(error).partition("\n")[0]
            raise ModelError(
                "It cannot be measured how far the network looks: with means for maxima and differences for conditions "
                f"it fails ({why}).",
                EveryVoxelCounts.hint,
            ) from error
        if not found.requires_grad:
            raise ModelError("The network's output does not depend on the image.", EveryVoxelCounts.hint)
        return found

    def _keeps_shape(self, shape: Sequence[int]) -> bool:
        # Zeros suffice, since only shapes matter.
        image = torch.zeros(1, self._n_inputs, *shape, device=next(self._network.parameters()).device)
        try:
            with torch.no_grad():
                return bool(self._network(image).shape[2:] == image.shape[2:])
        except (RuntimeError, ValueError):
            return False

    def _image(self, axis: int, length: int) -> torch.Tensor:
        shape = list(self._across)
        shape[axis] = length
        parameter = next(self._network.parameters())
        generator = torch.Generator().manual_seed(0)
        image = torch.randn(1, self._n_inputs, *shape, generator=generator)
        return image.to(parameter.device, parameter.dtype)

    def _is_alike_when_shifted(self, axis: int, block: int, halo: int) -> bool:
        """Whether leaving out the first block of an image only shifts what comes out, beyond the halo."""
        dim = axis + 2
        n_kept = max(8, 4 * block)
        image = self._image(axis, 2 * halo + n_kept + block)
        with torch.no_grad():
            whole = self._network(image).narrow(dim, block + halo, n_kept)
            later = self._network(image.narrow(dim, block, 2 * halo + n_kept)).narrow(dim, halo, n_kept)
        return bool((whole - later).abs().max() <= _SAME * (1 + whole.abs().max()))
