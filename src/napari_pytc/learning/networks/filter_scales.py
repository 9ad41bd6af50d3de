"""Scales of a filter bank: which grid each is computed on, the maps there, and the way between grids."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from typing import Literal

import torch
from torch import Tensor
from torch.nn import functional

from napari_pytc.geometry import Box, Shape
from napari_pytc.learning.networks.filter_invariants import n_invariants, of_hessian, of_structure

_CELLS_PER_SIGMA = 1.0
"""A Gaussian is computed on the coarsest grid where its sigma is at least this many cells."""
_COARSEST = 8
_TRUNCATE = 3.0


@dataclass(frozen=True, slots=True)
class Scale:
    """One Gaussian on its grid: sigmas (z, y, x) in cells, and that of the window of its structure tensor, or 0."""

    sigmas: tuple[float, float, float]
    window: float

    @property
    def margin(self) -> Shape:
        """Cells that a feature depends on, on every side."""
        return _sum(self.radii, self.derivative, self.window_radii)

    @property
    def radii(self) -> Shape:
        """Radii of the smoothing kernels."""
        return _radii(self.sigmas)

    @property
    def window_radii(self) -> Shape:
        """Radii of the structure tensor's window."""
        return (0, _radius(self.window), _radius(self.window))

    @property
    def derivative(self) -> Shape:
        """Cells that finite differences depend on, on every side."""
        return (int(self.sigmas[0] > 0), 1, 1)


@dataclass(frozen=True, slots=True)
class Prepared:
    """Intermediates of a whole box before its slabs: smoothed images, one cell larger, and finished maps."""

    smoothed: list[Tensor]
    structure: list[Tensor]


@dataclass(frozen=True, slots=True)
class Level:
    """A grid and its scales.

    Parameters
    ----------
    factor : Shape
        Voxels a cell along z, y, x.
    step : Shape
        Cells of the next finer grid a cell.
    z_spacing : float
        Thickness of a cell over its width.
    scales : tuple of Scale
        From the finest.
    """

    factor: Shape
    step: Shape
    z_spacing: float
    scales: tuple[Scale, ...]

    @property
    def n_features(self) -> int:
        """Number of maps."""
        return sum(n_invariants(s.sigmas[0] > 0, s.window > 0) for s in self.scales)

    @property
    def margin(self) -> Shape:
        """Cells that the features depend on, on every side."""
        z, y, x = (max((s.margin[axis] for s in self.scales), default=0) for axis in range(3))
        return (z, y, x)

    def prepare(self, image: Tensor, box: Box) -> Prepared:
        """Smooth the image around a box (z, y, x cells) for its features."""
        prepared = Prepared([], [])
        for scale in self.scales:
            reach = _sum(scale.derivative, scale.window_radii)
            smooth = smoothed(cut(image, box.grow(_sum(reach, scale.radii))), scale.sigmas)
            prepared.smoothed.append(smooth[Box.of_shape(smooth.shape).grow([-r for r in scale.window_radii]).slices])
            if scale.window:
                prepared.structure.append(
                    of_structure(smooth, partial(smoothed, sigmas=(0, scale.window, scale.window)))
                )
        return prepared

    def features(self, prepared: Prepared, box: Box) -> Tensor:
        """The maps (f, z, y, x) of a box counted from the start of the prepared one."""
        maps = prepared.smoothed[0].new_empty((self.n_features, *box.shape))
        rest, structures = maps, iter(prepared.structure)
        for scale, smooth in zip(self.scales, prepared.smoothed, strict=True):
            n = n_invariants(scale.sigmas[0] > 0, False)
            grown = Box(box.start, _sum(box.stop, scale.derivative, scale.derivative))
            of_hessian(smooth[grown.slices], self.z_spacing, rest[:n])
            rest = rest[n:]
            if scale.window:
                structure = next(structures)
                rest[: len(structure)] = structure[(slice(None), *box.slices)]
                rest = rest[len(structure) :]
        return maps


def plan_levels(sigmas: Sequence[float], dims: Literal["2d", "3d"], anisotropy: float) -> tuple[Level, ...]:
    """Assign sigmas (in-plane voxels) to grids, each twice as coarse as the last; along z only once cells are flat."""
    depths = [_depth(sigma) for sigma in sigmas]
    levels: list[Level] = []
    before: Shape = (1, 1, 1)
    for depth in range(max(depths) + 1):
        side = 2**depth
        thick = 1 if dims == "2d" else 2 ** max(0, round(math.log2(side / max(anisotropy, 1e-6))))
        thick = min(thick, before[0] * 2, side)
        factor = (thick, side, side)
        scales = []
        for sigma in sorted(s for s, d in zip(sigmas, depths, strict=True) if d == depth):
            flat = dims == "2d"
            blur = (0.0 if flat else _sigma_left(sigma / anisotropy, thick), *[_sigma_left(sigma, side)] * 2)
            # Measured: in 3D, and on the finest grid, structure tensors cost much and win nothing.
            scales.append(Scale((blur[0], blur[1], blur[2]), sigma / side if flat and depth else 0.0))
        step = tuple(f // b for f, b in zip(factor, before, strict=True))
        levels.append(Level(factor, (step[0], step[1], step[2]), thick * anisotropy / side, tuple(scales)))
        before = factor
    return tuple(levels)


def smoothed(image: Tensor, sigmas: Sequence[float]) -> Tensor:
    """Gaussian smoothing of the last three axes; each loses its kernel's radius at both ends.

    Shifted sums: on a processor two to four times as fast as convolutions or band matrices, which gain nothing from
    the single channel.
    """
    for axis, sigma in zip((-3, -2, -1), sigmas, strict=True):
        if not sigma:
            continue
        radius = _radius(sigma)
        kernel = [math.exp(-0.5 * (i / sigma) ** 2) for i in range(radius + 1)]
        total = kernel[0] + 2 * sum(kernel[1:])
        length = image.shape[axis] - 2 * radius
        result = image.narrow(axis, radius, length) * (kernel[0] / total)
        for i in range(1, radius + 1):
            pair = image.narrow(axis, radius - i, length) + image.narrow(axis, radius + i, length)
            result.add_(pair, alpha=kernel[i] / total)
        image = result
    return image


def cut(image: Tensor, box: Box) -> Tensor:
    """The voxels of a box; those beyond the image repeat its last ones."""
    whole = Box.of_shape(image.shape)
    inside = box.intersect(whole)
    pads: list[int] = []
    for axis in (2, 1, 0):
        pads += [inside.start[axis] - box.start[axis], box.stop[axis] - inside.stop[axis]]
    window = image[inside.slices]
    return functional.pad(window[None, None], pads, mode="replicate")[0, 0] if any(pads) else window


def downsample(image: Tensor, step: Shape) -> Tensor:
    """Means of blocks of one or two cells along each axis; at the far ends, of what is there.

    Sums of pairs take a half to a third of the time of avg_pool3d, which gains nothing from the single channel.
    """
    z, y, x = (-(-n // s) * s for n, s in zip(image.shape, step, strict=True))
    image = cut(image, Box((0, 0, 0), (z, y, x)))
    for axis, s in enumerate(step):
        if s == 2:
            pairs = image.unflatten(axis, (-1, 2))
            image = (pairs.select(axis + 1, 0) + pairs.select(axis + 1, 1)).mul_(0.5)
    return image


def upsample(rows: Tensor, window: Box, box: Box, step: Shape, out: Tensor) -> None:
    """Interpolate linearly from the coarser cells of a window, (z, y, x, h), to the finer ones of a box.

    Axis by axis, the last straight into its place: what `interpolate` returns would have to be cut and copied.
    """
    inside = box.relative_to([w * s for w, s in zip(window.start, step, strict=True)])
    axes = [axis for axis in range(3) if step[axis] > 1]
    for axis in range(3):
        if axis not in axes:
            rows = rows.narrow(axis, inside.start[axis], inside.shape[axis])
    for axis in axes:
        shape = [*rows.shape]
        shape[axis] = inside.shape[axis]
        finer = out if axis == axes[-1] else rows.new_empty(shape)
        _upsample_along(rows, axis, inside.start[axis], finer)
        rows = finer


def _upsample_along(cells: Tensor, axis: int, start: int, out: Tensor) -> None:
    """Linear interpolation at twice the cells along an axis, from one of the finer cells on."""
    n, last = out.shape[axis], cells.shape[axis] - 1
    for first in (0, 1):
        near = (start + first) // 2
        n_here = (n - first + 1) // 2
        if not n_here:
            continue
        into = _every_other(out, axis, first)
        beside = near + (1 if (start + first) % 2 else -1)
        # At the ends of an image there is no cell on the other side.
        before, behind = int(beside < 0), int(beside + n_here - 1 > last)
        if before:
            into.select(axis, 0).copy_(cells.select(axis, near))
        if behind:
            into.select(axis, n_here - 1).copy_(cells.select(axis, last))
        n_between = n_here - before - behind
        torch.lerp(
            cells.narrow(axis, near + before, n_between),
            cells.narrow(axis, beside + before, n_between),
            0.25,
            out=into.narrow(axis, before, n_between),
        )


def _every_other(image: Tensor, axis: int, first: int) -> Tensor:
    return image[(*[slice(None)] * axis, slice(first, None, 2))]


def _depth(sigma: float) -> int:
    return max(0, math.floor(math.log2(min(sigma / _CELLS_PER_SIGMA, _COARSEST))))


def _sigma_left(sigma: float, factor: int) -> float:
    """Sigma in cells that is still to be applied after means over cells."""
    return math.sqrt(max(sigma**2 - (factor**2 - 1) / 12, 0.04)) / factor


def _radius(sigma: float) -> int:
    return max(1, math.floor(_TRUNCATE * sigma + 0.5)) if sigma else 0


def _radii(sigmas: Sequence[float]) -> Shape:
    z, y, x = (_radius(sigma) for sigma in sigmas)
    return (z, y, x)


def _sum(*shapes: Shape) -> Shape:
    z, y, x = (sum(parts) for parts in zip(*shapes, strict=True))
    return (z, y, x)
