"""Settings of test-time augmentation: predictions of mirrored, turned and scaled copies of an image, combined."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from typing import Any, Literal, get_args

from pydantic import field_validator

from napari_pytc.errors import InvalidInput
from napari_pytc.geometry import QUARTER_TURNS, Orientation, Shape, distinct
from napari_pytc.settings import Settings, setting
from napari_pytc.volumes.roles import Role

Combination = Literal["mean", "min", "max"]
CopyAverage = Literal["auto", "probabilities", "logits"]
Mirror = Literal["z", "y", "x", "zy", "zx", "yx", "zyx"]
Flips = Literal["none", "plane", "all"] | tuple[Mirror, ...]
_MIRRORS: tuple[str, ...] = get_args(Mirror)
_IN_PLANE = ("y", "x", "yx")
_NUMBERS = re.compile(r"\s*(\d+)?\s*(:)?\s*(\d+)?\s*")
_SECTION: Shape = (1, 2, 2)
_LEAST_SCALE, _MOST_SCALE = 0.25, 4.0


class ChannelCombination(Settings):
    """How the copies of some channels are combined, where that is not as for the others."""

    channels: str = setting(
        ...,
        "Channels",
        "Which of the prediction's channels, by number from 0, as 0:3 or 2 or 0,2, or by what they are or their name, "
        "as affinity.",
    )
    combine: Combination = setting(..., "Combine", "Mean, minimum or maximum.")

    @field_validator("channels", mode="before")
    @classmethod
    def _accept_numbers(cls, value: Any) -> Any:
        if isinstance(value, int) and not isinstance(value, bool):
            # YAML reads 1:3 without quotes as a number to the base of 60; no prediction has as many channels.
            return str(value) if value < 60 else f"{value // 60}:{value % 60}"
        return value

    def positions(self, roles: Sequence[Role]) -> list[int]:
        """Numbers of the channels that are meant, of a prediction with these roles.

        Raises
        ------
        InvalidInput
            If there is none.
        """
        parts = self.channels.split(",")
        matches = [_NUMBERS.fullmatch(part) for part in parts]
        if not all(part.strip() and match for part, match in zip(parts, matches, strict=True)):
            found = [
                number
                for number, role in enumerate(roles)
                if self.channels in (role.title, str(getattr(role, "role", "")))
            ]
        else:
            chosen: set[int] = set()
            for match in matches:
                assert match is not None
                first, colon, last = match.groups()
                start = int(first or 0)
                stop = (len(roles) if last is None else int(last)) if colon else start + 1
                chosen.update(range(start, stop) if start < stop <= len(roles) else ())
                if not start < stop <= len(roles):
                    chosen.clear()
                    break
            found = sorted(chosen)
        if not found:
            raise InvalidInput(
                f"tta.exceptions names the channels {self.channels!r}, but the prediction has "
                f"{len(roles)}: {', '.join(role.title for role in roles)}.",
                "Name some of them, or numbers from 0; 0:3 are the first three.",
            )
        return found


class TtaSettings(Settings):
    """Test-time augmentation: mirrored, turned and scaled copies of the image are predicted, too, and combined."""

    flips: Flips = setting(
        "none",
        "Mirrored copies",
        "none; plane: along y, along x and along both; all: along z, too, with all combinations; or a list of copies, "
        "as [y, x, zyx].",
    )
    turns: bool = setting(
        False,
        "Quarter turns",
        "Each copy also turned by 90, 180 and 270 degrees in the plane of y and x, where voxels are as long in both.",
    )
    scales: tuple[float, ...] = setting(
        (1.0,),
        "Scales",
        "Each copy also enlarged or made smaller in the plane of y and x, as 0.75, 1, 1.25; 1 is always among them. "
        "Affinities and whatever is measured in lengths are taken from scale 1 alone.",
    )
    combine: Combination = setting(
        "mean",
        "Combine copies by",
        "mean; min: only what is found in every copy, which keeps objects apart where it is for affinities; max: what "
        "is found in any.",
    )
    exceptions: tuple[ChannelCombination, ...] = setting(
        (),
        "Other combinations",
        "Channels whose copies are combined in another way, as [{channels: 0:9, combine: min}].",
    )
    average: CopyAverage = setting(
        "auto",
        "Combine copies of",
        "probabilities, or logits: the outputs of the network before their activation. auto: what windows.average "
        "says, and probabilities for networks of exact tiles. Scales are combined as probabilities.",
    )

    @field_validator("flips", mode="before")
    @classmethod
    def _in_one_form(cls, value: Any) -> Any:
        """The shortest way to write some mirrored copies."""
        if isinstance(value, str) and value in _MIRRORS:
            value = [value]
        if not isinstance(value, list | tuple) or not all(isinstance(one, str) for one in value):
            return value
        names = ["".join(axis for axis in "zyx" if axis in one) if set(one) <= set("zyx") else one for one in value]
        chosen = sorted(set(names), key=lambda one: _MIRRORS.index(one) if one in _MIRRORS else -1)
        short = {(): "none", tuple(sorted(_IN_PLANE)): "plane", tuple(sorted(_MIRRORS)): "all"}
        return short.get(tuple(sorted(chosen)), tuple(chosen))

    @field_validator("scales", mode="after")
    @classmethod
    def _check_scales(cls, value: tuple[float, ...]) -> tuple[float, ...]:
        found = tuple(sorted(set(value)))
        if 1.0 not in found or not all(_LEAST_SCALE <= scale <= _MOST_SCALE for scale in found):
            raise ValueError(
                f"scales are from {_LEAST_SCALE:g} to {_MOST_SCALE:g}, 1 among them, as [0.75, 1, 1.25], got "
                f"{', '.join(f'{scale:g}' for scale in value) or 'none'}"
            )
        return found

    @property
    def mirrors(self) -> tuple[str, ...]:
        """The mirrored copies, each by its axes."""
        if isinstance(self.flips, tuple):
            return self.flips
        return {"none": (), "plane": _IN_PLANE, "all": _MIRRORS}[self.flips]

    @property
    def orientations(self) -> tuple[Orientation, ...]:
        """The copies of one scale, the image as it is first, none of them twice."""
        flipped = [Orientation(), *(Orientation(tuple("zyx".index(axis) for axis in one)) for one in self.mirrors)]
        turns = QUARTER_TURNS if self.turns else QUARTER_TURNS[:1]
        return tuple(dict.fromkeys(one.turned(turn) for turn in turns for one in flipped))

    @property
    def other_scales(self) -> tuple[float, ...]:
        """The scales besides 1."""
        return tuple(scale for scale in self.scales if scale != 1)

    @property
    def n_copies(self) -> int:
        """Number of copies that are predicted, the image as it is among them; at most, see `n_copies_of`."""
        return len(self.orientations) * len(self.scales)

    @property
    def n_copies_text(self) -> str:
        """The number of copies for people, where nobody knows yet whether single sections are predicted."""
        return f"{'' if self.n_copies == self.n_copies_of(_SECTION) else 'up to '}{self.n_copies} copies"

    def n_copies_of(self, shape: Shape) -> int:
        """Number of copies that differ, of blocks or windows of a shape: an axis of one voxel is not mirrored."""
        return len(distinct(self.orientations, shape)) * len(self.scales)

    @property
    def cost(self) -> float:
        """Voxels that the network computes, in those of a prediction without copies; at most, as `n_copies`."""
        return len(self.orientations) * sum(scale**2 for scale in self.scales)

    @property
    def is_used(self) -> bool:
        """Whether there are copies."""
        return self.n_copies > 1

    @property
    def stamp(self) -> str:
        """What tells the result from others, as text: JSON of what is changed; empty without copies.

        All mirrored copies are left out: predictions have a field of their own for these.
        """
        if not self.is_used:
            return ""
        changed: dict[str, Any] = self.model_dump(mode="json", include=set(self.changed_names))
        if self.flips == "all":
            del changed["flips"]
        return json.dumps(changed, sort_keys=True) if changed else ""

    @classmethod
    def of_stamp(cls, stamp: str, flips: bool) -> TtaSettings:
        """The settings that have a `stamp`, with or without all mirrored copies.

        Raises
        ------
        InvalidInput
            If it is of a version with other settings.
        """
        try:
            content = json.loads(stamp) if stamp else {}
            return cls.model_validate({**({"flips": "all"} if flips else {}), **content})
        except (ValueError, TypeError) as error:  # pydantic's is a ValueError
            raise InvalidInput(
                f"This version does not know the test-time augmentation {stamp}.",
                "Update napari-pytc to the version that made the prediction.",
            ) from error

    def combinations(self, roles: Sequence[Role]) -> tuple[Combination, ...]:
        """How the copies of each channel of a prediction are combined.

        Raises
        ------
        InvalidInput
            If an exception names a channel that there is not.
        """
        found: list[Combination] = [self.combine] * len(roles)
        for exception in self.exceptions:
            for number in exception.positions(roles):
                found[number] = exception.combine
        return tuple(found)

    def __str__(self) -> str:
        return self._text(self.n_copies_text)

    def _text(self, number: str) -> str:
        flips = {"none": "", "plane": "mirrored in the plane", "all": "mirrored along all axes"}.get(
            str(self.flips), f"mirrored along {', '.join(self.mirrors)}"
        )
        scales = f"at the scales {', '.join(f'{scale:g}' for scale in self.scales)}" if self.other_scales else ""
        words = [flips, "turned" if self.turns else "", scales]
        how = {"mean": "mean", "min": "minimum", "max": "maximum"}[self.combine]
        return f"{number} ({', '.join(word for word in words if word)}), {how}"

    def cost_note(self, shape: Shape) -> str:
        """A sentence on what copies of blocks or windows of a shape cost; empty without any."""
        if not self.is_used:
            return ""
        n_copies = self.n_copies_of(shape)
        if n_copies == 1:
            return (
                "Test-time augmentation does nothing here: single sections are predicted, which have no mirror along z."
            )
        cost = self.cost * n_copies / self.n_copies
        how = self._text(f"{n_copies} copies")
        return f"Test-time augmentation: {how}. It takes about {cost:.3g} times as long as one prediction."
