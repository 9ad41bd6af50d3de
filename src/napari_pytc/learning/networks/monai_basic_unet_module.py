"""MONAI's BasicUNet (Falk et al. 2019)."""

from __future__ import annotations

from monai.networks import nets

from napari_pytc.geometry import VoxelSpace
from napari_pytc.learning.networks.network import Network
from napari_pytc.plans.networks.monai_basic_unet import MonaiBasicUNetNetwork

_LEAKY = ("LeakyReLU", {"negative_slope": 0.1, "inplace": True})


class BasicUNet(Network, nets.BasicUNet):
    """MONAI's BasicUNet as a `Network`."""


def build_basic_unet(
    settings: MonaiBasicUNetNetwork, n_classes: int, space: VoxelSpace, n_inputs: int = 1
) -> BasicUNet:
    """The network with random weights."""
    return BasicUNet(
        spatial_dims=3,
        in_channels=n_inputs,
        out_channels=n_classes,
        features=settings.channels,
        act=_LEAKY if settings.activation == "leakyrelu" else settings.activation.upper(),
        norm=("group", {"num_groups": settings.n_groups})
        if settings.norm == "group"
        else (settings.norm, {"affine": True}),
        dropout=settings.dropout,
        upsample=settings.upsample,
    )
