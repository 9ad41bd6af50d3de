"""A training of instances from objects to a prediction that says what its channels mean."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from napari_pytc.annotations.paint_store import PaintStore
from napari_pytc.errors import InvalidInput, ModelError
from napari_pytc.geometry import Box
from napari_pytc.jobs.context import JobCancelled
from napari_pytc.labels.store import LabelStore
from napari_pytc.learning.data.instance_targets import instance_targets
from napari_pytc.learning.data.object_batches import ObjectBatches, ObjectVolume
from napari_pytc.learning.data.objects import ObjectLabels, renumbered
from napari_pytc.learning.data.training_data import TrainingData
from napari_pytc.learning.data.training_image import TrainingImage
from napari_pytc.learning.data.volume_data import VolumeData
from napari_pytc.learning.evaluation.instance_scoring import InstanceScorer
from napari_pytc.learning.evaluation.object_scoring import ObjectScorer
from napari_pytc.learning.prediction.model import TrainedModel
from napari_pytc.learning.prediction.predictor import ReadImage
from napari_pytc.learning.training.state.training_identity import training_fingerprint
from napari_pytc.learning.training.train import train
from napari_pytc.plans.networks import FilterBankNetwork, LeanUNetNetwork, SectionUNetNetwork
from napari_pytc.plans.plan import TrainPlan
from napari_pytc.plans.specs import ModelOutput, PredictJob, TrainJob, VolumeInputs
from napari_pytc.volumes.channels import AffinityRole, BoundaryRole, DistanceRole, roles_of
from napari_pytc.volumes.spec import NpySpec
from napari_pytc.volumes.zarr_output import open_ome_zarr
from tests.support.contexts import RecordingContext
from tests.support.images import memory_image, one_channel
from tests.support.learning import (
    CLASSES,
    HELD_OUT,
    STILL,
    MemoryObjects,
    folders,
    instance_plan,
    object_data,
    same_weights,
    space,
    tissue,
    training_data,
    weights_of,
)

GROUPS = {"near affinities", "far affinities", "boundary", "foreground", "distance"}
PLAIN = one_channel(mean=120, std=50, low=-1e6, high=1e6)
SHAPE = (4, 16, 16)


def batches(data: VolumeData, plan: TrainPlan, shape=SHAPE, batch_size: int = 3) -> ObjectBatches:
    image = TrainingImage(data.source, PLAIN, data.held_out)
    roles = plan.target.roles(data.classes, data.space)
    assert data.objects is not None
    return ObjectBatches([([ObjectVolume(data.objects, image)], 1.0)], roles, data.space, plan, batch_size, shape)


@pytest.mark.parametrize("first", [True, False])
def test_the_first_and_last_sections_are_learnt_where_a_patch_has_a_margin(first: bool) -> None:
    data = object_data()
    assert data.objects is not None
    end = 0 if first else data.source.shape[0] - 1
    source = batches(data, instance_plan(network=SectionUNetNetwork(context_sections=2)), (5, 16, 16))
    starts = {source._around((end, 8, 8), data.source.shape, np.random.default_rng(n)).start[0] for n in range(8)}
    assert starts == {end - 2}


def test_a_batch_holds_images_and_what_each_channel_should_answer() -> None:
    data, plan = object_data(), instance_plan()
    n = len(plan.target.roles((), data.space))
    batch = batches(data, plan).batch(0)
    assert (batch.image.shape, batch.image.dtype) == ((3, 1, *SHAPE), torch.float32)
    assert (batch.labels.shape, batch.labels.dtype) == ((3, n, *SHAPE), torch.uint8)
    again = batches(object_data(), plan).batch(0)
    assert torch.equal(again.image, batch.image)
    assert torch.equal(again.labels, batch.labels)
    assert not torch.equal(batches(data, plan).batch(1).image, batch.image)


def test_nothing_hidden_enters_a_batch() -> None:
    """Held-out voxels hold an object and an intensity of their own: neither may be seen, nor a pair with one."""
    of = tissue()
    raw, ids = of.raw.copy(), of.cells.copy()
    raw[HELD_OUT.slices], ids[HELD_OUT.slices] = 255, 999
    changed = object_data(of, ids)
    changed = VolumeData(
        memory_image(raw, of.space),
        *(getattr(changed, n) for n in ("annotations", "classes", "held_out", "space", "objects")),
    )
    plan = instance_plan()
    for step in range(12):
        one, other = batches(object_data(of), plan).batch(step), batches(changed, plan).batch(step)
        assert torch.equal(one.image, other.image)
        assert torch.equal(one.labels, other.labels)
    assert changed.objects is not None
    assert not any(box.overlaps(HELD_OUT) for box in changed.objects._source.was_read)


def test_pairs_that_reach_into_a_hidden_box_are_ignored() -> None:
    of = tissue()
    objects = ObjectLabels(MemoryObjects(of.cells), [HELD_OUT])
    labels = renumbered(objects.labels(Box.of_shape(of.cells.shape)))
    (found,) = instance_targets(labels, [AffinityRole(offset=(0, -3, 0))], of.space)
    assert not found[HELD_OUT.slices].any()
    assert not found[:, HELD_OUT.stop[1] : HELD_OUT.stop[1] + 3, : HELD_OUT.stop[2]].any()
    assert found[:, HELD_OUT.stop[1] + 3 :].all()


def test_targets_are_those_of_the_turned_labels() -> None:
    """A stair of intensities that are the ids: whatever the flips, targets must fit the image that is seen."""
    ids = np.arange(1, 65).reshape(4, 4, 4).repeat(8, 0).repeat(8, 1).repeat(8, 2)
    data = VolumeData(
        memory_image(ids.astype(np.uint8), space()), training_data().annotations, CLASSES, (), space(),
        ObjectLabels(MemoryObjects(ids)),
    )  # fmt: skip
    still = STILL.model_copy(update={"flips": True})
    plan = instance_plan({"long_range": (3,)}, augmentation=still)
    seen = one_channel(mean=0, std=1, low=-1e6, high=1e6)
    roles = plan.target.roles((), space())
    image = TrainingImage(data.source, seen)
    source = ObjectBatches([([ObjectVolume(data.objects, image)], 1.0)], roles, space(), plan, 4, (16, 16, 16))
    for image, targets in zip(*source.batch(3)[:2], strict=True):
        expected = instance_targets(
            renumbered(image[0].numpy().astype(np.uint32)), plan.target.roles((), space()), space()
        )
        assert np.array_equal(targets.numpy(), expected)


def test_patches_stay_in_the_volume_where_they_fit_and_larger_ones_are_padded() -> None:
    data = object_data(held_out=())
    plan = instance_plan({"long_range": ()}, augmentation=STILL)
    small = batches(data, plan, batch_size=8).batch(0)
    assert (small.labels[:, 0, 1:] > 0).all()  # all labelled: none lies beyond the volume
    large = batches(data, plan, shape=(12, 16, 16)).batch(0)
    assert not large.labels[:, 0, :2].any()
    assert (large.labels[:, 0, 3:10] > 0).all()


@pytest.mark.slow
def test_training_and_prediction(tmp_path: Path) -> None:
    plan, ctx = instance_plan(network=LeanUNetNetwork(channels=(4, 8))), RecordingContext()
    done = train(plan, object_data(), folders(tmp_path), ctx)
    info = done.info
    roles = plan.target.roles((), tissue().space)
    assert info.classes == tuple(role.title for role in roles)
    assert info.plan.target == plan.target
    assert set(info.scores["dice"]) == set(info.scores["iou"]) == GROUPS
    assert 0 <= info.scores["mean"] <= 1
    assert info.scores["error_nm"]["distance"] > 0
    assert info.n_annotated == {"objects": int(tissue().cells.size - HELD_OUT.size)}
    assert {name for name, _, _ in ctx.metrics if name.startswith("dice/")} == {f"dice/{group}" for group in GROUPS}
    assert TrainedModel.load(done.folder).roles == roles

    np.save(tmp_path / "raw.npy", tissue().raw)
    image = NpySpec(path=tmp_path / "raw.npy", voxel_size_nm=(40, 10, 10))
    settings: dict[str, Any] = {"tile_shape": (8, 24, 24), "device": "cpu", "precision": "float32"}
    for flips in (False, True):
        job = PredictJob(
            image=image, model=done.folder, output=tmp_path / f"{flips}.zarr", plan={**settings, "flips": flips}
        )
        job.run(RecordingContext())
        found = open_ome_zarr(job.output)
        assert roles_of(found.attributes, found.channels) == roles
        assert (found.read(Box.of_shape((8, 48, 48))) > 0).all()
        job.run(RecordingContext())  # the same work is gone on with


@pytest.mark.parametrize("error", [InvalidInput("Nothing to decode."), MemoryError("1 GB")])
def test_objects_that_cannot_be_scored_do_not_end_a_training(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, error: Exception
) -> None:
    def score(*_: Any) -> None:
        raise error

    monkeypatch.setattr(ObjectScorer, "score", score)
    ctx = RecordingContext()
    done = train(instance_plan(), object_data(), folders(tmp_path), ctx)
    assert set(done.info.scores["dice"]) == GROUPS
    assert "objects" not in done.info.scores
    (told,) = [sentence for sentence in ctx.warnings if "Single objects get no scores" in sentence]
    assert str(error) in told


@pytest.mark.slow
def test_a_training_that_is_interrupted_resumes(tmp_path: Path) -> None:
    whole = train(instance_plan(), object_data(), folders(tmp_path / "a"), RecordingContext())
    part = folders(tmp_path / "b")
    with pytest.raises(JobCancelled):
        train(instance_plan(), object_data(), part, RecordingContext(cancel_after=8))
    assert same_weights(weights_of(train(instance_plan(), object_data(), part, RecordingContext())), weights_of(whole))


def test_only_wanted_channels_are_learnt_from_strokes(tmp_path: Path) -> None:
    of = tissue()
    strokes = np.where(np.random.default_rng(0).random(of.cells.shape) < 0.2, of.cells, 0)
    plan = instance_plan({"long_range": (3,)})
    done = train(plan, object_data(of, strokes), folders(tmp_path), RecordingContext())
    assert set(done.info.scores["dice"]) == {"near affinities", "far affinities"}


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"guess_weight": 0.5}, "Pseudo-labels are of classes"),
        ({"network": FilterBankNetwork()}, "learns classes from single voxels"),
    ],
)
def test_what_makes_sense_for_classes_alone_is_refused(tmp_path: Path, changes: dict[str, Any], words: str) -> None:
    with pytest.raises(InvalidInput, match=words) as caught:
        train(instance_plan(**changes), object_data(), folders(tmp_path), RecordingContext())
    assert "\n" not in str(caught.value)


def test_without_objects_the_error_says_how_to_annotate_them(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="no objects are annotated") as caught:
        train(instance_plan(), training_data(), folders(tmp_path), RecordingContext())
    assert "--instances" in caught.value.hint


def test_a_job_opens_its_objects(tmp_path: Path) -> None:
    of = tissue()
    np.save(tmp_path / "raw.npy", of.raw)
    PaintStore.create(tmp_path / "annotations.zarr", of.raw.shape, of.space)
    store = LabelStore.create(tmp_path / "objects.zarr", of.cells.shape, np.uint32, of.space)
    store.write(Box.of_shape(of.cells.shape), of.cells)
    job = TrainJob(
        inputs=(
            VolumeInputs(
                volume=NpySpec(path=tmp_path / "raw.npy", voxel_size_nm=of.space.voxel_size_nm),
                space=of.space,
                annotations=tmp_path / "annotations.zarr",
                objects=tmp_path / "objects.zarr",
                held_out=(HELD_OUT,),
            ),
        ),
        classes=CLASSES,
        plan=instance_plan(steps=2),
        output=ModelOutput(model_folder=tmp_path / "models" / "m", run_folder=tmp_path / "runs" / "m"),
    )
    answer = TrainJob.model_validate_json(job.model_dump_json()).run(RecordingContext())
    assert answer["scores"]["mean"] is not None
    json.dumps(answer)


class Painter:
    """Stands for a network: answers what was painted."""

    def __init__(self, answer: np.ndarray) -> None:
        self._answer = answer

    def predict_box(self, read: ReadImage, box: Box, whole: Box) -> torch.Tensor:
        return torch.from_numpy(self._answer)


def scored(ids: np.ndarray, roles: list[Any], answer: np.ndarray) -> dict[str, Any]:
    held = Box.of_shape(ids.shape)
    objects = ObjectLabels(MemoryObjects(ids), [held])
    source = memory_image(np.zeros(ids.shape, np.uint8))
    made = InstanceScorer(objects, source, [held], roles, space(), PLAIN, 10**6)
    assert made.n_boxes == 1
    return made.score(Painter(answer.astype(np.float32)))


def test_affinities_are_scored_by_the_pairs_to_be_kept_apart() -> None:
    ids = np.ones((2, 4, 8), np.uint32)
    ids[:, :, 4:] = 2
    answer = np.ones((1, 2, 4, 8))
    answer[0, :, :, 4] = 0  # right
    answer[0, :, :2, 6] = 0  # wrong
    answer[0, :, :, 0] = 0  # has no partner
    found = scored(ids, [AffinityRole(offset=(0, 0, -1))], answer)
    assert found["dice"] == {"near affinities": pytest.approx(2 * 8 / (2 * 8 + 4))}
    assert found["iou"] == {"near affinities": pytest.approx(8 / 12)}
    assert found["mean"] == found["dice"]["near affinities"]
    assert found["n_voxels"] == 64


def test_a_distance_is_scored_by_its_error_and_an_absent_boundary_not_at_all() -> None:
    ids = np.ones((9, 9, 9), np.uint32)
    roles = [DistanceRole(reach_nm=30), BoundaryRole()]
    answer = np.stack([np.full(ids.shape, 0.9), np.zeros(ids.shape)])
    found = scored(ids, roles, answer)
    assert found["dice"]["distance"] == pytest.approx(0.8, abs=1e-3)
    assert found["error_nm"] == {"distance": pytest.approx(6, abs=0.05)}
    assert found["dice"]["boundary"] is None
    assert found["mean"] == found["dice"]["distance"]


def test_checkpoints_of_classes_are_named_as_before_there_were_targets() -> None:
    plan, data = TrainPlan(), TrainingData.of(training_data())
    since = {"target", "decoder", "corrections_share", "distil_weight", "volume_balance", "voxel_size_nm"}
    since |= {"losses", "loss_balancing", "supervision_weights", "optimiser", "schedule"}
    since |= {"gradients", "averaging", "watching", "execution", "normalisation"}
    settings = json.loads(plan.model_dump_json(exclude={"device", "precision", "checkpoint_every", *since}))
    changes = {"flips", "affine", "contrast", "noise", "blur", "missing_section", "misaligned_section"}
    settings["augmentation"] = {name: settings["augmentation"][name] for name in changes}
    as_before = {
        "plan": settings,
        "classes": data.classes,
        "held_out": [str(box) for box in data.volumes[0].held_out],
        "shape": data.volumes[0].source.shape,
        "voxel_size_nm": data.space.voxel_size_nm,
        "parent": None,
    }
    named = training_fingerprint(plan, data, None)
    assert named == hashlib.sha256(json.dumps(as_before, sort_keys=True).encode()).hexdigest()[:16]
    assert named == training_fingerprint(plan.model_copy(update={"decoder": {"kind": "watershed"}}), data, None)
    assert named != training_fingerprint(instance_plan(), data, None)
