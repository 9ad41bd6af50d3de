from __future__ import annotations

import csv
import json
from pathlib import Path

import pytest

from tests.cli.conftest import Command, is_one_error

pytestmark = pytest.mark.slow

NETWORK = ("network.kind=unet", "network.channels=[4,8]", "patch_shape=[4,16,16]", "guess_weight=0", "minutes=null")
CPU = ("steps=2", "batch_size=1", "validate_every=2", "device=cpu", "precision=float32")


@pytest.fixture
def corrected(cli: Command, segmented: Path, tmp_path: Path) -> Path:
    """A project with a network of patches, and a segment locked by somebody."""
    recipe = tmp_path / "small.yaml"
    recipe.write_text("# Small.\n", encoding="utf-8")
    trained = cli("train", segmented, "--recipe", recipe, *NETWORK, *CPU, "--json")
    assert trained.code == 0, trained.err
    # After two steps it is worse than the model in use, and would not take over by itself.
    assert cli("models", segmented, "--use", trained.document["model"], "--json").code == 0
    lock_one(cli, segmented, tmp_path)
    return segmented


def lock_one(cli: Command, segmented: Path, folder: Path) -> None:
    """Lock the largest segment."""
    table = folder / "segments.csv"
    assert cli("export", segmented, "--what", "table", table, "--json").code == 0
    with table.open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    largest = max(rows, key=lambda row: int(row["voxels"]))
    edits = folder / "edits.json"
    edits.write_text(json.dumps([{"kind": "lock", "segments": [int(largest["id"])]}]), encoding="utf-8")
    assert cli("proofread", segmented, edits, "--json").code == 0


@pytest.mark.slow
def test_corrections_go_on_from_the_active_model(cli: Command, corrected: Path):
    active = next(m["id"] for m in cli("models", corrected, "--json").document["models"] if m["active"])
    ended = cli("train", corrected, "--corrections", *CPU, "--json")
    assert ended.code == 0, ended.err
    assert ended.document["corrections"]["n_locked"] == 1
    assert ended.document["corrections"]["n_voxels"] > 0
    model = next(m for m in cli("models", corrected, "--json").document["models"] if m["id"] == ended.document["model"])
    assert model["parent"] == active
    plan = json.loads((Path(model["folder"]) / "plan.json").read_text(encoding="utf-8"))
    assert (plan["distil_weight"], plan["network"]["channels"]) == (1, [4, 8])


def test_the_corrections_that_are_trained_on_are_printed(cli: Command, corrected: Path):
    ended = cli("train", corrected, "--corrections", *CPU)
    assert ended.code == 0, ended.err
    assert "Learning from 1 locked segment (" in ended.out


@pytest.mark.slow
def test_without_corrections_there_is_nothing_to_learn_from(cli: Command, segmented: Path):
    assert is_one_error(cli("train", segmented, "--corrections"), "no corrections to learn from", "Proofread")


def test_the_instant_model_cannot_learn_from_them(cli: Command, segmented: Path, tmp_path: Path):
    lock_one(cli, segmented, tmp_path)
    assert is_one_error(cli("train", segmented, "--corrections"), "painted voxels alone", "fast")
