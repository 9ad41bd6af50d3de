"""Random changes of training patches: MONAI's transforms, and the faults of sections in electron microscopy."""

from __future__ import annotations

import math

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from napari_pytc.learning.config import Augmentation
from napari_pytc.learning.section_faults import blurred_sections, misaligned_section, missing_section

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

    All randomness comes from the generator that a call is given; an instance belongs to one thread.

    Parameters
    ----------
    plan : Augmentation
        How often each change is applied.
    anisotropy : float
        Section thickness over the in-plane edge of a voxel. Beyond 2 (or below 1/2), rotations stay in the plane.
    """

    def __init__(self, plan: Augmentation, anisotropy: float) -> None:
        # Here and not above, so that whoever trains without patches does not wait for MONAI's import.
        from monai.transforms import RandAdjustContrast

        self.plan = plan
        self.anisotropy = anisotropy
        self._gamma = RandAdjustContrast(prob=1, gamma=(0.7, 1.5))

    def __call__(
        self, image: np.ndarray, labels: np.ndarray, rng: np.random.Generator
    ) -> tuple[np.ndarray, np.ndarray]:
        """A changed copy of a patch.

        Parameters
        ----------
        image : ndarray
            Normalised intensities (1, z, y, x), float32.
        labels : ndarray
            Classes (z, y, x), uint8, or small numbers of objects, int32; 0 is not annotated.
        rng : Generator
            Source of all randomness; left in a new state.

        Returns
        -------
        image, labels : ndarray
            Of the same shapes and types. Labels are 0 wherever the patch shows what was not read.
        """
        plan = self.plan
        seen = torch.from_numpy(np.array(image, np.float32))
        target = torch.from_numpy(np.array(labels))
        with torch.no_grad():
            if plan.flips:
                seen, target = self._turn(seen, target, rng)
            if rng.random() < plan.affine:
                seen, target = self._rotate_and_scale(seen, target, rng)
            if rng.random() < plan.misaligned_section:
                seen, target = misaligned_section(seen, target, rng)
            if rng.random() < plan.contrast:
                seen = self._change_contrast(seen, rng)
            if rng.random() < plan.noise:
                seen = _with_noise(seen, rng)
            if rng.random() < plan.blur:
                seen = blurred_sections(seen, rng)
            if rng.random() < plan.missing_section:
                seen = missing_section(seen, rng)
        return _plain(seen), _plain(target)

    def _turn(self, image: Tensor, labels: Tensor, rng: np.random.Generator) -> tuple[Tensor, Tensor]:
        """Mirror along any axis; turn by 90 degrees in the plane if square, out of it if the voxels are cubic too.

        torch's own flip and rot90, which MONAI's transforms wrap at ten times the cost for a patch.
        """
        axes = [axis - 3 for axis in range(3) if rng.random() < 0.5]
        depth, height, width = labels.shape
        in_plane = int(rng.integers(4)) if height == width else 0
        tilted = int(rng.integers(4)) if depth == height and 1 / _CUBIC <= self.anisotropy <= _CUBIC else 0
        image, labels = torch.flip(image, axes), torch.flip(labels, axes)
        image, labels = torch.rot90(image, in_plane, (-2, -1)), torch.rot90(labels, in_plane, (-2, -1))
        return torch.rot90(image, tilted, (-3, -2)), torch.rot90(labels, tilted, (-3, -2))

    def _rotate_and_scale(self, image: Tensor, labels: Tensor, rng: np.random.Generator) -> tuple[Tensor, Tensor]:
        """Small rotations and a scaling; what comes from outside is the image mirrored, and ignored.

        First in the plane, then, where voxels are about isotropic, a tilt of the sections. Planes along the third axis
        share one 2D grid as if they were channels: five times as fast as resampling the volume in 3D once.
        """
        volume = image[0]
        matrix = _rotation(rng.uniform(-math.pi / 6, math.pi / 6)) * rng.uniform(0.85, 1.18)
        volume, labels = _resampled(volume, labels, matrix)
        if 1 / _ANISOTROPIC <= self.anisotropy <= _ANISOTROPIC and labels.shape[0] >= _LEAST_DEPTH:
            thickness = np.diag([self.anisotropy, 1])  # a rotation is one in nm, not in voxels
            tilt = _rotation(rng.uniform(-math.pi / 8, math.pi / 8))
            matrix = np.linalg.inv(thickness) @ tilt @ thickness * rng.uniform(0.85, 1.18)
            along = int(rng.integers(1, 3))
            volume, labels = (
                planes.movedim(0, along)
                for planes in _resampled(volume.movedim(along, 0), labels.movedim(along, 0), matrix)
            )
        return volume[None], labels

    def _change_contrast(self, image: Tensor, rng: np.random.Generator) -> Tensor:
        """Gamma, contrast and brightness."""
        bent = torch.as_tensor(self._gamma.set_random_state(seed=_seed(rng))(image))
        return bent * float(rng.uniform(0.75, 1.25)) + float(rng.uniform(-0.3, 0.3))


def _with_noise(image: Tensor, rng: np.random.Generator) -> Tensor:
    """Gaussian noise, drawn by torch in float32 in a fifth of the time that numpy's float64 takes MONAI's transform."""
    generator = torch.Generator().manual_seed(_seed(rng))
    return image + torch.randn(image.shape, generator=generator) * float(rng.uniform(0, _MOST_NOISE))


def _rotation(angle: float) -> np.ndarray:
    return np.array([[math.cos(angle), -math.sin(angle)], [math.sin(angle), math.cos(angle)]])


def _resampled(planes: Tensor, labels: Tensor, matrix: np.ndarray) -> tuple[Tensor, Tensor]:
    """Planes (n, a, b) and their labels at ``matrix @ (a, b)``, counted from the middle in voxels.

    Intensities are interpolated linearly and mirrored at the border; labels are the nearest, and 0 outside.
    """
    half = np.array(planes.shape[1:]) / 2
    relative = (matrix * half[None, :] / half[:, None])[::-1, ::-1]  # torch counts the last axis first, from -1 to 1
    theta = torch.from_numpy(np.concatenate([relative, np.zeros((2, 1))], axis=1).astype(np.float32))
    grid = functional.affine_grid(theta[None], [1, 1, *planes.shape[1:]], align_corners=False)
    values = functional.grid_sample(
        planes[None].contiguous(), grid, mode="bilinear", padding_mode="reflection", align_corners=False
    )
    classes = functional.grid_sample(
        labels[None].float().contiguous(), grid, mode="nearest", padding_mode="zeros", align_corners=False
    )
    return values[0], classes[0].to(labels.dtype)


def _seed(rng: np.random.Generator) -> int:
    return int(rng.integers(2**32))


def _plain(tensor: Tensor) -> np.ndarray:
    return np.ascontiguousarray(tensor.numpy())
