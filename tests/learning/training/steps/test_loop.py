"""The options of the training loop: each does what it says, and a resumed training is the same bit for bit."""

from __future__ import annotations

import copy
import json
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from napari_pytc.errors import InvalidInput, ModelError
from napari_pytc.jobs.context import JobCancelled
from napari_pytc.learning.machine.oom_fallback import MemoryPlan
from napari_pytc.learning.machine.precision import Precision
from napari_pytc.learning.machine.weights import load_weights
from napari_pytc.learning.networks.network import build_network
from napari_pytc.learning.training import training_run
from napari_pytc.learning.training.steps.compiling import compiled_logits
from napari_pytc.learning.training.steps.module import SegmentationModule
from napari_pytc.learning.training.steps.nonfinite import LossGuard
from napari_pytc.learning.training.steps.profiling import StepProfile
from napari_pytc.learning.training.train import train
from napari_pytc.plans.networks import FilterBankNetwork, LeanUNetNetwork, NetworkSettings, UNetNetwork
from tests.learning.training.state.test_resume import CancelAtStep
from tests.support.contexts import RecordingContext
from tests.support.learning import folders, same_weights, space, tiny_plan, train_tiny, training_data, weights_of
from tests.support.networks import SMALL

SGD = {"kind": "sgd", "decays_norms": False}

pytestmark = pytest.mark.slow


@pytest.mark.parametrize(
    "settings",
    [
        {"optimiser": SGD, "schedule": {"kind": "polynomial"}, "gradients": {"accumulate": 2, "clip": 0.5}},
        {"optimiser": "adam", "schedule": {"kind": "plateau", "patience": 0}, "watching": {"score": "loss"}},
        {"losses": ["dice", "ce"], "loss_balancing": "uncertainty", "averaging": {"swa_start": 0.4}},
        {"schedule": {"kind": "cosine", "restarts": 1}, "watching": {"keep_best": 2, "min_change": 0.1}},
        {"network": FilterBankNetwork(), "optimiser": SGD, "schedule": "exponential", "gradients": {"accumulate": 2}},
    ],
    ids=["accumulated", "plateau", "balanced", "restarts", "filter bank"],
)
def test_a_resumed_training_is_the_same_bit_for_bit(tmp_path: Path, settings: dict[str, Any]) -> None:
    whole = train_tiny(tmp_path / "whole", **settings)
    for step in (1, 3):
        with pytest.raises(JobCancelled):
            train_tiny(tmp_path / "parts", ctx=CancelAtStep(step), **settings)
    parts = train_tiny(tmp_path / "parts", **settings)
    assert same_weights(weights_of(whole), weights_of(parts))
    assert parts.info.scores == whole.info.scores
    plain = train_tiny(tmp_path / "plain", network=settings.get("network", tiny_plan().network))
    assert not same_weights(weights_of(whole), weights_of(plain))


def test_accumulated_batches_are_a_step_of_a_larger_one(tmp_path: Path) -> None:
    ctx = RecordingContext()
    train_tiny(tmp_path, ctx=ctx, gradients={"accumulate": 3}, steps=4)
    assert [done for done, _, note in ctx.progress if note == "training"] == [1, 2, 3, 4]
    plain = RecordingContext()
    train_tiny(tmp_path / "plain", ctx=plain, steps=4)
    (loss, *_), (first, *_) = ([v for n, _, v in c.metrics if n == "loss"] for c in (ctx, plain))
    assert loss != first  # the mean of three batches, not the first or a third of it
    assert 0.6 < loss / first < 3


def test_curves_have_rate_and_norm_of_gradients(tmp_path: Path) -> None:
    ctx = RecordingContext()
    train_tiny(tmp_path, ctx=ctx, steps=10)
    found = {name: [step for n, step, _ in ctx.metrics if n == name] for name, _, _ in ctx.metrics}
    assert found["gradient norm"] == found["learning rate"] == found["loss"] == [1, 10]


def test_the_best_weights_are_kept_beside_the_model(tmp_path: Path) -> None:
    made = train_tiny(tmp_path, steps=10, watching={"keep_best": 2}, patience=0)
    folder = made.folder / "checkpoints"
    listed = json.loads((folder / "checkpoints.json").read_text())["checkpoints"]
    assert {path.name for path in folder.iterdir()} == {"checkpoints.json", *(one["file"] for one in listed)}
    *best, last = listed
    assert last == {"step": 10, "score": None, "file": "last.safetensors"}
    scores = {entry["step"]: entry["mean"] for entry in made.info.scores["history"]}
    assert [one["score"] for one in best] == sorted(scores.values(), reverse=True)[:2]
    assert all(scores[one["step"]] == one["score"] for one in best)
    assert same_weights(load_weights(folder / best[0]["file"]), weights_of(made))
    assert not (tmp_path / "run" / "checkpoints").exists()  # the model has them


@pytest.mark.parametrize("network", [UNetNetwork(channels=(4, 8)), FilterBankNetwork()], ids=lambda one: one.kind)
def test_what_needs_scores_is_told_to_have_no_effect_where_nothing_is_held_out(tmp_path: Path, network: Any) -> None:
    settings = {"network": network, "watching": {"keep_best": 2}, "schedule": {"kind": "plateau"}, "steps": 1}
    told = "watching.keep_best and schedule.kind=plateau have no effect: nothing is held out for scores."
    without = train_tiny(tmp_path / "without", training_data(held_out=[]), **settings)
    assert any(told in note for note in without.notes)
    assert not any("held out" in note for note in train_tiny(tmp_path / "scored", **settings).notes)


@pytest.mark.parametrize(
    ("kind", "weights", "told"),
    [
        ("unet", [1.0, 0.5], ["a single level with a loss"]),
        ("rsunet", [1.0], ["the network has 3 levels; the 2 coarsest"]),
        ("rsunet", [1.0, 0.5, 0.2, 0.1], ["the weights beyond have no effect"]),
        ("rsunet", [1.0, 0.5, 0.2], []),
    ],
)
def test_weights_of_levels_that_do_not_fit_the_network_are_told(
    tmp_path: Path, kind: str, weights: list[float], told: list[str]
) -> None:
    network = NetworkSettings.parse({"kind": kind, **SMALL[kind]})
    made = train_tiny(tmp_path, network=network, supervision_weights=weights, patch_shape=(8, 16, 16), steps=1)
    found = [note for note in made.notes if "supervision_weights" in note]
    assert len(found) == len(told)
    assert all(part in note for part, note in zip(told, found, strict=True))


def test_a_group_norm_of_fewer_groups_is_told(tmp_path: Path) -> None:
    network = NetworkSettings.parse({"kind": "monai_unet", "channels": [8, 16], "norm": "group", "residual_units": 0})
    made = train_tiny(tmp_path, network=network, steps=1)
    assert any("network.norm=group has 2 groups instead of 8" in note for note in made.notes)
    assert network.notes(8) == []


def test_a_least_change_ends_the_training_sooner(tmp_path: Path) -> None:
    made = train_tiny(tmp_path, steps=20, patience=2, watching={"min_change": 0.9})
    assert made.stopped == "no better score"
    assert made.info.steps == 6


def test_the_score_of_a_class_can_decide(tmp_path: Path) -> None:
    made = train_tiny(tmp_path, watching={"score": "membrane"}, patience=0)
    history = made.info.scores["history"]
    assert [entry["watched"] for entry in history] == [entry["dice"]["membrane"] for entry in history]
    with pytest.raises(InvalidInput, match="No score is called 'nucleus'") as caught:
        train_tiny(tmp_path / "wrong", watching={"score": "nucleus"})
    assert "mean, loss, membrane" in caught.value.hint
    assert not (tmp_path / "wrong").exists()


def test_the_loss_decides_where_nothing_is_held_out(tmp_path: Path) -> None:
    ctx = RecordingContext()
    made = train_tiny(tmp_path, training_data(held_out=[]), ctx, watching={"score": "loss", "keep_best": 1}, steps=8)
    assert any("those of the least loss are kept" in sentence for sentence in ctx.warnings)
    listed = json.loads((made.folder / "checkpoints" / "checkpoints.json").read_text())["checkpoints"]
    assert same_weights(load_weights(made.folder / "checkpoints" / listed[0]["file"]), weights_of(made))


@pytest.mark.parametrize("network", [UNetNetwork(channels=(4, 8)), FilterBankNetwork()], ids=lambda one: one.kind)
def test_a_loss_that_is_no_number_stops_with_its_batch(tmp_path: Path, network: Any) -> None:
    with pytest.raises(ModelError, match=r"The loss of step \d+ is no finite number") as caught:
        train_tiny(tmp_path, network=network, learning_rate=1e30, optimiser="sgd", steps=25)
    (path,) = (tmp_path / "run").glob("bad-batch-step-*.npz")
    assert str(path) in caught.value.message
    with np.load(path) as kept:
        assert set(kept) >= {"image", "labels", "loss"}
        assert len(kept["image"]) == len(kept["labels"])
        assert not np.isfinite(kept["loss"])
    assert not (tmp_path / "models").exists()


@pytest.mark.parametrize("network", [UNetNetwork(channels=(4, 8)), FilterBankNetwork()], ids=lambda one: one.kind)
def test_a_loss_that_is_only_watched_is_looked_at_before_its_weights_are_called_good(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, network: Any
) -> None:
    """As on a GPU, where losses are looked at in the first and every tenth step; it breaks in the fourth of five."""
    monkeypatch.setattr(training_run, "LossGuard", partial(LossGuard, waits=True))
    checked = LossGuard.checked

    def broken(self: LossGuard, loss: torch.Tensor, *args: Any) -> torch.Tensor:
        return checked(self, loss * float("nan") if self._counter.step >= 3 else loss, *args)

    monkeypatch.setattr(LossGuard, "checked", broken)
    with pytest.raises(ModelError, match="The loss of step 4 is no finite number"):
        train_tiny(tmp_path, training_data(held_out=[]), network=network, steps=5, checkpoint_every=50)
    assert (tmp_path / "run" / "bad-batch-step-000004.npz").is_file()
    assert not (tmp_path / "models").exists()


def test_an_image_that_is_no_number_is_named_as_the_cause(tmp_path: Path) -> None:
    from napari_pytc.learning.data.sampling import Batch

    class Counter:
        step = 6

    image = torch.full((1, 1, 2, 2, 2), float("nan"))
    guard = LossGuard(tmp_path, Counter())
    with pytest.raises(ModelError, match="step 7") as caught:
        guard.checked(image.sum(), Batch(image, torch.ones(1, 2, 2, 2)), lambda: image.sum())
    assert "Its image has values that are no numbers" in caught.value.hint
    once = guard.checked(image.sum(), Batch(image, torch.ones(1, 2, 2, 2)), lambda: torch.tensor(2.0))
    assert once == 2  # a glitch that does not come again


def test_a_wrong_number_that_does_not_come_again_leaves_no_trace(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As low-precision convolutions of CPUs return it: it has reached the running statistics of the norms."""
    compute, wrong = SegmentationModule._loss_of, []

    def once_wrong(self: SegmentationModule, batch: Any) -> torch.Tensor:
        loss = compute(self, batch)
        if self._progress.step != 3 or wrong:
            return loss
        wrong.extend(name for name, _ in self.network.named_buffers() if "running" in name)
        for name, buffer in self.network.named_buffers():
            if name in wrong:
                buffer.fill_(float("nan"))
        return loss * float("nan")

    monkeypatch.setattr(SegmentationModule, "_loss_of", once_wrong)
    done = train_tiny(tmp_path, network=LeanUNetNetwork(channels=(4, 8)), steps=6, validate_every=6)
    assert wrong
    assert all(tensor.isfinite().all() for tensor in weights_of(done).values())


def test_deterministic_training_leaves_the_process_as_it_was(tmp_path: Path) -> None:
    made = train_tiny(tmp_path, execution={"deterministic": True})
    assert not torch.are_deterministic_algorithms_enabled()
    assert same_weights(weights_of(made), weights_of(train_tiny(tmp_path / "plain")))


class CountingCompiler:
    """A backend of `torch.compile` that needs no compiler; counts the compiled graphs that are computed."""

    def __init__(self) -> None:
        self.n_graphs = self.n_calls = 0

    def __call__(self, graph: torch.fx.GraphModule, _: list[torch.Tensor]) -> Callable[..., Any]:
        self.n_graphs += 1

        def compute(*inputs: Any) -> Any:
            self.n_calls += 1
            return graph(*inputs)

        return compute


@pytest.fixture
def compiler(monkeypatch: pytest.MonkeyPatch) -> CountingCompiler:
    made = CountingCompiler()
    monkeypatch.setattr(torch, "compile", partial(torch.compile, backend=made))
    return made


STEPS: dict[str, dict[str, Any]] = {
    "unet": {"channels": [4, 8]},
    "dynunet": {"channels": [4, 8, 8]},
    "rsunet": SMALL["rsunet"],
    "unet_3d": {"channels": [4, 8], "deep_supervision": True},
    "fpn_3d": {"channels": [4, 8], "deep_supervision": True},
    "mednext_custom": {"channels": 4, "blocks": [1, 1, 1], "expansion": [2]},
    "section_unet": {"channels": [4, 8], "context_sections": 1, "pixel_nm": 20.0},
}


@pytest.mark.parametrize("kind", STEPS)
def test_what_a_step_computes_is_compiled_in_every_sort_of_network(kind: str, compiler: CountingCompiler) -> None:
    network = build_network(NetworkSettings.parse({"kind": kind, **STEPS[kind]}), 2, space())
    before, kept = copy.deepcopy(network.state_dict()), set(vars(network))
    shape = (8, 16, 16)
    image = torch.randn(1, 1, *shape)
    told: list[str] = []
    with compiled_logits(network, MemoryPlan(1, shape, "cpu"), Precision(), told.append) as logits:
        assert all(torch.equal(tensor, before[name]) for name, tensor in network.state_dict().items())
        n_tried = compiler.n_calls
        found = logits(image)
        assert compiler.n_calls > n_tried > 0
    network.load_state_dict(before)  # batch norms count what they see
    n_calls = compiler.n_calls
    for one, wanted in zip(found, network.training_logits(image), strict=True):
        torch.testing.assert_close(one, wanted, rtol=1e-4, atol=1e-4)
    network.eval()(image)
    assert compiler.n_calls == n_calls  # neither what is called afterwards nor a prediction is compiled
    assert set(vars(network)) == kept
    assert told == []


def test_a_compiled_training_makes_the_same_model(tmp_path: Path, compiler: CountingCompiler) -> None:
    network = NetworkSettings.parse({"kind": "rsunet", **SMALL["rsunet"]})
    settings = {"network": network, "patch_shape": (8, 16, 16), "steps": 3, "validate_every": 10, "seed": 1}
    plain = train_tiny(tmp_path / "plain", **settings)
    assert compiler.n_calls == 0
    ctx = RecordingContext()
    made = train_tiny(tmp_path / "compiled", ctx=ctx, execution={"compile": True}, **settings)
    assert not any("torch.compile" in sentence for sentence in ctx.warnings)
    assert compiler.n_calls == compiler.n_graphs * (1 + 3)  # of the step that is tried, then of each step: no more
    assert weights_of(made).keys() == weights_of(plain).keys()
    for name, tensor in weights_of(made).items():
        torch.testing.assert_close(tensor.float(), weights_of(plain)[name].float(), rtol=1e-3, atol=1e-4)


def _refuse(*_: Any) -> None:
    raise RuntimeError("no C++ compiler\nlong explanation")


@pytest.mark.parametrize("compiler", [_refuse, lambda _: _refuse], ids=["at once", "when it is called"])
def test_a_network_that_cannot_be_compiled_is_trained_as_it_is(
    compiler: Callable[..., Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(torch, "compile", compiler)
    ctx = RecordingContext()
    made = train_tiny(tmp_path, ctx=ctx, execution={"compile": True})
    sentence = "torch.compile does not work here (no C++ compiler): the network is trained as it is."
    assert sentence in ctx.warnings
    assert sentence in made.summary()["notes"]
    assert same_weights(weights_of(made), weights_of(train_tiny(tmp_path / "plain")))


def test_a_network_of_which_nothing_is_compiled_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch, "compile", lambda logits: logits)
    told: list[str] = []
    network, memory = build_network(UNetNetwork(channels=(4, 8)), 2, space()), MemoryPlan(1, (4, 8, 8), "cpu")
    with compiled_logits(network, memory, Precision(), told.append) as logits:
        assert logits == network.training_logits
    assert told == ["torch.compile finds nothing to compile in this network: it is trained as it is."]


def test_a_profile_is_a_table_and_a_trace_beside_the_model(tmp_path: Path) -> None:
    ctx = RecordingContext()
    made = train(tiny_plan(steps=9), training_data(), folders(tmp_path), ctx, profile=True)
    assert "aten::" in (made.folder / "profile.txt").read_text()
    assert json.loads((made.folder / "profile-trace.json").read_text())["traceEvents"]
    assert any("profile.txt" in sentence for sentence in ctx.warnings)
    assert any("profile.txt" in sentence for sentence in made.notes)
    assert not list((tmp_path / "run").glob("profile*"))


def test_a_profile_and_exact_repetition_of_an_instant_model_are_told_to_have_no_effect(tmp_path: Path) -> None:
    plan = tiny_plan(network=FilterBankNetwork(), steps=1, execution={"deterministic": True})
    made = train(plan, training_data(), folders(tmp_path), RecordingContext(), profile=True)
    assert any("No profile is made" in note for note in made.notes)
    assert any("execution.deterministic has no effect" in note for note in made.notes)


@pytest.mark.parametrize("device", ["cpu", "cuda"])
def test_a_profile_is_sorted_by_the_time_of_its_device(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, device: str
) -> None:
    """Whatever GPU the machine may have beside."""
    monkeypatch.setattr(torch.cuda, "is_available", lambda: device == "cpu")
    keys: list[str] = []

    class Done:
        def key_averages(self) -> Done:
            return self

        def table(self, sort_by: str, row_limit: int) -> str:
            keys.append(sort_by)
            return ""

        def export_chrome_trace(self, path: str) -> None:
            Path(path).touch()

    made = StepProfile(tmp_path, lambda _: None)
    made._is_on_gpu = device == "cuda"
    made._write(Done())  # type: ignore[arg-type]
    assert keys == [f"self_{device}_time_total"]
