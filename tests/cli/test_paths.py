"""Projects, images and outputs that are named with ``..``, or with two slashes as a network share is."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest

from napari_pytc.geometry import Box, VoxelSpace
from napari_pytc.labels.store import LabelStore
from napari_pytc.session.session import Session
from napari_pytc.volumes.opening import open_volume
from napari_pytc.volumes.zarr_output import create_ome_zarr, open_ome_zarr
from tests.cli.conftest import Command
from tests.volumes.files import SHAPE, image, write_hdf5, write_zarr

pytestmark = pytest.mark.skipif(os.name == "nt", reason="two slashes in front are a share of Windows")


@pytest.fixture(params=["..", "two slashes", "link"])
def spelled(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """How a user in another folder names the folder with the data."""
    (tmp_path / "data").mkdir()
    (tmp_path / "sub").mkdir()
    monkeypatch.chdir(tmp_path / "sub")
    if request.param == "link":
        (tmp_path / "sub" / "link").symlink_to(tmp_path / "data")
    return {"..": "../data", "two slashes": f"/{tmp_path}/data", "link": "link/../data"}[request.param]


def test_projects_and_images(spelled: str, cli: Command, tmp_path: Path) -> None:
    write_hdf5(tmp_path / "data" / "up.h5", {"raw": image()}, {"voxel_size_nm": (40, 4, 4)})
    np.save(tmp_path / "data" / "strokes.npy", np.ones(SHAPE, np.uint8))
    project = f"{spelled}/up.pytc"
    for words in (
        ("new", project, "--image", f"{spelled}/up.h5", "--classes", "a,b"),
        ("annotate", project, f"{spelled}/strokes.npy"),
        ("info", project),
        ("relink", project, "--image", f"{spelled}/up.h5"),
    ):
        ended = cli(*words, "--json")
        assert ended.code == 0, ended.out
    (tmp_path / "sub").rename(tmp_path / "gone")
    with Session.open(tmp_path / "data" / "up.pytc") as session:
        assert session.image.source.shape == SHAPE
        assert sum(session.strokes.counts().values()) == image().size


@pytest.mark.parametrize("version", [2, 3])
def test_containers(spelled: str, version: int, tmp_path: Path) -> None:
    write_zarr(tmp_path / "data" / "up.zarr", image(), version)
    np.testing.assert_array_equal(open_volume(f"{spelled}/up.zarr").read(Box.of_shape(SHAPE)), image())


def test_outputs(spelled: str) -> None:
    made = create_ome_zarr(f"{spelled}/out.zarr", SHAPE, "uint8", VoxelSpace())
    made.write(Box.of_shape(SHAPE), image())
    np.testing.assert_array_equal(open_ome_zarr(f"{spelled}/out.zarr").read(Box.of_shape(SHAPE)), image())


def test_stores_of_labels(spelled: str) -> None:
    LabelStore.create(f"{spelled}/labels.zarr", SHAPE, np.uint32, VoxelSpace()).write(
        Box.of_shape(SHAPE), image("uint32")
    )
    np.testing.assert_array_equal(LabelStore.open(f"{spelled}/labels.zarr").read(Box.of_shape(SHAPE)), image("uint32"))
