"""The bundled sample as a project that is ready to paint; `python -m napari_pytc.ui.demo DIR` opens it in a window."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING

from napari_pytc.samples import sample_path
from napari_pytc.session.opening import NewProject
from napari_pytc.session.records import ClassSpec

if TYPE_CHECKING:
    import napari.viewer

    from napari_pytc.ui.workspace import Workspace

PROJECT = "medulla.pytc"
URI = f"pytc://samples/{PROJECT}"
"""What the manifest calls the sample's project, wherever it is on this machine."""


def sample_project(folder: Path) -> NewProject:
    """The sample's volume with two classes and no strokes yet."""
    return NewProject(
        folder=folder / PROJECT,
        image=f"{sample_path('medulla')}:raw",
        classes=(ClassSpec(name="membrane"), ClassSpec(name="inside")),
    )


def default_folder() -> Path:
    """Where the sample's project is kept between sessions."""
    import platformdirs

    return Path(platformdirs.user_documents_dir()) / "napari-pytc"


def open_sample_in(workspace: Workspace, folder: Path) -> None:
    """Open the sample's project, which is made the first time; strokes of an earlier time are still there."""
    request = sample_project(folder)
    if request.folder.exists():
        workspace.open_project(request.folder)
    else:
        folder.mkdir(parents=True, exist_ok=True)
        workspace.create_project(request)


def ready_to_paint() -> list[tuple[None]]:
    """File > Open Sample > PyTC: the sample's project in the viewer in front."""
    from napari import current_viewer

    from napari_pytc.ui.plugin import show_workspace

    viewer = current_viewer()
    if viewer is not None:
        open_sample_in(show_workspace(viewer).workspace, default_folder())
    return [(None,)]


def run(folder: Path) -> None:
    """A window with the sample; returns when it is closed."""
    import napari

    from napari_pytc.ui.plugin import show_workspace

    viewer: napari.viewer.Viewer = napari.Viewer(title="napari-pytc")
    open_sample_in(show_workspace(viewer).workspace, folder)
    napari.run()


if __name__ == "__main__":
    run(Path(sys.argv[1]).absolute() if len(sys.argv) > 1 else default_folder())
