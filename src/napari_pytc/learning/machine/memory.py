"""Free memory of devices, and out-of-memory errors."""

from __future__ import annotations

import gc
from pathlib import Path

import psutil
import torch

_CGROUPS = Path("/sys/fs/cgroup")
_MEMBERSHIP = Path("/proc/self/cgroup")
_UNLIMITED = 1 << 60
_MESSAGES = (
    "out of memory",
    "defaultcpuallocator: can't allocate memory",
    "defaultcpuallocator: not enough memory",
    "cudnn_status_alloc_failed",
    "cublas_status_alloc_failed",
    "std::bad_alloc",
    "unable to allocate",
)


def is_out_of_memory(error: BaseException | None) -> bool:
    """Whether an error, or one that it was raised from, means that memory ran out, on any device."""
    while error is not None:
        if isinstance(error, MemoryError | torch.OutOfMemoryError):
            return True
        if isinstance(error, RuntimeError) and any(message in str(error).lower() for message in _MESSAGES):
            return True
        error = error.__cause__
    return False


def release_memory(device: torch.device | str = "cpu") -> None:
    """Release memory that is no longer used; call it outside of the handler, whose error still holds the tensors."""
    gc.collect()
    kind = torch.device(device).type
    if kind == "cuda" and torch.cuda.is_available():
        torch.cuda.empty_cache()
    elif kind == "mps" and torch.backends.mps.is_available():
        torch.mps.empty_cache()


def free_memory_bytes(device: torch.device | str = "cpu") -> int:
    """Bytes that can still be taken on a device; on the CPU also what the container or batch system allows."""
    device = torch.device(device)
    if device.type == "cuda":
        free, _ = torch.cuda.mem_get_info(device)
        cached = torch.cuda.memory_reserved(device) - torch.cuda.memory_allocated(device)
        return int(free + cached)
    available = min(int(psutil.virtual_memory().available), cgroup_headroom_bytes())
    if device.type == "mps":
        return min(available, torch.mps.recommended_max_memory() - torch.mps.driver_allocated_memory())
    return available


def cgroup_headroom_bytes(root: Path = _CGROUPS, membership: Path = _MEMBERSHIP) -> int:
    """Bytes that the control groups of this process still allow; a huge number where there are none.

    Every group from the process's own up to the root may set a limit. File cache that the kernel would drop does not
    count as used.
    """
    try:
        lines = membership.read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        return _UNLIMITED
    headroom = _UNLIMITED
    for line in lines:
        _, _, rest = line.partition(":")
        controllers, is_entry, group = rest.partition(":")
        if not is_entry:
            continue
        if controllers == "":
            files = (root, "memory.max", "memory.current", "inactive_file")
        elif "memory" in controllers.split(","):
            files = (root / "memory", "memory.limit_in_bytes", "memory.usage_in_bytes", "total_inactive_file")
        else:
            continue
        top, limit_name, usage_name, cache_name = files
        folder = top / group.lstrip("/")
        for place in (folder, *folder.parents):
            headroom = min(headroom, _headroom(place, limit_name, usage_name, cache_name))
            if place == top:
                break
    return max(0, headroom)


def _headroom(folder: Path, limit_name: str, usage_name: str, cache_name: str) -> int:
    try:
        limit = int((folder / limit_name).read_text())
        usage = int((folder / usage_name).read_text())
        cached = 0
        for line in (folder / "memory.stat").read_text().splitlines():
            name, _, value = line.partition(" ")
            if name == cache_name:
                cached = int(value)
    except (OSError, ValueError):  # no limit ("max"), or no such group seen from inside the container
        return _UNLIMITED
    return limit - usage + cached
