"""The base of all networks: limits of tiles, memory, supervised levels and shared features."""

from __future__ import annotations

import math
from abc import abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar, cast

import torch
from torch import Tensor, nn

from napari_pytc.errors import InvalidInput
from napari_pytc.geometry import Box, Shape, VoxelSpace
from napari_pytc.learning.networks.limits import measure_limits
from napari_pytc.plans.networks import NetworkLimits, NetworkSettings

BYTES_READ = 20
"""A voxel of an image: bytes of the file, floats, and up to three tiles that wait for the network."""


@dataclass(frozen=True)
class TileMemory:
    """Memory that a tile takes while the network works.

    Parameters
    ----------
    computed : float
        Bytes a voxel of what is computed in full: the tile and `halo` around it.
    halo : Shape
        Context of these, in voxels along z, y, x on either side of a tile.
    read : float
        Bytes a voxel of everything that is read for a tile.
    """

    computed: float
    halo: Shape
    read: float = 0.0


class Network(nn.Module):
    """Base of all networks: a normalised image (b, c, z, y, x) to logits (b, k, z, y, x).

    The defaults suit a plain convolutional network; an architecture with better values overrides them. A network
    from elsewhere becomes one by `adapt` and keeps the names of its weights.
    """

    is_float32_only: ClassVar[bool] = False
    """Whether it computes in float32 whatever the machine does fastest."""
    n_inputs: int = 1
    """Channels of the image."""
    multiple: Shape | None = None
    """Alignment of tiles, where the architecture tells; else it is measured."""

    def limits(self) -> NetworkLimits:
        """Halo and alignment of tiles; found by trial where the architecture does not know them.

        Not for networks whose settings return ``"windows"`` from `tiles`.

        Raises
        ------
        ModelError
            If tiles cannot equal a prediction in one piece.
        """
        return measure_limits(self, self.n_inputs, self.multiple)

    def tile_memory(self, limits: NetworkLimits, n_outputs: int) -> TileMemory:
        """Estimate of the memory of a tile.

        A small forward pass is watched: the four largest outputs of its modules, for the layer at work and those that
        wait at skip connections, plus input and probabilities.
        """
        return TileMemory(_largest_activations(self, limits) + 4 * self.n_inputs + 8 * n_outputs, limits.halo)

    def forward_inner(self, image: Tensor, inner: Box) -> Tensor:
        """Logits (b, k, *inner.shape) of the voxels of a box in the image."""
        logits: Tensor = self(image)
        return logits[(..., *inner.slices)]

    def training_logits(self, image: Tensor) -> tuple[Tensor, ...]:
        """Logits that get a loss each: the final ones, then those of coarser levels, upsampled.

        They are of the patch without the `NetworkSettings.training_margin`.
        """
        return (self(image),)

    def weights_from(self, tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """Weights of a parent model as this network can take them over."""
        return dict(tensors)

    def encoder_part(self) -> nn.Module | None:
        """The encoder, where it is a module of its own that may learn more slowly; MONAI's networks name it so."""
        return dict(self.named_children()).get("encoder")

    @property
    def feature_bank(self) -> FeatureBank | None:
        """The fixed features that this network computes first, with their perceptron."""
        return None

    def logits_of_features(self, features: Tensor) -> Tensor:
        """Logits (b, k, z, y, x) of the feature bank's features (b, f, z, y, x), of a network that has one."""
        raise NotImplementedError(f"{type(self).__name__} has no fixed features")

    def bank_alone(self) -> dict[str, Tensor]:
        """Weights with which the feature bank's perceptron predicts alone."""
        return {}

    def load_bank(self, weights: Mapping[str, Tensor]) -> bool:
        """Take over the weights of another feature bank; whether there is a bank of the same shapes."""
        bank = self.feature_bank
        shapes = {name: tensor.shape for name, tensor in weights.items()}
        if bank is None or {name: tensor.shape for name, tensor in bank.state_dict().items()} != shapes:
            return False
        bank.load_state_dict(dict(weights))
        return True


class FeatureBank(Network):
    """A network of fixed features and a perceptron that learns from single voxels."""

    n_features: int

    @property
    def feature_bank(self) -> FeatureBank:
        """The network itself."""
        return self

    @abstractmethod
    def features(self, image: Tensor, inner: Box | None = None) -> Tensor:
        """Features (b, f, z, y, x) of a normalised image (b, c, z, y, x), or of the voxels of a box in it."""

    @abstractmethod
    def fit_normalisation(self, features: Tensor) -> None:
        """Take mean and standard deviation of every feature from a sample (n, f)."""

    @abstractmethod
    def classify(self, features: Tensor) -> Tensor:
        """Logits (n, k) of features (n, f)."""

    @abstractmethod
    def has_features_of(self, other: FeatureBank) -> bool:
        """Whether another bank's features are the same, whatever it makes of them."""


def has_same_features(one: Network, other: Network) -> bool:
    """Whether both networks compute the same fixed features first."""
    ours, theirs = one.feature_bank, other.feature_bank
    return ours is not None and theirs is not None and ours.has_features_of(theirs)


def build_network(settings: NetworkSettings, n_outputs: int, space: VoxelSpace, n_inputs: int = 1) -> Network:
    """The network that settings describe, with random weights, for images of `n_inputs` channels."""
    network = adapt(settings.build(n_outputs, space, n_inputs))
    network.n_inputs = n_inputs
    multiple = settings.window_multiple(space)
    network.multiple = multiple if max(multiple) > 1 else None
    return network


def adapt(module: nn.Module) -> Network:
    """A module from elsewhere as a `Network` with the defaults of a plain convolutional network.

    Its class becomes one of both, as `torch.nn.utils.parametrize` does it, so that its weights keep their names.
    """
    if not isinstance(module, nn.Module):
        raise InvalidInput(
            f"A network must be a torch.nn.Module, got a {type(module).__name__}.", "Mend the package that builds it."
        )
    if not isinstance(module, Network):
        kind = type(module)
        module.__class__ = type(kind.__name__, (Network, kind), {})
    return cast(Network, module)


def _largest_activations(network: Network, limits: NetworkLimits) -> float:
    """Bytes a voxel of the four largest outputs of a network's modules."""
    shape = [max(a, 16 // a * a) for a in limits.alignment]
    sizes: list[int] = []

    def watch(_module: nn.Module, _inputs: object, output: object) -> None:
        if isinstance(output, Tensor):
            sizes.append(output.numel() * output.element_size())

    hooks = [m.register_forward_hook(watch) for m in network.modules() if not list(m.children())]
    device = next(network.parameters()).device
    try:
        with torch.no_grad():
            network(torch.zeros(1, network.n_inputs, *shape, device=device))
    finally:
        for hook in hooks:
            hook.remove()
    return sum(sorted(sizes)[-4:]) / math.prod(shape)
