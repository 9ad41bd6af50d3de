"""The instant model near its parent: what is held, from where, and that it holds."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

import napari_pytc.learning.training as training
from napari_pytc.geometry import Box
from napari_pytc.learning.config import TrainPlan
from napari_pytc.learning.data import TrainingData, TrainingImage
from napari_pytc.learning.held_answers import Held, held_answers, knows_enough, sharpened
from napari_pytc.learning.model import TrainedModel
from napari_pytc.learning.networks import FilterUNetNetwork
from napari_pytc.learning.networks.filter_bank import FilterBank
from napari_pytc.learning.recipes import load_recipe
from napari_pytc.learning.training import TrainingFolders, train
from napari_pytc.learning.voxel_features import annotated_features
from tests.support.contexts import RecordingContext
from tests.support.learning import HELD_OUT, STILL, folders, tiny_plan, tissue, training_data

INSTANT = load_recipe("instant", ["device=cpu"])


def painted() -> TrainingData:
    """A twentieth of the tissue's voxels."""
    classes = tissue().classes
    return training_data(labels=np.where(np.random.default_rng(0).random(classes.shape) < 0.05, classes, 0))


@pytest.fixture(scope="module")
def parent(tmp_path_factory: pytest.TempPathFactory) -> TrainedModel:
    where = folders(tmp_path_factory.mktemp("parent"))
    train(INSTANT, painted(), where, RecordingContext())
    return TrainedModel.load(where.model)


@pytest.fixture(scope="module")
def parent_folder(parent: TrainedModel, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return next(tmp_path_factory.getbasetemp().glob("parent*")) / "models" / "m1"


def held_of(parent: TrainedModel, raw: np.ndarray) -> Held:
    data = training_data(raw=raw)
    image = TrainingImage(data.source, parent.normalisation, data.held_out)
    assert isinstance(parent.network, FilterBank)
    found = held_answers(parent, parent.network, INSTANT, data, image, parent.limits)
    assert found is not None
    return found


def test_answers_are_the_parents_sharpened(parent: TrainedModel) -> None:
    held = held_of(parent, tissue().raw)

    with torch.no_grad():
        expected = parent.network.classify(held.features).softmax(1)  # type: ignore[operator]
    assert torch.allclose(held.answers, sharpened(expected), atol=1e-3)
    assert held.answers.max(1).values.mean() > expected.max(1).values.mean()
    assert held.drawn(1, 3).shape == (3, 512)
    assert torch.equal(held.drawn(1, 3), held.drawn(1, 3))
    assert not torch.equal(held.drawn(1, 3), held.drawn(2, 3))


def test_nothing_held_out_is_seen(parent: TrainedModel) -> None:
    raw = tissue().raw
    other = raw.copy()
    other[HELD_OUT.slices] = np.random.default_rng(0).integers(0, 255, HELD_OUT.shape, np.uint8)

    first, second = held_of(parent, raw), held_of(parent, other)

    assert torch.equal(first.features, second.features)
    assert torch.equal(first.answers, second.answers)


def test_where_all_is_held_out_there_is_nothing_to_hold(parent: TrainedModel) -> None:
    data = training_data()
    image = TrainingImage(data.source, parent.normalisation, (Box.of_shape(data.source.shape),))

    assert isinstance(parent.network, FilterBank)
    assert held_answers(parent, parent.network, INSTANT, data, image, parent.limits) is None


def test_a_parent_of_a_stroke_or_two_or_of_fewer_classes_is_not_held(parent: TrainedModel) -> None:
    info = replace_counts(parent, {"a": 500, "b": 100})
    assert knows_enough(info, {"a": 900, "b": 300})
    assert knows_enough(info, {"a": 900, "b": 300, "c": 0})
    assert not knows_enough(info, {"a": 900, "b": 300, "c": 5})
    assert not knows_enough(replace_counts(parent, {"a": 500, "b": 20}), {"a": 900, "b": 300})


def replace_counts(parent: TrainedModel, n_annotated: dict[str, int]) -> object:
    return parent.info.model_copy(update={"n_annotated": n_annotated})


def answers_of(folder: Path, raw: np.ndarray) -> np.ndarray:
    model = TrainedModel.load(folder)
    with torch.no_grad():
        found = model.network(torch.from_numpy(model.normalisation.apply(raw))[None, None])[0].softmax(0)
    return found.numpy()


def test_the_instant_model_changes_less_with_a_parent(parent_folder: Path, tmp_path: Path) -> None:
    """Strokes of one class are many now, as when somebody answers one kind of error: the parent knew better."""
    of = tissue()
    before = answers_of(parent_folder, of.raw)
    labels = np.zeros_like(of.classes)
    labels[2:6, :, 40:60] = np.where(of.classes[2:6, :, 40:60] == 2, 2, 0)
    labels[:, ::16, ::16] = of.classes[:, ::16, ::16]
    drift = {}
    for weight in (0.0, 1.0):
        plan = INSTANT.model_copy(update={"distil_weight": weight})
        where = folders(tmp_path / f"child{weight:g}", near=parent_folder)
        after = answers_of(train(plan, training_data(of, labels), where, RecordingContext()).folder, of.raw)
        drift[weight] = float(np.abs(after - before).mean())
    assert drift[1.0] < 0.8 * drift[0.0]


def test_a_class_that_the_parent_would_hide_is_learnt_all_the_same(
    parent_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    plan, ctx = INSTANT.model_copy(update={"distil_weight": 10.0}), RecordingContext()

    def blind(*args: object) -> Held:
        network, data, image, limits = args[1], args[3], args[4], args[5]
        features, classes = annotated_features(network, plan, data, image, limits, ctx)  # type: ignore[arg-type]
        return Held(features, torch.tensor([1.0, 0.0]).expand(len(classes), 2))

    monkeypatch.setattr(training, "held_answers", blind)
    where = folders(tmp_path / "child", parent=parent_folder)
    child = train(plan, painted(), where, ctx)

    assert [warning for warning in ctx.warnings if "hardly any voxel of a class" in warning]
    assert child.info.parent == "m1"
    of = tissue()
    answers = answers_of(child.folder, of.raw).argmax(0) + 1
    assert all(float((answers[of.classes == k] == k).mean()) > 0.5 for k in (1, 2))


def test_the_teacher_of_a_network_stays_near_the_networks_parent(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:

    asked: list[tuple[str, TrainingFolders, bool]] = []
    run = training._Run

    class Noting(run):  # type: ignore[misc, valid-type]
        def __init__(
            self, plan: TrainPlan, data: object, lesson: object, where: TrainingFolders, *rest: object
        ) -> None:
            number = len(asked)
            asked.append((plan.recipe, where, False))
            super().__init__(plan, data, lesson, where, *rest)
            asked[number] = (plan.recipe, where, self._held is not None)

    monkeypatch.setattr(training, "_Run", Noting)
    network = FilterUNetNetwork(sigmas=(0.7, 1.6), hidden=(8,), channels=(4, 8))
    plan = tiny_plan(network=network, guess_weight=1.0, augmentation=STILL, recipe="mine")
    first = train(plan, painted(), folders(tmp_path / "first"), RecordingContext()).folder
    train(plan, painted(), folders(tmp_path / "second", parent=first), RecordingContext())

    assert [(recipe, where.parent, where.near, held) for recipe, where, held in asked] == [
        ("mine", None, None, False),
        ("instant", None, None, False),
        ("mine", first, None, False),
        ("instant", None, first, True),
    ]


def test_a_parent_of_other_channels_holds_no_teacher(parent_folder: Path, tmp_path: Path) -> None:
    ctx = RecordingContext()
    data = replace(training_data(), classes=("membrane", "other"))
    train(INSTANT, data, folders(tmp_path, near=parent_folder), ctx)
    assert not any("hold it near" in sentence for sentence in ctx.warnings)
