"""Commands that bring configurations and checkpoints of PyTorch Connectomics along."""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.console import Group

from napari_pytc.cli.options import AsJson, output_of, read_voxel_size
from napari_pytc.cli.output import Reply, table
from napari_pytc.errors import InvalidInput

if TYPE_CHECKING:
    from napari_pytc.pytc.keys import ImportedKey

Size = Annotated[
    str | None,
    typer.Option(
        "--voxel-size", metavar="Z,Y,X", help="Voxel size in nm that it learnt; by default what the configuration says."
    ),
]


def register(app: typer.Typer) -> None:
    """Add the commands of this file."""
    app.command("import-recipe", rich_help_panel="Learning")(import_recipe)
    app.command("import-model", rich_help_panel="Learning")(import_model)


def import_recipe(
    context: typer.Context,
    configs: Annotated[
        list[Path],
        typer.Argument(
            metavar="CONFIG.yaml...", help="A configuration of PyTorch Connectomics; of several the later ones win."
        ),
    ],
    out: Annotated[
        Path | None,
        typer.Option(metavar="FILE.yaml", help="The recipe to write; by default CONFIG-recipe.yaml in this folder."),
    ] = None,
    voxel_size: Size = None,
    as_json: AsJson = False,
) -> Reply:
    """Make a recipe of a configuration of PyTorch Connectomics, and say what became of each of its keys."""
    from napari_pytc.plans.recipes import load_recipe, recipe_yaml
    from napari_pytc.pytc.translate import import_config

    found = import_config(configs, read_voxel_size(voxel_size))
    target = out or Path(f"{found.name}-recipe.yaml")
    if target.suffix not in (".yaml", ".yml"):
        raise InvalidInput(f"A recipe is a .yaml file, got {target}.", f"For example: --out {target.stem}.yaml.")
    _write_new(target, recipe_yaml(found.plan, found.about))
    load_recipe(target)
    commands = found.commands(target)
    document = {
        "recipe": str(target),
        "name": found.name,
        "dialect": found.dialect,
        "keys": [row.model_dump() for row in found.keys],
        "settings": found.plan.model_dump(mode="json"),
        "predict": found.predict.model_dump(mode="json"),
        "commands": commands,
        "notes": list(found.notes),
    }
    text = [
        _table(found.keys),
        *found.notes,
        f"Wrote {target}. With your data, for example:",
        *(f"  {one}" for one in commands),
    ]
    return Reply(document, Group(*text))


def import_model(
    context: typer.Context,
    checkpoint: Annotated[
        Path, typer.Argument(metavar="FILE.ckpt|.pth.tar", help="A checkpoint of PyTorch Connectomics.")
    ],
    config: Annotated[
        list[Path] | None,
        typer.Option(
            "--config",
            metavar="CONFIG.yaml",
            help="The configuration that it was trained with; may be given again. By default the one that the "
            "checkpoint holds, as those of October 2025 to May 2026 do.",
        ),
    ] = None,
    voxel_size: Size = None,
    out: Annotated[
        Path | None,
        typer.Option(metavar="FOLDER", help="Folder of the model; by default the checkpoint's name, in this folder."),
    ] = None,
    as_json: AsJson = False,
) -> Reply:
    """Make a model of a checkpoint of PyTorch Connectomics; nothing that is in it is run."""
    from napari_pytc.cli.running import run_alone
    from napari_pytc.files import plain_path
    from napari_pytc.plans.plan import PredictPlan
    from napari_pytc.plans.prediction_defaults import plan_with_defaults
    from napari_pytc.pytc.translate import import_config, import_embedded, model_name

    size = read_voxel_size(voxel_size)
    found = import_config(config, size) if config else import_embedded(checkpoint, size)
    folder = plain_path(out or Path(model_name(checkpoint)))
    job = found.job(plain_path(checkpoint), folder)
    result = run_alone(output_of(context), job, "import", "Nothing was written.")
    command = f"napari-pytc predict PROJECT --model {shlex.quote(str(folder))}"
    segment = f"napari-pytc {shlex.join(found.segment_command('PROJECT'))}"
    document = {
        **result,
        "notes": [*found.notes, *result["notes"]],
        "dialect": found.dialect,
        "keys": [row.model_dump() for row in found.keys],
        "predict": found.predict.model_dump(mode="json"),
        "brought_along": None if found.prediction is None else found.prediction.model_dump(mode="json"),
        "command": command,
        "segment": segment,
    }
    weights = f"the {result['weights']} of its weights" if result["weights"] != "last" else "its last weights"
    text = [
        _table(found.keys),
        *document["notes"],
        f"Imported {weights}, {result['parameters'] / 1e6:.2f} million, predicting in {result['tiling']}.",
        f"Folder: {folder}",
        f"Predict as it did there: {command}",
        *plan_with_defaults(PredictPlan(), found.prediction)[1],
        f"Decode as it did there: {segment}",
    ]
    return Reply(document, Group(*text))


def _table(rows: Sequence[ImportedKey]) -> Any:
    shown = [
        (row.key, row.value, row.outcome, f"{row.became}{': ' if row.became and row.why else ''}{row.why}")
        for row in rows
    ]
    return table("", ("key", "value", "", "here"), shown)


def _write_new(target: Path, text: str) -> None:
    from napari_pytc.files import write_text_durably

    if target.exists():
        raise InvalidInput(f"{target} is there already.", "Name another file with --out.")
    try:
        write_text_durably(target.absolute(), text)
    except OSError as error:
        raise InvalidInput(
            f"The recipe could not be written to {target}: {error.strerror or error}.", "Choose another folder."
        ) from error
