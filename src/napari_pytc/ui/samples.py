"""The bundled samples as napari layers: File > Open Sample > PyTC."""

from __future__ import annotations

from typing import Any

import numpy as np
from napari import current_viewer

from napari_pytc.geometry import Box
from napari_pytc.samples import sample_path
from napari_pytc.ui.panels.data.sample_project import PROJECT, default_folder, open_sample_in
from napari_pytc.ui.plugin import show_workspace
from napari_pytc.volumes.opening import open_volume

SAMPLE_PROJECT = f"pytc://samples/{PROJECT}"
"""Path of the sample's project in the manifest, wherever the project is on this machine."""

LayerData = tuple[np.ndarray, dict[str, Any], str]
"""Layer data tuple of napari: data, keyword arguments, kind of layer."""

_MEDULLA: tuple[tuple[str, str, str, dict[str, Any]], ...] = (
    ("raw", "medulla", "image", {"colormap": "gray"}),
    ("neurons", "neurons (truth)", "labels", {"visible": False}),
    ("classes", "membrane 1, inside 2 (truth)", "labels", {"visible": False, "opacity": 0.4}),
    ("strokes", "strokes", "labels", {"opacity": 0.8}),
)
"""Dataset, layer name, kind of layer, how it is shown; strokes last, so that they lie on top."""


def medulla() -> list[LayerData]:
    """FIB-SEM of the *Drosophila* medulla with truth and strokes, scaled in nanometres."""
    layers: list[LayerData] = []
    for dataset, name, kind, shown in _MEDULLA:
        source = open_volume(f"{sample_path('medulla')}:{dataset}")
        placed = {
            "scale": source.space.voxel_size_nm,
            "translate": source.space.origin_nm,
            "units": ("nm", "nm", "nm"),
            "axis_labels": ("z", "y", "x"),
        }
        layers.append((source.read(Box.of_shape(source.shape)), {"name": name, **placed, **shown}, kind))
    return layers


def open_sample_project() -> list[tuple[None]]:
    """The sample's project in the workspace of the viewer in front; its layers come by themselves."""
    viewer = current_viewer()
    if viewer is not None:
        open_sample_in(show_workspace(viewer).workspace, default_folder())
    return [(None,)]
