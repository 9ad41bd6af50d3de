"""Distillation targets of a parent model on sampled voxels, for networks that learn from single voxels."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from napari_pytc.geometry import Box
from napari_pytc.learning.data.sampling import TrainingVolume
from napari_pytc.learning.data.training_image import TrainingImage
from napari_pytc.learning.data.volume_data import VolumeData
from napari_pytc.learning.data.voxel_features import cached_features_at
from napari_pytc.learning.machine.precision import Precision
from napari_pytc.learning.networks.network import FeatureBank, has_same_features
from napari_pytc.learning.prediction.model import TrainedModel
from napari_pytc.plans.model_folder import ModelInfo
from napari_pytc.plans.plan import TrainPlan

_VOXELS_OF_BOX, _TRIES = 512, 8
_SECTIONS, _SECTION = 8, (1, 128, 128)
_BLOCKS, _BLOCK = 8, (12, 48, 48)
"""Few and large blocks, because the context around each costs the most."""
_LEAST_VOXELS = 80
"""Of each class that a parent learnt: predictions of one that learnt from fewer are not worth keeping."""
LEAST_RECALL = 0.3
"""On the painted voxels of each class. A model that learns from its own predictions may lose a rare class by and by."""
_SHARPENED = 3.0
_ROWS = 512
"""Voxels that a step sees."""


@dataclass(frozen=True)
class DistillationTargets:
    """Features (n, f) float32 and the probabilities (n, k) that are wanted for them."""

    features: Tensor
    probabilities: Tensor

    def draw_rows(self, seed: int, steps: int) -> Tensor:
        """Indices of the targets of each step, (steps, rows); the same for the same seed."""
        return torch.from_numpy(np.random.default_rng(seed).integers(len(self.features), size=(steps, _ROWS)))

    def cross_entropy(self, logits: Tensor, rows: Tensor) -> Tensor:
        """Cross entropy of logits (rows, k) against the targets of these rows."""
        return functional.cross_entropy(logits, self.probabilities[rows].to(logits))


def sharpen(probabilities: Tensor) -> Tensor:
    """Probabilities (n, k) made more certain, so that what was nearly certain stays so."""
    powers = probabilities.float() ** _SHARPENED
    return powers / powers.sum(1, keepdim=True)


def lowest_recall(probabilities: Tensor, classes: Tensor) -> float:
    """The lowest recall, over the classes, on painted voxels.

    Parameters
    ----------
    probabilities : Tensor
        (n, k), or logits.
    classes : Tensor
        (n,), from 1.
    """
    right = probabilities.argmax(1) + 1 == classes
    return min(float(right[classes == k].float().mean()) for k in classes.unique())


def has_learnt_enough(parent: ModelInfo, n_annotated: dict[str, int]) -> bool:
    """Whether a parent learnt all classes that are annotated now, and each from more than a stroke or two."""
    return all(parent.n_annotated.get(name, 0) >= _LEAST_VOXELS for name, n in n_annotated.items() if n)


def distillation_targets_of(
    parent: TrainedModel, network: FeatureBank, plan: TrainPlan, volumes: Sequence[TrainingVolume]
) -> DistillationTargets | None:
    """The targets of `sample_distillation_targets` on all volumes, which share the number of voxels."""
    n_volumes = len(volumes)
    found = [sample_distillation_targets(parent, network, plan, one.data, one.image, n_volumes) for one in volumes]
    known = [targets for targets in found if targets is not None]
    if not known:
        return None
    return DistillationTargets(
        torch.cat([targets.features for targets in known]), torch.cat([targets.probabilities for targets in known])
    )


def sample_distillation_targets(
    parent: TrainedModel,
    network: FeatureBank,
    plan: TrainPlan,
    data: VolumeData,
    image: TrainingImage,
    n_volumes: int = 1,
) -> DistillationTargets | None:
    """Probabilities of a parent model at random voxels outside of the held-out boxes; None where there are none.

    The voxels depend on the plan's seed alone. A parent with the same filters predicts from the same features.

    Parameters
    ----------
    network : FeatureBank
        Whose features are wanted.
    image : TrainingImage
        Held-out boxes blank in it.
    n_volumes : int
        Number of volumes that share the number of voxels.
    """
    features, probabilities, limits = [], [], network.limits()
    for box, where in _sample_regions(image, plan.seed, limits.halo[0] == 0, n_volumes):
        at = where + np.array(box.start)
        z, y, x = torch.from_numpy(where).T
        if has_same_features(parent.network, network) and parent.network.feature_bank is parent.network:
            features.append(cached_features_at(network, plan, data, image, at))
            with torch.no_grad():
                probabilities.append(parent.network.feature_bank.classify(features[-1]).softmax(1))
        elif has_same_features(parent.network, network):
            # As in its training: a patch, whose borders the U-Net does not see beyond.
            read = box.grow(limits.halo).aligned(limits.alignment).intersect(image.whole)
            with torch.no_grad():
                found = network.features(torch.from_numpy(image.read(read))[None], box.relative_to(read.start))
                predicted = parent.network.logits_of_features(found).softmax(1)
            features.append(found[0, :, z, y, x].T.contiguous())
            probabilities.append(predicted[0, :, z, y, x].T)
        else:
            inferer = parent.inferer(torch.device("cpu"), Precision())
            features.append(cached_features_at(network, plan, data, image, at))
            probabilities.append(inferer.predict_box(image.read, box, image.whole)[:, z, y, x].T)
    return DistillationTargets(torch.cat(features), sharpen(torch.cat(probabilities))) if features else None


def _sample_regions(image: TrainingImage, seed: int, is_flat: bool, n_volumes: int) -> Iterator[tuple[Box, np.ndarray]]:
    """Boxes spread over the volume, and some voxels of each relative to it, none of them held out."""
    rng = np.random.default_rng(seed)
    n_left, wanted = (_SECTIONS, _SECTION) if is_flat else (_BLOCKS, _BLOCK)
    n_left = max(2, n_left // n_volumes)
    shape = [min(n, m) for n, m in zip(wanted, image.whole.shape, strict=True)]
    for _ in range(_TRIES * n_left):
        start = [int(rng.integers(n - m + 1)) for n, m in zip(image.whole.shape, shape, strict=True)]
        box = Box.at(start, shape)
        where = np.stack(np.unravel_index(rng.permutation(box.size)[:_VOXELS_OF_BOX], box.shape), axis=1)
        hidden = [h for h in image.hidden if h.overlaps(box)]
        seen = [not any(h.contains_point(voxel) for h in hidden) for voxel in (where + np.array(start)).tolist()]
        if any(seen):
            n_left -= 1
            yield box, where[seen]
        if not n_left:
            return
