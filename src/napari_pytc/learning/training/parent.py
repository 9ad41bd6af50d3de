"""What a training takes over from other models: weights to start from, and the model that it distils."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

from napari_pytc.learning.machine.weights import load_matching, load_weights
from napari_pytc.learning.networks.network import Network
from napari_pytc.learning.prediction.model import TrainedModel
from napari_pytc.learning.training.folders import TrainingFolders
from napari_pytc.learning.training.steps.distillation import has_learnt_enough
from napari_pytc.learning.training.tasks.task import LearningTask
from napari_pytc.plans.model_folder import ModelInfo, weights_path
from napari_pytc.plans.plan import TrainPlan

Warn = Callable[[str], None]


def start_from(
    network: Network, plan: TrainPlan, parent: ModelInfo, folder: Path, titles: Sequence[str], warn: Warn
) -> tuple[bool, bool]:
    """Take over a parent's weights; whether its features' mean and scale are among them, and whether all fit.

    Parameters
    ----------
    folder : Path
        The parent's folder.
    titles : sequence of str
        Titles of the channels of the new model.
    """
    report = load_matching(network, network.weights_from(load_weights(weights_path(folder))))
    if report.reinitialised:
        warn(f"Not all of the parent fits: {report}")
    if len(parent.classes) == len(titles) and parent.classes != titles:
        warn(
            f"The parent's classes are {', '.join(parent.classes)}, these are {', '.join(titles)}: "
            "outputs are matched by their number."
        )
    if parent.plan.normalisation != plan.normalisation:
        warn("The parent learnt intensities that were scaled otherwise: its weights fit less well.")
    return "feature_mean" in report.loaded, not report.reinitialised


def load_distilled_model(
    plan: TrainPlan, task: LearningTask, folders: TrainingFolders, warn: Warn
) -> TrainedModel | None:
    """The model whose predictions count where nothing is annotated; None where there is none or it does not fit."""
    folder = folders.distil_from or folders.parent
    if folder is None or not plan.distil_weight:
        return None
    model = TrainedModel.load(folder)
    if model.roles != task.roles:
        if folder == folders.parent:
            warn("The parent has other channels than the new model, so that it cannot be distilled.")
        return None
    if model.info.plan.normalisation != plan.normalisation:
        if folder == folders.parent:
            warn(
                "The parent learnt intensities that were scaled otherwise (normalisation), so that it cannot be "
                "distilled."
            )
        return None
    if plan.network.learns_from == "voxels" and not has_learnt_enough(model.info, task.n_annotated):
        warn("The parent learnt too little of some class to be distilled; training starts from its weights.")
        return None
    return model
