"""Nothing in a held-out box has a say in a training, and a model that is worse is found out.

Two worlds that differ in held-out voxels alone give the same model, bit by bit: image and labels there enter no batch,
no normalisation, no feature's mean and no guess. Of their labels one half chooses among the weights; the half that
scores has no say in that either.
"""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from napari_pytc.geometry import VoxelSpace
from napari_pytc.learning.data.volume_data import VolumeData
from napari_pytc.learning.evaluation.evaluation import ScoredModel
from napari_pytc.learning.evaluation.held_out_blocks import HeldOutBlocks, Part
from napari_pytc.learning.training.progress import ProgressCallback
from napari_pytc.learning.training.train import Checkpoint, TrainingFolders, train
from napari_pytc.plans.model_comparison import comparisons, refusal
from napari_pytc.plans.networks import FilterBankNetwork, FilterUNetNetwork, UNetNetwork
from tests.support.contexts import RecordingContext
from tests.support.images import memory_image
from tests.support.learning import (
    HELD_OUT,
    folders,
    instance_plan,
    object_data,
    same_weights,
    tiny_plan,
    tissue,
    train_tiny,
    training_data,
    weights_of,
)
from tests.support.tissue import draw_strokes

OF = tissue()
PLANS: dict[str, dict[str, Any]] = {
    "unet": {"network": UNetNetwork(channels=(4, 8))},
    "single voxels": {"network": FilterBankNetwork(sigmas=(0.7, 1.6), hidden=(8,)), "steps": 20},
    "guesses": {
        "network": FilterUNetNetwork(sigmas=(0.7, 1.6), hidden=(8,), channels=(4, 8)),
        "guess_weight": 1.0,
        "steps": 4,
    },
}


def labelled() -> np.ndarray:
    """Strokes all over, and dense truth in the held-out box."""
    labels = draw_strokes(OF.classes, n_strokes=30, length=10, seed=5)
    labels[HELD_OUT.slices] = OF.classes[HELD_OUT.slices]
    return labels


def other_raw() -> np.ndarray:
    """The same image, but for wild values in the held-out box."""
    raw = OF.raw.copy()
    raw[HELD_OUT.slices] = np.random.default_rng(9).choice([0, 255], HELD_OUT.shape)
    return raw


def swapped(labels: np.ndarray, where: np.ndarray) -> np.ndarray:
    """Labels with the two classes exchanged somewhere."""
    return np.where(where & (labels > 0), 3 - labels, labels).astype(np.uint8)


def inside() -> np.ndarray:
    mask = np.zeros(OF.raw.shape, bool)
    mask[HELD_OUT.slices] = True
    return mask


def half(part: Part) -> np.ndarray:
    """The voxels of a half of the held-out box."""
    labels = labelled()
    blocks = HeldOutBlocks([HELD_OUT], lambda box: labels[box.slices], 2, OF.space)
    numbers = blocks.numbers(HELD_OUT)
    mask = np.zeros(OF.raw.shape, bool)
    mask[HELD_OUT.slices] = (numbers >= 0) & blocks.of_part(part)[numbers]
    return mask


def alike(one: Checkpoint, two: Checkpoint) -> bool:
    normalisations = [(done.folder / "normalisation.json").read_text() for done in (one, two)]
    return same_weights(weights_of(one), weights_of(two)) and normalisations[0] == normalisations[1]


@pytest.mark.slow
@pytest.mark.parametrize("name", PLANS)
def test_image_and_labels_of_held_out_boxes_have_no_say_in_what_is_learnt(tmp_path: Path, name: str) -> None:
    never = {"validate_every": 1000, **PLANS[name]}  # the last weights are kept
    contexts = [RecordingContext(), RecordingContext()]
    worlds = [
        training_data(OF, labels=labelled()),
        training_data(OF, labels=swapped(labelled(), inside()), raw=other_raw()),
    ]
    one, two = (
        train_tiny(tmp_path / str(k), world, ctx, **never)
        for k, (world, ctx) in enumerate(zip(worlds, contexts, strict=True))
    )
    assert alike(one, two)
    assert contexts[0].curve("loss") == contexts[1].curve("loss")
    assert one.info.n_annotated == two.info.n_annotated
    assert one.info.scores["mean"] != two.info.scores["mean"]  # the worlds do differ where they may


@pytest.mark.slow
@pytest.mark.parametrize("name", PLANS)
def test_what_is_outside_of_them_has_a_say(tmp_path: Path, name: str) -> None:
    raw = OF.raw.copy()
    raw[~inside()] = np.roll(raw, 7, axis=2)[~inside()]
    never = {"validate_every": 1000, **PLANS[name]}
    one = train_tiny(tmp_path / "one", training_data(OF, labels=labelled()), **never)
    assert not alike(one, train_tiny(tmp_path / "two", training_data(OF, labels=labelled(), raw=raw), **never))


@pytest.mark.slow
def test_objects_of_held_out_boxes_have_no_say_either(tmp_path: Path) -> None:
    plan, made = instance_plan(validate_every=1000), []
    ids = OF.cells.copy()
    ids[HELD_OUT.slices] = np.random.default_rng(3).integers(1, 50, HELD_OUT.shape)
    for k, (objects, raw) in enumerate(((OF.cells, OF.raw), (ids, other_raw()))):
        data = object_data(OF, objects)
        world = VolumeData(
            memory_image(raw, OF.space), data.annotations, data.classes, data.held_out, data.space, data.objects
        )
        made.append(train(plan, world, folders(tmp_path / str(k)), RecordingContext()))
    assert alike(*made)
    assert made[0].info.scores["mean"] != made[1].info.scores["mean"]


def choosing(root: Path, labels: np.ndarray) -> Checkpoint:
    """A training that chooses among its weights and stops early."""
    plan = {"steps": 30, "validate_every": 2, "patience": 2, "learning_rate": 0.05, "ema_decay": 0}
    return train_tiny(root, training_data(OF, labels=labels), **plan)


@pytest.mark.slow
def test_the_half_that_scores_neither_chooses_weights_nor_stops_a_training(tmp_path: Path) -> None:
    as_it_is = choosing(tmp_path / "as it is", labelled())
    other_scored = choosing(tmp_path / "scored", swapped(labelled(), half("scored")))
    assert alike(as_it_is, other_scored)
    assert as_it_is.info.scores["history"] == other_scored.info.scores["history"]
    assert (as_it_is.stopped, as_it_is.info.steps) == (other_scored.stopped, other_scored.info.steps)
    assert as_it_is.info.scores["mean"] != other_scored.info.scores["mean"]
    other_watched = choosing(tmp_path / "watched", swapped(labelled(), half("watched")))
    assert as_it_is.info.scores["history"] != other_watched.info.scores["history"]
    assert as_it_is.info.scores["n_voxels"] == np.count_nonzero(half("scored"))


# ---- the gate


GOOD: dict[str, Any] = {
    "network": FilterBankNetwork(sigmas=(0.7, 1.6), hidden=(8,)),
    "steps": 60,
    "learning_rate": 1e-2,
}


def shuffled() -> np.ndarray:
    """The same voxels painted outside of the held-out box, with their labels dealt anew."""
    labels = labelled()
    painted = (labels > 0) & ~inside()
    labels[painted] = np.random.default_rng(2).permutation(labels[painted])
    return labels


@pytest.fixture(scope="module")
def good(tmp_path_factory: pytest.TempPathFactory) -> Checkpoint:
    return train_tiny(tmp_path_factory.mktemp("good"), training_data(OF, labels=labelled()), **GOOD)


def bad(root: Path, where: dict[str, Any]) -> Checkpoint:
    """A training on shuffled labels."""
    plan = tiny_plan(**GOOD)
    made = TrainingFolders(root / "models" / "bad", root / "run", **where)
    return train(plan, training_data(OF, labels=shuffled()), made, RecordingContext())


@pytest.mark.slow
def test_a_fine_tune_on_shuffled_labels_is_refused(
    tmp_path: Path, good: Checkpoint, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ProgressCallback, "_validate", lambda self, module: None)  # the last weights, however bad
    (found,) = comparisons(bad(tmp_path, {"parent": good.folder}).info.scores)
    assert (found.baseline, found.verdict) == (good.info.id, "worse")
    assert found.difference is not None
    assert found.high is not None
    assert found.difference < -0.1
    assert found.high < 0
    assert found.n_blocks >= 5


@pytest.mark.slow
def test_the_watched_half_keeps_a_fine_tune_from_getting_worse(tmp_path: Path, good: Checkpoint) -> None:
    done = bad(tmp_path, {"parent": good.folder})
    assert comparisons(done.info.scores)[0].verdict != "worse"
    assert refusal(done.info.scores) is None


@pytest.mark.slow
def test_a_new_model_of_shuffled_labels_is_refused_against_the_one_in_use(tmp_path: Path, good: Checkpoint) -> None:
    scores = bad(tmp_path, {"in_use": good.folder}).info.scores
    found = refusal(scores)
    assert found is not None
    assert found.baseline == good.info.id
    assert found.mean == pytest.approx(scores["mean"])
    low, high = scores["interval"]
    assert low <= scores["mean"] <= high


@pytest.mark.slow
def test_a_parent_and_the_model_in_use_are_both_compared(tmp_path: Path, good: Checkpoint) -> None:
    parent = bad(tmp_path / "parent", {})
    child = train(
        tiny_plan(**GOOD),
        training_data(OF, labels=labelled()),
        TrainingFolders(tmp_path / "child", tmp_path / "run", parent=parent.folder, in_use=good.folder),
        RecordingContext(),
    )
    found = comparisons(child.info.scores)
    assert [one.baseline for one in found] == ["bad", good.info.id]
    assert found[0].verdict == "better"


@pytest.mark.slow
def test_a_baseline_scores_as_it_did_when_it_was_trained(tmp_path: Path, good: Checkpoint) -> None:
    again = train_tiny(tmp_path, training_data(OF, labels=labelled()), **GOOD)
    done = bad(tmp_path / "bad", {"in_use": again.folder})
    assert comparisons(done.info.scores)[0].baseline_mean == pytest.approx(again.info.scores["mean"])


def test_models_of_another_voxel_size_are_not_compared_but_of_one_that_is_not_known(tmp_path: Path) -> None:
    """Models of version 0.2 name 1 nm where it was not known."""
    verdicts = []
    for number, (size, is_written) in enumerate([((20.0, 5.0, 5.0), True), ((1.0, 1.0, 1.0), False)]):
        data = training_data() if is_written else replace(training_data(), space=VoxelSpace.unknown())
        other = train_tiny(tmp_path / f"other {number}", data, steps=1)
        place = other.folder / "provenance.json"
        provenance = {**json.loads(place.read_text()), "voxel_size_nm": size}
        if not is_written:
            del provenance["is_voxel_size_known"]
        place.write_text(json.dumps(provenance))
        root = tmp_path / str(number)
        where = TrainingFolders(root / "models" / "m2", root / "run", in_use=other.folder)
        done = train(tiny_plan(steps=1), training_data(), where, RecordingContext())
        verdicts.append(comparisons(done.info.scores)[0].reason)
    assert verdicts[0] == "m1 learnt voxels of 20 x 5 x 5 nm"
    assert "nm" not in verdicts[1]


@pytest.mark.slow
@pytest.mark.parametrize("damage", ["gone", "other classes", "broken"])
def test_a_baseline_that_cannot_be_read_is_reported_and_hinders_nothing(
    tmp_path: Path, good: Checkpoint, damage: str
) -> None:
    folder = good.folder
    if damage == "gone":
        folder = tmp_path / "gone"
    elif damage == "other classes":
        folder = train_tiny(tmp_path / "other", training_data(OF, labelled(), classes=("x", "y")), **GOOD).folder
    else:
        folder = train_tiny(tmp_path / "broken", training_data(OF, labelled()), **GOOD).folder
        (folder / "weights.safetensors").write_bytes(b"no weights")
    (found,) = comparisons(bad(tmp_path / "bad", {"in_use": folder}).info.scores)
    assert (found.verdict, found.difference) == ("unknown", None)
    assert {"gone": "cannot be compared", "other classes": "learnt x, y", "broken": "cannot be compared"}[
        damage
    ] in found.reason


@pytest.mark.slow
def test_too_little_truth_is_no_verdict(tmp_path: Path, good: Checkpoint) -> None:
    labels = labelled()
    labels[HELD_OUT.slices] = 0
    labels[0, 3, 2:7] = OF.classes[0, 3, 2:7]
    plan = tiny_plan(**GOOD)
    where = TrainingFolders(tmp_path / "m", tmp_path / "run", in_use=good.folder)
    ctx = RecordingContext()
    scores = train(plan, training_data(OF, labels=labels), where, ctx).info.scores
    (found,) = comparisons(scores)
    assert found.verdict == "unknown"
    assert "1 places" in found.reason or "1 place" in found.reason
    assert "interval" not in scores
    assert any("the last weights are kept" in sentence for sentence in ctx.warnings)


@pytest.mark.slow
def test_nothing_held_out_is_nothing_to_compare(tmp_path: Path, good: Checkpoint) -> None:
    where = TrainingFolders(tmp_path / "m", tmp_path / "run", in_use=good.folder)
    data = training_data(OF, labels=labelled(), held_out=())
    scores = train(tiny_plan(**GOOD), data, where, RecordingContext()).info.scores
    assert set(scores) == {"comparison"}
    assert comparisons(scores)[0].reason == "nothing annotated is held out"


def test_a_standing_without_blocks_has_no_interval() -> None:
    class Nothing:
        def summary(self, sums: np.ndarray) -> dict[str, Any]:
            return {"mean": None}

        def means(self, sums: np.ndarray) -> np.ndarray:
            return np.full(len(sums), np.nan)

        def by_volume(self, counts: np.ndarray) -> dict[str, Any]:
            return {}

    assert ScoredModel(Nothing(), np.zeros((0, 2, 3)), (1, 1, 1)).scores == {"mean": None}  # type: ignore[arg-type]
