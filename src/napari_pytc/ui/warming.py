"""What takes long the first time, done in the helper thread before it is needed in the window's."""

from __future__ import annotations

import importlib

_PANELS = ("data", "train", "predict", "segment", "proofread", "export", "jobs")
_OF_NAPARI = ("scipy.ndimage", "pandas", "skimage.color.colorconv", "skimage.exposure")
"""What napari imports when the first layers are added: seconds on a slow disk, and the window would stand still."""


def load_panels() -> None:
    """Import the panels and what they stand on."""
    for name in _PANELS:
        importlib.import_module(f"napari_pytc.ui.panels.{name}")
    for name in ("ui.layers", "decoding", "session.retraining"):
        importlib.import_module(f"napari_pytc.{name}")


def load_for_layers() -> None:
    """Import what napari needs for the first layers, and read its table of units, which takes as long."""
    for name in _OF_NAPARI:
        importlib.import_module(name)
    from napari_pytc.ui.viewer import load_units

    load_units()
