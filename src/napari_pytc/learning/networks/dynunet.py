"""MONAI's DynUNet, planned after nnU-Net (Isensee et al. 2021): kernels and strides follow the voxel size."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from napari_pytc.geometry import Shape, VoxelSpace
from napari_pytc.learning.networks.base import NetworkSettings, patch_of_budget, strides_and_kernels, total_stride
from napari_pytc.settings import setting

if TYPE_CHECKING:
    from torch import nn


class DynUNetNetwork(NetworkSettings):
    """MONAI's DynUNet whose kernels and strides follow the anisotropy of the voxels, with deep supervision."""

    kind: Literal["dynunet"] = "dynunet"
    channels: tuple[int, ...] = setting((16, 32, 64), "Channels", "Feature maps of each level.", min_length=3)
    deep_supervision: int = setting(
        1, "Deep supervision", "How many coarser levels get a loss of their own.", ge=0, le=3
    )
    residual: bool = setting(True, "Residual blocks", "Add each block's input to its output.")

    def build(self, n_classes: int, space: VoxelSpace) -> nn.Module:
        """The network with random weights; in training mode its output has an axis for the supervised levels."""
        from monai.networks.nets import DynUNet

        strides, kernels = strides_and_kernels(space, len(self.channels))
        n_deep = min(self.deep_supervision, len(self.channels) - 2)
        network = DynUNet(
            spatial_dims=3,
            in_channels=1,
            out_channels=n_classes,
            kernel_size=kernels,
            strides=strides,
            upsample_kernel_size=strides[1:],
            filters=self.channels,
            norm_name="batch",
            deep_supervision=n_deep > 0,
            deep_supr_num=max(n_deep, 1),
            res_block=self.residual,
        )
        network.register_forward_hook(_forget_heads)
        return network

    def patch_shape(self, space: VoxelSpace) -> Shape:
        """About 65,000 voxels."""
        strides, kernels = strides_and_kernels(space, len(self.channels))
        return patch_of_budget(kernels, total_stride(strides), space.anisotropy, 65_536)


def _forget_heads(network: nn.Module, *_: object) -> None:
    """Drop the coarse outputs that MONAI keeps on the network: their graph can be neither copied nor freed."""
    import torch

    heads: list[torch.Tensor] = network.heads  # type: ignore[assignment]
    heads[:] = [torch.zeros(1) for _ in heads]
