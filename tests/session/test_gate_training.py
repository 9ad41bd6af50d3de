"""The gate from strokes to the model in use: a real training on shuffled labels is refused."""

from __future__ import annotations

import numpy as np
import pytest

from napari_pytc.geometry import Box
from napari_pytc.jobs.events import Finished
from napari_pytc.jobs.runners import InlineRunner
from napari_pytc.plans.recipes import load_recipe
from napari_pytc.session.records import ModelRecord
from napari_pytc.session.session import Session
from tests.support.tissue import Tissue

HELD = Box((8, 0, 0), (12, 48, 40))
QUICK = ["device=cpu", "network.sigmas=[0.7,1.6]"]


def train(session: Session) -> str:
    with InlineRunner() as runner:
        job = session.jobs.train_job(load_recipe("instant", QUICK))
        ended = session.jobs.run(job, runner).wait()
    assert isinstance(ended, Finished)
    return str(ended.result["model"])


def used(session: Session) -> str:
    return next(model.id for model in session.models.records() if model.active)


@pytest.mark.slow
def test_a_model_of_shuffled_labels_is_not_put_to_use(session: Session, tissue: Tissue) -> None:
    refused: list[ModelRecord] = []
    session.models.refused.connect(refused.append)
    session.strokes.add(tissue.classes)
    session.held_out.add(HELD)
    good = train(session)
    assert used(session) == good
    rng = np.random.default_rng(0)
    session.strokes.add(rng.permutation(tissue.classes[:8].ravel()).reshape(8, 48, 40))
    bad = train(session)
    assert [model.id for model in refused] == [bad]
    assert used(session) == good
    record = next(model for model in session.models.records() if model.id == bad)
    assert record.refusal is not None
    assert record.refusal.baseline == good
    session.models.activate(bad)
    assert used(session) == bad
    session.models.activate(good)
    assert used(session) == good
