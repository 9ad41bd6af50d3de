"""Milliseconds of each random change of a training patch, and of MONAI's elastic deformation beside ours.

Run ``python benchmarks/augmentation.py [--shape 32 160 160] [--channels 1] [--rounds 15] [--threads 1]``.

Each change is made alone, always; "none" copies the patch. The labels are those of cells in background, so that there
are objects to copy. Mixup, which blends two patches that are there, is a batch of two of them.
"""

from __future__ import annotations

import argparse
from functools import partial
from statistics import median

import numpy as np
import torch
from rounds import interleave
from scipy import ndimage

from napari_pytc.learning.data.augmentations.augmenter import Augmenter
from napari_pytc.learning.data.augmentations.mixup import MixedBatches
from napari_pytc.learning.data.sampling import Batch
from napari_pytc.plans.augmentation import Augmentation

OFF = {
    "flips": False, "affine": 0, "contrast": 0, "noise": 0, "blur": 0, "missing_section": 0, "misaligned_section": 0,
}  # fmt: skip
CHANGES = (
    "affine",
    "elastic",
    "misaligned_section",
    "contrast",
    "noise",
    "blur",
    "stripes",
    "missing_section",
    "cut_out",
)
CHANGES += ("cut_blur", "cut_noise", "copy_paste")
SIGMA, MAGNITUDE = (9, 13), (50, 150)
"""Of MONAI's elastic deformation: shifts of about four pixels."""


def patch_of(shape: tuple[int, int, int], n_channels: int) -> tuple[np.ndarray, np.ndarray]:
    """Noise, and labels of balls of class 2 amid class 1."""
    rng = np.random.default_rng(0)
    image = rng.normal(size=(n_channels, *shape)).astype(np.float32)
    seeds = np.ones(shape, bool)
    middles = rng.integers(0, shape, (12, 3))
    seeds[tuple(middles.T)] = False
    distance = ndimage.distance_transform_edt(seeds)
    return image, (1 + (distance < min(8, shape[0] / 3))).astype(np.uint8)


class Two:
    """Batches of the same two patches."""

    def __init__(self, image: np.ndarray, labels: np.ndarray) -> None:
        self._batch = Batch(torch.from_numpy(np.stack([image] * 2)), torch.from_numpy(np.stack([labels] * 2)))

    def batch(self, step: int) -> Batch:
        return self._batch


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--shape", type=int, nargs=3, default=(32, 160, 160), metavar=("Z", "Y", "X"))
    parser.add_argument("--channels", type=int, default=1)
    parser.add_argument("--anisotropy", type=float, default=1.0)
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--threads", type=int, default=1)
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    from monai.transforms import Rand3DElastic

    image, labels = patch_of(tuple(options.shape), options.channels)
    monai = Rand3DElastic(SIGMA, MAGNITUDE, prob=1, padding_mode="reflection")
    plans = {
        "none": Augmentation.model_validate(OFF),
        "flips and turns": Augmentation.model_validate({**OFF, "flips": True}),
    }
    plans |= {name: Augmentation.model_validate({**OFF, name: 1.0}) for name in CHANGES}
    plans["all of them"] = Augmentation.model_validate({**dict.fromkeys(CHANGES, 1.0), "flips": True})
    plans["by default"] = Augmentation()
    rng = np.random.default_rng(0)
    augmenters = {name: Augmenter(plan, options.anisotropy, 2) for name, plan in plans.items()}
    variants = {name: partial(augment, image, labels, rng) for name, augment in augmenters.items()}
    mixed = MixedBatches(Two(image, labels), 1.0, 0)
    variants["mixup"] = partial(mixed.batch, 0)
    variants["elastic of MONAI, image alone"] = partial(monai, image)
    timings = interleave(variants, options.rounds)
    width = max(map(len, timings))
    print(
        f"A patch of {' x '.join(map(str, options.shape))}, {options.channels} channel(s), {options.threads} thread(s)"
    )
    print(f"{'':{width}}  median ms   best ms")
    for name, taken in timings.items():
        print(f"{name:{width}}  {1e3 * median(taken):9.1f}  {1e3 * min(taken):8.1f}")


if __name__ == "__main__":
    main()
