"""What a recipe's text may not do, and its mistakes as sentences."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from typing import Any, get_args

from pydantic import ValidationError

from napari_pytc.errors import InvalidInput
from napari_pytc.settings import Settings, TaggedSettings

_NO_PLAIN_NAME = re.compile(r"\$\{(?![^${}:]*\})")
_NO_KEY = re.compile(r"^Interpolation key '([^']*)' not found")
_TAG = re.compile(r"(?:^|[\s\[{,:-])(!!?python\S*|!<\S*python\S*|tag:yaml\.org,2002:python\S*)", re.MULTILINE)


def refuse_tags(text: str, what: str) -> None:
    """Refuse YAML tags that stand for Python objects; they are never made.

    Raises
    ------
    InvalidInput
        With the tag.
    """
    lines = (line for line in text.splitlines() if not line.lstrip().startswith("#"))
    found = _TAG.search("\n".join(lines))
    if found is not None:
        raise InvalidInput(
            f"{what} has the tag {found.group(1)[:60]!r}: a recipe is plain text and makes no Python objects.",
            "Write the value itself.",
        )


def refuse_resolvers(values: Any, what: str) -> None:
    """Refuse ``${oc.env:HOME}`` and its kin, which would make a recipe depend on the machine; ``${steps}`` is fine.

    A name with another in it, as ``${a.${b}}``, is refused, too: together they may make the name of a resolver.

    Parameters
    ----------
    values : object
        Nested mappings and lists, not resolved.

    Raises
    ------
    InvalidInput
        With the place and the text.
    """
    for place, text in _texts(values, ""):
        if _NO_PLAIN_NAME.search(text):
            raise InvalidInput(
                f"{what} asks for {text[:60]!r} at {place}: a recipe never reads the environment, nor computes values.",
                "Write the value itself, or ${name} for that of another setting.",
            )


def explain_yaml(error: Exception, what: str) -> tuple[str, str]:
    """Why text is no YAML, or a ``${name}`` in it no setting, as one sentence and a hint.

    Parameters
    ----------
    error : Exception
        Of PyYAML or OmegaConf.
    what : str
        The recipe, as the beginning of a sentence.
    """
    first = str(error).splitlines()[0].rstrip(".")
    if match := _NO_KEY.search(first):
        return (
            f"{what} takes the value of {match.group(1)!r}, which it does not say.",
            "Write the value itself, or the name of a setting that stands in the recipe.",
        )
    mark = getattr(error, "problem_mark", None)
    if mark is None:
        return f"{what} is not valid YAML: {first}.", ""
    problem = getattr(error, "problem", None) or first
    return f"{what} is not valid YAML: {problem}, in line {mark.line + 1}, column {mark.column + 1}.", ""


def _texts(values: Any, place: str) -> Iterator[tuple[str, str]]:
    if isinstance(values, str):
        yield place or "the top", values
    elif isinstance(values, dict):
        for key, value in values.items():
            yield from _texts(str(key), place)
            yield from _texts(value, f"{place}.{key}" if place else str(key))
    elif isinstance(values, list):
        for number, value in enumerate(values):
            yield from _texts(value, f"{place}[{number}]")


def explain(
    error: ValidationError, where: str, model: type[Settings] | None = None, values: Any = None
) -> tuple[str, str]:
    """A pydantic error as one sentence and a hint.

    Parameters
    ----------
    where : str
        What the settings are of, as "recipe 'fast'".
    model, values : type of Settings and mapping, optional
        What was validated, for the names that an unknown one is listed with.
    """
    first: Any = error.errors(include_url=False)[0]
    key = ".".join(_without_kinds(first["loc"])) or "the settings"
    if first["type"] == "extra_forbidden":
        known = [] if model is None else _known_names(model, values, first["loc"][:-1])
        hint = f"There are {', '.join(known)}." if known else "See `napari-pytc recipes NAME` for the names that exist."
        return f"In {where} there is no setting {key!r}.", hint
    if first["type"] == "union_tag_invalid":
        kinds = sorted(part.strip().strip("'") for part in first["ctx"]["expected_tags"].split(","))
        return f"In {where}, no {key} is called {first['ctx']['tag']!r}.", f"Known are {', '.join(kinds)}."
    if first["type"] == "union_tag_not_found":
        return f"In {where}, {key!r} does not say its kind.", f"For example {key}.kind=classes."
    got = repr(first.get("input"))
    return f"In {where}, {key!r}: {first['msg'][0].lower()}{first['msg'][1:]}, got {got[:80]}.", ""


def _without_kinds(location: Sequence[int | str]) -> list[str]:
    """Names of a setting as in a recipe, without the kind of a target and the role of a channel among them."""
    parts = [str(part) for part in location]
    if parts[:1] == ["target"]:
        del parts[1:2]
        if parts[1:2] == ["channels"]:
            del parts[3:4]
    return parts


def _known_names(model: type[Settings], values: Any, path: Sequence[str | int]) -> list[str]:
    """Names of the settings at a place; none where the place is of a kind that is not known."""
    for part in path:
        if isinstance(part, int):
            values = values[part] if isinstance(values, list | tuple) and part < len(values) else values
            continue
        field = model.model_fields.get(part)
        if field is None:  # the kind of a target or the role of a channel
            continue
        inner = values.get(part) if isinstance(values, dict) else None
        found = _model_of(field.annotation, inner)
        if found is None and part == "loss" and isinstance(values, dict):  # written beside weight and channels
            inner = values
            found = _model_of(field.annotation, inner)
        if found is None:
            return []
        model, values = found, inner
    return [name for name in model.model_fields if name != "recipe"]


def _model_of(annotation: Any, values: Any) -> type[Settings] | None:
    """The model of a field, that of its kind where there are several."""
    kind = values if isinstance(values, str) else values.get("kind") if isinstance(values, dict) else None
    for one in _models(annotation):
        if issubclass(one, TaggedSettings):
            return one.kinds.get(kind) if kind is not None else None
        default = one.model_fields["kind"].default if "kind" in one.model_fields else None
        if default is None or default == kind:
            return one
    return None


def _models(annotation: Any) -> Iterator[type[Settings]]:
    if isinstance(annotation, type) and issubclass(annotation, Settings):
        yield annotation
    for one in get_args(annotation):
        yield from _models(one)
