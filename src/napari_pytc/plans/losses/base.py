"""Settings of losses, and the terms of which the loss of a training is the sum."""

from __future__ import annotations

import inspect
import re
from collections.abc import Callable, Sequence
from typing import Annotated, Any, ClassVar, Literal, get_args

from pydantic import SerializeAsAny, field_validator, model_validator
from pydantic.functional_validators import BeforeValidator

from napari_pytc.errors import InvalidInput
from napari_pytc.settings import Settings, TaggedSettings, resolve, setting

Activation = Literal["softmax", "sigmoid", "tanh", "none"]
"""What makes values of a channel's logits: classes that add up to 1, a probability, a number from -1 to 1, or any."""


class LossSettings(TaggedSettings):
    """Base of a loss's settings.

    A new loss is a subclass with ``kind: Literal["..."] = "..."``, `builds` and `suits`, imported by
    `napari_pytc.plans.losses` or named in the entry-point group ``napari_pytc.losses``. Its module imports no torch.
    """

    noun: ClassVar[str] = "loss"
    entry_point_group: ClassVar[str] = "napari_pytc.losses"
    builds: ClassVar[str]
    """The function that makes the loss, ``"package.module:function"``: it takes these settings, the `Activation` of the
    channels and the positions of those that count, and returns a callable of logits, targets and mask (see
    `napari_pytc.learning.training.losses.Loss`)."""
    suits: ClassVar[tuple[Activation, ...]]
    """Activations of the channels that the loss can judge."""
    is_spatial: ClassVar[bool] = False
    """Whether it looks at the neighbours of a voxel, and so needs patches rather than single voxels."""
    weighs_voxels: ClassVar[bool] = True
    """Whether a voxel can count more than another, as a mean over voxels has it; regions have no weights."""
    needs_all_classes: ClassVar[bool] = False
    """Whether it judges classes that exclude one another all at once, never some of them."""
    when: ClassVar[str] = ""
    """When to take it, as a sentence for the documentation."""
    cost: ClassVar[str] = ""
    """Time of the loss and its gradient, in those of cross entropy (131,072 voxels, three channels, one core)."""

    @classmethod
    def __pydantic_init_subclass__(cls, **kwargs: Any) -> None:
        kind = cls.model_fields["kind"].default
        missing = [name for name in ("builds", "suits") if not hasattr(cls, name)]
        if isinstance(kind, str) and missing:
            raise InvalidInput(
                f"The loss {kind!r} ({cls.__module__}.{cls.__qualname__}) does not say {' and '.join(missing)}.",
                'Write builds = "package.module:function", and suits = ("sigmoid",) for what its channels may be.',
            )
        unknown = sorted(set(getattr(cls, "suits", ())) - set(get_args(Activation)))
        if unknown:
            raise InvalidInput(
                f"The loss {kind!r} suits {', '.join(unknown)}, which is no activation.",
                f"There are {', '.join(get_args(Activation))}.",
            )
        super().__pydantic_init_subclass__(**kwargs)

    def build(self, activation: Activation, kept: Sequence[int]) -> Any:
        """The loss, a `torch.nn.Module`; torch is imported now.

        Parameters
        ----------
        activation : Activation
            Of all the channels that the loss is called with.
        kept : sequence of int
            Positions of the channels that count, among those that it is called with.

        Raises
        ------
        InvalidInput
            If `builds` names no function, or one that does not take these three.
        """
        kind = getattr(self, "kind", type(self).__name__)
        try:
            builder = resolve(self.builds)
        except (ImportError, AttributeError, ValueError) as error:
            raise InvalidInput(
                f"The function {self.builds!r} of the loss {kind!r} cannot be imported: {error}.",
                "It is written package.module:function, of a package that is installed where the training runs.",
            ) from error
        if not _takes(builder, 3):
            raise InvalidInput(
                f"The function {self.builds!r} of the loss {kind!r} takes {inspect.signature(builder)} and not "
                "(settings, activation, kept).",
                "See `A loss of your own` in the documentation.",
            )
        return builder(self, activation, tuple(kept))


def _takes(function: Callable[..., Any], n: int) -> bool:
    """Whether a function can be called with so many arguments by position."""
    try:
        inspect.signature(function).bind(*[None] * n)
    except TypeError:
        return False
    return True


AnyLoss = Annotated[SerializeAsAny[LossSettings], BeforeValidator(LossSettings.parse)]

_SLICE = re.compile(r"^\s*(\d+)?\s*(:)?\s*(\d+)?\s*$")


class LossTerm(Settings):
    """One term of the loss of a training: a loss, its weight, and the channels that it judges."""

    loss: AnyLoss = setting(..., "Loss", "Kind and settings of the loss.")
    weight: float = setting(1.0, "Weight", "Factor of this term in the sum.", gt=0)
    channels: str | None = setting(
        None, "Channels", "Which channels, by number from 0, as 0:3 or 2 or 0,2; by default all of the target."
    )
    heads: tuple[str, ...] = setting(
        (), "Heads", "Which channels, by name or by what they are, as affinity or distance; by default all."
    )

    @model_validator(mode="before")
    @classmethod
    def _accept_short_forms(cls, content: Any) -> Any:
        """A name alone, or the loss's settings beside weight, channels and heads."""
        if isinstance(content, str):
            return {"loss": content}
        if isinstance(content, dict) and "kind" in content and "loss" not in content:
            own = {name: content[name] for name in ("weight", "channels", "heads") if name in content}
            return {**own, "loss": {name: value for name, value in content.items() if name not in own}}
        return content

    @field_validator("channels", mode="before")
    @classmethod
    def _accept_numbers(cls, value: Any) -> Any:
        if isinstance(value, int) and not isinstance(value, bool):
            # YAML reads 1:3 without quotes as a number to the base of 60; no target has as many channels.
            return str(value) if value < 60 else f"{value // 60}:{value % 60}"
        if isinstance(value, list | tuple):
            return ",".join(str(part) for part in value)
        return value

    @field_validator("heads", mode="before")
    @classmethod
    def _accept_one_head(cls, value: Any) -> Any:
        return (value,) if isinstance(value, str) else value

    @model_validator(mode="after")
    def _check(self) -> LossTerm:
        if self.channels is not None and self.heads:
            raise InvalidInput(
                f"A term of losses names its channels by number or by head, got channels={self.channels!r} and "
                f"heads={list(self.heads)}.",
                "Leave one of the two out.",
            )
        if self.channels is not None:
            self._ranges(2**31)  # only for its form
        return self

    @property
    def title(self) -> str:
        """Name of the term for people."""
        where = self.channels if self.channels is not None else ", ".join(self.heads)
        return f"{self.loss.kind} of {where}" if where else self.loss.kind

    def positions(self, n_channels: int) -> range | list[int]:
        """Numbers of the channels that `channels` names, of so many.

        Raises
        ------
        InvalidInput
            If the text cannot be read or names a channel that there is not.
        """
        found = self._ranges(n_channels)
        return found[0] if len(found) == 1 else sorted({number for one in found for number in one})

    def _ranges(self, n_channels: int) -> list[range]:
        """The numbers of each part of `channels`; see `positions`."""
        if self.channels is None:
            return [range(n_channels)]
        found: list[range] = []
        for part in self.channels.split(","):
            match = _SLICE.match(part)
            if match is None or not part.strip():
                raise InvalidInput(
                    f"Channels of a loss are numbers from 0 or slices of them, got {self.channels!r}.",
                    "For example 0:3, 2, or 0,2.",
                )
            first, colon, last = match.groups()
            start = int(first or 0)
            stop = (n_channels if last is None else int(last)) if colon else start + 1
            if not 0 <= start < stop <= n_channels:
                raise InvalidInput(
                    f"The loss {self.loss.kind!r} is to judge the channels {self.channels}, but the target has "
                    f"{n_channels}, numbered from 0.",
                    "A slice is first:last+1, as 0:3 for the first three.",
                )
            found.append(range(start, stop))
        return found
