"""The content of project.json: volumes by name and id, names that are free, and projects of version 0.1."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from napari_pytc.errors import InvalidInput, ProjectError
from napari_pytc.session.project.description import (
    Project,
    VolumeRecord,
    default_name,
    free_name,
    quoted,
    upgrade_schema_1,
    volume_name,
)
from napari_pytc.session.records import number_classes
from napari_pytc.volumes.fingerprint import Fingerprint
from napari_pytc.volumes.spec import NpySpec

FINGERPRINT = Fingerprint(shape=(4, 10, 12), dtype="uint8", n_bytes=480, digest="d")


def volume(id: str = "v1", name: str = "cells", **changes: Any) -> VolumeRecord:
    fields: dict[str, Any] = {
        "spec": NpySpec(path=Path("/data/cells.npy")),
        "fingerprint": FINGERPRINT,
        "voxel_size_nm": (30.0, 8.0, 8.0),
        "voxel_size_source": "user",
        **changes,
    }
    return VolumeRecord(id=id, name=name, **fields)


def project(*volumes: VolumeRecord) -> Project:
    return Project(volumes=volumes or (volume(),), classes=number_classes(["membrane", "inside"]))


def test_a_volume_is_found_by_its_name_first_and_then_by_its_id() -> None:
    found = project(volume(), volume("v2", "left side"))
    assert found.resolve("left side").id == "v2"
    assert found.resolve("v1").name == "cells"
    assert found.volume("v2").name == "left side"
    with pytest.raises(InvalidInput, match="no volume 'v3'; its volumes: cells, left side"):
        found.resolve("v3")
    with pytest.raises(ProjectError, match="was removed"):
        found.volume("v3")


def test_commands_name_a_volume_only_where_there_are_several() -> None:
    alone, other = volume(), volume("v2", "left side")
    assert project(alone).option(alone) == ""
    assert project(alone, other).option(other) == " --volume 'left side'"
    assert quoted("plain") == "plain"


@pytest.mark.parametrize(
    "volumes", [(), (volume(), volume(name="other")), (volume(), volume("v2"))], ids=["none", "ids", "names"]
)
def test_a_description_with_the_same_volume_twice_is_damaged(volumes: tuple[VolumeRecord, ...]) -> None:
    with pytest.raises(ValidationError):
        Project(volumes=volumes, classes=number_classes(["membrane"]))


def test_a_record_says_what_the_image_is(tmp_path: Path) -> None:
    record = volume(spec=NpySpec(path=tmp_path / "a.npy", channel=(0, 2)), origin_nm=(0.0, 16.0, 8.0))
    assert (record.shape, record.n_channels) == ((4, 10, 12), 2)
    assert (record.space.voxel_size_nm, record.space.origin_nm) == ((30.0, 8.0, 8.0), (0.0, 16.0, 8.0))
    with pytest.raises(ValidationError):
        volume("first")


@pytest.mark.parametrize(
    ("name", "told"),
    [("", "without commas"), ("a,b", "without commas"), ("a\nb", "without commas"), ("v3", "looks like an id"),
     ("left", "already")],
)  # fmt: skip
def test_names_that_would_be_mistaken_are_refused(name: str, told: str) -> None:
    with pytest.raises(InvalidInput, match=told):
        volume_name(name, ["left"])
    assert volume_name("  right ", ["left"]) == "right"


@pytest.mark.parametrize(
    ("place", "expected"),
    [
        ("/data/cells.ome.tif", "cells"),
        ("/data/cells.zarr/", "cells"),
        (r"C:\data\cells.h5", "cells"),
        ("s3://bucket/cells.n5", "cells"),
        ("/data/a,b.tif", "a-b"),
        ("/data/slice.0.5um.tif", "slice.0.5um"),
        ("/data/v2.tif", "volume-v2"),
        ("", "project"),
        ("image.zarr", "project"),
    ],
)
def test_a_volume_is_called_like_its_file(place: str, expected: str) -> None:
    assert default_name(place, "project") == expected


def test_a_name_that_is_taken_gets_a_number(tmp_path: Path) -> None:
    spec = NpySpec(path=tmp_path / "cells.npy")
    assert free_name(spec, tmp_path / "a.pytc", [], is_own=False) == "cells"
    assert free_name(spec, tmp_path / "a.pytc", ["cells", "cells-2"], is_own=False) == "cells-3"
    assert free_name(spec, tmp_path / "a.pytc", [], is_own=True) == "a"


def test_a_project_of_version_0_1_becomes_one_of_a_single_volume() -> None:
    now = project()
    (record,) = now.volumes
    old = {
        "schema_version": 1,
        "written_by": "0.1.0",
        "created": "2026-11-21T03:12:00+00:00",
        "image": record.spec.model_dump(mode="json"),
        "image_fingerprint": FINGERPRINT.model_dump(mode="json"),
        "voxel_size_nm": [30.0, 8.0, 8.0],
        "voxel_size_source": "user",
        "held_out": [],
        "annotations": "annotations-2.zarr",
        "classes": [one.model_dump(mode="json") for one in now.classes],
        "active_model": "m",
    }
    found = Project.model_validate(upgrade_schema_1(old, Path("/work/mine.pytc")))
    (moved,) = found.volumes
    assert (found.is_moving, found.active_model, found.written_by) == (True, "m", "0.1.0")
    assert (moved.id, moved.name, moved.added) == ("v1", "cells", old["created"])
    assert (moved.annotations, moved.fingerprint, moved.spec) == ("annotations-2.zarr", FINGERPRINT, record.spec)
    del old["image"]
    with pytest.raises(ValueError, match="it has no image"):
        upgrade_schema_1(old, Path("/work/mine.pytc"))
