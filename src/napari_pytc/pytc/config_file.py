"""Configuration files of PyTorch Connectomics, with the files that they build on."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from napari_pytc.errors import InvalidInput
from napari_pytc.plans.recipe_checks import refuse_resolvers, refuse_tags

Dialect = Literal["stages", "flat", "yacs"]
"""How it is written. stages: since March 2026, ``default``, ``train``, ``test``; flat: October 2025 to March 2026,
``model.architecture``; yacs: version 1.0 and before, ``MODEL.ARCHITECTURE``."""

_LARGEST_BYTES = 2**20
_MOST_VALUES = 100_000
_MOST_FILES = 200
_YACS = frozenset({"MODEL", "SOLVER", "DATASET", "INFERENCE", "AUGMENTOR", "SYSTEM", "MONITOR"})
_FLAT = frozenset({"training", "optimizer", "scheduler", "checkpoint", "early_stopping", "augmentation"})
_KNOWN = _FLAT | {
    *("default", "shared", "train", "test", "tune", "model", "data", "optimization", "monitor", "inference"),
    *("decoding", "system", "evaluation", "experiment_name", "description"),
}


@dataclass(frozen=True)
class ConfigFile:
    """What configuration files say together.

    Parameters
    ----------
    values : dict
        Plain values by section; interpolations are still text.
    name : str
        Name of the last file, without its suffix.
    """

    values: dict[str, Any]
    dialect: Dialect
    name: str
    path: Path
    is_embedded: bool = False
    """Whether it is in a checkpoint, where profiles and stages are filled in."""


def read_config(paths: Sequence[Path]) -> ConfigFile:
    """Read configuration files, the later ones over the earlier, each over its ``_base_``.

    Raises
    ------
    InvalidInput
        If a file is missing, no YAML, no configuration of PyTorch Connectomics, builds on itself, or would make Python
        objects or read the environment.
    """
    if not paths:
        raise InvalidInput("No configuration file is given.", "For example: napari-pytc import-recipe config.yaml.")
    values: dict[str, Any] = {}
    read: list[Path] = []
    for path in paths:
        values = merged(values, _read(path, (), read))
    last = paths[-1]
    dialect = _dialect(values)
    if dialect is None:
        sections = ", ".join(list(map(str, values))[:6]) or "nothing"
        raise InvalidInput(
            f"{last} is no configuration of PyTorch Connectomics: it has {sections}.",
            "It has sections such as model, data and optimization; default, train and test; or MODEL and SOLVER.",
        )
    return ConfigFile(values, dialect, last.stem, last)


def embedded_config(values: dict[str, Any], checkpoint: Path, name: str) -> ConfigFile:
    """The configuration that a checkpoint holds; its stages are in its sections already.

    Raises
    ------
    InvalidInput
        If it is no configuration of PyTorch Connectomics.
    """
    dialect = _dialect(values)
    if dialect is None:
        sections = ", ".join(list(values)[:6])
        raise InvalidInput(
            f"The checkpoint {checkpoint.name} holds no configuration of PyTorch Connectomics, but {sections}.",
            "Give the configuration that it was trained with.",
        )
    return ConfigFile(values, dialect, name, checkpoint, is_embedded=True)


def merged(below: Any, above: Any) -> Any:
    """Nested mappings, of which `above` wins; lists and numbers are taken whole."""
    if not isinstance(below, dict) or not isinstance(above, dict):
        return above
    return {**below, **{key: merged(below[key], value) if key in below else value for key, value in above.items()}}


def _read(path: Path, above: tuple[Path, ...], read: list[Path]) -> dict[str, Any]:
    """A file over the files that it builds on; `read` lists those of before, one that is named again anew."""
    place = path.expanduser().resolve()
    if place in above:
        names = " -> ".join(one.name for one in (*above[above.index(place) :], place))
        raise InvalidInput(
            f"The configuration {above[0]} builds on itself: {names}.", "Take one of these out of its _base_."
        )
    read.append(place)
    if len(read) > _MOST_FILES:
        raise InvalidInput(
            f"The configuration {read[0]} builds on more than {_MOST_FILES} files.", "Name fewer of them in _base_."
        )
    values = _parse(place, above)
    bases = values.pop("_base_", None) or []
    if isinstance(bases, str):
        bases = [bases]
    if not isinstance(bases, list) or not all(isinstance(one, str) for one in bases):
        raise InvalidInput(f"The _base_ of {place} is a path or a list of paths, got {bases!r}.")
    below: dict[str, Any] = {}
    for base in bases:
        below = merged(below, _read(place.parent / base, (*above, place), read))
    found: dict[str, Any] = merged(below, values)
    return found


def _parse(path: Path, above: tuple[Path, ...]) -> dict[str, Any]:
    from omegaconf import DictConfig, OmegaConf
    from omegaconf.errors import OmegaConfBaseException
    from yaml import YAMLError

    try:
        if path.exists() and not path.is_file():
            raise InvalidInput(f"The configuration {path} is no file.", "Give a YAML file.")
        with path.open("rb") as file:
            data = file.read(_LARGEST_BYTES + 1)
        if len(data) > _LARGEST_BYTES:
            raise InvalidInput(f"{path} is too large for a configuration: more than {_LARGEST_BYTES} bytes.")
        text = data.decode("utf-8")
    except FileNotFoundError as error:
        if above:
            raise InvalidInput(
                f"{above[-1]} builds on {path}, and there is no such file.",
                "Name the configuration where it lies in its clone of PyTorch Connectomics, or copy that file, too.",
            ) from error
        raise InvalidInput(f"There is no configuration file {path}.", "Check the path.") from error
    except (OSError, UnicodeDecodeError) as error:
        raise InvalidInput(f"The configuration {path} cannot be read as text.", "Give a YAML file.") from error
    what = f"The configuration {path.name}"
    refuse_tags(text, what)
    _refuse_expanding(text, what)
    try:
        config = OmegaConf.create(text)
        values: Any = OmegaConf.to_container(config, resolve=False)
    except (OmegaConfBaseException, YAMLError, ValueError, TypeError, RecursionError) as error:
        problem = getattr(error, "problem", None) or str(error).splitlines()[0]
        mark = getattr(error, "problem_mark", None)
        where = "" if mark is None else f" in line {mark.line + 1}"
        raise InvalidInput(f"{what} is not valid YAML{where}: {problem}.", "Correct that line.") from error
    if not isinstance(config, DictConfig):
        raise InvalidInput(f"{what} must be a mapping of sections, got a list.")
    refuse_resolvers(values, what)
    return {str(key): value for key, value in values.items()}


def _refuse_expanding(text: str, what: str) -> None:
    """Refuse a short text whose aliases stand for a huge one."""
    from yaml import SafeLoader, YAMLError, compose

    try:
        root = compose(text, Loader=SafeLoader)
    except (YAMLError, RecursionError):
        return  # told where it is parsed
    for number, _ in enumerate(_nodes(root)):
        if number > _MOST_VALUES:
            raise InvalidInput(f"{what} has more than {_MOST_VALUES} values.", "Leave its aliases out.")


def _nodes(root: Any) -> Iterator[Any]:
    waiting = [root]
    while waiting:
        node = waiting.pop()
        yield node
        if isinstance(getattr(node, "value", None), list):
            for one in node.value:
                waiting.extend(one if isinstance(one, tuple) else (one,))


def _dialect(values: dict[str, Any]) -> Dialect | None:
    if _YACS & values.keys():
        return "yacs"
    if not _KNOWN & values.keys():
        return None
    model = values.get("model")
    is_flat = isinstance(model, dict) and ("architecture" in model or "loss_functions" in model)
    return "flat" if is_flat or (_FLAT & values.keys() and "default" not in values) else "stages"
