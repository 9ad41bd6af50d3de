"""A window with the bundled sample: ``python -m napari_pytc.ui.demo DIR``."""

from __future__ import annotations

import sys
from pathlib import Path

import napari

from napari_pytc.ui.panels.data.sample_project import default_folder, open_sample_in
from napari_pytc.ui.plugin import show_workspace


def run(folder: Path) -> None:
    """Open a window with the sample; returns when it is closed."""
    viewer: napari.viewer.Viewer = napari.Viewer(title="napari-pytc")
    open_sample_in(show_workspace(viewer).workspace, folder)
    napari.run()


if __name__ == "__main__":
    run(Path(sys.argv[1]).absolute() if len(sys.argv) > 1 else default_folder())
