"""Settings of TensorBoard."""

from __future__ import annotations

from typing import ClassVar, Literal

from napari_pytc.plans.tracking.base import TrackerSettings


class TensorBoardSettings(TrackerSettings):
    """TensorBoard: event files on this machine, which ``tensorboard --logdir FOLDER`` shows in a browser."""

    builds: ClassVar[str] = "napari_pytc.learning.tracking.tensorboard_tracker:open_tensorboard"
    title: ClassVar[str] = "TensorBoard"
    package: ClassVar[str] = "tensorboard"
    about: ClassVar[str] = "Writes files on this machine; nothing is sent."
    kind: Literal["tensorboard"] = "tensorboard"
