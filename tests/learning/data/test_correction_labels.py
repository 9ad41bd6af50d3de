"""Corrections as lessons: what is not said teaches nothing, what was taught before is replayed, the parent holds."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from torch.nn import functional

from napari_pytc.annotations.object_relations import BACKGROUND, OTHER, ObjectRelations
from napari_pytc.geometry import Box, VoxelSpace
from napari_pytc.labels.store import LabelStore
from napari_pytc.learning.data.correction_labels import BETWEEN, WITHIN, BoundaryCorrections, open_corrections
from napari_pytc.learning.data.instance_targets import IGNORED, ONE, ZERO, instance_targets
from napari_pytc.learning.data.objects import ObjectLabels
from napari_pytc.learning.data.sampling import TrainingVolume
from napari_pytc.learning.data.training_image import TrainingImage
from napari_pytc.learning.data.volume_data import VolumeData
from napari_pytc.learning.machine.precision import Precision
from napari_pytc.learning.prediction.inference import Inferer
from napari_pytc.learning.prediction.model import TrainedModel
from napari_pytc.learning.training.losses import Distillation, SparseDiceCrossEntropy
from napari_pytc.learning.training.tasks.task_of_plan import make_task
from napari_pytc.learning.training.train import train
from napari_pytc.plans.plan import TrainPlan
from napari_pytc.volumes.channels import AffinityRole, BoundaryRole, ClassRole, DistanceRole
from tests.support.contexts import RecordingContext
from tests.support.images import one_channel
from tests.support.learning import (
    HELD_OUT,
    STILL,
    MemoryObjects,
    folders,
    instance_plan,
    object_data,
    space,
    tiny_plan,
    tissue,
    training_data,
)

SHAPE = (8, 48, 48)
SEEN = one_channel(mean=0, std=1, low=-1e6, high=1e6)


def store_of(folder: Path, ids: np.ndarray, relations: ObjectRelations, changed: float = 1e9) -> LabelStore:
    store = LabelStore.create(folder, ids.shape, np.uint32, space(4.0))
    store.write(Box.of_shape(ids.shape), ids.astype(np.uint32))
    store.set_changed(Box.of_shape(ids.shape), changed)
    relations.save(folder)
    return store


def corrected(ids: np.ndarray, relations: ObjectRelations | None = None, hidden: tuple[Box, ...] = ()) -> ObjectLabels:
    return ObjectLabels(MemoryObjects(ids), hidden, ObjectRelations() if relations is None else relations)


def random_labels(seed: int) -> np.ndarray:
    labels = np.random.default_rng(seed).integers(-1, 5, (4, 7, 8)).astype(np.int32)
    labels[:2] = np.repeat(labels[:2, :, ::4], 4, axis=2)  # some voxels lie amid the same
    return labels


APART = np.zeros((6, 6), bool)
"""1 is the background, the last is something else; 2 and 3 were cut, 4 is whole."""
for a, b in ((1, 2), (1, 3), (1, 4), (2, 3), (4, 2), (4, 3), (4, 5)):
    APART[a, b] = APART[b, a] = True


def relation(a: int, b: int) -> str:
    """What is known of two labels: "same", "apart", or nothing."""
    if a == 0 or b == 0 or (-1 in (a, b) and 1 in (a, b)) or a == b == -1:
        return ""
    if a == b:
        return "same"
    return "apart" if APART[a, b] else ""


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("offset", [(0, 0, -1), (0, -3, 0), (-2, 0, 0)])
def test_pairs_without_labels_are_ignored(offset: tuple[int, int, int], seed: int) -> None:
    labels = random_labels(seed)
    (found,) = instance_targets(labels, [AffinityRole(offset=offset)], space(), APART)
    for voxel in np.ndindex(labels.shape):
        partner = tuple(np.add(voxel, offset))
        expected = IGNORED
        if all(0 <= p < n for p, n in zip(partner, labels.shape, strict=True)):
            a, b = int(labels[voxel]), int(labels[partner])
            if a and b and 1 in (a, b):  # what is no object is joined with nothing
                expected = ZERO
            elif relation(a, b):
                expected = ONE if relation(a, b) == "same" else ZERO
        assert found[voxel] == expected


@pytest.mark.parametrize("seed", range(3))
def test_boundaries_without_labels_are_ignored(seed: int) -> None:
    labels = random_labels(seed)
    found, foreground = instance_targets(labels, [BoundaryRole(), ClassRole(name="foreground")], space(), APART)
    for voxel in np.ndindex(labels.shape):
        around = []
        for axis in range(3):
            for step in (-1, 1):
                near = np.array(voxel)
                near[axis] += step
                inside = (near >= 0).all() and (near < labels.shape).all()
                around.append(relation(int(labels[voxel]), int(labels[tuple(near)])) if inside else "")
        expected = ONE if "apart" in around else ZERO if set(around) == {"same"} else IGNORED
        assert found[voxel] == expected
        assert foreground[voxel] == {-1: IGNORED, 0: IGNORED, 1: ZERO}.get(int(labels[voxel]), ONE)


def test_something_else_differs_from_all_objects_of_dense_labels() -> None:
    row = np.array([2, 2, 2, 3, 3, 0, 0, 1, 1, -1, -1, 4], np.int32)
    labels = np.broadcast_to(row, (3, 3, 12)).copy()
    affinity, boundary = instance_targets(labels, [AffinityRole(offset=(0, 0, -1)), BoundaryRole()], space())
    signs = {IGNORED: ".", ZERO: "0", ONE: "1"}
    assert "".join(signs[int(v)] for v in affinity[1, 1]) == ".1101...00.0"
    assert "".join(signs[int(v)] for v in boundary[1, 1]) == ".011......11"


def test_distances_end_where_a_border_is_not_known() -> None:
    labels = np.full((9, 9, 30), 2, np.int32)
    labels[:, :, 10:20], labels[:, :, 20:] = 3, -1
    apart = np.zeros((5, 5), bool)
    role = DistanceRole(reach_nm=30)
    (nothing_said,) = instance_targets(labels, [role], space(), apart)
    assert not nothing_said[4, 4, 8:12].any()  # perhaps a border between 9 and 10, perhaps none
    assert nothing_said[4, 4, 5] == ONE  # farther from it than the reach
    apart[2, 3] = apart[3, 2] = apart[3, 4] = apart[4, 3] = True
    (target,) = instance_targets(labels, [role], space(), apart)
    assert (target[4, 4, 5:20] != IGNORED).all()
    assert not target[:, :, 20:].any()  # something else, of which nobody knows how far it reaches


def test_numbers_go_with_what_is_corrections_of_their_ids() -> None:
    ids = np.zeros((1, 1, 6), np.uint32)
    ids[0, 0] = [0, 70, 9, BACKGROUND, OTHER, 4_000_000_000]
    relations = ObjectRelations(whole=frozenset({70}), pairs=frozenset({(9, 4_000_000_000)}))
    labels, apart = corrected(ids, relations).numbered(Box.of_shape(ids.shape))
    assert apart is not None
    zero, whole, cut, background, other, partner = labels[0, 0].tolist()
    assert (zero, background, other) == (0, 1, -1)
    assert all(apart[pair] for pair in [(whole, cut), (whole, other), (cut, partner), (background, cut)])
    assert not apart[[cut, background], other].any()
    assert not apart[zero].any()


def test_later_segmentations_overrule_earlier_ones_where_they_say_something(tmp_path: Path) -> None:
    early, late = np.zeros(SHAPE, np.uint32), np.zeros(SHAPE, np.uint32)
    early[:, :, :30], late[:, :, 20:40] = 5, 5
    store_of(tmp_path / "b.zarr", early, ObjectRelations(whole=frozenset({5})), changed=1e9)
    store_of(tmp_path / "a.zarr", late, ObjectRelations(), changed=2e9)
    store_of(tmp_path / "c.zarr", np.zeros(SHAPE), ObjectRelations())
    first, second = open_corrections(tmp_path, (Box((0, 0, 0), (8, 48, 10)),))
    row = first.labels(Box.of_shape(SHAPE))[0, 0]
    assert row.tolist() == [0] * 10 + [5] * 10 + [0] * 28
    assert second.labels(Box.of_shape(SHAPE))[0, 0].tolist() == [0] * 20 + [5] * 20 + [0] * 8


def test_a_store_of_which_only_held_out_voxels_hold_something_is_left_out(tmp_path: Path) -> None:
    ids = np.zeros(SHAPE, np.uint32)
    ids[HELD_OUT.slices] = 3
    store_of(tmp_path / "a.zarr", ids, ObjectRelations())
    assert open_corrections(tmp_path, (HELD_OUT,)) == ()


def data_with(objects: np.ndarray | None, *corrections: ObjectLabels) -> VolumeData:
    whole = object_data(ids=objects, held_out=())
    return VolumeData(
        whole.source,
        whole.annotations,
        whole.classes,
        (),
        whole.space,
        None if objects is None else whole.objects,
        corrections,
    )


@pytest.mark.parametrize(("share", "low", "high"), [(0.0, 0, 0), (0.25, 5, 30), (1.0, 60, 60)])
def test_patches_are_drawn_from_corrections_by_their_share(share: float, low: int, high: int) -> None:
    merged = np.zeros(SHAPE, np.uint32)
    merged[:, 20:28, 20:28] = 3
    dense = np.full(SHAPE, 1, np.uint32)
    dense[:, :, 26:] = 2
    plan = instance_plan({"long_range": ()}, corrections_share=share, augmentation=STILL, batch_size=1)
    data = data_with(dense, corrected(merged))
    task = make_task(plan, data)
    assert task.check() == []
    assert task.n_annotated == {"objects": dense.size, "corrections": np.count_nonzero(merged)}
    batches = task.batches([TrainingVolume(data, TrainingImage(data.source, SEEN))], plan, 1, (4, 16, 16))
    partly = [(batches.batch(step).labels == IGNORED).float().mean() > 0.5 for step in range(60)]
    assert low <= sum(map(int, partly)) <= high


@pytest.mark.slow
def test_corrections_alone_are_learnt_from(tmp_path: Path) -> None:
    merged = np.zeros(SHAPE, np.uint32)
    merged[:, 20:28, 20:28] = 3
    data = data_with(None, corrected(merged))
    ended = train(instance_plan({"long_range": ()}), data, folders(tmp_path), RecordingContext())
    assert ended.info.n_annotated == {"objects": 0, "corrections": np.count_nonzero(merged)}


def roles() -> list:
    return [AffinityRole(offset=(0, 0, -1)), BoundaryRole(), DistanceRole(reach_nm=30)]


def test_distillation_pulls_only_where_nothing_is_labelled() -> None:
    torch.manual_seed(0)
    targets = torch.randint(0, 2, (2, 3, 4, 5, 6), dtype=torch.uint8) * ONE
    logits, parent = torch.randn(2, 3, 4, 5, 6, requires_grad=True), torch.randn(2, 3, 4, 5, 6)
    Distillation(roles(), is_classes=False)(logits, parent, targets).backward()
    assert logits.grad is not None
    assert torch.equal(logits.grad != 0, targets == IGNORED)


def test_distillation_of_classes_pulls_only_where_nothing_is_labelled() -> None:
    torch.manual_seed(0)
    labels = torch.randint(0, 3, (2, 4, 5, 6))
    logits, parent = torch.randn(2, 2, 4, 5, 6, requires_grad=True), torch.randn(2, 2, 4, 5, 6)
    Distillation([ClassRole(name=n) for n in "ab"], is_classes=True)(logits, parent, labels).backward()
    assert logits.grad is not None
    assert torch.equal((logits.grad != 0).any(dim=1), labels == 0)


@pytest.mark.parametrize("is_classes", [False, True])
def test_distillation_is_nothing_where_both_answer_the_same(is_classes: bool) -> None:
    answers = torch.randn(1, 3, 4, 5, 6, requires_grad=True)
    labels = torch.zeros((1, 4, 5, 6) if is_classes else (1, 3, 4, 5, 6), dtype=torch.int64)
    distance = Distillation(roles(), is_classes)(answers, answers.detach().clone(), labels)
    distance.backward()
    assert abs(float(distance.detach())) < 1e-6
    assert answers.grad is not None
    assert float(answers.grad.abs().max()) < 1e-6
    everything_said = torch.ones_like(labels)
    assert float(Distillation(roles(), is_classes)(answers.detach(), answers.detach() + 1, everything_said)) == 0


def answers_of(folder: Path, raw: np.ndarray) -> np.ndarray:
    model = TrainedModel.load(folder)
    inferer = Inferer(model.network, model.limits, torch.device("cpu"), Precision(), roles=model.roles)
    return inferer(model.normalisation.apply(raw[None]), Box.of_shape(raw.shape)).numpy()


@pytest.mark.slow
def test_a_child_forgets_less_near_its_parent(tmp_path: Path) -> None:
    """Corrections that contradict all the parent knew, in one corner; elsewhere nothing is said."""
    of = tissue()
    plan = instance_plan({"long_range": ()}, steps=40, learning_rate=0.01, augmentation=STILL)
    parent = train(plan, object_data(of, held_out=()), folders(tmp_path / "parent"), RecordingContext()).folder
    before = answers_of(parent, of.raw)
    wrong = np.zeros(SHAPE, np.uint32)
    wrong[:, :12, :12] = 1  # one object, straight through the membranes
    drift = {}
    for weight in (0.0, 5.0):
        child = plan.model_copy(update={"distil_weight": weight, "steps": 30})
        where = folders(tmp_path / f"child{weight:g}", parent=parent)
        after = answers_of(train(child, data_with(None, corrected(wrong)), where, RecordingContext()).folder, of.raw)
        drift[weight] = float(np.abs(after - before)[:, :, 24:, 24:].mean())
    assert drift[5.0] < 0.7 * drift[0.0]


@pytest.mark.slow
def test_a_parent_that_answers_something_else_does_not_hold(tmp_path: Path) -> None:
    parent = train(tiny_plan(), training_data(), folders(tmp_path / "parent"), RecordingContext()).folder
    ctx = RecordingContext()
    plan = instance_plan({"long_range": ()}, distil_weight=1.0)
    train(plan, object_data(), folders(tmp_path / "child", parent=parent), ctx)
    assert any("cannot be distilled" in sentence for sentence in ctx.warnings)


def test_a_plan_for_corrections_is_short_and_near() -> None:
    plan = TrainPlan(minutes=20, guess_weight=0.7, learning_rate=0.003).for_corrections(5)
    assert (plan.minutes, plan.guess_weight, plan.distil_weight) == (5, 0, 1)
    assert plan.learning_rate == pytest.approx(0.001)
    assert TrainPlan(minutes=1).for_corrections(5).minutes == 1


SMALL = (12, 24, 40)
CUBIC = VoxelSpace((10, 10, 10))
MEMBRANE, N_CLASSES = 1, 3


def corrections_of(ids: np.ndarray, relations: ObjectRelations, space: VoxelSpace = CUBIC) -> BoundaryCorrections:
    return BoundaryCorrections([ObjectLabels(MemoryObjects(ids), (), relations)], MEMBRANE, N_CLASSES, space)


def two(relations: ObjectRelations) -> BoundaryCorrections:
    ids = np.full(SMALL, 7, np.uint32)
    ids[:, :, 20:] = 8
    return corrections_of(ids, relations)


def test_beside_a_cut_is_the_class_and_far_from_it_another() -> None:
    corrections = two(ObjectRelations(pairs=frozenset({(7, 8)})))
    row = corrections.kinds(Box.of_shape(SMALL))[6, 12]
    assert row[18:22].tolist() == [0, BETWEEN, BETWEEN, 0]
    # From 19 the fourth voxel is more than 30 nm away; the patch ends with voxels of which the sides are not known.
    assert row[10:19].tolist() == [WITHIN] * 6 + [0] * 3
    labels = corrections.labels(Box.of_shape(SMALL))[6, 12]
    assert set(labels[row == BETWEEN]) == {MEMBRANE}
    assert set(labels[row == WITHIN]) == {2 * N_CLASSES + MEMBRANE}


def test_where_two_meet_without_labels_nothing_is_learnt() -> None:
    row = two(ObjectRelations()).kinds(Box.of_shape(SMALL))[6, 12]
    assert not row[16:24].any()
    assert row[12] == row[28] == WITHIN


def test_what_is_around_objects_is_not_taken_for_a_border() -> None:
    ids = np.full(SMALL, 7, np.uint32)
    ids[:, :, 20:22], ids[:, :, 22:] = OTHER, BACKGROUND
    found = corrections_of(ids, ObjectRelations(whole=frozenset({7}))).kinds(Box.of_shape(SMALL))
    assert BETWEEN not in found
    assert not found[:, :, 17:].any()


@pytest.mark.parametrize("box", [Box((2, 3, 5), (9, 20, 33)), Box((0, 0, 18), (12, 24, 19))])
def test_a_part_says_what_the_whole_says(box: Box) -> None:
    corrections = two(ObjectRelations(pairs=frozenset({(7, 8)})))
    assert np.array_equal(corrections.kinds(box), corrections.kinds(Box.of_shape(SMALL))[box.slices])


def test_later_corrections_count() -> None:
    cut, joined = np.full(SMALL, 7, np.uint32), np.zeros(SMALL, np.uint32)
    cut[:, :, 20:] = 8
    joined[:, :, 10:30] = 3
    sources = [ObjectLabels(MemoryObjects(cut), (), ObjectRelations(pairs=frozenset({(7, 8)})))]
    sources.append(ObjectLabels(MemoryObjects(joined), (), ObjectRelations()))
    found = BoundaryCorrections(sources, MEMBRANE, N_CLASSES, CUBIC).kinds(Box.of_shape(SMALL))
    assert found[6, 12, 19] == WITHIN


def test_any_but_a_class_is_the_sum_of_the_others() -> None:
    torch.manual_seed(0)
    logits = torch.randn(40, 3, requires_grad=True)
    labels = torch.full((40,), 2 * 3 + 2)
    loss = SparseDiceCrossEntropy(0.0)(logits, labels)
    expected = -torch.log(1 - logits.softmax(1)[:, 1]).mean()
    assert torch.allclose(loss, expected, atol=1e-6)
    loss.backward()
    assert logits.grad is not None
    assert (logits.grad[:, 1] > 0).all()  # pushed down, and the others up
    assert (logits.grad[:, [0, 2]] < 0).all()


def test_with_two_classes_any_but_one_is_the_other() -> None:
    logits = torch.randn(40, 2)
    found = SparseDiceCrossEntropy(0.0)(logits, torch.full((40,), 2 * 2 + 1))
    assert torch.allclose(found, functional.cross_entropy(logits, torch.ones(40, dtype=torch.int64)), atol=1e-6)


def test_strokes_and_what_voxels_are_not_weigh_the_same() -> None:
    logits = torch.randn(4, 2)
    stroke, other = SparseDiceCrossEntropy(0.0), SparseDiceCrossEntropy(0.0)
    labels = torch.tensor([1, 5, 5, 5])
    mixed = SparseDiceCrossEntropy(0.0)(logits, labels)
    assert torch.allclose(mixed, (stroke(logits[:1], labels[:1]) + other(logits[1:], labels[1:])) / 2)


def corrected_data() -> VolumeData:
    of = training_data(held_out=())
    ids = np.zeros(of.source.shape, np.uint32)
    ids[:, 10:40, 10:24], ids[:, 10:40, 24:40] = 7, 8
    corrections = ObjectLabels(MemoryObjects(ids), (), ObjectRelations(pairs=frozenset({(7, 8)})))
    return VolumeData(of.source, of.annotations, of.classes, (), of.space, None, (corrections,), "membrane")


def test_patches_show_corrections_where_nobody_painted() -> None:
    data = corrected_data()
    plan = tiny_plan(corrections_share=1.0, augmentation=STILL, batch_size=1)
    image = TrainingImage(data.source, one_channel(mean=0, std=1, low=-1e6, high=1e6))
    batches = make_task(plan, data).batches([TrainingVolume(data, image)], plan, 1, (4, 16, 16))
    seen = torch.cat([batches.batch(step).labels.ravel() for step in range(10)])
    assert set(seen.tolist()) <= {0, 1, 2, 5}
    assert {1, 5} <= set(seen.tolist())
    strokes = data.annotations.read(Box.of_shape(data.source.shape))
    volume = TrainingVolume(data, image, corrections=BoundaryCorrections(data.corrections, 1, 2, data.space))
    whole = Box.of_shape(data.source.shape)
    assert np.array_equal(volume.labels(whole)[strokes > 0], strokes[strokes > 0])


@pytest.mark.slow
def test_a_network_of_classes_learns_from_corrections(tmp_path: Path) -> None:
    ended = train(tiny_plan(), corrected_data(), folders(tmp_path), RecordingContext())
    assert ended.info.steps == 6
