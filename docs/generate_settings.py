"""A hook of mkdocs: the page of settings and the recipes' text are made from the models whenever the site is built.

python docs/generate_settings.py     # prints the page
"""

from __future__ import annotations

import types
from collections.abc import Iterator
from typing import Any, Union, get_args, get_origin

from annotated_types import Ge, Gt, Le, Lt, MinLen
from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files
from pydantic.fields import FieldInfo

from napari_pytc.learning.config import PredictPlan, TrainPlan
from napari_pytc.learning.networks import NetworkSettings
from napari_pytc.learning.recipes import recipe_text, recipes
from napari_pytc.learning.targets import ClassesTarget, InstancesTarget
from napari_pytc.settings import Settings

_BOUNDS = {Ge: ("at least", "ge"), Gt: ("more than", "gt"), Le: ("at most", "le"), Lt: ("less than", "lt")}
_RECIPES_MARK = "<!-- recipes -->"
_INTRODUCTION = """\
# Settings

Every setting of training and prediction, made from the program's own models when this page was built. Change one on the
command line with `key=value` and dots between the levels, for example

```console
$ napari-pytc train cells.pytc --recipe fast steps=800 augmentation.blur=0.2 'network.channels=[16,32,64]'
```

or in a recipe file of your own ([which recipe](recipes.md)). An unknown name or a value out of bounds is an error that
names the setting; nothing is ignored in silence.
"""


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add the page of settings."""
    files.append(File.generated(config, "settings.md", content=settings_page()))
    return files


def on_page_markdown(markdown: str, **_: Any) -> str:
    """Show the recipes as they are where a page asks for them."""
    if _RECIPES_MARK not in markdown:
        return markdown
    return markdown.replace(_RECIPES_MARK, "\n".join(_recipe(name) for name in recipes()))


def settings_page() -> str:
    """The page of settings in Markdown."""
    sections = [_INTRODUCTION, "## Training\n", *_table(TrainPlan, "")]
    for target in (ClassesTarget, InstancesTarget):
        kind = target.model_fields["kind"].default
        sections += [f"\n## Target `{kind}`\n", f"{_first_paragraph(target)}\n", *_table(target, "target.")]
    for kind, network in sorted(NetworkSettings.kinds.items()):
        sections += [f"\n## Network `{kind}`\n", f"{_first_paragraph(network)}\n", *_table(network, "network.")]
    sections += ["\n## Prediction\n", *_table(PredictPlan, "")]
    return "\n".join(sections) + "\n"


def _recipe(name: str) -> str:
    return f"### `{name}`\n\n```yaml\n{recipe_text(name).rstrip()}\n```\n"


def _first_paragraph(model: type[Settings]) -> str:
    return " ".join((model.__doc__ or "").strip().split("\n\n")[0].split())


def _table(model: type[Settings], prefix: str) -> Iterator[str]:
    yield "| setting | what it does | values | default |"
    yield "|---|---|---|---|"
    yield from _rows(model, prefix)


def _rows(model: type[Settings], prefix: str) -> Iterator[str]:
    for name, field in model.model_fields.items():
        default = field.get_default(call_default_factory=True)
        key = f"`{prefix}{name}`"
        if isinstance(default, NetworkSettings):
            yield f"| {key} | {_text(field)} | see the networks below | `{default.kind}` |"
        elif isinstance(default, ClassesTarget):
            yield f"| {key} | {_text(field)} | see the targets below | `{default.kind}` |"
        elif isinstance(default, dict):
            yield f"| {key} | {_text(field)} | a decoder's `kind` and settings | none |"
        elif isinstance(default, Settings):
            yield from _rows(type(default), f"{prefix}{name}.")
        else:
            yield f"| {key} | {_text(field)} | {_values(field)} | {_default(default, field)} |"


def _text(field: FieldInfo) -> str:
    if not field.title:
        return "This one."
    return f"**{field.title}.** {field.description}".replace("|", "\\|")


def _default(value: Any, field: FieldInfo) -> str:
    if value is None:
        return "chosen for you" if "by default" in (field.description or "") else "none"
    if isinstance(value, tuple):
        return f"`[{', '.join(map(str, value))}]`"
    return f"`{str(value).lower() if isinstance(value, bool) else value}`"


def _values(field: FieldInfo) -> str:
    bounds = [
        f"{words} {getattr(rule, attribute)}"
        for rule in field.metadata
        for kind, (words, attribute) in _BOUNDS.items()
        if isinstance(rule, kind)
    ]
    bounds += [f"{rule.min_length} or more" for rule in field.metadata if isinstance(rule, MinLen)]
    extra = field.json_schema_extra
    unit = str(extra["unit"]) if isinstance(extra, dict) and "unit" in extra else ""
    return ", ".join(part for part in (_kind(field.annotation), unit, *bounds) if part)


def _kind(annotation: Any) -> str:
    origin, inner = get_origin(annotation), get_args(annotation)
    if origin in (Union, types.UnionType):
        return " or ".join(_kind(one) for one in inner if one is not type(None))
    if origin is tuple:
        count = "" if Ellipsis in inner else f"{len(inner)} "
        return f"list of {count}{_kind(inner[0]).replace('list of', 'lists of').removesuffix('s')}s"
    if annotation in (int, float, str, bool):
        return {int: "whole number", float: "number", str: "text", bool: "true or false"}[annotation]
    return " or ".join(f"`{value}`" for value in inner)


if __name__ == "__main__":
    print(settings_page())
