"""A training that was interrupted goes on as if nothing had happened."""

from __future__ import annotations

from pathlib import Path

import pytest

from napari_pytc.jobs.context import JobCancelled
from napari_pytc.learning.checkpoints import load_training_state
from napari_pytc.learning.config import Augmentation
from napari_pytc.learning.networks import FilterBankNetwork
from napari_pytc.learning.training import Checkpoint, train
from tests.support.contexts import RecordingContext
from tests.support.learning import folders, same_weights, tiny_plan, train_tiny, training_data, weights_of


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Checkpoint:
    """The uninterrupted training that the others must equal."""
    return train_tiny(tmp_path_factory.mktemp("whole"))


def test_the_same_seed_gives_the_same_model(whole: Checkpoint, tmp_path: Path) -> None:
    again = train_tiny(tmp_path)
    assert same_weights(weights_of(whole), weights_of(again))
    assert again.info.scores == whole.info.scores
    other = train_tiny(tmp_path / "other", seed=1)
    assert not same_weights(weights_of(whole), weights_of(other))


@pytest.mark.parametrize("n_steps", [1, 2, 3, 5])
def test_a_training_cancelled_after_a_step_goes_on(whole: Checkpoint, tmp_path: Path, n_steps: int) -> None:
    ctx = CancelAtStep(n_steps)
    with pytest.raises(JobCancelled):
        train_tiny(tmp_path, ctx=ctx)
    assert not (tmp_path / "models").exists()
    state = load_training_state(tmp_path / "run")
    assert state is not None
    assert state.step == n_steps
    resumed = RecordingContext()
    again = train_tiny(tmp_path, ctx=resumed)
    assert [done for done, _, note in resumed.progress if note == "training"] == list(range(n_steps + 1, 7))
    assert same_weights(weights_of(whole), weights_of(again))
    assert again.info.scores == whole.info.scores
    assert again.info.steps == 6
    assert load_training_state(tmp_path / "run") is None


class CancelAtStep(RecordingContext):
    """Cancelled as soon as a step was reported."""

    def __init__(self, step: int) -> None:
        super().__init__()
        self._step = step

    def report(self, done: int, total: int, note: str = "") -> None:
        super().report(done, total, note)
        if note == "training" and done == self._step:
            self.cancel()
