"""The bundled sample as a project that is ready to paint."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from napari_pytc.ui.workspace import Workspace

if TYPE_CHECKING:
    # What reads volumes takes half a second to import, which the window's start cannot spare.
    from napari_pytc.session.opening import NewProject

PROJECT = "medulla.pytc"


def sample_project(folder: Path) -> NewProject:
    """The sample's volume with two classes and no strokes yet."""
    from napari_pytc.samples import sample_path
    from napari_pytc.session.opening import NewProject
    from napari_pytc.session.records import ClassSpec

    return NewProject(
        folder=folder / PROJECT,
        image=f"{sample_path('medulla')}:raw",
        classes=(ClassSpec(name="membrane"), ClassSpec(name="inside")),
    )


def default_folder() -> Path:
    """Folder that keeps the sample's project between sessions."""
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
