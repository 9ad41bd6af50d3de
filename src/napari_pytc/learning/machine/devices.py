"""Devices to compute on, and numbers of threads."""

from __future__ import annotations

import math
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psutil
import torch

from napari_pytc.errors import InvalidInput


def available_devices() -> tuple[str, ...]:
    """Kinds of device at hand, the fastest first."""
    found = []
    if torch.cuda.is_available():
        found.append("cuda")
    if torch.backends.mps.is_available():
        found.append("mps")
    return (*found, "cpu")


def choose_device(wanted: str = "auto") -> torch.device:
    """The device to compute on; ``auto`` is a GPU where there is one.

    Raises
    ------
    InvalidInput
        If the wanted one is not there.
    """
    present = available_devices()
    if wanted == "auto":
        return torch.device(present[0])
    kind, _, number = wanted.partition(":")
    if kind not in present or (number and not _has_number(kind, number)):
        raise InvalidInput(
            f"Device {wanted!r} was asked for, but this machine has {' and '.join(present)}.",
            "Set device=auto; `napari-pytc doctor` tells why a GPU is not seen.",
        )
    return torch.device(wanted)


def _has_number(kind: str, number: str) -> bool:
    n_devices = torch.cuda.device_count() if kind == "cuda" else 1
    return number.isdecimal() and int(number) < n_devices


def n_usable_cores(quota_file: Path = Path("/sys/fs/cgroup/cpu.max")) -> int:
    """Physical cores this process may use: not those of the whole machine in a container or a batch job."""
    logical = psutil.cpu_count(logical=True) or 1
    physical = psutil.cpu_count(logical=False) or logical
    usable = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else logical
    try:
        quota, period = quota_file.read_text(encoding="ascii").split()
        usable = min(usable, math.ceil(int(quota) / int(period)))
    except (OSError, ValueError):  # no such file, or "max": no quota
        pass
    return max(1, min(usable, physical))


def limit_threads() -> int:
    """Let torch use ``OMP_NUM_THREADS`` threads, else as many as there are usable cores; returns how many.

    The worker sets the variable to one less than the machine has, so that the window stays smooth.
    """
    told = os.environ.get("OMP_NUM_THREADS", "").split(",")[0].strip()
    n_threads = int(told) if told.isdecimal() and int(told) > 0 else n_usable_cores()
    if torch.get_num_threads() != n_threads:
        torch.set_num_threads(n_threads)
    return n_threads


@contextmanager
def one_thread() -> Iterator[None]:
    """Let torch use a single thread meanwhile: many small operations are faster so, above all on a busy machine."""
    with _threads(1):
        yield


@contextmanager
def spare_thread() -> Iterator[None]:
    """Let torch use a thread less meanwhile, where there are several: a helper has a core's worth of work to do.

    With as many threads as cores beside it, all of them would wait for the one that shares its core.
    """
    with _threads(max(1, torch.get_num_threads() - 1)):
        yield


@contextmanager
def _threads(n: int) -> Iterator[None]:
    n_threads = torch.get_num_threads()
    torch.set_num_threads(n)
    try:
        yield
    finally:
        torch.set_num_threads(n_threads)
