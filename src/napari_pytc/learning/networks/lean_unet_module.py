"""The network of `LeanUNetNetwork`."""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import pairwise

import torch
from torch import Tensor, nn

from napari_pytc.geometry import Shape, VoxelSpace
from napari_pytc.learning.networks.network import Network
from napari_pytc.plans.networks.lean_unet import LeanUNetNetwork


class LeanUNet(Network):
    """A U-Net between folding blocks of voxels into channels and unfolding them.

    ::

        image -- fold -- level 0 ----------------- level 0 -- 1x1x1 -- unfold -- logits
                            | stride                | stride
                         level 1 ----------------- level 1
                            |          ...          |

    Parameters
    ----------
    n_outputs : int
        Channels of the logits.
    channels : sequence of int
        Feature maps of each level.
    block : Shape
        Voxels along each axis that are folded into channels.
    strides : sequence of Shape
        From each level to the next.
    kernels : sequence of Shape
        Kernel sizes of the convolutions of each level.
    n_convolutions : int
        Convolutions of each level on the way down.
    n_inputs : int
        Channels of the image.
    """

    def __init__(
        self,
        n_outputs: int,
        channels: Sequence[int],
        block: Shape,
        strides: Sequence[Shape],
        kernels: Sequence[Shape],
        n_convolutions: int,
        n_inputs: int = 1,
    ) -> None:
        super().__init__()
        self._block = block
        folded = math.prod(block)
        self.first = _convolutions(n_inputs * folded, channels[0], _deep_last(kernels[0], n_convolutions))
        self.down, self.up, self.join = nn.ModuleList(), nn.ModuleList(), nn.ModuleList()
        for level, (fine, coarse) in enumerate(pairwise(channels)):
            stride = strides[level]
            self.down.append(
                nn.Sequential(
                    nn.Conv3d(fine, coarse, stride, stride, bias=False),
                    nn.BatchNorm3d(coarse),
                    nn.LeakyReLU(inplace=True),
                    _convolutions(coarse, coarse, _deep_last(kernels[level + 1], n_convolutions)),
                )
            )
            self.up.append(nn.ConvTranspose3d(coarse, fine, stride, stride))
            self.join.append(_convolutions(2 * fine, fine, [kernels[level]]))
        self.last = nn.Conv3d(channels[0], n_outputs * folded, 1)

    def forward(self, image: Tensor) -> Tensor:
        """Logits (b, k, z, y, x) of a normalised image (b, c, z, y, x)."""
        features = self.first(self._laid_out(_fold(image, self._block)))
        kept: list[Tensor] = []
        for down in self.down:
            kept.append(features)
            features = down(features)
        for up, join in zip(reversed(self.up), reversed(self.join), strict=True):
            features = join(torch.cat([up(features), kept.pop()], dim=1))
        return _unfold(self.last(features), self._block)

    def _laid_out(self, folded: Tensor) -> Tensor:
        """The folded image in the memory format of the weights: an image of one channel has none of its own."""
        weights = self.first[0].weight
        assert isinstance(weights, Tensor)
        last = not weights.is_contiguous() and weights.is_contiguous(memory_format=torch.channels_last_3d)
        return folded.contiguous(memory_format=torch.channels_last_3d if last else torch.contiguous_format)


def _convolutions(n_in: int, n_out: int, kernels: Sequence[Shape]) -> nn.Sequential:
    layers: list[nn.Module] = []
    for k, kernel in enumerate(kernels):
        layers += [
            nn.Conv3d(n_in if k == 0 else n_out, n_out, kernel, padding="same", bias=False),
            nn.BatchNorm3d(n_out),
            nn.LeakyReLU(inplace=True),
        ]
    return nn.Sequential(*layers)


def _deep_last(kernel: Shape, n: int) -> list[Shape]:
    """Kernels of a level on the way down; the last spans several sections, also where they are thick."""
    return [kernel] * (n - 1) + [(3, 3, 3)]


def _fold(image: Tensor, block: Shape) -> Tensor:
    """Blocks of voxels as channels: (b, c, z, y, x) to (b, c * block, z / block, ...)."""
    b, c, z, y, x = image.shape
    p, q, r = block
    parts = image.reshape(b, c, z // p, p, y // q, q, x // r, r).permute(0, 1, 3, 5, 7, 2, 4, 6)
    return parts.reshape(b, c * p * q * r, z // p, y // q, x // r)


def _unfold(features: Tensor, block: Shape) -> Tensor:
    """Channels as blocks of voxels: the inverse of `_fold`."""
    b, c, z, y, x = features.shape
    p, q, r = block
    parts = features.reshape(b, c // (p * q * r), p, q, r, z, y, x).permute(0, 1, 5, 2, 6, 3, 7, 4)
    return parts.reshape(b, c // (p * q * r), z * p, y * q, x * r)


def build_lean_unet(settings: LeanUNetNetwork, n_classes: int, space: VoxelSpace, n_inputs: int = 1) -> LeanUNet:
    """The network with random weights."""
    block, strides, kernels = settings.levels(space)
    return LeanUNet(n_classes, settings.channels, block, strides, kernels, settings.convolutions, n_inputs)
