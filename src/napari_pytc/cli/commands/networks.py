"""The command that lists networks: what they are, what they cost, how they predict."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.console import Group

from napari_pytc.cli.options import AsJson, Settings, output_of, read_settings, read_triple
from napari_pytc.cli.output import Reply, shape_text, table
from napari_pytc.errors import InvalidInput

if TYPE_CHECKING:
    from napari_pytc.plans.networks import NetworkSettings


def register(app: typer.Typer) -> None:
    """Add the command of this file."""
    app.command("networks", rich_help_panel="Learning")(networks)


def networks(
    context: typer.Context,
    kind: Annotated[str | None, typer.Argument(metavar="[KIND]", help="Network to show alone, with settings.")] = None,
    settings: Settings = None,
    voxel_size: Annotated[
        str, typer.Option("--voxel-size", metavar="Z,Y,X", help="Voxel size in nm, which patches and strides follow.")
    ] = "10,10,10",
    inputs: Annotated[int, typer.Option("--inputs", metavar="N", min=1, help="Channels of the image.")] = 1,
    classes: Annotated[int, typer.Option("--classes", metavar="N", min=1, help="Classes to tell apart.")] = 2,
    batch_size: Annotated[int, typer.Option("--batch-size", metavar="N", min=1, help="Patches a step.")] = 2,
    patch: Annotated[
        str | None,
        typer.Option("--patch", metavar="Z,Y,X", help="Patch in voxels; by default what suits."),
    ] = None,
    as_json: AsJson = False,
) -> Reply:
    """List the networks that a training can use, with their weights and the memory of a training step."""
    from napari_pytc.cli.running import run_alone
    from napari_pytc.geometry import VoxelSpace
    from napari_pytc.plans.network_list import NetworksJob

    job = NetworksJob(
        networks=_chosen(kind, settings or ()),
        voxel_size_nm=VoxelSpace.parse(voxel_size).voxel_size_nm,
        n_inputs=inputs,
        n_classes=classes,
        batch_size=batch_size,
        patch_shape=None if patch is None else read_triple(patch, "A patch"),
    )
    found = run_alone(output_of(context), job, "networks", "Nothing was written.")
    return Reply(found, Group(_table(found["networks"]), *_details(found["networks"], kind), found["basis"]))


def _chosen(kind: str | None, words: Sequence[str]) -> tuple[NetworkSettings, ...]:
    """The network that is named, with its settings; none for all."""
    from pydantic import ValidationError

    from napari_pytc.plans.networks import NetworkSettings
    from napari_pytc.plans.recipe_checks import explain

    if kind is None:
        if words:
            raise InvalidInput("Settings are of one network: name it.", "For example: networks mednext size=B.")
        return ()
    if "=" in kind:
        raise InvalidInput(f"A network is named before its settings, got {kind!r}.", "For example: mednext size=B.")
    try:
        return (NetworkSettings.parse({"kind": kind, **read_settings(words)}),)
    except ValidationError as error:
        raise InvalidInput(*explain(error, f"network {kind!r}")) from error


def _table(entries: Sequence[dict[str, Any]]) -> Any:
    rows = [
        (
            entry["kind"],
            _known(entry["parameters"], 1e6, "unknown"),
            entry["tiles"],
            shape_text(entry["patch_shape"]),
            _known(entry["step_memory_bytes"], 1e9, entry["problem"]),
            entry["description"],
        )
        for entry in entries
    ]
    columns = ("network", "million weights", "predicts in", "patch", "GB a step", "what it is")
    return table("", columns, rows)


def _known(number: int, unit: float, otherwise: str) -> str:
    """A number in a unit, or what is said where there is none."""
    return f"{number / unit:.2f}" if number else otherwise


def _details(entries: Sequence[dict[str, Any]], kind: str | None) -> list[str]:
    """Settings of a network that is shown alone, what it is for, and its problem if there is one."""
    from napari_pytc.plans.networks import NetworkSettings

    if kind is None:
        return []
    fields = NetworkSettings.variants()[kind].model_fields
    settings = [f"{name}={value}  {fields[name].description}" for name, value in entries[0]["settings"].items()]
    return [*settings, *filter(None, (entries[0]["when"], entries[0]["problem"]))]
