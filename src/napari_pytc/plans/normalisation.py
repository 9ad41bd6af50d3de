"""Normalisation of an image's intensities for a network, a channel on its own."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from pydantic import ConfigDict, Field, RootModel, SerializerFunctionWrapHandler, model_serializer, model_validator

from napari_pytc.errors import InvalidInput, ModelError
from napari_pytc.settings import Settings, setting

if TYPE_CHECKING:
    from napari_pytc.volumes.statistics import IntensityStatistics

_MARGIN = 0.25
"""Share of the robust range that stays on either side, so that dark membranes and bright stain keep their contrast."""
_PERCENTILES = (0.5, 99.5)
_UNCLIPPED = 3e38
"""Nothing in float32 is clipped by this."""

Method = Literal["zscore", "min-max", "divide"]


class NormalisationSettings(Settings):
    """How the intensities of each channel of each volume are scaled for the network."""

    method: Method = setting(
        "zscore",
        "Scaling",
        "zscore: to mean 0 and standard deviation 1, so that brightness and contrast of a volume do not matter. "
        "min-max: the two percentiles to 0 and 1. divide: by a number alone, where intensities are calibrated and mean "
        "something.",
    )
    clip_percentiles: tuple[float, float] | None = setting(
        None,
        "Clip percentiles",
        "Intensities are clipped beyond these two percentiles, and the margin. By default 0.5 and 99.5; with divide "
        "nothing is clipped. 0 and 100 clip nothing.",
        "%",
    )
    clip_margin: float = setting(
        _MARGIN,
        "Clip margin",
        "Share of the range between the percentiles that is kept beyond them on either side.",
        ge=0,
        le=10,
    )
    divide_by: float | None = setting(
        None,
        "Divide by",
        "What divide divides by; by default the largest value of the image's number type, as 255, and 1 for floating "
        "point.",
        gt=0,
    )
    scaled_to: tuple[float, float] = setting(
        (0.0, 1.0), "Scaled to", "What min-max scales the two percentiles to, as -1 and 1 for a range around 0."
    )
    bytes_as_they_are: bool = setting(
        False,
        "Bytes as they are",
        "With min-max, images of bytes (8 bits) are scaled from 0 and 255 instead of the two percentiles, as version "
        "1.0 of PyTorch Connectomics does; images of other number types as usual.",
        exclude_if=lambda is_set: not is_set,
    )

    @property
    def percentiles(self) -> tuple[float, float]:
        """The percentiles that the statistics of a channel need."""
        return self.clip_percentiles or _PERCENTILES

    @property
    def is_default(self) -> bool:
        """Whether nothing was changed."""
        return self == NormalisationSettings()

    def check(self) -> None:
        """Refuse settings that contradict one another.

        Raises
        ------
        InvalidInput
            For percentiles that are none, or a divisor where nothing is divided.
        """
        low, high = self.percentiles
        if not 0 <= low < high <= 100:
            raise InvalidInput(
                f"normalisation.clip_percentiles are two numbers from 0 to 100, the smaller first, got {low:g} and "
                f"{high:g}.",
                "For example normalisation.clip_percentiles=[0.5,99.5].",
            )
        if self.divide_by is not None and self.method != "divide":
            raise InvalidInput(
                f"normalisation.divide_by={self.divide_by:g} needs normalisation.method=divide, got {self.method}.",
                "Set both, or neither.",
            )
        first, last = self.scaled_to
        if first >= last:
            raise InvalidInput(
                f"normalisation.scaled_to are two numbers, the smaller first, got {first:g} and {last:g}.",
                "For example normalisation.scaled_to=[-1,1].",
            )
        if self.scaled_to != (0.0, 1.0) and self.method != "min-max":
            raise InvalidInput(
                f"normalisation.scaled_to={first:g},{last:g} needs normalisation.method=min-max, got {self.method}.",
                "Set both, or neither.",
            )
        if self.bytes_as_they_are and self.method != "min-max":
            raise InvalidInput(
                f"normalisation.bytes_as_they_are=true needs normalisation.method=min-max, got {self.method}.",
                "Set both, or neither.",
            )


class Normalisation(Settings):
    """Clip to the usual intensities, then shift and scale.

    Every channel of a volume has one of its own.
    """

    method: Method = "zscore"
    mean: float = Field(allow_inf_nan=False)
    std: float = Field(gt=0, allow_inf_nan=False)
    low: float = Field(allow_inf_nan=False, description="Intensities below are clipped.")
    high: float = Field(allow_inf_nan=False, description="Intensities above are clipped.")
    fill: float = Field(0.0, description="What a voxel that is no finite number becomes; that of the mean.")
    usual: tuple[float, float] | None = Field(
        None,
        exclude_if=lambda usual: usual is None,
        description="The percentiles; where they are not told, those within a margin of a quarter of their range.",
    )
    divisor: float | None = Field(
        None, gt=0, exclude_if=lambda divisor: divisor is None, description="What divide divides by."
    )
    scaled_to: tuple[float, float] | None = Field(
        None,
        exclude_if=lambda ends: ends is None,
        description="What min-max scales the usual range to; by default 0 and 1.",
    )

    @classmethod
    def from_statistics(
        cls,
        statistics: IntensityStatistics,
        settings: NormalisationSettings | None = None,
        dtype: np.dtype | None = None,
    ) -> Normalisation:
        """The normalisation for a channel with these statistics.

        Parameters
        ----------
        statistics : IntensityStatistics
            With the percentiles of the settings.
        settings : NormalisationSettings, optional
            By default mean 0 and standard deviation 1.
        dtype : dtype, optional
            Number type of the image, for a division without a number, and for bytes as they are.

        Raises
        ------
        ModelError
            If the channel holds no finite voxel, or the same value everywhere.
        """
        _check(statistics)
        settings = settings or NormalisationSettings()
        low, high = statistics.low, statistics.high
        if not high > low:  # nearly all of the volume is padding: its percentiles are not those of the tissue
            low, high = statistics.minimum, statistics.maximum
        if settings.bytes_as_they_are and dtype == np.uint8:
            low, high = 0.0, 255.0
        margin = settings.clip_margin * (high - low)
        found = cls(
            method=settings.method,
            mean=statistics.mean,
            std=statistics.std,
            low=low - margin,
            high=high + margin,
        )
        if settings.is_default:
            return found
        clips_low, clips_high = settings.percentiles[0] > 0, settings.percentiles[1] < 100
        if settings.method == "divide" and settings.clip_percentiles is None:
            clips_low = clips_high = False
        found = found.model_copy(
            update={
                "low": found.low if clips_low else -_UNCLIPPED,
                "high": found.high if clips_high else _UNCLIPPED,
                "usual": (low, high),
                "divisor": settings.divide_by or _largest(dtype) if settings.method == "divide" else None,
                "scaled_to": None if settings.scaled_to == (0.0, 1.0) else settings.scaled_to,
            }
        )
        shift, scale = found.affine
        return found.model_copy(update={"fill": (found.mean - shift) / scale})

    @classmethod
    def of_constant(cls, value: float) -> Normalisation:
        """That of a channel with one value everywhere, beside others that say something: 0 everywhere."""
        return cls(mean=value, std=1.0, low=value, high=value)

    @property
    def is_of_constant(self) -> bool:
        """Whether it is `of_constant`: the channel is 0 for the network, whatever it holds."""
        return self.low == self.high

    @property
    def affine(self) -> tuple[float, float]:
        """What is subtracted, and what is divided by then."""
        if self.method == "min-max":
            low, high = self.usual_range
            first, last = self.scaled_to or (0.0, 1.0)
            scale = (high - low) / (last - first)
            return low - first * scale, scale
        return (0.0, self.divisor or 1.0) if self.method == "divide" else (self.mean, self.std)

    @property
    def usual_range(self) -> tuple[float, float]:
        """The percentiles 0.5 and 99.5 of the intensities, or those of the settings, without the margin."""
        if self.usual is not None:
            return self.usual
        margin = _MARGIN * (self.high - self.low) / (1 + 2 * _MARGIN)
        return self.low + margin, self.high - margin

    def apply(self, array: np.ndarray) -> np.ndarray:
        """Normalised intensities as float32, of the same shape; the input is left as it is."""
        result = np.array(array, np.float32)
        unknown = None
        if not np.issubdtype(array.dtype, np.integer) and array.dtype != np.bool_:
            unknown = ~np.isfinite(array)
            if not unknown.any():
                unknown = None
        np.clip(result, np.float32(self.low), np.float32(self.high), out=result)
        shift, scale = self.affine
        result -= np.float32(shift)
        result *= np.float32(1 / scale)
        if unknown is not None:
            result[unknown] = self.fill
        return result

    @property
    def spread(self) -> float:
        """The standard deviation of normalised intensities, whose mean is `fill`."""
        return self.std / self.affine[1]


def _check(statistics: IntensityStatistics) -> None:
    if statistics.n_sampled < 1 or not all(
        math.isfinite(v) for v in (statistics.mean, statistics.std, statistics.minimum, statistics.maximum)
    ):
        raise ModelError(
            "The image holds no finite number where it was sampled; nothing can be learnt from it.",
            "Check that the right dataset and channel were opened.",
        )
    if is_constant(statistics):
        raise ModelError(
            f"The image is {statistics.mean:g} everywhere; nothing can be learnt from a constant image.",
            "Check that the right dataset and channel were opened.",
        )


def is_constant(statistics: IntensityStatistics) -> bool:
    """Whether all voxels that were sampled are the same number."""
    return statistics.n_sampled > 0 and (statistics.maximum <= statistics.minimum or statistics.std <= 0)


def _largest(dtype: np.dtype | None) -> float:
    """The largest value of an integer type; 1 for any other."""
    return float(np.iinfo(dtype).max) if dtype is not None and np.issubdtype(dtype, np.integer) else 1.0


class ImageNormalisation(RootModel[tuple[Normalisation, ...]]):
    """Normalisations of an image's channels, in their order.

    Every volume has one of its own. A model keeps those of the volumes that it learnt from. That of a single channel
    is written as the channel's alone, as before there were several.
    """

    model_config = ConfigDict(frozen=True)

    root: tuple[Normalisation, ...] = Field(min_length=1)

    @model_validator(mode="before")
    @classmethod
    def _accept_one(cls, content: Any) -> Any:
        return (content,) if isinstance(content, dict | Normalisation) else content

    @model_serializer(mode="wrap")
    def _write_one_alone(self, write: SerializerFunctionWrapHandler) -> Any:
        written = write(self)
        return written[0] if len(written) == 1 else list(written)

    @classmethod
    def of(cls, channels: Sequence[Normalisation]) -> ImageNormalisation:
        """The normalisation of an image whose channels have these."""
        return cls(tuple(channels))

    @property
    def channels(self) -> tuple[Normalisation, ...]:
        """The normalisation of each channel."""
        return self.root

    def apply(self, array: np.ndarray) -> np.ndarray:
        """Normalised intensities (c, z, y, x) as float32; the input is left as it is."""
        if len(array) != len(self.root):
            raise ModelError(
                f"The image has {len(array)} channels, its normalisation {len(self.root)}.", "Choose other channels."
            )
        if len(self.root) == 1:
            return self.root[0].apply(array)
        result = np.empty(array.shape, np.float32)
        for number, channel in enumerate(self.root):
            result[number] = channel.apply(array[number])
        return result

    def to_zscores(self, image: np.ndarray) -> np.ndarray:
        """Normalised intensities (c, z, y, x) with mean 0 and standard deviation 1; the array itself where they are."""
        return self._scaled(image, lambda values, channel: (values - channel.fill) / channel.spread)

    def from_zscores(self, image: np.ndarray) -> np.ndarray:
        """The inverse of `to_zscores`."""
        return self._scaled(image, lambda values, channel: values * channel.spread + channel.fill)

    def _scaled(self, image: np.ndarray, scale: Callable[[np.ndarray, Normalisation], np.ndarray]) -> np.ndarray:
        if all(channel.method == "zscore" for channel in self.root):
            return image
        scaled = [scale(values, channel) for values, channel in zip(image, self.root, strict=True)]
        return np.stack(scaled).astype(np.float32, copy=False)
