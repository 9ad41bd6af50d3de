"""A model applied to many files: outputs, their order, what fails alone, and what a later run finds."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
import tifffile

from napari_pytc.batch.describe import describe_apply
from napari_pytc.batch.inputs import STATE
from napari_pytc.batch.jobs import ApplyJob
from napari_pytc.errors import InvalidInput, ModelError
from napari_pytc.geometry import Box
from napari_pytc.jobs.context import JobCancelled
from napari_pytc.jobs.spec import JobSpec
from napari_pytc.plans.model_folder import copy_model, read_model_info
from napari_pytc.plans.plan import TrainPlan
from napari_pytc.plans.prediction_defaults import PredictionDefaults
from napari_pytc.plans.targets import InstancesTarget
from napari_pytc.plans.test_time import TtaSettings
from napari_pytc.volumes.opening import open_volume
from napari_pytc.volumes.spec import ReadOptions
from tests.session.models import make_model
from tests.support.contexts import RecordingContext
from tests.support.faults import file_size_limit
from tests.support.learning import CLASSES, tissue, train_tiny

pytestmark = pytest.mark.slow

SHAPE = (4, 32, 32)
MACHINE = {"device": "cpu", "precision": "float32"}


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return train_tiny(tmp_path_factory.mktemp("model")).folder


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """Two volumes with a voxel size in HDF5, one without in a TIFF, and one that is damaged."""
    folder = tmp_path / "data"
    folder.mkdir()
    for number, name in enumerate(("a.h5", "b.h5")):
        with h5py.File(folder / name, "w") as file:
            raw = tissue(SHAPE, seed=number).raw
            file.create_dataset("raw", data=raw).attrs["voxel_size_nm"] = (40.0, 10.0, 10.0)
    tifffile.imwrite(folder / "c.tif", tissue(SHAPE, seed=2).raw, photometric="minisblack")
    (folder / "d.tif").write_bytes((folder / "c.tif").read_bytes()[:900])
    return folder


def describe(model: Path, *words: Path | str, out: Path, **options: Any) -> ApplyJob:
    settings = {**MACHINE, **options.pop("settings", {})}
    return describe_apply(model, [str(word) for word in words], out, settings=settings, **options)


def rows(result: dict[str, Any]) -> dict[str, dict[str, Any]]:
    return {Path(row["input"]).name: row for row in result["rows"]}


def test_all_files_are_done_but_the_one_that_is_damaged(model: Path, data: Path, tmp_path: Path) -> None:
    job = JobSpec.parse(describe(model, data, out=tmp_path / "out").model_dump(mode="json"))
    ctx = RecordingContext()
    result = job.run(ctx)
    json.dumps(result)
    found = rows(result)
    assert {name: row["state"] for name, row in found.items()} == {
        "a.h5": "done", "b.h5": "done", "c.tif": "done", "d.tif": "failed"
    }  # fmt: skip
    assert (result["n_done"], result["n_done_before"], result["n_failed"]) == (3, 0, 1)
    assert found["d.tif"]["error"]
    assert any("d.tif" in warning for warning in ctx.warnings)
    for name in ("a", "b", "c"):
        volume = open_volume(tmp_path / "out" / f"{name}_classes.tif")
        assert volume.shape == SHAPE
        assert volume.space.voxel_size_nm == (40, 10, 10)
        assert set(np.unique(volume.read(Box.of_shape(SHAPE)))) <= {1, 2}
    assert any("that of the model, 40 x 10 x 10 nm, was assumed" in note for note in found["c.tif"]["notes"])
    assert found["a.h5"]["notes"] == []
    done = [step for step, _, _ in ctx.progress]
    assert done == sorted(done)
    assert ctx.progress[-1][:2] == (4000, 4000)
    left = sorted(path.name for path in (tmp_path / "out" / STATE).iterdir())
    assert left == ["a_classes.tif.json", "b_classes.tif.json", "c_classes.tif.json"]


def test_an_image_with_other_channels_fails_before_anything_is_predicted(
    model: Path, data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    np.save(data / "two.npy", np.stack([tissue(SHAPE).raw] * 2))
    monkeypatch.setattr("napari_pytc.batch.apply.execute", lambda *words: pytest.fail("nothing runs"))
    job = describe(model, data / "two.npy", out=tmp_path / "out", options=ReadOptions(channel="all"))
    (row,) = job.run(RecordingContext())["rows"]
    assert row["state"] == "failed"
    assert "takes images of one channel; the image has 2 channels" in row["error"]


def test_a_later_run_does_what_is_left(model: Path, data: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    describe(model, data / "a.h5", out=out).run(RecordingContext())
    before = (out / "a_classes.tif").stat().st_mtime_ns
    result = describe(model, data / "a.h5", data / "b.h5", out=out, settings={"tile_shape": [4, 16, 16]}).run(
        RecordingContext()
    )
    assert [row["state"] for row in result["rows"]] == ["done before", "done"]
    assert (out / "a_classes.tif").stat().st_mtime_ns == before


def test_results_in_the_folder_of_the_inputs_are_not_taken_as_inputs(model: Path, data: Path) -> None:
    (data / "d.tif").unlink()
    first = describe(model, data, out=data).run(RecordingContext())
    again = describe(model, data, out=data)
    assert [Path(item.path).name for item in again.inputs] == ["a.h5", "b.h5", "c.tif"]
    assert any("a_classes.tif" in note for note in again.notes)
    result = again.run(RecordingContext())
    assert first["n_done"] == result["n_done_before"] == 3


def test_a_model_brings_settings_along_and_what_is_given_overrules_them(
    model: Path, data: Path, tmp_path: Path
) -> None:
    imported = copy_model(model, tmp_path / "imported")
    brought = PredictionDefaults(tta=TtaSettings(flips="plane", combine="min"))
    info = read_model_info(imported).model_copy(update={"prediction": brought})
    (imported / "provenance.json").write_text(info.model_dump_json(exclude={"plan", "scores"}), encoding="utf-8")
    job = describe(imported, data / "a.h5", out=tmp_path / "out")
    assert job.plan.copies == brought.tta
    assert any("tta.flips=plane, tta.combine=min" in note for note in job.notes)
    given = describe(imported, data / "a.h5", out=tmp_path / "out", settings={"tta": {"flips": "none", "turns": True}})
    assert given.plan.copies == TtaSettings(turns=True, combine="min")


def test_other_work_is_not_overwritten_unless_the_user_says_so(model: Path, data: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    describe(model, data / "a.h5", out=out).run(RecordingContext())
    (out / "b_classes.tif").write_bytes(b"mine")
    again = describe(model, data / "a.h5", data / "b.h5", out=out, settings={"flips": True})
    result = again.run(RecordingContext())
    assert [row["state"] for row in result["rows"]] == ["failed", "failed"]
    assert "made of the same file" in result["rows"][0]["error"]
    assert "not made by this command" in result["rows"][1]["error"]
    assert (out / "b_classes.tif").read_bytes() == b"mine"
    replaced = again.model_copy(update={"overwrite": True}).run(RecordingContext())
    assert [row["state"] for row in replaced["rows"]] == ["done", "done"]
    assert open_volume(out / "b_classes.tif").shape == SHAPE
    assert [row["state"] for row in again.run(RecordingContext())["rows"]] == ["done before", "done before"]


@pytest.mark.parametrize(("what", "format"), [("probabilities", "h5"), ("segments", "zarr")])
def test_other_results_and_formats(model: Path, data: Path, tmp_path: Path, what: Any, format: Any) -> None:
    settings = {"smallest_um3": 0.0} if what == "segments" else {}
    job = describe(model, data / "a.h5", out=tmp_path / "out", what=what, format=format, settings=settings)
    (row,) = job.run(RecordingContext())["rows"]
    assert row["state"] == "done", row
    path = tmp_path / "out" / f"a_{what}.{format}"
    if what == "probabilities":
        with h5py.File(path) as file:
            (dataset,) = file.values()
            assert dataset.shape == (len(CLASSES), *SHAPE)
        return
    assert row["n_segments"] is not None
    assert any("decoder" in note for note in row["notes"])
    assert path.is_dir()


@pytest.mark.parametrize("n_checks", [1, 3, 6, 12])
def test_a_cancelled_batch_goes_on(model: Path, data: Path, tmp_path: Path, n_checks: int) -> None:
    job = describe(model, data / "a.h5", data / "b.h5", out=tmp_path / "out", what="segments")
    with pytest.raises(JobCancelled):
        job.run(RecordingContext(cancel_after=n_checks))
    for row in job.run(RecordingContext())["rows"]:
        assert row["state"] in ("done", "done before")
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == [STATE, "a_segments.tif", "b_segments.tif"]


def test_a_full_disk_fails_in_the_row_and_leaves_no_half_file(model: Path, data: Path, tmp_path: Path) -> None:
    job = describe(model, data / "a.h5", out=tmp_path / "out")
    with file_size_limit(1500):
        (row,) = job.run(RecordingContext())["rows"]
    assert row["state"] == "failed"
    assert not (tmp_path / "out" / "a_classes.tif").exists()
    assert job.run(RecordingContext())["rows"][0]["state"] == "done"


def test_mistakes_are_found_before_anything_runs(model: Path, data: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    with pytest.raises(ModelError):
        describe(tmp_path / "gone", data, out=out)
    with pytest.raises(InvalidInput, match="Only segments are decoded, got the setting threshold"):
        describe(model, data, out=out, settings={"threshold": 0.5})
    with pytest.raises(InvalidInput, match="Only segments are decoded, got the decoder watershed"):
        describe(model, data, out=out, decoder="watershed")
    with pytest.raises(InvalidInput, match="'guess'"):
        describe(model, data, out=out, what="segments", decoder="guess")
    with pytest.raises(InvalidInput, match="treshold"):
        describe(model, data, out=out, what="segments", decoder="components", settings={"treshold": 0.5})
    with pytest.raises(InvalidInput, match="treshold"):  # of the decoder that would be chosen for the model
        describe(model, data, out=out, what="segments", settings={"treshold": 0.5})
    with pytest.raises(InvalidInput, match="device"):
        describe(model, data, out=out, settings={"device": "abacus"})
    objects = make_model(tmp_path / "objects", plan=TrainPlan(target=InstancesTarget()))
    with pytest.raises(InvalidInput, match="no classes to write"):
        describe(objects, data, out=out)
    assert not out.exists()
