"""What a test left behind: child processes and threads that should have ended with it."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable

import psutil

from tests.support.waiting import PATIENCE_S

_HELPERS_OF_MULTIPROCESSING = ("multiprocessing.resource_tracker", "multiprocessing.forkserver")


def child_processes() -> dict[int, str]:
    """Command line of each living child of this process, but for multiprocessing's own helpers."""
    children = {}
    for child in psutil.Process().children(recursive=True):
        try:
            command = " ".join(child.cmdline())
            if child.status() != psutil.STATUS_ZOMBIE and not any(h in command for h in _HELPERS_OF_MULTIPROCESSING):
                children[child.pid] = command
        except psutil.Error:  # it ended while we looked
            continue
    return children


def running_threads() -> dict[int, str]:
    """Name of each thread that keeps the interpreter alive or runs our code."""
    return {
        thread.ident: thread.name
        for thread in threading.enumerate()
        if thread.ident is not None
        and thread is not threading.main_thread()
        and (not thread.daemon or _runs_our_code(thread))
    }


def _runs_our_code(thread: threading.Thread) -> bool:
    target = getattr(thread, "_target", None)
    where = (type(thread).__module__, getattr(target, "__module__", None) or "")
    return any(module.split(".")[0] == "napari_pytc" for module in where)


def left_behind(look: Callable[[], dict[int, str]], before: dict[int, str], grace_s: float = PATIENCE_S) -> list[str]:
    """What is there now and was not before, after waiting for it to end."""
    until = time.monotonic() + grace_s
    while new := [f"{number}: {name}" for number, name in look().items() if number not in before]:
        if time.monotonic() > until:
            return new
        time.sleep(0.02)
    return []
