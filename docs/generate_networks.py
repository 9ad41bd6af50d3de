"""A hook of mkdocs: the table of architectures is made from the networks themselves whenever the site is built.

python docs/generate_networks.py     # prints the table
"""

from __future__ import annotations

import inspect
from collections.abc import Iterator
from typing import Any

from annotated_types import Le

from napari_pytc.errors import ModelError
from napari_pytc.jobs.execution import EventContext
from napari_pytc.plans.network_list import NetworksJob, all_networks
from napari_pytc.plans.networks import NetworkSettings

_MARK = "<!-- networks -->"
_SUPERVISION = "deep_supervision"


def on_page_markdown(markdown: str, **_: Any) -> str:
    """Show the architectures where a page asks for them."""
    return markdown.replace(_MARK, "\n".join(networks_table())) if _MARK in markdown else markdown


def networks_table() -> Iterator[str]:
    """All networks of the program as they are by default: what for, size, tiles, levels of supervision, cost."""
    ours = [one for one in all_networks() if type(one).__module__.startswith("napari_pytc.")]
    supervised = [one for one in map(fully_supervised, ours) if one is not None]
    found = NetworksJob(networks=(*ours, *supervised)).run(EventContext("docs", lambda event: None))["networks"]
    for entry in found:
        if entry["problem"]:
            raise ModelError(f"The network {entry['kind']} cannot be measured: {entry['problem']}")
    most = {entry["kind"]: entry["levels"] for entry in found[len(ours) :]}
    yield (
        "| network | take it for | million weights | predicts in | levels with a loss | GB a step "
        "| thousand multiplications a voxel |"
    )
    yield "|---|---|---|---|---|---|---|"
    for settings, entry in zip(ours, found, strict=False):
        cells = (
            f"`{settings.kind}`",
            settings.when.rstrip("."),
            f"{entry['parameters'] / 1e6:.3g}",
            tiles_text(settings),
            levels_text(entry["levels"], most.get(settings.kind)),
            f"{entry['step_memory_bytes'] / 1e9:.2g}",
            f"{entry['multiplications'] / 1e3:.3g}",
        )
        yield f"| {' | '.join(cells)} |"


def tiles_text(settings: NetworkSettings) -> str:
    """How a network predicts by default, and on which settings that depends."""
    now = "exact tiles" if settings.tiles() == "exact" else "windows"
    overridden = type(settings).tiles is not NetworkSettings.tiles
    reason = (inspect.getdoc(type(settings).tiles) or "").split("\n")[0].rstrip(".") if overridden else ""
    if not reason:
        return now
    if reason.startswith("Windows: "):
        return f"{now}: {reason.removeprefix('Windows: ')}"
    return f"{now} ({reason[0].lower()}{reason[1:]})"


def levels_text(n_levels: int, most: int | None) -> str:
    """How many levels get a loss, and how many can."""
    return str(n_levels) if most in (None, n_levels) else f"{n_levels}, up to {most}"


def fully_supervised(settings: NetworkSettings) -> NetworkSettings | None:
    """The network with a loss at every level that can have one; None where that is so anyway, or never."""
    field = type(settings).model_fields.get(_SUPERVISION)
    if field is None:
        return None
    most = next((rule.le for rule in field.metadata if isinstance(rule, Le)), True)
    return None if getattr(settings, _SUPERVISION) == most else settings.model_copy(update={_SUPERVISION: most})


if __name__ == "__main__":
    print("\n".join(networks_table()))
