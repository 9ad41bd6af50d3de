"""Settings of trackers: names, values and folders that are wrong, each with a sentence."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from napari_pytc.errors import InvalidInput
from napari_pytc.plans.tracking import TensorBoardSettings, Tracking, WandbSettings, read_tracking


def test_trackers_go_through_json() -> None:
    tracking = read_tracking([("tensorboard", {}), ("wandb", {"project": "mito", "tags": ["a"]})], Path("/data"))
    assert tracking.trackers == (TensorBoardSettings(), WandbSettings(project="mito", tags=("a",)))
    assert Tracking.model_validate_json(tracking.model_dump_json()) == tracking


@pytest.mark.parametrize(
    ("trackers", "told"),
    [
        ([("tensorbored", {})], "No tracker is called 'tensorbored'."),
        ([("tensorboard", {}), ("tensorboard", {"pictures": False})], "The tracker 'tensorboard' is named twice."),
        ([("wandb", {"projekt": "mito"})], "no setting 'projekt'"),
        ([("tensorboard", {"project": "mito"})], "no setting 'project'"),
        ([("wandb", {"project": "lab/mito"})], "The name of a project of Weights & Biases"),
        ([("wandb", {"project": ""})], "project"),
        ([("wandb", {"tags": ["", "a"]})], "A tag has 1 to 64 letters"),
        ([("wandb", {"mode": "online"})], "mode"),
        ([("wandb", {"patience_s": 0})], "patience_s"),
        ([("wandb", {"patience_s": "long"})], "patience_s"),
    ],
)
def test_what_is_wrong_is_one_sentence(trackers: list[tuple[str, dict[str, Any]]], told: str) -> None:
    with pytest.raises(InvalidInput) as caught:
        read_tracking(trackers, None)
    assert told in caught.value.message


def test_a_name_that_is_not_known_lists_the_known() -> None:
    with pytest.raises(InvalidInput) as caught:
        read_tracking([("mlflow", {})], None)
    assert {"tensorboard", "wandb"} <= set(caught.value.hint.removeprefix("Known are ").rstrip(".").split(", "))


def test_the_default_folder_is_in_the_project_and_moves_with_it() -> None:
    run = Path("/data/cells.pytc/runs/20261201-0101-fast")
    assert Tracking().folder_of(run) == Path("/data/cells.pytc/tracking/20261201-0101-fast")
    assert Tracking(folder=Path("/logs")).folder_of(run) == Path("/logs/20261201-0101-fast")


def test_an_unknown_field_is_refused() -> None:
    with pytest.raises(ValidationError):
        Tracking.model_validate({"trackers": [], "key": "secret"})
