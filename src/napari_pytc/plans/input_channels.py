"""Channels of images and of models: what is refused, and what is told."""

from __future__ import annotations

import re
from collections.abc import Sequence

from napari_pytc.errors import ModelError
from napari_pytc.plans.model_folder import ModelInfo

_NUMBERED = re.compile(r"channel \d+")
"""What a channel without a name is called."""


def check_n_inputs(info: ModelInfo, n_channels: int, image: str = "the image") -> None:
    """Refuse a model for an image with another number of channels.

    Parameters
    ----------
    image : str
        The image in a sentence.

    Raises
    ------
    ModelError
        With both numbers.
    """
    if info.n_inputs == n_channels:
        return
    names = f" ({', '.join(info.input_names)})" if info.input_names else ""
    raise ModelError(
        f"The model {info.id} takes images of {_channels(info.n_inputs)}{names}; {image} has {_channels(n_channels)}.",
        "Choose another model, or open the image with other channels (--channel).",
    )


def other_channels_note(info: ModelInfo, names: Sequence[str]) -> str | None:
    """A sentence where the channels of an image are not those that a model learned, by their names; else None.

    Parameters
    ----------
    names : sequence of str
        Of the image's channels; "" where one has none, and then nothing is known.
    """
    is_named = bool(info.input_names) and all(names)
    if not is_named or tuple(names) == info.input_names or any(_NUMBERED.fullmatch(one) for one in info.input_names):
        return None
    return (
        f"The model {info.id} learned the channels {', '.join(info.input_names)}, in this order; the image is read "
        f"with {', '.join(names)}."
    )


def check_same_channels(volumes: Sequence[tuple[str, int]]) -> None:
    """Refuse volumes whose images have different numbers of channels.

    Parameters
    ----------
    volumes : sequence of (str, int)
        Each volume in a sentence, and the number of its channels.

    Raises
    ------
    ModelError
        Naming the first volume and those that differ from it.
    """
    (first, n_first), *others = volumes
    different = [(title, n) for title, n in others if n != n_first]
    if different:
        listed = ", ".join(f"{title} has {n}" for title, n in different)
        raise ModelError(
            f"A model learns from images with as many channels: {first} has {n_first}, {listed}.",
            "Choose among the volumes (--volumes), or add one again with other channels (--channel).",
        )


def _channels(n: int) -> str:
    return "one channel" if n == 1 else f"{n} channels"
