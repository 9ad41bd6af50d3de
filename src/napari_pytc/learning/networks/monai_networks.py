"""MONAI's U-Net and DynUNet.

After Ronneberger et al. 2015 and Kerfoot et al. 2018, and after nnU-Net, Isensee et al. 2021.
"""

from __future__ import annotations

import torch
from monai.networks import nets
from torch import Tensor

from napari_pytc.geometry import VoxelSpace
from napari_pytc.learning.networks.network import Network
from napari_pytc.plans.networks.base import strides_and_kernels
from napari_pytc.plans.networks.dynunet import DynUNetNetwork
from napari_pytc.plans.networks.unet import UNetNetwork


class UNet(Network, nets.UNet):
    """MONAI's UNet as a `Network`."""


def build_unet(settings: UNetNetwork, n_classes: int, space: VoxelSpace, n_inputs: int = 1) -> UNet:
    """The network with random weights."""
    strides, kernel = settings.strides(space)
    return UNet(
        spatial_dims=3,
        in_channels=n_inputs,
        out_channels=n_classes,
        channels=settings.channels,
        strides=strides,
        kernel_size=kernel,
        up_kernel_size=kernel,
        num_res_units=settings.residual_units,
        norm="BATCH",
    )


class DynUNet(Network, nets.DynUNet):
    """MONAI's DynUNet as a `Network`."""

    def forward(self, image: Tensor) -> Tensor:
        """Logits; in training mode with an axis for the supervised levels after the batch."""
        logits: Tensor = super().forward(image)
        # MONAI keeps the coarse outputs on the network, and with them a graph that can be neither copied nor freed.
        heads: list[Tensor] = self.heads  # type: ignore[assignment]
        heads[:] = [torch.zeros(1) for _ in heads]
        return logits

    def training_logits(self, image: Tensor) -> tuple[Tensor, ...]:
        """Logits of all supervised levels."""
        logits: Tensor = self(image)
        return logits.unbind(1) if logits.ndim == 6 else (logits,)


def build_dynunet(settings: DynUNetNetwork, n_classes: int, space: VoxelSpace, n_inputs: int = 1) -> DynUNet:
    """The network with random weights."""
    strides, kernels = strides_and_kernels(space, len(settings.channels))
    n_deep = min(settings.deep_supervision, len(settings.channels) - 2)
    return DynUNet(
        spatial_dims=3,
        in_channels=n_inputs,
        out_channels=n_classes,
        kernel_size=kernels,
        strides=strides,
        upsample_kernel_size=strides[1:],
        filters=settings.channels,
        norm_name="batch",
        deep_supervision=n_deep > 0,
        deep_supr_num=max(n_deep, 1),
        res_block=settings.residual,
    )
