"""The keys of a configuration, and what became of each."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict

from napari_pytc.errors import InvalidInput

Outcome = Literal["taken", "changed", "left out"]
_MISSING = object()
_WHOLE = frozenset({"params", "kwargs"})
"""Mappings that are one value."""


class ImportedKey(BaseModel):
    """What became of a key of a configuration.

    Parameters
    ----------
    became : str
        The setting here, as ``network.size=S``; empty where there is none.
    why : str
        Why it was changed or left out, as a phrase.
    """

    model_config = ConfigDict(frozen=True)

    key: str
    value: str
    outcome: Outcome
    became: str = ""
    why: str = ""


class ForeignKeys:
    """Keys of a configuration, each asked for at most once; those never asked for are left out.

    Parameters
    ----------
    values : mapping
        Nested sections in the dialect of stages.
    names : mapping of str to str
        The keys by which the file itself names some of them, where it is of another dialect.

    Attributes
    ----------
    last_read : str
        The key whose value was asked for last.
    """

    def __init__(self, values: Mapping[str, Any], names: Mapping[str, str] | None = None) -> None:
        self._values = dict(_leaves(values, ""))
        self._names = names or {}
        self._rows: dict[str, ImportedKey] = {}
        self.last_read = ""

    def has(self, key: str) -> bool:
        """Whether the file says anything of a key or a section, be it null."""
        return key in self._values or any(one.startswith(f"{key}.") for one in self._values)

    def get(self, key: str, default: Any = None) -> Any:
        """The value of a key; the default where it is missing or null."""
        found = self._values.get(key)
        self.last_read = key if found is not None else self.last_read
        return default if found is None else found

    def section(self, key: str) -> dict[str, Any]:
        """The keys below a section, by the rest of their names."""
        return {name[len(key) + 1 :]: value for name, value in self._values.items() if name.startswith(f"{key}.")}

    def number(self, key: str, default: float) -> float:
        """A number.

        Raises
        ------
        InvalidInput
            If the value is none.
        """
        value = self.get(key, default)
        if isinstance(value, bool) or not isinstance(value, int | float):
            raise InvalidInput(f"The configuration's {self.name(key)} is a number, got {value!r}.")
        return value

    def numbers(self, key: str) -> list[float] | None:
        """A list of numbers; None where there is none."""
        value = self.get(key)
        if value is None:
            return None
        if not isinstance(value, list) or not all(type(one) in (int, float) for one in value):
            raise InvalidInput(f"The configuration's {self.name(key)} is a list of numbers, got {value!r}.")
        return value

    def flag(self, key: str, default: bool = False) -> bool:
        """A yes or no."""
        value = self.get(key, default)
        if not isinstance(value, bool):
            raise InvalidInput(f"The configuration's {self.name(key)} is true or false, got {value!r}.")
        return value

    def name(self, key: str) -> str:
        """The key as the file has it."""
        return self._names.get(key, key)

    def taken(self, key: str, became: str, default: Any = _MISSING) -> None:
        """Note that a key has its counterpart; one that is missing only where a default of theirs is given."""
        self._note(key, "taken", became, "", default)

    def changed(self, key: str, became: str, why: str, default: Any = _MISSING) -> None:
        """Note that something else stands for a key."""
        self._note(key, "changed", became, why, default)

    def changed_after_all(self, key: str, became: str, why: str) -> None:
        """As `changed`, in place of what was noted before."""
        self._rows.pop(key, None)
        self._note(key, "changed", became, why, _MISSING)

    def left_out(self, key: str, why: str) -> None:
        """Note that a key, or all keys of a section, have no counterpart."""
        for one in [name for name in self._values if name == key or name.startswith(f"{key}.")]:
            self._note(one, "left out", "", why, _MISSING)

    def rows(self, reasons: Mapping[str, str], otherwise: str) -> tuple[ImportedKey, ...]:
        """All keys, in the order of the file.

        Parameters
        ----------
        reasons : mapping of str to str
            By section: why keys were not asked for.
        """
        for key in self._values:
            if key in self._rows:
                continue
            fitting = [section for section in reasons if key == section or key.startswith(f"{section}.")]
            self.left_out(key, reasons[max(fitting, key=len)] if fitting else otherwise)
        order = {key: number for number, key in enumerate(self._values)}
        return tuple(row for _, row in sorted(self._rows.items(), key=lambda item: order.get(item[0], len(order))))

    def _note(self, key: str, outcome: Outcome, became: str, why: str, default: Any) -> None:
        if key not in self._values and default is _MISSING:
            return
        value = _text(self._values[key]) if key in self._values else f"{_text(default)} (by default)"
        self._rows.setdefault(
            key, ImportedKey(key=self.name(key), value=value, outcome=outcome, became=became, why=why)
        )


def _leaves(values: Mapping[str, Any], place: str) -> Iterator[tuple[str, Any]]:
    for key, value in values.items():
        where = f"{place}.{key}" if place else str(key)
        if isinstance(value, dict) and value and key not in _WHOLE:
            yield from _leaves(value, where)
        else:
            yield where, value


def _text(value: Any) -> str:
    text = str(value)
    return text if len(text) <= 120 else f"{text[:117]}..."
