"""Trainings of a target of channels: batches of objects and strokes, losses, scores, and what is refused."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from napari_pytc.errors import InvalidInput, ModelError
from napari_pytc.geometry import Box
from napari_pytc.learning.data.instance_targets import IGNORED, ONE, ZERO, instance_targets
from napari_pytc.learning.data.objects import renumbered
from napari_pytc.learning.data.sampling import TrainingVolume
from napari_pytc.learning.data.targets.patch_targets import NOT_SMALL, SMALL, JointLabels
from napari_pytc.learning.data.training_data import TrainingData
from napari_pytc.learning.data.training_image import TrainingImage
from napari_pytc.learning.data.volume_data import VolumeData
from napari_pytc.learning.prediction.model import TrainedModel
from napari_pytc.learning.training.losses import make_loss
from napari_pytc.learning.training.losses.target_loss import class_labels
from napari_pytc.learning.training.tasks.task_of_plan import make_task
from napari_pytc.learning.training.train import train
from napari_pytc.plans.model_folder import read_model_info
from napari_pytc.plans.plan import TrainPlan
from napari_pytc.plans.recipes import load_recipe
from napari_pytc.plans.targets import ChannelsTarget
from tests.support.annotations import MemoryAnnotations
from tests.support.contexts import RecordingContext
from tests.support.images import memory_image, one_channel
from tests.support.learning import (
    CLASSES,
    HELD_OUT,
    STILL,
    folders,
    object_data,
    same_weights,
    space,
    strokes,
    tiny_plan,
    tissue,
    weights_of,
)

PLAIN = one_channel(mean=120, std=50, low=-1e6, high=1e6)
SHAPE = (4, 16, 16)
BCD = ({"role": "foreground"}, {"role": "boundary"}, {"role": "instance_distance"})


def plan(*channels: dict[str, Any], target: dict[str, Any] | None = None, **changes: Any) -> TrainPlan:
    of = ChannelsTarget.model_validate({"channels": channels or BCD, **(target or {})})
    return tiny_plan(target=of, **changes)


def both(**changes: Any) -> VolumeData:
    """Tissue with objects and with strokes of two classes."""
    return replace(object_data(), annotations=MemoryAnnotations(strokes(tissue())), **changes)


def batch_of(of: TrainPlan, data: VolumeData, step: int = 0, batch_size: int = 4):
    task = make_task(of, data)
    volume = TrainingVolume(data, TrainingImage(data.source, PLAIN, data.held_out))
    return task.batches([volume], of, batch_size, SHAPE).batch(step)


def test_a_batch_has_the_targets_of_all_channels() -> None:
    batch = batch_of(plan(), object_data())
    assert (batch.image.shape, batch.labels.shape) == ((4, 1, *SHAPE), (4, 3, *SHAPE))
    assert batch.labels.dtype == torch.uint8
    assert torch.equal(batch_of(plan(), object_data()).labels, batch.labels)


def test_classes_and_objects_of_a_patch_fit_its_image_whatever_the_turns() -> None:
    """A stair of intensities that are ids and classes: what is seen says what must be learnt."""
    ids = np.arange(2, 66).reshape(4, 4, 4).repeat(4, 0).repeat(8, 1).repeat(8, 2)
    classes = (ids % 2 + 1).astype(np.uint8)
    data = object_data(ids=ids.astype(np.uint32), held_out=())
    data = replace(
        data,
        source=memory_image(ids.astype(np.uint8), space()),
        annotations=MemoryAnnotations(classes),
        space=space(),
    )
    of = plan(
        {"role": "affinity", "offset": [0, -1, 0]},
        {"role": "classes"},
        {"role": "boundary"},
        augmentation=STILL.model_copy(update={"flips": True}),
    )
    task = make_task(of, data)
    seen = one_channel(mean=0, std=1, low=-1e6, high=1e6)
    batches = task.batches([TrainingVolume(data, TrainingImage(data.source, seen))], of, 4, (16, 16, 16))
    kinds = set()
    for step in range(3):
        for image, targets in zip(*batches.batch(step)[:2], strict=True):
            shown = image[0].numpy().round().astype(np.uint32)
            roles = [task.roles[0], task.roles[3]]
            expected = instance_targets(renumbered(shown), roles, space())
            assert np.array_equal(targets[[0, 3]].numpy(), expected)
            for number in (1, 2):
                assert np.array_equal(targets[number].numpy(), np.where(shown % 2 + 1 == number, ONE, ZERO))
            kinds.add(int(shown[0, 0, 0]))
    assert len(kinds) > 1


def test_joined_labels_come_apart_again() -> None:
    rng = np.random.default_rng(0)
    objects = rng.integers(-1, 5, (4, 5, 6)).astype(np.int32)
    classes = rng.integers(0, 3, (4, 5, 6)).astype(np.uint8)
    joint = JointLabels.of(objects, classes)
    found = joint.apart(joint.codes)
    np.testing.assert_array_equal(found[0], objects)
    np.testing.assert_array_equal(found[1], classes)
    assert ((joint.codes == 0) == ((objects == 0) & (classes == 0))).all()
    empty = JointLabels.of(np.zeros((2, 2, 2), np.int32), np.zeros((2, 2, 2), np.uint8))
    assert not empty.codes.any()
    assert not any(part.any() for part in empty.apart(empty.codes))


def test_patches_are_drawn_from_objects_and_from_strokes_by_their_share() -> None:
    data = both(held_out=())
    of = plan({"role": "foreground"}, {"role": "classes"}, target={"class_share": 1.0})
    labels = batch_of(of, data, batch_size=8).labels
    assert (labels[:, 1:] != IGNORED).any(dim=(1, 2, 3, 4)).all()  # every patch shows strokes
    of = plan({"role": "foreground"}, {"role": "classes"}, target={"class_share": 0.0})
    strokes_alone = replace(data, objects=None)
    with pytest.raises(ModelError, match="no objects are annotated"):
        make_task(of, strokes_alone).check()
    assert make_task(of, data).check() == []


def test_what_is_not_learnt_from_a_volume_is_told_of_either_half() -> None:
    unpainted = MemoryAnnotations(np.zeros((8, 48, 48), np.uint8))
    volumes = (
        both(name="a"),
        both(name="b", objects=None),
        replace(both(name="c"), annotations=unpainted),
        replace(both(name="d", objects=None), annotations=unpainted),
    )
    notes = make_task(plan({"role": "foreground"}, {"role": "classes"}), TrainingData(volumes, space())).check()
    assert notes == [
        "No objects are learnt from the volume 'b': it has no labels of objects.",
        "No classes are learnt from the volume 'c': it has no strokes outside of held-out boxes.",
        "Nothing is learnt from the volume 'd': it has no strokes outside of held-out boxes and it has no labels of "
        "objects.",
    ]


def test_strokes_of_classes_that_are_not_learnt_are_not_drawn() -> None:
    labels = np.zeros((8, 48, 48), np.uint8)
    labels[2, 30:34, 30:34], labels[5, 10:14, 30:34], labels[6, 40:46, 4:8] = 1, 2, 3
    data = replace(both(held_out=()), annotations=MemoryAnnotations(labels), classes=("a", "b", "c"))
    of = plan({"role": "classes", "names": ["c", "a"]}, augmentation=STILL)
    found = batch_of(of, data, batch_size=12).labels
    assert found.shape[1] == 2
    assert (found != IGNORED).any(dim=(1, 2, 3, 4)).all()
    assert ((found[:, 0] == ONE) <= (found[:, 1] == ZERO)).all()
    alone = np.where(labels == 2, 2, 0).astype(np.uint8)
    with pytest.raises(ModelError, match=r"at least two classes|less than two of them"):
        make_task(of, replace(data, annotations=MemoryAnnotations(alone))).check()


def test_small_objects_can_count_more() -> None:
    data = object_data(held_out=())
    target = {"small_object_weight": 4.0, "small_object_um3": 1e9, "cut_objects": "counted"}
    labels = batch_of(plan(target=target, augmentation=STILL), data).labels
    assert labels.shape[1] == 4
    assert set(labels[:, 3].unique().tolist()) == {SMALL}  # all are smaller than a cubic millimetre
    assert (batch_of(plan(target={**target, "small_object_um3": 1e-9}), data).labels[:, 3] == NOT_SMALL).all()


def test_a_masked_voxel_has_no_gradient_and_an_entry_weighs_as_it_says() -> None:
    of = plan(
        {"role": "foreground", "loss": "bce", "weight": 3.0},
        {"role": "boundary"},
        {"role": "classes"},
        {"role": "flow", "loss": "weighted_mse"},
        {"role": "lsd", "components": [0, 9]},
        {"role": "instance_distance", "activation": "none"},
        {"role": "polarity", "side": "pre", "activation": "scaled_sigmoid"},
    ).model_copy(update={"dice_weight": 0.0})
    roles = of.target.roles(CLASSES, space())
    loss = make_loss(of, roles)
    rng = torch.Generator().manual_seed(0)
    targets = torch.randint(0, 256, (2, len(roles), *SHAPE), generator=rng, dtype=torch.uint8)
    binary = [0, 1, 10]
    targets[:, binary] = torch.tensor([IGNORED, ZERO, ONE], dtype=torch.uint8)[targets[:, binary].long() % 3]
    chosen = torch.randint(0, 3, (2, *SHAPE), generator=rng)
    for channel in (0, 1):
        targets[:, 2 + channel] = torch.where(chosen == 0, IGNORED, torch.where(chosen == channel + 1, ONE, ZERO))
    logits = torch.randn(targets.shape, generator=rng, requires_grad=True)
    loss(logits, targets).backward()
    assert logits.grad is not None
    assert (logits.grad[targets == IGNORED] == 0).all()
    assert (logits.grad[targets != IGNORED] != 0).float().mean() > 0.99

    nothing = torch.zeros_like(targets)
    only = nothing.clone()
    only[:, 0] = targets[:, 0]
    first = loss(logits, only)
    only[:, 1] = targets[:, 1]
    second = nothing.clone()
    second[:, 1] = targets[:, 1]
    assert torch.allclose(loss(logits, only), (3 * first + loss(logits, second)) / 4)
    assert loss(logits, nothing) == 0


@pytest.mark.parametrize("losses", [(), ("weighted_mse",)])
@pytest.mark.parametrize("weight", [3, 20])
def test_weights_of_voxels_are_those_of_repeated_voxels(weight: int, losses: tuple[str, ...]) -> None:
    channels = BCD if not losses else [{"role": "distance"}]
    of = plan(*channels, target={"small_object_weight": weight}, dice_weight=0.5, losses=losses)
    roles = of.target.roles((), space())
    loss = make_loss(of, roles)
    logits = torch.randn(1, 3, 1, 1, 4)[:, -len(roles) :]
    targets = torch.tensor([[[[[ONE, ZERO, ONE, ZERO]]], [[[ZERO, ONE, ZERO, ONE]]], [[[9, 200, 77, 1]]]]]).byte()
    targets = targets[:, -len(roles) :]
    sizes = torch.tensor([[[[[SMALL, NOT_SMALL, NOT_SMALL, SMALL]]]]]).byte()
    weighted = loss(logits, torch.cat([targets, sizes], dim=1))
    repeats = torch.tensor([weight, 1, 1, weight])
    plain = torch.full((1, 1, 1, 1, int(repeats.sum())), NOT_SMALL, dtype=torch.uint8)
    repeated = loss(
        logits.repeat_interleave(repeats, dim=4), torch.cat([targets.repeat_interleave(repeats, dim=4), plain], dim=1)
    )
    assert torch.allclose(weighted, repeated, atol=1e-6)


def test_levels_of_a_distance_learn_as_classes(tmp_path: Path) -> None:
    of = plan({"role": "instance_distance", "levels": 4}, {"role": "foreground"}, steps=2, validate_every=1)
    of = of.model_copy(update={"target": of.target.model_copy(update={"cut_objects": "counted"})})
    roles = of.target.roles((), space())
    labels = batch_of(of, object_data()).labels
    assert labels.shape[1] == 6
    logits = torch.zeros(labels.shape).requires_grad_()
    make_loss(of, roles)(logits, labels).backward()
    assert logits.grad is not None
    assert (logits.grad[labels == IGNORED] == 0).all()
    known = (labels[:, :5] != IGNORED).all(1)
    sums = logits.grad[:, :5].sum(1)[known]
    assert torch.allclose(sums, torch.zeros_like(sums), atol=1e-7)  # a softmax: what one level wins others lose
    done = train(of, object_data(), folders(tmp_path), RecordingContext())
    assert {"instance distance", "foreground"} <= set(read_model_info(done.folder).scores["dice"])


def test_any_but_a_class_is_read_back_from_targets() -> None:
    targets = torch.tensor([[ONE, ZERO, IGNORED, ZERO], [ZERO, ONE, IGNORED, IGNORED]]).byte()[None, :, None, None]
    assert class_labels(targets).flatten().tolist() == [1, 2, 0, 5]


def test_losses_that_do_not_fit_and_losses_named_twice_are_refused() -> None:
    with pytest.raises(InvalidInput, match=r"'dice' does not fit channel 0 \(instance distance\)"):
        plan({"role": "instance_distance", "loss": "dice"})
    twice = plan({"role": "foreground", "loss": "dice"}, losses=("bce",))
    with pytest.raises(InvalidInput, match="both in losses and in the channels"):
        twice.check()
    classes = plan({"role": "classes", "loss": {"kind": "ce", "class_weights": [1, 2, 3]}})
    with pytest.raises(InvalidInput, match="3 values of class_weights for 2 channels"):
        classes.check_channels(classes.target.roles(CLASSES, space()))
    with pytest.raises(InvalidInput, match="leads out of every training patch"):
        plan({"role": "affinity", "offset": [0, 16, 0]}).check()
    copies = STILL.model_copy(update={"copy_paste": 0.5})
    with pytest.raises(InvalidInput, match="a copy would have no class"):
        plan({"role": "foreground"}, {"role": "classes"}, augmentation=copies).check()
    with pytest.raises(InvalidInput, match="odd or even"):
        plan({"role": "polarity", "side": "pre"}, augmentation=copies).check()


def test_objects_and_classes_alone_may_be_copied_within_a_patch() -> None:
    copies = STILL.model_copy(update={"copy_paste": 1.0})
    of = plan({"role": "foreground"}, {"role": "boundary"}, augmentation=copies)
    of.check()
    assert batch_of(of, object_data(held_out=())).labels.any()
    assert batch_of(plan({"role": "classes"}, augmentation=copies), both(held_out=())).labels.any()


@pytest.mark.slow
def test_objects_and_classes_are_learnt_and_scored_together(tmp_path: Path) -> None:
    of = plan(
        {"role": "foreground"},
        {"role": "boundary", "kept": False},
        {"role": "classes"},
        {"role": "flow"},
        {"role": "affinity", "offset": [0, 1, 0], "activation": "scaled_sigmoid"},
        target={"small_object_weight": 2.0},
    )
    ctx = RecordingContext()
    done = train(of, both(), folders(tmp_path), ctx)
    info = read_model_info(done.folder)
    titles = ("foreground", "boundary", *CLASSES, "flow z", "flow y", "flow x", "affinity 0,+1,0")
    assert info.classes == titles
    assert set(info.scores["dice"]) == {*titles[:-1], "near affinities"}
    assert info.scores["mean"] is not None
    assert {"dice/membrane", "dice/foreground"} <= {name for name, _, _ in ctx.metrics}
    model = TrainedModel.load(done.folder)
    assert model.info.plan.target.class_names == CLASSES
    assert [role.title for role in model.predicted_roles] == [title for title in titles if title != "boundary"]
    again = train(of, both(), folders(tmp_path / "again"), RecordingContext())
    assert same_weights(weights_of(done), weights_of(again))


@pytest.mark.slow
def test_a_training_goes_on_from_a_parent_with_the_same_channels(tmp_path: Path) -> None:
    of = plan(*BCD, {"role": "lsd", "sigma_nm": 20.0, "components": [0, 3, 9]}, distil_weight=1.0)
    first = train(of, object_data(), folders(tmp_path), RecordingContext())
    where = folders(tmp_path / "second", parent=first.folder)
    second = train(of, object_data(), where, RecordingContext())
    assert second.info.parent == first.info.id
    assert "comparison" in second.info.scores


def test_the_held_out_box_is_not_learnt_from() -> None:
    data = both()
    of = plan({"role": "foreground"}, {"role": "classes"}, augmentation=STILL)
    hidden = replace(data, held_out=(Box.of_shape(data.source.shape),))
    with pytest.raises(ModelError, match="held-out boxes"):
        make_task(of, replace(hidden, objects=None)).check()
    assert HELD_OUT in data.held_out
    assert TrainingData.of(data).space == space(4.0) or data.space == TrainingData.of(data).space


def test_a_recipe_is_turned_into_channels_on_the_command_line() -> None:
    changes = [
        "target.kind=channels",
        "target.channels=[{role: foreground, loss: dice_ce}, {role: affinity, offset: [0,-1,0], weight: 2}]",
    ]
    of = load_recipe("organelles", changes)
    assert isinstance(of.target, ChannelsTarget)
    assert [role.title for role in of.target.roles((), space())] == ["foreground", "affinity 0,-1,0"]
    assert of.target.channels[0].loss.kind == "dice_ce"
