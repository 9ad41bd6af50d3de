"""The helpers of the tests find what they are there to find."""

from __future__ import annotations

import subprocess
import sys
import threading
from pathlib import Path

import pytest

from tests.support.leaks import child_processes, left_behind, running_threads
from tests.support.real_data import real_data


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
