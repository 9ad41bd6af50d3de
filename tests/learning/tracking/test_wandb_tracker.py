"""Offline runs of Weights & Biases read back; keys, networks and modes that are no help."""

from __future__ import annotations

import getpass
import json
import socket
from pathlib import Path

import numpy as np
import pytest

from napari_pytc.learning.tracking.recorder import Recorder
from napari_pytc.learning.tracking.tracker import TrainingOutcome
from napari_pytc.plans.tracking import read_tracking
from tests.support.trackers import log_out, wandb_files, wandb_records, wandb_rows

pytestmark = pytest.mark.slow  # wandb has a process of its own

SETTINGS = {"seed": 3, "network": {"kind": "unet"}}
PROVENANCE = {"id": "m1", "volumes": [{"name": "medulla", "digest": "abc"}]}
DONE = TrainingOutcome("finished", {"steps": 30, "final/mean": 0.75})
NO_SERVER = "http://127.0.0.1:9"


@pytest.fixture(autouse=True)
def nobody_is_logged_in(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    log_out(monkeypatch, tmp_path / "home")


def begin(folder: Path, first_step: int = 0, **settings: object) -> tuple[Recorder, list[str]]:
    told: list[str] = []
    recorder = Recorder(read_tracking([("wandb", settings)], None), folder, told.append)
    recorder.begin("m1", SETTINGS, PROVENANCE, first_step)
    return recorder, told


def test_without_a_key_everything_is_kept_in_files_that_can_be_sent(tmp_path: Path) -> None:
    recorder, told = begin(tmp_path / "m1", project="mito", entity="lab", name="first", tags="try")
    for step in (1, 10):
        recorder.scalar("loss", step, 0.5)
        recorder.scalar("loss/dice of 0:3", step, 0.25)
    recorder.pictures(10, {"1 medulla z 4": np.zeros((8, 12, 3), np.uint8)})
    recorder.finish(DONE)
    folder = tmp_path / "m1" / "wandb"
    assert recorder.folders == {"wandb": str(folder)}
    (file,) = wandb_files(folder)
    rows = wandb_rows(file)
    assert [row["_step"] for row in rows] == [1, 10]
    assert [row["loss"] for row in rows] == [0.5, 0.5]
    assert rows[0]["loss/dice of 0:3"] == 0.25
    assert (file.parent / "files" / rows[1]["patches/1 medulla z 4/path"]).is_file()
    kinds = {record.WhichOneof("record_type"): record for record in wandb_records(file)}
    run = next(r.run for r in wandb_records(file) if r.WhichOneof("record_type") == "run")
    assert (run.project, run.entity, run.display_name, list(run.tags)) == ("mito", "lab", "first", ["try"])
    config = {item.key: json.loads(item.value_json) for item in run.config.update}
    assert config["settings"] == SETTINGS
    assert config["provenance"] == PROVENANCE
    assert kinds["exit"].exit.exit_code == 0
    (sentence,) = told
    assert "nobody is logged in" in sentence
    assert f"wandb sync {folder}/offline-run-*" in sentence


def test_neither_host_nor_user_nor_paths_are_recorded(tmp_path: Path) -> None:
    recorder, _ = begin(tmp_path / "m1")
    recorder.scalar("loss", 1, 0.5)
    recorder.finish(DONE)
    (file,) = wandb_files(tmp_path / "m1" / "wandb")
    for record in wandb_records(file):
        text = str(record)
        assert str(tmp_path) not in text
        assert f'"{socket.gethostname()}"' not in text
        assert f'"{getpass.getuser()}"' not in text
    sent = [path for path in (file.parent / "files").rglob("*") if path.is_file()]
    assert sent == []


def test_a_training_that_goes_on_is_the_same_run_without_a_step_twice(tmp_path: Path) -> None:
    recorder, _ = begin(tmp_path / "m1")
    for step in (10, 20, 30):
        recorder.scalar("loss", step, 1.0)
    recorder.finish(TrainingOutcome("stopped"))
    recorder, _ = begin(tmp_path / "m1", first_step=20)
    for step in (30, 40):
        recorder.scalar("loss", step, 2.0)
    recorder.finish(DONE)
    first, second = wandb_files(tmp_path / "m1" / "wandb")
    assert [row["_step"] for row in wandb_rows(first)] == [10, 20, 30]
    assert [row["_step"] for row in wandb_rows(second)] == [40]
    assert first.stem == second.stem


def test_a_training_that_begins_anew_is_another_run(tmp_path: Path) -> None:
    recorder, _ = begin(tmp_path / "m1")
    recorder.scalar("loss", 10, 1.0)
    recorder.scalar("loss", 20, 1.0)  # its row is not passed on any more
    recorder.begin("m1", SETTINGS, PROVENANCE, 0)
    recorder.scalar("loss", 5, 2.0)
    recorder.finish(DONE)
    files = wandb_files(tmp_path / "m1" / "wandb")
    assert sorted(row["_step"] for file in files for row in wandb_rows(file)) == [5, 10]
    assert len({file.stem for file in files}) == 2


@pytest.mark.parametrize("note", ["", "[]", '{"id": 3}'])
def test_a_damaged_note_makes_another_run(tmp_path: Path, note: str) -> None:
    (tmp_path / "m1" / "wandb").mkdir(parents=True)
    (tmp_path / "m1" / "wandb" / "run.json").write_text(note)
    recorder, _ = begin(tmp_path / "m1", first_step=20)
    recorder.scalar("loss", 30, 2.0)
    recorder.finish(DONE)
    (file,) = wandb_files(tmp_path / "m1" / "wandb")
    assert [row["_step"] for row in wandb_rows(file)] == [30]


def test_with_a_key_and_without_a_network_it_is_kept_in_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WANDB_API_KEY", "0" * 40)
    monkeypatch.setenv("WANDB_BASE_URL", NO_SERVER)
    recorder, told = begin(tmp_path / "m1", patience_s=2)
    recorder.scalar("loss", 1, 0.5)
    recorder.finish(DONE)
    (sentence,) = told
    assert "the server cannot be reached" in sentence
    (file,) = wandb_files(tmp_path / "m1" / "wandb")
    assert [row["_step"] for row in wandb_rows(file)] == [1]


@pytest.mark.parametrize(
    ("variable", "value", "told_of"),
    [
        ("WANDB_API_KEY", "nonsense", "the key cannot be used or"),
        ("WANDB_MODE", "offline", "as WANDB_MODE=offline says"),
    ],
)
def test_a_key_of_a_wrong_form_and_a_mode_are_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, variable: str, value: str, told_of: str
) -> None:
    monkeypatch.setenv(variable, value)
    recorder, told = begin(tmp_path / "m1")
    recorder.scalar("loss", 1, 0.5)
    recorder.finish(DONE)
    assert told_of in told[0]
    assert len(wandb_files(tmp_path / "m1" / "wandb")) == 1


def test_a_mode_that_switches_it_off_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WANDB_MODE", "disabled")
    recorder, told = begin(tmp_path / "m1")
    recorder.finish(DONE)
    assert "WANDB_MODE=disabled switches it off" in told[0]
    assert not wandb_files(tmp_path / "m1" / "wandb")


def test_offline_by_choice(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WANDB_API_KEY", "0" * 40)
    recorder, told = begin(tmp_path / "m1", mode="offline")
    recorder.finish(DONE)
    assert "as mode=offline says" in told[0]
    assert len(wandb_files(tmp_path / "m1" / "wandb")) == 1
