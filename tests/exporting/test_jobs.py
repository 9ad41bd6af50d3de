from __future__ import annotations

import csv
from pathlib import Path

import h5py
import mrcfile
import numpy as np
import pytest
import tifffile
import zarr

from napari_pytc.errors import InvalidInput, PytcError, VolumeError
from napari_pytc.exporting import sources
from napari_pytc.exporting.export import bytes_on_disk
from napari_pytc.exporting.jobs import ExportJob
from napari_pytc.geometry import Box, VoxelSpace
from napari_pytc.jobs.context import JobCancelled
from napari_pytc.jobs.spec import JobSpec
from napari_pytc.labels.original_ids import OriginalIds
from napari_pytc.labels.segment_colours import colour_of
from napari_pytc.volumes.opening import open_volume
from napari_pytc.volumes.spec import NpySpec, ReadOptions
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
        "format": "HDF5",
        "levels": [[6, 40, 50]],
        "notes": [],
        "dataset": "labels",
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
    expected = data if what == "probabilities" else expected_classes(data)[None]
    for channel, one in enumerate(expected):
        output = open_volume(tmp_path / "out.zarr", ReadOptions(channel=channel if len(expected) > 1 else None))
        assert np.array_equal(output.read(Box.of_shape(box.shape)), one[box.slices])
        assert output.space.origin_nm == pytest.approx((40, 12, 20))
    assert result["bytes"] == bytes_on_disk(tmp_path / "out.zarr") > 0


def test_a_job_survives_json(tmp_path: Path):
    job = ExportJob(prediction=tmp_path / "p.zarr", output=tmp_path / "o.tif", box=Box((0, 0, 0), (1, 2, 3)))
    assert JobSpec.parse(job.model_dump(mode="json")) == job


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
    result = JobSpec.parse(job.model_dump(mode="json")).run(StepContext())
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


def options_of(prediction: Path, output: Path, **options) -> ExportJob:
    return ExportJob(prediction=prediction, output=output, **options)


@pytest.mark.parametrize(
    ("name", "options", "told"),
    [
        ("out.tif", {"ome": "0.4"}, "TIFF has no option ome"),
        ("out.h5", {"pyramid": True}, "HDF5 has no option pyramid"),
        ("out.zarr", {"dataset": "main"}, "OME-Zarr has no option dataset"),
        ("out.mrc", {"layout": "cremi"}, "MRC has no option layout"),
        ("out.h5", {"layout": "cremi", "what": "probabilities"}, "CREMI layout"),
        ("out.h5", {"format": "zarr"}, "named like HDF5"),
        ("out.h5", {"format": "xyz"}, "no export format"),
    ],
)
def test_an_option_that_would_do_nothing_is_refused(prediction, tmp_path: Path, name: str, options: dict, told: str):
    with pytest.raises(InvalidInput, match=told):
        options_of(prediction[0], tmp_path / name, **options).run(StepContext())
    assert [p.name for p in tmp_path.iterdir()] == ["predictions"]


@pytest.mark.parametrize("name", ["out.h5", "out.zarr", "out.precomputed", "out.tif"])
@pytest.mark.parametrize("dtype", ["uint16", "uint64"])
def test_another_type_is_told_and_changes_no_label(prediction, tmp_path: Path, name: str, dtype: str):
    path, data = prediction
    result = options_of(path, tmp_path / name, dtype=dtype).run(StepContext())
    assert f"Voxels are uint8 and were written as {dtype}." in result["notes"]
    found = open_volume(tmp_path / name)
    assert np.array_equal(found.read(Box.of_shape(SHAPE)), expected_classes(data))
    assert found.dtype == ("uint32" if (name, dtype) == ("out.precomputed", "uint16") else dtype)


@pytest.mark.parametrize("options", [{"dtype": "uint16"}, {"ome": "0.4"}, {"dataset": "main"}, {"format": "h5"}])
def test_a_table_has_no_options_of_files(segmented: SegmentedTissue, tmp_path: Path, options: dict):
    job = ExportJob(segmentation=segmented.segmentation.folder, what="table", output=tmp_path / "out.csv", **options)
    with pytest.raises(InvalidInput, match=f"A table has no option {next(iter(options))}"):
        job.run(StepContext())
    assert not (tmp_path / "out.csv").exists()


def test_probabilities_as_float_are_from_0_to_1(prediction, tmp_path: Path):
    path, data = prediction
    result = options_of(path, tmp_path / "out.h5", what="probabilities", dtype="float32").run(StepContext())
    with h5py.File(tmp_path / "out.h5") as file:
        np.testing.assert_allclose(file["main"][...], data / 255, rtol=1e-6)
    assert result["notes"] == ["Voxels are uint8 and were written as float32, 0 to 1."]


def test_cremi_has_its_names_types_and_attributes(segmented: SegmentedTissue, tmp_path: Path):
    box = Box((1, 3, 5), (6, 33, 45))
    job = ExportJob(
        segmentation=segmented.segmentation.folder, what="segments", output=tmp_path / "o.h5", box=box, layout="cremi"
    )
    result = job.run(StepContext())
    assert (result["dataset"], result["dtype"]) == ("volumes/labels/neuron_ids", "uint64")
    voxel = segmented.segmentation.space.voxel_size_nm
    with h5py.File(tmp_path / "o.h5") as file:
        assert file.attrs["file_format"] == "0.2"
        dataset = file["volumes/labels/neuron_ids"]
        assert dataset.dtype == np.uint64
        assert list(dataset.attrs["resolution"]) == list(voxel)
        assert list(dataset.attrs["offset"]) == [s * v for s, v in zip(box.start, voxel, strict=True)]
        assert np.array_equal(dataset[...], segmented.segments[box.slices])


PLACES = [
    "out.h5",
    "out.zarr",
    "out.precomputed",
    "old.zarr",
    "out.tif",
    "out.ome.tif",
    "out.nii",
    "out.nii.gz",
    "out.mrc",
]
"""Formats that know where a box was."""


@pytest.mark.parametrize("name", PLACES)
def test_a_box_read_back_lands_where_it_was(segmented: SegmentedTissue, tmp_path: Path, name: str):
    box = Box((1, 3, 5), (6, 33, 45))
    options = {"old.zarr": {"ome": "0.4"}, "out.mrc": {"dtype": "uint16"}}.get(name, {})
    ExportJob(
        segmentation=segmented.segmentation.folder, what="segments", output=tmp_path / name, box=box, **options
    ).run(StepContext())
    found = open_volume(tmp_path / name)
    voxel = found.space.voxel_size_nm
    start = [round(o / v) for o, v in zip(found.space.origin_nm, voxel, strict=True)]
    assert start == list(box.start)
    assert np.array_equal(found.read(Box.of_shape(box.shape)), segmented.segments[box.slices])


@pytest.mark.parametrize("name", ["out.h5", "out.zarr", "out.precomputed", "out.tif"])
def test_imported_ids_are_exported_as_they_were(segmented: SegmentedTissue, tmp_path: Path, name: str):
    folder, n = segmented.segmentation.folder, int(segmented.segments.max())
    table = np.zeros(n, np.uint64)  # the last segment is one that an edit made
    table[1:] = np.arange(1, n) * np.uint64(2**40) + np.uint64(7)
    OriginalIds(table).save(folder)
    result = ExportJob(segmentation=folder, what="segments", output=tmp_path / name).run(StepContext())
    assert result["dtype"] == "uint64"
    assert "1 segments that edits made" in result["notes"][0]
    found = open_volume(tmp_path / name).read(Box.of_shape(SHAPE))
    assert np.array_equal(found, np.append(table, table.max() + np.uint64(1))[segmented.segments])
    ExportJob(segmentation=folder, what="table", output=tmp_path / "t.csv").run(StepContext())
    with open(tmp_path / "t.csv", newline="") as file:
        assert {int(row["id"]) for row in csv.DictReader(file)} == set(np.unique(found).tolist()) - {0}
    shown = ExportJob(segmentation=folder, what="segments", output=tmp_path / f"shown.{name}", ids="shown")
    assert shown.run(StepContext())["dtype"] == "uint32"


def test_segments_have_the_colours_of_the_window_where_they_are_few(
    segmented: SegmentedTissue, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    job = ExportJob(segmentation=segmented.segmentation.folder, what="segments", output=tmp_path / "out.zarr")
    job.run(StepContext())
    label = zarr.open_group(tmp_path / "out.zarr/labels/segments", mode="r").attrs["ome"]["image-label"]
    ids = np.unique(segmented.segments[segmented.segments > 0])
    assert [entry["label-value"] for entry in label["colors"]] == ids.tolist()
    assert bytes(label["colors"][0]["rgba"][:3]).hex() == colour_of(int(ids[0]))[1:]
    monkeypatch.setattr(sources, "MOST_COLOURS", len(ids) - 1)
    job.model_copy(update={"overwrite": True}).run(StepContext())
    label = zarr.open_group(tmp_path / "out.zarr/labels/segments", mode="r").attrs["ome"]["image-label"]
    assert "colors" not in label


def test_classes_have_the_colours_of_the_project(prediction, tmp_path: Path):
    options_of(prediction[0], tmp_path / "out.zarr", class_colours={"inside": "#0a0b0c"}).run(StepContext())
    label = zarr.open_group(tmp_path / "out.zarr/labels/classes", mode="r").attrs["ome"]["image-label"]
    assert label["colors"][1] == {"label-value": 2, "rgba": [10, 11, 12, 255]}
    assert label["properties"] == [{"label-value": 1, "class": "membrane"}, {"label-value": 2, "class": "inside"}]


@pytest.mark.parametrize("name", ["out.zarr", "out.h5", "out.tif", "out.precomputed", "out.mrc"])
def test_an_image_is_exported_as_it_is(tmp_path: Path, name: str):
    raw = make_tissue(SHAPE, n_cells=8).raw
    np.save(tmp_path / "raw.npy", raw)
    space = VoxelSpace((40, 4, 4))
    job = ExportJob(what="image", image=NpySpec(path=tmp_path / "raw.npy"), space=space, output=tmp_path / name)
    result = JobSpec.parse(job.model_dump(mode="json")).run(StepContext())
    assert result["voxel_size_nm"] == [40, 4, 4]
    if name == "out.mrc":
        with mrcfile.open(tmp_path / name) as file:
            assert np.array_equal(file.data, raw)
        return
    found = open_volume(tmp_path / name)
    assert found.dtype == raw.dtype
    assert np.array_equal(found.read(Box.of_shape(SHAPE)), raw)
    assert not (tmp_path / name / "labels").exists()


def test_a_png_of_many_segments_is_refused_with_a_way_out(segmented: SegmentedTissue, tmp_path: Path):
    job = ExportJob(
        segmentation=segmented.segmentation.folder, what="segments", output=tmp_path / "series", format="png-series"
    )
    with pytest.raises(InvalidInput, match="uint8 or uint16, got uint32") as caught:
        job.run(StepContext())
    assert "uint16 (--dtype)" in caught.value.hint
    job.model_copy(update={"dtype": "uint16"}).run(StepContext())
    found = open_volume(tmp_path / "series").read(Box.of_shape(SHAPE))
    assert np.array_equal(found, segmented.segments)
    OriginalIds(np.arange(segmented.segmentation.record.n_supervoxels + 1) * 70_000).save(job.segmentation)
    with pytest.raises(InvalidInput, match="uint16 holds whole numbers from 0 to 65535"):
        job.model_copy(update={"dtype": "uint16", "output": tmp_path / "more"}).run(StepContext())
    assert not (tmp_path / "more").exists()
