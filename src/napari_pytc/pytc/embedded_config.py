"""Configurations that checkpoints of October 2025 to May 2026 hold, as plain values.

They are pickled dataclasses of PyTorch Connectomics, or containers of OmegaConf::

    hyper_parameters ── cfg ── Config: model: ModelConfig: out_channels: 1, ...          (dataclasses: their attributes)
                               DictConfig: _content: {model: DictConfig: ..., ...}      (OmegaConf: what they contain)
                                                     {out_channels: AnyNode: _val: 1}

The reader of checkpoints makes inert objects of both, which keep their state; what is in it is read here. No class of
another package is imported, and interpolations stay text.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from napari_pytc.errors import ModelError
from napari_pytc.pytc.stored_checkpoint import StoredCheckpoint
from napari_pytc.pytc.stored_values import ForeignObject

_SECTION = "hyper_parameters"
_KEYS = ("cfg", "config")
_DEEPEST = 40
_MOST_VALUES = 20_000
_LONGEST_TEXT = 10_000
_LARGEST_NUMBER = 2**63
_WRITTEN_SINCE = "PyTorch Connectomics does not embed it since May 2026."


def read_embedded_config(checkpoint: Path) -> dict[str, Any]:
    """The configuration in a checkpoint: nested mappings, lists, text, numbers and nulls.

    Raises
    ------
    ModelError
        If the file is no checkpoint, or holds no configuration, or one that cannot be read.
    """
    with StoredCheckpoint(checkpoint) as stored:
        values = stored.values
    section = values.get(_SECTION) if isinstance(values, Mapping) else None
    held = next((section[key] for key in _KEYS if key in section), None) if isinstance(section, Mapping) else None
    if held is None:
        raise ModelError(
            f"The checkpoint {checkpoint} does not hold its configuration; {_WRITTEN_SINCE}",
            "Give the configuration that it was trained with.",
        )
    found = _PlainValues(checkpoint).of(held, 0)
    if not isinstance(found, dict) or not found:
        raise ModelError(
            f"The checkpoint {checkpoint} holds a configuration that cannot be read as one.",
            "Give the configuration that it was trained with.",
        )
    return found


class _PlainValues:
    """Stored objects as plain values, of a file that may be anything: within bounds of depth and number."""

    def __init__(self, checkpoint: Path) -> None:
        self._checkpoint = checkpoint
        self._n = 0

    def of(self, value: Any, depth: int) -> Any:
        """A value without its objects; null for what is no plain value."""
        self._n += 1
        if depth > _DEEPEST or self._n > _MOST_VALUES:
            raise ModelError(
                f"The configuration in {self._checkpoint} is too large or too deep to be one.",
                "Give the configuration that it was trained with.",
            )
        if isinstance(value, ForeignObject):
            return self._of_object(value, depth)
        if isinstance(value, Mapping):
            return {str(key): self.of(one, depth + 1) for key, one in value.items() if _is_key(key)}
        if isinstance(value, list | tuple):
            return [self.of(one, depth + 1) for one in value]
        if isinstance(value, str):
            return str(value[:_LONGEST_TEXT])
        if isinstance(value, float):
            return value if math.isfinite(value) else str(value)
        return value if isinstance(value, int) and abs(value) <= _LARGEST_NUMBER else None

    def _of_object(self, value: ForeignObject, depth: int) -> Any:
        state = value.state
        if isinstance(state, tuple) and len(state) == 2:  # with slots: what is in the dictionary, and in the slots
            state = {**(state[0] or {}), **(state[1] or {})} if _are_mappings(state) else None
        if isinstance(state, Mapping):
            for content in ("_content", "_val"):  # a container, or a node, of OmegaConf
                if content in state:
                    return self.of(state[content], depth + 1)
            return self.of(state, depth + 1)
        if value.entries:
            return self.of(value.entries, depth + 1)
        if value.items:
            return self.of(value.items, depth + 1)
        if value.name.startswith("pathlib.") and all(isinstance(one, str) for one in value.arguments):
            return "/".join(value.arguments)
        return None


def _is_key(key: Any) -> bool:
    """Whether a key is one of a configuration; a number of thousands of digits cannot be written as text."""
    if isinstance(key, int):
        return abs(key) <= _LARGEST_NUMBER
    return isinstance(key, str) and len(key) <= _LONGEST_TEXT and not key.startswith("_")


def _are_mappings(values: tuple[Any, ...]) -> bool:
    return all(one is None or isinstance(one, Mapping) for one in values)
