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
from napari_pytc.volumes.opening import open_volume
from napari_pytc.volumes.zarr_output import create_ome_zarr, open_ome_zarr
from tests.support.evidence import prediction_of
from tests.support.faults import StepContext
from tests.support.segmentations import SegmentedTissue, make_segmentation
from tests.support.tissue import make_tissue

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


@pytest.fixture
def segmented(tmp_path: Path) -> SegmentedTissue:
    return make_segmentation(tmp_path / "segments" / "first", SHAPE, n_cells=8)


@pytest.mark.parametrize("name", ["out.tif", "out.ome.tif", "out.h5", "out.zarr"])
def test_segments_keep_their_ids_in_every_format(segmented: SegmentedTissue, tmp_path: Path, name: str):
    job = ExportJob(segmentation=segmented.segmentation.folder, what="segments", output=tmp_path / name)
    result = parse_job(job.model_dump(mode="json")).run(StepContext())
    assert (result["shape"], result["dtype"]) == (list(SHAPE), "uint32")
    found = open_volume(tmp_path / name).read(Box.of_shape(SHAPE))
    assert np.array_equal(found, segmented.segments)


def test_a_box_of_segments(segmented: SegmentedTissue, tmp_path: Path):
    box = Box((1, 3, 5), (6, 33, 45))
    options = {"segmentation": segmented.segmentation.folder, "what": "segments", "box": box}
    ExportJob(output=tmp_path / "out.h5", **options).run(StepContext())
    with h5py.File(tmp_path / "out.h5") as file:
        assert np.array_equal(file["main"][...], segmented.segments[box.slices])


def test_segments_to_a_table(segmented: SegmentedTissue, tmp_path: Path):
    ctx = StepContext()
    output = tmp_path / "out.csv"
    result = ExportJob(segmentation=segmented.segmentation.folder, what="table", output=output).run(ctx)
    assert result["rows"] == len(np.unique(segmented.segments[segmented.segments > 0]))
    assert result["bytes"] == output.stat().st_size
    assert ctx.reports[-1][0] == ctx.reports[-1][1]


def test_segments_need_a_segmentation_and_predictions_a_prediction(segmented: SegmentedTissue, tmp_path: Path):
    for what, sentence in (
        ("segments", "which segmentation"),
        ("table", "which segm"),
        ("classes", "which prediction"),
    ):
        with pytest.raises(InvalidInput, match=sentence):
            ExportJob(what=what, output=tmp_path / ("o.csv" if what == "table" else "o.tif")).run(StepContext())
    place = segmented.segmentation.folder
    with pytest.raises(InvalidInput, match="over itself"):
        ExportJob(segmentation=place, what="segments", output=place / "out.tif").run(StepContext())
    with pytest.raises(VolumeError, match="no finished segmentation"):
        ExportJob(segmentation=tmp_path / "x", what="segments", output=tmp_path / "o.tif").run(StepContext())
    assert not list(tmp_path.glob("o*"))


@pytest.mark.parametrize(("what", "told"), [(("near", "far"), "7 affinities"), (("boundary", "distance"), "boundary")])
def test_affinities_are_no_classes(tmp_path: Path, what: tuple[str, ...], told: str):
    cells = make_tissue(SHAPE, n_cells=8).cells
    place = prediction_of(tmp_path / "p.zarr", cells, VoxelSpace((40, 4, 4)), what)
    with pytest.raises(InvalidInput, match=f"{told}.*no classes to export") as caught:
        ExportJob(prediction=place, output=tmp_path / "o.tif").run(StepContext())
    assert "segment it" in caught.value.hint
    result = ExportJob(prediction=place, what="probabilities", output=tmp_path / "o.tif").run(StepContext())
    assert result["shape"][0] == len(open_ome_zarr(place).channels)


def test_an_array_without_channels_is_no_prediction(tmp_path: Path):
    create_ome_zarr(tmp_path / "labels.zarr", SHAPE, np.dtype(np.uint8), VoxelSpace((40, 4, 4)))
    with pytest.raises(VolumeError, match="no channels"):
        ExportJob(prediction=tmp_path / "labels.zarr", output=tmp_path / "out.tif").run(StepContext())


@pytest.mark.parametrize("name", ["out.tif", "out.h5", "out.zarr"])
def test_a_cancel_leaves_nothing(prediction: tuple[Path, np.ndarray], tmp_path: Path, name: str):
    with pytest.raises(JobCancelled):
        ExportJob(prediction=prediction[0], output=tmp_path / name).run(StepContext(fail_at=1))
    assert [p.name for p in tmp_path.iterdir()] == ["predictions"]
