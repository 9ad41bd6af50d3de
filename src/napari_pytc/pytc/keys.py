"""The keys of a configuration, and what became of each."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, NamedTuple

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


class CompanionKey(NamedTuple):
    """A key of the file that says one thing together with another, whose fate it shares.

    Parameters
    ----------
    name : str
        As the file has it.
    key : str
        The other key, in the dialect of stages.
    """

    name: str
    value: Any
    key: str


@dataclass(frozen=True)
class KeyOrigins:
    """Where the keys of a file are, which may be of another dialect.

    Parameters
    ----------
    names : mapping of str to str
        The keys by which the file itself names some of those of the dialect of stages.
    companions : sequence of CompanionKey
        Keys of the file that are in others' values.
    settled : sequence of ImportedKey
        Keys of the file that are in no values, and what became of them.
    implied : collection of str
        Keys in the dialect of stages that the file does not have; another of its keys implies them.
    assumed : collection of str
        Keys in the dialect of stages whose value is a default of the file's own dialect.
    written : mapping of str
        Values as they stand in the file, by its own keys.
    """

    names: Mapping[str, str] = field(default_factory=dict)
    companions: Sequence[CompanionKey] = ()
    settled: Sequence[ImportedKey] = ()
    implied: Collection[str] = ()
    assumed: Collection[str] = ()
    written: Mapping[str, Any] = field(default_factory=dict)


class Options:
    """Settings by name in an entry of a list, and which of them were never asked for."""

    def __init__(self, values: Mapping[str, Any]) -> None:
        self._values = values
        self._unused = dict(values)

    def get(self, name: str, default: Any = None) -> Any:
        """A setting, which is of use then; the default where it is missing or null."""
        self._unused.pop(name, None)
        found = self._values.get(name)
        return default if found is None else found

    def numbers(self, names: Mapping[str, str]) -> dict[str, float]:
        """Those of some settings that there are, by their names here."""
        found = {ours: self.get(theirs) for theirs, ours in names.items()}
        return {name: float(value) for name, value in found.items() if value is not None}

    def unused(self) -> dict[str, Any]:
        """Settings that are said and were not asked for."""
        return {name: value for name, value in self._unused.items() if value is not None}


class ForeignKeys:
    """Keys of a configuration, each asked for at most once; those never asked for are left out.

    Parameters
    ----------
    values : mapping
        Nested sections in the dialect of stages.

    Attributes
    ----------
    notes : list of str
        Sentences on how the file was read.
    last_read : str
        The key whose value was asked for last.
    """

    def __init__(self, values: Mapping[str, Any], origins: KeyOrigins | None = None) -> None:
        self._values = dict(leaves(values))
        self._origins = origins or KeyOrigins()
        self._rows: dict[str, ImportedKey] = {}
        self._parts: dict[str, dict[str, ImportedKey]] = {}
        self.notes: list[str] = []
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
        return self._origins.names.get(key, key)

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

    def note_part(self, key: str, part: str, value: Any, outcome: Outcome, became: str, why: str = "") -> None:
        """Note what became of a part of a key's value, as of an entry of a list, by a name of its own."""
        row = ImportedKey(key=part, value=_text(value), outcome=outcome, became=became, why=why)
        self._parts.setdefault(key, {}).setdefault(part, row)

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
        found = list(self._origins.settled)
        for key, row in sorted(self._rows.items(), key=lambda item: order.get(item[0], len(order))):
            found += [] if key in self._origins.implied else [row]
            found += self._parts.get(key, {}).values()
            found += [
                row.model_copy(update={"key": one.name, "value": _text(one.value)})
                for one in self._origins.companions
                if one.key == key
            ]
        return tuple(found)

    def _note(self, key: str, outcome: Outcome, became: str, why: str, default: Any) -> None:
        if key not in self._values and default is _MISSING:
            return
        is_written = key in self._values and key not in self._origins.assumed
        value = _text(self._origins.written.get(self.name(key), self._values.get(key, default)))
        value += "" if is_written else " (by default)"
        self._rows.setdefault(
            key, ImportedKey(key=self.name(key), value=value, outcome=outcome, became=became, why=why)
        )


def leaves(values: Mapping[str, Any], place: str = "") -> Iterator[tuple[str, Any]]:
    """Keys and values of nested sections; ``params`` and ``kwargs`` are one value."""
    for key, value in values.items():
        where = f"{place}.{key}" if place else str(key)
        if isinstance(value, dict) and value and key not in _WHOLE:
            yield from leaves(value, where)
        else:
            yield where, value


def put(values: dict[str, Any], key: str, value: Any) -> None:
    """Set a key in nested sections; a section that has the key's name is written into where the value is one."""
    *sections, last = key.split(".")
    for section in sections:
        below = values.get(section)
        if not isinstance(below, dict):
            below = values[section] = {}
        values = below
    if isinstance(value, dict) and isinstance(values.get(last), dict):
        for name, one in value.items():
            put(values[last], str(name), one)
    elif not isinstance(values.get(last), dict):
        values[last] = value


def _text(value: Any) -> str:
    text = str(value)
    return text if len(text) <= 120 else f"{text[:117]}..."
