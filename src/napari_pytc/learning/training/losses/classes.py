"""The loss of classes where no losses are named: Dice and cross entropy over annotated voxels."""

from __future__ import annotations

import torch
from monai.losses import DiceLoss

from napari_pytc.learning.training.losses.parts import TrainingLoss


class SparseDiceCrossEntropy(TrainingLoss):
    """Dice + cross entropy over the voxels whose label is not 0; pseudo-labels are weighed apart.

    Voxels labelled as "any but one class" count as much, taken together, as those labelled with a class.

    Parameters
    ----------
    dice_weight : float
        Share of the soft Dice loss (Milletari et al. 2016), the rest is cross entropy.
    guess_weight : float
        Weight of the mean loss over pseudo-labels beside that over annotated voxels.
    """

    def __init__(self, dice_weight: float, guess_weight: float = 0.0) -> None:
        super().__init__()
        self.dice_weight = dice_weight
        self.guess_weight = guess_weight
        self._dice = DiceLoss(batch=True, reduction="none", smooth_nr=1e-5, smooth_dr=1e-5)

    def forward(self, logits: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
        """Mean loss.

        Parameters
        ----------
        logits : Tensor
            (b, k, z, y, x), or (n, k) for single voxels.
        labels : Tensor
            (b, z, y, x), or (n,), int64: 0 = ignore, k = k-th of n classes, n + k = a pseudo-label of the k-th
            class, 2 n + k = any but the k-th class.
        """
        n_classes = logits.shape[1]
        # One class after the other: a softmax over the last axis of a few is several times as slow.
        values, labels = logits.movedim(1, 0).flatten(1), labels.flatten()
        # Annotated voxels are few: gathering them makes their loss free beside the network.
        annotated, excluded = (
            ((labels > low) & (labels <= high)).nonzero()[:, 0]
            for low, high in ((0, n_classes), (2 * n_classes, 3 * n_classes))
        )
        few = values[:, annotated].float()
        loss = self._over(few, labels[annotated] - 1) if len(annotated) else few.sum()
        if len(excluded):
            against = any_but(values[:, excluded].float(), labels[excluded] - 2 * n_classes - 1)
            loss = (loss + against) / 2 if len(annotated) else loss + against
        if self.guess_weight and ((labels > n_classes) & (labels <= 2 * n_classes)).any():
            loss = loss + self.guess_weight * self._over(values.float(), labels - n_classes - 1)
        return loss

    def _over(self, logits: torch.Tensor, target: torch.Tensor) -> torch.Tensor:
        """Loss of voxels (k, n) against their classes; voxels without one do not count."""
        onehot = (target == torch.arange(len(logits), device=target.device)[:, None]).to(logits.dtype)
        n_each = onehot.sum(dim=1)
        log_probable = logits.log_softmax(0)
        entropy = -(log_probable * onehot).sum() / n_each.sum()
        self.note(["cross entropy"], entropy)
        if not self.dice_weight:
            return entropy
        dice = self._dice((log_probable.exp() * onehot.sum(dim=0))[None], onehot[None]).flatten()[n_each > 0].mean()
        self.note(["Dice"], dice)
        return (1 - self.dice_weight) * entropy + self.dice_weight * dice


def any_but(logits: torch.Tensor, classes: torch.Tensor) -> torch.Tensor:
    """Cross entropy of "one of the other classes" (Ishida et al. 2017, "Learning from complementary labels")."""
    others = logits.scatter(0, classes[None], -torch.inf)
    return (logits.logsumexp(0) - others.logsumexp(0)).mean()
