"""Every command of the page "Tune a decoder" runs, in its order."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import h5py
import pytest

from tests.cli.conftest import Command

PAGE = Path(__file__).parents[2] / "docs" / "tuning.md"
COMMANDS = [
    line.removeprefix("$ napari-pytc ").partition(" # ")[0]
    for block in re.findall(r"```console\n(.*?)```", PAGE.read_text(encoding="utf-8"), re.DOTALL)
    for line in block.splitlines()
    if line.startswith("$ napari-pytc ")
]


@pytest.mark.slow
def test_the_commands_of_the_page_run(
    segmented: Path, tissue_file: Path, tmp_path: Path, cli: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    segmented.rename(tmp_path / "cells.pytc")
    with h5py.File(tissue_file) as file:
        cells, size = file["cells"][...], file["cells"].attrs["voxel_size_nm"]
    for name, labels in (("truth.h5", cells[8:12]), ("other-truth.h5", cells)):
        with h5py.File(tmp_path / name, "w") as file:
            file["cells"] = labels
            file["cells"].attrs["voxel_size_nm"] = size
    assert len(COMMANDS) > 8
    for command in COMMANDS:
        words = shlex.split(command.replace("cells.pytc  ", "cells.pytc --trials 3 ", 1))
        ended = cli(*words) if "--json" in words else cli(*words, "--json")
        assert ended.code == 0, (command, ended.out, ended.err)
        if words[0] == "tune":
            assert ended.document["best"]["score"] is not None
