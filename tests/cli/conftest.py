"""A tiny tissue on disk, the command line as a function, and a project with a model and a prediction."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import h5py
import pytest
from typer.testing import CliRunner, Result

from napari_pytc.cli.main import app
from tests.support.tissue import draw_strokes, make_tissue

SHAPE = (12, 40, 44)
HELD_OUT = "8:12,0:40,0:44"
TINY = ("steps=6", "validate_every=3", "device=cpu", "precision=float32")


@dataclass(frozen=True)
class Ended:
    """What a command left: its streams and its exit code."""

    result: Result

    @property
    def code(self) -> int:
        return self.result.exit_code

    @property
    def out(self) -> str:
        return self.result.stdout

    @property
    def err(self) -> str:
        return self.result.stderr

    @property
    def document(self) -> Any:
        """The one JSON document on stdout; fails if anything else is there."""
        assert self.out.count("\n") == 1, self.out
        return json.loads(self.out)


Command = Callable[..., Ended]


def call(*words: object) -> Ended:
    ended = Ended(CliRunner().invoke(app, [str(word) for word in words]))
    if ended.result.exception is not None and not isinstance(ended.result.exception, SystemExit):
        raise ended.result.exception
    return ended


@pytest.fixture(scope="session")
def cli() -> Command:
    return call


@pytest.fixture(scope="session")
def tissue_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """HDF5 with raw, classes, cells and strokes; strokes also in the held-out sections."""
    tissue = make_tissue(SHAPE, n_cells=12)
    path = tmp_path_factory.mktemp("tissue") / "tissue.h5"
    with h5py.File(path, "w") as file:
        strokes = draw_strokes(tissue.classes, n_strokes=30, length=12)
        for name, array in (
            ("raw", tissue.raw),
            ("classes", tissue.classes),
            ("cells", tissue.cells),
            ("strokes", strokes),
        ):
            file[name] = array
            file[name].attrs["voxel_size_nm"] = tissue.space.voxel_size_nm
    return path


def make_project(folder: Path, tissue_file: Path) -> Path:
    project = folder / "tissue.pytc"
    for words in (
        ("new", project, "--image", f"{tissue_file}:raw", "--classes", "membrane,inside"),
        ("annotate", project, f"{tissue_file}:strokes"),
        ("hold-out", project, HELD_OUT),
    ):
        ended = call(*words, "--json")
        assert ended.code == 0, ended.out
    return project


@pytest.fixture(scope="session")
def _annotated(tmp_path_factory: pytest.TempPathFactory, tissue_file: Path) -> Path:
    return make_project(tmp_path_factory.mktemp("annotated"), tissue_file)


@pytest.fixture(scope="session")
def _trained(tmp_path_factory: pytest.TempPathFactory, _annotated: Path) -> Path:
    project = tmp_path_factory.mktemp("trained") / "tissue.pytc"
    shutil.copytree(_annotated, project)
    assert call("train", project, "--recipe", "instant", *TINY, "--json").code == 0
    assert call("predict", project, "device=cpu", "precision=float32", "--json").code == 0
    return project


@pytest.fixture
def project(tmp_path: Path, _annotated: Path) -> Path:
    """A project with strokes and a held-out box."""
    return Path(shutil.copytree(_annotated, tmp_path / "tissue.pytc"))


@pytest.fixture
def trained(tmp_path: Path, _trained: Path) -> Path:
    """The same with a model and its prediction of the whole volume."""
    return Path(shutil.copytree(_trained, tmp_path / "tissue.pytc"))


@pytest.fixture(scope="session")
def _segmented(tmp_path_factory: pytest.TempPathFactory, _annotated: Path) -> Path:
    project = Path(shutil.copytree(_annotated, tmp_path_factory.mktemp("segmented") / "tissue.pytc"))
    # A model of a few steps sees no borders, and all would be one segment.
    assert call("train", project, "--recipe", "instant", *TINY, "steps=40", "--json").code == 0
    assert call("predict", project, "device=cpu", "precision=float32", "--json").code == 0
    assert call("segment", project, "threshold=0.9", "smallest_um3=0.00001", "--json").code == 0
    return project


@pytest.fixture
def segmented(tmp_path: Path, _segmented: Path) -> Path:
    """A project with a model, its prediction and segments of it."""
    return Path(shutil.copytree(_segmented, tmp_path / "segmented.pytc"))


def is_one_error(ended: Ended, *words: str, code: int = 1) -> bool:
    """Whether a command failed with one line for the error, one for the hint, and the words in them."""
    lines = [line for line in ended.err.splitlines() if line.strip()]
    told = [line for line in lines if line.startswith("Error: ")]
    hints = [line for line in lines if line.startswith("Hint: ")]
    assert ended.code == code, (ended.code, ended.out, ended.err)
    assert len(told) == 1, ended.err
    assert len(hints) == 1, ended.err
    assert lines[-2:] == [told[0], hints[0]], ended.err
    assert "Traceback" not in ended.out + ended.err
    assert ended.out == ""
    for word in words:
        assert word in told[0] + hints[0], (word, ended.err)
    return True
