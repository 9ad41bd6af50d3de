"""Trackers of experiments: programs that record trainings beside one another; their settings as data."""

from napari_pytc.plans.tracking.base import AnyTracker, TrackerSettings, Tracking, read_tracking
from napari_pytc.plans.tracking.tensorboard import TensorBoardSettings
from napari_pytc.plans.tracking.wandb import WandbSettings

__all__ = ["AnyTracker", "TensorBoardSettings", "TrackerSettings", "Tracking", "WandbSettings", "read_tracking"]
