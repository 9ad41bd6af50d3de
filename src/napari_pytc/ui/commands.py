"""What the plugin can be told to do: one table for the palette, the menus, the keys and the documentation."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from napari_pytc.errors import InvalidInput, ProjectError
from napari_pytc.ui.plugin import current_workspace
from napari_pytc.ui.workspace import Workspace


@dataclass(frozen=True)
class Command:
    """Something to do in the workspace in front.

    Parameters
    ----------
    name : str
        Its id is ``napari-pytc.<name>``, and a function of this module.
    keys : str
        In napari's notation; empty for none.
    """

    name: str
    title: str
    keys: str
    run: Callable[[Workspace], object]


def _hold_out(workspace: Workspace) -> None:
    session, layers = workspace.session, workspace.layers
    if session is None or layers is None:
        raise ProjectError("No project is open.", "Open one in the Data panel.")
    box = layers.drawn_box()
    if box is None:
        raise InvalidInput("No box is drawn.", "Draw one first: Data > Draw box.")
    session.hold_out(box)


def _draw_box(workspace: Workspace) -> None:
    if workspace.layers is None:
        raise ProjectError("No project is open.", "Open one in the Data panel.")
    workspace.layers.start_drawing_box()


def _cancel(workspace: Workspace) -> None:
    for job in workspace.jobs.running:
        job.cancel()


def _paint(workspace: Workspace) -> None:
    if workspace.layers is None:
        raise ProjectError("No project is open.", "Open one in the Data panel.")
    workspace.layers.choose_class(workspace.layers.chosen_class or 1)


def _toggle_prediction(workspace: Workspace) -> None:
    if workspace.layers is not None:
        workspace.layers.toggle_prediction()


COMMANDS = (
    Command("paint_strokes", "Paint strokes", "Shift-S", _paint),
    Command("train", "Train with the settings of the Train panel", "Shift-T", lambda w: w.train_now()),
    Command("predict_view", "Predict what is in view", "Shift-P", lambda w: w.predict("view")),
    Command("predict_all", "Predict everything, from the view outwards", "Shift-A", lambda w: w.predict("all")),
    Command("toggle_prediction", "Show or hide the prediction", "Shift-V", _toggle_prediction),
    Command("cancel_jobs", "Cancel all jobs", "Shift-C", _cancel),
    Command("draw_box", "Draw a box", "Shift-B", _draw_box),
    Command("hold_out", "Hold out the drawn box", "Shift-H", _hold_out),
)


def find(name: str) -> Command:
    """A command by its name."""
    return next(command for command in COMMANDS if command.name == name)


def execute(command: Command, workspace: Workspace) -> None:
    """Run a command; what the user did wrong is shown in the workspace."""
    workspace.attempt(lambda: command.run(workspace))


def paint_strokes() -> None:
    """Select the strokes and the brush."""
    execute(find("paint_strokes"), current_workspace())


def train() -> None:
    """Train with the settings of the Train panel."""
    execute(find("train"), current_workspace())


def predict_view() -> None:
    """Predict what is in view."""
    execute(find("predict_view"), current_workspace())


def predict_all() -> None:
    """Predict everything, from the view outwards."""
    execute(find("predict_all"), current_workspace())


def toggle_prediction() -> None:
    """Show or hide the prediction."""
    execute(find("toggle_prediction"), current_workspace())


def cancel_jobs() -> None:
    """Cancel all jobs."""
    execute(find("cancel_jobs"), current_workspace())


def draw_box() -> None:
    """Draw a box on the canvas."""
    execute(find("draw_box"), current_workspace())


def hold_out() -> None:
    """Hold the drawn box out of training."""
    execute(find("hold_out"), current_workspace())
