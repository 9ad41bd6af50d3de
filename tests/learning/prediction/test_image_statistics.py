"""The normalisation of an image by its own statistics."""

from __future__ import annotations

import numpy as np

from napari_pytc.geometry import Box, VoxelSpace
from napari_pytc.learning.prediction.image_statistics import volume_normalisation
from napari_pytc.plans.normalisation import NormalisationSettings
from napari_pytc.volumes.statistics import BLOCK_SHAPE, sample_statistics
from tests.support.images import MemoryImage

SHAPE = (BLOCK_SHAPE[0], 8 * BLOCK_SHAPE[1], 10 * BLOCK_SHAPE[2])


class Recorder:
    """Zeros, and where they were read."""

    shape = SHAPE

    def __init__(self) -> None:
        self.seen = np.zeros(SHAPE, bool)

    def read(self, box: Box) -> np.ndarray:
        self.seen[box.slices] = True
        return np.zeros(box.shape, np.uint8)


def test_a_channel_whose_tissue_a_usual_sample_misses_is_not_erased() -> None:
    recorder = Recorder()
    sample_statistics(recorder)
    assert not recorder.seen.all()
    noise = np.random.default_rng(0).integers(1, 255, SHAPE, np.uint8)
    sparse = np.where(recorder.seen, 0, noise).astype(np.uint8)
    image = MemoryImage(np.stack([sparse, noise]), VoxelSpace(), ("sparse", "tissue"))
    found, notes = volume_normalisation(image, [], [], NormalisationSettings())
    assert not any("nothing is learnt" in note for note in notes)
    assert found.apply(np.stack([noise, noise]))[0].any()
