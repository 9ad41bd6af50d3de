"""A project that holds a segmentation, for the window."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import tifffile

from napari_pytc.session.opening import NewProject, make_project
from napari_pytc.session.records import ClassSpec
from napari_pytc.session.session import Session
from napari_pytc.volumes.spec import ReadOptions
from tests.support.segmentations import SegmentedTissue, make_segmentation

SIZE_NM = (40.0, 8.0, 8.0)


def make_segmented_project(folder: Path, name: str = "cells", **options: object) -> SegmentedTissue:
    """Make ``name.pytc`` in a folder: synthetic tissue with two classes and a current segmentation ``first``."""
    project = folder / f"{name}.pytc"
    made = make_segmentation(folder / "aside" / "first", **options)  # type: ignore[arg-type]
    image = folder / f"{name}.tif"
    tifffile.imwrite(image, np.ascontiguousarray(made.tissue.raw))
    classes = (ClassSpec(name="membrane"), ClassSpec(name="inside"))
    options = ReadOptions(voxel_size_nm=made.tissue.space.voxel_size_nm)
    make_project(NewProject(project, image, classes, options))
    (project / "volumes/v1/segments").mkdir(exist_ok=True)
    (folder / "aside" / "first").rename(project / "volumes/v1/segments/first")
    session = Session.open(project)
    try:
        session.segmentations.activate("first")
    finally:
        session.close()
    return made
