"""What a network's fixed filters find in a batch, computed by the thread that makes batches."""

from __future__ import annotations

import copy
from collections.abc import Callable

from torch import nn

from napari_pytc.learning.networks.filter_bank import FilterBank
from napari_pytc.learning.networks.residual_unet import ResidualUNet
from napari_pytc.learning.sampling import Batch, BatchSource


class BatchesWithFeatures:
    """Batches of another source, and the features of their patches.

    The filters never learn, and take a third of a step: here they are computed while the network learns from the batch
    before.

    Parameters
    ----------
    bank : FilterBank
        A copy is made, for the processor.
    between : callable, optional
        Called before the filters are computed; may wait.
    """

    def __init__(self, source: BatchSource, bank: FilterBank, between: Callable[[], None] = lambda: None) -> None:
        self._source, self._between = source, between
        self._bank = copy.deepcopy(bank).cpu().eval()

    def batch(self, step: int) -> Batch:
        """See `BatchSource`."""
        batch = self._source.batch(step)
        self._between()
        return batch._replace(features=self._bank.features(batch.image))


def with_features(
    source: BatchSource, network: nn.Module, device: str, between: Callable[[], None] = lambda: None
) -> BatchSource:
    """Batches with features where the network has fixed filters and a processor computes them; else as they are."""
    if isinstance(network, ResidualUNet) and device == "cpu":
        return BatchesWithFeatures(source, network.bank, between)
    return source
