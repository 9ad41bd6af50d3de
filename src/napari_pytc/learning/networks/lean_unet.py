"""A U-Net that works on blocks of voxels: several times as fast as one on every voxel, for dense answers."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from napari_pytc.geometry import Shape, VoxelSpace
from napari_pytc.learning.networks.base import NetworkSettings, strides_and_kernels, total_stride
from napari_pytc.settings import setting

if TYPE_CHECKING:
    from torch import nn


class LeanUNetNetwork(NetworkSettings):
    """A U-Net with batch norm on blocks of two voxels along each fine axis: quick, for affinities and distances.

    Blocks become channels on the way in and voxels again on the way out (Shi et al. 2016), so that nothing is computed
    at the full resolution and every voxel still has an answer of its own.
    """

    kind: Literal["lean_unet"] = "lean_unet"
    channels: tuple[int, ...] = setting(
        (32, 64, 128), "Channels", "Feature maps of each level; the number of levels is the length.", min_length=2
    )
    convolutions: int = setting(2, "Convolutions", "How many convolutions each level has on the way down.", ge=1, le=4)

    def build(self, n_classes: int, space: VoxelSpace) -> nn.Module:
        """The network with random weights."""
        from napari_pytc.learning.networks.block_unet import BlockUNet

        strides, kernels = strides_and_kernels(space, len(self.channels) + 1)
        return BlockUNet(n_classes, self.channels, strides[1], strides[2:], kernels[1:], self.convolutions)

    def patch_shape(self, space: VoxelSpace) -> Shape:
        """About 260,000 voxels, as deep as wide in nanometres, but for thick sections."""
        stride = total_stride(strides_and_kernels(space, len(self.channels) + 1)[0])
        depth = (262_144 / max(space.anisotropy, 1.0) ** 2) ** (1 / 3)
        side = (262_144 / depth) ** 0.5
        z, y, x = (max(2 * s, round(n / s) * s) for n, s in zip((depth, side, side), stride, strict=True))
        return (z, y, x)
