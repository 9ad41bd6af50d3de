"""The helpers of the tests find what they are there to find."""

from __future__ import annotations

import subprocess
import sys
import threading
from pathlib import Path

import pytest

from tests.support.leaks import child_processes, left_behind, running_threads
from tests.support.real_data import real_data
from tests.support.slow_work import MOST_STEPS, SlowWork


@pytest.mark.slow
def test_a_child_process_left_behind_is_found() -> None:
    before = child_processes()
    child = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
    try:
        assert [line.split(":")[0] for line in left_behind(child_processes, before, grace_s=0.1)] == [str(child.pid)]
    finally:
        child.communicate(b"\n")
    assert left_behind(child_processes, before) == []


@pytest.mark.parametrize("daemon", [False, True])
def test_a_thread_left_behind_is_found(daemon: bool) -> None:
    before, stop = running_threads(), threading.Event()

    def ours() -> None:
        stop.wait()

    ours.__module__ = "napari_pytc.jobs"
    thread = threading.Thread(target=ours, daemon=daemon, name="forgotten")
    thread.start()
    try:
        assert [line.split(": ")[1] for line in left_behind(running_threads, before, grace_s=0.1)] == ["forgotten"]
    finally:
        stop.set()
        thread.join()
    assert left_behind(running_threads, before) == []


def test_real_data_comes_from_the_named_folder_or_skips(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NAPARI_PYTC_DATA", str(tmp_path))
    (tmp_path / "there.tif").touch()
    assert real_data("there.tif") == tmp_path / "there.tif"
    with pytest.raises(pytest.skip.Exception, match=r"needs absent\.tif in"):
        real_data("absent.tif")


@pytest.mark.slow
def test_processes_that_a_test_starts_are_counted() -> None:
    work = SlowWork()
    work.start()
    before = work.now()
    assert work.since(before) == ""
    subprocess.run([sys.executable, "-c", ""], check=True)
    assert work.since(before) == "it started 1 processes"


@pytest.mark.slow
def test_steps_of_optimisers_are_counted() -> None:
    torch = pytest.importorskip("torch")
    work = SlowWork()
    work.hook_optimisers()
    weight = torch.zeros(1, requires_grad=True)
    optimiser = torch.optim.SGD([weight], lr=0.1)
    weight.sum().backward()
    before = work.now()
    for _ in range(MOST_STEPS):
        optimiser.step()
    assert work.since(before) == ""
    optimiser.step()
    assert work.since(before) == f"it trained for {MOST_STEPS + 1} steps"
