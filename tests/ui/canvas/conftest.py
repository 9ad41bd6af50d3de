"""Fixtures of the canvas: a project, its session, and its layers in a viewer that is none."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import h5py
import pytest

from napari_pytc.geometry import VoxelSpace
from napari_pytc.session.session import Session
from napari_pytc.ui.canvas.project_layers import ProjectLayers
from napari_pytc.ui.tasks.background import Background
from napari_pytc.volumes.image import as_image
from napari_pytc.volumes.source import VolumeSource
from tests.support.tissue import make_tissue
from tests.support.viewers import FakeViewer

SPACE = VoxelSpace((40.0, 10.0, 10.0))
SHAPE = (12, 48, 40)


@pytest.fixture
def project(tmp_path: Path) -> Path:
    with h5py.File(tmp_path / "raw.h5", "w") as file:
        file.create_dataset("main", data=make_tissue(SHAPE, anisotropy=4.0).raw)
    folder = tmp_path / "fly.pytc"
    Session.create(folder, tmp_path / "raw.h5", ["membrane", "inside"], voxel_size_nm=SPACE.voxel_size_nm).close()
    return folder


@pytest.fixture
def session(project: Path) -> Iterator[Session]:
    with Session.open(project) as session:
        yield session


@pytest.fixture
def viewer() -> FakeViewer:
    return FakeViewer()


@pytest.fixture
def background(qtbot: Any) -> Iterator[Background]:
    found = Background()
    yield found
    found.close()


@pytest.fixture
def show(background: Background, viewer: FakeViewer) -> Iterator[Callable[..., ProjectLayers]]:
    made: list[ProjectLayers] = []

    def make(session: Session, image: VolumeSource | None = None) -> ProjectLayers:
        shown = session.image.source if image is None else as_image(image)
        made.append(ProjectLayers(viewer, session, shown, background))
        return made[-1]

    yield make
    for layers in made:
        layers.close()


@pytest.fixture
def layers(show: Callable[..., ProjectLayers], session: Session) -> ProjectLayers:
    return show(session)
