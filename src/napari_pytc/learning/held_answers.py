"""What a parent answers on a sample of the volume, for networks that learn from single voxels."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from napari_pytc.geometry import Box
from napari_pytc.learning.arithmetic import Arithmetic
from napari_pytc.learning.config import TrainPlan
from napari_pytc.learning.data import TrainingData, TrainingImage
from napari_pytc.learning.inference import Inferer
from napari_pytc.learning.model import TrainedModel
from napari_pytc.learning.model_folder import ModelInfo
from napari_pytc.learning.networks import NetworkLimits
from napari_pytc.learning.networks.filter_bank import FilterBank
from napari_pytc.learning.networks.residual_unet import ResidualUNet
from napari_pytc.learning.voxel_features import cached_features_at

_OF_PLACE, _TRIES = 512, 8
_SECTIONS, _SECTION = 8, (1, 128, 128)
_BLOCKS, _BLOCK = 8, (12, 48, 48)
"""Few and large: what costs is the context around each."""
_LEAST_VOXELS = 80
"""Of each class that a parent learnt: the answers of one that knows less are not worth holding."""
LEAST_REPEATED = 0.3
"""Of the painted voxels of each class. A model that learns from its own answers may lose a rare class step by step."""
_SHARPENED = 3.0
_ROWS = 512
"""Voxels that a step sees."""


@dataclass(frozen=True)
class Held:
    """Features (n, f) float32 and what is to be answered for them, probabilities (n, k)."""

    features: Tensor
    answers: Tensor

    def drawn(self, seed: int, steps: int) -> Tensor:
        """Which of them each step sees, (steps, rows); the same for the same seed."""
        return torch.from_numpy(np.random.default_rng(seed).integers(len(self.features), size=(steps, _ROWS)))

    def away(self, logits: Tensor, rows: Tensor) -> Tensor:
        """How far logits (rows, k) are from what is to be answered for some of them: their cross entropy."""
        return functional.cross_entropy(logits, self.answers[rows].to(logits))


def sharpened(probabilities: Tensor) -> Tensor:
    """Probabilities (n, k) made more certain, so that what was nearly certain stays so."""
    powers = probabilities.float() ** _SHARPENED
    return powers / powers.sum(1, keepdim=True)


def least_repeated(answers: Tensor, classes: Tensor) -> float:
    """The smallest share, over the classes, of painted voxels that are answered as they were painted.

    Parameters
    ----------
    answers : Tensor
        (n, k), the more the more probable.
    classes : Tensor
        (n,), from 1.
    """
    right = answers.argmax(1) + 1 == classes
    return min(float(right[classes == k].float().mean()) for k in classes.unique())


def knows_enough(parent: ModelInfo, n_annotated: dict[str, int]) -> bool:
    """Whether a parent learnt all classes that are annotated now, and each from more than a stroke or two."""
    return all(parent.n_annotated.get(name, 0) >= _LEAST_VOXELS for name, n in n_annotated.items() if n)


def held_answers(
    parent: TrainedModel,
    network: FilterBank,
    plan: TrainPlan,
    data: TrainingData,
    image: TrainingImage,
    limits: NetworkLimits,
) -> Held | None:
    """What a parent answers at random places outside of the held-out boxes; None where there are none.

    The places depend on the plan's seed alone. A parent on the same filters is asked from the same features.

    Parameters
    ----------
    network : FilterBank
        Whose features are wanted, with its plan and limits.
    image : TrainingImage
        Held-out boxes blank in it.
    """
    features, answers = [], []
    for box, where in _places(image, plan.seed, is_flat=limits.halo[0] == 0):
        at = where + np.array(box.start)
        z, y, x = torch.from_numpy(where).T
        if isinstance(parent.network, FilterBank) and parent.network.finds_what(network):
            features.append(cached_features_at(network, plan, data, image, limits, at))
            with torch.no_grad():
                answers.append(parent.network.classify(features[-1]).softmax(1))
        elif isinstance(parent.network, ResidualUNet) and parent.network.bank.finds_what(network):
            # As in its training: a patch, whose borders the U-Net does not see beyond.
            read = box.grow(limits.halo).aligned(limits.alignment).intersect(image.whole)
            with torch.no_grad():
                found = network.features(torch.from_numpy(image.read(read))[None, None], box.relative_to(read.start))
                answer = parent.network.of_features(found).softmax(1)
            features.append(found[0, :, z, y, x].T.contiguous())
            answers.append(answer[0, :, z, y, x].T)
        else:
            inferer = Inferer(parent.network, parent.limits, torch.device("cpu"), Arithmetic())
            read = box.grow(parent.limits.halo).aligned(parent.limits.alignment).intersect(image.whole)
            features.append(cached_features_at(network, plan, data, image, limits, at))
            answers.append(inferer(image.read(read), box.relative_to(read.start))[:, z, y, x].T)
    return Held(torch.cat(features), sharpened(torch.cat(answers))) if features else None


def _places(image: TrainingImage, seed: int, is_flat: bool) -> Iterator[tuple[Box, np.ndarray]]:
    """Boxes spread over the volume, and some voxels of each relative to it, none of them held out."""
    rng = np.random.default_rng(seed)
    n_places, wanted = (_SECTIONS, _SECTION) if is_flat else (_BLOCKS, _BLOCK)
    shape = [min(n, m) for n, m in zip(wanted, image.whole.shape, strict=True)]
    for _ in range(_TRIES * n_places):
        start = [int(rng.integers(n - m + 1)) for n, m in zip(image.whole.shape, shape, strict=True)]
        box = Box.at(start, shape)
        where = np.stack(np.unravel_index(rng.permutation(box.size)[:_OF_PLACE], box.shape), axis=1)
        hidden = [h for h in image.hidden if h.overlaps(box)]
        seen = [not any(h.contains_point(place) for h in hidden) for place in (where + np.array(start)).tolist()]
        if any(seen):
            n_places -= 1
            yield box, where[seen]
        if not n_places:
            return
