"""The instant model near its parent: what is held, from where, and that it holds."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

import napari_pytc.learning.training.train as training
from napari_pytc.geometry import Box
from napari_pytc.learning.data.training_image import TrainingImage
from napari_pytc.learning.data.volume_data import VolumeData
from napari_pytc.learning.data.voxel_features import annotated_features
from napari_pytc.learning.networks.filter_bank import FilterBank
from napari_pytc.learning.prediction.model import TrainedModel
from napari_pytc.learning.training import training_run
from napari_pytc.learning.training.steps.distillation import (
    DistillationTargets,
    has_learnt_enough,
    sample_distillation_targets,
    sharpen,
)
from napari_pytc.learning.training.train import TrainingFolders, train
from napari_pytc.plans.networks import FilterUNetNetwork
from napari_pytc.plans.plan import TrainPlan
from napari_pytc.plans.recipes import load_recipe
from tests.support.contexts import RecordingContext
from tests.support.learning import HELD_OUT, STILL, folders, tiny_plan, tissue, training_data

INSTANT = load_recipe("instant", ["device=cpu"])


def painted() -> VolumeData:
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


def held_of(parent: TrainedModel, raw: np.ndarray) -> DistillationTargets:
    data = training_data(raw=raw)
    image = TrainingImage(data.source, parent.normalisation, data.held_out)
    assert isinstance(parent.network, FilterBank)
    found = sample_distillation_targets(parent, parent.network, INSTANT, data, image)
    assert found is not None
    return found


@pytest.mark.slow
def test_answers_are_the_parents_sharpened(parent: TrainedModel) -> None:
    held = held_of(parent, tissue().raw)

    with torch.no_grad():
        expected = parent.network.classify(held.features).softmax(1)  # type: ignore[operator]
    assert torch.allclose(held.probabilities, sharpen(expected), atol=1e-3)
    assert held.probabilities.max(1).values.mean() > expected.max(1).values.mean()
    assert held.draw_rows(1, 3).shape == (3, 512)
    assert torch.equal(held.draw_rows(1, 3), held.draw_rows(1, 3))
    assert not torch.equal(held.draw_rows(1, 3), held.draw_rows(2, 3))


def test_nothing_held_out_is_seen(parent: TrainedModel) -> None:
    raw = tissue().raw
    other = raw.copy()
    other[HELD_OUT.slices] = np.random.default_rng(0).integers(0, 255, HELD_OUT.shape, np.uint8)

    first, second = held_of(parent, raw), held_of(parent, other)

    assert torch.equal(first.features, second.features)
    assert torch.equal(first.probabilities, second.probabilities)


@pytest.mark.slow
def test_where_all_is_held_out_there_is_nothing_to_hold(parent: TrainedModel) -> None:
    data = training_data()
    image = TrainingImage(data.source, parent.normalisation, (Box.of_shape(data.source.shape),))

    assert isinstance(parent.network, FilterBank)
    assert sample_distillation_targets(parent, parent.network, INSTANT, data, image) is None


def test_a_parent_of_a_stroke_or_two_or_of_fewer_classes_is_not_held(parent: TrainedModel) -> None:
    info = replace_counts(parent, {"a": 500, "b": 100})
    assert has_learnt_enough(info, {"a": 900, "b": 300})
    assert has_learnt_enough(info, {"a": 900, "b": 300, "c": 0})
    assert not has_learnt_enough(info, {"a": 900, "b": 300, "c": 5})
    assert not has_learnt_enough(replace_counts(parent, {"a": 500, "b": 20}), {"a": 900, "b": 300})


def replace_counts(parent: TrainedModel, n_annotated: dict[str, int]) -> object:
    return parent.info.model_copy(update={"n_annotated": n_annotated})


def answers_of(folder: Path, raw: np.ndarray) -> np.ndarray:
    model = TrainedModel.load(folder)
    with torch.no_grad():
        found = model.network(torch.from_numpy(model.normalisation.apply(raw[None]))[None])[0].softmax(0)
    return found.numpy()


@pytest.mark.slow
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
        where = folders(tmp_path / f"child{weight:g}", distil_from=parent_folder)
        after = answers_of(train(plan, training_data(of, labels), where, RecordingContext()).folder, of.raw)
        drift[weight] = float(np.abs(after - before).mean())
    assert drift[1.0] < 0.8 * drift[0.0]


@pytest.mark.slow
def test_a_class_that_the_parent_would_hide_is_learnt_all_the_same(
    parent_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    plan, ctx = INSTANT.model_copy(update={"distil_weight": 10.0}), RecordingContext()

    def blind(*args: object) -> DistillationTargets:
        network, (volume,) = args[1], args[3]  # type: ignore[misc]
        features, classes = annotated_features(network, plan, volume.data, volume.image, ctx)  # type: ignore[arg-type]
        return DistillationTargets(features, torch.tensor([1.0, 0.0]).expand(len(classes), 2))

    monkeypatch.setattr(training_run, "distillation_targets_of", blind)
    where = folders(tmp_path / "child", parent=parent_folder)
    child = train(plan, painted(), where, ctx)

    assert [warning for warning in ctx.warnings if "hardly any voxel of a class" in warning]
    assert child.info.parent == "m1"
    of = tissue()
    probabilities = answers_of(child.folder, of.raw).argmax(0) + 1
    assert all(float((probabilities[of.classes == k] == k).mean()) > 0.5 for k in (1, 2))


@pytest.mark.slow
def test_the_teacher_of_a_network_distils_the_networks_parent(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:

    asked: list[tuple[str, TrainingFolders, bool]] = []
    run = training.TrainingRun

    class Noting(run):  # type: ignore[misc, valid-type]
        def __init__(
            self, plan: TrainPlan, data: object, task: object, where: TrainingFolders, *rest: object, **options: object
        ) -> None:
            number = len(asked)
            asked.append((plan.recipe, where, False))
            super().__init__(plan, data, task, where, *rest, **options)
            asked[number] = (plan.recipe, where, self._targets is not None)

    monkeypatch.setattr(training, "TrainingRun", Noting)
    network = FilterUNetNetwork(sigmas=(0.7, 1.6), hidden=(8,), channels=(4, 8))
    plan = tiny_plan(network=network, guess_weight=1.0, augmentation=STILL, recipe="mine")
    first = train(plan, painted(), folders(tmp_path / "first"), RecordingContext()).folder
    train(plan, painted(), folders(tmp_path / "second", parent=first), RecordingContext())

    assert [(recipe, where.parent, where.distil_from, held) for recipe, where, held in asked] == [
        ("mine", None, None, False),
        ("instant", None, None, False),
        ("mine", first, None, False),
        ("instant", None, first, True),
    ]


@pytest.mark.slow
def test_a_parent_of_other_channels_holds_no_teacher(parent_folder: Path, tmp_path: Path) -> None:
    ctx = RecordingContext()
    data = replace(training_data(), classes=("membrane", "other"))
    train(INSTANT, data, folders(tmp_path, distil_from=parent_folder), ctx)
    assert not any("cannot be distilled" in sentence for sentence in ctx.warnings)
