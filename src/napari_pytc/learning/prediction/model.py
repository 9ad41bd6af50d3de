"""A trained model, ready to compute."""

from __future__ import annotations

import copy
import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import torch

from napari_pytc.errors import InvalidInput, ModelError
from napari_pytc.geometry import VoxelSpace
from napari_pytc.jobs.context import JobContext
from napari_pytc.learning.machine.devices import choose_device, limit_threads
from napari_pytc.learning.machine.precision import Precision
from napari_pytc.learning.machine.precision_choice import choose_precision
from napari_pytc.learning.machine.weights import load_exactly, load_weights
from napari_pytc.learning.networks.network import Network, build_network
from napari_pytc.learning.prediction.predictor import BoxInferer
from napari_pytc.learning.prediction.tiling import make_inferer, training_tiling
from napari_pytc.plans.model_folder import ModelInfo, read_model_info, read_normalisation, weights_path
from napari_pytc.plans.networks import NetworkLimits
from napari_pytc.plans.normalisation import ImageNormalisation
from napari_pytc.plans.plan import Device, PrecisionName
from napari_pytc.plans.windows import Tiling, Windows, WindowSettings
from napari_pytc.volumes.channels import ChannelRole
from napari_pytc.volumes.resampling import ResampledImage, VoxelSize, resampled
from napari_pytc.volumes.source import ImageSource


@dataclass(frozen=True)
class TrainedModel:
    """A network with its weights, in eval mode, with its description, tiling and normalisation."""

    info: ModelInfo
    network: Network
    tiling: Tiling
    normalisation: ImageNormalisation
    fingerprint: str

    @classmethod
    def load(cls, folder: Path) -> TrainedModel:
        """Read a model folder.

        Raises
        ------
        ModelError
            If it is incomplete, damaged, a pickle, or from a newer version.
        """
        info, normalisation = read_model_info(folder), read_normalisation(folder)
        if len(normalisation.channels) != info.n_inputs:
            raise ModelError(
                f"Model folder {folder} is damaged: it is for {info.n_inputs} channels, its normalisation for "
                f"{len(normalisation.channels)}.",
                "Copy the model again or train a new one.",
            )
        network = build_network(info.plan.network, len(info.classes), VoxelSpace(info.voxel_size_nm), info.n_inputs)
        path = weights_path(folder)
        load_exactly(network, load_weights(path), f"Model {folder}")
        network.eval()
        digest = hashlib.sha256(path.read_bytes()).hexdigest()[:16]
        return cls(info, network, _tiling(info, network), normalisation, digest)

    @property
    def limits(self) -> NetworkLimits:
        """Halo and alignment of a network of exact tiles.

        Raises
        ------
        ModelError
            If it predicts in windows.
        """
        if isinstance(self.tiling, NetworkLimits):
            return self.tiling
        raise ModelError(
            f"The network {self.info.plan.network.kind!r} predicts in overlapping windows; exact tiles are needed.",
            "Choose a model with another network.",
        )

    def windows(self, settings: WindowSettings) -> Windows:
        """The windows of a prediction by a network of windows.

        Raises
        ------
        InvalidInput
            If the network does not take windows of the shape that is wanted.
        """
        assert isinstance(self.tiling, Windows)
        found = Windows.of(settings, self.tiling.shape)
        multiple = self.info.plan.network.window_multiple(VoxelSpace(self.info.voxel_size_nm))
        if any(n < 1 or n % m for n, m in zip(found.shape, multiple, strict=True)):
            raise InvalidInput(
                f"Windows of the network {self.info.plan.network.kind!r} have lengths at multiples of "
                f"{' x '.join(map(str, multiple))} voxels, got {' x '.join(map(str, found.shape))}.",
                f"Set windows.shape, for example to the training patch {' x '.join(map(str, self.tiling.shape))}.",
            )
        return found

    def inferer(
        self, device: torch.device, precision: Precision, warn: Callable[[str], None] = lambda _: None
    ) -> BoxInferer:
        """The inferer of boxes, of the network as `place` left it."""
        return make_inferer(self.network, self.tiling, device, precision, warn=warn, roles=self.roles)

    def normalisation_of(self, digest: str | None) -> ImageNormalisation | None:
        """The normalisation with which the model learnt from an image; None where it did not, or is not known to."""
        return next((one.normalisation for one in self.info.volumes if one.digest == digest), None)

    def known_channels(self, normalisation: ImageNormalisation) -> ImageNormalisation:
        """The normalisation of an image with channels that the model learnt nothing from at 0."""
        channels = zip(normalisation.channels, self.normalisation.channels, strict=True)
        unlearnt = self.unlearnt_channels
        return ImageNormalisation.of([then if n in unlearnt else now for n, (now, then) in enumerate(channels)])

    @property
    def unlearnt_channels(self) -> frozenset[int]:
        """Numbers of the image's channels that were the same everywhere in each volume of the training."""
        learnt = [volume.normalisation for volume in self.info.volumes] or [self.normalisation]
        return frozenset(
            number for number in range(self.info.n_inputs) if all(one.channels[number].is_of_constant for one in learnt)
        )

    @property
    def roles(self) -> tuple[ChannelRole, ...]:
        """Roles of the network's channels."""
        return self.info.plan.target.roles(self.info.classes, VoxelSpace(self.info.voxel_size_nm))

    @property
    def kept(self) -> tuple[int, ...]:
        """Numbers of the channels that a prediction has; the others are learnt and left out."""
        return self.info.plan.target.kept(self.info.classes, VoxelSpace(self.info.voxel_size_nm))

    @property
    def predicted_roles(self) -> tuple[ChannelRole, ...]:
        """Roles of the channels of a prediction."""
        return self.info.plan.target.predicted_roles(self.info.classes, VoxelSpace(self.info.voxel_size_nm))

    def place(
        self, device: Device, precision: PrecisionName, ctx: JobContext | None = None
    ) -> tuple[torch.device, Precision]:
        """Move the network to a device and find the precision that suits it there.

        Parameters
        ----------
        ctx : JobContext, optional
            Asked for a cancel while the precision is measured, and warned where that took too long.
        """
        limit_threads()
        chosen = choose_device(device)
        fastest = inference_precision(self.network, self.info.plan.network, self.tiling, chosen, precision, ctx)
        self.network.to(chosen)
        fastest.place_network(self.network)
        return chosen, fastest

    def on_its_voxels(self, source: ImageSource, voxel_size_nm: VoxelSize | None) -> ResampledImage | None:
        """A volume on voxels of the model's size; None where its own are of about that size, or are not known.

        Parameters
        ----------
        voxel_size_nm : tuple of float, optional
            Size of its voxels, where that is not the file's.
        """
        if not self.info.is_voxel_size_known:
            return None
        return resampled(source, voxel_size_nm, self.info.voxel_size_nm)


def _tiling(info: ModelInfo, network: Network) -> Tiling:
    if info.window_shape is not None and info.plan.network.tiles() == "windows":
        return Windows(shape=info.window_shape)
    return info.limits or training_tiling(network, info.plan, VoxelSpace(info.voxel_size_nm))


def inference_precision(
    network: Network,
    settings: object,
    tiling: Tiling,
    device: torch.device,
    precision: PrecisionName,
    ctx: JobContext | None = None,
) -> Precision:
    """The precision of predictions: the one a network is bound to, else what the machine does fastest."""
    if network.is_float32_only:
        return Precision()
    if isinstance(tiling, NetworkLimits):
        depth = 1 if tiling.halo[0] == 0 else 32
        shape = [max(a, n // a * a) for a, n in zip(tiling.alignment, (depth, 96, 96), strict=True)]
    else:
        shape = list(tiling.shape)
    return choose_precision(
        device,
        lambda: copy.deepcopy(network),
        (1, network.n_inputs, *shape),
        training=False,
        wanted=precision,
        network_key=str(settings),
        multiple=network.multiple,
        ctx=ctx,
    )
