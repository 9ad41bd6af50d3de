"""How much text the ``${name}`` of a recipe stand for, before any is filled in."""

from __future__ import annotations

import re
from typing import Any

from napari_pytc.errors import InvalidInput

_MOST = 5_000_000
_MOST_HOPS = 100
_NAME = re.compile(r"\$\{([^${}:]*)\}")
_Place = tuple[Any, ...]


def refuse_growth(values: Any, what: str) -> None:
    """Refuse a short text whose ``${name}`` stand for a huge one, or for themselves.

    Parameters
    ----------
    values : object
        Nested mappings and lists, not resolved.
    what : str
        The recipe, as the beginning of a sentence.

    Raises
    ------
    InvalidInput
        With what is wrong.
    """
    try:
        size = _Sizes(values, what).of((), values)
    except RecursionError as error:
        raise InvalidInput(f"In {what[0].lower()}{what[1:]}, ${{name}} lead on without end.", _HINT) from error
    if size > _MOST:
        raise InvalidInput(f"{what} stands for more than {_MOST} characters by its ${{name}}.", _HINT)


_HINT = "Write the values themselves."


class _Sizes:
    """Lengths of values with those that they refer to, each counted once."""

    def __init__(self, values: Any, what: str) -> None:
        self._values = values
        self._what = what
        self._known: dict[_Place, int | None] = {}

    def of(self, place: _Place, value: Any) -> int:
        """Characters and entries of a value."""
        if place in self._known:
            found = self._known[place]
            if found is None:
                name = ".".join(map(str, place))
                raise InvalidInput(f"{self._what} takes the value of {name[:60]!r} for itself.", _HINT)
            return found
        self._known[place] = None
        size = 1
        if isinstance(value, str):
            size += len(value)
            for match in _NAME.finditer(value):
                target = self._look_up(place, match.group(1))
                size = min(_MOST + 1, size + (0 if target is None else self.of(*target)))
        elif isinstance(value, dict | list):
            for key, one in value.items() if isinstance(value, dict) else enumerate(value):
                size = min(_MOST + 1, size + len(str(key)) + self.of((*place, key), one))
        self._known[place] = size
        return size

    def _look_up(self, place: _Place, name: str) -> tuple[_Place, Any] | None:
        """The place and the value that a name at a place stands for, None where there is none."""
        waiting = self._steps(place, name)
        at: _Place = ()
        value = self._values
        n_hops = 0
        while waiting is not None:
            if not waiting:
                return at, value
            if isinstance(value, str):
                match = _NAME.fullmatch(value.strip())
                n_hops += 1
                if n_hops > _MOST_HOPS:
                    raise RecursionError
                further = None if match is None else self._steps(at, match.group(1))
                waiting = None if further is None else [*further, *waiting]
                at, value = (), self._values
                continue
            key = _key(value, waiting.pop(0))
            if key is None:
                return None
            at, value = (*at, key), value[key]
        return None

    @staticmethod
    def _steps(place: _Place, name: str) -> list[Any] | None:
        name = name.strip()
        n_up = len(name) - len(name.lstrip("."))
        if n_up > len(place):
            return None
        steps = [step.strip() for step in re.split(r"[.\[\]]+", name) if step.strip()]
        return [*place[: len(place) - n_up], *steps] if n_up else steps


def _key(value: Any, step: Any) -> Any:
    """The key of a mapping or list that a step of a name means; None where there is none."""
    if isinstance(value, dict):
        return step if step in value else next((key for key in value if str(key) == str(step)), None)
    if isinstance(value, list):
        try:
            number = int(step)
        except ValueError:
            return None
        return number % len(value) if -len(value) <= number < len(value) else None
    return None
