"""What the command line tells of models that are better or worse than others, and how one is chosen."""

from __future__ import annotations

from pathlib import Path

import pytest

from napari_pytc.plans.model_folder import read_model_info
from tests.cli.conftest import TINY, Command
from tests.session.models import make_model
from tests.session.test_gate import compared


@pytest.mark.slow
def test_a_training_prints_how_it_compares_with_what_is_in_use(cli: Command, trained: Path) -> None:
    (first,) = cli("models", trained, "--json").document["models"]
    ended = cli("train", trained, "--recipe", "instant", "seed=5", *TINY, "--json")
    document = ended.document
    comparison = document["scores"]["comparison"]
    assert comparison["baseline"] == first["id"]
    assert comparison["verdict"] in ("better", "no different", "worse")
    assert comparison["low"] <= comparison["difference"] <= comparison["high"]
    low, high = document["scores"]["interval"]
    assert low <= document["scores"]["mean"] <= high
    assert document["in_use"] == (first["id"] if comparison["verdict"] == "worse" else document["model"])
    assert f"than {first['id']}" in ended.err or f"from {first['id']}" in ended.err
    again = cli("train", trained, "--from", document["model"], "seed=6", *TINY, "--json").document["scores"]
    assert again["comparison"]["baseline"] == document["model"]


def test_a_refused_model_is_reported_and_used_when_it_is_chosen(cli: Command, trained: Path) -> None:
    (first,) = cli("models", trained, "--json").document["models"]
    make_model(trained / "models" / "worse", "2099-01-01T00:00:00+00:00", scores=compared(first["id"], "worse"))
    listed = cli("models", trained, "--json").document["models"]
    assert [(model["id"], model["active"], model["worse_than"]) for model in listed] == [
        (first["id"], True, None),
        ("worse", False, first["id"]),
    ]
    shown = cli("models", trained).out
    assert "▼ -0.100" in shown
    assert "0.750-0.850" in shown
    chosen = cli("models", trained, "--use", "wor", "--json").document["models"]
    assert [model["active"] for model in chosen] == [False, True]
    assert cli("models", trained, "--use", "none-such").code == 1


def test_nothing_held_out_is_nothing_known(cli: Command, trained: Path) -> None:
    assert cli("hold-out", trained, "8:12,0:40,0:44", "--release", "--json").code == 0
    ended = cli("train", trained, "--recipe", "instant", *TINY)
    assert "nothing annotated is held out" in ended.out
    scores = read_model_info(max((trained / "models").iterdir())).scores
    assert scores["comparison"]["verdict"] == "unknown"
    assert "mean" not in scores
