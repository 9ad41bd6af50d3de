"""Trainings of the command line that are recorded, and what is wrong with the words."""

from __future__ import annotations

import re
import shlex
import sys
from pathlib import Path

import pytest
from typer.main import get_command

from napari_pytc.cli.main import app
from napari_pytc.cli.options import read_trackers
from tests.cli.conftest import TINY, Command, is_one_error
from tests.support.trackers import log_out, scalars_of, texts_of, wandb_files, wandb_rows


def test_a_training_is_recorded_in_the_project(cli: Command, project: Path):
    ended = cli("train", project, "--recipe", "instant", *TINY, "--track", "tensorboard", "--json")
    assert ended.code == 0, ended.err
    document = ended.document
    folder = project / "tracking" / document["model"] / "tensorboard"
    assert document["tracked"] == {"tensorboard": str(folder)}
    assert "loss" in scalars_of(folder)
    assert "final/mean" in texts_of(folder)["outcome"]
    (note,) = [note for note in document["notes"] if "TensorBoard" in note]
    assert f"tensorboard --logdir {project / 'tracking'}" in note
    assert cli("info", project, "--json").code == 0


@pytest.mark.slow
def test_both_trackers_and_a_folder_of_ones_own(
    cli: Command, project: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    log_out(monkeypatch, tmp_path / "home")
    words = ("--track", "tensorboard pictures=false", "--track", "wandb project=mito tags=[a,b]")
    ended = cli("train", project, "--recipe", "instant", *TINY, *words, "--track-folder", tmp_path / "logs", "--json")
    assert ended.code == 0, ended.err
    folder = tmp_path / "logs" / ended.document["model"]
    assert "loss" in scalars_of(folder / "tensorboard")
    (file,) = wandb_files(folder / "wandb")
    assert wandb_rows(file)
    assert not (project / "tracking").exists()
    assert any("nobody is logged in" in note for note in ended.document["notes"])


def test_without_the_option_nothing_is_recorded(cli: Command, project: Path):
    ended = cli("train", project, "--recipe", "instant", *TINY, "--json")
    assert "tracked" not in ended.document
    assert not (project / "tracking").exists()


def test_a_tracker_that_is_not_installed_stops_no_training(
    cli: Command, project: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setitem(sys.modules, "wandb", None)
    monkeypatch.setitem(sys.modules, "tensorboard", None)
    words = ("--track", "tensorboard", "--track", "wandb")
    ended = cli("train", project, "--recipe", "instant", *TINY, *words, "--json")
    assert ended.code == 0, ended.err
    told = [note for note in ended.document["notes"] if "pip install 'napari-pytc[loggers]'" in note]
    assert len(told) == 2
    assert "tracked" not in ended.document


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (("--track", "mlflow"), "No tracker is called 'mlflow'."),
        (("--track", "wandb", "--track", "wandb"), "named twice"),
        (("--track", "wandb projekt=mito"), "projekt"),
        (("--track", "wandb mito"), "key=value"),
        (("--track", "wandb 'mito"), "A tracker is a name"),
        (("--track", ""), "A tracker is a name"),
        (("--track", "wandb project=a/b"), "The name of a project of Weights & Biases"),
        (("--track-folder", "logs"), "--track-folder says where trackers write"),
        (("--fast-dev-run", "--track", "tensorboard"), "--track is for a training"),
    ],
)
def test_what_is_wrong_is_told_before_anything_starts(cli: Command, project: Path, words: tuple[str, ...], told: str):
    assert is_one_error(cli("train", project, "--recipe", "instant", *TINY, *words), told)
    assert not list((project / "models").iterdir())
    assert not (project / "tracking").exists()


def test_retrain_takes_trackers(cli: Command, project: Path):
    assert is_one_error(cli("retrain", project, "--track", "mlflow"), "No tracker is called 'mlflow'.")


PAGE = (Path(__file__).parents[3] / "docs" / "tracking.md").read_text(encoding="utf-8")
LINES = re.findall(r"^\$ (.*)$", PAGE, re.MULTILINE)


@pytest.mark.parametrize("line", [line for line in LINES if line.startswith("napari-pytc")])
def test_the_trackers_of_the_page_are_ones_that_there_are(line: str):
    _, name, *words = shlex.split(line)
    with get_command(app).commands[name].make_context(name, words) as context:  # type: ignore[attr-defined]
        tracking = read_trackers(context.params["track"], context.params["track_folder"])
    assert tracking is not None
    assert tracking.trackers


def test_the_commands_of_others_on_the_page_are_ones_that_they_take(tmp_path: Path):
    from tensorboard.program import TensorBoard
    from wandb.cli.cli import cli as wandb_commands

    others = [shlex.split(line) for line in LINES if line.startswith(("tensorboard", "wandb"))]
    assert {words[0] for words in others} == {"tensorboard", "wandb"}
    for program, *words in others:
        if program == "tensorboard":
            board = TensorBoard()
            board.configure([program, *words])
            assert board.flags.logdir == words[-1]
        else:
            assert words[0] in wandb_commands.commands
            for pattern in words[1:]:
                (tmp_path / pattern.replace("*", "1")).mkdir(parents=True)
            paths = [str(path) for pattern in words[1:] for path in tmp_path.glob(pattern)]
            with wandb_commands.commands[words[0]].make_context(words[0], paths) as context:
                assert len(context.params.get("paths", ())) == len(words[1:])
