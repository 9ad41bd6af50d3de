"""A hook of mkdocs: the page of settings and the recipes' text are made from the models whenever the site is built.

python docs/generate_settings.py     # prints the page
"""

from __future__ import annotations

import types
from collections.abc import Iterator
from typing import Annotated, Any, Union, get_args, get_origin

from annotated_types import Ge, Gt, Le, Lt, MinLen
from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files
from pydantic.fields import FieldInfo

from napari_pytc.decoding import DecoderSettings
from napari_pytc.plans.losses import LossSettings, LossTerm
from napari_pytc.plans.networks import NetworkSettings
from napari_pytc.plans.optimisation import OptimiserSettings, ScheduleSettings
from napari_pytc.plans.plan import PredictPlan, TrainPlan
from napari_pytc.plans.recipes import recipe_text, recipes
from napari_pytc.plans.targets import ChannelsTarget, ClassesTarget, InstancesTarget
from napari_pytc.plans.targets.channel_kinds import CHANNEL_KINDS, Channel
from napari_pytc.plans.targets.tables import channel_table
from napari_pytc.settings import Settings, TaggedSettings

_BOUNDS = {Ge: ("at least", "ge"), Gt: ("more than", "gt"), Le: ("at most", "le"), Lt: ("less than", "lt")}
_RECIPES_MARK, _CHANNELS_MARK = "<!-- recipes -->", "<!-- channels -->"
_LOSSES_MARK = "<!-- losses -->"
_FAMILIES: dict[str, type[TaggedSettings]] = {
    "<!-- optimisers -->": OptimiserSettings,
    "<!-- schedules -->": ScheduleSettings,
}
_ACTIVATIONS = {
    "softmax": "classes",
    "sigmoid": "probabilities",
    "tanh": "distances",
    "none": "any numbers",
}
_INTRODUCTION = """\
# Settings

Every setting of training, prediction and decoding, made from the program's own models when this page was built. Change
one on the command line with `key=value` and dots between the levels, for example

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
    """Show recipes, roles of channels, losses and the like where a page asks for them."""
    if _CHANNELS_MARK in markdown:
        markdown = markdown.replace(_CHANNELS_MARK, channel_table())
    if _RECIPES_MARK in markdown:
        markdown = markdown.replace(_RECIPES_MARK, "\n".join(_recipe(name) for name in recipes()))
    if _LOSSES_MARK in markdown:
        markdown = markdown.replace(_LOSSES_MARK, "\n".join(losses_table()))
    for mark, family in _FAMILIES.items():
        if mark in markdown:
            markdown = markdown.replace(mark, "\n".join(_kinds_table(family)))
    return markdown


def losses_table() -> Iterator[str]:
    """All losses: what they are, which channels they fit, when to take them and what they cost."""
    yield "| loss | what it is | for | when | cost, in cross entropies |"
    yield "|---|---|---|---|---|"
    for kind, loss in sorted(LossSettings.variants().items()):
        fits = ", ".join(_ACTIVATIONS[activation] for activation in loss.suits)
        yield f"| `{kind}` | {_first_paragraph(loss)} | {fits} | {loss.when} | {loss.cost} |"


def _kinds_table(family: type[TaggedSettings]) -> Iterator[str]:
    shared = set(family.model_fields)
    yield f"| {family.noun} | what it is | its own settings |"
    yield "|---|---|---|"
    for kind, one in sorted(family.variants().items()):
        own = ", ".join(f"`{name}`" for name in one.model_fields if name not in shared) or "none"
        yield f"| `{kind}` | {_first_paragraph(one)} | {own} |"


def settings_page() -> str:
    """The page of settings in Markdown."""
    sections = [_INTRODUCTION, "## Training\n", *_table(TrainPlan, "")]
    for target in (ClassesTarget, InstancesTarget, ChannelsTarget):
        kind = target.model_fields["kind"].default
        sections += [f"\n## Target `{kind}`\n", f"{_first_paragraph(target)}\n", *_table(target, "target.")]
    for channel in CHANNEL_KINDS:
        role = channel.model_fields["role"].default
        sections += [f"\n### Channel `{role}`\n", f"{_first_paragraph(channel)}\n", *_table(channel, "")]
    for kind, network in sorted(NetworkSettings.kinds.items()):
        sections += [f"\n## Network `{kind}`\n", f"{_first_paragraph(network)}\n", *_table(network, "network.")]
    sections += ["\n## A term of `losses`\n", *_table(LossTerm, "losses[].")]
    families = ((LossSettings, "losses[].loss."), (OptimiserSettings, "optimiser."), (ScheduleSettings, "schedule."))
    for family, prefix in families:
        for kind, one in sorted(family.variants().items()):
            title = family.noun.capitalize()
            sections += [f"\n## {title} `{kind}`\n", f"{_first_paragraph(one)}\n", *_table(one, prefix)]
    sections += ["\n## Prediction\n", *_table(PredictPlan, "")]
    for kind, decoder in sorted(DecoderSettings.variants().items()):
        sections += [f"\n## Decoder `{kind}`\n", f"{_first_paragraph(decoder)}\n", *_table(decoder, "")]
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
        elif isinstance(default, TaggedSettings):
            yield f"| {key} | {_text(field)} | see the {default.noun}s below | `{default.kind}` |"
        elif name == "losses":
            yield f"| {key} | {_text(field)} | list of terms, see below | none |"
        elif field.is_required():
            yield f"| {key} | {_text(field)} | a kind, or a kind and its settings | |"
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
    if field.is_required():
        return "none, to be given"
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
    if origin is Annotated:
        return _kind(inner[0])
    if isinstance(annotation, type) and issubclass(annotation, Channel):
        return "channel"
    if isinstance(annotation, type) and issubclass(annotation, LossSettings):
        return "name of a loss, or its `kind` and settings"
    if origin in (Union, types.UnionType):
        return " or ".join(dict.fromkeys(_kind(one) for one in inner if one is not type(None)))
    if origin is tuple:
        count = "" if Ellipsis in inner else f"{len(inner)} "
        return f"list of {count}{_kind(inner[0]).replace('list of', 'lists of').removesuffix('s')}s"
    if annotation in (int, float, str, bool):
        return {int: "whole number", float: "number", str: "text", bool: "true or false"}[annotation]
    return " or ".join(f"`{value}`" for value in inner)


if __name__ == "__main__":
    print(settings_page())
