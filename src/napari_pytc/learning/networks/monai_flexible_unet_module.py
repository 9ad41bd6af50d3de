"""MONAI's FlexibleUNet; weights have the names of MONAI, and none are downloaded."""

from __future__ import annotations

from monai.networks import nets
from monai.networks.nets.basic_unet import UpCat
from monai.networks.nets.efficientnet import MBConvBlock
from monai.networks.nets.resnet import ResNetBlock, ResNetBottleneck
from torch import Tensor

from napari_pytc.geometry import VoxelSpace
from napari_pytc.learning.networks.network import Network
from napari_pytc.learning.networks.recompute import recompute
from napari_pytc.learning.networks.sections import section_by_section
from napari_pytc.plans.networks.monai_flexible_unet import MonaiFlexibleUNetNetwork


class FlexibleUNet(Network, nets.FlexibleUNet):
    """MONAI's FlexibleUNet in 3D or section by section."""

    def forward(self, image: Tensor) -> Tensor:
        """Logits (b, k, z, y, x)."""
        if self.spatial_dims == 2:
            return section_by_section(super().forward, image)
        logits: Tensor = super().forward(image)
        return logits


def build_flexible_unet(
    settings: MonaiFlexibleUNetNetwork, n_classes: int, space: VoxelSpace, n_inputs: int = 1
) -> FlexibleUNet:
    """The network with random weights."""
    network = FlexibleUNet(
        in_channels=n_inputs,
        out_channels=n_classes,
        backbone=settings.backbone,
        pretrained=False,
        decoder_channels=settings.decoder_channels,
        spatial_dims=2 if settings.dimensions == "2d" else 3,
        dropout=settings.dropout,
        upsample=settings.upsample,
    )
    if settings.checkpointing:
        blocks = (ResNetBlock, ResNetBottleneck, MBConvBlock, UpCat)
        recompute([module for module in network.modules() if isinstance(module, blocks)])
    return network
