"""The plugin's commands: one table for the palette, the menus, the keys and the documentation."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from napari_pytc.errors import InvalidInput, ProjectError, PytcError
from napari_pytc.ui.controllers import Controllers
from napari_pytc.ui.job_launcher import Scope
from napari_pytc.ui.volume_switch import NEXT_KEY, PREVIOUS_KEY

if TYPE_CHECKING:
    import napari.viewer


@dataclass(frozen=True)
class Command:
    """Something to do in the workspace in front.

    Parameters
    ----------
    name : str
        Its id is ``napari-pytc.<name>``, and a function of this module.
    keys : str
        In napari's notation; empty for none.
    starts_job : bool
        Whether what comes of it is seen in the workspace's panels.
    """

    name: str
    title: str
    keys: str
    run: Callable[[Controllers], object]
    starts_job: bool = False


def _hold_out(controllers: Controllers) -> None:
    workspace = controllers.workspace
    workspace.require_layers()
    assert workspace.session is not None
    box = workspace.drawn_box.find()
    if box is None:
        raise InvalidInput("No box is drawn.", "Draw one first: Data > Draw box.")
    workspace.session.held_out.add(box)


def _cancel(controllers: Controllers) -> None:
    running = controllers.workspace.jobs.running
    if not running:
        raise ProjectError("Nothing runs that could be cancelled.")
    for job in running:
        job.cancel()


def _paint(controllers: Controllers) -> None:
    layers = controllers.workspace.require_layers()
    layers.choose_class(layers.chosen_class or 1)


def _train(controllers: Controllers) -> None:
    controllers.workspace.launcher.train_now()


def _predict(scope: Scope) -> Callable[[Controllers], object]:
    return lambda controllers: controllers.workspace.launcher.predict(scope)


def _toggle_prediction(controllers: Controllers) -> None:
    controllers.workspace.require_layers().toggle_prediction()


def _toggle_live(controllers: Controllers) -> None:
    controllers.workspace.require_layers()
    controllers.live.toggle()


def _paint_next(controllers: Controllers) -> None:
    controllers.workspace.require_layers()
    controllers.suggestions.fly_to_next()


def _toggle_uncertainty(controllers: Controllers) -> None:
    uncertainty = controllers.workspace.require_layers().predictions.uncertainty
    uncertainty.switch(not uncertainty.is_on)


def _proofread(controllers: Controllers) -> None:
    workspace = controllers.workspace
    workspace.require_layers()
    if workspace.segments.document is None:
        raise ProjectError("There are no segments to proofread yet.", "Make some in the Segment panel.")
    controllers.editor.choose_tool("look")


def _segment_action(name: str) -> Callable[[Controllers], object]:
    def run(controllers: Controllers) -> None:
        controllers.workspace.require_layers()
        controllers.actions.run(name)

    return run


def _show_volume(step: int) -> Callable[[Controllers], object]:
    return lambda controllers: controllers.workspace.volumes.show_next(step)


COMMANDS = (
    Command("paint_strokes", "Paint strokes", "Shift-S", _paint),
    Command(
        "train",
        "Train with the settings of the Train panel",
        "Shift-T",
        _train,
        True,
    ),
    Command("live", "Live learning: on or off", "Shift-I", _toggle_live, True),
    Command("paint_next", "Fly to the place where painting helps most", "Shift-G", _paint_next),
    Command("toggle_uncertainty", "Show or hide the uncertainty of the prediction", "Shift-U", _toggle_uncertainty),
    Command("predict_view", "Predict what is in view", "Shift-W", _predict("view"), True),
    Command(
        "predict_all",
        "Predict everything, from the view outwards",
        "Shift-E",
        _predict("all"),
        True,
    ),
    Command("toggle_prediction", "Show or hide the prediction", "Shift-D", _toggle_prediction),
    Command("cancel_jobs", "Cancel all jobs", "Shift-C", _cancel),
    Command("draw_box", "Draw a box", "Shift-B", lambda c: c.workspace.require_layers().start_drawing_box()),
    Command("hold_out", "Hold out the drawn box", "Shift-H", _hold_out),
    Command("proofread", "Proofread: mouse and keys to the segments", "Shift-R", _proofread),
    Command("review_next", "Review: fly to the next doubtful place", "Shift-N", _segment_action("next")),
    Command("next_volume", "Show the next volume of the project", NEXT_KEY, _show_volume(1)),
    Command("previous_volume", "Show the volume before it", PREVIOUS_KEY, _show_volume(-1)),
    Command("undo_edit", "Take the last edit or stroke back", "", _segment_action("undo")),
    Command("redo_edit", "Make the edit or stroke again that was taken back", "", _segment_action("redo")),
)
"""All commands of the viewer, with their keys."""


def find(name: str) -> Command:
    """A command by its name."""
    return next(command for command in COMMANDS if command.name == name)


def execute(command: Command, controllers: Controllers, show: Callable[[], object]) -> None:
    """Run a command; `show` opens the workspace's widget where there is something to see: a job, or an error."""
    if command.starts_job:
        show()
    try:
        command.run(controllers)
    except PytcError as error:
        show()
        controllers.workspace.failed.emit(error)


def bind_keys(viewer: napari.viewer.Viewer, controllers: Controllers, show: Callable[[], object]) -> None:
    """Bind the commands' keys on a viewer, which shows them with its own; `show` as in `execute`."""
    for command in COMMANDS:
        if command.keys:
            viewer.bind_key(command.keys, _action(command, controllers, show), overwrite=True)


def _action(command: Command, controllers: Controllers, show: Callable[[], object]) -> Callable[[Any], None]:
    def act(viewer: Any) -> None:
        execute(command, controllers, show)

    act.__name__, act.__doc__ = command.name, command.title  # napari wants a name, and shows the text
    return act
