"""Pyramids, read and validated by libraries that know nothing of ours."""

from __future__ import annotations

import json
import shutil
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
import tensorstore as ts
import yaozarrs
import zarr
from hypothesis import given
from hypothesis import strategies as st
from ome_zarr_models import open_ome_zarr

from napari_pytc.errors import VolumeError
from napari_pytc.exporting import pyramid
from napari_pytc.exporting.base import ExportOptions
from napari_pytc.exporting.downsampling import downsample
from napari_pytc.exporting.formats import exporter_for
from napari_pytc.exporting.pyramid import pyramid_levels
from napari_pytc.geometry import Box, VoxelSpace
from napari_pytc.jobs.context import JobCancelled
from napari_pytc.volumes.opening import open_volume
from tests.support.arrays import FakeArray, VirtualArray
from tests.support.faults import StepContext

SPACE = VoxelSpace((40.0, 8.0, 8.0), (80.0, -16.0, 24.0))
SHAPE = (20, 75, 90)
COLOURS = {1: "#ff0000", 3: "#00ff80"}


@pytest.fixture(autouse=True)
def _small_pyramids(monkeypatch: pytest.MonkeyPatch) -> None:
    """Pyramids of small volumes, so that tests are quick."""
    monkeypatch.setattr(pyramid, "SMALLEST", 16)


def blobs(shape=SHAPE, dtype="uint32") -> np.ndarray:
    z, y, x = np.indices(shape)
    return ((z // 5 + y // 13 * 3 + x // 11 * 7) % 9).astype(dtype)


def write(path: Path, array, ctx: StepContext | None = None, **options) -> None:
    exporter_for(path).export(array, path, ExportOptions(**options), ctx or StepContext())


def steps_between(levels) -> list[tuple[int, ...]]:
    return [level.steps for level in levels[1:]]


def test_the_longer_voxel_edges_wait_until_voxels_are_nearly_cubes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pyramid, "SMALLEST", 256)
    flat, cube = (1, 2, 2), (2, 2, 2)
    for size, expected in (
        ((40, 4, 4), [flat, flat, flat, cube, cube]),
        ((30, 8, 8), [flat, flat, cube, cube, cube]),
        ((10, 10, 10), [cube] * 4),
        ((12, 10, 9), [cube] * 4),
        ((8, 8, 32), [(2, 2, 1)] * 2 + [cube] * 3),
    ):
        assert steps_between(pyramid_levels((4096, 4096, 4096), VoxelSpace(size)))[:5] == expected
    assert steps_between(pyramid_levels((512, 512, 512), VoxelSpace.unknown())) == [cube]
    assert steps_between(pyramid_levels((1, 1000, 1000), VoxelSpace((50, 4, 4)))) == [flat, flat]
    assert steps_between(pyramid_levels((1, 1000, 1000), VoxelSpace((1, 4, 4)))) == [flat, flat]
    assert len(pyramid_levels((100, 256, 200), VoxelSpace((10, 10, 10)))) == 1


@given(st.tuples(*[st.integers(1, 400)] * 3), st.tuples(*[st.integers(-9, 9)] * 3), st.sampled_from([1.0, 3.0, 9.0]))
def test_each_level_covers_the_one_below(shape, offset, thickness: float) -> None:
    levels = pyramid_levels(shape, VoxelSpace((thickness, 1.0, 1.0)), offset)
    assert max(levels[-1].shape) <= 16
    for below, level in pairwise(levels):
        for n, start, step, fine_n, fine_start in zip(
            level.shape, level.offset, level.steps, below.shape, below.offset, strict=True
        ):
            assert start * step <= fine_start < (start + 1) * step
            assert (start + n - 1) * step < fine_start + fine_n <= (start + n) * step


def expected_levels(data: np.ndarray, levels, method: str) -> list[np.ndarray]:
    found = [data]
    for level in levels[1:]:
        found.append(downsample(found[-1], level.steps, method, level.lead))
    return found


@pytest.mark.parametrize("version", ["0.4", "0.5"])
@pytest.mark.parametrize("block_bytes", [1, 300_000, 2**26])
def test_labels_have_a_group_with_colours(tmp_path: Path, version: str, block_bytes: int) -> None:
    path, labels = tmp_path / "out.zarr", blobs()
    write(
        path, FakeArray(labels, SPACE), name="classes", class_names=("a", "b", "c"), colours=COLOURS, ome=version,
        block_bytes=block_bytes,
    )  # fmt: skip
    levels = pyramid_levels(SHAPE, SPACE)
    assert len(levels) > 2
    group = zarr.open_group(path / "labels" / "classes", mode="r", zarr_format=2 if version == "0.4" else 3)
    for number, expected in enumerate(expected_levels(labels, levels, "mode")):
        np.testing.assert_array_equal(group[str(number)][...], expected)
    attributes = group.attrs if version == "0.4" else group.attrs["ome"]
    label = attributes["image-label"]
    assert label["colors"] == [
        {"label-value": 1, "rgba": [255, 0, 0, 255]},
        {"label-value": 3, "rgba": [0, 255, 128, 255]},
    ]
    assert label["properties"] == [{"label-value": 1, "class": "a"}, {"label-value": 3, "class": "c"}]
    for place in (path, path / "labels" / "classes"):
        yaozarrs.validate_zarr_store(str(place))
    assert type(open_ome_zarr(zarr.open_group(path / "labels" / "classes", mode="r"))).__name__ == "ImageLabel"
    # What is at the top is an image of the same levels, so that the folder opens as it is.
    assert "Image" in type(open_ome_zarr(zarr.open_group(path, mode="r"))).__name__
    again = open_volume(path)
    assert again.space == SPACE
    np.testing.assert_array_equal(again.read(Box.of_shape(SHAPE)), labels)


@pytest.mark.parametrize("version", ["0.4", "0.5"])
def test_levels_of_an_image_lie_over_one_another(tmp_path: Path, version: str) -> None:
    path, image = tmp_path / "out.zarr", np.random.default_rng(0).integers(0, 255, SHAPE).astype(np.uint8)
    write(path, FakeArray(image, SPACE), content="image", ome=version, block_bytes=100_000)
    store = yaozarrs.validate_zarr_store(str(path))
    group = zarr.open_group(path, mode="r", zarr_format=2 if version == "0.4" else 3)
    (multiscale,) = (group.attrs if version == "0.4" else group.attrs["ome"])["multiscales"]
    levels = pyramid_levels(SHAPE, SPACE)
    assert len(multiscale["datasets"]) == len(levels)
    for level, dataset, expected in zip(
        levels, multiscale["datasets"], expected_levels(image, levels, "mean"), strict=True
    ):
        np.testing.assert_array_equal(group[dataset["path"]][...], expected)
        scale, shift = (t[t["type"]] for t in dataset["coordinateTransformations"])
        assert scale == [v * f for v, f in zip(SPACE.voxel_size_nm, level.factors, strict=True)]
        # The place where its first voxel begins, half an edge before its centre, is that of the volume.
        corner = [s - v / 2 for s, v in zip(shift, scale, strict=True)]
        assert corner == pytest.approx([o - v / 2 for o, v in zip(SPACE.origin_nm, SPACE.voxel_size_nm, strict=True)])
    assert not (path / "labels").exists()
    assert store is not None


def test_channels_are_an_image_with_their_names(tmp_path: Path) -> None:
    data = np.random.default_rng(0).integers(0, 255, (2, *SHAPE)).astype(np.uint8)
    write(tmp_path / "out.zarr", FakeArray(data, SPACE, ("a", "b")), block_bytes=100_000)
    yaozarrs.validate_zarr_store(str(tmp_path / "out.zarr"))
    found = open_ome_zarr(zarr.open_group(tmp_path / "out.zarr", mode="r"))
    assert [channel["label"] for channel in found.attributes.ome.omero["channels"]] == ["a", "b"]
    levels = pyramid_levels(SHAPE, SPACE)
    group = zarr.open_group(tmp_path / "out.zarr", mode="r")
    for channel in range(2):
        for number, expected in enumerate(expected_levels(data[channel], levels, "mean")):
            np.testing.assert_array_equal(group[str(number)][channel], expected)


def test_without_a_pyramid_there_is_one_level(tmp_path: Path) -> None:
    write(tmp_path / "out.zarr", FakeArray(blobs(), SPACE), pyramid=False)
    write(tmp_path / "out.precomputed", FakeArray(blobs(), SPACE), pyramid=False)
    assert [child.name for child in (tmp_path / "out.zarr" / "labels" / "labels").iterdir() if child.is_dir()] == ["0"]
    assert len(json.loads((tmp_path / "out.precomputed" / "info").read_text())["scales"]) == 1


@pytest.mark.parametrize("block_bytes", [1, 1_000_000, 2**26])
@pytest.mark.parametrize("content", ["labels", "image"])
def test_scales_of_precomputed_are_aligned_to_the_whole(tmp_path: Path, content: str, block_bytes: int) -> None:
    """Offset 2, -2, 3: the first windows along x are half outside of the volume."""
    path, data = tmp_path / "out.precomputed", blobs()
    write(path, FakeArray(data, SPACE), content=content, block_bytes=block_bytes)
    info = json.loads((path / "info").read_text())
    levels = pyramid_levels(SHAPE, SPACE, (2, -2, 3))
    assert any(any(level.lead) for level in levels)
    assert len(info["scales"]) == len(levels)
    method = "mode" if content == "labels" else "mean"
    for number, (level, expected) in enumerate(zip(levels, expected_levels(data, levels, method), strict=True)):
        scale = info["scales"][number]
        assert scale["voxel_offset"] == list(reversed(level.offset))
        assert scale["resolution"] == [v * f for v, f in zip((8, 8, 40), reversed(level.factors), strict=True)]
        spec = {"driver": "neuroglancer_precomputed", "kvstore": f"file://{path}/", "scale_index": number}
        found = ts.open(spec, open=True).result()
        np.testing.assert_array_equal(found.read().result()[..., 0].T, expected)


@pytest.mark.parametrize("name", ["out.zarr", "out.precomputed"])
def test_a_cancel_or_full_disk_at_any_check_leaves_what_was_there(tmp_path: Path, name: str) -> None:
    path, options = tmp_path / name, {"block_bytes": 50_000}
    calm = StepContext()
    write(path, FakeArray(blobs(), SPACE), calm, **options)
    before = {file: file.read_bytes() for file in path.rglob("*") if file.is_file()}
    for failure, expected in ((JobCancelled, JobCancelled), (OSError(28, "No space left on device"), VolumeError)):
        for n in sorted({1, 2, calm.n_checks // 2, calm.n_checks - 1, calm.n_checks}):
            for there in (True, False):
                if not there:
                    shutil.move(path, tmp_path / "aside")
                with pytest.raises(expected):
                    write(path, FakeArray(blobs() + 1, SPACE), StepContext(n, failure), overwrite=True, **options)
                assert [file.name for file in tmp_path.iterdir()] == ([name] if there else ["aside"])
                if not there:
                    shutil.move(tmp_path / "aside", path)
    assert {file: file.read_bytes() for file in path.rglob("*") if file.is_file()} == before


@pytest.mark.parametrize("name", ["out.zarr", "out.precomputed"])
def test_a_block_is_read_once_and_is_no_larger_than_asked(tmp_path: Path, name: str) -> None:
    array = VirtualArray((128, 300, 520))
    read: list[Box] = []
    plain = array.read
    array.read = lambda box: (read.append(box), plain(box))[1]  # type: ignore[method-assign]
    write(tmp_path / name, array, block_bytes=2**22, content="image")
    assert array.largest <= 2**22
    assert sum(box.size for box in read) == 128 * 300 * 520
