"""A network on its device: copies, precision, and what is done when memory or the number format do not suffice."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from torch import Tensor

from napari_pytc.errors import ModelError
from napari_pytc.geometry import Orientation
from napari_pytc.learning.machine.memory import is_out_of_memory, release_memory
from napari_pytc.learning.machine.precision import Precision
from napari_pytc.learning.networks.network import Network
from napari_pytc.learning.prediction.activations import OutputActivation
from napari_pytc.learning.prediction.copies import is_directed, oriented
from napari_pytc.plans.test_time import Combination, TtaSettings
from napari_pytc.plans.windows import Average
from napari_pytc.volumes.channels import ChannelRole

NO_COPIES = TtaSettings()
"""The image as it is, alone."""


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
    tta : TtaSettings
        Mirrored and turned copies, and how they are combined; its scales are the predictor's.
    average : str
        What copies are averaged of, where `tta` does not say.
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
        tta: TtaSettings = NO_COPIES,
        average: Average = "probabilities",
        warn: Callable[[str], None] = lambda _: None,
        roles: Sequence[ChannelRole] = (),
        kept: Sequence[int] | None = None,
    ) -> None:
        self.network, self.device, self.precision = network, device, precision
        self._activation = OutputActivation(roles, kept)
        self._warn = warn
        self._orientations = tta.orientations
        self._combines_logits = (average if tta.average == "auto" else tta.average) == "logits"
        self._is_directed = is_directed(roles, self._orientations)
        self._modes, self._kept_modes = _modes(tta, roles, kept)

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

    def _copy(self, block: Tensor, orientation: Orientation) -> Tensor:
        """A copy of a block (b, c, z, y, x) in the memory format of the network."""
        found = oriented(block, orientation)
        return self.precision.place(found) if orientation.swapped else found


def _modes(
    tta: TtaSettings, roles: Sequence[ChannelRole], kept: Sequence[int] | None
) -> tuple[tuple[Combination, ...], tuple[Combination, ...]]:
    """How copies are combined: of each channel of the network, and of those that a prediction has; one for all."""
    if not tta.exceptions:
        return (tta.combine,), (tta.combine,)
    numbers = range(len(roles)) if kept is None else kept
    of_kept = tta.combinations([roles[number] for number in numbers])
    found = [tta.combine] * len(roles)
    for number, mode in zip(numbers, of_kept, strict=True):
        found[number] = mode
    return tuple(found), of_kept
