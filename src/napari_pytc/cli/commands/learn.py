"""Commands that train and run models: train, predict, recipes."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import closing
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from napari_pytc.cli.options import (
    READ_OPTIONS,
    AllVolumes,
    AsJson,
    Axes,
    BoxText,
    Channels,
    MissingSections,
    ProjectFolder,
    Settings,
    Time,
    Track,
    TrackFolder,
    VolumeName,
    VoxelSize,
    output_of,
    read_box,
    read_names,
    read_options,
    read_settings,
    read_trackers,
    read_triple,
    refuse_given,
)
from napari_pytc.cli.output import Output, Reply, table
from napari_pytc.errors import InvalidInput

if TYPE_CHECKING:
    from napari_pytc.plans.model_folder import ModelInfo
    from napari_pytc.plans.plan import PredictPlan, TrainPlan
    from napari_pytc.plans.specs import TrainJob
    from napari_pytc.proofreading.constraints.training_labels import CorrectionsInfo
    from napari_pytc.session.session import Session
    from napari_pytc.volumes.spec import ReadOptions

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
    volumes: Annotated[
        str | None,
        typer.Option(metavar="NAME,NAME,...", help="Volumes to learn from; by default all that are annotated."),
    ] = None,
    volume: Annotated[
        str | None,
        typer.Option(
            "--volume",
            metavar="NAME",
            help="With --corrections: learn from the edits of this volume alone; by default of all that are learnt "
            "from.",
        ),
    ] = None,
    fresh: Annotated[
        bool, typer.Option("--fresh", help="Start over instead of resuming a training that was interrupted.")
    ] = False,
    fast_dev_run: Annotated[
        bool,
        typer.Option("--fast-dev-run", help="Try everything once in two steps; nothing is kept, no model is made."),
    ] = False,
    profile: Annotated[
        bool,
        typer.Option(
            "--profile", help="Profile a few steps: a table (profile.txt) and a trace beside the model, and say where."
        ),
    ] = False,
    track: Track = None,
    track_folder: TrackFolder = None,
    as_json: AsJson = False,
) -> Reply:
    """Train a model on what is annotated in all volumes, outside of the held-out boxes."""
    from napari_pytc.cli.running import run_in_session
    from napari_pytc.cli.sessions import comparison_lines, open_project

    output = output_of(context)
    if volume is not None and not corrections:
        raise InvalidInput("--volume goes with --corrections.", "To learn from some volumes only: --volumes A,B.")
    if fast_dev_run:
        refuse_given(
            context,
            ("steps", "minutes", "profile", "track", "track_folder"),
            "for a training: --fast-dev-run takes two steps and keeps nothing.",
            "Leave --fast-dev-run out to train.",
        )
    tracking = read_trackers(track, track_folder)
    with closing(open_project(project)) as session:
        names = None if volumes is None else read_names(volumes, "Volumes")
        edited = names if volume is None else [volume]
        collected = _collected(output, session, edited) if corrections else {}
        if corrections:
            parent = str(session.models.resolve(parent))
        plan = training_plan(_settings_of(session, recipe, parent, corrections), settings or (), steps, minutes)
        job = session.jobs.train_job(plan, parent, not fresh, corrections, names, edited, tracking)
        learnt = [one.name for one in job.inputs]
        output.print(*_sources(learnt, collected, len(session.volumes.names) > 1))
        if fast_dev_run:
            return _trial(output, job)
        if profile:
            job = job.model_copy(update={"profile": True})
        kept = f"Strokes and finished models are safe; `{_again(project, 'train')}` with the same options goes on."
        result = run_in_session(
            output,
            session,
            job,
            f"train {plan.recipe}",
            kept,
            limit_s=None if plan.minutes is None else 60 * plan.minutes,
        )
        compared, in_use = comparison_lines(session, result["model"]), session.models.resolve().name
    output.print(*_trained(result), *compared)
    document = {"project": str(project), "recipe": plan.recipe, **result, "in_use": in_use, "volumes": learnt}
    return Reply({**document, **_learnt_from(collected)}, _scored(result["scores"]))


def _sources(learnt: list[str], collected: dict[str, CorrectionsInfo], are_several: bool) -> list[str]:
    """What a training learns from, line by line."""
    lines = [f"Learning from the volumes {', '.join(learnt)}."] if are_several else []
    for name, info in collected.items():
        lines.append(f"Learning from {corrections_text(info)}{f' of {name}' if are_several else ''}.")
    return lines


def _trained(result: dict[str, Any]) -> list[str]:
    """What a training made, line by line."""
    return [
        f"Model {result['model']} is trained: {result['steps']} steps in {result['seconds']:.1f} s "
        f"(ended by {result['stopped']}).",
        f"Folder: {result['folder']}",
    ]


def _learnt_from(collected: dict[str, CorrectionsInfo]) -> dict[str, Any]:
    """The corrections that a training learnt from, for the document; nothing where there are none."""
    from napari_pytc.proofreading.constraints.training_labels import CorrectionsInfo

    if not collected:
        return {}
    of_each = {name: asdict(info) for name, info in collected.items()}
    return {"corrections": asdict(sum(collected.values(), CorrectionsInfo())), "corrections_of": of_each}


def _scored(scores: dict[str, Any]) -> Any:
    """The scores of a model as a table, or why there are none."""
    from napari_pytc.cli.sessions import score_rows

    rows = score_rows(scores)
    if rows:
        return table("On held-out voxels", ("class", "Dice", "IoU"), rows)
    return "No score: nothing annotated is held out (napari-pytc hold-out)."


def _trial(output: Output, job: TrainJob) -> Reply:
    """Two steps of a training in a temporary folder, which tell whether it would work."""
    from tempfile import TemporaryDirectory

    from napari_pytc.cli.running import run_alone

    plan = job.plan
    with TemporaryDirectory(prefix="napari-pytc-trial-") as name:
        folder = Path(name)
        places = {"model_folder": folder / "trial", "run_folder": folder / "run", "baseline": None}
        trial = job.model_copy(
            update={
                "plan": plan.for_trial(),
                "output": job.output.model_copy(update=places),
                "resume": False,
            }
        )
        result = run_alone(output, trial, f"try {plan.recipe}", "Nothing is kept of a trial.")
    found = {key: result[key] for key in ("scores", "steps", "seconds", "notes")}
    document = {"trial": True, "recipe": plan.recipe, **found}
    mean = result["scores"].get("mean")
    scored = "there is no score, since nothing annotated is held out" if mean is None else f"the score is {mean:.3f}"
    return Reply(
        document,
        f"The trial worked: {result['steps']} steps, a checkpoint and a model in {result['seconds']:.1f} s; {scored}. "
        "Nothing was kept. Leave --fast-dev-run out to train.",
    )


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
    channel: Channels = None,
    axes: Axes = None,
    time: Time = None,
    missing_sections: MissingSections = "note",
    volume: VolumeName = None,
    every: AllVolumes = False,
    box: BoxText = None,
    focus: Annotated[str | None, typer.Option(metavar="Z,Y,X", help="Predict what is nearest to here first.")] = None,
    tta: Annotated[
        bool,
        typer.Option("--tta", help="Average over flips: eight times as slow, a little better; see also tta.turns."),
    ] = False,
    as_json: AsJson = False,
) -> Reply:
    """Run a model over a volume of a project, all of them, or any file, by tiles; a later run resumes a stopped one."""
    project, settings = _project_and_settings(words or ())
    plan = prediction_plan(settings, tta)
    region, focus_voxel = read_box(box), None if focus is None else read_triple(focus, "A focus")
    streams = output_of(context)
    if project is not None:
        if image is not None or output is not None:
            raise InvalidInput(
                "Predict takes either a project or --image with --output, got both.",
                "Leave the project out to predict another volume.",
            )
        refuse_given(
            context,
            READ_OPTIONS,
            "for --image, a volume without a project.",
            "A project's volume is read as `napari-pytc new` or `add` was told when it became one.",
        )
        if every:
            if volume is not None or region is not None or focus_voxel is not None:
                raise InvalidInput("--all takes no --volume, --box or --focus.", "Predict one volume to choose a box.")
            return _predict_all(streams, project, plan, model)
        result = _predict_project(streams, project, volume, plan, model, region, focus_voxel)
    else:
        if every or volume is not None:
            raise InvalidInput("--all and --volume go with a project.", "Give its folder first.")
        if model is None or image is None or output is None:
            raise InvalidInput(
                "Predict needs a project, or else --model, --image and --output.",
                "For example: napari-pytc predict PROJECT, or "
                "napari-pytc predict --model models/ID --image raw.h5 --output out.zarr.",
            )
        read = read_options(voxel_size, channel, axes, time, missing_sections)
        result = _predict_volume(streams, plan, model, image, output, read, region, focus_voxel)
    before = f" ({result['tiles_done_before']} were finished before)" if result.get("tiles_done_before") else ""
    text = (
        f"Predicted {result['tiles']} tiles{before} in {result['seconds']:.1f} s, "
        f"{result['mvoxel_per_s']:.2f} Mvoxel/s: {result['output']}"
    )
    return Reply(result, text)


def recipes(
    context: typer.Context,
    name: Annotated[str | None, typer.Argument(metavar="[NAME]", help="Recipe whose YAML to print.")] = None,
    copy: Annotated[
        Path | None, typer.Option(metavar="FILE.yaml", help="Write the YAML to a file, to change it there.")
    ] = None,
    as_json: AsJson = False,
) -> Reply:
    """List the recipes, or print one to copy and change."""
    from napari_pytc.plans.recipes import load_recipe, recipe_text
    from napari_pytc.plans.recipes import recipes as built_in

    if name is None:
        if copy is not None:
            raise InvalidInput("To copy a recipe, name it.", f"For example: napari-pytc recipes fast --copy {copy}.")
        found = built_in()
        text: Any = table("", ("recipe", "what it is"), list(found.items()))
        return Reply({"recipes": [{"name": key, "description": value} for key, value in found.items()]}, text)
    yaml = recipe_text(name)
    document = {"name": name, "yaml": yaml, "settings": load_recipe(name).model_dump(mode="json")}
    if copy is None:
        return Reply(document, yaml.rstrip())
    _copy_recipe(yaml, copy)
    text = f"Wrote {copy}. Change it, then: napari-pytc train PROJECT --recipe {copy}"
    return Reply({**document, "copy": str(copy)}, text)


def _collected(output: Output, session: Session, names: Sequence[str] | None) -> dict[str, CorrectionsInfo]:
    """What is collected from the edits of these volumes, by default of all, by their names; without those of none."""
    found = {}
    for record in map(session.volumes.resolve, session.volumes.names if names is None else names):
        with output.counting("collect corrections") as report:
            info = session.at(record.id).corrections.collect(report)
        if info.n_edits:
            found[record.name] = info
    return found


def corrections_text(found: CorrectionsInfo) -> str:
    """Edits of each kind and their voxels as text."""
    kinds = {
        "merge": found.n_merges,
        "split": found.n_splits,
        "locked segment": found.n_locked,
        "painted place": found.n_painted,
        "deleted segment": found.n_deleted,
    }
    counts = ", ".join(f"{n} {kind}{'' if n == 1 else 's'}" for kind, n in kinds.items() if n)
    return f"{counts or 'no edit'} ({found.n_voxels} voxels)"


def _settings_of(session: Session, recipe: str | None, parent: str | None, corrections: bool) -> str | ModelInfo | None:
    """A recipe, or the model to go on from where no recipe is named."""
    from napari_pytc.plans.model_folder import read_model_info

    if parent is None or recipe is not None:
        return recipe
    found = read_model_info(session.models.resolve(parent))
    return found.model_copy(update={"plan": session.corrections.plan(parent)}) if corrections else found


def training_plan(
    recipe: str | ModelInfo | None, settings: Sequence[str], steps: int | None, minutes: float | None
) -> TrainPlan:
    """The recipe, or a model's, with the settings of the command line; --steps and --minutes lift each other."""
    from napari_pytc.plans.recipes import load_recipe, plan_from_yaml

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

    from napari_pytc.plans.plan import PredictPlan
    from napari_pytc.plans.recipe_checks import explain

    values = read_settings(settings)
    if tta:
        values["flips"] = True
    try:
        return PredictPlan.model_validate(values)
    except ValidationError as error:
        raise InvalidInput(*explain(error, "the settings of predict", PredictPlan, values)) from error


def _predict_project(
    streams: Output,
    project: Path,
    volume: str | None,
    plan: PredictPlan,
    model: str | None,
    box: Any,
    focus: Any,
) -> dict[str, Any]:
    from napari_pytc.cli.sessions import open_session

    with closing(open_session(project, volume)) as session:
        name = session.image.volume.name
        return {"project": str(project), "volume": name, **_predict_at(streams, session, plan, model, box, focus)}


def _predict_all(streams: Output, project: Path, plan: PredictPlan, model: str | None) -> Reply:
    from napari_pytc.cli.all_volumes import at_all_volumes

    columns = (("tiles", "tiles"), ("before", "tiles_done_before"), ("s", "seconds"), ("prediction", "output"))
    return at_all_volumes(
        streams, project, "Predictions", lambda session: _predict_at(streams, session, plan, model), columns
    )


def _predict_at(
    streams: Output, session: Session, plan: PredictPlan, model: str | None, box: Any = None, focus: Any = None
) -> dict[str, Any]:
    from napari_pytc.cli.running import run_in_session

    job = session.jobs.predict_job(plan, model=model, box=box, focus=focus)
    kept = f"The finished tiles are kept; `{_again(session.folder, 'predict')}` with the same options does the rest."
    return {"model": str(job.model), **run_in_session(streams, session, job, "predict", kept)}


def _predict_volume(
    streams: Output,
    plan: PredictPlan,
    model: str,
    image: str,
    output: Path,
    options: ReadOptions,
    box: Any,
    focus: Any,
) -> dict[str, Any]:
    from napari_pytc.cli.running import run_alone
    from napari_pytc.plans.input_channels import check_n_inputs
    from napari_pytc.plans.model_folder import read_model_info
    from napari_pytc.plans.prediction_defaults import plan_with_defaults
    from napari_pytc.plans.specs import PredictJob
    from napari_pytc.volumes.image import open_image

    if output.suffix != ".zarr":
        raise InvalidInput(
            f"Predict writes a Zarr, so --output must end in .zarr, got {output}.",
            "Use `napari-pytc export` on a project for TIFF and HDF5.",
        )
    info, source = read_model_info(model), open_image(image, options)
    check_n_inputs(info, source.n_channels)
    plan, of_model = plan_with_defaults(plan, info.prediction)
    job = PredictJob(
        image=source.spec,
        voxel_size_nm=source.space.voxel_size_nm if source.space.known else None,
        model=Path(model),
        output=output,
        plan=plan,
        box=box,
        focus=focus,
        notes=(*source.notes, *of_model),
    )
    kept = f"The finished tiles are kept in {output}; the same command does the rest."
    return {"model": model, **run_alone(streams, job, "predict", kept)}


def _project_and_settings(words: Sequence[str]) -> tuple[Path | None, Sequence[str]]:
    """Separate the project's folder, which comes first, from settings."""
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
