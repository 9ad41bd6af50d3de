"""A network on its device: flips, precision, and what is done when memory or the number format do not suffice."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from itertools import product

import torch
from torch import Tensor

from napari_pytc.errors import ModelError
from napari_pytc.learning.machine.memory import is_out_of_memory, release_memory
from napari_pytc.learning.machine.precision import Precision
from napari_pytc.learning.networks.network import Network
from napari_pytc.learning.prediction.activations import OutputActivation
from napari_pytc.volumes.channels import ChannelRole


def mirrored(values: Tensor, axes: list[int]) -> Tensor:
    """A tensor, mirrored along some axes; itself along none, where `Tensor.flip` would copy it."""
    return values.flip(axes) if axes else values


class NetworkInferer:
    """A network on its device, whose outputs become probabilities; the base of both kinds of inferers.

    Parameters
    ----------
    network : Network
        In eval mode.
    device : torch.device
        Where the network is.
    precision : Precision
        Number format and memory format.
    flips : bool
        Average over mirrored copies.
    warn : callable
        Called with a sentence for each step down.
    roles : sequence of ChannelRole
        Roles of the channels, where they are no classes.
    kept : sequence of int, optional
        Numbers of the channels to return, by default all.
    """

    def __init__(
        self,
        network: Network,
        device: torch.device,
        precision: Precision,
        *,
        flips: bool = False,
        warn: Callable[[str], None] = lambda _: None,
        roles: Sequence[ChannelRole] = (),
        kept: Sequence[int] | None = None,
    ) -> None:
        self.network, self.device, self.precision = network, device, precision
        self._activation = OutputActivation(roles, kept)
        self._flips, self._warn = flips, warn

    def _compute(self, work: Callable[[], Tensor], step_down: Callable[[], None]) -> Tensor:
        """The finite numbers that some work gives, which is done again after each step down."""
        while True:
            try:
                return self._finite(work)
            except (RuntimeError, MemoryError) as error:
                if not is_out_of_memory(error):
                    raise
            # Outside of the handler: the error's traceback would hold the tensors that are to be released.
            release_memory(self.device)
            step_down()

    def _finite(self, work: Callable[[], Tensor]) -> Tensor:
        found = work()
        if torch.isfinite(found.sum()):  # a sum keeps what is not finite, and needs no further memory a voxel
            return found
        if self.precision.number_format == "float32":
            raise ModelError(
                "The network returned values that are not finite numbers.", "Train it again with a lower learning_rate."
            )
        self._warn(f"Not all probabilities were finite in {self.precision.number_format}; going on in float32.")
        self.precision = Precision("float32", self.precision.channels_last)
        return self._finite(work)

    def _go_on_with_the_cpu(self) -> None:
        self.device = torch.device("cpu")
        self.precision = Precision()
        self.network = self.network.to(self.device)

    def _mirrorings(self, block: Tensor) -> Iterator[list[int]]:
        """Axes of a block (b, c, z, y, x) along which it is mirrored, none first; only that without flips."""
        axes = [axis for axis in (2, 3, 4) if block.shape[axis] > 1] if self._flips else []
        for chosen in product((False, True), repeat=len(axes)):
            yield [axis for axis, flip in zip(axes, chosen, strict=True) if flip]
