from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest

from tests.cli.conftest import Command, is_one_error


def write_edits(folder: Path, edits: Any) -> Path:
    path = folder / "edits.json"
    path.write_text(json.dumps(edits), encoding="utf-8")
    return path


def segments_of(cli: Command, project: Path, folder: Path) -> np.ndarray:
    out = folder / "segments.h5"
    assert cli("export", project, "--what", "segments", out, "--overwrite", "--json").code == 0
    with h5py.File(out) as file:
        labels: np.ndarray = file["main"][...]
    return labels


@pytest.fixture
def three(cli: Command, segmented: Path, tmp_path: Path) -> list[int]:
    """Ids of three segments."""
    labels = segments_of(cli, segmented, tmp_path)
    ids = np.unique(labels[labels > 0]).tolist()
    assert len(ids) >= 3
    return ids[:3]


@pytest.mark.slow
def test_edits_are_applied_in_order(cli: Command, segmented: Path, three: list[int], tmp_path: Path):
    before = segments_of(cli, segmented, tmp_path)
    a, b, c = three
    edits = [{"kind": "merge", "segments": [a, b]}, {"kind": "delete", "segments": [c]}]
    ended = cli("proofread", segmented, write_edits(tmp_path, edits), "--json")
    assert ended.code == 0, ended.out
    assert [done["kind"] for done in ended.document["done"]] == ["merge", "delete"]
    after = segments_of(cli, segmented, tmp_path)
    assert len(np.unique(after[np.isin(before, [a, b])])) == 1
    assert not after[before == c].any()
    assert np.array_equal(after[~np.isin(before, three)], before[~np.isin(before, three)])


def test_the_first_that_is_refused_is_named_and_those_before_stay(
    cli: Command, segmented: Path, three: list[int], tmp_path: Path
):
    a, b, c = three
    edits = [
        {"kind": "lock", "segments": [a]},
        {"kind": "merge", "segments": [a, b]},
        {"kind": "lock", "segments": [c]},
    ]
    ended = cli("proofread", segmented, write_edits(tmp_path, edits), "--json")
    assert ended.code == 1
    assert ended.document["refused"] == 2
    assert "Edit 2 of 3 is refused" in ended.document["error"]
    assert "locked" in ended.document["error"]
    assert [done["title"] for done in ended.document["done"]] == [f"Lock {a}"]
    ended = cli("proofread", segmented, write_edits(tmp_path, edits[1:]))
    assert ended.code == 1
    assert "Error: Edit 1 of 2 is refused" in ended.err
    assert "Nothing was changed" in ended.err
    assert [e["kind"] for e in cli("history", segmented, "--json").document["entries"]][-1] == "lock"


@pytest.mark.slow
def test_a_dry_run_changes_nothing(cli: Command, segmented: Path, three: list[int], tmp_path: Path):
    a, b, _ = three
    before = cli("history", segmented, "--json").document["entries"]
    path = write_edits(tmp_path, {"edits": [{"kind": "merge", "segments": [a, b]}, {"kind": "lock", "segments": [a]}]})
    ended = cli("proofread", segmented, path, "--dry-run", "--json")
    document = ended.document
    assert document["dry_run"]
    assert len(document["done"]) == (2 if ended.code == 0 else 1)
    assert cli("history", segmented, "--json").document["entries"] == before
    assert "Would be done" in cli("proofread", segmented, path, "--dry-run").out


@pytest.mark.slow
@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("{", ["is no JSON"]),
        ('"merge"', ["list of edits"]),
        ("[1]", ["list of edits"]),
        ('[{"kind": "explode"}]', ["'explode'", "merge"]),
        ('[{"kind": "merge", "parts": [1]}]', ["merge", "parts"]),
        ('[{"kind": "merge", "segments": [999999, 999998]}]', ["999999"]),
        ('[{"kind": "switch", "before": null, "after": "x"}]', ["Activate"]),
    ],
)
def test_proofread_explains_what_is_wrong(cli: Command, segmented: Path, tmp_path: Path, text: str, words: list[str]):
    path = tmp_path / "edits.json"
    path.write_text(text, encoding="utf-8")
    assert is_one_error(cli("proofread", segmented, path), *words)


def test_proofread_without_segments_or_edits(cli: Command, trained: Path, tmp_path: Path):
    path = write_edits(tmp_path, [{"kind": "lock", "segments": [1]}])
    assert is_one_error(cli("proofread", trained, path), "no segmentation")
    assert is_one_error(cli("proofread", trained, path, "--dry-run"), "no segmentation")
    assert is_one_error(cli("proofread", trained, tmp_path / "missing.json"), "missing.json")


@pytest.mark.slow
def test_history_lists_strokes_and_edits_and_moves_among_them(
    cli: Command, segmented: Path, three: list[int], tmp_path: Path
):
    start = cli("history", segmented, "--json").document["entries"]
    assert [entry["kind"] for entry in start] == ["scribble", "switch"]
    a, b, c = three
    edits = [{"kind": "merge", "segments": [a, b]}, {"kind": "lock", "segments": [c]}]
    assert cli("proofread", segmented, write_edits(tmp_path, edits), "--json").code == 0
    after = segments_of(cli, segmented, tmp_path)
    undone = cli("history", segmented, "--undo", "2", "--checkpoint", "as decoded", "--json").document
    assert undone["moved"] == 2
    assert [entry["undone"] for entry in undone["entries"]] == [False, False, True, True]
    assert [entry["checkpoint"] for entry in undone["entries"]] == ["", "as decoded", "", ""]
    redone = cli("history", segmented, "--redo", "9", "--json").document
    assert redone["moved"] == 2
    assert np.array_equal(segments_of(cli, segmented, tmp_path), after)
    jumped = cli("history", segmented, "--jump", undone["entries"][1]["id"], "--json").document
    assert jumped["moved"] == 2
    shown = cli("history", segmented).out
    for words in ("undone", "as decoded", f"Lock {c}", "Import strokes"):
        assert words in shown
    beginning = cli("history", segmented, "--jump", "0", "--json").document
    assert beginning["segmentation"] is None
    assert cli("info", segmented, "--json").document["annotated"] == {"membrane": 0, "inside": 0}


def test_history_explains_what_is_wrong(cli: Command, segmented: Path, project: Path):
    assert is_one_error(cli("history", segmented, "--jump", "99"), "no entry 99")
    assert is_one_error(cli("history", segmented, "--undo", "1", "--redo", "1"), "one of --undo")
    assert is_one_error(cli("history", segmented, "--undo", "0"), "undo", code=2)
    assert is_one_error(cli("history", segmented, "--checkpoint", " "), "needs a name")


@pytest.mark.slow
def test_a_new_project_has_no_history(cli: Command, tissue_file: Path, tmp_path: Path):
    new = tmp_path / "new.pytc"
    assert cli("new", new, "--image", f"{tissue_file}:raw", "--classes", "a,b", "--json").code == 0
    assert cli("history", new, "--json").document["entries"] == []
    assert "no edits yet" in cli("history", new).out
    assert is_one_error(cli("replay", new), "no segmentation yet")


@pytest.mark.slow
def test_a_replay_prints_the_checksum_that_is_stored(cli: Command, segmented: Path, three: list[int], tmp_path: Path):
    decoded = cli("replay", segmented, "--json").document
    assert decoded["agrees"]
    assert (decoded["n_edits"], decoded["stored"]) == (0, "")
    path = write_edits(tmp_path, [{"kind": "merge", "segments": three[:2]}])
    assert cli("proofread", segmented, path, "--json").code == 0
    ended = cli("replay", segmented, "--json")
    assert ended.code == 0
    document = ended.document
    assert document["n_edits"] == 1
    assert document["checksum"] == document["stored"] == document["present"] != decoded["checksum"]
    shown = cli("replay", segmented).out
    assert document["checksum"] in shown
    assert "They agree" in shown


@pytest.mark.slow
def test_a_replay_reports_segments_that_another_program_changed(
    cli: Command, segmented: Path, three: list[int], tmp_path: Path
):
    path = write_edits(tmp_path, [{"kind": "merge", "segments": three[:2]}])
    assert cli("proofread", segmented, path, "--json").code == 0
    (state,) = (segmented / "volumes/v1/segments").glob("*/state.npz")
    state.unlink()
    ended = cli("replay", segmented, "--json")
    assert ended.code == 1
    assert not ended.document["agrees"]
    ended = cli("replay", segmented)
    assert ended.code == 1
    assert "Error: The segments of" in ended.err
    assert "--mend" in ended.err
    assert cli("replay", segmented, "--mend", "--json").document["agrees"]
    assert cli("replay", segmented, "--json").document["agrees"]
