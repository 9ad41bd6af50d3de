"""Fixtures of all tests: threads and folders kept to this run, nothing left running by a test."""

from __future__ import annotations

import atexit
import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, settings

from tests.support.fixed_precision import fix_precision
from tests.support.leaks import child_processes, left_behind, running_threads
from tests.support.slow_work import SlowWork

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
# The same examples each time: a check of somebody's change must not fail of an example that nobody has seen before.
settings.register_profile("ci", settings.get_profile("default"), derandomize=True, print_blob=True)
# For whoever changes what a property is about, or looks for a rare example: pytest --hypothesis-profile=thorough.
settings.register_profile("thorough", settings.get_profile("default"), max_examples=1000)
settings.load_profile("ci" if os.environ.get("CI") else "default")


_WINDOW = "tests/ui/"
_WINDOW_FIXTURES = {"make_napari_viewer", "make_napari_viewer_proxy"}
_slow_work = SlowWork()


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line("markers", "keeps_running: the test may leave processes and threads of a shared fixture")
    config.addinivalue_line("markers", "slow: the test opens a real window, starts a process, or trains")
    _slow_work.start()
    fix_precision()


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark tests that open a window as slow; those of the window come first, since they take longest."""
    for item in items:
        if _WINDOW_FIXTURES & set(getattr(item, "fixturenames", ())):
            item.add_marker("slow")
    items.sort(key=lambda item: not item.nodeid.startswith(_WINDOW))


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> Any:
    """Keep a file's tests in one process, where they share fixtures, and those of the window, which share a display.

    Not `xdist_group`, which pytest 9.2 leaves without effect: windows of two processes took each other's focus.
    """
    if config.getvalue("dist") != "loadscope":
        return None
    from xdist.scheduler import LoadScopeScheduling

    class ByFile(LoadScopeScheduling):  # type: ignore[misc, unused-ignore]
        def _split_scope(self, nodeid: str) -> str:
            return _WINDOW if nodeid.startswith(_WINDOW) else nodeid.partition("::")[0]

    return ByFile(config, log)


@pytest.fixture(autouse=True)
def slow_work_is_marked(request: pytest.FixtureRequest) -> Iterator[None]:
    """Fail a test that starts a process or trains without being marked as slow: `make test-fast` would be slow, too."""
    _slow_work.hook_optimisers()
    before = _slow_work.now()
    yield
    if request.node.get_closest_marker("slow") is None and (why := _slow_work.since(before)):
        pytest.fail(f"Mark this test with pytest.mark.slow: {why}.")


@pytest.fixture(autouse=True)
def nothing_left_running(request: pytest.FixtureRequest) -> Iterator[None]:
    """Fail a test that leaves a child process or a thread behind."""
    processes, threads = child_processes(), running_threads()
    yield
    if request.node.get_closest_marker("keeps_running") is None:
        assert not (left := left_behind(child_processes, processes)), f"processes left running: {left}"
        assert not (left := left_behind(running_threads, threads)), f"threads left running: {left}"
