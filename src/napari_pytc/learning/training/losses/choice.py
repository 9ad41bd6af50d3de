"""The loss that a plan trains with."""

from __future__ import annotations

from collections.abc import Sequence

from napari_pytc.learning.training.losses.channels import ChannelLoss
from napari_pytc.learning.training.losses.classes import SparseDiceCrossEntropy
from napari_pytc.learning.training.losses.parts import TrainingLoss
from napari_pytc.learning.training.losses.target_loss import TargetLoss
from napari_pytc.learning.training.losses.terms import ChannelTerms, ClassTerms, LossTerms
from napari_pytc.plans.losses import assign_losses
from napari_pytc.plans.plan import TrainPlan
from napari_pytc.plans.targets import ChannelsTarget
from napari_pytc.volumes.channels import ChannelRole


def make_loss(plan: TrainPlan, roles: Sequence[ChannelRole], guess_weight: float = 0.0) -> TrainingLoss:
    """The loss of a plan, a module of logits and labels as in `Batch`.

    Parameters
    ----------
    roles : sequence of ChannelRole
        Roles of the network's channels.
    guess_weight : float
        Weight of pseudo-labels.
    """
    is_classes = plan.target.kind == "classes"
    if isinstance(plan.target, ChannelsTarget) and not plan.losses:
        return TargetLoss(plan, plan.target, roles)
    if not plan.losses:
        if is_classes:
            return SparseDiceCrossEntropy(plan.dice_weight, guess_weight)
        return ChannelLoss(roles, plan.dice_weight, plan.class_balance)
    assigned = assign_losses(plan.losses, roles, single_voxels=plan.network.learns_from == "voxels")
    terms = LossTerms(assigned, plan.loss_balancing)
    if is_classes:
        return ClassTerms(terms, guess_weight)
    weight = plan.target.small_object_weight if isinstance(plan.target, ChannelsTarget) else 1.0
    return ChannelTerms(terms, roles, weight)
