"""Projects whose image has several channels: kept, checked, exported, and told."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
import tifffile

from napari_pytc.errors import InvalidInput, ModelError, VolumeError
from napari_pytc.exporting.export import export
from napari_pytc.geometry import Box
from napari_pytc.plans.recipes import load_recipe
from napari_pytc.report.commands import commands
from napari_pytc.report.facts import gather
from napari_pytc.report.pictures import pictures
from napari_pytc.session.records import ClassSpec
from napari_pytc.session.session import Session
from napari_pytc.session.volumes.building import NewVolume
from napari_pytc.volumes.image import open_image
from napari_pytc.volumes.source import ImageSource
from napari_pytc.volumes.spec import ReadOptions
from tests.session.models import make_model
from tests.support.contexts import RecordingContext
from tests.support.tissue import make_tissue

SHAPE = (6, 32, 40)
WHOLE = Box.of_shape(SHAPE)
SIZE = (40.0, 10.0, 10.0)


def channels() -> np.ndarray:
    """Tissue, noise, and tissue upside down."""
    raw = make_tissue(SHAPE, n_cells=8).raw
    noise = np.random.default_rng(0).integers(0, 255, SHAPE).astype(np.uint8)
    return np.stack([raw, noise, 255 - raw])


@pytest.fixture
def file(tmp_path: Path) -> Path:
    names = ["DAPI", "noise", "GFP"]
    path = tmp_path / "cells.ome.tif"
    metadata = {
        "axes": "CZYX", "Channel": {"Name": names},
        "PhysicalSizeX": 10, "PhysicalSizeXUnit": "nm", "PhysicalSizeY": 10, "PhysicalSizeYUnit": "nm",
        "PhysicalSizeZ": 40, "PhysicalSizeZUnit": "nm",
    }  # fmt: skip
    tifffile.imwrite(path, channels(), metadata=metadata, photometric="minisblack")
    return path


@pytest.fixture
def two(file: Path, tmp_path: Path) -> Iterator[Session]:
    """A project of the first and the last channel."""
    classes = [ClassSpec(name="a"), ClassSpec(name="b")]
    with Session.create(tmp_path / "p.pytc", file, classes, options=ReadOptions(channel=(0, 2))) as session:
        yield session


def read(image: ImageSource) -> np.ndarray:
    return image.read(Box.of_shape(image.shape))


def test_the_spec_in_project_json_has_the_channels(two: Session) -> None:
    record = json.loads((two.folder / "project.json").read_text())["volumes"][0]
    assert record["spec"]["channel"] == [0, 2]
    assert two.image.volume.notes == ("Channels read: 0 (DAPI), 2 (GFP); left out: 1 (noise).",)
    two.close()
    with Session.open(two.folder) as again:
        np.testing.assert_array_equal(read(again.image.check()), channels()[[0, 2]])
        assert again.image.source.channel_names == ("DAPI", "GFP")


def test_a_change_of_any_channel_is_found(two: Session, file: Path) -> None:
    changed = channels()
    changed[2] = 0
    tifffile.memmap(file)[...] = changed
    with pytest.raises(VolumeError, match="The image changed"):
        two.image.check()


def test_the_image_is_found_again_with_its_channels(two: Session, file: Path, tmp_path: Path) -> None:
    moved = tmp_path / "moved.h5"
    with h5py.File(moved, "w") as opened:
        opened["main"] = channels()
    two.image.relink(moved)
    np.testing.assert_array_equal(read(two.image.source), channels()[[0, 2]])
    assert two.image.spec.channel == (0, 2)
    with h5py.File(tmp_path / "one.h5", "w") as opened:
        opened["main"] = channels()[0]
    with pytest.raises(VolumeError, match="has 1 channel, so there is no channel 2"):
        two.image.relink(tmp_path / "one.h5")


def test_arrays_of_several_channels_are_copied_with_their_names(two: Session) -> None:
    arrays = tuple(channels()[:2])
    request = NewVolume(None, "layer", ReadOptions(voxel_size_nm=SIZE), arrays, ("raw", ""))
    record = two.volumes.add(request)
    assert record.spec.channel == (0, 1)
    image = two.at("layer").image.check()
    np.testing.assert_array_equal(read(image), channels()[:2])
    assert image.channel_names == ("raw", "channel 1")
    with pytest.raises(InvalidInput, match="Channels of one image have one shape"):
        two.volumes.add(NewVolume(None, "odd", ReadOptions(voxel_size_nm=SIZE), (arrays[0], arrays[1][1:])))
    assert two.volumes.names == ("cells", "layer")


@pytest.mark.parametrize(("channel", "places"), [("all", [0, 1, 2]), ((2, 0), [2, 0]), (1, [1])])
def test_an_array_with_a_channel_axis(two: Session, channel: Any, places: list[int]) -> None:
    two.volumes.add(NewVolume(None, "layer", ReadOptions(voxel_size_nm=SIZE, channel=channel), channels()))
    np.testing.assert_array_equal(read(two.at("layer").image.check()), channels()[places])


# ---- exports


@pytest.mark.parametrize("name", ["a.zarr", "a.tif", "a.ome.tif", "a.h5", "a.nii", "a.precomputed"])
def test_exports_have_all_channels(two: Session, name: str, tmp_path: Path) -> None:
    result = export(two.jobs.export_job("image", tmp_path / name), RecordingContext())
    assert result["shape"] == [2, *SHAPE]
    again = open_image(tmp_path / name, ReadOptions(channel="all"))
    np.testing.assert_array_equal(read(again), channels()[[0, 2]])
    assert again.space.voxel_size_nm == pytest.approx(SIZE)
    if name in ("a.zarr", "a.ome.tif", "a.h5"):
        assert again.channel_names == ("DAPI", "GFP")


def test_an_ome_zarr_says_how_channels_are_shown(two: Session, tmp_path: Path) -> None:
    export(two.jobs.export_job("image", tmp_path / "a.zarr"), RecordingContext())
    group = json.loads((tmp_path / "a.zarr" / "zarr.json").read_text())["attributes"]["ome"]
    dapi, gfp = group["omero"]["channels"]
    assert [dapi["color"], gfp["color"]] == ["00FF00", "FF00FF"]
    raw = channels()[0]
    assert dapi["window"]["start"] == pytest.approx(np.percentile(raw, 0.5))
    assert dapi["window"]["end"] == pytest.approx(np.percentile(raw, 99.5))
    assert gfp["window"]["end"] != dapi["window"]["end"]


@pytest.mark.parametrize(("name", "format"), [("a.mrc", None), ("sections", "png-series"), ("sections", "tif-series")])
def test_formats_of_one_channel_say_how_to_choose_one(
    two: Session, name: str, format: str | None, tmp_path: Path
) -> None:
    with pytest.raises(InvalidInput, match="has one channel, got 2") as caught:
        export(two.jobs.export_job("image", tmp_path / name, format=format), RecordingContext())
    assert "--channel" in caught.value.hint
    options = {"dtype": "float32"} if name == "a.mrc" else {"format": format}
    export(two.jobs.export_job("image", tmp_path / name, channel=2, **options), RecordingContext())
    np.testing.assert_array_equal(read(open_image(tmp_path / name))[0], channels()[2])


def test_a_channel_that_the_project_does_not_have_is_not_exported(two: Session, tmp_path: Path) -> None:
    with pytest.raises(VolumeError, match="is used with the channels 0, 2, so there is no channel 1 of it"):
        two.jobs.export_job("image", tmp_path / "a.tif", channel=1)


# ---- what looks at one channel


def test_ridges_are_looked_for_in_the_first_channel_unless_said_otherwise(two: Session, tmp_path: Path) -> None:
    with h5py.File(tmp_path / "ids.h5", "w") as opened:
        opened["main"] = make_tissue(SHAPE, n_cells=8).cells.astype(np.uint32)
    job = two.jobs.import_segmentation_job(tmp_path / "ids.h5")
    assert job.image_channel == 0
    assert "Of 2 channels the first, DAPI, is looked at for ridges; --image-channel names another." in job.notes
    other = two.jobs.import_segmentation_job(tmp_path / "ids.h5", image_channel=2)
    assert other.image_channel == 1
    assert not any("--image-channel" in note for note in other.notes)
    assert job.work() != other.work()
    for wrong, message in (({"image_channel": 1}, "no channel 1 of it"), ({}, "A boundary map scores")):
        options = wrong or {"image_channel": 0, "boundaries": tmp_path / "ids.h5"}
        with pytest.raises(InvalidInput, match=message):
            two.jobs.import_segmentation_job(tmp_path / "ids.h5", **options)


def test_an_import_scores_by_the_channel_that_was_named_and_so_does_proofreading(two: Session, tmp_path: Path) -> None:
    with h5py.File(tmp_path / "ids.h5", "w") as opened:
        opened["main"] = make_tissue(SHAPE, n_cells=8).cells.astype(np.uint32)
    jobs = [two.jobs.import_segmentation_job(tmp_path / "ids.h5", image_channel=number) for number in (0, 2)]
    jobs = [job.model_copy(update={"output": two.at("v1").folder / f"s{k}"}) for k, job in enumerate(jobs)]
    for job in jobs:
        assert job.run(RecordingContext())["n_segments"] > 2
    kept = [json.loads((job.output / "segmentation.json").read_text())["decoder"] for job in jobs]
    assert [one.get("image_channel", 0) for one in kept] == [0, 1]


# ---- reports


def test_a_report_shows_the_channels_in_their_colours(two: Session) -> None:
    found, _ = pictures(two)
    assert found[0].title == "Raw: DAPI in #00ff00, GFP in #ff00ff"
    facts = gather(two)
    assert facts["image"]["channels"] == ["DAPI", "GFP"]
    assert commands(facts)[0].endswith("--channel 0,2")


def test_models_of_another_number_of_channels_are_refused_when_a_job_is_described(two: Session) -> None:
    model = make_model(two.folder / "models" / "m1")
    other = make_model(two.folder / "models" / "m2", n_inputs=2, input_names=("DAPI", "GFP"))
    with pytest.raises(ModelError, match="m1 takes images of one channel; the image of cells has 2 channels"):
        two.jobs.predict_job(model=model)
    with pytest.raises(ModelError, match="m1 takes images of one channel; the image of cells has 2 channels"):
        two.jobs.train_job(load_recipe("fast"), parent=model)
    with pytest.raises(ModelError, match="m1 takes images of one channel; the image of cells has 2 channels"):
        two.live.job(parent=model)
    assert two.predictions.records() == []
    assert two.jobs.predict_job(model=other).image.channel == (0, 2)
    assert two.jobs.train_job(load_recipe("fast"), parent=other).output.parent == other


def test_a_training_on_volumes_of_other_numbers_of_channels_is_refused(two: Session, file: Path) -> None:
    two.volumes.add(NewVolume(file, name="gfp", options=ReadOptions(channel=2)))
    names = two.volumes.names
    with pytest.raises(ModelError, match=f"as many channels: the volume '{names[0]}' has 2, the volume 'gfp' has 1"):
        two.jobs.train_job(load_recipe("fast"), volumes=names)
    assert [one.volume.channel for one in two.jobs.train_job(load_recipe("fast"), volumes=["gfp"]).inputs] == [2]
