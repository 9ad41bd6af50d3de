"""A trained model, ready to compute."""

from __future__ import annotations

import copy
import hashlib
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import nn

from napari_pytc.geometry import VoxelSpace
from napari_pytc.learning.arithmetic import Arithmetic, choose_precision
from napari_pytc.learning.config import Device, Precision
from napari_pytc.learning.devices import choose_device, limit_threads
from napari_pytc.learning.model_folder import ModelInfo, read_model_info, read_normalisation, weights_path
from napari_pytc.learning.networks import NetworkLimits
from napari_pytc.learning.networks.limits import measure_limits
from napari_pytc.learning.normalisation import Normalisation
from napari_pytc.learning.weights import load_exactly, load_weights
from napari_pytc.volumes.channels import ChannelRole
from napari_pytc.volumes.source import VolumeSource

_SIMILAR = 1.5
"""Voxel sizes within this factor look alike to a network that was trained with scaling."""


@dataclass(frozen=True)
class TrainedModel:
    """A network with its weights, in eval mode, and what must be known to use it."""

    info: ModelInfo
    network: nn.Module
    limits: NetworkLimits
    normalisation: Normalisation
    fingerprint: str

    @classmethod
    def load(cls, folder: Path) -> TrainedModel:
        """Read a model folder.

        Raises
        ------
        ModelError
            If it is incomplete, damaged, a pickle, or from a newer version.
        """
        info = read_model_info(folder)
        network = info.plan.network.build(len(info.classes), VoxelSpace(info.voxel_size_nm))
        path = weights_path(folder)
        load_exactly(network, load_weights(path), f"Model {folder}")
        network.eval()
        digest = hashlib.sha256(path.read_bytes()).hexdigest()[:16]
        limits = info.limits or measure_limits(network)
        return cls(info, network, limits, read_normalisation(folder), digest)

    @property
    def roles(self) -> tuple[ChannelRole, ...]:
        """What the channels of a prediction mean."""
        return self.info.plan.target.roles(self.info.classes, VoxelSpace(self.info.voxel_size_nm))

    def place(self, device: Device, precision: Precision) -> tuple[torch.device, Arithmetic]:
        """Move the network to a device and find the arithmetic that suits it there."""
        limit_threads()
        chosen = choose_device(device)
        arithmetic = inference_arithmetic(self.network, self.info.plan.network, self.limits, chosen, precision)
        self.network.to(chosen)
        arithmetic.place_network(self.network)
        return chosen, arithmetic

    def doubts(self, source: VolumeSource, voxel_size_nm: tuple[float, float, float] | None) -> list[str]:
        """What may make this model a bad fit for a volume, in sentences."""
        if voxel_size_nm is None and not source.space.known:
            return []
        size = voxel_size_nm or source.space.voxel_size_nm
        ratios = [max(a / b, b / a) for a, b in zip(size, self.info.voxel_size_nm, strict=True)]
        if max(ratios) <= _SIMILAR:
            return []
        return [
            f"The model was trained on voxels of {_nm(self.info.voxel_size_nm)} nm, these are {_nm(size)} nm: expect a "
            "worse prediction, or resample the volume."
        ]


def inference_arithmetic(
    network: nn.Module, settings: object, limits: NetworkLimits, device: torch.device, precision: Precision
) -> Arithmetic:
    """The arithmetic of predictions: what a network insists on, else what the machine does fastest."""
    if getattr(network, "classify", None) is not None:
        return Arithmetic()  # a filter bank computes in float32, whatever the others do
    depth = 1 if limits.halo[0] == 0 else 32
    shape = [max(a, n // a * a) for a, n in zip(limits.alignment, (depth, 96, 96), strict=True)]
    return choose_precision(
        device,
        lambda: copy.deepcopy(network),
        (1, 1, *shape),
        training=False,
        wanted=precision,
        network_key=str(settings),
    )


def _nm(size: tuple[float, float, float]) -> str:
    return " x ".join(f"{v:g}" for v in size)
