"""A U-Net on blocks of voxels: several times as fast as one on every voxel, for dense labels."""

from __future__ import annotations

import math
from typing import ClassVar, Literal

from napari_pytc.geometry import Shape, VoxelSpace
from napari_pytc.plans.networks.base import NetworkSettings, strides_and_kernels, total_stride
from napari_pytc.settings import setting

_PATCH_BLOCKS = 16_384
"""Small patches in batches of two: torch hands a batch of one to a convolution several times as slow in deep levels."""


class LeanUNetNetwork(NetworkSettings):
    """A U-Net with batch norm on blocks of voxels, two or more along each fine axis: quick, for affinities, distances.

    Blocks become channels on the way in and voxels again on the way out (Shi et al. 2016), so that nothing is computed
    at the full resolution and every voxel still has logits of its own.
    """

    builds: ClassVar[str] = "napari_pytc.learning.networks.lean_unet_module:build_lean_unet"
    when: ClassVar[str] = "A CPU: context at low cost."
    kind: Literal["lean_unet"] = "lean_unet"
    channels: tuple[int, ...] = setting(
        (32, 64, 128), "Channels", "Feature maps of each level; the number of levels is the length.", min_length=2
    )
    convolutions: int = setting(2, "Convolutions", "How many convolutions each level has on the way down.", ge=1, le=4)
    block_nm: float = setting(
        0.0,
        "Block",
        "About how wide the blocks are that the network works on, at least two voxels. What is large is found sooner "
        "in wide ones: the network sees farther, and more of the volume in the same time.",
        "nm",
        ge=0,
        le=1000,
    )

    def levels(self, space: VoxelSpace) -> tuple[Shape, list[Shape], list[Shape]]:
        """The block, and strides and kernels of the levels from there on."""
        finest = min(space.voxel_size_nm)
        n_folded = max(1, round(math.log2(max(self.block_nm / finest, 1.0))))
        strides, kernels = strides_and_kernels(space, len(self.channels) + n_folded)
        return total_stride(strides[: n_folded + 1]), strides[n_folded + 1 :], kernels[n_folded:]

    def window_multiple(self, space: VoxelSpace) -> Shape:
        """See `NetworkSettings`."""
        block, strides, _ = self.levels(space)
        return total_stride([block, *strides])

    def patch_shape(self, space: VoxelSpace) -> Shape:
        """About 130,000 voxels, more in wider blocks; as deep as wide in nanometres, but for thick sections."""
        block, _, _ = self.levels(space)
        n_voxels = _PATCH_BLOCKS * max(8, math.prod(block))
        depth = (n_voxels / max(space.anisotropy, 1.0) ** 2) ** (1 / 3)
        side = (n_voxels / depth) ** 0.5
        stride = self.window_multiple(space)
        z, y, x = (max(2 * s, round(n / s) * s) for n, s in zip((depth, side, side), stride, strict=True))
        return (z, y, x)
