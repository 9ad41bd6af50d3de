"""The network of `SectionUNetNetwork`."""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import pairwise

import torch
from torch import Tensor, nn
from torch.nn import functional

from napari_pytc.errors import ModelError
from napari_pytc.geometry import VoxelSpace
from napari_pytc.learning.networks.network import Network
from napari_pytc.plans.networks.section_unet import SectionUNetNetwork


class SectionUNet(Network):
    """A 2D U-Net (Ronneberger et al. 2015) over sections and their neighbours.

    ::

        sections z-1, z, z+1 -- fold pixels -- level 0 ------------- level 0 -- 1x1 -- interpolate -- logits of z
                                                  | halve             | double
                                               level 1 ------------- level 1
                                                  |         ...        |

    Parameters
    ----------
    n_inputs, n_outputs : int
        Channels of the image and of the logits.
    channels : sequence of int
        Feature maps of each level.
    n_context : int
        Sections on either side of a section that the network sees; the first and last of an image are repeated.
    fold : (int, int)
        Voxels along y and x that make a pixel.
    dropout : float
        Share of the deepest feature maps that a training step leaves out.
    sigmas : (float, float, float)
        Standard deviations along z, y, x, in sections and pixels, of the Gaussian over logits in eval mode.
    """

    def __init__(
        self,
        n_inputs: int,
        n_outputs: int,
        channels: Sequence[int],
        n_context: int,
        fold: tuple[int, int],
        dropout: float = 0.0,
        sigmas: tuple[float, float, float] = (0.0, 0.0, 0.0),
    ) -> None:
        super().__init__()
        self._sigmas = sigmas
        self._n_context, self._fold = n_context, fold
        self.first = _convolutions(n_inputs * (2 * n_context + 1) * fold[0] * fold[1], channels[0])
        self.down, self.up, self.join = nn.ModuleList(), nn.ModuleList(), nn.ModuleList()
        for fine, coarse in pairwise(channels):
            # No pooling by the maximum: how far that looks depends on the image, and could not be measured.
            self.down.append(nn.Sequential(nn.Conv2d(fine, fine, 2, 2, bias=False), _convolutions(fine, coarse)))
            self.up.append(nn.ConvTranspose2d(coarse, fine, 2, 2))
            self.join.append(_convolutions(2 * fine, fine))
        self.drop = nn.Dropout2d(dropout)
        self.last = nn.Conv2d(channels[0], n_outputs, 1)

    def forward(self, image: Tensor) -> Tensor:
        """Logits (b, k, z, y, x) of a normalised image (b, c, z, y, x)."""
        return self._logits(_repeated(image, self._n_context))

    def training_logits(self, image: Tensor) -> tuple[Tensor, ...]:
        """Logits of the sections that have all their context in the patch.

        Raises
        ------
        ModelError
            If there are none.
        """
        if image.shape[2] <= 2 * self._n_context:
            raise ModelError(
                f"A section with {self._n_context} sections of context on either side needs patches of at least "
                f"{2 * self._n_context + 1} sections, got {image.shape[2]}.",
                "Set a deeper patch_shape, or a smaller network.context_sections.",
            )
        return (self._logits(image),)

    def _logits(self, image: Tensor) -> Tensor:
        n, wide = image.shape[0], 2 * self._n_context + 1
        stacks = image.unfold(2, wide, 1)  # (b, c, z, y, x, neighbours)
        n_sections = stacks.shape[2]
        sections = stacks.permute(0, 2, 1, 5, 3, 4).reshape(n * n_sections, -1, *image.shape[3:])
        features = self.first(self._pixels(sections))
        kept: list[Tensor] = []
        for down in self.down:
            kept.append(features)
            features = down(features)
        features = self.drop(features)
        for up, join in zip(reversed(self.up), reversed(self.join), strict=True):
            features = join(torch.cat([up(features), kept.pop()], dim=1))
        logits = self.last(features)
        logits = logits.reshape(n, n_sections, *logits.shape[1:]).transpose(1, 2)
        if not self.training:
            for axis, sigma in enumerate(self._sigmas):
                logits = _smoothed(logits, sigma, axis)
        if self._fold != (1, 1):
            scale = [1.0, *(float(length) for length in self._fold)]
            logits = functional.interpolate(logits, scale_factor=scale, mode="trilinear", align_corners=False)
        return logits

    def _pixels(self, sections: Tensor) -> Tensor:
        """Blocks of voxels as channels: (n, c, y, x) to (n, c * block, y / block, x / block), as the weights lie."""
        n, c, y, x = sections.shape
        p, q = self._fold
        parts = sections.reshape(n, c, y // p, p, x // q, q).permute(0, 1, 3, 5, 2, 4)
        weights = self.first[0].weight
        assert isinstance(weights, Tensor)
        last = not weights.is_contiguous() and weights.is_contiguous(memory_format=torch.channels_last)
        layout = torch.channels_last if last else torch.contiguous_format
        return parts.reshape(n, c * p * q, y // p, x // q).contiguous(memory_format=layout)


def _repeated(image: Tensor, n: int) -> Tensor:
    """The image with its first and last section repeated."""
    first, last = image[:, :, :1], image[:, :, -1:]
    return torch.cat([first] * n + [image] + [last] * n, dim=2) if n else image


def _smoothed(logits: Tensor, sigma: float, axis: int) -> Tensor:
    """Logits (b, k, z, y, x) under a Gaussian along one of the last three axes, cut at three standard deviations."""
    reach = math.ceil(3 * sigma)
    if not reach:
        return logits
    with torch.autocast(logits.device.type, enabled=False):
        steps = torch.arange(-reach, reach + 1, device=logits.device, dtype=torch.float32)
        weights = torch.exp(-0.5 * (steps / sigma) ** 2)
        weights = (weights / weights.sum()).view([1, 1, *(-1 if a == axis else 1 for a in range(3))])
        width = [0] * 6
        width[4 - 2 * axis] = width[5 - 2 * axis] = reach
        planes = logits.float().flatten(0, 1)[:, None]
        found = functional.conv3d(functional.pad(planes, width, mode="replicate"), weights)
    return found[:, 0].unflatten(0, logits.shape[:2])


def _convolutions(n_in: int, n_out: int) -> nn.Sequential:
    layers: list[nn.Module] = []
    for k in range(2):
        layers += [
            nn.Conv2d(n_in if k == 0 else n_out, n_out, 3, padding=1, bias=False),
            nn.BatchNorm2d(n_out),
            nn.LeakyReLU(0.1, inplace=True),
        ]
    return nn.Sequential(*layers)


def build_section_unet(
    settings: SectionUNetNetwork, n_classes: int, space: VoxelSpace, n_inputs: int = 1
) -> SectionUNet:
    """The network with random weights."""
    fold = settings.fold(space)
    z, y, x = (settings.smoothing_nm / (size * n) for size, n in zip(space.voxel_size_nm, (1, *fold), strict=True))
    return SectionUNet(
        n_inputs, n_classes, settings.channels, settings.context_sections, fold, settings.dropout, (z, y, x)
    )
