"""The keys of the workspace."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from napari_pytc.ui.commands import COMMANDS, Command, execute
from napari_pytc.ui.proofreading.acts import acts_of

if TYPE_CHECKING:
    import napari.viewer

    from napari_pytc.ui.workspace import Workspace


def bind_keys(viewer: napari.viewer.Viewer, workspace: Workspace) -> None:
    """Bind the commands' keys on a viewer; napari shows them with the viewer's own."""
    for command in COMMANDS:
        if command.keys:
            viewer.bind_key(command.keys, _action(command, workspace), overwrite=True)
    acts_of(workspace)  # binds its keys on the layers of segments as they come


def _action(command: Command, workspace: Workspace) -> Callable[[Any], None]:
    def act(viewer: Any) -> None:
        from napari_pytc.ui.plugin import show_workspace

        execute(command, workspace, lambda: show_workspace(viewer))

    act.__name__, act.__doc__ = command.name, command.title  # napari wants a name, and shows the text
    return act
