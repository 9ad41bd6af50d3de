"""Tuning on the command line: what is found, goes on, is applied, and refused."""

from __future__ import annotations

import shlex
from pathlib import Path

import h5py
import numpy as np
import pytest

from napari_pytc.decoding import DecoderSettings
from napari_pytc.tuning.scores import SegmentScores
from napari_pytc.tuning.trial_scoring import TrialScorer
from tests.cli.conftest import Command, is_one_error


@pytest.fixture
def truth(tissue_file: Path) -> str:
    return f"{tissue_file}:cells"


@pytest.mark.slow
def test_the_best_settings_are_found_and_the_printed_command_segments_with_them(
    cli: Command, segmented: Path, truth: str
) -> None:
    ended = cli("tune", segmented, "--truth", truth, "--trials", "7", "--json")
    assert ended.code == 0, ended.err
    found = ended.document
    assert found["n_trials"] == 7
    assert found["best"]["score"] <= found["default"]["score"]
    assert found["default"]["decoder"]["kind"] == "agglomeration"
    assert Path(found["file"]).is_file()
    assert Path(found["file"]).parent.name == "tuning"
    assert any("not held out" in note for note in found["notes"]), "strokes lie outside of the held-out box"
    program, *words = shlex.split(found["command"])
    assert (program, words[:2]) == ("napari-pytc", ["segment", str(segmented)])
    made = cli(*words, "--json")
    assert made.code == 0, made.err
    assert made.document["decoder"] == found["best"]["decoder"]

    again = cli("tune", segmented, "--truth", truth, "--trials", "8", "--apply")
    assert again.code == 0, again.err
    assert "0 (default)" in again.out
    assert "Trials on" in again.out
    assert "It is current now." in again.out
    (one,) = Path(found["file"]).parent.glob("*.json")
    assert one == Path(found["file"])


@pytest.mark.slow
def test_objects_in_held_out_boxes_are_truth(cli: Command, segmented: Path, truth: str) -> None:
    refused = cli("tune", segmented)
    assert is_one_error(refused, "no object is labelled in a held-out box", "--truth")
    assert cli("annotate", segmented, truth, "--instances").code == 0
    ended = cli("tune", segmented, "--decoder", "multicut", "beta=0.3:0.7", "smoothing_um=0", "--trials", "3", "--json")
    assert ended.code == 0, ended.err
    assert ended.document["best"]["decoder"]["kind"] in ("multicut", "agglomeration")
    assert not [note for note in ended.document["notes"] if "not held out" in note]
    shown = cli("tune", segmented, "--decoder", "multicut", "beta=0.3:0.7", "smoothing_um=0", "--trials", "3")
    assert shown.code == 0, shown.err
    assert "Next: napari-pytc segment" in shown.out


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (("threshold=0.9:0.1",), ("lower to a higher",)),
        (("threshold=0.5", "threshold=0.1:0.9"), ("is fixed and has a range",)),
        (("--decoder", "nonsense"), ("nonsense",)),
        (("--box", "0:99,0:9,0:9"), ("0:99,0:9,0:9",)),
        (("--prediction", "nonsense"), ("nonsense",)),
        (("--offset", "99,0,0"), ("--offset",)),
    ],
)
def test_what_cannot_be_is_one_sentence(
    cli: Command, trained: Path, truth: str, words: tuple[str, ...], told: tuple[str, ...]
) -> None:
    assert is_one_error(cli("tune", trained, "--truth", truth, *words), *told)
    assert not list(trained.glob("volumes/*/tuning/*"))


def test_options_of_a_file_without_one_and_truth_that_is_none(cli: Command, trained: Path, tmp_path: Path) -> None:
    assert is_one_error(cli("tune", trained, "--ignore", "0"), "--ignore is for a file of truth")
    with h5py.File(tmp_path / "truth.h5", "w") as file:
        file["main"] = np.zeros((12, 40, 44), np.uint8)
    assert is_one_error(cli("tune", trained, "--truth", tmp_path / "truth.h5"), "holds no object")
    assert is_one_error(cli("tune", trained, "--truth", tmp_path / "gone.h5"), "gone.h5")


def test_a_project_without_a_prediction_says_how_to_make_one(cli: Command, project: Path, truth: str) -> None:
    assert is_one_error(cli("tune", project, "--truth", truth), "has no prediction", "napari-pytc predict")


def test_without_optuna_it_says_what_to_install(
    cli: Command, trained: Path, truth: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    assert is_one_error(cli("tune", trained, "--truth", truth), "optuna", 'pip install "napari-pytc[tune]"')


@pytest.mark.slow
def test_ctrl_c_keeps_the_trials_and_tells_the_best(
    cli: Command, segmented: Path, truth: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    score, calls = TrialScorer.score, list[int]()

    def interrupt(self: TrialScorer, decoder: DecoderSettings) -> SegmentScores:
        calls.append(1)
        if len(calls) == 4:
            raise KeyboardInterrupt
        return score(self, decoder)

    monkeypatch.setattr(TrialScorer, "score", interrupt)
    ended = cli("tune", segmented, "--truth", truth)
    assert is_one_error(ended, "Stopped after 3 trials.", "the same command goes on", code=130)
    monkeypatch.undo()
    ended = cli("tune", segmented, "--truth", truth, "--trials", "4", "--json")
    assert ended.document["n_trials"] == 4
