"""The learning task of a plan."""

from __future__ import annotations

from napari_pytc.learning.data.training_data import TrainingData
from napari_pytc.learning.data.volume_data import VolumeData
from napari_pytc.learning.training.tasks.channel_task import ChannelTask
from napari_pytc.learning.training.tasks.task import ClassTask, LearningTask, ObjectTask
from napari_pytc.plans.plan import TrainPlan
from napari_pytc.plans.targets import ChannelsTarget


def make_task(plan: TrainPlan, data: TrainingData | VolumeData) -> LearningTask:
    """The task of a plan on these data.

    Raises
    ------
    InvalidInput
        If the target names classes that the data do not have.
    """
    data = TrainingData.of(data)
    target = plan.target.of_classes(data.classes)
    roles = target.roles(data.classes, data.space)
    if isinstance(target, ChannelsTarget):
        return ChannelTask(data, target, roles)
    return ClassTask(data, roles) if target.kind == "classes" else ObjectTask(data, roles)
