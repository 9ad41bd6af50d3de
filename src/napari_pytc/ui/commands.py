"""What the plugin can be told to do: one table for the palette, the menus, the keys and the documentation."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from napari_pytc.errors import InvalidInput, ProjectError, PytcError

if TYPE_CHECKING:
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
    starts_job : bool
        Whether what comes of it is seen in the workspace's panels.
    """

    name: str
    title: str
    keys: str
    run: Callable[[Workspace], object]
    starts_job: bool = False


def _hold_out(workspace: Workspace) -> None:
    from napari_pytc.ui.drawn_box import box_depth, deepened

    layers, session = workspace.require_layers(), workspace.session
    assert session is not None
    box = layers.drawn_box()
    if box is None:
        raise InvalidInput("No box is drawn.", "Draw one first: Data > Draw box.")
    session.hold_out(deepened(box, box_depth(workspace).sections, session.annotations.shape))


def _cancel(workspace: Workspace) -> None:
    running = workspace.jobs.running
    if not running:
        raise ProjectError("Nothing runs that could be cancelled.")
    for job in running:
        job.cancel()


def _paint(workspace: Workspace) -> None:
    layers = workspace.require_layers()
    layers.choose_class(layers.chosen_class or 1)


def _toggle_prediction(workspace: Workspace) -> None:
    workspace.require_layers().toggle_prediction()


def _toggle_live(workspace: Workspace) -> None:
    from napari_pytc.ui.live.controller import live_of

    workspace.require_layers()
    live_of(workspace).toggle()


def _paint_next(workspace: Workspace) -> None:
    from napari_pytc.ui.live.places import places_of

    workspace.require_layers()
    places_of(workspace).fly_on()


def _toggle_uncertainty(workspace: Workspace) -> None:
    uncertainty = workspace.require_layers().predictions.uncertainty
    uncertainty.switch(not uncertainty.is_on)


def _proofread(workspace: Workspace) -> None:
    from napari_pytc.ui.proofreading.acts import acts_of

    workspace.require_layers()
    if workspace.segments.document is None:
        raise ProjectError("There are no segments to proofread yet.", "Make some in the Segment panel.")
    acts_of(workspace).desk.choose_tool("look")


def _act(name: str) -> Callable[[Workspace], object]:
    def run(workspace: Workspace) -> None:
        from napari_pytc.ui.proofreading.acts import acts_of

        workspace.require_layers()
        acts_of(workspace).run(name)

    return run


COMMANDS = (
    Command("paint_strokes", "Paint strokes", "Shift-S", _paint),
    Command("train", "Train with the settings of the Train panel", "Shift-T", lambda w: w.train_now(), True),
    Command("live", "Live learning: on or off", "Shift-I", _toggle_live, True),
    Command("paint_next", "Fly to the place where painting helps most", "Shift-G", _paint_next),
    Command("toggle_uncertainty", "Show or hide the uncertainty of the prediction", "Shift-U", _toggle_uncertainty),
    Command("predict_view", "Predict what is in view", "Shift-W", lambda w: w.predict("view"), True),
    Command("predict_all", "Predict everything, from the view outwards", "Shift-E", lambda w: w.predict("all"), True),
    Command("toggle_prediction", "Show or hide the prediction", "Shift-D", _toggle_prediction),
    Command("cancel_jobs", "Cancel all jobs", "Shift-C", _cancel),
    Command("draw_box", "Draw a box", "Shift-B", lambda w: w.require_layers().start_drawing_box()),
    Command("hold_out", "Hold out the drawn box", "Shift-H", _hold_out),
    Command("proofread", "Proofread: mouse and keys to the segments", "Shift-R", _proofread),
    Command("review_next", "Review: fly to the next doubtful place", "Shift-N", _act("next")),
    Command("undo_edit", "Take the last edit or stroke back", "", _act("undo")),
    Command("redo_edit", "Make the edit or stroke again that was taken back", "", _act("redo")),
)


def find(name: str) -> Command:
    """A command by its name."""
    return next(command for command in COMMANDS if command.name == name)


def execute(command: Command, workspace: Workspace, show: Callable[[], object]) -> None:
    """Run a command; `show` opens the workspace's widget where there is something to see: a job, or what is wrong."""
    if command.starts_job:
        show()
    try:
        command.run(workspace)
    except PytcError as error:
        show()
        workspace.failed.emit(error)


def _execute_in_front(name: str) -> None:
    from napari import current_viewer

    from napari_pytc.ui.plugin import show_workspace, workspace_of

    viewer = current_viewer()
    if viewer is None:
        raise InvalidInput("There is no napari window.", "Open one, then try again.")
    execute(find(name), workspace_of(viewer), lambda: show_workspace(viewer))


def paint_strokes() -> None:
    """Select the strokes and the brush."""
    _execute_in_front("paint_strokes")


def train() -> None:
    """Train with the settings of the Train panel."""
    _execute_in_front("train")


def live() -> None:
    """Switch live learning on or off."""
    _execute_in_front("live")


def paint_next() -> None:
    """Fly to the place where painting helps most."""
    _execute_in_front("paint_next")


def toggle_uncertainty() -> None:
    """Show or hide the uncertainty of the prediction."""
    _execute_in_front("toggle_uncertainty")


def predict_view() -> None:
    """Predict what is in view."""
    _execute_in_front("predict_view")


def predict_all() -> None:
    """Predict everything, from the view outwards."""
    _execute_in_front("predict_all")


def toggle_prediction() -> None:
    """Show or hide the prediction."""
    _execute_in_front("toggle_prediction")


def cancel_jobs() -> None:
    """Cancel all jobs."""
    _execute_in_front("cancel_jobs")


def draw_box() -> None:
    """Draw a box on the canvas."""
    _execute_in_front("draw_box")


def hold_out() -> None:
    """Hold the drawn box out of training."""
    _execute_in_front("hold_out")


def proofread() -> None:
    """Give mouse and keys to the segments."""
    _execute_in_front("proofread")


def review_next() -> None:
    """Fly to the next place of the review."""
    _execute_in_front("review_next")


def undo_edit() -> None:
    """Take the last edit or stroke back."""
    _execute_in_front("undo_edit")


def redo_edit() -> None:
    """Make the edit or stroke again that was taken back last."""
    _execute_in_front("redo_edit")
