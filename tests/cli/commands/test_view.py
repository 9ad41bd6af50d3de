"""The command `view` as a process: it serves on loopback, and ends when it is told to."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from napari_pytc.exporting import optional
from tests.cli.conftest import SHAPE, Command, is_one_error
from tests.support.waiting import PATIENCE_S


@contextmanager
def running(*words: object) -> Iterator[tuple[subprocess.Popen[str], dict[str, Any]]]:
    """The command while it serves, and the document that it printed."""
    command = [sys.executable, "-m", "napari_pytc.cli.main", "view", *map(str, words), "--no-browser", "--json"]
    environment = {**os.environ, "PYTHONUNBUFFERED": "1"}
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment
    ) as process:
        try:
            assert process.stdout is not None
            line = process.stdout.readline()
            assert line, process.stderr.read() if process.stderr else ""
            yield process, json.loads(line)
        finally:
            process.kill()


@pytest.mark.slow
@pytest.mark.skipif(sys.platform == "win32", reason="a process cannot be sent Ctrl+C there")
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_it_serves_until_it_is_stopped(segmented: Path, number: signal.Signals) -> None:
    with running(segmented) as (process, document):
        assert document["url"].startswith("http://127.0.0.1:")
        assert [layer["type"] for layer in document["layers"]] == ["image", "probabilities", "segments"]
        assert document["notes"] == []
        for layer in document["layers"]:
            with urllib.request.urlopen(layer["info"], timeout=PATIENCE_S) as answer:
                assert json.loads(answer.read())["shape"][-3:] == list(SHAPE)
        process.send_signal(number)
        assert process.wait(PATIENCE_S) == 0
        assert process.stdout is not None
        assert process.stdout.read() == ""
        with pytest.raises(urllib.error.URLError):
            urllib.request.urlopen(document["url"], timeout=5)


@pytest.mark.slow
@pytest.mark.skipif(sys.platform == "win32", reason="a process cannot be sent Ctrl+C there")
def test_what_there_is_not_is_a_note(project: Path) -> None:
    with running(project) as (process, document):
        assert [layer["name"] for layer in document["layers"]] == ["image"]
        assert len(document["notes"]) == 2
        process.send_signal(signal.SIGINT)
        assert process.wait(PATIENCE_S) == 0


@pytest.mark.slow
@pytest.mark.skipif(sys.platform == "win32", reason="a process cannot be sent Ctrl+C there")
def test_one_volume_of_several_is_shown(cli: Command, project: Path, tmp_path: Path) -> None:
    np.save(tmp_path / "other.npy", np.ones((3, 8, 9), np.uint8))
    words = ("--image", tmp_path / "other.npy", "--name", "other", "--voxel-size", "10,10,10")
    assert cli("add", project, *words, "--json").code == 0
    assert is_one_error(cli("view", project), "other")
    with running(project, "--volume", "other") as (process, document):
        with urllib.request.urlopen(document["layers"][0]["info"], timeout=PATIENCE_S) as answer:
            assert json.loads(answer.read())["shape"] == [3, 8, 9]
        process.send_signal(signal.SIGINT)
        assert process.wait(PATIENCE_S) == 0


def test_mistakes_are_one_error(cli: Command, project: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert is_one_error(cli("view", tmp_path / "none.pytc"), "none.pytc")
    assert is_one_error(cli("view", project, "--prediction", "none"), "none")
    assert is_one_error(cli("view", project, "--segmentation", "none"), "none")
    monkeypatch.setattr(optional, "find_spec", lambda name: None)
    assert is_one_error(cli("view", project), "neuroglancer", "napari-pytc[view]")
