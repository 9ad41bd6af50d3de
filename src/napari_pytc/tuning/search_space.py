"""The settings of decoders that a tuning tries, with their ranges, derived from the fields of their settings."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any, Literal, get_args, get_origin

import annotated_types
from pydantic.fields import FieldInfo

from napari_pytc.decoding.base import DecoderSettings
from napari_pytc.decoding.tuned_range import TunedRange
from napari_pytc.errors import InvalidInput
from napari_pytc.settings import Settings, setting

_DIGITS = 3
"""Least significant digits of the numbers that are tried: more make no other objects, but a longer command."""
_WIDE = 10.0
"""Ratio of the ends of a range from which on equal ratios count as equal steps, where the decoder does not say."""
_SLIDER_DECIMALS = 2
"""Decimal places that the slider of the Segment panel has, so that it can show what was tried."""
_SLIDER_WIDTH = 0.2
"""Width of a range from which on the slider's decimal places are enough: 20 values; a narrower one has more digits."""
_NEVER = ("kind", "object_class")


class TunedSetting(Settings):
    """A setting of a decoder with the values that are tried."""

    name: str = setting(..., "Setting", "Name of the setting.")
    low: float = setting(0.0, "Low", "Lowest number that is tried.")
    high: float = setting(1.0, "High", "Highest number that is tried.")
    is_logarithmic: bool = setting(False, "Logarithmic", "Whether equal ratios count as equal steps.")
    is_whole: bool = setting(False, "Whole", "Whether only whole numbers are tried.")
    n_decimals: int | None = setting(None, "Decimals", "Decimal places of a slider; other numbers have few digits.")
    choices: tuple[Any, ...] = setting((), "Choices", "The values that are tried, where it is no number.")

    def value(self, drawn: Any) -> Any:
        """A value as a setting takes it: a number with few digits, within the range."""
        if self.choices:
            return drawn
        if self.is_whole:
            return round(drawn)
        rounded = float(f"{drawn:.{self._n_digits}g}") if self.n_decimals is None else round(drawn, self.n_decimals)
        return min(max(rounded, self.low), self.high)

    @property
    def _n_digits(self) -> int:
        """Significant digits: as many more than usual as leave ten values or more in a narrow range."""
        largest, width = max(abs(self.low), abs(self.high)), self.high - self.low
        return max(_DIGITS, math.ceil(math.log10(largest / width)) + 2) if width > 0 < largest else _DIGITS

    def contains(self, value: Any) -> bool:
        """Whether a value is among those that are tried."""
        return value in self.choices if self.choices else bool(self.low <= value <= self.high)


class DecoderSpace(Settings):
    """A decoder as it is set where nothing is tried, and its settings that are."""

    settings: dict[str, Any] = setting(..., "Settings", "The decoder with its kind and all that is not tried.")
    tuned: tuple[TunedSetting, ...] = setting((), "Tried", "What is tried.")

    @property
    def kind(self) -> str:
        """Kind of the decoder."""
        return str(self.settings["kind"])

    def decoder(self, values: Mapping[str, Any]) -> DecoderSettings:
        """The decoder with these values of what is tried."""
        found = DecoderSettings.parse({**self.settings, **values})
        assert isinstance(found, DecoderSettings)
        return found

    def values_of(self, decoder: DecoderSettings) -> dict[str, Any] | None:
        """The values that make a decoder; None for one that is not among those that are tried."""
        if decoder.kind != self.kind:
            return None
        values = {one.name: getattr(decoder, one.name) for one in self.tuned}
        if not all(one.contains(values[one.name]) for one in self.tuned) or self.decoder(values) != decoder:
            return None
        return values


def space_of(
    decoder: DecoderSettings,
    is_flat: bool = False,
    fixed: Sequence[str] = (),
    ranges: Mapping[str, tuple[float, float]] | None = None,
) -> DecoderSpace:
    """The settings of a decoder that are tried: those it declares, without fixed ones, and those with a range.

    Parameters
    ----------
    decoder : DecoderSettings
        The settings that hold for what is not tried.
    is_flat : bool
        Whether a single section is decoded, which has areas instead of volumes.
    fixed : sequence of str
        Settings that stay as they are.
    ranges : mapping, optional
        Lowest and highest number of a setting, also of one that is not declared.

    Raises
    ------
    InvalidInput
        If a range is of no number, or reaches beyond the bounds of the setting.
    """
    model, ranges = type(decoder), dict(ranges or {})
    unused = "smallest_um3" if is_flat else "smallest_um2"
    names = [name for name in model.tuned if name in model.model_fields and name not in (unused, *fixed)]
    names += [name for name in ranges if name not in names]
    tuned = tuple(_tuned(model, name, model.tuned.get(name, TunedRange()), ranges.get(name)) for name in names)
    return DecoderSpace(settings=decoder.model_dump(mode="json"), tuned=tuned)


def regrouping_settings(model: type[DecoderSettings]) -> set[str]:
    """Names of the settings that do not change the supervoxels of a decoder."""
    slider = {model.slider} if model.slider is not None else set()
    return slider | {name for name, declared in model.tuned.items() if declared.regroups}


def _tuned(
    model: type[DecoderSettings], name: str, declared: TunedRange, asked: tuple[float, float] | None
) -> TunedSetting:
    field = model.model_fields.get(name)
    if field is None or name in _NEVER:
        known = ", ".join(one for one in model.model_fields if one not in _NEVER)
        raise InvalidInput(f"The decoder {model.title} has no setting {name!r} to try.", f"It has {known}.")
    choices = _choices(field)
    if choices:
        if asked is not None:
            raise InvalidInput(
                f"A range is of numbers, but {name} of {model.title} is one of {', '.join(map(str, choices))}.",
                f"Leave it out, or fix it: {name}={choices[0]}.",
            )
        return TunedSetting(name=name, choices=choices)
    is_whole = field.annotation is int
    low, high = _bounds(field, is_whole)
    first, last = asked if asked is not None else (declared.low, declared.high)
    start, stop = low if first is None else first, high if last is None else last
    is_finite = math.isfinite(start) and math.isfinite(stop)
    given = f"{name}={start:g}:{stop:g}"
    if is_whole and is_finite:
        start, stop = float(math.ceil(start)), float(math.floor(stop))
    if start < low or stop > high or not start < stop or not is_finite:
        raise InvalidInput(
            f"A range goes from a lower to a higher {'whole number' if is_whole else 'number'} between {low:g} and "
            f"{high:g}, got {given}."
        )
    is_wide = start > 0 and stop / start >= _WIDE
    is_logarithmic = is_wide if asked is not None or name not in model.tuned else declared.is_logarithmic
    return TunedSetting(
        name=name,
        low=start,
        high=stop,
        is_logarithmic=is_logarithmic and start > 0,
        is_whole=is_whole,
        n_decimals=_SLIDER_DECIMALS if name == model.slider and stop - start >= _SLIDER_WIDTH - 1e-9 else None,
    )


def _choices(field: FieldInfo) -> tuple[Any, ...]:
    if field.annotation is bool:
        return (True, False)
    return tuple(get_args(field.annotation)) if get_origin(field.annotation) is Literal else ()


def _bounds(field: FieldInfo, is_whole: bool) -> tuple[float, float]:
    """Lowest and highest number that a field takes; of an open bound one that is close to it."""
    low, high = -math.inf, math.inf
    step = 1.0 if is_whole else 10.0**-_DIGITS
    for rule in field.metadata:
        if isinstance(rule, annotated_types.Ge):
            low = float(rule.ge)  # type: ignore[arg-type]
        elif isinstance(rule, annotated_types.Gt):
            low = float(rule.gt) + (step if is_whole else 1e-9)  # type: ignore[arg-type]
        elif isinstance(rule, annotated_types.Le):
            high = float(rule.le)  # type: ignore[arg-type]
        elif isinstance(rule, annotated_types.Lt):
            high = float(rule.lt) - step  # type: ignore[arg-type]
    return low, high
