"""Scores of the objects that a decoder makes of predictions on held-out boxes."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from napari_pytc.annotations.object_relations import BACKGROUND, OTHER
from napari_pytc.geometry import Box
from napari_pytc.jobs.context import JobCancelled
from napari_pytc.learning.data.objects import ObjectLabels
from napari_pytc.learning.data.training_data import TrainingData
from napari_pytc.learning.data.volume_data import VolumeData
from napari_pytc.learning.evaluation.object_scoring import TOLERATED_NODES, ObjectScorer, precision_curves
from napari_pytc.learning.training.train import train
from napari_pytc.metrics import evaluate_instances
from napari_pytc.plans.plan import TrainPlan
from napari_pytc.plans.targets import ChannelsTarget
from tests.support.annotations import MemoryAnnotations
from tests.support.arrays import FakeArray
from tests.support.contexts import RecordingContext
from tests.support.images import memory_image, one_channel
from tests.support.learning import CLASSES, MemoryObjects, folders, object_data, space, strokes, tiny_plan, tissue

PLAIN = one_channel(mean=0, std=1, low=-1e6, high=1e6)
SHAPE = (6, 20, 60)
HELD = Box((0, 0, 0), (6, 20, 40))
COMPONENTS = {"kind": "components", "object_class": "foreground"}


class Drawn:
    """Stands for a network: channels of an array, wherever they are asked for."""

    def __init__(self, channels: np.ndarray) -> None:
        self.channels = channels
        self.boxes: list[Box] = []

    def predict_box(self, read: Callable[[Box], np.ndarray], box: Box, whole: Box) -> torch.Tensor:
        self.boxes.append(box)
        return torch.from_numpy(self.channels[(slice(None), *box.slices)].astype(np.float32))


def true_ids() -> np.ndarray:
    """Three objects in the held-out box and one beyond; the lowest rows are not annotated."""
    ids = np.full(SHAPE, BACKGROUND, np.uint32)
    ids[1:5, 2:8, 2:12], ids[1:5, 2:8, 20:30], ids[1:5, 11:15, 5:35] = 4, 7, 9
    ids[1:5, 2:8, 45:55] = 11
    ids[:, 17:] = 0
    ids[0, 0, 0] = OTHER
    return ids


def volume(ids: np.ndarray, painted: np.ndarray | None = None, held_out: Box = HELD) -> VolumeData:
    annotations = MemoryAnnotations(np.zeros(SHAPE, np.uint8) if painted is None else painted)
    objects = ObjectLabels(MemoryObjects(ids), (held_out,))
    return VolumeData(
        memory_image(np.zeros(SHAPE, np.uint8), space()), annotations, CLASSES, (held_out,), space(), objects
    )


def plan(*roles: str, decoder: dict | None = COMPONENTS) -> TrainPlan:
    target = ChannelsTarget.model_validate({"channels": [{"role": role} for role in roles]})
    return tiny_plan(target=target, decoder=decoder or {})


def scorer(of: TrainPlan, *volumes: VolumeData) -> ObjectScorer:
    data = TrainingData(volumes, space())
    target = of.target.of_classes(CLASSES)
    found = ObjectScorer.of(
        of.model_copy(update={"target": target}),
        data,
        [PLAIN] * len(volumes),
        target.roles(CLASSES, space()),
        pytest.fail,
    )
    assert found is not None
    return found


def test_objects_are_those_of_the_decoder_and_scored_as_by_evaluate() -> None:
    ids = true_ids()
    predicted = np.where((ids > 1) & (ids < 20), 0.9, 0.1)
    predicted[:, 11:15, 18:22] = 0.1  # the third object is cut apart
    predicted[:, 18:20, 2:8] = 0.9  # where nothing is annotated
    network = Drawn(predicted[None])
    found = scorer(plan("foreground"), volume(ids)).score(network, 10**6, with_skeletons=True)
    assert (found["predicted_objects"], found["truth_objects"]) == (4, 3)
    assert network.boxes == [Box((0, 0, 0), (6, 17, 40))]
    labels = np.zeros(SHAPE, np.uint32)
    labels[1:5, 2:8, 2:12], labels[1:5, 2:8, 20:30] = 1, 2
    labels[1:5, 11:15, 5:18], labels[1:5, 11:15, 22:35] = 3, 4
    truth = np.where(ids == BACKGROUND, 0, np.where((ids == 0) | (ids == OTHER), 99, ids))
    expected = evaluate_instances(FakeArray(labels), FakeArray(truth), 99, Box((0, 0, 0), (6, 17, 40)))
    for name in ("average_precision", "average_precision_50", "average_precision_at", "voi_split", "voi_merge"):
        assert found[name] == pytest.approx(expected[name]), name
    assert found["n_voxels"] == expected["compared"]["compared"]
    assert found["decoder"] == "components"
    assert "nerl" not in found  # of objects of a class
    assert "of_class" not in found


def test_the_foreground_of_a_target_of_instances_is_no_class_of_the_project() -> None:
    of = tiny_plan(target={"kind": "instances", "affinities": False, "foreground": True}, decoder=COMPONENTS)
    ids = true_ids()
    predicted = np.where((ids > 1) & (ids < 20), 0.9, 0.1)
    roles = of.target.roles((), space())
    channels = np.stack([predicted if role.title == "foreground" else np.zeros(SHAPE) for role in roles])
    found = scorer(of, volume(ids)).score(Drawn(channels), 10**6)
    assert (found["predicted_objects"], found["average_precision_50"]) == (3, 1)
    assert "of_class" not in found


def test_average_precision_of_each_class_and_run_lengths() -> None:
    ids = true_ids()
    painted = np.zeros(SHAPE, np.uint8)
    painted[2, 5, 2:30] = 1  # two objects of the first class, the third of the second
    painted[2, 13, 5:35] = 2
    inside = (ids > 1) & (ids < 20)
    boundary = np.where(inside, 0.1, 0.9)
    first = np.where(np.arange(SHAPE[1])[None, :, None] < 10, 0.8, 0.2) * np.ones(SHAPE)
    first[:, :, 15:32] = 0.2  # the second is taken for one of the other class
    network = Drawn(np.stack([boundary, first, 1 - first]))
    of = plan("boundary", "classes", decoder={"kind": "components"})
    found = scorer(of, volume(ids, painted)).score(network, 10**6, with_skeletons=True)
    assert found["average_precision_50"] == 1
    assert found["of_class"] == {
        CLASSES[0]: {
            "average_precision": 0.5, "average_precision_50": 0.5, "predicted_objects": 1, "truth_objects": 2
        },
        CLASSES[1]: {
            "average_precision": 0.5, "average_precision_50": 0.5, "predicted_objects": 2, "truth_objects": 1
        },
    }  # fmt: skip
    assert found["mean_average_precision_50"] == 0.5
    assert (found["nerl"], found["tolerated_nodes"]) == (1, TOLERATED_NODES)
    assert precision_curves(found) == {
        "average_precision": 1,
        "average_precision_50": 1,
        f"average_precision_50/{CLASSES[0]}": 0.5,
        f"average_precision_50/{CLASSES[1]}": 0.5,
    }
    assert precision_curves({}) == {}


def test_objects_of_two_volumes_are_different_ones_and_the_digest_is_that_of_the_truth() -> None:
    ids = true_ids()
    inside = ((ids > 1) & (ids < 20)).astype(float)[None]
    two = scorer(plan("foreground"), volume(ids), volume(ids))
    found = two.score(Drawn(inside), 10**6)
    assert (found["predicted_objects"], found["truth_objects"], found["average_precision"]) == (6, 6, 1)
    one = scorer(plan("foreground"), volume(ids)).score(Drawn(inside), 10**6)
    again = scorer(plan("foreground"), volume(ids)).score(Drawn(0 * inside), 10**6)
    assert one["truth"] == again["truth"] != found["truth"]
    assert again["average_precision"] == 0
    ids[2, 3, 3] = 0
    assert scorer(plan("foreground"), volume(ids)).score(Drawn(inside), 10**6)["truth"] != one["truth"]


def test_few_voxels_are_taken_from_the_middle_and_a_cancel_is_heard() -> None:
    ids = true_ids()
    network = Drawn(np.ones((1, *SHAPE)))
    scorer(plan("foreground"), volume(ids)).score(network, 500)
    assert network.boxes[0].size <= 500

    def cancel() -> None:
        raise JobCancelled

    with pytest.raises(JobCancelled):
        scorer(plan("foreground"), volume(ids)).score(network, 500, cancel)


def test_without_objects_or_a_decoder_there_is_no_scorer() -> None:
    data = TrainingData((volume(np.zeros(SHAPE)),), space())
    warned: list[str] = []

    def of(plan: TrainPlan, data: TrainingData) -> ObjectScorer | None:
        target = plan.target.of_classes(CLASSES)
        roles = target.roles(CLASSES, space())
        return ObjectScorer.of(plan.model_copy(update={"target": target}), data, [PLAIN], roles, warned.append)

    assert of(plan("foreground"), data) is None
    labelled = TrainingData((volume(true_ids()),), space())
    assert of(tiny_plan(), labelled) is None  # classes alone
    assert warned == []
    assert of(plan("flow", decoder=None), labelled) is None
    assert len(warned) == 1
    assert warned[0].startswith("Single objects get no score, as they cannot be decoded: ")


@pytest.mark.slow
def test_a_training_of_classes_and_objects_has_curves_and_scores_of_objects(tmp_path: Path) -> None:
    target = ChannelsTarget.model_validate({"channels": [{"role": "boundary"}, {"role": "classes"}]})
    of = tiny_plan(target=target, decoder={"kind": "components"}, steps=4, validate_every=2)
    data = replace(object_data(), annotations=MemoryAnnotations(strokes(tissue())))
    ctx = RecordingContext()
    done = train(of, data, folders(tmp_path), ctx)
    found = done.info.scores["objects"]
    assert found["truth_objects"] > 0
    assert set(found["of_class"]) <= set(CLASSES)
    assert found["decoder"] == "components"
    assert len(done.info.scores["truth"]) == len(found["truth"]) == 16
    curves = {name for name, _, _ in ctx.metrics}
    assert {"average_precision", "average_precision_50"} <= curves
    again = train(of, data, folders(tmp_path / "again"), RecordingContext())
    assert again.info.scores == done.info.scores
