"""Channels that a configuration names by a number, a slice or a list."""

from __future__ import annotations

from typing import Any

from napari_pytc.errors import InvalidInput


def channel_numbers(selector: Any, n_channels: int, key: str) -> list[int]:
    """The channels that a selector names: a number, a slice as text, a pair of ends, or a list of numbers."""
    if selector is None:
        return list(range(n_channels))
    try:
        if isinstance(selector, str) and "," in selector:
            found = [n for part in selector.split(",") for n in channel_numbers(part.strip(), n_channels, key)]
        elif isinstance(selector, str) and ":" in selector:
            ends = [int(part) if part.strip() else None for part in selector.split(":")]
            found = list(range(n_channels))[slice(*ends)]
        elif isinstance(selector, list):
            found = [range(n_channels)[int(n)] for n in selector]
        else:
            found = [range(n_channels)[int(selector)]]
    except (ValueError, TypeError, IndexError) as error:
        raise InvalidInput(
            f"The configuration's {key} names channels by {selector!r}, which cannot be; there are {n_channels}."
        ) from error
    if not found:
        raise InvalidInput(f"The configuration's {key} names no channel by {selector!r}; there are {n_channels}.")
    return found
