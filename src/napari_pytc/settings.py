"""Base of all settings, settings that come in kinds, and functions named as text in data."""

from __future__ import annotations

import logging
from collections.abc import Callable
from difflib import get_close_matches
from importlib import import_module
from importlib.metadata import EntryPoint, entry_points
from typing import Any, ClassVar, Self, cast

from pydantic import BaseModel, ConfigDict, Field

from napari_pytc.errors import InvalidInput, PytcError

logger = logging.getLogger(__name__)
_FAULTS = (
    ArithmeticError,
    AttributeError,
    ImportError,
    LookupError,
    NameError,
    OSError,
    PytcError,
    RuntimeError,
    SyntaxError,
    TypeError,
    ValueError,
)
"""What the import of a module of another package may end in."""


class KindTaken(InvalidInput):
    """A kind whose name another one has.

    Parameters
    ----------
    kind : str
        The name.
    """

    def __init__(self, message: str, hint: str = "", kind: str = "") -> None:
        super().__init__(message, hint)
        self.kind = kind

    def __reduce__(self) -> tuple[object, ...]:
        return (type(self), (self.message, self.hint, self.kind))


class Settings(BaseModel):
    """Base of all settings: frozen, and unknown names are errors."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    @property
    def changed_names(self) -> list[str]:
        """Names of the settings that are not at their default."""
        return [name for name, field in type(self).model_fields.items() if getattr(self, name) != field.default]


def setting(default: Any, title: str, description: str, unit: str = "", **bounds: Any) -> Any:
    """A field whose title, description, unit and bounds are shown to people."""
    extra: dict[str, Any] | None = {"unit": unit} if unit else None
    return Field(default, title=title, description=description, json_schema_extra=extra, **bounds)


class TaggedSettings(Settings):
    """Base of settings that come in kinds, distinguished by the text in ``kind``.

    A direct subclass is a family (networks, decoders, jobs, edits) with a registry of its own. A kind of it is a
    subclass with ``kind: Literal["..."] = "..."``; defining the class registers it. Other packages name the module of
    a kind in the family's entry-point group.
    """

    kind: str
    kinds: ClassVar[dict[str, type[TaggedSettings]]]
    noun: ClassVar[str] = "setting"
    """Name of a member of the family in error messages."""
    entry_point_group: ClassVar[str] = ""
    _loaded: ClassVar[set[str]] = set()
    _unloadable: ClassVar[dict[str, list[str]]] = {}
    """Of each entry-point group: a sentence on each module that could not be imported."""
    _conflicts: ClassVar[dict[str, dict[str, list[str]]]] = {}
    """Of each entry-point group, by kind: the sentences on modules that were left out because of its name."""

    @classmethod
    def __pydantic_init_subclass__(cls, **kwargs: Any) -> None:
        super().__pydantic_init_subclass__(**kwargs)
        if TaggedSettings in cls.__bases__:
            cls.kinds = {}
        kind = cls.model_fields["kind"].default
        if isinstance(kind, str):
            other = cls.kinds.get(kind)
            if other is not None and not _are_one(other, cls):
                raise KindTaken(
                    f"Two kinds of {cls.noun} are called {kind!r}: {_full_name(other)} and {_full_name(cls)}.",
                    "Give one of them another kind.",
                    kind,
                )
            cls.kinds[kind] = cls

    @classmethod
    def variants(cls) -> dict[str, type[Self]]:
        """All kinds that are installed, by name. The first call reads the metadata of all packages."""
        cls.load_others()
        return cast("dict[str, type[Self]]", dict(cls.kinds))

    @classmethod
    def load_others(cls) -> None:
        """Import the kinds of this and other packages that are named as entry points, once.

        A module that cannot be imported is left out and told: another package's fault is no reason to do without all.
        """
        if cls.entry_point_group and cls.entry_point_group not in cls._loaded:
            cls._loaded.add(cls.entry_point_group)
            for entry in entry_points(group=cls.entry_point_group):
                try:
                    entry.load()
                except _FAULTS as error:
                    sentence = f"The {cls.noun} of {_source(entry)} was left out: {_one_line(error)}"
                    cls._unloadable.setdefault(cls.entry_point_group, []).append(sentence)
                    if isinstance(error, KindTaken):
                        of_group = cls._conflicts.setdefault(cls.entry_point_group, {})
                        of_group.setdefault(error.kind, []).append(sentence)
                    logger.warning("%s", sentence)

    def name_conflicts(self) -> list[str]:
        """Sentences on the kinds of other packages that were left out because they are called like this one.

        The first call reads the metadata of all packages.
        """
        self.load_others()
        return list(self._conflicts.get(self.entry_point_group, {}).get(self.kind, ()))

    @classmethod
    def parse(cls, value: Any) -> Any:
        """The settings that a mapping with a ``kind``, or the name of a kind, describes; other values stay as they are.

        Raises
        ------
        InvalidInput
            If no such kind is known.
        """
        if isinstance(value, str):
            value = {"kind": value}
        if not isinstance(value, dict):
            return value
        kind = value.get("kind")
        if kind not in cls.kinds:
            cls.load_others()
        if kind not in cls.kinds:
            known = ", ".join(sorted(cls.kinds)) or "none"
            if kind is None:
                raise InvalidInput(*_without_kind(cls.noun, value, known))
            left_out = cls._unloadable.get(cls.entry_point_group, [])
            raise InvalidInput(f"No {cls.noun} is called {kind!r}.", " ".join([f"Known are {known}.", *left_out]))
        return cls.kinds[kind].model_validate(value)


def _without_kind(noun: str, value: dict[Any, Any], known: str) -> tuple[str, str]:
    """A sentence and a hint on settings that do not say their kind, with the key that may be meant to."""
    keys = [key for key in value if isinstance(key, str) and key != "kind"]
    misspelt = get_close_matches("kind", keys, n=1, cutoff=0.7)
    instead = f": it has the key {misspelt[0]!r} instead" if misspelt else ""
    return (
        f"The {noun} does not say its kind{instead}.",
        f"For example kind: {known.split(', ')[0]}. Known are {known}.",
    )


def _full_name(kind: type) -> str:
    return f"{kind.__module__}.{kind.__qualname__}"


def _are_one(kind: type, other: type) -> bool:
    """Whether two classes are one whose module was imported twice, once perhaps as a script."""
    modules = {kind.__module__, other.__module__}
    return kind.__qualname__ == other.__qualname__ and (
        len(modules) == 1 or bool(modules & {"__main__", "__mp_main__"})
    )


def _source(entry: EntryPoint) -> str:
    """Where an entry point comes from, in a sentence."""
    package = f" of the package {entry.dist.name}" if entry.dist is not None else ""
    return f"{entry.value}{package}"


def _one_line(error: BaseException) -> str:
    """An error as one sentence."""
    text = error.message if isinstance(error, PytcError) else f"{type(error).__name__}: {error}"
    return " ".join(text.split()).rstrip(".") + "."


def short_form(value: Any) -> Any:
    """Settings as plain values in the shortest form that recipes take: without defaults, a kind alone by its name."""
    if isinstance(value, BaseModel):
        fields = type(value).model_fields
        kind = {"kind": getattr(value, "kind")} if isinstance(value, TaggedSettings) else {}  # noqa: B009
        changed = {name: getattr(value, name) for name in fields if name not in kind}
        found = {name: short_form(one) for name, one in changed.items() if one != fields[name].default}
        return kind["kind"] if kind and not found else {**kind, **found}
    if isinstance(value, list | tuple):
        return [short_form(one) for one in value]
    return value


def resolve(name: str) -> Callable[..., Any]:
    """The function that ``"package.module:function"`` names; its module is imported now."""
    module, _, function = name.partition(":")
    return cast("Callable[..., Any]", getattr(import_module(module), function))
