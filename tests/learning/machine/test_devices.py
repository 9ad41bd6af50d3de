"""Devices, threads and free memory."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from napari_pytc.errors import InvalidInput
from napari_pytc.learning.machine import devices, memory
from napari_pytc.learning.machine.devices import choose_device, limit_threads, n_usable_cores
from napari_pytc.learning.machine.memory import free_memory_bytes, is_out_of_memory, release_memory

CPU = torch.device("cpu")


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
