"""The best few weights of a training, beside the model that it makes."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from napari_pytc.learning.training.state.best_weights import BestWeights


def weights(value: float) -> dict[str, torch.Tensor]:
    return {"layer.weight": torch.full((2, 2), value)}


def files(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.glob("*.safetensors"))


def offered(folder: Path, n: int, scores: list[float], is_lower_better: bool = False) -> BestWeights:
    best = BestWeights(folder, n, is_lower_better)
    for step, score in enumerate(scores, start=1):
        best.offer(weights(float(step)), step, score)
    return best


def test_the_best_are_kept_and_the_others_deleted(tmp_path: Path) -> None:
    best = offered(tmp_path, 2, [0.1, 0.5, 0.3, 0.4])
    assert [one["step"] for one in best.index] == [2, 4]
    assert files(tmp_path / "checkpoints") == ["step-000002.safetensors", "step-000004.safetensors"]
    kept = load_file(tmp_path / "checkpoints" / "step-000002.safetensors")
    assert kept["layer.weight"].tolist() == [[2, 2], [2, 2]]


def test_of_a_loss_the_lowest_are_the_best(tmp_path: Path) -> None:
    best = offered(tmp_path, 2, [0.9, 0.5, 0.7], is_lower_better=True)
    assert [one["step"] for one in best.index] == [2, 3]


def test_of_equal_scores_the_earlier_stays(tmp_path: Path) -> None:
    best = offered(tmp_path, 1, [0.5, 0.5])
    assert [one["step"] for one in best.index] == [1]
    assert files(tmp_path / "checkpoints") == ["step-000001.safetensors"]


def test_a_step_that_is_made_again_replaces_itself(tmp_path: Path) -> None:
    best = offered(tmp_path, 2, [0.5, 0.6])
    best.offer(weights(7.0), 2, 0.4)
    assert [(one["step"], one["score"]) for one in best.index] == [(1, 0.5), (2, 0.4)]
    assert load_file(tmp_path / "checkpoints" / "step-000002.safetensors")["layer.weight"][0, 0] == 7


def test_a_resumed_training_goes_on_with_those_that_are_there(tmp_path: Path) -> None:
    former = offered(tmp_path, 3, [0.5, 0.6, 0.7])
    (tmp_path / "checkpoints" / "step-000003.safetensors").unlink()
    best = BestWeights(tmp_path, 3, False)
    best.restore(former.index)
    assert [one["step"] for one in best.index] == [2, 1]


def test_they_are_copied_to_the_model_with_their_index(tmp_path: Path) -> None:
    best = offered(tmp_path / "run", 2, [0.5, 0.6, 0.4])
    best.save_last(weights(9.0), 3)
    (tmp_path / "run" / "checkpoints" / "step-000099.safetensors").write_bytes(b"left by a training that was killed")
    model = tmp_path / "model"
    model.mkdir()
    best.copy_to(model)
    assert files(model / "checkpoints") == [
        "last.safetensors",
        "step-000001.safetensors",
        "step-000002.safetensors",
    ]
    listed = json.loads((model / "checkpoints" / "checkpoints.json").read_text(encoding="utf-8"))["checkpoints"]
    assert [(one["step"], one["score"], one["file"]) for one in listed] == [
        (2, 0.6, "step-000002.safetensors"),
        (1, 0.5, "step-000001.safetensors"),
        (3, None, "last.safetensors"),
    ]
    assert load_file(model / "checkpoints" / "last.safetensors")["layer.weight"][0, 0] == 9


@pytest.mark.parametrize("n", [0, 2])
def test_where_none_are_kept_the_model_has_no_folder_of_them(tmp_path: Path, n: int) -> None:
    model = tmp_path / "model"
    model.mkdir()
    BestWeights(tmp_path / "run", n, False).copy_to(model)
    assert list(model.iterdir()) == []
