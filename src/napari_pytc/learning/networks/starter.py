"""Features that a small network learnt on electron micrographs, for models that see little annotation."""

from __future__ import annotations

from functools import cache
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.nn import functional

from napari_pytc.errors import ModelError
from napari_pytc.geometry import Box, Shape
from napari_pytc.learning.machine.weights import load_weights

WEIGHTS = Path(__file__).parent / "starter.safetensors"
WIDTHS = (16, 48, 96)
N_FEATURES = 16
_DEEP_CONVOLUTIONS = 3
_PIXELS_TOGETHER = 1 << 17
"""Small sections are computed together: a call costs more than their arithmetic."""
_APART_NM = 12.0
"""Approximate distance of the sections that are read together; the training data had 10 to 20 nm."""


class StarterNetwork(nn.Module):
    """A U-Net of three levels on half the resolution, section by section.

    ::

        2 x 2 voxels of 3 sections -- 16 --------------- (+) 16 -- 16 features a cell
                                       └ pool -- 48 -- (+) up
                                                  └ pool -- 96 -- up

    Parameters
    ----------
    normed : bool
        With batch norms, as benchmarks/make_starter.py trains it; they are part of the convolutions afterwards.
    """

    def __init__(self, normed: bool = False) -> None:
        super().__init__()
        down, up, across = [], [], []
        n_in = 3 * 4
        for depth, width in enumerate(WIDTHS):
            n = _DEEP_CONVOLUTIONS if depth == len(WIDTHS) - 1 else 2
            down.append(nn.Sequential(*(_convolution(width if i else n_in, width, normed) for i in range(n))))
            n_in = width
        for coarse, fine in zip(WIDTHS[:0:-1], WIDTHS[-2::-1], strict=True):
            across.append(nn.Conv2d(coarse, fine, 1))
            up.append(_convolution(fine, fine, normed))
        self.down, self.across, self.up = nn.ModuleList(down), nn.ModuleList(across), nn.ModuleList(up)
        self.last = nn.Conv2d(WIDTHS[0], N_FEATURES, 1)

    def forward(self, sections: Tensor) -> Tensor:
        """Features (n, 16, y / 2, x / 2) of a section between its neighbours (n, 3, y, x); y, x multiples of 8."""
        found = functional.pixel_unshuffle(sections, 2)
        kept: list[Tensor] = []
        for depth, block in enumerate(self.down):
            found = block(functional.max_pool2d(found, 2) if depth else found)
            kept.append(found)
        for across, up, finer in zip(self.across, self.up, kept[-2::-1], strict=True):
            coarse = functional.interpolate(across(found), scale_factor=2.0, mode="bilinear", align_corners=False)
            found = up(coarse.add_(finer) if not self.training else coarse + finer)
        return self.last(found).relu_() if not self.training else self.last(found).relu()


class StarterFeatures(nn.Module):
    """Features of the starter network, which never learns any further.

    Parameters
    ----------
    section_nm : float or None
        Distance between sections; None where each is to be seen alone.
    """

    halo: Shape
    alignment: Shape = (1, 8, 8)
    step: Shape = (1, 2, 2)
    """Voxels a cell of the grid that the features are on."""

    def __init__(self, section_nm: float | None) -> None:
        super().__init__()
        self.network = StarterNetwork().requires_grad_(False).eval()
        # Channels last: a third less time on a processor.
        self.network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        self.network.load_state_dict(_weights())
        self._apart = 0 if section_nm is None else max(1, round(_APART_NM / section_nm))
        self.halo = (self._apart, 64, 64)
        self.n_features = N_FEATURES

    @torch.no_grad()
    def forward(self, image: Tensor, inner: Box) -> tuple[Tensor, Shape]:
        """Features of a box's sections on the grid of half the resolution.

        Parameters
        ----------
        image : Tensor
            Normalised intensities (z, y, x) whose start is a multiple of the alignment.
        inner : Box
            The box for which they are computed.

        Returns
        -------
        features : Tensor
            (z, cells along y, cells along x, 16).
        start : Shape
            The first cell (z, y, x) in the image's grid.
        """
        whole = Box.of_shape(image.shape)
        read = inner.grow((0, *self.halo[1:])).aligned(self.alignment).intersect(whole)
        n_cells = [-(-n // s) for n, s in zip(read.shape, self.step, strict=True)]
        found = image.new_empty((n_cells[0], n_cells[1], n_cells[2], N_FEATURES))
        margins = [0, -read.shape[2] % 8, 0, -read.shape[1] % 8]
        n_together = max(1, _PIXELS_TOGETHER // (read.shape[1] * read.shape[2]))
        for first in range(inner.start[0], inner.stop[0], n_together):
            sections = range(first, min(first + n_together, inner.stop[0]))
            near = torch.tensor([self._neighbours(z, len(image)) for z in sections], device=image.device)
            seen = image[(slice(None), *read.slices[1:])][near]
            if any(margins):
                seen = functional.pad(seen, margins, mode="replicate")
            maps = self.network(seen.contiguous(memory_format=torch.channels_last))
            at = first - inner.start[0]
            found[at : at + len(sections)] = maps[..., : n_cells[1], : n_cells[2]].movedim(1, -1)
        return found, (inner.start[0], read.start[1] // 2, read.start[2] // 2)

    def _neighbours(self, z: int, n: int) -> list[int]:
        """The sections seen with one: as far before and behind; at an end the one on the other side, if there is."""
        before, behind = z - self._apart, z + self._apart
        before, behind = (behind if before < 0 else before), (before if behind >= n else behind)
        return [i if 0 <= i < n else z for i in (before, z, behind)]

    def train(self, mode: bool = True) -> StarterFeatures:
        """Stay as it is, whatever the rest of a network does."""
        return super().train(False)


@cache
def _weights() -> dict[str, Tensor]:
    try:
        tensors = load_weights(WEIGHTS)
    except ModelError as error:
        raise ModelError(error.message, "Install napari-pytc again.") from error
    return {name: tensor.float() for name, tensor in tensors.items()}


def _convolution(n_in: int, n_out: int, normed: bool) -> nn.Sequential:
    convolution = nn.Conv2d(n_in, n_out, 3, padding=1, bias=not normed)
    return nn.Sequential(convolution, *([nn.BatchNorm2d(n_out)] if normed else []), nn.ReLU(inplace=True))
