"""The command that shows the main job on the bundled sample: demo."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
import time
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from napari_pytc.cli.options import AsJson, output_of
from napari_pytc.cli.output import Output, Reply, bytes_text, shape_text, table
from napari_pytc.errors import InvalidInput

if TYPE_CHECKING:
    import numpy as np

    from napari_pytc.session.session import Session
    from napari_pytc.volumes.source import VolumeSource

CLASSES = ("membrane", "inside")
SCORED, TESTED = "40:48,0:192,0:192", "48:64,0:192,0:192"
HELD_OUT = "40:64,0:192,0:192"
CREDIT = "FIB-SEM of the Drosophila medulla: FlyEM, Janelia Research Campus, HHMI (CC BY 3.0)"
MARK = "demo.json"
PROJECT, TIFF, HDF5, PICTURE = "demo.pytc", "classes.tif", "probabilities.h5", "picture.png"
N_STEPS = 7


@dataclass(frozen=True)
class Trained:
    """A model of the demo: its figures, and its prediction of the whole volume."""

    recipe: str
    model: str
    score: float
    train_seconds: float
    prediction: Path
    mvoxel_per_s: float
    dice: dict[str, float | None]

    def document(self) -> dict[str, Any]:
        """Its figures as JSON."""
        return {
            "recipe": self.recipe,
            "model": self.model,
            "dice": self.dice,
            "train_seconds": self.train_seconds,
            "mvoxel_per_s": self.mvoxel_per_s,
        }


def register(app: typer.Typer) -> None:
    """Add the command of this file."""
    app.command("demo", rich_help_panel="Look around")(demo)


def demo(
    context: typer.Context,
    out: Annotated[Path, typer.Option(metavar="DIR", help="Folder for what it writes.")] = Path("napari-pytc-demo"),
    minutes: Annotated[float, typer.Option(metavar="M", help="How long the network trains.")] = 1.0,
    window: Annotated[bool, typer.Option("--window", help="Open the sample in napari, ready to paint.")] = False,
    as_json: AsJson = False,
) -> Reply:
    """Run the main job on a bundled sample of real electron microscopy: strokes, training, prediction, export."""
    output, begin = output_of(context), time.monotonic()
    if window:
        return _open_window(out)
    if minutes <= 0:
        raise InvalidInput(f"The network must train for more than 0 minutes, got {minutes}.")
    _clear(out)
    with closing(_project(output, out / PROJECT)) as session:
        trained = [
            _train(output, session, 3, "instant", (), "a filter bank that learns in a second"),
            _train(output, session, 4, "fast", (f"minutes={minutes}",), f"a U-Net, for at most {minutes:g} min"),
        ]
        best = max(trained, key=lambda one: one.score)
        files = _export(output, session, best, out)
        _step(output, 6, f"Drawing {PICTURE}: raw | strokes | prediction | truth ...")
        _picture(session, best, out / PICTURE)
    files["picture"] = out / PICTURE
    document = {
        "out": str(out),
        "models": [one.document() for one in trained],
        "exported": best.model,
        "tested_on": TESTED,
        "files": {name: str(path) for name, path in files.items()},
        "seconds": round(time.monotonic() - begin, 1),
    }
    (out / MARK).write_text(json.dumps(document, indent=2), encoding="utf-8")
    _step(output, 7, f"Dice on sections {_sections(TESTED)}, which no training and no choice of weights has seen:")
    output.print(_figures(trained))
    written = "\n".join(f"  {path}  ({_size(path)})" for path in (out / PROJECT, *files.values()))
    text = f"Wrote (from the {best.recipe} model):\n{written}\nDone in {document['seconds']:.0f} s."
    return Reply(document, text)


def _open_window(out: Path) -> Reply:
    """Run the window as the program of its own that it is; strokes of an earlier time are kept."""
    folder = out.absolute()
    if folder.is_file():
        raise InvalidInput(f"{out} is a file.", "Name a folder with --out.")
    if not folder.is_dir() or not any(folder.iterdir()):
        folder.mkdir(parents=True, exist_ok=True)
        (folder / MARK).write_text("{}", encoding="utf-8")  # so that the demo without a window writes here too
    code = subprocess.run([sys.executable, "-m", "napari_pytc.ui.demo", str(folder)], check=False).returncode
    if code:
        raise InvalidInput(
            f"The window ended with exit code {code}.", "`napari-pytc doctor` tells whether Qt and OpenGL are there."
        )
    return Reply({"out": str(folder)}, f"The project is in {folder}; open it again with the same command.")


def _clear(out: Path) -> None:
    """Make the folder ready; only what an earlier demo wrote is removed."""
    if out.exists() and not out.is_dir():
        raise InvalidInput(f"{out} is a file.", "Name a folder with --out.")
    if out.is_dir() and any(out.iterdir()) and not (out / MARK).is_file():
        raise InvalidInput(
            f"{out} holds something that is not a demo's, so the demo does not write there.",
            "Name a new folder with --out.",
        )
    out.mkdir(parents=True, exist_ok=True)
    # The mark comes first, so that a demo that is stopped half way can be started again.
    (out / MARK).write_text("{}", encoding="utf-8")
    if (out / PROJECT).exists():
        shutil.rmtree(out / PROJECT)
    for name in (TIFF, HDF5, PICTURE):
        (out / name).unlink(missing_ok=True)


def _project(output: Output, folder: Path) -> Session:
    from napari_pytc.geometry import Box
    from napari_pytc.session.session import Session

    raw = _sample("raw")
    _step(output, 1, f"Making a project for the bundled sample, {shape_text(raw.shape)} voxels of {CREDIT}.")
    session = Session.create(folder, _sample_name("raw"), CLASSES)
    box = Box.parse(SCORED)
    n_strokes = session.strokes.add(_sample("strokes")).total
    session.strokes.add(_sample("classes").read(box), offset=box.start)
    session.held_out.add(Box.parse(HELD_OUT))
    share = n_strokes / Box.of_shape(raw.shape).size
    _step(output, 2, f"Adding strokes in two colours: {n_strokes} voxels, {share:.2%} of the volume.")
    output.print(
        f"    Sections {_sections(HELD_OUT)} are held out: {_sections(SCORED)} choose the best weights, "
        f"{_sections(TESTED)} judge the result."
    )
    return session


def _train(output: Output, session: Session, step: int, recipe: str, settings: tuple[str, ...], what: str) -> Trained:
    from napari_pytc.cli.running import run_in_session
    from napari_pytc.exporting.views import MostProbable
    from napari_pytc.geometry import Box
    from napari_pytc.metrics import evaluate_classes
    from napari_pytc.plans.plan import PredictPlan
    from napari_pytc.plans.recipes import load_recipe
    from napari_pytc.volumes.zarr_output import open_ome_zarr

    _step(output, step, f"Training with recipe {recipe}, {what}; then predicting the whole volume ...")
    plan = load_recipe(recipe, settings)
    kept = "Run the demo again; it starts over."
    limit_s = None if plan.minutes is None else 60 * plan.minutes
    model = run_in_session(output, session, session.jobs.train_job(plan), f"train {recipe}", kept, limit_s)
    job = session.jobs.predict_job(PredictPlan(), model=model["model"])
    predicted = run_in_session(output, session, job, "predict", kept)
    labels = MostProbable(open_ome_zarr(predicted["output"]))
    found = evaluate_classes(labels, _sample("classes"), box=Box.parse(TESTED), classes=(1, 2))
    one = Trained(
        recipe=recipe,
        model=model["model"],
        score=float(model["scores"].get("mean") or 0.0),
        train_seconds=round(model["seconds"], 1),
        prediction=Path(predicted["output"]),
        mvoxel_per_s=predicted["mvoxel_per_s"],
        dice={name: found["dice"][str(k)] for k, name in enumerate(CLASSES, 1)},
    )
    output.print(
        f"    trained in {one.train_seconds:.1f} s ({model['steps']} steps), "
        f"predicted at {one.mvoxel_per_s:.2f} Mvoxel/s"
    )
    return one


def _export(output: Output, session: Session, best: Trained, out: Path) -> dict[str, Path]:
    from napari_pytc.cli.running import run_in_session

    _step(output, 5, f"Exporting what the {best.recipe} model predicted, the better of the two: {TIFF} and {HDF5} ...")
    kept = "Run the demo again; it starts over."
    classes = session.jobs.export_job("classes", out / TIFF, prediction=best.prediction)
    probabilities = session.jobs.export_job("probabilities", out / HDF5, prediction=best.prediction)
    run_in_session(output, session, classes, "export classes", kept)
    run_in_session(output, session, probabilities, "export probabilities", kept)
    return {"tiff": out / TIFF, "hdf5": out / HDF5}


def _picture(session: Session, best: Trained, path: Path) -> None:
    from napari_pytc.cli.picture import PictureRow, draw_picture
    from napari_pytc.exporting.views import MostProbable
    from napari_pytc.geometry import Box
    from napari_pytc.volumes.zarr_output import open_ome_zarr

    strokes, truth = _sample("strokes"), _sample("classes")
    predicted = MostProbable(open_ome_zarr(best.prediction))
    painted = strokes.read(Box.of_shape(strokes.shape))
    drawn_on = int((painted > 0).sum(axis=(1, 2)).argmax())
    unseen = int(Box.parse(TESTED).centre[0])
    titles = {drawn_on: f"section {drawn_on}: painted on", unseen: f"section {unseen}: never seen"}
    rows = [
        PictureRow(title, _section(_sample("raw"), z), [painted[z], _section(predicted, z), _section(truth, z)])
        for z, title in titles.items()
    ]
    columns = ("raw", "strokes", f"prediction ({best.recipe})", "truth")
    draw_picture(path, columns, rows, [(c.name, c.colour) for c in session.classes.records()], CREDIT)


def _section(source: Any, z: int) -> np.ndarray:
    from napari_pytc.geometry import Box

    _, y, x = source.shape
    section: np.ndarray = source.read(Box((z, 0, 0), (z + 1, y, x)))[0]
    return section


def _figures(trained: list[Trained]) -> Any:
    columns = ("recipe", *(f"Dice {name}" for name in CLASSES), "training (s)", "prediction (Mvoxel/s)")
    rows = [
        (one.recipe, *(one.dice[name] for name in CLASSES), f"{one.train_seconds:.1f}", f"{one.mvoxel_per_s:.2f}")
        for one in trained
    ]
    return table("", columns, rows)


def _sections(box: str) -> str:
    from napari_pytc.geometry import Box

    parsed = Box.parse(box)
    return f"{parsed.start[0]} to {parsed.stop[0] - 1}"


def _sample_name(dataset: str) -> str:
    from napari_pytc.samples import sample_path

    return f"{sample_path('medulla')}:{dataset}"


def _sample(dataset: str) -> VolumeSource:
    from napari_pytc.volumes.opening import open_volume

    return open_volume(_sample_name(dataset))


def _size(path: Path) -> str:
    from napari_pytc.exporting.export import bytes_on_disk

    return bytes_text(bytes_on_disk(path))


def _step(output: Output, number: int, text: str) -> None:
    output.print(f"{number}/{N_STEPS} {text}")
