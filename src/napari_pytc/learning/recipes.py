"""Recipes: YAML files that users can copy and change, read into a `TrainPlan`."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from importlib import resources
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from napari_pytc.errors import InvalidInput
from napari_pytc.learning.config import TrainPlan

_FOLDER = "recipes_yaml"


@cache
def recipes() -> dict[str, str]:
    """Names of the built-in recipes and the sentence each begins with."""
    found = {}
    for entry in resources.files("napari_pytc.learning").joinpath(_FOLDER).iterdir():
        if entry.name.endswith(".yaml"):
            first = entry.read_text(encoding="utf-8").splitlines()[0]
            found[entry.name.removesuffix(".yaml")] = first.lstrip("# ").strip()
    order = ("instant", "fast", "accurate", "neurites", "organelles")
    return dict(sorted(found.items(), key=lambda item: (order.index(item[0]) if item[0] in order else 99, item[0])))


def recipe_text(name: str) -> str:
    """The YAML of a built-in recipe."""
    if name not in recipes():
        raise InvalidInput(
            f"No recipe is called {name!r}.",
            f"Built in are {', '.join(recipes())}; a file of your own is named with its path, ending in .yaml.",
        )
    return resources.files("napari_pytc.learning").joinpath(_FOLDER, f"{name}.yaml").read_text(encoding="utf-8")


def load_recipe(name_or_path: str | Path, overrides: Sequence[str] = ()) -> TrainPlan:
    """Read a recipe and apply ``key=value`` overrides with dotted keys.

    Parameters
    ----------
    name_or_path : str or Path
        A built-in recipe's name, or a YAML file.
    overrides : sequence of str
        For example ``steps=200`` or ``network.channels=[8,16]``.
    """
    path = Path(name_or_path)
    if path.suffix in (".yaml", ".yml"):
        if not path.is_file():
            raise InvalidInput(
                f"There is no recipe file {path}.", "Start from a copy: napari-pytc recipes fast --copy."
            )
        text, name = path.read_text(encoding="utf-8"), path.stem
    else:
        text, name = recipe_text(str(name_or_path)), str(name_or_path)
    return plan_from_yaml(text, name, overrides)


def recipe_yaml(plan: TrainPlan, about: str) -> str:
    """A plan as the text of a recipe file that `load_recipe` reads.

    Parameters
    ----------
    about : str
        The sentence it begins with.
    """
    from omegaconf import OmegaConf

    return f"# {' '.join(about.split())}\n{OmegaConf.to_yaml(plan.model_dump(mode='json', exclude={'recipe'}))}"


def plan_from_yaml(text: str, name: str, overrides: Sequence[str] = ()) -> TrainPlan:
    """A plan from YAML text; a wrong setting is named in one sentence."""
    from omegaconf import DictConfig, OmegaConf
    from omegaconf.errors import OmegaConfBaseException
    from yaml import YAMLError

    for item in overrides:
        if "=" not in item or item.startswith("="):
            raise InvalidInput(f"A setting is changed with key=value, got {item!r}.", "For example: steps=200.")
    try:
        written = OmegaConf.create(text)
        if not isinstance(written, DictConfig):
            raise InvalidInput(f"Recipe {name!r} must be a YAML mapping of settings, got a list.")
        merged = OmegaConf.merge(written, OmegaConf.from_dotlist(list(overrides)))
        values: Any = OmegaConf.to_container(merged, resolve=True)
    except (OmegaConfBaseException, YAMLError, ValueError, TypeError) as error:
        raise InvalidInput(f"Recipe {name!r} is not valid YAML: {str(error).splitlines()[0]}.") from error
    try:
        plan = TrainPlan.model_validate({"recipe": name, **values})
    except ValidationError as error:
        raise InvalidInput(*explain(error, f"recipe {name!r}")) from error
    plan.check()
    return plan


def explain(error: ValidationError, where: str) -> tuple[str, str]:
    """A pydantic error as one sentence and a hint."""
    first: Any = error.errors(include_url=False)[0]
    key = ".".join(str(part) for part in first["loc"]) or "the settings"
    if first["type"] == "extra_forbidden":
        return f"In {where} there is no setting {key!r}.", "See `napari-pytc recipes NAME` for the names that exist."
    got = repr(first.get("input"))
    return f"In {where}, {key!r}: {first['msg'][0].lower()}{first['msg'][1:]}, got {got[:80]}.", ""
