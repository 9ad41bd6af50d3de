"""The command that reports what the machine has and what is missing: doctor."""

from __future__ import annotations

import platform
import sys
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal

import typer
from rich.console import Group

from napari_pytc.cli.commands import probes
from napari_pytc.cli.options import AsJson, output_of
from napari_pytc.cli.output import Reply, bytes_text, table

State = Literal["ok", "note", "missing"]

OLDEST_PYTHON = (3, 11)
LEAST_MEMORY, LEAST_DISK = 1_000_000_000, 1_000_000_000
SYSTEM_LIBRARIES = "libegl1 libgl1 libglx-mesa0 libxkbcommon-x11-0 libxcb-cursor0 libdbus-1-3 libfontconfig1"


@dataclass(frozen=True)
class Finding:
    """A finding about the machine.

    Parameters
    ----------
    name, value : str
        The thing looked at, and its state in words.
    state : str
        ``missing`` where the main job cannot run without it, ``note`` where only something else cannot.
    mend : str
        The command, or what else, that mends it.
    """

    name: str
    value: str
    state: State = "ok"
    mend: str = ""


def register(app: typer.Typer) -> None:
    """Add the command of this file."""
    app.command("doctor", rich_help_panel="Look around")(doctor)


def doctor(context: typer.Context, as_json: AsJson = False) -> Reply:
    """Tell what this machine has, what is missing, and the command that mends it."""
    output = output_of(context)
    if not output.as_json:
        output.notes.print("Looking at this machine ...", style="dim")
    torch, objects, window = probes.probe_torch(), probes.probe_objects(), probes.probe_window()
    found = list(findings(torch, objects, window))
    is_fit = all(finding.state != "missing" for finding in found)
    document: dict[str, Any] = {
        "ok": is_fit,
        "findings": [asdict(finding) for finding in found],
        "python": platform.python_version(),
        "torch": torch.found,
        "objects": objects.found,
        "window": window.found,
        "cpu": probes.processor(),
        "memory": probes.memory(),
        "packages": probes.packages(),
    }
    return Reply(document, Group(*_lines(found, is_fit)), exit_code=0 if is_fit else 1)


def findings(torch: probes.Probe, objects: probes.Probe, window: probes.Probe) -> Iterator[Finding]:
    """All findings, the most important first."""
    yield _python()
    yield from _packages()
    yield from _torch(torch)
    yield _objects(objects)
    yield _processor(torch)
    yield from _room()
    yield from _window(window)


def _python() -> Finding:
    value = f"{platform.python_version()} on {platform.platform(terse=True)}"
    if sys.version_info < OLDEST_PYTHON:
        return Finding("Python", value, "missing", "Install Python 3.11 or newer and make a new environment with it.")
    return Finding("Python", value)


def _packages() -> Iterator[Finding]:
    found = probes.packages()
    absent = [name for name, version in found.items() if version is None]
    own = probes.installed_version(probes.PACKAGE)
    if own is None:
        yield Finding("napari-pytc", "not installed", "missing", f"{sys.executable} -m pip install napari-pytc")
        return
    yield Finding("napari-pytc", f"{own}, napari {found.get('napari') or 'not installed'}")
    if absent:
        command = f"{sys.executable} -m pip install {' '.join(absent)}"
        yield Finding("Packages", f"not installed: {', '.join(absent)}", "missing", command)
    else:
        yield Finding("Packages", f"all {len(found)} that are needed")


def _torch(probe: probes.Probe) -> Iterator[Finding]:
    if not probe.found:
        command = f"{sys.executable} -m pip install --force-reinstall torch"
        yield Finding("PyTorch", f"cannot be loaded: {probe.problem}", "missing", command)
        return
    found = probe.found
    yield Finding("PyTorch", f"{found['version']}, {found['threads']} threads")
    devices = [f"{d['name']} ({bytes_text(d['free_bytes'])} free)" for d in found["cuda_devices"]]
    if found["mps"]:
        devices.append("Apple GPU (mps)")
    if devices:
        yield Finding("GPU", ", ".join(devices))
    elif _has_nvidia_driver():
        hint = "Install a PyTorch built for your driver's CUDA: https://pytorch.org/get-started/locally"
        built = found["built_for_cuda"]
        why = f"this PyTorch is built for CUDA {built}" if built else "this PyTorch is built without CUDA"
        yield Finding("GPU", f"there is an NVIDIA driver, but {why} and sees no GPU", "note", hint)
    else:
        yield Finding("GPU", "none; the CPU is used (recipes instant and fast are made for it)")


def _objects(probe: probes.Probe) -> Finding:
    """Without these there are no objects; classes can be trained, predicted and exported all the same."""
    if not probe.found:
        names = "bioimage-cpp connected-components-3d fastremap"
        command = f"{sys.executable} -m pip install --force-reinstall {names}"
        return Finding("Objects", f"segment and proofread cannot run: {probe.problem}", "note", command)
    return Finding("Objects", ", ".join(f"{name} {version}" for name, version in probe.found.items()))


def _processor(probe: probes.Probe) -> Finding:
    found = probes.processor()
    features = ", ".join(found["features"]) or str(probe.found.get("cpu_capability", "not known"))
    return Finding("CPU", f"{found['name']}, {found['cores']} cores, {found['usable']} usable, {features}")


def _room() -> Iterator[Finding]:
    memory, disk = probes.memory(), probes.disk(Path.cwd())
    value = f"{bytes_text(memory['available_bytes'])} of {bytes_text(memory['total_bytes'])} available"
    short = memory["available_bytes"] < LEAST_MEMORY
    yield Finding("Memory", value, *(("missing", "Close other programs; 1 GB is the least.") if short else ()))
    value = f"{bytes_text(disk['free_bytes'])} free in {disk['folder']}"
    if not disk["writable"]:
        yield Finding("Disk", f"{disk['folder']} may not be written", "note", "Make projects in a folder of your own.")
    elif disk["free_bytes"] < LEAST_DISK:
        yield Finding("Disk", value, "note", "Delete something, or make projects on another disk.")
    else:
        yield Finding("Disk", value)


def _window(probe: probes.Probe) -> Iterator[Finding]:
    """Qt and OpenGL; the command line needs neither, so their lack is a note."""
    if not probe.found:
        problem, mend = _qt_problem(probe.problem)
        yield Finding("Window (Qt)", f"cannot be opened: {problem}", "note", mend)
        return
    found = probe.found
    yield Finding("Window (Qt)", f"{found['binding']} with Qt {found['qt']} on {found['platform']}")
    if found["opengl"] is None:
        mend = _apt("libgl1 libgl1-mesa-dri") if sys.platform.startswith("linux") else "Update the graphics driver."
        yield Finding("OpenGL", "Qt gets no OpenGL context, so napari shows no image", "note", mend)
    else:
        yield Finding("OpenGL", " ".join(part for part in (found["opengl"], found["renderer"]) if part))


def _qt_problem(problem: str) -> tuple[str, str]:
    """The reason why no window opens, and its remedy."""
    if all(probes.installed_version(name) is None for name in ("PyQt6", "PySide6")):
        return "no Qt is installed", f'{sys.executable} -m pip install "napari-pytc[qt]"'
    if ".so" not in problem and probes.display_is_missing():
        return "there is no display here", "Log in where there is one, or use `xvfb-run -a COMMAND`."
    return problem, _apt(SYSTEM_LIBRARIES) if sys.platform.startswith("linux") else "Update the graphics driver."


def _apt(names: str) -> str:
    return f"sudo apt-get install {names}"


def _has_nvidia_driver() -> bool:
    return Path("/proc/driver/nvidia/version").exists() or Path(r"C:\Windows\System32\nvcuda.dll").exists()


def _lines(found: list[Finding], is_fit: bool) -> Iterator[Any]:
    signs = {"ok": "ok", "note": "note", "missing": "MISSING"}
    yield table("", ("", "what", "how it stands"), [(signs[f.state], f.name, f.value) for f in found])
    for finding in found:
        if finding.mend:
            yield f"{finding.name}: {finding.mend}"
    yield (
        "Training, prediction and export can run."
        if is_fit
        else "The main job cannot run until what is missing is mended."
    )
