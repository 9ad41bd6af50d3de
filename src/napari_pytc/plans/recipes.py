"""Recipes: YAML files that users can copy and change, read into a `TrainPlan`."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from importlib import resources
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pydantic import ValidationError

from napari_pytc.errors import InvalidInput
from napari_pytc.plans.interpolations import refuse_growth
from napari_pytc.plans.plan import TrainPlan
from napari_pytc.plans.recipe_checks import explain, explain_yaml, refuse_resolvers, refuse_tags

if TYPE_CHECKING:
    from omegaconf import DictConfig

_FOLDER = "recipes_yaml"


@cache
def recipes() -> dict[str, str]:
    """Names of the built-in recipes and the sentence each begins with."""
    found = {}
    for entry in resources.files("napari_pytc.plans").joinpath(_FOLDER).iterdir():
        if entry.name.endswith(".yaml"):
            first = entry.read_text(encoding="utf-8").splitlines()[0]
            found[entry.name.removesuffix(".yaml")] = first.lstrip("# ").strip()
    order = ("instant", "fast", "accurate", "mednext-s", "neurites", "organelles", "bcd", "pytc-affinity", "pytc-mito")
    return dict(sorted(found.items(), key=lambda item: (order.index(item[0]) if item[0] in order else 99, item[0])))


def recipe_text(name: str) -> str:
    """The YAML of a built-in recipe."""
    if name not in recipes():
        raise InvalidInput(
            f"No recipe is called {name!r}.",
            f"Built in are {', '.join(recipes())}; a file of your own is named with its path, ending in .yaml.",
        )
    return resources.files("napari_pytc.plans").joinpath(_FOLDER, f"{name}.yaml").read_text(encoding="utf-8")


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
    refuse_tags(text, f"Recipe {name!r}")
    try:
        written = OmegaConf.create(text)
        if not isinstance(written, DictConfig):
            raise InvalidInput(f"Recipe {name!r} must be a YAML mapping of settings, got a list.")
        changed = OmegaConf.from_dotlist(list(overrides))
        if "channels" in (changed.get("target") or {}) and "kind" not in changed.target:
            changed.target.kind = "channels"
        for name_of_kinds in ("target", "network", "optimiser", "schedule"):
            _leave_other_kind(written, changed, name_of_kinds)
        merged = OmegaConf.merge(written, changed)
        unresolved = OmegaConf.to_container(merged, resolve=False)
        refuse_resolvers(unresolved, f"Recipe {name!r}")
        refuse_growth(unresolved, f"Recipe {name!r}")
        values: Any = OmegaConf.to_container(merged, resolve=True)
    except (OmegaConfBaseException, YAMLError, ValueError, TypeError) as error:
        raise InvalidInput(*explain_yaml(error, f"Recipe {name!r}")) from error
    try:
        plan = TrainPlan.model_validate({"recipe": name, **values})
    except ValidationError as error:
        raise InvalidInput(*explain(error, f"recipe {name!r}", TrainPlan, values)) from error
    plan.check()
    return plan


def _leave_other_kind(written: DictConfig, changed: DictConfig, key: str) -> None:
    """Drop the settings of another kind of target, network and the like than the one that is asked for."""
    before, after = (_kind_of(settings.get(key)) for settings in (written, changed))
    if before is not None and after is not None and before != after:
        del written[key]


def _kind_of(settings: Any) -> Any:
    """The kind of a target or network, be it its name or a mapping with it; None where it names none."""
    return settings if isinstance(settings, str) else settings.get("kind") if hasattr(settings, "get") else None
