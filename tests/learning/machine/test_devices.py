"""Devices, threads, memory, and the precision that is measured once and remembered."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from napari_pytc.errors import InvalidInput
from napari_pytc.geometry import VoxelSpace
from napari_pytc.learning.machine import devices, memory
from napari_pytc.learning.machine import precision as precision_module
from napari_pytc.learning.machine.devices import choose_device, limit_threads, n_usable_cores
from napari_pytc.learning.machine.memory import free_memory_bytes, is_out_of_memory, release_memory
from napari_pytc.learning.machine.oom_fallback import MemoryPlan
from napari_pytc.learning.machine.precision import Precision, autocast_for, choose_precision
from napari_pytc.learning.networks.network import build_network
from napari_pytc.learning.networks.section_unet_module import SectionUNet
from napari_pytc.learning.training.steps.loop import measured_precision
from napari_pytc.plans.networks import SectionUNetNetwork
from napari_pytc.plans.plan import TrainPlan

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
    monkeypatch.setattr(precision_module, "measure", precision_module.really_measure)  # type: ignore[attr-defined]
    monkeypatch.setattr(precision_module, "_emulates_bf16", lambda device: False)


@pytest.fixture
def cache(tmp_path: Path) -> Path:
    return tmp_path / "cache" / "arithmetic.json"


def scripted_times(monkeypatch: pytest.MonkeyPatch, times: dict[Precision, float]) -> list[Precision]:
    order: list[Precision] = []

    def time_pass(device: object, network: object, example: object, candidate: Precision, *_: object) -> float:
        order.append(candidate)
        return times[candidate]

    monkeypatch.setattr(precision_module, "_time_pass", time_pass)
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
    monkeypatch.setattr(precision_module, "_emulates_bf16", lambda device: True)
    network = Scripted()
    assert choose(network, cache).number_format == "float32"
    assert set(network.passes) == {"float32"}
    assert choose(network, cache, wanted="bf16").number_format == "bf16"


@pytest.mark.slow
@pytest.mark.parametrize("has", ["", "avx512_bf16", "amx_bf16"])
def test_training_is_in_bf16_only_where_the_processor_has_it(
    monkeypatch: pytest.MonkeyPatch, cache: Path, has: str
) -> None:
    monkeypatch.setattr(precision_module.platform, "machine", lambda: "x86_64")
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

    monkeypatch.setattr(precision_module, "_time_pass", time_pass)
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
    monkeypatch.setattr(precision_module, "user_cache_path", lambda _: cache.parent)
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


def test_precision_places_networks_and_tensors() -> None:
    network = nn.Sequential(nn.Conv3d(2, 4, 3), nn.Linear(3, 3))
    Precision("float32", True).place_network(network)
    assert network[0].weight.is_contiguous(memory_format=torch.channels_last_3d)
    assert not network[0].weight.is_contiguous()
    Precision("float32", False).place_network(network)
    assert network[0].weight.is_contiguous()
    flat = torch.randn(2, 3, 4, 5)
    assert Precision("bf16", True).place(flat).is_contiguous(memory_format=torch.channels_last)
    assert torch.equal(Precision("bf16", True).place(flat), flat)


def test_autocast_is_on_where_it_should_be() -> None:
    layer, x = nn.Linear(2, 2), torch.randn(1, 2)
    with autocast_for("cpu", Precision("bf16")):
        assert layer(x).dtype == torch.bfloat16
        with autocast_for("cpu", Precision("float32")):
            assert layer(x).dtype == torch.float32


def test_a_device_that_is_there(monkeypatch: pytest.MonkeyPatch) -> None:
    assert choose_device("cpu") == CPU
    monkeypatch.setattr(devices, "available_devices", lambda: ("cuda", "cpu"))
    assert choose_device("auto").type == "cuda"
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    assert choose_device("cuda:1") == torch.device("cuda", 1)
    with pytest.raises(InvalidInput, match="cuda:2"):
        choose_device("cuda:2")


@pytest.mark.parametrize("wanted", ["cuda", "mps", "tpu", "cuda:x", ""])
def test_a_device_that_is_not_there(monkeypatch: pytest.MonkeyPatch, wanted: str) -> None:
    monkeypatch.setattr(devices, "available_devices", lambda: ("cpu",))
    assert choose_device("auto") == CPU
    with pytest.raises(InvalidInput, match="this machine has cpu") as caught:
        choose_device(wanted)
    assert "device=auto" in caught.value.hint


@pytest.mark.parametrize(
    "error",
    [
        MemoryError(),
        torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB."),
        RuntimeError("[enforce fail at alloc_cpu.cpp:124] DefaultCPUAllocator: can't allocate memory: you tried"),
        RuntimeError("[enforce fail at alloc_cpu.cpp:80] DefaultCPUAllocator: not enough memory: you tried"),
        RuntimeError("MPS backend out of memory (MPS allocated: 8.00 GB)"),
        RuntimeError("cuDNN error: CUDNN_STATUS_ALLOC_FAILED"),
    ],
)
def test_out_of_memory_is_known_on_every_device(error: Exception) -> None:
    assert is_out_of_memory(error)
    outer = ValueError("a wrapper")
    outer.__cause__ = error
    assert is_out_of_memory(outer)


def test_a_real_allocation_that_fails() -> None:
    with pytest.raises(RuntimeError) as caught:
        torch.empty(1 << 60, dtype=torch.uint8)
    assert is_out_of_memory(caught.value)


@pytest.mark.parametrize("error", [None, RuntimeError("shape mismatch"), ValueError("out of memory"), KeyError("x")])
def test_other_errors_are_not_out_of_memory(error: Exception | None) -> None:
    assert not is_out_of_memory(error)


def test_free_memory_is_positive_and_within_the_groups_limit(monkeypatch: pytest.MonkeyPatch) -> None:
    assert free_memory_bytes() > 0
    monkeypatch.setattr(memory, "cgroup_headroom_bytes", lambda: 1000)
    assert free_memory_bytes("cpu") == 1000
    release_memory("cpu")


def make_group(folder: Path, limit: str, usage: int, cached: int, names: tuple[str, str, str]) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    (folder / names[0]).write_text(f"{limit}\n")
    (folder / names[1]).write_text(f"{usage}\n")
    (folder / "memory.stat").write_text(f"anon 1\n{names[2]} {cached}\nfile 3\n")


V2 = ("memory.max", "memory.current", "inactive_file")
V1 = ("memory.limit_in_bytes", "memory.usage_in_bytes", "total_inactive_file")


def test_the_tightest_group_decides(tmp_path: Path) -> None:
    membership = tmp_path / "membership"
    membership.write_text("0::/batch/job\n")
    make_group(tmp_path / "batch" / "job", "max", 500, 100, V2)
    make_group(tmp_path / "batch", "1000", 500, 100, V2)
    assert memory.cgroup_headroom_bytes(tmp_path, membership) == 600
    make_group(tmp_path / "batch" / "job", "550", 500, 100, V2)
    assert memory.cgroup_headroom_bytes(tmp_path, membership) == 150
    make_group(tmp_path / "batch" / "job", "300", 500, 100, V2)
    assert memory.cgroup_headroom_bytes(tmp_path, membership) == 0


def test_a_container_sees_its_group_as_the_root(tmp_path: Path) -> None:
    membership = tmp_path / "membership"
    membership.write_text("0::/not/visible/inside\n")
    make_group(tmp_path, "1000", 100, 0, V2)
    assert memory.cgroup_headroom_bytes(tmp_path, membership) == 900


def test_groups_of_the_first_version(tmp_path: Path) -> None:
    membership = tmp_path / "membership"
    membership.write_text("3:cpu:/x\n4:memory:/job\n")
    make_group(tmp_path / "memory" / "job", "700", 300, 50, V1)
    assert memory.cgroup_headroom_bytes(tmp_path, membership) == 450


@pytest.mark.parametrize("text", [None, "", "no colons here", "1:name=systemd:/"])
def test_no_groups_no_limit(tmp_path: Path, text: str | None) -> None:
    membership = tmp_path / "membership"
    if text is not None:
        membership.write_text(text)
    assert memory.cgroup_headroom_bytes(tmp_path, membership) > 1 << 50


def test_cores_follow_the_quota(tmp_path: Path) -> None:
    quota = tmp_path / "cpu.max"
    unlimited = n_usable_cores(quota)
    assert unlimited >= 1
    quota.write_text("max 100000\n")
    assert n_usable_cores(quota) == unlimited
    quota.write_text("50000 100000\n")
    assert n_usable_cores(quota) == 1


@pytest.mark.parametrize(("told", "expected"), [("1", 1), ("3,2", 3), ("", None), ("many", None), ("0", None)])
def test_threads_follow_the_environment(monkeypatch: pytest.MonkeyPatch, told: str, expected: int | None) -> None:
    before = torch.get_num_threads()
    monkeypatch.setenv("OMP_NUM_THREADS", told)
    try:
        assert limit_threads() == torch.get_num_threads() == (expected or n_usable_cores())
    finally:
        torch.set_num_threads(before)
