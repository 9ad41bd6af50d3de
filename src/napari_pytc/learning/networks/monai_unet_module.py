"""MONAI's residual U-Net with all of its settings; weights have the names of MONAI, and of PyTorch Connectomics."""

from __future__ import annotations

from monai.networks import nets
from monai.networks.blocks import Convolution, ResidualUnit
from torch import Tensor

from napari_pytc.geometry import VoxelSpace
from napari_pytc.learning.networks.network import Network
from napari_pytc.learning.networks.recompute import recompute
from napari_pytc.learning.networks.sections import section_by_section
from napari_pytc.plans.networks.monai_unet import MonaiUNetNetwork


class MonaiUNet(Network, nets.UNet):
    """MONAI's UNet in 3D or section by section."""

    def forward(self, image: Tensor) -> Tensor:
        """Logits (b, k, z, y, x)."""
        if self.dimensions == 2:
            return section_by_section(super().forward, image)
        logits: Tensor = super().forward(image)
        return logits


def build_monai_unet(settings: MonaiUNetNetwork, n_classes: int, space: VoxelSpace, n_inputs: int = 1) -> MonaiUNet:
    """The network with random weights."""
    is_2d = settings.dimensions == "2d"
    strides = settings.level_strides(space)
    network = MonaiUNet(
        spatial_dims=2 if is_2d else 3,
        in_channels=n_inputs,
        out_channels=n_classes,
        channels=settings.channels,
        strides=[stride[1:] if is_2d else stride for stride in strides],
        kernel_size=settings.kernel_size,
        num_res_units=settings.residual_units,
        act=settings.activation.upper(),
        norm=("group", {"num_groups": settings.n_groups(n_classes)})
        if settings.norm == "group"
        else settings.norm.upper(),
        dropout=settings.dropout,
    )
    if settings.checkpointing:
        units = [m for m in network.modules() if isinstance(m, ResidualUnit)]
        if not settings.residual_units:
            units = [m for m in network.modules() if isinstance(m, Convolution)]
        recompute(units)
    return network
