"""Intensities of a volume of any size, from small blocks spread over it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
from pydantic import BaseModel, ConfigDict

from napari_pytc.errors import VolumeError
from napari_pytc.geometry import Box, Shape
from napari_pytc.volumes.source import VolumeSource

# Flat blocks touch few pages of a stack of large sections.
BLOCK_SHAPE: Shape = (4, 128, 128)
# Boxes that are excluded altogether cost no reading.
_TRIES = 64
# Powers of the inverse of the root of x**4 = x + 1: each step lands in the largest gap left in the unit cube.
_STEP = np.array([0.8191725133961645, 0.6710436067037893, 0.5497004779019703])


class IntensityStatistics(BaseModel):
    """What the voxels are like; `low` and `high` are the percentiles 0.5 and 99.5."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    mean: float
    std: float
    low: float
    high: float
    minimum: float
    maximum: float
    n_nonfinite: int
    n_sampled: int


def sample_statistics(
    source: VolumeSource,
    *,
    exclude: Sequence[Box] = (),
    seed: int = 0,
    n_blocks: int = 64,
    blocks: Sequence[Box] | None = None,
) -> IntensityStatistics:
    """Statistics of at most `n_blocks` blocks, the same for the same seed.

    A volume no larger than the blocks together is read whole.

    Parameters
    ----------
    exclude : sequence of Box
        Voxels that must not be looked at, as those held out for scoring.
    blocks : sequence of Box, optional
        Where to look instead of all over the volume.

    Raises
    ------
    VolumeError
        If no finite voxel is left to look at.
    """
    values: list[np.ndarray] = []
    n_nonfinite, n_left_out = 0, 0
    for box in _blocks(source.shape, seed, n_blocks) if blocks is None else blocks:
        kept = _kept(box, exclude)
        if not kept.any():
            n_left_out += 1
            continue
        block = source.read(box)[kept]
        finite = np.isfinite(block)
        n_nonfinite += int(block.size - np.count_nonzero(finite))
        values.append(block[finite])
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
    low, high = np.percentile(sample, [0.5, 99.5])
    return IntensityStatistics(
        mean=float(sample.mean(dtype=np.float64)),
        std=float(sample.std(dtype=np.float64)),
        low=float(low),
        high=float(high),
        minimum=float(sample.min()),
        maximum=float(sample.max()),
        n_nonfinite=n_nonfinite,
        n_sampled=int(sample.size),
    )


def _blocks(shape: Shape, seed: int, n_blocks: int) -> Iterator[Box]:
    """Blocks that together are the whole of a small volume, or spread evenly over a large one without end in sight."""
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
