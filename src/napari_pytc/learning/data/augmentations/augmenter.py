"""Random changes of training patches: where they lie and what they show, in the order in which they are made."""

from __future__ import annotations

import math

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from napari_pytc.learning.data.augmentations.boxes import cut_blur, cut_noise, cut_out
from napari_pytc.learning.data.augmentations.copy_paste import copy_paste
from napari_pytc.learning.data.augmentations.elastic import elastic_deformation
from napari_pytc.learning.data.augmentations.section_faults import (
    blurred_sections,
    misaligned_section,
    missing_section,
)
from napari_pytc.learning.data.augmentations.stripes import stripes
from napari_pytc.plans.augmentation import Augmentation

_ANISOTROPIC = 2.0
"""Beyond this ratio a rotation out of the plane would smear sections into one another."""
_CUBIC = 1.25
"""Up to this ratio a turn by 90 degrees out of the plane leaves tissue looking like tissue."""
_LEAST_DEPTH = 8
"""Thinner patches are not tilted: most of a tilted one would lie outside of what was read."""
_MOST_NOISE = 0.3
"""Standard deviation, in that of the normalised image."""


class Augmenter:
    """Changes a patch and its labels at random, the same way for the same state of the generator.

    All randomness comes from the generator that is passed to a call; an instance belongs to one thread.

    Parameters
    ----------
    plan : Augmentation
        Frequency of each change.
    anisotropy : float
        Section thickness over the in-plane edge of a voxel. Beyond 2 (or below 1/2), rotations stay in the plane.
    n_classes : int, optional
        Where labels are classes: 1 to so many were annotated, whatever is beyond is not sure.
    """

    def __init__(self, plan: Augmentation, anisotropy: float, n_classes: int | None = None) -> None:
        # Imported here, so that a training without patches does not wait for MONAI's import.
        from monai.transforms import RandAdjustContrast

        self.plan = plan
        self.anisotropy = anisotropy
        self._n_classes = n_classes
        self._gamma = RandAdjustContrast(prob=1, gamma=(0.7, 1.5))

    def __call__(
        self, image: np.ndarray, labels: np.ndarray, rng: np.random.Generator, next_number: int = 0
    ) -> tuple[np.ndarray, np.ndarray]:
        """A changed copy of a patch: moved alike in all channels, intensities changed in each by itself.

        Parameters
        ----------
        image : ndarray
            Normalised intensities (c, z, y, x), float32.
        labels : ndarray
            Classes (z, y, x), uint8, or small numbers of objects, int32; 0 is not annotated.
        rng : Generator
            Source of all randomness; left in a new state.
        next_number : int
            Where labels are numbers of objects: the first that no object has, for copies of objects.

        Returns
        -------
        image, labels : ndarray
            Patch and labels of the same shapes and types. Labels are 0 wherever the patch shows what was not read.
        """
        plan = self.plan
        if _happens(plan.copy_paste, rng):
            image, labels = copy_paste(image, labels, rng, self._n_classes, next_number)
        seen = torch.from_numpy(np.array(image, np.float32))
        target = torch.from_numpy(np.array(labels))
        with torch.no_grad():
            if plan.flips or plan.has_turns:
                seen, target = self._turn(seen, target, rng)
            if rng.random() < plan.affine:
                seen, target = self._rotate_and_scale(seen, target, rng)
            if _happens(plan.elastic, rng):
                seen, target = elastic_deformation(
                    seen, target, rng, plan.elastic_shift, self.anisotropy, self._can_tilt(target)
                )
            if rng.random() < plan.misaligned_section:
                seen, target = misaligned_section(seen, target, rng)
            changed = [self._change_intensities(channel, rng) for channel in seen.split(1)]
            seen = changed[0] if len(changed) == 1 else torch.cat(changed)
            for probability, change in (
                (plan.cut_blur, cut_blur),
                (plan.cut_noise, cut_noise),
                (plan.cut_out, cut_out),
            ):
                if _happens(probability, rng):
                    seen = change(seen, rng)
        return _plain(seen), _plain(target)

    def _change_intensities(self, image: Tensor, rng: np.random.Generator) -> Tensor:
        """One channel (1, z, y, x), its contrast, noise and faulty sections."""
        plan = self.plan
        if rng.random() < plan.contrast:
            image = self._change_contrast(image, rng)
        if rng.random() < plan.noise:
            image = _with_noise(image, rng)
        if rng.random() < plan.blur:
            image = blurred_sections(image, rng)
        if _happens(plan.stripes, rng):
            image = stripes(image, rng)
        if rng.random() < plan.missing_section:
            image = missing_section(image, rng)
        return image

    def _turn(self, image: Tensor, labels: Tensor, rng: np.random.Generator) -> tuple[Tensor, Tensor]:
        """Mirror along any axis; turn by 90 degrees in the plane if square, out of it if the voxels are cubic too.

        torch's own flip and rot90, which MONAI's transforms wrap at ten times the cost for a patch.
        """
        axes = [axis - 3 for axis in range(3) if rng.random() < 0.5] if self.plan.flips else []
        depth, height, width = labels.shape
        has_turns, is_cubic = self.plan.has_turns, 1 / _CUBIC <= self.anisotropy <= _CUBIC
        in_plane = int(rng.integers(4)) if has_turns and height == width else 0
        tilted = int(rng.integers(4)) if has_turns and is_cubic and depth == height else 0
        image, labels = torch.flip(image, axes), torch.flip(labels, axes)
        image, labels = torch.rot90(image, in_plane, (-2, -1)), torch.rot90(labels, in_plane, (-2, -1))
        return torch.rot90(image, tilted, (-3, -2)), torch.rot90(labels, tilted, (-3, -2))

    def _rotate_and_scale(self, image: Tensor, labels: Tensor, rng: np.random.Generator) -> tuple[Tensor, Tensor]:
        """Small rotations and a scaling; what comes from outside is the image mirrored, and ignored.

        First in the plane, then, where voxels are about isotropic, a tilt of the sections. Planes along the third axis
        share one 2D grid as if they were channels: five times as fast as resampling the volume in 3D once.
        """
        matrix = _rotation(rng.uniform(-math.pi / 6, math.pi / 6)) * rng.uniform(0.85, 1.18)
        image, labels = _resampled(image, labels, matrix)
        if self._can_tilt(labels):
            thickness = np.diag([self.anisotropy, 1])  # a rotation is one in nm, not in voxels
            tilt = _rotation(rng.uniform(-math.pi / 8, math.pi / 8))
            matrix = np.linalg.inv(thickness) @ tilt @ thickness * rng.uniform(0.85, 1.18)
            along = int(rng.integers(1, 3))
            image, labels = (
                planes.movedim(-3, along - 3)
                for planes in _resampled(image.movedim(along - 3, -3), labels.movedim(along - 3, -3), matrix)
            )
        return image, labels

    def _can_tilt(self, labels: Tensor) -> bool:
        """Whether a patch may be moved out of the plane."""
        return 1 / _ANISOTROPIC <= self.anisotropy <= _ANISOTROPIC and labels.shape[0] >= _LEAST_DEPTH

    def _change_contrast(self, image: Tensor, rng: np.random.Generator) -> Tensor:
        """Gamma, contrast and brightness."""
        bent = torch.as_tensor(self._gamma.set_random_state(seed=_seed(rng))(image))
        return bent * float(rng.uniform(0.75, 1.25)) + float(rng.uniform(-0.3, 0.3))


def _happens(probability: float, rng: np.random.Generator) -> bool:
    """Whether a change happens; one that is off draws no number, so that the others stay as they are without it."""
    return probability > 0 and rng.random() < probability


def _with_noise(image: Tensor, rng: np.random.Generator) -> Tensor:
    """Gaussian noise, drawn by torch in float32 in a fifth of the time that numpy's float64 takes MONAI's transform."""
    generator = torch.Generator().manual_seed(_seed(rng))
    return image + torch.randn(image.shape, generator=generator) * float(rng.uniform(0, _MOST_NOISE))


def _rotation(angle: float) -> np.ndarray:
    return np.array([[math.cos(angle), -math.sin(angle)], [math.sin(angle), math.cos(angle)]])


def _resampled(planes: Tensor, labels: Tensor, matrix: np.ndarray) -> tuple[Tensor, Tensor]:
    """Planes (c, n, a, b) and their labels (n, a, b) at ``matrix @ (a, b)``, counted from the middle in voxels.

    Intensities are interpolated linearly and mirrored at the border; labels are the nearest, and 0 outside.
    """
    half = np.array(labels.shape[1:]) / 2
    relative = (matrix * half[None, :] / half[:, None])[::-1, ::-1]  # torch counts the last axis first, from -1 to 1
    theta = torch.from_numpy(np.concatenate([relative, np.zeros((2, 1))], axis=1).astype(np.float32))
    grid = functional.affine_grid(theta[None], [1, 1, *labels.shape[1:]], align_corners=False)
    values = functional.grid_sample(
        planes.flatten(0, 1)[None].contiguous(), grid, mode="bilinear", padding_mode="reflection", align_corners=False
    )
    classes = functional.grid_sample(
        labels[None].float().contiguous(), grid, mode="nearest", padding_mode="zeros", align_corners=False
    )
    return values.view(planes.shape), classes[0].to(labels.dtype)


def _seed(rng: np.random.Generator) -> int:
    return int(rng.integers(2**32))


def _plain(tensor: Tensor) -> np.ndarray:
    return np.ascontiguousarray(tensor.numpy())
