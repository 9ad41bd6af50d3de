"""The network of `FilterUNetNetwork`."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

from napari_pytc.geometry import Box, Shape, VoxelSpace
from napari_pytc.learning.networks.filter_bank import FilterBank, build_filter_bank
from napari_pytc.learning.networks.limits import measure_limits
from napari_pytc.learning.networks.monai_networks import build_unet
from napari_pytc.learning.networks.network import BYTES_READ, Network, TileMemory
from napari_pytc.plans.networks.base import NetworkLimits
from napari_pytc.plans.networks.filter_unet import FilterUNetNetwork

_ROWS_TOGETHER = 1 << 15
"""Voxels that the perceptron classifies at a time: its hidden layers then stay in a processor's cache."""


class FilterUNet(Network):
    """Logits of a filter bank's perceptron plus those of a U-Net that sees the same features.

    ::

        image -- filter bank (fixed) -- features --+-- perceptron --(+)-- logits
                                                   +-- U-Net -- x ---+
                                                        gain, small at first

    Parameters
    ----------
    bank : FilterBank
        Features and perceptron.
    unet : Module
        (b, n_features, z, y, x) to (b, k, z, y, x).
    """

    def __init__(self, bank: FilterBank, unet: nn.Module) -> None:
        super().__init__()
        self.bank = bank
        self.n_inputs = bank.n_inputs
        self.unet = unet
        self.gain = nn.Parameter(torch.tensor(0.1))
        self._unet_limits = measure_limits(unet, bank.n_features)

    @property
    def feature_bank(self) -> FilterBank:
        """The filter bank."""
        return self.bank

    def limits(self) -> NetworkLimits:
        """Those of the U-Net and of the filter bank before it."""
        of_unet, of_bank = self._unet_limits, self.bank.limits()
        halo = _triple([a + b for a, b in zip(of_unet.halo, of_bank.halo, strict=True)])
        alignment = _triple([math.lcm(a, b) for a, b in zip(of_unet.alignment, of_bank.alignment, strict=True)])
        return NetworkLimits(halo=halo, alignment=alignment)

    def tile_memory(self, limits: NetworkLimits, n_outputs: int) -> TileMemory:
        """Memory of features, a part of them twice, and the U-Net's first level, with its context around a tile."""
        computed = 4 * (1.5 * self.bank.n_features + 16) + 8 * n_outputs
        return TileMemory(computed, self._unet_limits.halo, BYTES_READ * self.bank.n_inputs)

    def bank_alone(self) -> dict[str, Tensor]:
        """A gain of zero."""
        return {"gain": torch.zeros_like(self.gain)}

    def forward(self, image: Tensor, inner: Box | None = None) -> Tensor:
        """Logits (b, k, z, y, x) of a normalised image (b, c, z, y, x), or of the voxels of a box in it.

        With a box, the U-Net is computed only there and in its halo; the rest is context of the coarse filters.
        """
        whole = Box.of_shape(image.shape[2:])
        inner = inner or whole
        region = inner.grow(self._unet_limits.halo).aligned(self._unet_limits.alignment).intersect(whole)
        with torch.autocast(image.device.type, enabled=False):
            features = self.bank.features(image.to(self.bank.feature_mean.dtype), region)
            features = features.sub_(_over(self.bank.feature_mean)).div_(_over(self.bank.feature_scale))
        return self._logits(features)[(..., *inner.relative_to(region.start).slices)]

    def forward_inner(self, image: Tensor, inner: Box) -> Tensor:
        """Logits of a box in the image."""
        logits: Tensor = self(image, inner)
        return logits

    def logits_of_features(self, features: Tensor) -> Tensor:
        """Logits (b, k, z, y, x) of the filter bank's features (b, f, z, y, x)."""
        # On the device meta, where shapes are tried, there is no autocast.
        with torch.autocast("cpu" if features.is_meta else features.device.type, enabled=False):
            features = (features - _over(self.bank.feature_mean)).div_(_over(self.bank.feature_scale))
        return self._logits(features)

    def _logits(self, features: Tensor) -> Tensor:
        """Logits of standardised features."""
        with torch.autocast("cpu" if features.is_meta else features.device.type, enabled=False):
            rows = features.movedim(1, -1)
            rows_of_logits = [self.bank.head(part) for part in rows.reshape(-1, rows.shape[-1]).split(_ROWS_TOGETHER)]
            base = torch.cat(rows_of_logits).view(*rows.shape[:-1], -1).movedim(-1, 1)
        logits: Tensor = base + self.gain * self.unet(features)
        return logits


def _over(values: Tensor) -> Tensor:
    return values[:, None, None, None]


def _triple(values: list[int]) -> Shape:
    z, y, x = values
    return (z, y, x)


def build_filter_unet(settings: FilterUNetNetwork, n_classes: int, space: VoxelSpace, n_inputs: int = 1) -> FilterUNet:
    """The network with random weights."""
    bank = build_filter_bank(settings.bank(), n_classes, space, n_inputs)
    return FilterUNet(bank, build_unet(settings.unet(), n_classes, settings.unet_space(space), bank.n_features))
