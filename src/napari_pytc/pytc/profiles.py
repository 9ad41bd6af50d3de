"""Profiles of PyTorch Connectomics: named parts of a configuration, filled in under what is written beside their name.

::

    model: {loss: {profile: loss_binary}}      model: {loss: {losses: [...]}}
    loss_profiles: {loss_binary: {losses: [...]}}
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, NamedTuple

from napari_pytc.errors import InvalidInput
from napari_pytc.pytc.config_file import merged

STAGES = ("default", "shared", "train", "test", "tune")


class _Family(NamedTuple):
    """Where profiles of a kind are defined, chosen and filled in.

    Parameters
    ----------
    items : str
        The list in it, whose entries ``overrides`` may change by number.
    matters : bool
        Whether a name that is not defined is an error; else it is left out.
    """

    registry: str
    chosen_by: str
    target: str
    items: str = ""
    matters: bool = True


# As PyTorch Connectomics has them: a pipeline fills in names of the others, so it comes first.
_FAMILIES = (
    _Family("pipeline_profiles", "pipeline_profile", ""),
    _Family("system_profiles", "system.profile", "system", matters=False),
    _Family("arch_profiles", "model.arch.profile", "model"),
    _Family("augmentation_profiles", "data.augmentation.profile", "data.augmentation"),
    _Family("dataloader_profiles", "data.dataloader.profile", "data.dataloader", matters=False),
    _Family("optimizer_profiles", "optimization.profile", "optimization"),
    _Family("loss_profiles", "model.loss.profile", "model.loss", "losses"),
    _Family("label_profiles", "data.label_transform.profile", "data.label_transform"),
    _Family("activation_profiles", "inference.model.activation_profile", "inference.model"),
)
_TEMPLATES = "decoding_templates"


def with_profiles(values: dict[str, Any]) -> tuple[dict[str, Any], dict[str, str]]:
    """A configuration with its profiles filled in, and without their definitions; and the names of those, by key.

    Raises
    ------
    InvalidInput
        If a name is not defined; the defined ones are listed.
    """
    registries = {name: values[name] for name in values if name.endswith("_profiles") or name == _TEMPLATES}
    found = {name: value for name, value in values.items() if name not in registries}
    chosen: dict[str, str] = {}
    for family in _FAMILIES:
        for stage in ("", *STAGES):
            if not stage or isinstance(found.get(stage), dict):
                found = _filled_in(found, stage, family, registries, chosen)
    for stage in ("", *STAGES):
        path = [*([stage] if stage else []), "decoding", "steps"]
        steps = _get(found, path)
        if isinstance(steps, list):
            found = _with(found, path, list(_expanded(steps, registries.get(_TEMPLATES) or {}, ".".join(path))))
    return found, chosen


def _filled_in(
    values: dict[str, Any],
    stage: str,
    family: _Family,
    registries: dict[str, dict[str, Any]],
    chosen: dict[str, str],
) -> dict[str, Any]:
    before = [stage] if stage else []
    path = [*before, *family.chosen_by.split(".")]
    name = _get(values, path)
    if not isinstance(name, str) or not name:
        return values
    known = registries.get(family.registry) or {}
    profile = known.get(name)
    if not isinstance(profile, dict):
        if not family.matters:
            return values
        listed = ", ".join(sorted(map(str, known)))
        raise InvalidInput(
            f"The configuration chooses {'.'.join(path)}={name}, which {family.registry} does not define.",
            f"It defines {listed}." if listed else "Its _base_ should name the file that defines profiles.",
        )
    chosen[".".join(path)] = name
    target = [*before, *(family.target.split(".") if family.target else [])]
    filled = merged(profile, _get(values, target) or {})
    changes = filled.pop("overrides", None) if family.items else None
    if isinstance(changes, dict) and isinstance(filled.get(family.items), list):
        filled = {**filled, family.items: _changed(filled[family.items], changes, ".".join(target))}
    return _with(_without(values, path), target, _without(filled, path[len(target) :]))


def _changed(items: list[Any], changes: dict[Any, Any], where: str) -> list[Any]:
    found = list(items)
    for number, change in changes.items():
        if not str(number).isdecimal() or int(number) >= len(found):
            raise InvalidInput(f"{where}.overrides changes entry {number}, but the profile has {len(found)}, from 0.")
        found[int(number)] = merged(found[int(number)], change)
    return found


def _expanded(steps: list[Any], templates: dict[str, Any], where: str) -> Iterator[Any]:
    """Steps of a decoding with those that a template stands for."""
    for step in steps:
        if not isinstance(step, dict) or "template" not in step:
            yield step
            continue
        template = templates.get(step["template"])
        own = template.get("steps") if isinstance(template, dict) else template
        if not isinstance(own, list) or not own:
            listed = ", ".join(sorted(map(str, templates))) or "none"
            raise InvalidInput(
                f"{where} asks for the template {step['template']!r}, which is not defined.", f"There are {listed}."
            )
        changes = {key: value for key, value in step.items() if key != "template"}
        yield merged(own[0], changes)
        yield from own[1:]


def _get(values: Any, path: list[str]) -> Any:
    for part in path:
        values = values.get(part) if isinstance(values, dict) else None
    return values


def _with(values: dict[str, Any], path: list[str], value: Any) -> dict[str, Any]:
    if not path:
        return dict(value)
    below = values.get(path[0])
    inner = value if len(path) == 1 else _with(below if isinstance(below, dict) else {}, path[1:], value)
    return {**values, path[0]: inner}


def _without(values: dict[str, Any], path: list[str]) -> dict[str, Any]:
    if path[0] not in values:
        return values
    if len(path) == 1:
        return {name: value for name, value in values.items() if name != path[0]}
    below = values[path[0]]
    return {**values, path[0]: _without(below, path[1:])} if isinstance(below, dict) else values
