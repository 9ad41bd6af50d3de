"""Intensities of a volume of any size, from small blocks spread over it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Protocol

import numpy as np
from pydantic import BaseModel, ConfigDict

from napari_pytc.errors import VolumeError
from napari_pytc.geometry import Box, Shape

# Flat blocks touch few pages of a stack of large sections.
BLOCK_SHAPE: Shape = (4, 128, 128)
# Boxes that are excluded altogether cost no reading.
_TRIES = 64
# Share of a sample that an extreme value must fill, in areas, to be padding; and the least that must be left.
_PADDING, _LEAST_TISSUE = 0.02, 0.02
# Share of padding of which users are told.
_MUCH_PADDING = 0.05
# Powers of the inverse of the root of x**4 = x + 1: each step lands in the largest gap left in the unit cube.
_STEP = np.array([0.8191725133961645, 0.6710436067037893, 0.5497004779019703])


class Sampled(Protocol):
    """What statistics are taken of: one channel of anything that is read by boxes."""

    @property
    def shape(self) -> Shape:
        """Lengths along z, y, x in voxels."""

    def read(self, box: Box) -> np.ndarray:
        """The voxels of a box, shape ``box.shape``."""


class IntensityStatistics(BaseModel):
    """Range, percentiles and moments of the voxels.

    `low` and `high` are the percentiles 0.5 and 99.5, or others that were wanted.
    `n_padding` voxels were left out: they fill areas with the least or the largest value, as around aligned sections.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    mean: float
    std: float
    low: float
    high: float
    minimum: float
    maximum: float
    n_nonfinite: int
    n_sampled: int
    n_padding: int = 0


def sample_statistics(
    source: Sampled,
    *,
    exclude: Sequence[Box] = (),
    seed: int = 0,
    n_blocks: int = 64,
    blocks: Sequence[Box] | None = None,
    skip_padding: bool = False,
    percentiles: tuple[float, float] = (0.5, 99.5),
) -> IntensityStatistics:
    """Statistics of at most `n_blocks` blocks, the same for the same seed.

    A volume no larger than the blocks together is read whole.

    Parameters
    ----------
    exclude : sequence of Box
        Voxels that must not be looked at, as those held out for scoring.
    blocks : sequence of Box, optional
        The box to sample instead of the whole volume.
    skip_padding : bool
        Leave areas of the least or the largest value out, unless little else is there.
    percentiles : tuple of float
        Those of `low` and `high`.

    Raises
    ------
    VolumeError
        If no finite voxel is left to look at.
    """
    values: list[np.ndarray] = []
    flat: list[np.ndarray] = []
    n_nonfinite, n_left_out = 0, 0
    for box in _blocks(source.shape, seed, n_blocks) if blocks is None else blocks:
        kept = _kept(box, exclude)
        if not kept.any():
            n_left_out += 1
            continue
        whole = source.read(box)
        block = whole[kept]
        finite = np.isfinite(block)
        n_nonfinite += int(block.size - np.count_nonzero(finite))
        values.append(block[finite])
        if skip_padding:
            flat.append(whole[kept & _is_flat(whole)])
        if len(values) == n_blocks:
            break
    sample = np.concatenate(values) if values else np.zeros(0)
    if not sample.size:
        if n_nonfinite:
            raise VolumeError("All voxels looked at are NaN or infinite.", "Check the image; it may be damaged.")
        raise VolumeError(
            f"The boxes held out leave no voxel of {n_left_out} blocks to learn the intensities from.",
            "Hold out a smaller part.",
        )
    n_before = sample.size
    if skip_padding:
        sample = _without_padding(sample, np.concatenate(flat))
    low, high = np.percentile(sample, percentiles)
    return IntensityStatistics(
        mean=float(sample.mean(dtype=np.float64)),
        std=float(sample.std(dtype=np.float64)),
        low=float(low),
        high=float(high),
        minimum=float(sample.min()),
        maximum=float(sample.max()),
        n_nonfinite=n_nonfinite,
        n_sampled=int(sample.size),
        n_padding=int(n_before - sample.size),
    )


def padding_note(statistics: IntensityStatistics, volume: str) -> str:
    """A note that padding was left out of the statistics; empty where nothing much was.

    Parameters
    ----------
    volume : str
        The volume in a sentence.
    """
    share = statistics.n_padding / (statistics.n_padding + statistics.n_sampled)
    if share < _MUCH_PADDING:
        return ""
    return f"{100 * share:.0f} % of {volume} is padding of one value, which its normalisation leaves out."


def _is_flat(block: np.ndarray) -> np.ndarray:
    """Mask of the voxels that equal a neighbour along y and one along x, as hardly any do in an image with noise."""
    found = np.zeros(block.shape, bool)
    if block.shape[1] > 1 and block.shape[2] > 1:
        found[:, 1:, 1:] = (block[:, 1:, 1:] == block[:, :-1, 1:]) & (block[:, 1:, 1:] == block[:, 1:, :-1])
        found[:, 0, 1:], found[:, 1:, 0] = found[:, 1, 1:], found[:, 1:, 1]
    return found


def _without_padding(sample: np.ndarray, flat: np.ndarray) -> np.ndarray:
    """A sample less its extreme values that fill areas; all of it where hardly anything else is left."""
    kept = sample
    for extreme in (sample.min(), sample.max()):
        if np.count_nonzero(flat == extreme) >= _PADDING * sample.size:
            kept = kept[kept != extreme]
    is_enough = kept.size >= _LEAST_TISSUE * sample.size and kept.size and kept.min() < kept.max()
    return kept if is_enough else sample


def _blocks(shape: Shape, seed: int, n_blocks: int) -> Iterator[Box]:
    """Blocks that cover a small volume, or lie spread evenly over a large one."""
    block: Shape = tuple(min(b, n) for b, n in zip(BLOCK_SHAPE, shape, strict=True))  # type: ignore[assignment]
    counts = [-(-n // b) for n, b in zip(shape, block, strict=True)]
    if int(np.prod(counts)) <= n_blocks:
        for where in np.ndindex(*counts):
            start = [w * b for w, b in zip(where, block, strict=True)]
            yield Box.at(start, block).intersect(Box.of_shape(shape))
        return
    point = np.random.default_rng(seed).random(3)
    room = np.array(shape) - block + 1
    for _ in range(_TRIES * n_blocks):
        yield Box.at((point * room).astype(int).tolist(), block)
        point = (point + _STEP) % 1


def _kept(box: Box, exclude: Sequence[Box]) -> np.ndarray:
    kept = np.ones(box.shape, bool)
    for other in exclude:
        kept[other.intersect(box).relative_to(box.start).slices if other.overlaps(box) else (slice(0, 0),)] = False
    return kept
