"""Training from strokes to a model folder: what it learns, refuses, survives and tells."""

from __future__ import annotations

import json
import pickle
from pathlib import Path
from typing import Any, ClassVar, Literal

import numpy as np
import pytest
import torch
from torch import nn

from napari_pytc.errors import ModelError, OutOfMemory, PytcError
from napari_pytc.geometry import Box, Shape, VoxelSpace
from napari_pytc.jobs.context import JobCancelled
from napari_pytc.learning.evaluation.volume_scores import Scorer
from napari_pytc.learning.prediction.inference import Inferer
from napari_pytc.learning.prediction.model import TrainedModel
from napari_pytc.learning.prediction.tiled import TiledPredictor
from napari_pytc.learning.training import progress as progress_module
from napari_pytc.learning.training.steps.module import SegmentationModule
from napari_pytc.plans.model_folder import read_model_info
from napari_pytc.plans.networks import (
    DynUNetNetwork,
    FilterBankNetwork,
    FilterUNetNetwork,
    NetworkSettings,
    UNetNetwork,
)
from napari_pytc.volumes.memory import MemoryVolume
from napari_pytc.volumes.statistics import sample_statistics
from tests.support.contexts import RecordingContext
from tests.support.learning import (
    CLASSES,
    HELD_OUT,
    same_weights,
    strokes,
    tiny_plan,
    tissue,
    train_tiny,
    training_data,
    weights_of,
)
from tests.support.tissue import draw_strokes

NETWORKS = {
    "unet": UNetNetwork(channels=(4, 8)),
    "dynunet": DynUNetNetwork(channels=(4, 8, 8)),
    "filter_bank": FilterBankNetwork(sigmas=(0.7, 1.6), hidden=(8,)),
}
MORE_STROKES = draw_strokes(tissue().classes, n_strokes=30, length=10, seed=5)


class PointwiseNetwork(NetworkSettings):
    """An architecture that only this file knows: a convolution of 3 and one of 1, by itself."""

    kind: Literal["test-pointwise"] = "test-pointwise"
    width: int = 4
    learns_from: ClassVar[Literal["patches", "voxels"]] = "patches"

    def build(self, n_classes: int, space: VoxelSpace, n_inputs: int = 1) -> nn.Module:
        return nn.Sequential(
            nn.Conv3d(n_inputs, self.width, 3, padding=1), nn.ReLU(), nn.Conv3d(self.width, n_classes, 1)
        )

    def patch_shape(self, space: VoxelSpace) -> Shape:
        return (2, 12, 12)


@pytest.mark.slow
@pytest.mark.parametrize("name", NETWORKS)
def test_a_model_learns_and_is_complete(tmp_path: Path, name: str) -> None:
    ctx = RecordingContext()
    data = training_data(labels=MORE_STROKES)
    steps = 60 if name == "filter_bank" else 40
    done = train_tiny(
        tmp_path, data, ctx, network=NETWORKS[name], steps=steps, learning_rate=1e-2, validate_every=20, ema_decay=0.9
    )
    assert done.stopped == "steps"
    assert done.info.scores["mean"] > 0.6
    assert [step for step, *_ in ctx.progress if _[1] == "training"][-1] == steps
    assert ctx.curve("loss")[-1] < ctx.curve("loss")[0]
    curves = {metric for metric, _, _ in ctx.metrics}
    assert curves >= {"loss", "dice", "dice/membrane", "dice/inside", "mean_iou", "accuracy", "mean_accuracy"}
    info = read_model_info(done.folder)
    assert (info.id, info.classes, info.steps, info.parent) == ("m1", CLASSES, steps, None)
    assert info.n_annotated == dict(zip(CLASSES, np.sum([c.counts for c in data.chunks], axis=0).tolist(), strict=True))
    assert done.summary()["folder"] == str(tmp_path / "models" / "m1")
    json.dumps(done.summary())
    # The folder alone predicts: every voxel gets probabilities that sum to one, better than a guess.
    model = TrainedModel.load(done.folder)
    device, precision = model.place("cpu", "float32")
    inferer = Inferer(model.network, model.limits, device, precision)
    found = inferer(model.normalisation.apply(data.source.array), Box.of_shape(data.source.shape))
    assert torch.allclose(found.sum(0), torch.ones(()), atol=1e-5)
    truth = tissue().classes[HELD_OUT.slices]
    right = found.argmax(0).numpy()[HELD_OUT.slices] + 1 == truth
    assert right.mean() > max((truth == k).mean() for k in (1, 2)) - 0.1
    assert right.mean() > 0.6


@pytest.mark.slow
def test_a_new_architecture_goes_the_same_way(tmp_path: Path) -> None:
    plan = tiny_plan(network={"kind": "test-pointwise", "width": 6}, patch_shape=None)
    assert isinstance(plan.network, PointwiseNetwork)
    done = train_tiny(tmp_path, network=plan.network, patch_shape=None)
    model = TrainedModel.load(done.folder)
    assert model.info.plan.network == PointwiseNetwork(width=6)
    assert model.limits.halo == (1, 1, 1)
    assert model.limits.alignment == (1, 1, 1)
    device, precision = model.place("cpu", "float32")
    sink = MemorySink(2, (8, 48, 48))
    predictor = TiledPredictor(
        Inferer(model.network, model.limits, device, precision), model.normalisation, (8, 20, 20)
    )
    report = predictor.predict(training_data().source, sink, Box.of_shape((8, 48, 48)), RecordingContext())
    assert report.tiles == 9
    assert np.allclose(sink.data.sum(0), 1, atol=1e-5)


class MemorySink:
    dtype = np.dtype(np.float32)

    def __init__(self, n_classes: int, shape: Shape) -> None:
        self.data = np.zeros((n_classes, *shape), np.float32)

    def write(self, box: Box, data: np.ndarray) -> None:
        self.data[(slice(None), *box.slices)] = data


@pytest.mark.slow
@pytest.mark.parametrize("shape", [(1, 40, 40), (3, 9, 11), (5, 70, 7)])
@pytest.mark.parametrize("name", NETWORKS)
def test_any_volume_will_do(tmp_path: Path, name: str, shape: Shape) -> None:
    of = tissue(shape)
    labels = np.where(np.random.default_rng(0).random(shape) < 0.3, of.classes, 0)
    data = training_data(of, labels, held_out=[])
    done = train_tiny(tmp_path, data, network=NETWORKS[name], steps=2, patch_shape=(4, 32, 32))
    assert all(torch.isfinite(t).all() for t in weights_of(done).values())


@pytest.mark.slow
def test_bf16_trains_as_well(tmp_path: Path) -> None:
    ctx = RecordingContext()
    done = train_tiny(tmp_path, ctx=ctx, precision="bf16", steps=2)
    assert "bf16" in done.info.precision
    kept = weights_of(done)
    assert all(t.dtype in (torch.float32, torch.int64) and torch.isfinite(t).all() for t in kept.values())


def test_nothing_held_out_is_told_and_gives_no_score(tmp_path: Path) -> None:
    ctx = RecordingContext()
    done = train_tiny(tmp_path, training_data(held_out=[]), ctx)
    assert done.info.scores == {}
    assert any("No annotated voxel is held out" in sentence for sentence in ctx.warnings)


def test_a_class_without_strokes_is_reported_and_the_rest_is_learnt(tmp_path: Path) -> None:
    ctx = RecordingContext()
    done = train_tiny(tmp_path, training_data(classes=(*CLASSES, "synapse")), ctx)
    assert any("'synapse' has no strokes" in sentence for sentence in ctx.warnings)
    assert done.info.classes == (*CLASSES, "synapse")
    assert done.info.n_annotated["synapse"] == 0


FAULTS: dict[str, tuple[dict[str, Any], str]] = {
    "one class": ({"labels": np.where(strokes(tissue()) == 1, 1, 0)}, "at least two classes"),
    "no strokes": ({"labels": np.zeros((8, 48, 48), np.uint8)}, "at least two classes"),
    "all held out": ({"held_out": [Box((0, 0, 0), (8, 48, 48))]}, "All annotated voxels lie in held-out boxes"),
    "a value beyond the list": ({"classes": ("membrane",)}, "hold the value 2, but there are 1 classes"),
    "a constant volume": ({"raw": np.full((8, 48, 48), 7, np.uint8)}, "constant image"),
    "no finite voxel": ({"raw": np.full((8, 48, 48), np.nan, np.float32)}, "NaN or infinite"),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_what_cannot_be_learnt_from_is_refused_in_a_sentence(tmp_path: Path, fault: str) -> None:
    changes, words = FAULTS[fault]
    with pytest.raises(PytcError, match=words) as caught:
        train_tiny(tmp_path, training_data(**changes))
    assert caught.value.hint
    assert not (tmp_path / "models").exists()


def test_voxels_that_are_no_numbers_are_reported_and_harmless(tmp_path: Path) -> None:
    raw = tissue().raw.astype(np.float32)
    raw[::2, ::5, ::5], raw[1, :, 7], raw[3, 9, :] = np.nan, np.inf, -np.inf
    ctx = RecordingContext()
    done = train_tiny(tmp_path, training_data(raw=raw), ctx)
    assert any("not finite numbers" in sentence for sentence in ctx.warnings)
    assert all(torch.isfinite(t).all() for t in weights_of(done).values())
    assert np.isfinite(ctx.curve("loss")).all()


def test_a_loss_that_is_no_number_is_reported(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    real = SegmentationModule._loss_of
    monkeypatch.setattr(SegmentationModule, "_loss_of", lambda self, batch: real(self, batch) * float("nan"))
    with pytest.raises(ModelError, match=r"loss of step 1 is no finite number.*its batch is kept in") as caught:
        train_tiny(tmp_path)
    assert "learning_rate" in caught.value.hint


def test_a_step_whose_gradients_are_no_numbers_is_left_out(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    real, spoilt = SegmentationModule.on_before_optimizer_step, []

    def spoil(module: SegmentationModule, optimizer: torch.optim.Optimizer) -> None:
        if module._progress.step in (1, 4):
            gradient = next(p.grad for p in module.network.parameters() if p.grad is not None)
            gradient.flatten()[0] = float("nan")
            spoilt.append(gradient)
        real(module, optimizer)

    monkeypatch.setattr(SegmentationModule, "on_before_optimizer_step", spoil)
    done = train_tiny(tmp_path)
    assert len(spoilt) == 2
    assert all(torch.isfinite(t).all() for t in weights_of(done).values())


# ------------------------------------------------------------------------------------------- from an earlier model


@pytest.mark.slow
def test_fine_tuning_starts_from_the_parent(tmp_path: Path) -> None:
    parent = train_tiny(tmp_path / "parent", learning_rate=0.1)
    child = train_tiny(tmp_path / "child", parent=parent.folder, steps=1, learning_rate=1e-9, ema_decay=0)
    fresh = train_tiny(tmp_path / "fresh", steps=1, learning_rate=1e-9, ema_decay=0)
    names = [name for name, _ in NETWORKS["unet"].build(2, tissue().space).named_parameters()]
    taken, own, new = weights_of(parent), weights_of(child), weights_of(fresh)
    assert all(torch.allclose(own[name], taken[name], atol=1e-6) for name in names)
    assert not all(torch.allclose(new[name], taken[name], atol=1e-3) for name in names)
    assert child.info.parent == "m1"
    assert read_model_info(child.folder).parent == parent.info.id


def test_fine_tuning_to_other_classes_learns_their_layers_anew(tmp_path: Path) -> None:
    parent = train_tiny(tmp_path / "parent")
    ctx = RecordingContext()
    data = training_data(classes=(*CLASSES, "synapse"))
    child = train_tiny(tmp_path / "child", data, ctx, parent=parent.folder, steps=1, learning_rate=1e-9, ema_decay=0)
    assert any("Not all of the parent fits" in sentence and "learnt anew" in sentence for sentence in ctx.warnings)
    taken, own = weights_of(parent), weights_of(child)
    fitting = [n for n in taken if taken[n].shape == own[n].shape and n.endswith("conv.weight")]
    assert fitting
    assert all(torch.allclose(own[n], taken[n], atol=1e-6) for n in fitting)


def test_fine_tuning_to_classes_of_other_names_is_reported(tmp_path: Path) -> None:
    parent = train_tiny(tmp_path / "parent", steps=1)
    ctx = RecordingContext()
    train_tiny(tmp_path / "child", training_data(classes=("inside", "membrane")), ctx, parent=parent.folder, steps=1)
    assert any("membrane, inside" in sentence and "inside, membrane" in sentence for sentence in ctx.warnings)


def test_a_filter_bank_is_fine_tuned_with_its_normalisation(tmp_path: Path) -> None:
    network = NETWORKS["filter_bank"]
    parent = train_tiny(tmp_path / "parent", network=network)
    child = train_tiny(tmp_path / "child", network=network, parent=parent.folder)
    assert torch.equal(weights_of(child)["feature_mean"], weights_of(parent)["feature_mean"])


def test_a_filter_bank_of_other_scales_finds_its_own_normalisation(tmp_path: Path) -> None:
    parent = train_tiny(tmp_path / "parent", network=NETWORKS["filter_bank"])
    other = FilterBankNetwork(sigmas=(0.7,), hidden=(8,))
    child = train_tiny(tmp_path / "child", network=other, parent=parent.folder)
    fresh = train_tiny(tmp_path / "fresh", network=other)
    assert torch.equal(weights_of(child)["feature_mean"], weights_of(fresh)["feature_mean"])


@pytest.mark.slow
@pytest.mark.parametrize("damage", ["pickle", "cut", "missing"])
def test_a_parent_that_cannot_be_read_is_refused(tmp_path: Path, damage: str) -> None:
    parent = train_tiny(tmp_path / "parent", steps=1)
    path = parent.folder / "weights.safetensors"
    if damage == "pickle":
        path.write_bytes(pickle.dumps({"weights": 1}))
    elif damage == "cut":
        path.write_bytes(path.read_bytes()[:-10])
    else:
        path.unlink()
    with pytest.raises(ModelError) as caught:
        train_tiny(tmp_path / "child", parent=parent.folder)
    assert caught.value.hint
    assert not (tmp_path / "child" / "models").exists()


def test_a_parent_of_another_architecture_is_refused(tmp_path: Path) -> None:
    parent = train_tiny(tmp_path / "parent", steps=1)
    with pytest.raises(ModelError):
        train_tiny(tmp_path / "child", parent=parent.folder, network=NETWORKS["filter_bank"])


# ------------------------------------------------------------------------------------------- when it ends, what is kept


class Scores:
    """Gives scores from a list instead of computing them."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, means: list[float | None]) -> None:
        self.means = iter(means)
        monkeypatch.setattr(Scorer, "score", self)

    def __call__(self, *_: Any) -> dict[str, Any]:
        mean = next(self.means, 0.0)
        return {"dice": dict.fromkeys(CLASSES, mean), "iou": {}, "mean": mean, "n_voxels": 1, "boxes": []}


def test_training_stops_when_the_score_gets_no_better(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    Scores(monkeypatch, [0.5, 0.6, 0.5, 0.6, 0.9, 0.9, 0.9])
    done = train_tiny(tmp_path, steps=30, validate_every=2, patience=2)
    assert (done.stopped, done.info.steps) == ("no better score", 8)


def test_patience_of_zero_never_stops(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    Scores(monkeypatch, [0.5])
    assert train_tiny(tmp_path, steps=12, validate_every=2, patience=0).info.steps == 12


def test_early_stopping_is_the_same_after_a_resume(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    class CancelAtSix(RecordingContext):
        def report(self, done: int, total: int, note: str = "") -> None:
            super().report(done, total, note)
            if done == 6 and note == "training":
                self.cancel()

    Scores(monkeypatch, [0.6, 0.5])
    with pytest.raises(JobCancelled):
        train_tiny(tmp_path, ctx=CancelAtSix(), steps=30, validate_every=2, patience=2)
    Scores(monkeypatch, [0.5])
    done = train_tiny(tmp_path, steps=30, validate_every=2, patience=2)
    assert (done.stopped, done.info.steps) == ("no better score", 6)


@pytest.mark.slow
def test_the_best_model_is_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    Scores(monkeypatch, [0.5, 0.9, 0.1])
    best = train_tiny(tmp_path / "best", steps=6, validate_every=2)
    assert [entry["mean"] for entry in best.info.scores["history"]] == [0.5, 0.9, 0.1]
    Scores(monkeypatch, [0.1, 0.5, 0.9])
    last = train_tiny(tmp_path / "last", steps=6, validate_every=2)
    Scores(monkeypatch, [0.5, 0.9, 0.1, 0.1, 0.1])
    again = train_tiny(tmp_path / "again", steps=6, validate_every=2)
    assert same_weights(weights_of(best), weights_of(again))
    assert not same_weights(weights_of(best), weights_of(last))


def test_a_limit_of_minutes_ends_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    now = [0.0]

    def clock() -> float:
        now[0] += 1
        return now[0]

    monkeypatch.setattr(progress_module.time, "monotonic", clock)
    done = train_tiny(tmp_path, steps=10_000, minutes=0.5)
    assert done.stopped == "minutes"
    assert 1 <= done.info.steps < 30


def test_the_average_of_the_weights_is_what_is_kept(tmp_path: Path) -> None:
    data = training_data(held_out=[])
    plain, averaged = (
        weights_of(train_tiny(tmp_path / str(decay), data, steps=5, ema_decay=decay)) for decay in (0.0, 0.99)
    )
    assert not same_weights(plain, averaged)
    start = NETWORKS["unet"]
    torch.manual_seed(0)
    initial = start.build(2, tissue().space).state_dict()
    name = next(n for n in plain if n.endswith("conv.weight"))
    assert (averaged[name] - initial[name]).abs().sum() < (plain[name] - initial[name]).abs().sum()


def test_a_model_of_the_same_name_is_replaced_as_a_whole(tmp_path: Path) -> None:
    first = weights_of(train_tiny(tmp_path))
    second = train_tiny(tmp_path, seed=3)
    assert not same_weights(first, weights_of(second))
    assert not list((tmp_path / "run").glob("*.safetensors"))


# ------------------------------------------------------------------------------------------- out of memory


class LittleMemory:
    """Steps fail as they do where memory runs out, if a batch has more voxels than there is room for."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, n_voxels: int, from_call: int = 1) -> None:
        self.sizes: list[int] = []
        self.n_failed = 0
        real = SegmentationModule.training_step

        def step(module: SegmentationModule, batch: Any) -> torch.Tensor:
            loss = real(module, batch)
            self.sizes.append(batch.image.numel())
            if len(self.sizes) >= from_call and batch.image.numel() > n_voxels:
                self.n_failed += 1
                raise RuntimeError("[enforce fail] DefaultCPUAllocator: can't allocate memory: you tried to allocate")
            return loss

        monkeypatch.setattr(SegmentationModule, "training_step", step)


BATCH = 2 * 16 * 64 * 32


@pytest.mark.slow
def test_a_smaller_batch_when_memory_is_short(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    memory, ctx = LittleMemory(monkeypatch, 4 * 16 * 16), RecordingContext()
    done = train_tiny(tmp_path, ctx=ctx)
    assert done.info.steps == 6
    assert (memory.n_failed, memory.sizes[-1]) == (1, 4 * 16 * 16)
    assert any("Out of memory with a batch of 2" in sentence for sentence in ctx.warnings)


@pytest.mark.slow
def test_then_smaller_patches(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    memory, ctx = LittleMemory(monkeypatch, BATCH // 4), RecordingContext()
    done = train_tiny(tmp_path, ctx=ctx, patch_shape=(16, 64, 32), steps=3)
    assert done.info.steps == 3
    assert memory.sizes == [BATCH, BATCH // 2, BATCH // 4, BATCH // 4, BATCH // 4]
    assert len([s for s in ctx.warnings if s.startswith("Out of memory")]) == 2


@pytest.mark.slow
def test_steps_made_before_memory_ran_out_are_not_lost(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    memory, ctx = LittleMemory(monkeypatch, 4 * 16 * 16, from_call=4), RecordingContext()
    done = train_tiny(tmp_path, ctx=ctx)
    assert len(memory.sizes) == 3 + 1 + 3
    assert [d for d, _, note in ctx.progress if note == "training"] == [1, 2, 3, 4, 5, 6]
    assert done.info.steps == 6
    plain = train_tiny(tmp_path / "plain")
    assert done.info.scores["history"][0] == plain.info.scores["history"][0]


@pytest.mark.slow
def test_not_even_the_smallest_patch_is_one_clear_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    LittleMemory(monkeypatch, 10)
    with pytest.raises(OutOfMemory, match="Memory ran out even with") as caught:
        train_tiny(tmp_path, patch_shape=(16, 64, 32))
    assert "smaller network" in caught.value.hint
    assert not (tmp_path / "models").exists()


def test_another_error_in_a_step_is_no_step_down(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(module: SegmentationModule, batch: Any) -> torch.Tensor:
        raise RuntimeError("shapes do not fit")

    monkeypatch.setattr(SegmentationModule, "training_step", broken)
    ctx = RecordingContext()
    with pytest.raises(RuntimeError, match="shapes do not fit"):
        train_tiny(tmp_path, ctx=ctx)
    assert not any("memory" in sentence for sentence in ctx.warnings)


def test_a_failing_read_ends_the_training_with_its_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    data = training_data()
    real, n_reads = MemoryVolume.read, 0

    def read(self: MemoryVolume, box: Box) -> np.ndarray:
        nonlocal n_reads
        n_reads += 1
        if n_reads > 2:
            raise OSError("the disk is gone")
        return real(self, box)

    monkeypatch.setattr(MemoryVolume, "read", read)
    with pytest.raises(OSError, match="the disk is gone"):
        train_tiny(tmp_path, data)


def test_a_training_that_only_gets_worse_keeps_the_model_it_began_as(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    parent = train_tiny(tmp_path / "parent")
    Scores(monkeypatch, [0.9, 0.5, 0.4, 0.3])
    done = train_tiny(tmp_path, parent=parent.folder, steps=6, validate_every=2)
    assert [(entry["step"], entry["mean"]) for entry in done.info.scores["history"]][:2] == [(0, 0.9), (2, 0.5)]
    assert same_weights(weights_of(done), weights_of(parent))


@pytest.mark.slow
def test_a_network_with_a_teacher_is_first_scored_as_the_teacher(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    Scores(monkeypatch, [0.9, 0.9, 0.9, 0.4, 0.3])  # twice the teacher as it is trained, then as the student
    network = FilterUNetNetwork(channels=(4, 8))
    done = train_tiny(tmp_path, network=network, guess_weight=0.7, steps=2, validate_every=2)
    weights = weights_of(done)
    assert float(weights["gain"]) == 0.0
    assert done.info.scores["history"][0]["step"] == 0


@pytest.mark.slow
def test_a_volume_that_is_mostly_padding_is_normalised_by_what_was_painted(tmp_path: Path) -> None:
    of = tissue()
    corner = tuple(slice(n) for n in of.raw.shape)
    raw, labels = np.zeros((8, 3000, 3000), np.uint8), np.zeros((8, 3000, 3000), np.uint8)
    raw[corner], labels[corner] = of.raw, strokes(of)
    assert sample_statistics(MemoryVolume(raw, of.space)).maximum == 0
    data = training_data(of, labels=labels, raw=raw, held_out=())
    done = train_tiny(tmp_path, data, steps=2)
    assert TrainedModel.load(done.folder).normalisation.channels[0].std > 1
