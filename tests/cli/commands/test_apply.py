from __future__ import annotations

import shutil
from pathlib import Path

import h5py
import pytest

from napari_pytc.volumes.opening import open_volume
from tests.cli.conftest import SHAPE, Command, is_one_error

pytestmark = pytest.mark.slow
MACHINE = ("--set", "device=cpu", "--set", "precision=float32")


@pytest.fixture
def files(tmp_path: Path, tissue_file: Path) -> Path:
    folder = tmp_path / "files"
    folder.mkdir()
    for name in ("one.h5", "two.h5"):
        with h5py.File(tissue_file) as source, h5py.File(folder / name, "w") as file:
            source.copy("raw", file)
    return folder


def test_a_model_is_applied_to_files_without_a_project(
    cli: Command, trained: Path, files: Path, tmp_path: Path
) -> None:
    (record,) = cli("models", trained, "--json").document["models"]
    model = shutil.copytree(trained / "models" / record["id"], tmp_path / "model")
    ended = cli("apply", model, f"{files}/*.h5:raw", "--out", tmp_path / "out", *MACHINE, "--json")
    assert ended.code == 0, ended.err
    document = ended.document
    assert (document["n_done"], document["n_failed"]) == (2, 0)
    assert open_volume(tmp_path / "out" / "one_classes.tif").shape == SHAPE
    again = cli("apply", model, files, "--out", tmp_path / "out", *MACHINE, "--json").document
    assert again["n_done_before"] == 2


def test_one_that_fails_is_told_and_the_exit_code_is_not_zero(
    cli: Command, trained: Path, files: Path, tmp_path: Path
) -> None:
    (files / "broken.h5").write_bytes((files / "one.h5").read_bytes()[:700])
    words = ("apply", trained, files, "--out", tmp_path / "out", "--what", "segments", "--format", "h5")
    ended = cli(*words, *MACHINE, "--set", "smallest_um3=0.00001")
    assert ended.code == 1
    assert "2 of 3 done, 1 failed" in ended.out
    assert "broken_segments.h5" in ended.out
    assert (tmp_path / "out" / "two_segments.h5").exists()


def test_apply_explains_what_is_wrong(cli: Command, trained: Path, files: Path, tmp_path: Path) -> None:
    out = ("--out", tmp_path / "out")
    assert is_one_error(cli("apply", tmp_path / "gone", files, *out), "gone")
    assert is_one_error(cli("apply", trained, tmp_path / "gone.h5", *out), "no file or folder")
    assert is_one_error(cli("apply", trained, files, *out, "--set", "threshold=0.5"), "--what segments")
    assert is_one_error(cli("apply", trained, files, *out, "--format", "doc"), "format", code=2)
    assert not (tmp_path / "out").exists()
