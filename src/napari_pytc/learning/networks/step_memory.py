"""Memory that a training step of a network takes, counted before anything is computed."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn

from napari_pytc.errors import InvalidInput
from napari_pytc.geometry import Shape, VoxelSpace
from napari_pytc.learning.networks.network import Network, build_network
from napari_pytc.learning.networks.recompute import Recomputed, computed_once
from napari_pytc.plans.networks import NetworkSettings

BASIS = (
    "Counted in a forward pass without numbers, in float32: all that is kept for the gradients; weights with gradient, "
    "two moments of the optimiser and the moving average; the largest layer four times, for its gradients and for "
    "copies that convolutions make; logits and labels. bf16 and fp16 take less."
)
_COPIES_OF_WEIGHTS = 5
"""Weights, gradient, two moments, average."""
_COPIES_OF_LOGITS = 6
"""Logits, probabilities, labels and their gradients in the loss."""
_FLOAT = 4
_THOUSAND = 1000


@dataclass(frozen=True)
class StepMemory:
    """Bytes of a training step.

    Parameters
    ----------
    n_weights : int
        Number of the network's weights.
    total : int
        Bytes in all.
    n_levels : int
        Levels of the network that get a loss each.
    """

    n_weights: int
    total: int
    n_levels: int = 1


class StepMemoryCounter:
    """Counts the memory of a step of one network for any batch and patch.

    Parameters
    ----------
    network : Network
        It is moved to the device ``meta``, where tensors have shapes and no numbers: hand in one of its own.
    """

    def __init__(self, network: Network) -> None:
        self._network = network.to("meta").train()
        self.n_weights = sum(p.numel() for p in network.parameters())

    def count(self, batch_size: int, shape: Shape) -> StepMemory:
        """Memory of a step with so many patches of a shape (z, y, x).

        Raises
        ------
        InvalidInput
            If the network takes no patches of that shape.
        """
        network, bank = self._network, self._network.feature_bank
        n_channels = network.n_inputs if bank is None else bank.n_features
        image = torch.zeros(batch_size, n_channels, *shape, device="meta")
        largest = [0]

        def watch(_module: nn.Module, _inputs: object, output: object) -> None:
            if isinstance(output, Tensor):
                largest[0] = max(largest[0], output.numel() * output.element_size())

        hooks = [m.register_forward_hook(watch) for m in network.modules() if not list(m.children())]
        try:
            with _inputs_of_recomputed(network) as inputs:
                kept, levels = _kept(network, lambda: self._logits(image))
            again = max((_kept(one, partial(computed_once, one, *given))[0] for one, given in inputs), default=0)
        except (RuntimeError, ValueError) as error:
            raise InvalidInput(
                f"The network takes no patches of {'x'.join(str(n) for n in shape)} voxels: "
                f"{str(error).splitlines()[0]}",
                "Leave patch_shape to the network, or choose a larger one.",
            ) from error
        finally:
            for hook in hooks:
                hook.remove()
        n_logits = sum(level.numel() for level in levels) + (len(levels) - 1) * levels[0].numel()
        fixed = _FLOAT * (_COPIES_OF_WEIGHTS * self.n_weights + _COPIES_OF_LOGITS * n_logits + image.numel())
        return StepMemory(self.n_weights, fixed + kept + again + 4 * largest[0], len(levels))

    def _logits(self, image: Tensor) -> tuple[Tensor, ...]:
        """Logits of all levels; fixed features are computed beforehand, and are what a step begins with."""
        if self._network.feature_bank is not None:
            return (self._network.logits_of_features(image),)
        return self._network.training_logits(image)


def step_memory(
    settings: NetworkSettings,
    n_outputs: int,
    space: VoxelSpace,
    n_inputs: int,
    batch_size: int,
    shape: Shape | None = None,
) -> StepMemory:
    """Memory of a training step of the network that settings describe.

    Parameters
    ----------
    batch_size : int
        Patches, or thousands of voxels for a network that learns from voxels.
    shape : Shape, optional
        The patch (z, y, x); by default the one that the network suggests.
    """
    network = build_network(settings, n_outputs, space, n_inputs)
    bank = network.feature_bank
    if settings.learns_from == "voxels" and bank is not None:
        n_weights = sum(p.numel() for p in network.parameters())
        widths = bank.n_features + sum(m.out_features for m in network.modules() if isinstance(m, nn.Linear))
        values = _THOUSAND * batch_size * widths
        return StepMemory(n_weights, _FLOAT * (_COPIES_OF_WEIGHTS * n_weights + 3 * values))
    return StepMemoryCounter(network).count(batch_size, shape or settings.patch_shape(space))


def _kept(module: nn.Module, forward: Callable[[], Any]) -> tuple[int, Any]:
    """Bytes of the tensors that a forward pass keeps for the gradients, but weights, and what it returned."""
    weights = {parameter.untyped_storage()._cdata for parameter in module.parameters()}
    kept: dict[int, Any] = {}

    def pack(tensor: Tensor) -> Tensor:
        storage = tensor.untyped_storage()
        if storage._cdata not in weights:
            kept[storage._cdata] = storage
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(pack, lambda tensor: tensor):
        found = forward()
    return sum(storage.nbytes() for storage in kept.values()), found


@contextmanager
def _inputs_of_recomputed(network: nn.Module) -> Iterator[list[tuple[Recomputed, tuple[Any, ...]]]]:
    """What the blocks get whose activations are computed again; filled by a forward pass."""
    found: list[tuple[Recomputed, tuple[Any, ...]]] = []

    def note(module: nn.Module, given: tuple[Any, ...]) -> None:
        assert isinstance(module, Recomputed)
        found.append((module, tuple(x.detach().requires_grad_() if isinstance(x, Tensor) else x for x in given)))

    hooks = [m.register_forward_pre_hook(note) for m in network.modules() if isinstance(m, Recomputed)]
    try:
        yield found
    finally:
        for hook in hooks:
            hook.remove()
