"""MONAI's DynUNet, planned after nnU-Net (Isensee et al. 2021): kernels and strides follow the voxel size."""

from __future__ import annotations

from typing import ClassVar, Literal

from napari_pytc.geometry import Shape, VoxelSpace
from napari_pytc.plans.networks.base import NetworkSettings, patch_of_budget, strides_and_kernels, total_stride
from napari_pytc.settings import setting


class DynUNetNetwork(NetworkSettings):
    """MONAI's DynUNet whose kernels and strides follow the anisotropy of the voxels, with deep supervision."""

    builds: ClassVar[str] = "napari_pytc.learning.networks.monai_networks:build_dynunet"
    when: ClassVar[str] = "Voxels of any shape, on a CPU or a GPU: kernels and strides follow them."
    kind: Literal["dynunet"] = "dynunet"
    channels: tuple[int, ...] = setting((16, 32, 64), "Channels", "Feature maps of each level.", min_length=3)
    deep_supervision: int = setting(
        1, "Deep supervision", "How many coarser levels get a loss of their own.", ge=0, le=3
    )
    residual: bool = setting(True, "Residual blocks", "Add each block's input to its output.")

    def window_multiple(self, space: VoxelSpace) -> Shape:
        """See `NetworkSettings`."""
        return total_stride(strides_and_kernels(space, len(self.channels))[0])

    def patch_shape(self, space: VoxelSpace) -> Shape:
        """About 65,000 voxels."""
        strides, kernels = strides_and_kernels(space, len(self.channels))
        return patch_of_budget(kernels, total_stride(strides), space.anisotropy, 65_536)
