"""The instant model's network: fixed multi-scale Gaussian derivative features and a small perceptron."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from itertools import pairwise
from typing import ClassVar, Literal

import torch
from torch import Tensor, nn

from napari_pytc.geometry import Box, Shape, VoxelSpace
from napari_pytc.learning.networks.filter_scales import Level, downsample, plan_levels, upsample
from napari_pytc.learning.networks.network import BYTES_READ, FeatureBank, TileMemory
from napari_pytc.learning.networks.starter import StarterFeatures
from napari_pytc.plans.networks.base import NetworkLimits
from napari_pytc.plans.networks.filter_bank_settings import FilterBankNetwork

_SLAB_VOXELS = {"cpu": 1 << 16}
"""The best of 2**14 to 2**18 on a processor with AVX512: twice as many leave its cache."""
_SLAB_VOXELS_OF_GPUS = 1 << 22
_SLAB_SECTIONS = 8


class FilterBank(FeatureBank):
    """Rotation-invariant features at several scales, standardised, then a perceptron on every voxel.

    Large scales are computed on coarser grids. The perceptron's first layer is linear, and so is interpolation: it is
    applied on each grid, and the sums, not the many features, are brought to the next finer grid::

        image ──── features ── W0 ──────────────(+)── rest of the perceptron ── logits
          └ pool ── features ── W1 ─────(+)─ up ─┘
              └ pool ── features ── W2 ─ up ─┘

    Only the perceptron learns, and only through `classify`; `forward` and `features` keep no graph.

    Parameters
    ----------
    sigmas : sequence of float
        Standard deviations of the Gaussians in in-plane voxels.
    hidden : sequence of int
        Widths of the perceptron's hidden layers, at least one.
    dims : "2d" or "3d"
        Features section by section, or in the volume.
    anisotropy : float
        Section thickness over the in-plane voxel edge; of use in 3D only.
    n_classes : int
        Number of logits.
    starter : StarterFeatures, optional
        Learnt features of the first channel beside the fixed ones; the last of all.
    n_inputs : int
        Channels of the image; the fixed features of each are concatenated.
    """

    is_float32_only: ClassVar[bool] = True
    feature_mean: Tensor
    feature_scale: Tensor

    def __init__(
        self,
        sigmas: Sequence[float],
        hidden: Sequence[int],
        dims: Literal["2d", "3d"],
        anisotropy: float,
        n_classes: int,
        starter: StarterFeatures | None = None,
        n_inputs: int = 1,
    ) -> None:
        super().__init__()
        self.levels: tuple[Level, ...] = plan_levels(sigmas, dims, anisotropy)
        self.starter = starter
        self.n_inputs = n_inputs
        self._n_of_starter = 0 if starter is None else starter.n_features
        self.n_features = n_inputs * sum(level.n_features for level in self.levels) + self._n_of_starter
        self.n_classes = n_classes
        self.register_buffer("feature_mean", torch.zeros(self.n_features))
        self.register_buffer("feature_scale", torch.ones(self.n_features))
        layers: list[nn.Module] = []
        widths = [self.n_features, *hidden]
        for n_in, n_out in pairwise(widths):
            layers += [nn.Linear(n_in, n_out), nn.ReLU(inplace=True)]
        self.head = nn.Sequential(*layers, nn.Linear(widths[-1], n_classes))

    @property
    def alignment(self) -> Shape:
        """Tiles have to start at multiples of this (z, y, x)."""
        of_starter = (1, 1, 1) if self.starter is None else self.starter.alignment
        z, y, x = (math.lcm(a, b) for a, b in zip(self.levels[-1].factor, of_starter, strict=True))
        return (z, y, x)

    @property
    def halo(self) -> Shape:
        """Context that a prediction depends on (z, y, x)."""
        reaches = [0, 0, 0] if self.starter is None else list(self.starter.halo)
        crossed = [0, 0, 0]
        for level in self.levels:
            # Interpolation depends on one cell more on every grid crossed; pooling, on all to the end of a cell.
            crossed = [c + f * (s > 1) for c, f, s in zip(crossed, level.factor, level.step, strict=True)]
            for axis in range(3):
                reach = crossed[axis] + level.margin[axis] * level.factor[axis] + level.factor[axis] - 1
                reaches[axis] = max(reaches[axis], reach)
        return (reaches[0], reaches[1], reaches[2])

    def limits(self) -> NetworkLimits:
        """Halo and alignment."""
        return NetworkLimits(halo=self.halo, alignment=self.alignment)

    def tile_memory(self, limits: NetworkLimits, n_outputs: int) -> TileMemory:
        """Memory of hidden units on the next coarser grid, starter features and images."""
        cells = 1 / math.prod(self.levels[1].step) if len(self.levels) > 1 else 0.0
        of_starter = 0.0 if self.starter is None else self._n_of_starter / math.prod(self.starter.step)
        first = self.head[0]
        assert isinstance(first, nn.Linear)
        computed = 4 * (1.5 * cells * first.out_features + of_starter + 10 * self.n_inputs) + 8 * n_outputs
        return TileMemory(computed, (0, 0, 0), BYTES_READ * self.n_inputs)

    def has_features_of(self, other: FeatureBank) -> bool:
        """Whether another filter bank's features are the same, whatever it makes of them."""
        if not isinstance(other, FilterBank):
            return False
        ours, theirs = (None if bank.starter is None else bank.starter.halo for bank in (self, other))
        return self.levels == other.levels and self.n_inputs == other.n_inputs and ours == theirs

    def fit_normalisation(self, features: Tensor) -> None:
        """Take mean and standard deviation of every feature from a sample (n, f)."""
        self.feature_mean.copy_(features.mean(dim=0))
        deviation = features.std(dim=0, unbiased=False)
        # A feature that never changes in the sample must not be amplified where it does change elsewhere.
        self.feature_scale.copy_(torch.where(deviation > 1e-4, deviation, torch.ones_like(deviation)))

    def classify(self, features: Tensor) -> Tensor:
        """Logits (n, k) of features (n, f)."""
        logits: Tensor = self.head((features - self.feature_mean) / self.feature_scale)
        return logits

    @torch.no_grad()
    def features(self, image: Tensor, inner: Box | None = None) -> Tensor:
        """Features (b, f, z, y, x) of a normalised image (b, c, z, y, x), or of the voxels of a box in it."""
        inner = inner or Box((0, 0, 0), _shape(image))
        found = image.new_empty((len(image), *inner.shape, self.n_features))
        matrix = torch.eye(self.n_features, device=image.device, dtype=image.dtype)
        for one, into in zip(image, found, strict=True):
            for box, rows in self._mixed(one, inner, matrix, matrix.new_zeros(self.n_features)):
                into[box.relative_to(inner.start).slices] = rows
        return found.permute(0, 4, 1, 2, 3)

    @torch.no_grad()
    def forward(self, image: Tensor, inner: Box | None = None) -> Tensor:
        """Logits (b, k, z, y, x) of a normalised image (b, c, z, y, x), or of the voxels of a box in it.

        Give the box within the halo as `inner` where the rest is thrown away: the fine scales, which cost the most, are
        then computed only there.
        """
        inner = inner or Box((0, 0, 0), _shape(image))
        logits = image.new_empty((len(image), self.n_classes, *inner.shape))
        first, *others = self.head
        assert isinstance(first, nn.Linear)
        matrix = first.weight.t() / self.feature_scale[:, None]
        bias = first.bias - self.feature_mean @ matrix
        with torch.autocast(image.device.type, enabled=False):
            for one, into in zip(image.to(matrix.dtype), logits, strict=True):
                for box, rows in self._mixed(one, inner, matrix, bias):
                    for layer in others:
                        rows = layer(rows)
                    into[(slice(None), *box.relative_to(inner.start).slices)] = rows.movedim(-1, 0)
        return logits

    def forward_inner(self, image: Tensor, inner: Box) -> Tensor:
        """Logits of a box in the image; the fine scales are computed only there."""
        logits: Tensor = self(image, inner)
        return logits

    def _mixed(self, image: Tensor, inner: Box, matrix: Tensor, bias: Tensor) -> Iterator[tuple[Box, Tensor]]:
        """The features of an image (c, z, y, x) times a matrix (f, h) plus a bias, by slabs: boxes and (z, y, x, h)."""
        images = [list(image)]
        for level in self.levels[1:]:
            images.append([downsample(channel, level.step) for channel in images[-1]])
        sizes = [level.n_features for level in self.levels]
        *parts, of_starter = matrix.split([*sizes * self.n_inputs, self._n_of_starter])
        matrices = [parts[depth :: len(sizes)] for depth in range(len(sizes))]
        mixed = self._ascend(images, 0, inner, matrices, bias)
        first = image[0]
        yield from mixed if self.starter is None else self._with_starter(self.starter, first, inner, of_starter, mixed)

    def _with_starter(
        self,
        starter: StarterFeatures,
        image: Tensor,
        inner: Box,
        matrix: Tensor,
        mixed: Iterator[tuple[Box, Tensor]],
    ) -> Iterator[tuple[Box, Tensor]]:
        cells, start = starter(image, inner)
        whole = [a + n for a, n in zip(start, cells.shape, strict=False)]
        for box, rows in mixed:
            window = _coarser_box(box, starter.step, whole)
            maps = rows.new_empty((*box.shape, starter.n_features))
            upsample(cells[window.relative_to(start).slices], window, box, starter.step, out=maps)
            rows.view(-1, rows.shape[-1]).addmm_(maps.view(-1, starter.n_features), matrix)
            yield box, rows

    def _ascend(
        self, images: list[list[Tensor]], depth: int, inner: Box, matrices: Sequence[Sequence[Tensor]], bias: Tensor
    ) -> Iterator[tuple[Box, Tensor]]:
        """The levels from `depth` on; images and matrices are those of each level, one a channel."""
        level, image = self.levels[depth], images[depth][0]
        coarser, coarser_box, step = None, inner, (1, 1, 1)
        if depth + 1 < len(self.levels):
            step = self.levels[depth + 1].step
            coarser_box = _coarser_box(inner, step, images[depth + 1][0].shape)
            coarser = image.new_empty((*coarser_box.shape, len(bias)))
            for box, rows in self._ascend(images, depth + 1, coarser_box, matrices, bias):
                coarser[box.relative_to(coarser_box.start).slices] = rows
        n_voxels = _SLAB_VOXELS.get(image.device.type, _SLAB_VOXELS_OF_GPUS)
        prepared = [level.prepare(channel, inner) for channel in images[depth]]
        for box in _slabs(inner, n_voxels):
            rows = image.new_empty((*box.shape, len(bias)))
            if coarser is None:
                rows.copy_(bias)
            else:
                window = _coarser_box(box, step, images[depth + 1][0].shape)
                upsample(coarser[window.relative_to(coarser_box.start).slices], window, box, step, out=rows)
            if level.n_features:
                for channel, matrix in zip(prepared, matrices[depth], strict=True):
                    maps = level.features(channel, box.relative_to(inner.start))
                    rows.view(-1, len(bias)).addmm_(maps.flatten(1).t(), matrix)
            yield box, rows


def _shape(image: Tensor) -> Shape:
    z, y, x = image.shape[2:]
    return (z, y, x)


def _coarser_box(box: Box, step: Shape, shape: Sequence[int]) -> Box:
    """The coarser voxels that interpolation in a box needs."""
    start = [max(a // s - (s > 1), 0) for a, s in zip(box.start, step, strict=True)]
    stop = [min((b - 1) // s + 1 + (s > 1), n) for b, s, n in zip(box.stop, step, shape, strict=True)]
    return Box((start[0], start[1], start[2]), (stop[0], stop[1], stop[2]))


def _slabs(box: Box, n_voxels: int) -> Iterator[Box]:
    """Cut a box into runs of rows, some sections thick: interpolation needs cells around each."""
    depth, height, width = box.shape
    sections = min(depth, _SLAB_SECTIONS)
    rows = min(height, max(1, n_voxels // (sections * width)))
    sections = min(depth, max(1, n_voxels // (rows * width)))
    for z in range(box.start[0], box.stop[0], sections):
        for y in range(box.start[1], box.stop[1], rows):
            yield Box.at((z, y, box.start[2]), (sections, rows, width)).intersect(box)


def build_filter_bank(settings: FilterBankNetwork, n_classes: int, space: VoxelSpace, n_inputs: int = 1) -> FilterBank:
    """The filter bank with an untrained perceptron."""
    dims = settings.dims(space)
    starter = StarterFeatures(None if dims == "2d" else space.voxel_size_nm[0]) if settings.starter else None
    return FilterBank(settings.sigmas, settings.hidden, dims, space.anisotropy, n_classes, starter, n_inputs)
