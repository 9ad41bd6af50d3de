"""The list of networks: which there are, what they cost, how they predict."""

from __future__ import annotations

from typing import ClassVar, Literal

from pydantic import Field

from napari_pytc.geometry import Shape
from napari_pytc.jobs.spec import JobSpec
from napari_pytc.plans.networks import AnyNetwork, NetworkSettings
from napari_pytc.plans.plan import Device


class NetworksJob(JobSpec):
    """List networks with the memory of a training step; nothing is written.

    The result is ``{"networks": [...], "basis": str, "device": str, "free_bytes": int}``; each network has ``kind``,
    ``description``, ``when`` to take it, ``parameters``, ``tiles``, ``levels`` that get a loss each,
    ``multiplications`` for a voxel of a prediction, ``patch_shape``, ``batch_size``, ``step_memory_bytes``,
    ``least_patch_shape``, ``least_memory_bytes``, ``settings`` and ``problem``: empty unless it takes no such patch.
    What is not known because of the problem is 0.
    """

    runs: ClassVar[str] = "napari_pytc.learning.training.memory.network_list:run"
    kind: Literal["networks"] = "networks"
    networks: tuple[AnyNetwork, ...] = Field((), description="The networks to list; by default all kinds as they are.")
    voxel_size_nm: tuple[float, float, float] = Field((10.0, 10.0, 10.0), description="Voxel size z, y, x.")
    n_inputs: int = Field(1, ge=1, description="Channels of the image.")
    n_classes: int = Field(2, ge=1, description="Classes, or channels of the prediction.")
    batch_size: int = Field(2, ge=1, description="Patches a step.")
    patch_shape: Shape | None = Field(None, description="Patch z, y, x; by default the one that each network suggests.")
    device: Device = Field("auto", description="Where a training would compute.")


def describe(settings: type[NetworkSettings] | NetworkSettings) -> str:
    """The sentence that a kind of network is described by."""
    text = (settings if isinstance(settings, type) else type(settings)).__doc__ or ""
    return " ".join(text.strip().partition("\n\n")[0].split())


def all_networks() -> tuple[NetworkSettings, ...]:
    """Every installed kind with the settings that it has by itself, in the order of their names."""
    return tuple(cls(kind=kind) for kind, cls in sorted(NetworkSettings.variants().items()))
