"""Colours of the channels of an image, which are added up where they lie on one another."""

from __future__ import annotations

import numpy as np

GREY = "#ffffff"
"""An image of one channel is grey: black to this."""
# Of two channels green and magenta are told apart by those who see no red.
_COLOURS = ("#00ff00", "#ff00ff", "#00b4ff", "#ff7800", "#ffff00", "#ff3c3c", "#9c6bff", "#00ffc8")
_BY_NAME = {"red": "#ff0000", "green": "#00ff00", "blue": "#0000ff"} | dict.fromkeys(
    ("em", "sem", "tem", "stem", "bse", "sbem", "sbf-sem", "fib-sem", "sstem"), GREY
)


def channel_colour(place: int, n_channels: int, name: str = "") -> str:
    """The colour of the channel at a place among so many, as #rrggbb.

    Parameters
    ----------
    name : str
        Its name: red, green and blue keep their colours, and electron microscopy beside light microscopy is grey.
    """
    if n_channels == 1:
        return GREY
    return _BY_NAME.get(name.lower()) or _COLOURS[place % len(_COLOURS)]


def added_colours(channels: np.ndarray, colours: list[str] | tuple[str, ...]) -> np.ndarray:
    """Channels of 0 to 255 in their colours, added up and cut at white.

    Parameters
    ----------
    channels : ndarray
        (c, y, x), uint8.
    colours : sequence of str
        #rrggbb of each.

    Returns
    -------
    ndarray
        uint8, (y, x, 3).
    """
    total = np.zeros((*channels.shape[1:], 3), np.float32)
    for channel, colour in zip(channels, colours, strict=True):
        rgb = [int(colour[k : k + 2], 16) / 255 for k in (1, 3, 5)]
        total += channel[..., None] * np.array(rgb, np.float32)
    return np.minimum(total, 255).astype(np.uint8)
