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
from napari_pytc.learning.networks.network import Network, build_network, has_same_features
from napari_pytc.learning.networks.recompute import Recomputed, computed_once
from napari_pytc.plans.networks import NetworkSettings

BASIS = (
    "Counted in a forward pass without numbers, in float32: all that is kept for the gradients; weights with gradient, "
    "two moments of the optimiser and the moving average; the largest layer four times, for its gradients and for "
    "copies that convolutions make; logits and labels; weights, largest layers and logits of a parent that is "
    "distilled. bf16 and fp16 take less."
)
_COPIES_OF_WEIGHTS = 5
"""Weights, gradient, two moments, average."""
_COPIES_OF_LOGITS = 6
"""Logits, probabilities, labels and their gradients in the loss."""
_COPIES_OF_PARENTS_LOGITS = 4
"""Logits of a parent that is distilled, and what the distance from them makes of both."""
_LAYERS_OF_A_PASS = 3
"""Layers that are there at once in a pass without gradients: what goes in, what comes out, a copy for a convolution."""
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
    parent : Network, optional
        The network that is distilled in each step; moved, too.
    """

    def __init__(self, network: Network, parent: Network | None = None) -> None:
        self._network = network.to("meta").train()
        self._parent = None if parent is None else parent.to("meta").eval()
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
        try:
            with _largest_output(network) as largest:
                with _inputs_of_recomputed(network) as inputs:
                    kept, levels = _kept(network, lambda: self._logits(image))
                again = max((_kept(one, partial(computed_once, one, *given))[0] for one, given in inputs), default=0)
        except (RuntimeError, ValueError) as error:
            raise InvalidInput(
                f"The network takes no patches of {'x'.join(str(n) for n in shape)} voxels: "
                f"{str(error).splitlines()[0]}",
                "Leave patch_shape to the network, or choose a larger one.",
            ) from error
        n_logits = sum(level.numel() for level in levels) + (len(levels) - 1) * levels[0].numel()
        fixed = _FLOAT * (_COPIES_OF_WEIGHTS * self.n_weights + _COPIES_OF_LOGITS * n_logits + image.numel())
        of_parent, passing = self._of_parent(batch_size, shape)
        return StepMemory(self.n_weights, fixed + kept + of_parent + max(again + 4 * largest[0], passing), len(levels))

    def _of_parent(self, batch_size: int, shape: Shape) -> tuple[int, int]:
        """Bytes that a parent keeps during a step, and those of its forward pass, which come before the gradients'.

        Raises
        ------
        InvalidInput
            If the parent takes no patches of that shape.
        """
        parent = self._parent
        if parent is None:
            return 0, 0
        bank = parent.feature_bank
        # Filter banks compute where there are numbers alone; their features are the largest layer of such a network.
        n_channels = parent.n_inputs if bank is None else bank.n_features
        image = torch.zeros(batch_size, n_channels, *shape, device="meta")
        try:
            with torch.no_grad(), _largest_output(parent) as largest:
                logits = parent(image) if bank is None else parent.logits_of_features(image)
        except (RuntimeError, ValueError) as error:
            raise InvalidInput(
                f"The parent, which is distilled, takes no patches of {'x'.join(str(n) for n in shape)} voxels: "
                f"{str(error).splitlines()[0]}",
                "Set distil_weight=0, or a patch_shape that suits both networks.",
            ) from error
        n_weights = sum(weights.numel() for weights in parent.parameters())
        features = 0 if bank is None or has_same_features(self._network, parent) else _FLOAT * image.numel()
        kept = _FLOAT * (n_weights + _COPIES_OF_PARENTS_LOGITS * logits.numel())
        return kept, features + _LAYERS_OF_A_PASS * largest[0]

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
def _largest_output(network: nn.Module) -> Iterator[list[int]]:
    """Bytes of the largest output of a layer, as a list of one number; filled by a forward pass."""
    largest = [0]

    def watch(_module: nn.Module, _inputs: object, output: object) -> None:
        if isinstance(output, Tensor):
            largest[0] = max(largest[0], output.numel() * output.element_size())

    hooks = [m.register_forward_hook(watch) for m in network.modules() if not list(m.children())]
    try:
        yield largest
    finally:
        for hook in hooks:
            hook.remove()


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
