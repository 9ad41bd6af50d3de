from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from napari_pytc.decoding.blocks.prediction_diff import TILE, differs, read_changes, rows_of
from napari_pytc.decoding.jobs import CompareJob
from napari_pytc.errors import InvalidInput, VolumeError
from napari_pytc.geometry import Box, TileGrid, VoxelSpace
from napari_pytc.jobs.context import JobCancelled
from napari_pytc.jobs.spec import JobSpec
from napari_pytc.volumes.channels import ClassRole
from tests.support.contexts import RecordingContext
from tests.support.evidence import write_prediction
from tests.support.faults import file_size_limit

SHAPE = (20, 140, 300)
SPACE = VoxelSpace((30.0, 8.0, 8.0))
ROLES = [ClassRole(name="membrane"), ClassRole(name="inside")]


def written(path: Path, membrane: np.ndarray) -> Path:
    return write_prediction(path, np.stack([membrane, 1 - membrane]), ROLES, SPACE)


def job(tmp_path: Path, **options: object) -> CompareJob:
    return CompareJob(former=tmp_path / "p", prediction=tmp_path / "q", output=tmp_path / "out" / "c.json", **options)


def test_boxes_hold_all_that_differs_and_little_else(tmp_path: Path) -> None:
    previous = np.random.default_rng(0).random(SHAPE)
    present, place = previous.copy(), Box((17, 5, 130), (19, 30, 160))
    present[place.slices] = 1 - present[place.slices]
    written(tmp_path / "p", previous)
    written(tmp_path / "q", present)
    spec = JobSpec.parse(job(tmp_path).model_dump(mode="json"))
    ctx = RecordingContext()
    result = spec.run(ctx)
    boxes = read_changes(tmp_path / "out" / "c.json")
    assert (result["changed"], result["tiles"]) == (1, len(TileGrid(Box.of_shape(SHAPE), TILE)))
    assert boxes == (Box((16, 0, 128), (20, 128, 256)),)
    assert boxes[0].contains(place)
    assert 0 < result["share"] < 0.1
    assert ctx.progress[-1][0] == ctx.progress[-1][1]


def test_the_same_prediction_has_no_changes_and_a_box_is_enough(tmp_path: Path) -> None:
    values = np.random.default_rng(1).random(SHAPE)
    written(tmp_path / "p", values)
    written(tmp_path / "q", np.where(np.arange(SHAPE[2]) < 100, 1 - values, values))
    assert job(tmp_path, box=Box((0, 0, 128), SHAPE)).run(RecordingContext())["changed"] == 0
    assert read_changes(tmp_path / "out" / "c.json") == ()
    assert job(tmp_path).run(RecordingContext())["changed"] > 0
    assert job(tmp_path, mean=1.0, flipped=1.0).run(RecordingContext())["changed"] == 0


def test_what_counts_as_a_change() -> None:
    previous = np.full((2, 4, 10, 10), 100, np.uint8)
    assert not differs(previous, previous, 0, 0)
    assert not differs(previous, previous + 5, 0.03, 0.0)  # moved a little, nothing is on the other side
    assert differs(previous, previous + 10, 0.03, 1.0)  # everything moved
    one = previous.copy()
    one[0, 0, 0, 0] = 200
    assert differs(previous, one, 1.0, 0.0)
    assert not differs(previous, one, 1.0, 0.01)
    near = np.full_like(previous, 127)
    assert not differs(near, near + 2, 1.0, 0.0)  # over the middle, but by nothing to speak of
    assert not differs(previous[:, :0], previous[:, :0], 0, 0)


def test_neighbours_along_x_are_one_box() -> None:
    grid = list(TileGrid(Box.of_shape((2, 4, 9)), (2, 2, 3)))
    boxes = [tile.write for tile in grid]
    assert rows_of(boxes) == [Box((0, 0, 0), (2, 2, 9)), Box((0, 2, 0), (2, 4, 9))]
    assert rows_of([boxes[0], boxes[2]]) == [boxes[0], boxes[2]]
    assert rows_of([]) == []


def test_other_channels_or_shapes_are_refused(tmp_path: Path) -> None:
    values = np.random.default_rng(2).random((4, 8, 8))
    written(tmp_path / "p", values)
    write_prediction(tmp_path / "q", values[None], [ClassRole(name="membrane")], SPACE)
    with pytest.raises(InvalidInput, match="same channels"):
        job(tmp_path).run(RecordingContext())
    with pytest.raises(VolumeError, match="no folder"):
        CompareJob(former=tmp_path / "p", prediction=tmp_path / "x", output=tmp_path / "c").run(RecordingContext())


def test_cancelled_and_on_a_full_disk(tmp_path: Path) -> None:
    values = np.random.default_rng(3).random((4, 8, 8))
    written(tmp_path / "p", values)
    written(tmp_path / "q", 1 - values)
    with pytest.raises(JobCancelled):
        job(tmp_path).run(RecordingContext(cancel_after=0))
    with file_size_limit(1), pytest.raises(VolumeError, match="could not be written"):
        job(tmp_path).run(RecordingContext())
    with pytest.raises(VolumeError, match="cannot be read"):
        read_changes(tmp_path / "out" / "c.json")
    (tmp_path / "out" / "c.json").write_text('["x"]')
    with pytest.raises(VolumeError, match="cannot be read"):
        read_changes(tmp_path / "out" / "c.json")
