"""Every command of the page "Skeletons" runs, and those of "Scores you can trust" that compare files."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import h5py
import numpy as np
import pytest

from tests.cli.conftest import Command

DOCS = Path(__file__).parents[2] / "docs"


def commands(page: str) -> list[str]:
    return [
        line.removeprefix("$ napari-pytc ").partition(" # ")[0]
        for block in re.findall(r"```console\n(.*?)```", (DOCS / page).read_text(encoding="utf-8"), re.DOTALL)
        for line in block.splitlines()
        if line.startswith("$ napari-pytc ")
    ]


COMMANDS = [*commands("skeletons.md"), *(one for one in commands("scores.md") if one.startswith("evaluate"))]


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The files of the page."""
    monkeypatch.chdir(tmp_path)
    labels = np.zeros((4, 12, 40), np.uint32)
    labels[1:3, 2:5, 2:38] = 17
    for name in ("segments", "truth", "classes", "truth-classes"):
        with h5py.File(tmp_path / f"{name}.h5", "w") as file:
            file["main"] = np.minimum(labels, 1) if "classes" in name else labels
            file["main"].attrs["voxel_size_nm"] = (20.0, 10.0, 10.0)
    (tmp_path / "tracings").mkdir()
    (tmp_path / "tracings" / "17.swc").write_text("# unit: nm\n1 0 30 30 20 10 -1\n2 0 370 30 20 10 1\n")
    return tmp_path


@pytest.mark.parametrize("command", COMMANDS)
def test_a_command_of_the_page_runs(command: str, folder: Path, cli: Command, request: pytest.FixtureRequest) -> None:
    words = shlex.split(command)
    if "cells.pytc" in words:
        request.getfixturevalue("segmented").rename(folder / "cells.pytc")
    ended = cli(*words, "--json")
    assert ended.code == 0, ended.out
    if words[0] == "evaluate":
        found = {
            name: ended.document[name] for name in ("nerl", "average_precision", "mean_iou") if name in ended.document
        }
        assert list(found.values()) == [1]
    else:
        assert (folder / words[2]).exists()
