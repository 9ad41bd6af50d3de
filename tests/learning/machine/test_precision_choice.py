"""The precision that is measured once and remembered."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from napari_pytc.errors import InvalidInput
from napari_pytc.geometry import VoxelSpace
from napari_pytc.jobs.context import JobCancelled
from napari_pytc.learning.machine import precision_choice, precision_trial
from napari_pytc.learning.machine.oom_fallback import MemoryPlan
from napari_pytc.learning.machine.precision import Precision
from napari_pytc.learning.machine.precision_choice import choose_precision
from napari_pytc.learning.networks.network import build_network
from napari_pytc.learning.networks.section_unet_module import SectionUNet
from napari_pytc.learning.training.steps.loop import measured_precision
from napari_pytc.plans.networks import SectionUNetNetwork
from napari_pytc.plans.plan import TrainPlan
from tests.support.contexts import RecordingContext

CPU = torch.device("cpu")
SHAPE = (1, 1, 2, 8, 8)


class Scripted(nn.Module):
    """A network whose result in each precision is given, and which counts its passes."""

    def __init__(self, results: dict[str, Callable[[Tensor], Tensor]] | None = None) -> None:
        super().__init__()
        self.scale = nn.Parameter(torch.ones(1))
        self.results = results or {}
        self.passes: list[str] = []

    def forward(self, x: Tensor) -> Tensor:
        on = torch.is_autocast_enabled("cpu")
        name = "bf16" if on else "float32"
        self.passes.append(name)
        return self.results.get(name, lambda x: x)(x * self.scale)


def fail_with(message: str) -> Callable[[Tensor], Tensor]:
    def fail(x: Tensor) -> Tensor:
        raise RuntimeError(message)

    return fail


def choose(network: nn.Module, cache: Path, **options: object) -> Precision:
    settings: dict[str, object] = {"training": False, "network_key": "n", "cache_file": cache, "seconds": 0.01}
    return choose_precision(CPU, lambda: network, SHAPE, **(settings | options))  # type: ignore[arg-type]


@pytest.fixture(autouse=True)
def _bf16_is_measured(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever the processor of the machine that tests; other tests measure nothing."""
    monkeypatch.setattr(precision_choice, "measure", precision_choice.really_measure)  # type: ignore[attr-defined]
    monkeypatch.setattr(precision_trial, "_emulates_bf16", lambda device: False)


@pytest.fixture
def cache(tmp_path: Path) -> Path:
    return tmp_path / "cache" / "arithmetic.json"


def scripted_times(monkeypatch: pytest.MonkeyPatch, times: dict[Precision, float]) -> list[Precision]:
    order: list[Precision] = []

    def time_pass(device: object, network: object, example: object, candidate: Precision, *_: object) -> float:
        order.append(candidate)
        return times[candidate]

    monkeypatch.setattr(precision_trial, "_time_pass", time_pass)
    return order


@pytest.mark.slow
def test_the_fastest_is_chosen_and_remembered(monkeypatch: pytest.MonkeyPatch, cache: Path) -> None:
    times = {Precision("float32", False): 4.0, Precision("float32", True): 3.0}
    times |= {Precision("bf16", False): 2.0, Precision("bf16", True): 1.5}
    order = scripted_times(monkeypatch, times)
    assert choose(Scripted(), cache) == Precision("bf16", True)
    n_measured = len(order)
    assert choose(Scripted(), cache) == Precision("bf16", True)
    assert len(order) == n_measured
    for change in ({"training": True}, {"network_key": "other"}, {"wanted": "bf16"}):
        before = len(order)
        choose(Scripted(), cache, **change)
        assert len(order) > before
    assert len(json.loads(cache.read_text())) == 4


@pytest.mark.slow
def test_candidates_are_measured_in_turn(monkeypatch: pytest.MonkeyPatch, cache: Path) -> None:
    times = {Precision(p, last): 1.0 for p in ("float32", "bf16") for last in (False, True)}  # type: ignore[arg-type]
    order = scripted_times(monkeypatch, times)
    assert choose(Scripted(), cache) == Precision("float32", False)  # noise must not decide between equals
    assert len(order) >= 12
    assert order[:4] == order[4:8] == order[8:12] == list(times)


@pytest.mark.slow
def test_a_hopeless_candidate_is_not_measured_on(monkeypatch: pytest.MonkeyPatch, cache: Path) -> None:
    slow = Precision("bf16", False)
    times = {Precision("float32", False): 1.0, Precision("float32", True): 0.9, slow: 50.0}
    order = scripted_times(monkeypatch, times | {Precision("bf16", True): 60.0})
    assert choose(Scripted(), cache) == Precision("float32", True)
    assert order.count(slow) == 1
    assert order.count(Precision("float32", False)) > 1


@pytest.mark.slow
def test_a_processor_without_bf16_is_not_kept_waiting(monkeypatch: pytest.MonkeyPatch, cache: Path) -> None:
    monkeypatch.setattr(precision_trial, "_emulates_bf16", lambda device: True)
    network = Scripted()
    assert choose(network, cache).number_format == "float32"
    assert set(network.passes) == {"float32"}
    assert choose(network, cache, wanted="bf16").number_format == "bf16"


@pytest.mark.slow
@pytest.mark.parametrize("has", ["", "avx512_bf16", "amx_bf16"])
def test_training_is_in_bf16_only_where_the_processor_has_it(
    monkeypatch: pytest.MonkeyPatch, cache: Path, has: str
) -> None:
    monkeypatch.setattr(precision_trial.platform, "machine", lambda: "x86_64")
    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: {"avx512_f": True, has: True}, raising=False)
    network = Scripted()
    choose(network, cache)
    assert set(network.passes) == {"float32", "bf16"}
    network = Scripted()
    choose(network, cache, training=True)
    assert set(network.passes) == ({"float32", "bf16"} if has else {"float32"})


@pytest.mark.parametrize(
    ("seconds_a_voxel", "shape"),
    [(1.0, (1, 1, 48, 48, 16)), (1e-8, (1, 1, 48, 48, 64)), (0.0, (1, 1, 48, 96, 128))],
)
def test_on_a_cpu_as_large_an_example_is_measured_as_there_is_time_for(
    monkeypatch: pytest.MonkeyPatch, cache: Path, seconds_a_voxel: float, shape: tuple[int, ...]
) -> None:
    measured: list[tuple[int, ...]] = []

    def time_pass(device: object, network: object, example: Tensor, *_: object) -> float:
        assert torch.get_num_threads() == 1
        measured.append(tuple(example.shape))
        return example.numel() * seconds_a_voxel

    monkeypatch.setattr(precision_trial, "_time_pass", time_pass)
    n_threads = torch.get_num_threads()
    options = {"training": False, "network_key": "n", "cache_file": cache, "seconds": 0.015}
    choose_precision(CPU, Scripted, (4, 1, 48, 96, 128), **options)  # type: ignore[arg-type]
    assert measured[:8] == [(1, 1, 48, 48, 16)] * 8  # a first pass of each, and one to tell how long it takes
    assert len(measured) >= 16
    assert set(measured[8:]) == {shape}
    assert torch.get_num_threads() == n_threads


def test_a_training_measures_what_its_steps_compute(cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of a section and its context the logits of the section alone; so many sections are left of a deep patch, too."""
    shapes = set()

    def training_logits(self: SectionUNet, image: Tensor) -> tuple[Tensor, ...]:
        shapes.add(image.shape[2])
        return compute(self, image)

    compute = SectionUNet.training_logits
    monkeypatch.setattr(SectionUNet, "training_logits", training_logits)
    monkeypatch.setattr(precision_choice, "user_cache_path", lambda _: cache.parent)
    settings = SectionUNetNetwork(channels=(4, 8), context_sections=9)
    network = build_network(settings, 2, VoxelSpace((10, 10, 10)))
    memory = MemoryPlan(1, (64, 32, 32), "cpu")
    measured_precision(TrainPlan(network=settings), network, 2, VoxelSpace((10, 10, 10)), memory)
    assert shapes
    assert min(shapes) >= 19


@pytest.mark.slow
@pytest.mark.parametrize("training", [False, True])
def test_real_passes(cache: Path, training: bool) -> None:
    network = nn.Sequential(nn.Conv3d(1, 2, 3, padding=1), nn.BatchNorm3d(2))
    found = choose_precision(
        CPU, lambda: network, (2, 1, 2, 4, 4), training=training, network_key="n", cache_file=cache, seconds=0.02
    )
    assert found.number_format in ("float32", "bf16")
    assert network.training is training
    assert all(p.grad is None for p in network.parameters())


@pytest.mark.slow
def test_several_outputs_and_inputs_without_a_place(cache: Path) -> None:
    class Heads(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.a, self.b = nn.Linear(3, 2), nn.Linear(3, 4)

        def forward(self, x: Tensor) -> dict[str, list[Tensor]]:
            return {"outputs": [self.a(x), self.b(x)]}

    found = choose_precision(CPU, Heads, (5, 3), training=True, network_key="heads", cache_file=cache, seconds=0.01)
    assert not found.channels_last


@pytest.mark.slow
def test_what_is_not_finite_is_not_chosen(cache: Path) -> None:
    network = Scripted({"bf16": lambda x: x / 0})
    assert choose(network, cache).number_format == "float32"
    assert "bf16" in network.passes


@pytest.mark.slow
def test_gradients_that_are_not_finite_count_too(cache: Path) -> None:
    network = Scripted({"bf16": lambda x: x.abs().pow(0.5) * 0 + (x * 0).sqrt()})  # finite, but its slope is not
    assert choose(network, cache, training=True).number_format == "float32"


@pytest.mark.slow
def test_what_fails_in_a_precision_is_not_chosen(cache: Path) -> None:
    assert choose(Scripted({"bf16": fail_with("not implemented for 'BFloat16'")}), cache).number_format == "float32"


@pytest.mark.slow
def test_a_network_that_needs_contiguous_tensors(cache: Path) -> None:
    network = Scripted({"float32": lambda x: x.view(-1), "bf16": lambda x: x.view(-1)})
    shape = (2, 2, 4, 4, 4)  # with one channel both formats would be the same
    found = choose_precision(
        CPU, lambda: network, shape, training=False, network_key="n", cache_file=cache, seconds=0.01
    )
    assert not found.channels_last


def test_a_wanted_precision_that_fails_is_reported(cache: Path) -> None:
    with pytest.raises(InvalidInput, match="bf16: not implemented"):
        choose(Scripted({"bf16": fail_with("not implemented for 'BFloat16'")}), cache, wanted="bf16")


def test_a_network_that_fails_in_float32_is_an_error(cache: Path) -> None:
    with pytest.raises(RuntimeError, match="size mismatch"):
        choose(Scripted({"float32": fail_with("size mismatch")}), cache)


@pytest.mark.slow
def test_out_of_memory_while_measuring(cache: Path) -> None:
    no_memory = fail_with("DefaultCPUAllocator: can't allocate memory: you tried to allocate 9 bytes")
    assert choose(Scripted({"float32": no_memory}), cache).number_format == "bf16"
    cache.unlink()
    assert choose(Scripted({"bf16": no_memory}), cache).number_format == "float32"
    cache.unlink()
    found = choose(Scripted({"float32": no_memory, "bf16": no_memory}), cache)
    assert found == Precision("float32", False)
    assert not cache.exists()


@pytest.mark.slow
@pytest.mark.parametrize("content", [b"", b"{", b"[]", b'"text"', b"\xff\x00"])
def test_a_corrupt_cache_is_measured_again(cache: Path, content: bytes) -> None:
    cache.parent.mkdir()
    cache.write_bytes(content)
    found = choose(Scripted(), cache)
    assert json.loads(cache.read_text()).popitem()[1]["precision"] == found.number_format


@pytest.mark.slow
@pytest.mark.parametrize("entry", [None, {}, {"precision": "int4", "channels_last": True}, {"precision": "bf16"}])
def test_a_corrupt_entry_is_measured_again(cache: Path, entry: object) -> None:
    choose(Scripted(), cache)
    (key,) = json.loads(cache.read_text())
    cache.write_text(json.dumps({key: entry}))
    network = Scripted()
    choose(network, cache)
    assert network.passes
    assert json.loads(cache.read_text())[key]["precision"] in ("float32", "bf16")


@pytest.mark.slow
def test_a_cache_that_cannot_be_written(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    assert choose(Scripted(), tmp_path / "file" / "arithmetic.json").number_format in ("float32", "bf16")


def test_measuring_leaves_the_random_numbers_alone(cache: Path) -> None:
    torch.manual_seed(3)
    expected = torch.randn(4)
    torch.manual_seed(3)
    choose_precision(
        CPU, lambda: nn.Conv3d(1, 1, 1), SHAPE, training=True, network_key="n", cache_file=cache, seconds=0
    )
    assert torch.equal(torch.randn(4), expected)


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """The time on the wall, which only passes move."""
    now = [0.0]
    monkeypatch.setattr(precision_trial.time, "perf_counter", lambda: now[0])
    return now


def slow_passes(monkeypatch: pytest.MonkeyPatch, clock: list[float], seconds: float) -> list[Precision]:
    order: list[Precision] = []

    def time_pass(device: object, network: object, example: Tensor, candidate: Precision, *_: object) -> float:
        order.append(candidate)
        clock[0] += seconds
        return 0.5 * seconds if candidate.channels_last else seconds

    monkeypatch.setattr(precision_trial, "_time_pass", time_pass)
    return order


def test_slow_passes_are_judged_by_the_first_of_each(
    monkeypatch: pytest.MonkeyPatch, cache: Path, clock: list[float]
) -> None:
    order, ctx = slow_passes(monkeypatch, clock, 1.2), RecordingContext()
    assert choose(Scripted(), cache, ctx=ctx) == Precision("float32", True)
    assert len(order) == len(set(order)) == 4
    assert not ctx.warnings
    assert len(json.loads(cache.read_text())) == 1


def test_no_pass_begins_that_would_end_too_late(
    monkeypatch: pytest.MonkeyPatch, cache: Path, clock: list[float]
) -> None:
    order, ctx = slow_passes(monkeypatch, clock, 2.4), RecordingContext()
    assert choose(Scripted(), cache, ctx=ctx) == Precision("float32", True)
    assert order == [Precision("float32", False), Precision("float32", True)]
    assert clock[0] <= precision_trial.LONGEST_S
    (warning,) = ctx.warnings
    assert "no time to try bf16 and bf16, channels last" in warning
    assert not cache.exists()  # on a machine that was busy the choice may be wrong


def test_one_pass_is_had_however_long_it_takes(
    monkeypatch: pytest.MonkeyPatch, cache: Path, clock: list[float]
) -> None:
    order = slow_passes(monkeypatch, clock, 60.0)
    assert choose(Scripted(), cache) == Precision("float32", False)
    assert len(order) == 1


def test_a_cancel_ends_the_trial_between_passes(
    monkeypatch: pytest.MonkeyPatch, cache: Path, clock: list[float]
) -> None:
    order, ctx = slow_passes(monkeypatch, clock, 0.1), RecordingContext()

    def check() -> None:
        if len(order) == 2:
            raise JobCancelled

    monkeypatch.setattr(ctx, "check", check)
    with pytest.raises(JobCancelled):
        choose(Scripted(), cache, ctx=ctx)
    assert len(order) == 2
    assert not cache.exists()


def test_a_large_network_begins_with_the_smallest_example_that_it_takes(
    monkeypatch: pytest.MonkeyPatch, cache: Path, clock: list[float]
) -> None:
    measured: list[tuple[int, ...]] = []

    def time_pass(device: object, network: object, example: Tensor, *_: object) -> float:
        measured.append(tuple(example.shape))
        clock[0] += example.numel() * 1e-6
        return example.numel() * 1e-6

    monkeypatch.setattr(precision_trial, "_time_pass", time_pass)
    monkeypatch.setattr(precision_trial, "_LARGE_NETWORK", 1)
    options = {"training": False, "network_key": "n", "cache_file": cache, "seconds": 0.6}
    choose_precision(CPU, Scripted, (2, 1, 32, 128, 128), multiple=(16, 16, 16), **options)  # type: ignore[arg-type]
    assert measured[0] == (1, 1, 16, 32, 32)
    assert (1, 1, 32, 32, 64) in measured  # eight passes of it fit into the time
