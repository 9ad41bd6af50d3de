"""What every exporter must do; a test class inherits from it and says how its files are read."""

from __future__ import annotations

import errno
import os
import shutil
import sys
import tracemalloc
from pathlib import Path
from typing import ClassVar

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from napari_pytc.errors import InvalidInput, VolumeError
from napari_pytc.exporting.base import ExportOptions
from napari_pytc.exporting.formats import exporter_for
from napari_pytc.geometry import Box, VoxelSpace
from napari_pytc.jobs.context import JobCancelled
from napari_pytc.volumes.opening import open_volume
from napari_pytc.volumes.spec import ReadOptions
from tests.support.arrays import FakeArray, VirtualArray
from tests.support.faults import StepContext, file_size_limit

NAMES = ("membrane", "mitochondriën", "rest")


def some_labels(shape: tuple[int, int, int] = (7, 40, 50), dtype: str = "uint8", seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 100, shape).astype(dtype)


def some_prediction(shape: tuple[int, int, int] = (7, 40, 50)) -> FakeArray:
    return FakeArray(np.stack([some_labels(shape, seed=k) for k in range(3)]), channels=NAMES)


class ExporterContract:
    """Inherit, set `name`, and give `read_back` with the reader that the field uses."""

    name: str
    key: str | None = None
    """Of the format, where the name does not say it."""
    dtypes = ("uint8", "uint16", "float32", "uint32")
    """Types of labels and images that it holds."""
    stored: ClassVar[dict[str, str]] = {}
    """Types that it stores as another."""
    has_channels = True
    needs_voxel_size = False
    large_shape = (8, 64, 64)
    """Of a volume with a file of more than 5000 bytes."""

    def read_back(self, path: Path) -> tuple[np.ndarray, tuple[float, ...] | None]:
        """The array and its voxel size in nm (None if the file does not tell), read without napari_pytc."""
        raise NotImplementedError

    def reopened(self, path: Path, channel: int | None = None) -> tuple[np.ndarray, VoxelSpace]:
        volume = open_volume(path, ReadOptions(channel=channel))
        return volume.read(Box.of_shape(volume.shape)), volume.space

    def export(self, array: FakeArray | VirtualArray, path: Path, ctx: StepContext | None = None, **options) -> None:
        exporter = exporter_for(path, self.key)
        plan = exporter.plan(array, ExportOptions(**options))
        assert plan.shapes[0] == array.shape
        is_labels = not array.channels and options.get("content") != "image"
        assert plan.dtype == (self.stored if is_labels else {}).get(array.dtype.name, array.dtype.name)
        exporter.export(array, path, ExportOptions(**options), ctx or StepContext())

    def some_array(self, shape: tuple[int, int, int] = (7, 40, 50)) -> FakeArray:
        return some_prediction(shape) if self.has_channels else FakeArray(some_labels(shape))

    def is_intact(self, path: Path, expected: np.ndarray) -> bool:
        return np.array_equal(self.read_back(path)[0], expected)

    @pytest.mark.parametrize("dtype", ["uint8", "uint16", "float32", "uint32"])
    def test_labels_come_back(self, tmp_path: Path, dtype: str):
        labels, path = some_labels(dtype=dtype), tmp_path / self.name
        if dtype not in self.dtypes:
            with pytest.raises(InvalidInput, match=f"got {dtype}") as caught:
                self.export(FakeArray(labels), path)
            assert "type" in caught.value.hint or "TIFF series" in caught.value.hint
            assert list(tmp_path.iterdir()) == []
            return
        self.export(FakeArray(labels), path, class_names=NAMES)
        array, voxel_size_nm = self.read_back(path)
        assert array.dtype == self.stored.get(dtype, dtype)
        assert np.array_equal(array, labels)
        assert voxel_size_nm == pytest.approx((40.0, 4.6, 4.0))
        assert [p.name for p in tmp_path.iterdir()] == [self.name]

    def test_labels_open_as_a_volume(self, tmp_path: Path):
        labels, path = some_labels(), tmp_path / self.name
        self.export(FakeArray(labels), path)
        array, space = self.reopened(path)
        assert array.dtype == self.stored.get("uint8", "uint8")
        assert np.array_equal(array, labels)
        assert space.known
        assert space.voxel_size_nm == pytest.approx((40.0, 4.6, 4.0))

    def test_probabilities_come_back(self, tmp_path: Path):
        prediction, path = some_prediction(), tmp_path / self.name
        if not self.has_channels:
            with pytest.raises(InvalidInput, match="one channel, got 3") as caught:
                self.export(prediction, path)
            assert "OME-TIFF" in caught.value.hint
            assert list(tmp_path.iterdir()) == []
            return
        self.export(prediction, path)
        array, voxel_size_nm = self.read_back(path)
        assert np.array_equal(array, prediction.data)
        assert voxel_size_nm == pytest.approx((40.0, 4.6, 4.0))
        for channel in range(3):
            assert np.array_equal(self.reopened(path, channel)[0], prediction.data[channel])

    def test_an_unknown_voxel_size_is_not_made_up(self, tmp_path: Path):
        path = tmp_path / self.name
        if self.needs_voxel_size:
            with pytest.raises(InvalidInput, match="voxel size"):
                self.export(FakeArray(some_labels(), VoxelSpace.unknown()), path)
            return
        self.export(FakeArray(some_labels(), VoxelSpace.unknown()), path)
        assert self.is_intact(path, some_labels())
        assert self.read_back(path)[1] is None
        assert not self.reopened(path)[1].known

    @settings(
        max_examples=25,
        deadline=None,
        # Each exporter runs this test, and each example overwrites the file of the last: both are meant.
        suppress_health_check=[
            HealthCheck.function_scoped_fixture,
            HealthCheck.differing_executors,
            HealthCheck.too_slow,
        ],
    )
    @given(
        shape=st.tuples(st.integers(1, 9), st.integers(1, 70), st.integers(1, 70)),
        n_channels=st.integers(0, 4),
        block_bytes=st.sampled_from([1, 500, 10_000, 2**20]),
    )
    def test_any_shape_comes_back(self, tmp_path: Path, shape: tuple[int, int, int], n_channels: int, block_bytes: int):
        n_channels = n_channels if self.has_channels else 0
        data = np.stack([some_labels(shape, seed=k) for k in range(max(1, n_channels))])
        channels = tuple(f"c{k}" for k in range(n_channels))
        array = FakeArray(data if channels else data[0], channels=channels)
        path = tmp_path / self.name
        self.export(array, path, block_bytes=block_bytes, overwrite=True)
        # Readers drop axes of length 1, which says nothing of the voxels.
        assert np.array_equal(np.squeeze(self.read_back(path)[0]), np.squeeze(array.data))

    def test_progress_ends_at_the_total(self, tmp_path: Path):
        ctx = StepContext()
        self.export(self.some_array(), tmp_path / self.name, ctx)
        done = [d for d, _ in ctx.reports]
        assert done == sorted(done)
        assert ctx.reports[-1][0] == ctx.reports[-1][1] > 0

    def test_an_existing_target_is_kept_unless_told(self, tmp_path: Path):
        path = tmp_path / self.name
        self.export(FakeArray(some_labels()), path)
        with pytest.raises(VolumeError, match="already something") as caught:
            self.export(FakeArray(some_labels(seed=1)), path)
        assert caught.value.hint
        assert self.is_intact(path, some_labels())
        self.export(FakeArray(some_labels((3, 4, 5), seed=1)), path, overwrite=True)
        assert self.is_intact(path, some_labels((3, 4, 5), seed=1))
        assert [p.name for p in tmp_path.iterdir()] == [self.name]

    def test_a_folder_of_something_else_is_never_replaced(self, tmp_path: Path):
        path = tmp_path / self.name
        path.mkdir()
        for mark in ("info", "zarr.json", ".zgroup"):
            (path / mark).write_text("{}")  # what other programs wrote
        (path / "thesis.txt").write_text("years of work")
        with pytest.raises(VolumeError, match="folder"):
            self.export(FakeArray(some_labels()), path, overwrite=True)
        assert (path / "thesis.txt").read_text() == "years of work"

    def test_an_export_within_a_project_replaces_no_folder_of_it(self, tmp_path: Path):
        path = tmp_path / "a.pytc" / self.name
        path.parent.mkdir()
        self.export(FakeArray(some_labels()), path)
        (path.parent / "project.json").write_text("{}")
        if not path.is_dir():
            return  # a file is named by the user as it is
        with pytest.raises(VolumeError, match="within a project"):
            self.export(FakeArray(some_labels(seed=1)), path, overwrite=True)
        assert self.is_intact(path, some_labels())

    def test_a_missing_folder_is_told(self, tmp_path: Path):
        with pytest.raises(VolumeError, match="folder to export to does not exist") as caught:
            self.export(FakeArray(some_labels()), tmp_path / "missing" / self.name)
        assert caught.value.hint

    @pytest.mark.parametrize("existing", [False, True])
    @pytest.mark.parametrize("failure", [JobCancelled, OSError(errno.ENOSPC, "No space left on device")])
    def test_a_cancel_or_full_disk_at_any_check_leaves_nothing(self, tmp_path: Path, failure, existing: bool):
        path, array, options = tmp_path / self.name, self.some_array((40, 40, 30)), {"block_bytes": 2000}
        calm = StepContext()
        self.export(array, path, calm, **options)
        assert calm.n_checks >= 2
        if not existing:
            _remove(path)
        expected, sentence = (JobCancelled, None) if failure is JobCancelled else (VolumeError, "disk is full")
        for n in sorted({1, 2, calm.n_checks // 2, calm.n_checks}):
            with pytest.raises(expected, match=sentence):
                self.export(self.some_array((40, 40, 31)), path, StepContext(n, failure), overwrite=True, **options)
            assert [p.name for p in tmp_path.iterdir()] == ([self.name] if existing else [])
            assert not existing or self.is_intact(path, array.data)

    @pytest.mark.skipif(sys.platform == "win32", reason="the limit on file sizes is POSIX's")
    @pytest.mark.parametrize("limit", [0, 100, 1000, 3000, 5000])
    def test_a_write_refused_by_the_system_leaves_the_old_file(self, tmp_path: Path, limit: int):
        path = tmp_path / self.name
        self.export(FakeArray(some_labels((2, 3, 4))), path)
        with file_size_limit(limit), pytest.raises(VolumeError, match="full"):
            self.export(FakeArray(some_labels(self.large_shape)), path, overwrite=True)
        assert [p.name for p in tmp_path.iterdir()] == [self.name]
        assert self.is_intact(path, some_labels((2, 3, 4)))

    @pytest.mark.parametrize("step", ["fsync", "replace"])
    def test_a_failure_at_the_last_step_leaves_the_old_file(
        self, tmp_path: Path, step: str, monkeypatch: pytest.MonkeyPatch
    ):
        path = tmp_path / self.name
        self.export(FakeArray(some_labels()), path)

        def fail(source: object, *_: object) -> None:
            # An old folder steps aside, and back; and a Zarr is made atomically within what is exported.
            if step == "fsync" or Path(str(source)).parent.name.endswith(".tmp"):
                raise OSError(errno.ENOSPC, "No space left on device")
            replace(source, *_)  # type: ignore[arg-type]

        replace = os.replace
        monkeypatch.setattr(os, "fsync" if step == "fsync" else "replace", fail)
        with pytest.raises(VolumeError, match="disk is full"):
            self.export(FakeArray(some_labels(seed=1)), path, overwrite=True)
        monkeypatch.undo()
        assert [p.name for p in tmp_path.iterdir()] == [self.name]
        assert self.is_intact(path, some_labels())

    @pytest.mark.parametrize("channels", [(), NAMES])
    def test_memory_does_not_grow_with_the_volume(self, tmp_path: Path, channels: tuple[str, ...]):
        block_bytes = 2**20
        if channels and not self.has_channels:
            return
        peaks = []
        for n_z in (64, 192):
            array = VirtualArray((n_z, 256, 384), channels)
            tracemalloc.start()
            try:
                self.export(array, tmp_path / f"{n_z}_{self.name}", block_bytes=block_bytes)
                peaks.append(tracemalloc.get_traced_memory()[1])
            finally:
                tracemalloc.stop()
            # At least one chunk is read at a time: the largest there is has 32 x 128 x 128 voxels.
            assert array.largest <= max(block_bytes, self.chunk_bytes * max(1, len(channels)))
        # How many blocks wait for the disk at a time differs from run to run; a volume that is kept is far more.
        more = (192 - 64) * 256 * 384 * array.dtype.itemsize * max(1, len(channels))
        assert peaks[1] < peaks[0] + more / 2

    chunk_bytes = 0


def _remove(path: Path) -> None:
    if path.is_dir():
        shutil.rmtree(path)
    else:
        path.unlink()
