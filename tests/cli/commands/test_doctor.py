from __future__ import annotations

import sys

import pytest

from napari_pytc.cli.commands import doctor, probes
from tests.cli.conftest import Command

TORCH = {
    "version": "2.9",
    "built_for_cuda": None,
    "cuda_devices": [],
    "mps": False,
    "cpu_capability": "AVX2",
    "threads": 2,
}
OBJECTS = {"bioimage-cpp": "0.9", "connected-components-3d": "3.2", "fastremap": "1.1", "sqlite": "3.45"}
WINDOW = {"binding": "PyQt6", "qt": "6.9", "platform": "xcb", "opengl": "4.5", "renderer": "llvmpipe"}


@pytest.fixture
def machine(monkeypatch: pytest.MonkeyPatch) -> pytest.MonkeyPatch:
    """A machine on which all is well; a test breaks one thing."""
    monkeypatch.setattr(probes, "probe_torch", lambda: probes.Probe(TORCH))
    monkeypatch.setattr(probes, "probe_objects", lambda: probes.Probe(OBJECTS))
    monkeypatch.setattr(probes, "probe_window", lambda: probes.Probe(WINDOW))
    monkeypatch.setattr(probes, "memory", lambda: {"total_bytes": 16_000_000_000, "available_bytes": 9_000_000_000})
    monkeypatch.setattr(probes, "disk", lambda folder: {"folder": "x", "free_bytes": 9e10, "writable": True})
    monkeypatch.setattr(probes, "packages", lambda: {"torch": "2.9", "napari": "0.9"})
    return monkeypatch


def test_all_is_well(cli: Command, machine: pytest.MonkeyPatch):
    document = cli("doctor", "--json").document
    assert document["ok"]
    assert {f["state"] for f in document["findings"]} <= {"ok", "note"}
    assert document["python"] == ".".join(str(n) for n in sys.version_info[:3])
    ended = cli("doctor")
    assert ended.code == 0
    assert "can run" in ended.out


def test_a_missing_package_is_named_with_the_command(cli: Command, machine: pytest.MonkeyPatch):
    machine.setattr(probes, "packages", lambda: {"torch": "2.9", "napari": "0.9", "tensorstore": None})
    ended = cli("doctor", "--json")
    assert ended.code == 1
    assert not ended.document["ok"]
    (missing,) = [f for f in ended.document["findings"] if f["state"] == "missing"]
    assert missing["mend"].endswith("-m pip install tensorstore")
    assert "cannot run" in cli("doctor").out


def test_a_torch_that_crashes_is_reported(cli: Command, machine: pytest.MonkeyPatch):
    machine.setattr(probes, "probe_torch", lambda: probes.Probe({}, "it was killed by signal 4"))
    ended = cli("doctor")
    assert ended.code == 1
    assert "killed by signal 4" in ended.out
    assert "pip install" in ended.out


def test_libraries_that_make_objects_are_loaded(cli: Command, machine: pytest.MonkeyPatch):
    (found,) = [f for f in cli("doctor", "--json").document["findings"] if f["name"] == "Objects"]
    assert found["state"] == "ok"
    assert "bioimage-cpp 0.9" in found["value"]
    machine.setattr(probes, "probe_objects", lambda: probes.Probe({}, "it was killed by signal 4"))
    ended = cli("doctor", "--json")
    assert ended.code == 0
    (found,) = [f for f in ended.document["findings"] if f["name"] == "Objects"]
    assert (found["state"], "--force-reinstall bioimage-cpp" in found["mend"]) == ("note", True)


def test_no_window_is_no_reason_to_stop(cli: Command, machine: pytest.MonkeyPatch):
    problem = "ImportError: libEGL.so.1: cannot open shared object file"
    machine.setattr(probes, "probe_window", lambda: probes.Probe({}, problem))
    machine.setattr(probes, "installed_version", lambda name: "1.0")
    machine.setattr(sys, "platform", "linux")
    ended = cli("doctor", "--json")
    assert ended.code == 0
    (window,) = [f for f in ended.document["findings"] if f["name"].startswith("Window")]
    assert (window["state"], "apt-get install" in window["mend"]) == ("note", True)


def test_no_qt_and_no_opengl_have_their_commands(machine: pytest.MonkeyPatch):
    machine.setattr(probes, "installed_version", lambda name: None if name.startswith("Py") else "1.0")
    found = {
        f.name: f
        for f in doctor.findings(
            probes.Probe(TORCH), probes.Probe(OBJECTS), probes.Probe({}, "No module named 'PyQt6'")
        )
    }
    assert "napari-pytc[qt]" in found["Window (Qt)"].mend
    without = probes.Probe({**WINDOW, "opengl": None})
    found = {f.name: f for f in doctor.findings(probes.Probe(TORCH), probes.Probe(OBJECTS), without)}
    assert found["OpenGL"].mend


def test_too_little_memory_is_reported(cli: Command, machine: pytest.MonkeyPatch):
    machine.setattr(probes, "memory", lambda: {"total_bytes": 2_000_000_000, "available_bytes": 300_000_000})
    ended = cli("doctor")
    assert ended.code == 1
    assert "300.0 MB of 2.0 GB" in ended.out


@pytest.mark.slow
def test_a_probe_survives_a_crash():
    assert probes._probe("import os, signal; os.kill(os.getpid(), signal.SIGKILL)").problem
    assert "ModuleNotFoundError" in probes._probe("import no_such_module").problem
    assert probes._probe("print('{\"a\": 1}')").found == {"a": 1}


@pytest.mark.slow
def test_this_machine(cli: Command):
    ended = cli("doctor", "--json")
    assert ended.document["torch"]["version"]
    assert ended.document["cpu"]["cores"] >= 1
    assert ended.document["memory"]["total_bytes"] > 0
    assert ended.document["packages"]["torch"]
