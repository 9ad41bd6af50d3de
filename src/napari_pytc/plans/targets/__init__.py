"""Targets of trainings: which channels a network learns."""

from typing import Annotated

from pydantic import Field

from napari_pytc.plans.targets.channels import ChannelsTarget
from napari_pytc.plans.targets.classes import ClassesTarget
from napari_pytc.plans.targets.instances import FOREGROUND, InstancesTarget, chosen_offsets

__all__ = ["FOREGROUND", "AnyTarget", "ChannelsTarget", "ClassesTarget", "InstancesTarget", "chosen_offsets"]

AnyTarget = Annotated[ClassesTarget | InstancesTarget | ChannelsTarget, Field(discriminator="kind")]
