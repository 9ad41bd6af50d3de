"""MONAI's residual U-Net (Ronneberger et al. 2015; Kerfoot et al. 2018) with batch norm."""

from __future__ import annotations

from typing import ClassVar, Literal

from napari_pytc.geometry import Shape, VoxelSpace
from napari_pytc.plans.networks.base import NetworkSettings, patch_of_budget, strides_and_kernels, total_stride
from napari_pytc.settings import setting


class UNetNetwork(NetworkSettings):
    """MONAI's residual U-Net with batch norm: small and quick."""

    builds: ClassVar[str] = "napari_pytc.learning.networks.monai_networks:build_unet"
    when: ClassVar[str] = "A first network of your own on a CPU: small and quick."
    kind: Literal["unet"] = "unet"
    channels: tuple[int, ...] = setting(
        (16, 32, 64), "Channels", "Feature maps of each level; the number of levels is the length.", min_length=2
    )
    residual_units: int = setting(1, "Residual units", "Convolutions in each residual block.", ge=0, le=4)
    full_resolution: bool = setting(
        False, "Full resolution", "Compute the first level on every voxel: sharper and slower."
    )

    def strides(self, space: VoxelSpace) -> tuple[list[Shape], Shape]:
        """Strides of all levels but the deepest, and the one kernel of all."""
        n_strides = len(self.channels) - 1
        strides, kernels = strides_and_kernels(space, n_strides + 1)
        return strides[:n_strides] if self.full_resolution else strides[1:], kernels[0]

    def window_multiple(self, space: VoxelSpace) -> Shape:
        """See `NetworkSettings`."""
        return total_stride(self.strides(space)[0])

    def patch_shape(self, space: VoxelSpace) -> Shape:
        """About 130,000 voxels."""
        strides, kernel = self.strides(space)
        return patch_of_budget([kernel], total_stride(strides), space.anisotropy, 131_072)
