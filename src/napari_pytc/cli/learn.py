"""Commands that train and run models: train, predict, recipes."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import closing
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from napari_pytc.cli.options import (
    AsJson,
    BoxText,
    ProjectFolder,
    Settings,
    VoxelSize,
    output_of,
    read_box,
    read_settings,
    read_triple,
    read_voxel_size,
)
from napari_pytc.cli.output import Answer, Output, table
from napari_pytc.errors import InvalidInput

if TYPE_CHECKING:
    from napari_pytc.learning.config import PredictPlan, TrainPlan
    from napari_pytc.learning.model_folder import ModelInfo
    from napari_pytc.proofreading.corrections import CorrectionsInfo
    from napari_pytc.session.session import Session

FOREVER = 1_000_000
"""Steps of a training that only its minutes end."""


def register(app: typer.Typer) -> None:
    """Add the commands of this file."""
    app.command("train", rich_help_panel="Learning")(train)
    app.command("predict", rich_help_panel="Learning")(predict)
    app.command("recipes", rich_help_panel="Learning")(recipes)


def train(
    context: typer.Context,
    project: ProjectFolder,
    settings: Settings = None,
    recipe: Annotated[
        str | None,
        typer.Option(
            metavar="NAME|FILE.yaml",
            help="A recipe of `napari-pytc recipes`, or a file of your own; fast unless --from says which.",
        ),
    ] = None,
    parent: Annotated[
        str | None,
        typer.Option(
            "--from", metavar="MODEL", help="Model to go on from, an id or a folder; with its settings unless told."
        ),
    ] = None,
    steps: Annotated[int | None, typer.Option(metavar="N", help="Train for so many steps.")] = None,
    minutes: Annotated[float | None, typer.Option(metavar="M", help="Train for so long.")] = None,
    corrections: Annotated[
        bool,
        typer.Option(
            "--corrections",
            help="Learn from edits of segments too, going on from --from or the active model; at most five minutes.",
        ),
    ] = False,
    fresh: Annotated[
        bool, typer.Option("--fresh", help="Start over instead of resuming a training that was interrupted.")
    ] = False,
    as_json: AsJson = False,
) -> Answer:
    """Train a model on what is annotated, outside of the held-out boxes."""
    from napari_pytc.cli.running import run_in_session
    from napari_pytc.cli.sessions import open_session, score_rows, standing_lines

    output = output_of(context)
    with closing(open_session(project)) as session:
        if corrections:
            with output.counting("collect corrections") as report:
                learnt = session.collect_corrections(report)
            parent = str(session.resolve_model(parent))
        plan = training_plan(_settings_of(session, recipe, parent, corrections), settings or (), steps, minutes)
        job = session.train_job(plan, parent=parent, resume=not fresh, corrections=corrections)
        if corrections:
            output.say(f"Learning from {corrections_text(learnt)}.")
        kept = f"Strokes and finished models are safe; `{_again(project, 'train')}` with the same options goes on."
        result = run_in_session(
            output,
            session,
            job,
            f"train {plan.recipe}",
            kept,
            limit_s=None if plan.minutes is None else 60 * plan.minutes,
        )
        standing, in_use = standing_lines(session, result["model"]), session.resolve_model().name
    document = {"project": str(project), "recipe": plan.recipe, **result, "in_use": in_use}
    if corrections:
        document["corrections"] = asdict(learnt)
    lines = [
        f"Model {result['model']} is trained: {result['steps']} steps in {result['seconds']:.1f} s "
        f"(ended by {result['stopped']}).",
        f"Folder: {result['folder']}",
        *standing,
    ]
    output.say(*lines)
    rows = score_rows(result["scores"])
    if rows:
        return Answer(document, table("On held-out voxels", ("class", "Dice", "IoU"), rows))
    return Answer(document, "No score: nothing annotated is held out (napari-pytc hold-out).")


def predict(
    context: typer.Context,
    words: Annotated[
        list[str] | None,
        typer.Argument(metavar="PROJECT KEY=VALUE", help="A project, unless --image and --output are given."),
    ] = None,
    model: Annotated[
        str | None, typer.Option(metavar="MODEL", help="Id of a model of the project, or a model's folder.")
    ] = None,
    image: Annotated[
        str | None, typer.Option(metavar="PATH[:DATASET]", help="Volume to predict, without a project.")
    ] = None,
    output: Annotated[Path | None, typer.Option(metavar="OUT.zarr", help="Zarr to write, without a project.")] = None,
    voxel_size: VoxelSize = None,
    box: BoxText = None,
    focus: Annotated[str | None, typer.Option(metavar="Z,Y,X", help="Predict what is nearest to here first.")] = None,
    tta: Annotated[bool, typer.Option("--tta", help="Average over flips: slower, a little better.")] = False,
    as_json: AsJson = False,
) -> Answer:
    """Run a model over the project's image, or over any volume, tile by tile; a later run resumes a stopped one."""
    project, settings = _project_and_settings(words or ())
    plan = prediction_plan(settings, tta)
    region, near = read_box(box), None if focus is None else read_triple(focus, "A focus")
    shown = output_of(context)
    if project is not None:
        if image is not None or output is not None:
            raise InvalidInput(
                "Predict takes either a project or --image with --output, got both.",
                "Leave the project out to predict another volume.",
            )
        result = _predict_project(shown, project, plan, model, region, near)
    else:
        if model is None or image is None or output is None:
            raise InvalidInput(
                "Predict needs a project, or else --model, --image and --output.",
                "For example: napari-pytc predict PROJECT, or "
                "napari-pytc predict --model models/ID --image raw.h5 --output out.zarr.",
            )
        result = _predict_volume(shown, plan, model, image, output, read_voxel_size(voxel_size), region, near)
    before = f" ({result['tiles_done_before']} were finished before)" if result.get("tiles_done_before") else ""
    text = (
        f"Predicted {result['tiles']} tiles{before} in {result['seconds']:.1f} s, "
        f"{result['mvoxel_per_s']:.2f} Mvoxel/s: {result['output']}"
    )
    return Answer(result, text)


def recipes(
    context: typer.Context,
    name: Annotated[str | None, typer.Argument(metavar="[NAME]", help="Recipe whose YAML to print.")] = None,
    copy: Annotated[
        Path | None, typer.Option(metavar="FILE.yaml", help="Write the YAML to a file, to change it there.")
    ] = None,
    as_json: AsJson = False,
) -> Answer:
    """List the recipes, or print one to copy and change."""
    from napari_pytc.learning.recipes import load_recipe, recipe_text
    from napari_pytc.learning.recipes import recipes as built_in

    if name is None:
        if copy is not None:
            raise InvalidInput("To copy a recipe, name it.", f"For example: napari-pytc recipes fast --copy {copy}.")
        found = built_in()
        text: Any = table("", ("recipe", "what it is"), list(found.items()))
        return Answer({"recipes": [{"name": key, "description": value} for key, value in found.items()]}, text)
    yaml = recipe_text(name)
    document = {"name": name, "yaml": yaml, "settings": load_recipe(name).model_dump(mode="json")}
    if copy is None:
        return Answer(document, yaml.rstrip())
    _copy_recipe(yaml, copy)
    text = f"Wrote {copy}. Change it, then: napari-pytc train PROJECT --recipe {copy}"
    return Answer({**document, "copy": str(copy)}, text)


def corrections_text(found: CorrectionsInfo) -> str:
    """How many edits of each kind, and of how many voxels they speak."""
    kinds = {
        "merge": found.n_merges,
        "split": found.n_splits,
        "locked segment": found.n_locked,
        "painted place": found.n_painted,
        "deleted segment": found.n_deleted,
    }
    told = ", ".join(f"{n} {kind}{'' if n == 1 else 's'}" for kind, n in kinds.items() if n)
    return f"{told or 'no edit'} ({found.n_voxels} voxels)"


def _settings_of(session: Session, recipe: str | None, parent: str | None, corrections: bool) -> str | ModelInfo | None:
    """A recipe, or the model to go on from where no recipe is named."""
    from napari_pytc.learning.model_folder import read_model_info

    if parent is None or recipe is not None:
        return recipe
    found = read_model_info(session.resolve_model(parent))
    return found.model_copy(update={"plan": session.correction_plan(parent)}) if corrections else found


def training_plan(
    recipe: str | ModelInfo | None, settings: Sequence[str], steps: int | None, minutes: float | None
) -> TrainPlan:
    """The recipe, or a model's, with the settings of the command line; --steps and --minutes lift each other."""
    from napari_pytc.learning.recipes import load_recipe, plan_from_yaml

    if steps is not None and minutes is not None:
        raise InvalidInput("Give --steps or --minutes, not both.", "The recipe's own limit is lifted by either.")
    limits = []
    if steps is not None:
        limits = [f"steps={steps}", "minutes=null"]
    elif minutes is not None:
        limits = [f"minutes={minutes}", f"steps={FOREVER}"]
    if recipe is None or isinstance(recipe, str):
        return load_recipe(recipe or "fast", [*limits, *settings])
    # The machine that trained the model may have had another device.
    text = recipe.plan.model_dump_json(exclude={"device", "precision"})
    return plan_from_yaml(text, recipe.recipe, [*limits, *settings])


def prediction_plan(settings: Sequence[str], tta: bool) -> PredictPlan:
    """A plan from ``key=value`` words."""
    from pydantic import ValidationError

    from napari_pytc.learning.config import PredictPlan
    from napari_pytc.learning.recipes import explain

    values = read_settings(settings)
    if tta:
        values["flips"] = True
    try:
        return PredictPlan.model_validate(values)
    except ValidationError as error:
        raise InvalidInput(*explain(error, "the settings of predict")) from error


def _predict_project(
    shown: Output, project: Path, plan: PredictPlan, model: str | None, box: Any, focus: Any
) -> dict[str, Any]:
    from napari_pytc.cli.running import run_in_session
    from napari_pytc.cli.sessions import open_session

    with closing(open_session(project)) as session:
        job = session.predict_job(plan, model=model, box=box, focus=focus)
        kept = f"The finished tiles are kept; `{_again(project, 'predict')}` with the same options does the rest."
        result = run_in_session(shown, session, job, "predict", kept)
    return {"project": str(project), "model": str(job.model), **result}


def _predict_volume(
    shown: Output,
    plan: PredictPlan,
    model: str,
    image: str,
    output: Path,
    voxel_size_nm: tuple[float, float, float] | None,
    box: Any,
    focus: Any,
) -> dict[str, Any]:
    from napari_pytc.cli.running import run_alone
    from napari_pytc.learning.jobs import PredictJob
    from napari_pytc.learning.model_folder import read_model_info
    from napari_pytc.volumes.opening import open_volume

    if output.suffix != ".zarr":
        raise InvalidInput(
            f"Predict writes a Zarr, so --output must end in .zarr, got {output}.",
            "Use `napari-pytc export` on a project for TIFF and HDF5.",
        )
    read_model_info(model)
    source = open_volume(image, voxel_size_nm=voxel_size_nm)
    job = PredictJob(
        image=source.spec,
        voxel_size_nm=source.space.voxel_size_nm if source.space.known else None,
        model=Path(model),
        output=output,
        plan=plan,
        box=box,
        focus=focus,
    )
    kept = f"The finished tiles are kept in {output}; the same command does the rest."
    return {"model": model, **run_alone(shown, job, "predict", kept)}


def _project_and_settings(words: Sequence[str]) -> tuple[Path | None, Sequence[str]]:
    """Tell a project's folder, which comes first, from settings."""
    if words and ("=" not in words[0] or Path(words[0]).is_dir()):
        return Path(words[0]), words[1:]
    return None, words


def _copy_recipe(yaml: str, target: Path) -> None:
    if target.suffix not in (".yaml", ".yml"):
        raise InvalidInput(f"A recipe is a file that ends in .yaml, got {target}.")
    try:
        with target.open("x", encoding="utf-8") as file:
            file.write(yaml)
    except FileExistsError as error:
        raise InvalidInput(f"{target} is there already.", "Copy the recipe to another name.") from error


def _again(project: Path, command: str) -> str:
    return f"napari-pytc {command} {project}"
