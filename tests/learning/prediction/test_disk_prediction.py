"""From a model folder and a volume to a Zarr that a later run goes on with."""

from __future__ import annotations

import json
import pickle
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from napari_pytc.errors import InvalidInput, ModelError, PytcError, VolumeError
from napari_pytc.geometry import Box, VoxelSpace
from napari_pytc.jobs.context import JobCancelled
from napari_pytc.learning.machine import devices
from napari_pytc.learning.prediction import disk_prediction, inference
from napari_pytc.plans.model_folder import copy_model, read_model_info
from napari_pytc.plans.specs import PredictJob
from napari_pytc.volumes.channels import recipe_of
from napari_pytc.volumes.fingerprint import fingerprint
from napari_pytc.volumes.opening import open_spec, open_volume
from napari_pytc.volumes.spec import NpySpec, ReadOptions
from napari_pytc.volumes.zarr_output import ChunkedArray, open_ome_zarr
from tests.support.contexts import RecordingContext
from tests.support.learning import CLASSES, tissue, train_tiny, training_data

WHOLE = Box.of_shape((8, 48, 48))
PLAN = {"tile_shape": (8, 16, 24), "device": "cpu", "precision": "float32"}


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return train_tiny(tmp_path_factory.mktemp("model")).folder


@pytest.fixture
def job(model: Path, tmp_path: Path) -> PredictJob:
    np.save(tmp_path / "raw.npy", tissue().raw)
    image = NpySpec(path=tmp_path / "raw.npy", voxel_size_nm=(40, 10, 10))
    return PredictJob(image=image, model=model, output=tmp_path / "p.zarr", plan=PLAN)


def changed(job: PredictJob, **changes: Any) -> PredictJob:
    return PredictJob.model_validate({**job.model_dump(), **changes})


@pytest.mark.slow
def test_a_prediction_is_an_ome_zarr_of_probabilities(job: PredictJob) -> None:
    ctx = RecordingContext()
    answer = job.run(ctx)
    assert answer["output"] == str(job.output)
    assert (answer["tiles"], answer["tiles_done_before"]) == (6, 0)
    assert answer["mvoxel_per_s"] > 0
    json.dumps(answer)
    found = open_ome_zarr(job.output)
    assert (found.channels, found.dtype, found.shape) == (CLASSES, np.uint8, (8, 48, 48))
    assert found.space.voxel_size_nm == (40, 10, 10)
    total = found.read(WHOLE).astype(int).sum(axis=0)
    assert abs(total - 255).max() <= 1
    assert open_volume(str(job.output), ReadOptions(channel=1)).shape == (8, 48, 48)
    assert len(ctx.artifacts) == 6


@pytest.mark.slow
def test_voxels_that_are_no_finite_numbers_are_told(job: PredictJob, tmp_path: Path) -> None:
    raw = tissue().raw.astype(np.float32)
    raw[3, 14:18, 5], raw[7, 47, 47] = np.nan, np.inf
    np.save(tmp_path / "raw.npy", raw)
    ctx = RecordingContext()
    notes = job.run(ctx)["notes"]
    told = "5 voxels of the image are no finite number; the mean intensity was taken in place."
    assert notes[-1] == ctx.warnings[-1] == told
    raw[np.isfinite(raw) == 0] = 100
    np.save(tmp_path / "raw.npy", raw)
    assert not any("finite" in note for note in changed(job, output=tmp_path / "q.zarr").run(ctx)["notes"])


def test_a_resampled_image_has_some_voxels_that_are_no_finite_numbers(job: PredictJob, tmp_path: Path) -> None:
    raw = tissue().raw.astype(np.float32)
    raw[3, 14:18, 5] = np.nan
    np.save(tmp_path / "raw.npy", raw)
    notes = changed(job, voxel_size_nm=(40, 20, 20)).run(RecordingContext())["notes"]
    assert notes[-1] == "Some voxels of the image are no finite number; the mean intensity was taken in place."


def test_a_device_that_is_not_there_any_more_is_replaced_where_any_may_be(
    job: PredictJob, monkeypatch: pytest.MonkeyPatch
) -> None:
    for module in (devices, disk_prediction):
        monkeypatch.setattr(module, "available_devices", lambda: ("cpu",))
    there = changed(job, plan={**PLAN, "device": "cuda"})
    with pytest.raises(InvalidInput, match="this machine has cpu"):
        there.run(RecordingContext())
    (note,) = changed(there, any_device=True).run(RecordingContext())["notes"]
    assert note == "The prediction was begun on cuda, which this machine does not have; it goes on on cpu."
    assert changed(job, any_device=True).run(RecordingContext())["notes"] == []


@pytest.mark.slow
def test_done_is_done(job: PredictJob) -> None:
    job.run(RecordingContext())
    before = open_ome_zarr(job.output).read(WHOLE)
    ctx = RecordingContext()
    answer = job.run(ctx)
    assert (answer["tiles"], answer["tiles_done_before"]) == (6, 6)
    assert not ctx.artifacts
    assert np.array_equal(open_ome_zarr(job.output).read(WHOLE), before)


@pytest.mark.slow
@pytest.mark.parametrize("n_checks", [0, 1, 2, 3, 6, 9])
def test_a_cancel_anywhere_keeps_finished_tiles(job: PredictJob, tmp_path: Path, n_checks: int) -> None:
    ctx = RecordingContext(cancel_after=n_checks)
    with pytest.raises(JobCancelled):
        job.run(ctx)
    again = RecordingContext()
    answer = job.run(again)
    assert answer["tiles_done_before"] == len(ctx.artifacts)
    assert len(again.artifacts) == 6 - len(ctx.artifacts)
    other = changed(job, output=tmp_path / "q.zarr")
    other.run(RecordingContext())
    assert np.array_equal(open_ome_zarr(job.output).read(WHOLE), open_ome_zarr(other.output).read(WHOLE))


def test_other_free_memory_does_not_change_the_tiles_of_a_started_prediction(
    job: PredictJob, monkeypatch: pytest.MonkeyPatch
) -> None:
    job = changed(job, plan={**PLAN, "tile_shape": None})
    shapes = iter([(8, 16, 24), (8, 24, 48), (8, 48, 48)])
    monkeypatch.setattr(disk_prediction, "fit_tile", lambda *_: next(shapes))
    ctx = RecordingContext(cancel_after=6)
    with pytest.raises(JobCancelled):
        job.run(ctx)
    n_before = len(ctx.artifacts)
    assert 0 < n_before < 6
    answer = job.run(RecordingContext())
    assert (answer["tiles"], answer["tiles_done_before"]) == (6, n_before)
    # Also for a box that is predicted into the same output later.
    box = changed(job, box=Box((0, 0, 0), (8, 24, 48)))
    ctx = RecordingContext(cancel_after=3)
    with pytest.raises(JobCancelled):
        box.run(ctx)
    assert box.run(RecordingContext())["tiles_done_before"] == len(ctx.artifacts)


def test_a_box_alone_is_predicted(job: PredictJob) -> None:
    box = Box((2, 8, 8), (6, 40, 33))
    changed(job, box=box).run(RecordingContext())
    found = open_ome_zarr(job.output).read(WHOLE).sum(axis=0)
    assert (found[box.slices] > 200).all()
    found[box.slices] = 0
    assert not found.any()


def test_the_focus_comes_first(job: PredictJob) -> None:
    ctx = RecordingContext()
    changed(job, focus=(4, 40, 40)).run(ctx)
    assert ctx.artifacts[0][1].contains_point((4, 40, 40))


def test_a_box_outside_is_reported(job: PredictJob) -> None:
    with pytest.raises(InvalidInput, match="does not lie within the volume"):
        changed(job, box=Box((0, 0, 0), (9, 48, 48))).run(RecordingContext())
    assert not job.output.exists()


@pytest.mark.slow
@pytest.mark.parametrize("what", ["model", "image", "flips", "tta", "shape"])
def test_a_prediction_of_other_work_is_never_mixed(job: PredictJob, tmp_path: Path, what: str) -> None:
    with pytest.raises(JobCancelled):
        job.run(RecordingContext(cancel_after=5))
    before = open_ome_zarr(job.output).read(WHOLE)
    if what == "model":
        job = changed(job, model=train_tiny(tmp_path / "other", seed=4).folder)
    elif what == "flips":
        job = changed(job, plan={**PLAN, "flips": True})
    elif what == "tta":
        job = changed(job, plan={**PLAN, "tta": {"turns": True}})
    else:
        np.save(tmp_path / "raw.npy", tissue((8, 48, 48) if what == "image" else (8, 48, 40), seed=9).raw)
    with pytest.raises(InvalidInput) as caught:
        job.run(RecordingContext())
    assert "another output" in caught.value.hint
    assert np.array_equal(open_ome_zarr(job.output).read(WHOLE), before)


TTA = {"flips": ["y"], "turns": True, "scales": [0.75, 1], "combine": "min"}


@pytest.mark.slow
def test_copies_are_told_beforehand_and_a_cancelled_prediction_goes_on_with_them(job: PredictJob) -> None:
    job = changed(job, plan={**PLAN, "tta": TTA})
    with pytest.raises(JobCancelled):
        job.run(first := RecordingContext(cancel_after=9))
    assert first.warnings[0].startswith("Test-time augmentation: 16 copies (mirrored along y, turned, at the scales")
    assert "about 12.5 times as long" in first.warnings[0]
    again = job.run(RecordingContext())
    assert 0 < again["tiles_done_before"] == len(first.artifacts)
    found = open_ome_zarr(job.output).read(WHOLE)
    assert abs(found.astype(int).sum(axis=0) - 255).max() <= 1
    whole = changed(job, output=job.output.with_name("q.zarr"), plan={**PLAN, "tile_shape": (8, 48, 48), "tta": TTA})
    whole.run(RecordingContext())
    difference = np.abs(open_ome_zarr(whole.output).read(WHOLE).astype(int) - found)
    assert difference.max() <= 1
    for other in ({"turns": True}, {**TTA, "combine": "max"}):
        with pytest.raises(InvalidInput, match="made with other test-time augmentation"):
            changed(job, plan={**PLAN, "tta": other}).run(RecordingContext())


@pytest.mark.slow
def test_all_flips_by_either_name_are_one_prediction(job: PredictJob) -> None:
    first = changed(job, plan={**PLAN, "flips": True}).run(RecordingContext())
    again = changed(job, plan={**PLAN, "tta": {"flips": "all"}}).run(RecordingContext())
    assert again["tiles_done_before"] == first["tiles"]
    assert any("8 copies" in note for note in again["notes"])


def test_voxels_that_are_longer_along_y_are_not_turned(job: PredictJob) -> None:
    # The model has voxels of 40 x 10 x 10 nm: without resampling the network sees those of the volume.
    plan = {**PLAN, "resample": False, "tta": {"turns": True}}
    with pytest.raises(InvalidInput, match="these are 40 x 20 x 10 nm") as caught:
        changed(job, voxel_size_nm=(40, 20, 10), plan=plan).run(RecordingContext())
    assert caught.value.hint == "Set tta.turns=false."
    assert not job.output.exists()


def test_exceptions_of_channels_that_there_are_not_leave_nothing(job: PredictJob) -> None:
    tta = {"turns": True, "exceptions": [{"channels": "distance", "combine": "min"}]}
    with pytest.raises(InvalidInput, match="names the channels 'distance', but the prediction has"):
        changed(job, plan={**PLAN, "tta": tta}).run(RecordingContext())
    assert not job.output.exists()


def test_a_full_disk_within_a_tile_is_one_error_and_loses_that_tile_only(
    job: PredictJob, monkeypatch: pytest.MonkeyPatch
) -> None:
    real, n_writes = ChunkedArray.write, 0

    def write(self: ChunkedArray, box: Box, data: np.ndarray) -> None:
        nonlocal n_writes
        n_writes += 1
        if n_writes == 3:
            real(self, box, data // 2)  # a part got there
            raise VolumeError(f"{self} could not be written: the disk is full.", "Make room, then run it again.")
        real(self, box, data)

    monkeypatch.setattr(ChunkedArray, "write", write)
    with pytest.raises(VolumeError, match="the disk is full") as caught:
        job.run(RecordingContext())
    assert caught.value.hint
    monkeypatch.setattr(ChunkedArray, "write", real)
    answer = job.run(RecordingContext())
    assert answer["tiles_done_before"] in (2, 3)  # the tile that was under way may have found room
    total = open_ome_zarr(job.output).read(WHOLE).astype(int).sum(axis=0)
    assert abs(total - 255).max() <= 1


@pytest.mark.slow
def test_out_of_memory_in_a_tile_gives_the_same_prediction(
    job: PredictJob, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    job.run(RecordingContext())
    monkeypatch.setattr(inference, "_LEAST_VOXELS", 64)
    real = inference.Inferer._forward

    def forward(self: inference.Inferer, image: np.ndarray, inner: Box) -> Any:
        if inner.size > 1000:
            raise RuntimeError("DefaultCPUAllocator: not enough memory: you tried to allocate 17179869184 bytes.")
        return real(self, image, inner)

    monkeypatch.setattr(inference.Inferer, "_forward", forward)
    short, ctx = changed(job, output=tmp_path / "q.zarr"), RecordingContext()
    short.run(ctx)
    assert len(ctx.warnings) == 2
    a, b = (open_ome_zarr(path).read(WHOLE).astype(int) for path in (job.output, short.output))
    assert abs(a - b).max() <= 1


def test_voxels_of_another_size_are_resampled_and_written_on_their_own(job: PredictJob, tmp_path: Path) -> None:
    """Tiles fit together: what a tile shows does not depend on where it begins."""
    fine = tissue((8, 48, 48)).raw.repeat(2, axis=1)[:, 5:70].repeat(2, axis=2)
    np.save(tmp_path / "raw.npy", fine)
    found = []
    for tile in ((8, 65, 96), (4, 13, 32)):
        other = changed(job, output=tmp_path / f"{tile[0]}.zarr", voxel_size_nm=(40, 5, 5))
        other = changed(other, plan={**PLAN, "tile_shape": tile})
        answer = other.run(RecordingContext())
        assert answer["notes"][0].startswith(
            "The volume has voxels of 40 x 5 x 5 nm and is resampled to the model's 40 x"
        )
        made = open_ome_zarr(other.output)
        assert (made.shape, made.space.voxel_size_nm) == (fine.shape, (40, 5, 5))
        found.append(made.read(Box.of_shape(fine.shape)).astype(int))
    assert np.abs(found[0] - found[1]).max() <= 1
    assert np.abs(found[0].sum(axis=0) - 255).max() <= 1


def test_a_model_of_version_0_2_without_a_voxel_size_predicts_the_volume_as_it_is(
    job: PredictJob, tmp_path: Path
) -> None:
    model = train_tiny(tmp_path, replace(training_data(), space=VoxelSpace.unknown()), steps=1).folder
    copy_model(model, tmp_path / "old")
    assert not read_model_info(model).is_voxel_size_known
    provenance = json.loads((tmp_path / "old" / "provenance.json").read_text())
    del provenance["is_voxel_size_known"]
    provenance["voxel_size_nm"] = [1.0, 1.0, 1.0]
    (tmp_path / "old" / "provenance.json").write_text(json.dumps(provenance))
    answer = changed(job, model=tmp_path / "old").run(ctx := RecordingContext())
    assert ctx.warnings == answer["notes"]
    assert answer["notes"] == [
        "The model does not say which voxel size it learnt: the volume is predicted on its own voxels."
    ]
    changed(job, model=model, output=tmp_path / "new.zarr").run(RecordingContext())
    found, expected = (open_ome_zarr(tmp_path / name).read(WHOLE) for name in ("p.zarr", "new.zarr"))
    assert np.array_equal(found, expected)


def test_a_resampled_prediction_is_about_that_of_the_model_s_own_voxels(job: PredictJob, tmp_path: Path) -> None:
    job.run(RecordingContext())
    own = open_ome_zarr(job.output).read(WHOLE).argmax(0)
    np.save(tmp_path / "raw.npy", tissue().raw.repeat(2, axis=1).repeat(2, axis=2))
    fine = changed(job, output=tmp_path / "fine.zarr", voxel_size_nm=(40, 5, 5))
    fine.run(RecordingContext())
    found = open_ome_zarr(fine.output).read(Box.of_shape((8, 96, 96))).argmax(0)
    assert (found[:, ::2, ::2] == own).mean() > 0.85
    chance = (found[:, ::2, ::2][:, ::-1] == own).mean()
    assert (found[:, ::2, ::2] == own).mean() > chance


def test_resampling_is_left_out_on_request_and_told(job: PredictJob) -> None:
    (note,) = changed(job, voxel_size_nm=(40, 30, 30), plan={**PLAN, "resample": False}).run(RecordingContext())[
        "notes"
    ]
    assert "trained on voxels of 40 x 10 x 10 nm, these are 40 x 30 x 30 nm" in note
    with pytest.raises(InvalidInput, match="voxels of another size"):
        changed(job, voxel_size_nm=(40, 30, 30)).run(RecordingContext())


def test_sizes_within_a_tenth_are_taken_as_they_are(job: PredictJob) -> None:
    assert changed(job, voxel_size_nm=(43, 10.5, 10)).run(RecordingContext())["notes"] == []
    assert open_ome_zarr(job.output).space.voxel_size_nm == (43, 10.5, 10)


@pytest.mark.parametrize("damage", ["pickle", "cut", "no weights", "no plan", "no folder"])
def test_a_damaged_model_is_refused_before_anything_is_written(job: PredictJob, tmp_path: Path, damage: str) -> None:
    import shutil

    copy = tmp_path / "copy"
    if damage != "no folder":
        shutil.copytree(job.model, copy)
    weights = copy / "weights.safetensors"
    if damage == "pickle":
        weights.write_bytes(pickle.dumps({"weights": 1}))
    elif damage == "cut":
        weights.write_bytes(weights.read_bytes()[:-9])
    elif damage == "no weights":
        weights.unlink()
    elif damage == "no plan":
        (copy / "plan.json").unlink()
    with pytest.raises(ModelError) as caught:
        changed(job, model=copy).run(RecordingContext())
    assert caught.value.hint
    assert not job.output.exists()


def test_something_else_at_the_output_is_not_touched(job: PredictJob) -> None:
    job.output.mkdir()
    (job.output / "thesis.txt").write_text("years of work")
    with pytest.raises(PytcError):
        job.run(RecordingContext())
    assert (job.output / "thesis.txt").read_text() == "years of work"


def test_a_part_wanted_soon_equals_the_whole_and_finishes_no_tile(job: PredictJob, tmp_path: Path) -> None:
    box = Box((1, 5, 9), (7, 40, 47))
    view = changed(job, box=box, within=True)
    ctx = RecordingContext()
    view.run(ctx)
    other = changed(job, output=tmp_path / "q.zarr")
    other.run(RecordingContext())
    expected = open_ome_zarr(other.output).read(WHOLE).astype(int)
    found = open_ome_zarr(job.output).read(WHOLE).astype(int)
    inside = (slice(None), *box.slices)
    assert abs(found[inside] - expected[inside]).max() <= 1
    found[inside] = 0
    assert not found.any()
    assert ctx.artifacts
    assert all(box.contains(part) for _, part in ctx.artifacts)
    whole = RecordingContext(cancel_after=6)
    with pytest.raises(JobCancelled):
        job.run(whole)
    view.run(RecordingContext())
    answer = job.run(RecordingContext())
    assert (answer["tiles"], answer["tiles_done_before"]) == (6, len(whole.artifacts))
    assert abs(open_ome_zarr(job.output).read(WHOLE).astype(int) - expected).max() <= 1


def test_a_prediction_says_how_its_model_s_recipe_decodes_it(job: PredictJob, tmp_path: Path) -> None:
    decoder = {"kind": "components", "object_class": "inside"}
    other = changed(job, model=train_tiny(tmp_path / "other", steps=1, decoder=decoder).folder)
    other.run(RecordingContext())
    found = recipe_of(open_ome_zarr(job.output).attributes)
    assert found is not None
    assert (found.decoder, found.classes, found.boundary_class) == (decoder, CLASSES, None)


def test_an_image_that_changed_since_is_not_predicted(job: PredictJob) -> None:
    image = fingerprint(open_spec(job.image)).digest
    changed(job, image_digest=image).run(RecordingContext())
    np.save(job.image.path, 255 - tissue().raw)
    with pytest.raises(VolumeError, match="changed"):
        changed(job, image_digest=image).run(RecordingContext())
