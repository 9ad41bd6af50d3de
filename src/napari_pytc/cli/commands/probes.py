"""Probes of the machine for `doctor`; those that may crash or take long run in a process of their own."""

from __future__ import annotations

import json
import os
import platform
import re
import shutil
import subprocess
import sys
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, requires, version
from pathlib import Path
from typing import Any

PACKAGE = "napari-pytc"
_TIMEOUT_S = 120

_TORCH = """
import json, torch
def memory(index):
    free, total = torch.cuda.mem_get_info(index)
    return {"name": torch.cuda.get_device_name(index), "free_bytes": free, "total_bytes": total}
cuda = torch.cuda.is_available()
print(json.dumps({
    "version": torch.__version__,
    "built_for_cuda": torch.version.cuda,
    "cuda_devices": [memory(i) for i in range(torch.cuda.device_count())] if cuda else [],
    "mps": torch.backends.mps.is_available(),
    "cpu_capability": torch.backends.cpu.get_cpu_capability(),
    "threads": torch.get_num_threads(),
}))
"""

_OBJECTS = """
import json, sqlite3
from importlib.metadata import version
import bioimage_cpp, cc3d, fastremap, numpy
labels = cc3d.connected_components(numpy.ones((2, 2, 2), bool))
assert labels.max() == fastremap.unique(labels).max() == 1
names = ("bioimage-cpp", "connected-components-3d", "fastremap")
print(json.dumps({name: version(name) for name in names} | {"sqlite": sqlite3.sqlite_version}))
"""

_WINDOW = """
import json
from qtpy import API_NAME, QT_VERSION
from qtpy.QtGui import QGuiApplication, QOffscreenSurface, QOpenGLContext
app = QGuiApplication([])
found = {"binding": API_NAME, "qt": QT_VERSION, "platform": app.platformName(), "opengl": None, "renderer": None}
context = QOpenGLContext()
surface = QOffscreenSurface()
surface.create()
if context.create() and context.makeCurrent(surface):
    found["opengl"] = ".".join(str(n) for n in (context.format().majorVersion(), context.format().minorVersion()))
    try:
        from vispy.gloo import gl
        found["renderer"] = gl.glGetParameter(gl.GL_RENDERER)
    except Exception as error:
        found["renderer"] = None
    context.doneCurrent()
print(json.dumps(found))
"""


@dataclass(frozen=True)
class Probe:
    """Findings of a probe in a process of its own, or the last line of its error."""

    found: dict[str, Any]
    problem: str = ""


def probe_torch() -> Probe:
    """Version, devices and CPU capability of torch."""
    return _probe(_TORCH)


def probe_objects() -> Probe:
    """Versions of the libraries that make objects of predictions, each loaded, and of SQLite for the journal."""
    return _probe(_OBJECTS)


def probe_window() -> Probe:
    """Qt's binding and platform, and the version of OpenGL that it gives."""
    return _probe(_WINDOW)


def display_is_missing() -> bool:
    """Whether a window has nowhere to appear."""
    return (
        sys.platform.startswith("linux")
        and not os.environ.get("DISPLAY")
        and not os.environ.get("WAYLAND_DISPLAY")
        and not os.environ.get("QT_QPA_PLATFORM")
    )


def packages() -> dict[str, str | None]:
    """Each package that the main job needs, with its version; None where it is not installed."""
    try:
        lines = requires(PACKAGE) or []
    except PackageNotFoundError:
        lines = []
    names = [match.group() for line in lines if "extra ==" not in line and (match := re.match(r"[\w.-]+", line))]
    return {name: installed_version(name) for name in sorted(names, key=str.lower)}


def installed_version(name: str) -> str | None:
    """Version of an installed package; None where it is not installed."""
    try:
        return version(name)
    except PackageNotFoundError:
        return None


def processor() -> dict[str, Any]:
    """Name, cores and the instructions that decide how fast a network runs."""
    import psutil

    name, flags = platform.processor() or platform.machine(), set()
    try:
        text = Path("/proc/cpuinfo").read_text(encoding="utf-8", errors="replace")
    except OSError:
        text = ""
    if found := re.search(r"^model name\s*:\s*(.+)$", text, re.MULTILINE):
        name = found.group(1).strip()
    if found := re.search(r"^(?:flags|Features)\s*:\s*(.+)$", text, re.MULTILINE):
        flags = set(found.group(1).split())
    wanted = ("avx2", "avx512f", "avx512_bf16", "amx_bf16", "asimd", "bf16")
    usable = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    return {
        "name": name,
        "cores": psutil.cpu_count(logical=False) or os.cpu_count(),
        "threads": os.cpu_count(),
        "usable": usable,
        "features": [flag for flag in wanted if flag in flags],
    }


def memory() -> dict[str, int]:
    """Total and available bytes; a container's limit counts."""
    import psutil

    found = psutil.virtual_memory()
    total, available = int(found.total), int(found.available)
    limit, used = (_number(Path("/sys/fs/cgroup") / name) for name in ("memory.max", "memory.current"))
    if limit is not None and limit < total:
        total, available = limit, min(available, max(0, limit - (used or 0)))
    return {"total_bytes": total, "available_bytes": available}


def disk(folder: Path) -> dict[str, Any]:
    """Room on the disk of a folder, and whether it may be written."""
    return {
        "folder": str(folder),
        "free_bytes": shutil.disk_usage(folder).free,
        "writable": os.access(folder, os.W_OK),
    }


def _number(path: Path) -> int | None:
    try:
        return int(path.read_text(encoding="ascii"))
    except (OSError, ValueError):
        return None


def _probe(script: str) -> Probe:
    try:
        done = subprocess.run(
            [sys.executable, "-W", "ignore", "-c", script],
            capture_output=True,
            text=True,
            errors="replace",
            timeout=_TIMEOUT_S,
            stdin=subprocess.DEVNULL,
            check=False,
        )
    except subprocess.TimeoutExpired:
        return Probe({}, f"no answer within {_TIMEOUT_S} s")
    lines = done.stdout.strip().splitlines()
    if done.returncode == 0 and lines:
        return Probe(json.loads(lines[-1]))
    error_lines = [line for line in done.stderr.strip().splitlines() if line.strip()]
    crash = f"it was killed by signal {-done.returncode}" if done.returncode < 0 else f"exit code {done.returncode}"
    return Probe({}, error_lines[-1].strip() if error_lines else crash)
