"""The commands of the palette and the menus, as the manifest names them; they act on the viewer in front."""

from __future__ import annotations

from collections.abc import Callable

from napari import current_viewer

from napari_pytc.errors import InvalidInput
from napari_pytc.ui.commands import execute, find
from napari_pytc.ui.workspaces import controllers_for, open_workspace_dock


def _in_front(name: str) -> Callable[[], None]:
    def run() -> None:
        viewer = current_viewer()
        if viewer is None:
            raise InvalidInput("There is no napari window.", "Open one, then try again.")
        execute(find(name), controllers_for(viewer), lambda: open_workspace_dock(viewer))

    run.__name__, run.__doc__ = name, find(name).title
    return run


paint_strokes = _in_front("paint_strokes")
train = _in_front("train")
live = _in_front("live")
paint_next = _in_front("paint_next")
toggle_uncertainty = _in_front("toggle_uncertainty")
predict_view = _in_front("predict_view")
predict_all = _in_front("predict_all")
toggle_prediction = _in_front("toggle_prediction")
cancel_jobs = _in_front("cancel_jobs")
draw_box = _in_front("draw_box")
hold_out = _in_front("hold_out")
proofread = _in_front("proofread")
review_next = _in_front("review_next")
next_volume = _in_front("next_volume")
previous_volume = _in_front("previous_volume")
undo_edit = _in_front("undo_edit")
redo_edit = _in_front("redo_edit")
