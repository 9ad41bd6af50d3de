from __future__ import annotations

from pathlib import Path

import h5py
import numpy as np
import pytest
import tifffile

from napari_pytc.errors import InvalidInput, PytcError, VolumeError
from napari_pytc.exporting.jobs import ExportJob, bytes_on_disk
from napari_pytc.geometry import Box, VoxelSpace
from napari_pytc.jobs.context import JobCancelled
from napari_pytc.jobs.spec import parse_job
from napari_pytc.volumes.zarr_output import create_ome_zarr, open_ome_zarr
from tests.support.faults import StepContext

SHAPE = (6, 40, 50)


@pytest.fixture
def prediction(tmp_path: Path) -> tuple[Path, np.ndarray]:
    """A prediction of two classes whose last section was never predicted."""
    data = np.random.default_rng(0).integers(1, 256, (2, *SHAPE)).astype(np.uint8)
    data[:, 5] = 0
    path = tmp_path / "predictions" / "p.zarr"
    path.parent.mkdir()
    output = create_ome_zarr(path, SHAPE, np.dtype(np.uint8), VoxelSpace((40, 4, 4)), channels=("membrane", "inside"))
    output.write(Box((0, 0, 0), (5, 40, 50)), data[:, :5])
    return path, data


def expected_classes(data: np.ndarray) -> np.ndarray:
    return np.where(data.any(axis=0), data.argmax(axis=0) + 1, 0)


def test_classes_to_hdf5(prediction: tuple[Path, np.ndarray], tmp_path: Path):
    path, data = prediction
    ctx = StepContext()
    result = ExportJob(prediction=path, output=tmp_path / "out.h5", dataset="labels").run(ctx)
    with h5py.File(tmp_path / "out.h5") as file:
        assert np.array_equal(file["labels"][...], expected_classes(data))
        assert list(file["labels"].attrs["class_names"]) == ["membrane", "inside"]
    assert result.pop("seconds") > 0
    assert result == {
        "output": str(tmp_path / "out.h5"),
        "shape": [6, 40, 50],
        "dtype": "uint8",
        "bytes": (tmp_path / "out.h5").stat().st_size,
        "voxel_size_nm": [40.0, 4.0, 4.0],
    }
    assert ctx.reports[-1][0] == ctx.reports[-1][1]


def test_probabilities_to_tiff(prediction: tuple[Path, np.ndarray], tmp_path: Path):
    path, data = prediction
    result = ExportJob(prediction=path, what="probabilities", output=tmp_path / "out.ome.tif").run(StepContext())
    assert result["shape"] == [2, 6, 40, 50]
    assert np.array_equal(tifffile.imread(tmp_path / "out.ome.tif"), data)


@pytest.mark.parametrize("what", ["classes", "probabilities"])
def test_a_box_to_zarr(prediction: tuple[Path, np.ndarray], tmp_path: Path, what: str):
    path, data = prediction
    box = Box((1, 3, 5), (6, 33, 45))
    result = ExportJob(prediction=path, what=what, output=tmp_path / "out.zarr", box=box).run(StepContext())
    output = open_ome_zarr(tmp_path / "out.zarr")
    expected = data if what == "probabilities" else expected_classes(data)
    assert np.array_equal(output.read(Box.of_shape(box.shape)), expected[(..., *box.slices)])
    assert output.space.origin_nm == pytest.approx((40, 12, 20))
    assert result["bytes"] == bytes_on_disk(tmp_path / "out.zarr") > 0


def test_a_job_survives_json(tmp_path: Path):
    job = ExportJob(prediction=tmp_path / "p.zarr", output=tmp_path / "o.tif", box=Box((0, 0, 0), (1, 2, 3)))
    assert parse_job(job.model_dump(mode="json")) == job


@pytest.mark.parametrize(
    ("change", "error", "sentence"),
    [
        ({"output": "out.png"}, InvalidInput, "known suffix"),
        ({"output": "missing/out.tif"}, VolumeError, "does not exist"),
        ({"box": Box((0, 0, 0), (7, 40, 50))}, InvalidInput, "box to export"),
        ({"prediction": "nothing.zarr"}, PytcError, "nothing.zarr"),
        ({"output": "predictions/p.zarr", "overwrite": True}, InvalidInput, "over itself"),
        ({"output": "predictions/p.zarr/out.h5"}, InvalidInput, "over itself"),
    ],
)
def test_refusals(prediction: tuple[Path, np.ndarray], tmp_path: Path, change: dict, error: type, sentence: str):
    settings = {"prediction": prediction[0], "output": tmp_path / "out.tif"} | change
    for field in ("prediction", "output"):
        settings[field] = tmp_path / settings[field]
    with pytest.raises(error, match=sentence):
        ExportJob(**settings).run(StepContext())
    assert [p.name for p in tmp_path.iterdir()] == ["predictions"]
    assert open_ome_zarr(prediction[0]).shape == SHAPE


def test_an_array_without_channels_is_no_prediction(tmp_path: Path):
    create_ome_zarr(tmp_path / "labels.zarr", SHAPE, np.dtype(np.uint8), VoxelSpace((40, 4, 4)))
    with pytest.raises(VolumeError, match="no channels"):
        ExportJob(prediction=tmp_path / "labels.zarr", output=tmp_path / "out.tif").run(StepContext())


@pytest.mark.parametrize("name", ["out.tif", "out.h5", "out.zarr"])
def test_a_cancel_leaves_nothing(prediction: tuple[Path, np.ndarray], tmp_path: Path, name: str):
    with pytest.raises(JobCancelled):
        ExportJob(prediction=prediction[0], output=tmp_path / name).run(StepContext(fail_at=1))
    assert [p.name for p in tmp_path.iterdir()] == ["predictions"]
