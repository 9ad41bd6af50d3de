"""The network of `FilterUNetNetwork`."""

from __future__ import annotations

import math
from typing import ClassVar

import torch
from torch import Tensor, nn

from napari_pytc.geometry import Box, Shape
from napari_pytc.learning.networks.filter_bank import FilterBank
from napari_pytc.learning.networks.limits import measure_limits

_ROWS_TOGETHER = 1 << 15
"""Voxels that the perceptron answers for at a time: its hidden layers then stay in a processor's cache."""


class ResidualUNet(nn.Module):
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

    takes_inner: ClassVar[bool] = True

    def __init__(self, bank: FilterBank, unet: nn.Module) -> None:
        super().__init__()
        self.bank = bank
        self.unet = unet
        self.gain = nn.Parameter(torch.tensor(0.1))
        self._unet_limits = measure_limits(_Spread(unet, bank.n_features))
        of_unet, of_bank = self._unet_limits, bank
        self.halo: Shape = _triple([a + b for a, b in zip(of_unet.halo, of_bank.halo, strict=True)])
        self.alignment: Shape = _triple(
            [math.lcm(a, b) for a, b in zip(of_unet.alignment, of_bank.alignment, strict=True)]
        )

    @property
    def untaught(self) -> dict[str, Tensor]:
        """The weights in place of which the filter bank's perceptron answers alone."""
        return {"gain": torch.zeros_like(self.gain)}

    @property
    def bytes_per_voxel(self) -> float:
        """Memory of a prediction, in bytes a voxel: features, a part of them twice, and the U-Net's first level."""
        return 4 * (1.5 * self.bank.n_features + 16)

    @property
    def inner_halo(self) -> Shape:
        """How far around a box the U-Net is computed for it."""
        return self._unet_limits.halo

    def features(self, image: Tensor, inner: Box | None = None) -> Tensor:
        """Features of the filter bank, of the whole image or of a box in it."""
        return self.bank.features(image, inner)

    def fit_normalisation(self, features: Tensor) -> None:
        """Take mean and standard deviation of every feature from a sample (n, f)."""
        self.bank.fit_normalisation(features)

    def forward(self, image: Tensor, inner: Box | None = None) -> Tensor:
        """Logits (b, k, z, y, x) of a normalised image (b, 1, z, y, x), or of the voxels of a box in it.

        With a box, the U-Net is computed only as far around it as it looks; the rest is context of the coarse filters.
        """
        whole = Box.of_shape(image.shape[2:])
        inner = inner or whole
        region = inner.grow(self._unet_limits.halo).aligned(self._unet_limits.alignment).intersect(whole)
        with torch.autocast(image.device.type, enabled=False):
            features = self.bank.features(image.to(self.bank.feature_mean.dtype), region)
            features = features.sub_(_over(self.bank.feature_mean)).div_(_over(self.bank.feature_scale))
        return self._answers(features)[(..., *inner.relative_to(region.start).slices)]

    def of_features(self, features: Tensor) -> Tensor:
        """Logits (b, k, z, y, x) of what the filter bank finds (b, f, z, y, x)."""
        with torch.autocast(features.device.type, enabled=False):
            features = (features - _over(self.bank.feature_mean)).div_(_over(self.bank.feature_scale))
        return self._answers(features)

    def _answers(self, features: Tensor) -> Tensor:
        """Logits of standardised features."""
        with torch.autocast(features.device.type, enabled=False):
            rows = features.movedim(1, -1)
            answers = [self.bank.head(part) for part in rows.reshape(-1, rows.shape[-1]).split(_ROWS_TOGETHER)]
            base = torch.cat(answers).view(*rows.shape[:-1], -1).movedim(-1, 1)
        logits: Tensor = base + self.gain * self.unet(features)
        return logits


class _Spread(nn.Module):
    """A network of many channels as one of a single channel, to measure its limits."""

    def __init__(self, network: nn.Module, n_channels: int) -> None:
        super().__init__()
        self.network = network
        self._n_channels = n_channels

    def forward(self, image: Tensor) -> Tensor:
        spread: Tensor = self.network(image.expand(-1, self._n_channels, -1, -1, -1))
        return spread


def _over(values: Tensor) -> Tensor:
    return values[:, None, None, None]


def _triple(values: list[int]) -> Shape:
    z, y, x = values
    return (z, y, x)
