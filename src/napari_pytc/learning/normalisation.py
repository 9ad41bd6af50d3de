"""From a volume's intensities to what a network sees."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Literal

import numpy as np
from pydantic import Field

from napari_pytc.errors import ModelError
from napari_pytc.settings import Settings

if TYPE_CHECKING:
    from napari_pytc.volumes.statistics import IntensityStatistics

_MARGIN = 0.25
"""Share of the robust range that stays on either side, so that dark membranes and bright stain keep their contrast."""


class Normalisation(Settings):
    """Clip to the usual intensities, then shift and scale to mean 0 and standard deviation 1.

    It is fixed when a model is trained and travels with it: a model sees every volume as it saw its own.
    """

    method: Literal["zscore"] = "zscore"
    mean: float = Field(allow_inf_nan=False)
    std: float = Field(gt=0, allow_inf_nan=False)
    low: float = Field(allow_inf_nan=False, description="Intensities below are clipped.")
    high: float = Field(allow_inf_nan=False, description="Intensities above are clipped.")
    fill: float = Field(0.0, description="What a voxel that is no finite number becomes; 0 is the mean.")

    @classmethod
    def from_statistics(cls, statistics: IntensityStatistics) -> Normalisation:
        """The normalisation for a volume with these statistics.

        Raises
        ------
        ModelError
            If the volume holds no finite voxel, or the same value everywhere.
        """
        if statistics.n_sampled < 1 or not all(
            math.isfinite(v) for v in (statistics.mean, statistics.std, statistics.minimum, statistics.maximum)
        ):
            raise ModelError(
                "The image holds no finite number where it was sampled; nothing can be learnt from it.",
                "Check that the right dataset and channel were opened.",
            )
        if statistics.maximum <= statistics.minimum or statistics.std <= 0:
            raise ModelError(
                f"The image is {statistics.mean:g} everywhere; nothing can be learnt from a constant image.",
                "Check that the right dataset and channel were opened.",
            )
        low, high = statistics.low, statistics.high
        if not high > low:  # nearly all of the volume is padding: its percentiles say nothing about the tissue
            low, high = statistics.minimum, statistics.maximum
        margin = _MARGIN * (high - low)
        return cls(mean=statistics.mean, std=statistics.std, low=low - margin, high=high + margin)

    def apply(self, array: np.ndarray) -> np.ndarray:
        """Normalised intensities as float32, of the same shape; the input is left as it is."""
        result = np.array(array, np.float32)
        unknown = None
        if not np.issubdtype(array.dtype, np.integer) and array.dtype != np.bool_:
            unknown = ~np.isfinite(array)
            if not unknown.any():
                unknown = None
        np.clip(result, np.float32(self.low), np.float32(self.high), out=result)
        result -= np.float32(self.mean)
        result *= np.float32(1 / self.std)
        if unknown is not None:
            result[unknown] = self.fill
        return result
