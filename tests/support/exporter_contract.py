"""What every exporter must do; a test class inherits from it and says how its files are read."""

from __future__ import annotations

import errno
import os
import shutil
import sys
import tracemalloc
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from napari_pytc.errors import VolumeError
from napari_pytc.exporting import ExportOptions, exporter_for
from napari_pytc.geometry import Box, VoxelSpace
from napari_pytc.jobs.context import JobCancelled
from napari_pytc.volumes.opening import open_volume
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

    def read_back(self, path: Path) -> tuple[np.ndarray, tuple[float, ...] | None]:
        """The array and its voxel size in nm (None if the file does not tell), read without napari_pytc."""
        raise NotImplementedError

    def reopened(self, path: Path, channel: int | None = None) -> tuple[np.ndarray, VoxelSpace]:
        volume = open_volume(path, channel=channel)
        return volume.read(Box.of_shape(volume.shape)), volume.space

    def export(self, array: FakeArray | VirtualArray, path: Path, ctx: StepContext | None = None, **options) -> None:
        exporter_for(path).export(array, path, ExportOptions(**options), ctx or StepContext())

    def is_intact(self, path: Path, expected: np.ndarray) -> bool:
        return np.array_equal(self.read_back(path)[0], expected)

    @pytest.mark.parametrize("dtype", ["uint8", "uint16", "float32", "uint32"])
    def test_labels_come_back(self, tmp_path: Path, dtype: str):
        labels, path = some_labels(dtype=dtype), tmp_path / self.name
        self.export(FakeArray(labels), path, class_names=NAMES)
        array, voxel_size_nm = self.read_back(path)
        assert array.dtype == labels.dtype
        assert np.array_equal(array, labels)
        assert voxel_size_nm == pytest.approx((40.0, 4.6, 4.0))
        assert [p.name for p in tmp_path.iterdir()] == [self.name]

    def test_labels_open_as_a_volume(self, tmp_path: Path):
        labels, path = some_labels(), tmp_path / self.name
        self.export(FakeArray(labels), path)
        array, space = self.reopened(path)
        assert array.dtype == labels.dtype
        assert np.array_equal(array, labels)
        assert space.known
        assert space.voxel_size_nm == pytest.approx((40.0, 4.6, 4.0))

    def test_probabilities_come_back(self, tmp_path: Path):
        prediction, path = some_prediction(), tmp_path / self.name
        self.export(prediction, path)
        array, voxel_size_nm = self.read_back(path)
        assert np.array_equal(array, prediction.data)
        assert voxel_size_nm == pytest.approx((40.0, 4.6, 4.0))
        for channel in range(3):
            assert np.array_equal(self.reopened(path, channel)[0], prediction.data[channel])

    def test_an_unknown_voxel_size_is_not_made_up(self, tmp_path: Path):
        path = tmp_path / self.name
        self.export(FakeArray(some_labels(), VoxelSpace.unknown()), path)
        assert self.is_intact(path, some_labels())
        assert not self.reopened(path)[1].known

    @settings(
        max_examples=25,
        deadline=None,
        # Each exporter runs this test, and each example overwrites the file of the last: both are meant.
        suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.differing_executors],
    )
    @given(
        shape=st.tuples(st.integers(1, 9), st.integers(1, 70), st.integers(1, 70)),
        n_channels=st.integers(0, 4),
        block_bytes=st.sampled_from([1, 500, 10_000, 2**20]),
    )
    def test_any_shape_comes_back(self, tmp_path: Path, shape: tuple[int, int, int], n_channels: int, block_bytes: int):
        data = np.stack([some_labels(shape, seed=k) for k in range(max(1, n_channels))])
        channels = tuple(f"c{k}" for k in range(n_channels))
        array = FakeArray(data if channels else data[0], channels=channels)
        path = tmp_path / self.name
        self.export(array, path, block_bytes=block_bytes, overwrite=True)
        # Readers drop axes of length 1, which says nothing of the voxels.
        assert np.array_equal(np.squeeze(self.read_back(path)[0]), np.squeeze(array.data))

    def test_progress_ends_at_the_total(self, tmp_path: Path):
        ctx = StepContext()
        self.export(some_prediction(), tmp_path / self.name, ctx)
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
        (path / "thesis.txt").write_text("years of work")
        with pytest.raises(VolumeError, match="folder"):
            self.export(FakeArray(some_labels()), path, overwrite=True)
        assert (path / "thesis.txt").read_text() == "years of work"

    def test_a_missing_folder_is_told(self, tmp_path: Path):
        with pytest.raises(VolumeError, match="folder to export to does not exist") as caught:
            self.export(FakeArray(some_labels()), tmp_path / "missing" / self.name)
        assert caught.value.hint

    @pytest.mark.parametrize("existing", [False, True])
    @pytest.mark.parametrize("failure", [JobCancelled, OSError(errno.ENOSPC, "No space left on device")])
    def test_a_cancel_or_full_disk_at_any_check_leaves_nothing(self, tmp_path: Path, failure, existing: bool):
        path, array, options = tmp_path / self.name, some_prediction((40, 40, 30)), {"block_bytes": 2000}
        calm = StepContext()
        self.export(array, path, calm, **options)
        assert calm.n_checks >= 2
        if not existing:
            _remove(path)
        expected, sentence = (JobCancelled, None) if failure is JobCancelled else (VolumeError, "disk is full")
        for n in sorted({1, 2, calm.n_checks // 2, calm.n_checks}):
            with pytest.raises(expected, match=sentence):
                self.export(some_prediction((40, 40, 31)), path, StepContext(n, failure), overwrite=True, **options)
            assert [p.name for p in tmp_path.iterdir()] == ([self.name] if existing else [])
            assert not existing or self.is_intact(path, array.data)

    @pytest.mark.skipif(sys.platform == "win32", reason="the limit on file sizes is POSIX's")
    @pytest.mark.parametrize("limit", [0, 100, 1000, 3000, 5000])
    def test_a_write_refused_by_the_system_leaves_the_old_file(self, tmp_path: Path, limit: int):
        path = tmp_path / self.name
        self.export(FakeArray(some_labels((2, 3, 4))), path)
        with file_size_limit(limit), pytest.raises(VolumeError, match="full"):
            self.export(FakeArray(some_labels((8, 64, 64))), path, overwrite=True)
        assert [p.name for p in tmp_path.iterdir()] == [self.name]
        assert self.is_intact(path, some_labels((2, 3, 4)))

    @pytest.mark.parametrize("step", ["fsync", "replace_or_rename"])
    def test_a_failure_at_the_last_step_leaves_the_old_file(
        self, tmp_path: Path, step: str, monkeypatch: pytest.MonkeyPatch
    ):
        path = tmp_path / self.name
        self.export(FakeArray(some_labels()), path)
        is_folder = path.is_dir()
        if step == "fsync" and is_folder:
            pytest.skip("a folder's files are synced by the store that writes them")

        def fail(source: object, *_: object) -> None:
            if not is_folder or ".part" in str(source):
                raise OSError(errno.ENOSPC, "No space left on device")
            rename(source, *_)  # the old folder steps aside, and back

        rename = os.rename
        monkeypatch.setattr(os, "fsync" if step == "fsync" else "rename" if is_folder else "replace", fail)
        with pytest.raises(VolumeError, match="disk is full"):
            self.export(FakeArray(some_labels(seed=1)), path, overwrite=True)
        monkeypatch.undo()
        assert [p.name for p in tmp_path.iterdir()] == [self.name]
        assert self.is_intact(path, some_labels())

    @pytest.mark.parametrize("channels", [(), NAMES])
    def test_memory_does_not_grow_with_the_volume(self, tmp_path: Path, channels: tuple[str, ...]):
        block_bytes = 2**20
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
        assert peaks[1] <= 1.2 * peaks[0] + 2**20

    chunk_bytes = 0


def _remove(path: Path) -> None:
    if path.is_dir():
        shutil.rmtree(path)
    else:
        path.unlink()
