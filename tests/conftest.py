"""Fixtures of all tests: threads and folders kept to this run, nothing left running by a test."""

from __future__ import annotations

import atexit
import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

from tests.support.leaks import child_processes, left_behind, running_threads

# Before anything imports torch: on a busy machine the threads of one small operation wait for each other ten times as
# long as the operation takes. One is also what makes the sums of every process the same to the last bit.
os.environ["OMP_NUM_THREADS"] = "1"

_CACHE = Path(tempfile.mkdtemp(prefix="napari-pytc-tests-"))
atexit.register(shutil.rmtree, _CACHE, ignore_errors=True)
for _variable in (
    "XDG_CACHE_HOME",
    "XDG_CONFIG_HOME",
    "XDG_DATA_HOME",
    "XDG_STATE_HOME",
    "WIN_PD_OVERRIDE_LOCAL_APPDATA",
):
    os.environ[_variable] = str(
        _CACHE
    )  # what platformdirs reads: a test must not see the user's files, nor change them
os.environ["NAPARI_CONFIG"] = str(_CACHE / "napari.yaml")

settings.register_profile("default", deadline=None, max_examples=60, suppress_health_check=[HealthCheck.too_slow])
settings.register_profile("ci", settings.get_profile("default"), max_examples=120, print_blob=True)
settings.load_profile("ci" if os.environ.get("CI") else "default")


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line("markers", "keeps_running: the test may leave processes and threads of a shared fixture")


@pytest.fixture(autouse=True)
def nothing_left_running(request: pytest.FixtureRequest) -> Iterator[None]:
    """Fail a test that leaves a child process or a thread behind."""
    processes, threads = child_processes(), running_threads()
    yield
    if request.node.get_closest_marker("keeps_running") is None:
        assert not (left := left_behind(child_processes, processes)), f"processes left running: {left}"
        assert not (left := left_behind(running_threads, threads)), f"threads left running: {left}"
