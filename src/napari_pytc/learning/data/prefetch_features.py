"""Fixed features of batches, computed by the thread that makes batches."""

from __future__ import annotations

import copy
from collections.abc import Callable

from napari_pytc.learning.data.sampling import Batch, BatchSource
from napari_pytc.learning.networks.network import FeatureBank, Network


class FeaturePrefetcher:
    """Batches of another source with the features of their patches.

    The filters never learn, and take a third of a step: here they are computed while the network learns from the batch
    before.

    Parameters
    ----------
    bank : FeatureBank
        A copy is made, for the processor.
    between : callable, optional
        Called before the filters are computed; may wait.
    """

    def __init__(self, source: BatchSource, bank: FeatureBank, between: Callable[[], None] = lambda: None) -> None:
        self._source, self._between = source, between
        self._bank = copy.deepcopy(bank).cpu().eval()

    def batch(self, step: int) -> Batch:
        """See `BatchSource`."""
        batch = self._source.batch(step)
        self._between()
        return batch._replace(features=self._bank.features(batch.image))


def with_features(
    source: BatchSource, network: Network, device: str, between: Callable[[], None] = lambda: None
) -> BatchSource:
    """Batches with features where the network has fixed filters and a processor computes them; else as they are."""
    bank = network.feature_bank
    return FeaturePrefetcher(source, bank, between) if bank is not None and device == "cpu" else source
