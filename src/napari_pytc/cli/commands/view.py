"""The command that shows a project in Neuroglancer, in the browser of this machine."""

from __future__ import annotations

import signal
import threading
import webbrowser
from collections.abc import Iterator
from contextlib import closing, contextmanager
from typing import TYPE_CHECKING, Annotated

import typer

from napari_pytc.cli.options import AsJson, ProjectFolder, VolumeName, output_of
from napari_pytc.cli.output import Reply

if TYPE_CHECKING:
    from napari_pytc.exporting.neuroglancer_server import ServedLayer
    from napari_pytc.session.session import Session


_LOOK_S = 0.5


def register(app: typer.Typer) -> None:
    """Add the commands of this file."""
    app.command("view", rich_help_panel="Results")(view)


def view(
    context: typer.Context,
    project: ProjectFolder,
    volume: VolumeName = None,
    prediction: Annotated[
        str | None, typer.Option(metavar="ID|FOLDER", help="Show this prediction; by default the newest.")
    ] = None,
    segmentation: Annotated[
        str | None, typer.Option(metavar="ID", help="Show this segmentation; by default the current one.")
    ] = None,
    port: Annotated[int, typer.Option(metavar="N", min=0, max=65535, help="Port; by default any that is free.")] = 0,
    browser: Annotated[bool, typer.Option("--browser/--no-browser", help="Whether to open the browser.")] = True,
    as_json: AsJson = False,
) -> None:
    """Show a volume, its prediction and segments in Neuroglancer until Ctrl+C; nothing leaves this machine."""
    from napari_pytc.cli.sessions import open_session
    from napari_pytc.exporting.optional import require

    require("neuroglancer", "The view", "view")
    from napari_pytc.exporting.neuroglancer_server import NeuroglancerServer

    output = output_of(context)
    with closing(open_session(project, volume, read_only=True)) as session, _stop_signal() as stopped:
        layers, notes = _layers(session, prediction, segmentation)
        with NeuroglancerServer(layers, port) as server:
            document = {"project": str(project), "url": server.url, "layers": server.layers, "notes": notes}
            if not as_json:
                for note in notes:
                    output.warn(note)
            # Not at the end as other commands: the address is wanted while the server runs.
            output.answer(Reply(document, f"{server.url}\nCtrl+C ends it. Only this machine can open the address."))
            if browser:
                webbrowser.open(server.url)
            while not stopped.wait(_LOOK_S):  # without a limit Windows would not hear Ctrl+C
                pass


def _layers(session: Session, prediction: str | None, segmentation: str | None) -> tuple[list[ServedLayer], list[str]]:
    """The layers to show, and what there is none of."""
    from napari_pytc.exporting.neuroglancer_server import ServedLayer
    from napari_pytc.exporting.sources import open_source
    from napari_pytc.volumes.statistics import sample_statistics

    notes = []
    source = session.image.check()
    image = open_source(session.jobs.export_job("image", "-")).array
    ranges = [(f.low, max(f.high, f.low + 1e-6)) for f in map(sample_statistics, source.channels)]
    layers = [ServedLayer("image", image, "image", tuple(ranges))]
    if prediction is not None or any(one.state == "finished" for one in session.predictions.records()):
        job = session.jobs.export_job("probabilities", "-", prediction=prediction)
        assert job.prediction is not None
        layers.append(ServedLayer(f"prediction {job.prediction.stem}", open_source(job).array, "probabilities"))
    else:
        notes.append("There is no finished prediction, so none is shown.")
    if segmentation is not None or any(not one.problem for one in session.segmentations.records()):
        job = session.jobs.export_job("segments", "-", segmentation=segmentation)
        assert job.segmentation is not None
        opened = open_source(job)
        notes += opened.notes
        layers.append(ServedLayer(f"segments {job.segmentation.name}", opened.array, "segments"))
    else:
        notes.append("There is no segmentation, so none is shown.")
    return layers, notes


@contextmanager
def _stop_signal() -> Iterator[threading.Event]:
    """An event that Ctrl+C or SIGTERM sets."""
    stopped = threading.Event()
    is_main = threading.current_thread() is threading.main_thread()  # Python takes handlers in the main thread only
    numbers = (signal.SIGINT, signal.SIGTERM) if is_main else ()
    before = {number: signal.signal(number, lambda *_: stopped.set()) for number in numbers}
    try:
        yield stopped
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
