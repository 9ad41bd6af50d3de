"""The model that Live leaves: the one in view, with the scores that say what they are of."""

from __future__ import annotations

import time
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import numpy as np
import pytest
import torch

from napari_pytc.geometry import Box
from napari_pytc.learning.data.training_image import TrainingImage
from napari_pytc.learning.data.volume_data import VolumeData
from napari_pytc.learning.live.finish import FinishedInstant, keep_model
from napari_pytc.learning.live.live_network import LiveNetwork
from napari_pytc.learning.live.model_selection import ModelScores, ModelSelector
from napari_pytc.learning.live.trainer import NetworkTrainer
from napari_pytc.learning.prediction.model import TrainedModel
from napari_pytc.plans.live_spec import LiveJob
from napari_pytc.plans.model_folder import read_model_info
from tests.session.models import make_model
from tests.support.contexts import RecordingContext
from tests.support.images import memory_image, one_channel
from tests.support.learning import CLASSES
from tests.support.live import LiveProject, live_plan, make_instant_model, tiny_network

NORMALISATION = one_channel(mean=128, std=50, low=0, high=255)
SCORES: dict[str, Any] = {"mean": 0.75, "dice": dict.fromkeys(CLASSES, 0.75)}


@pytest.fixture
def project(tmp_path: Path) -> LiveProject:
    return LiveProject(tmp_path)


def finish(
    project: LiveProject,
    job: LiveJob,
    selector: ModelSelector,
    trainer: Any = None,
    scores: dict[str, Any] = SCORES,
    has_held_out_strokes: bool = False,
) -> dict[str, Any]:
    model = make_instant_model()
    space = project.tissue.space
    data = VolumeData(
        memory_image(project.tissue.raw, space), project.store, CLASSES, job.in_view.held_out, space, name="cells",
        digest="d1",
    )  # fmt: skip
    instant = FinishedInstant(dict(model.network.state_dict()), model.network.limits(), scores)
    idle = SimpleNamespace(scores={}, step=0)
    return keep_model(
        job,
        [(data, NORMALISATION)],
        np.array([30, 40]),
        instant,
        cast(NetworkTrainer, trainer or idle),
        selector,
        has_held_out_strokes,
        time.monotonic(),
        RecordingContext(),
    )


def test_the_instant_model_is_written_with_what_it_learnt_from(project: LiveProject) -> None:
    job = project.job()
    selector = ModelSelector(0.01, 0.05)
    selector.set_instant_score(0.75, True)

    result = finish(project, job, selector)

    info = read_model_info(Path(result["folder"]))
    assert (result["model"], result["shown"], result["steps"]) == ("m-live", "instant", 0)
    assert (info.recipe, info.parent, info.n_annotated) == ("live", None, dict(zip(CLASSES, (30, 40), strict=True)))
    (volume,) = info.volumes
    assert (volume.name, volume.digest, volume.normalisation) == ("cells", "d1", NORMALISATION)
    assert info.plan.network == job.plan.instant.network
    assert info.steps == job.plan.instant.steps
    loaded = TrainedModel.load(Path(result["folder"]))
    expected = make_instant_model().network.state_dict()
    assert loaded.network.state_dict().keys() == expected.keys()


def test_scores_of_validation_strokes_do_not_pass_for_those_of_held_out_boxes(project: LiveProject) -> None:
    selector = ModelSelector(0.01, 0.05)
    selector.set_instant_score(0.75, True)
    of_strokes = finish(project, project.job(), selector)["scores"]
    assert of_strokes["live"] == {**SCORES, "instant": 0.75, "network": None, "of": "strokes kept from learning"}
    assert "mean" not in of_strokes

    box = Box((0, 0, 0), (1, 64, 8))
    job = project.job(held_out=(box,))
    of_boxes = finish(project, job, selector, has_held_out_strokes=True)["scores"]
    assert of_boxes["mean"] is not None
    assert of_boxes["live"] == {"instant": 0.75, "network": None}


def test_a_session_without_a_score_has_none(project: LiveProject) -> None:
    result = finish(project, project.job(), ModelSelector(0.01, 0.05), scores={"mean": None, "dice": {}})
    assert "live" not in result["scores"]
    assert "mean" not in result["scores"]


def test_a_network_in_view_is_written_with_its_plan_and_parent(project: LiveProject, tmp_path: Path) -> None:
    parent = make_model(tmp_path / "models" / "before", classes=CLASSES)
    plan = live_plan(network=tiny_network(guess_weight=0.0))
    job = project.job(plan, parent=parent)
    source = memory_image(project.tissue.raw, project.tissue.space)
    image = TrainingImage(source, NORMALISATION)
    data = VolumeData(source, project.store, CLASSES, (), project.tissue.space)
    network = LiveNetwork(plan.network, data, image, image, tmp_path / "run", RecordingContext())
    weights = network.average()
    trainer = SimpleNamespace(
        scores=SCORES, step=120, finished_parts=lambda: (plan.network, weights, network.limits, "bf16")
    )
    selector = ModelSelector(0.01, 0.05)
    selector.set_instant_score(0.5, True)
    selector.submit(ModelScores(weights, 120, 0.75))
    assert selector.select()

    result = finish(project, job, selector, trainer)

    info = read_model_info(Path(result["folder"]))
    assert (result["shown"], info.steps, info.precision) == ("network", 120, "bf16")
    assert info.plan.network == plan.network.network
    assert info.parent == "before"
    assert info.scores["live"]["network"] == 0.75
    loaded = TrainedModel.load(Path(result["folder"])).network.state_dict()
    assert all(torch.equal(loaded[name], tensor) for name, tensor in weights.items())
