from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch

from napari_pytc.errors import ModelError, PytcError
from napari_pytc.geometry import Box
from napari_pytc.jobs.context import JobCancelled, JobMessage
from napari_pytc.learning.live.blend import Blend
from napari_pytc.learning.live.tiles import FeatureTiles
from napari_pytc.learning.live.trainer import NetworkTrainer
from napari_pytc.learning.prediction.model import TrainedModel
from napari_pytc.plans import live_messages
from napari_pytc.plans.live_messages import (
    annotations_message,
    painting_message,
    stop_message,
    suggest_message,
    view_message,
)
from napari_pytc.plans.live_spec import SUGGESTIONS
from napari_pytc.plans.model_folder import read_model_info
from napari_pytc.volumes.zarr_output import open_ome_zarr
from tests.support.live import LiveContext, LiveProject, Script, live_plan, live_tissue, tiny_network


@pytest.fixture
def project(tmp_path: Path) -> LiveProject:
    return LiveProject(tmp_path)


def accuracy(project: LiveProject, box: Box) -> float:
    """Share of a box's voxels that the live prediction has right."""
    probabilities = open_ome_zarr(project.root / "live" / "prediction.zarr").read(box)
    assert probabilities.any(axis=0).all(), "not all of the view was predicted"
    return float((probabilities.argmax(0) + 1 == project.tissue.classes[box.slices]).mean())


def look_once(project: LiveProject) -> Script:
    """Look at a section until all of it is there, then stop."""

    def script(ctx: LiveContext) -> Iterator[list[JobMessage]]:
        yield [project.view()]
        yield from ctx.wait_for(lambda: ctx.curve("generation"))
        yield [stop_message()]

    return script


@pytest.mark.slow
def test_the_view_is_predicted_and_the_model_written(project: LiveProject) -> None:
    ctx = LiveContext(look_once(project))

    result = project.job().run(ctx)

    assert accuracy(project, project.section()) > 0.8
    assert set(ctx.tiles()) == {project.section()}
    assert result["shown"] == "instant"
    assert read_model_info(project.root / "models" / "m-live").id == result["model"] == "m-live"
    assert ctx.curve("shown") == [0]
    assert not ctx.warnings


@pytest.mark.slow
def test_the_written_model_predicts_what_was_shown(project: LiveProject) -> None:
    project.job().run(LiveContext(look_once(project)))

    model = TrainedModel.load(project.root / "models" / "m-live")
    image = model.normalisation.apply(project.tissue.raw[None])
    found = model.network(torch.from_numpy(image)[None])[0].softmax(0).numpy()
    shown = open_ome_zarr(project.root / "live" / "prediction.zarr").read(project.section()) / 255
    assert np.abs(found[:, 2:3] - shown).max() < 0.02


@pytest.mark.slow
def test_a_stroke_changes_the_view(project: LiveProject) -> None:
    before: list[np.ndarray] = []

    def script(ctx: LiveContext) -> Iterator[list[JobMessage]]:
        yield [project.view()]
        yield from ctx.wait_for(lambda: ctx.curve("generation"))
        before.append(open_ome_zarr(project.root / "live" / "prediction.zarr").read(project.section()))
        box = Box((2, 20, 0), (3, 44, 64))
        project.store.paint(box, 1)
        yield [annotations_message(project.store.revision, box)]
        yield from ctx.wait_for(lambda: len(ctx.curve("generation")) > 1)
        yield [stop_message()]

    ctx = LiveContext(script)
    project.job().run(ctx)

    after = open_ome_zarr(project.root / "live" / "prediction.zarr").read(project.section())
    assert (after[0] > before[0][0]).mean() > 0.5  # all of these were painted as the first class
    revisions = [step for name, step, _ in ctx.metrics if name == "generation"]
    assert revisions == [revisions[0], project.store.revision]


@pytest.mark.slow
def test_erased_strokes_are_no_training_data(project: LiveProject, tmp_path: Path) -> None:
    wrong = Box((4, 0, 0), (5, 64, 64))

    def script(ctx: LiveContext) -> Iterator[list[JobMessage]]:
        project.store.paint(wrong, np.full(wrong.shape, 2, np.uint8))
        yield [project.view()]
        yield from ctx.wait_for(lambda: ctx.curve("generation"))
        project.store.write(wrong, np.zeros(wrong.shape, np.uint8))
        yield []
        yield from ctx.wait_for(lambda: len(ctx.curve("generation")) > 1)
        yield [stop_message()]

    project.job().run(LiveContext(script))

    (tmp_path / "other").mkdir()
    other = LiveProject(tmp_path / "other")
    other.store.write(wrong, np.zeros(wrong.shape, np.uint8))
    other.job().run(LiveContext(look_once(other)))
    found, expected = (
        open_ome_zarr(p.root / "live" / "prediction.zarr").read(p.section()).astype(int) for p in (project, other)
    )
    assert np.abs(found - expected).max() <= 2  # features of the strokes come rounded from tiles that were looked at


@pytest.mark.slow
def test_nothing_is_predicted_before_there_are_two_classes(tmp_path: Path) -> None:
    project = LiveProject(tmp_path, n_strokes=0)
    project.store.paint(Box((2, 0, 0), (3, 4, 64)), 1)

    def script(ctx: LiveContext) -> Iterator[list[JobMessage]]:
        yield [project.view()]
        for _ in range(5):
            yield []
        assert not ctx.artifacts
        project.paint()
        yield [annotations_message(project.store.revision)]
        yield from ctx.wait_for(lambda: ctx.curve("generation"))
        yield [stop_message()]

    result = project.job().run(LiveContext(script))

    assert result["model"] == "m-live"


def test_features_of_the_view_are_there_before_the_first_stroke(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    project, computed = LiveProject(tmp_path, n_strokes=0), []
    real = FeatureTiles.get
    monkeypatch.setattr(FeatureTiles, "get", lambda self, box: (computed.append(box), real(self, box))[1])

    def script(ctx: LiveContext) -> Iterator[list[JobMessage]]:
        yield [project.view()]
        for _ in range(5):
            yield []
        yield [stop_message()]

    project.job().run(LiveContext(script))

    assert computed
    assert all(box.overlaps(project.section()) for box in computed)
    assert len(set(computed)) == len(computed)


def test_stopping_before_the_first_fit_leaves_no_model(tmp_path: Path) -> None:
    project = LiveProject(tmp_path, n_strokes=0)

    result = project.job().run(LiveContext(lambda ctx: iter([[stop_message()]])))

    assert result["model"] is None
    assert not (tmp_path / "models").exists()


@pytest.mark.slow
def test_a_view_that_moved_on_is_not_finished(tmp_path: Path) -> None:
    project = LiveProject(tmp_path, tissue=live_tissue(shape=(6, 300, 300)))

    def script(ctx: LiveContext) -> Iterator[list[JobMessage]]:
        yield [project.view(1, z=1)]
        yield from ctx.wait_for(ctx.tiles)
        yield [project.view(2, z=4), view_message(project.section(3), 1)]  # the second is late: an older generation
        yield from ctx.wait_for(lambda: ctx.curve("generation"))
        yield [stop_message()]

    ctx = LiveContext(script)
    project.job().run(ctx)

    assert ctx.curve("generation") == [2]
    sections = [box.start[0] for box in ctx.tiles()]
    assert sections.count(1) < 9
    assert sections.count(4) == 9
    assert 3 not in sections


@pytest.mark.slow
def test_tiles_nearest_the_middle_of_the_view_come_first(tmp_path: Path) -> None:
    project = LiveProject(tmp_path, tissue=live_tissue(shape=(2, 384, 384)))

    def script(ctx: LiveContext) -> Iterator[list[JobMessage]]:
        yield [view_message(Box((0, 0, 0), (1, 384, 384)), 1)]
        yield from ctx.wait_for(lambda: ctx.curve("generation"))
        yield [stop_message()]

    ctx = LiveContext(script)
    project.job().run(ctx)

    assert ctx.tiles()[0] == Box((0, 128, 128), (1, 256, 256))


@pytest.mark.parametrize("anisotropy", [1.0, 8.0])
@pytest.mark.slow
def test_other_voxels_and_a_view_from_the_side(tmp_path: Path, anisotropy: float) -> None:
    project = LiveProject(tmp_path, tissue=live_tissue(anisotropy, (16, 40, 48)))
    side = Box((0, 10, 0), (16, 11, 48))

    def script(ctx: LiveContext) -> Iterator[list[JobMessage]]:
        yield [view_message(side, 1)]
        yield from ctx.wait_for(lambda: ctx.curve("generation"))
        yield [stop_message()]

    project.job().run(LiveContext(script))

    assert accuracy(project, side) > 0.75


@pytest.mark.slow
def test_a_single_section(tmp_path: Path) -> None:
    project = LiveProject(tmp_path, tissue=live_tissue(shape=(1, 64, 64)))

    def script(ctx: LiveContext) -> Iterator[list[JobMessage]]:
        yield [view_message(project.whole, 1)]
        yield from ctx.wait_for(lambda: ctx.curve("network/score") and ctx.curve("generation"))
        yield [stop_message()]

    result = project.job(live_plan()).run(LiveContext(script))

    assert accuracy(project, project.whole) > 0.75
    assert result["steps"] >= 4


@pytest.mark.slow
def test_the_network_pauses_while_a_stroke_is_painted(project: LiveProject, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(live_messages, "_LONGEST_STROKE_S", 3600.0)
    n_losses: list[int] = []

    def script(ctx: LiveContext) -> Iterator[list[JobMessage]]:
        yield [project.view()]
        yield from ctx.wait_for(lambda: ctx.curve("network/loss") and ctx.curve("generation"))
        yield [painting_message()]
        n_losses.append(len(ctx.curve("network/loss")))
        for _ in range(20):
            yield []
        n_losses.append(len(ctx.curve("network/loss")))
        project.paint(seed=5)
        yield [annotations_message(project.store.revision)]
        yield from ctx.wait_for(lambda: len(ctx.curve("network/loss")) > n_losses[1])
        assert len(ctx.curve("generation")) >= 2
        yield [stop_message()]

    project.job(live_plan()).run(LiveContext(script))

    assert n_losses[0] == n_losses[1]


def until_the_network_is_shown(project: LiveProject) -> Script:
    def script(ctx: LiveContext) -> Iterator[list[JobMessage]]:
        yield [project.view()]
        yield from ctx.wait_for(lambda: ctx.curve("shown") == [0, 1])
        n = len(ctx.curve("generation"))
        yield from ctx.wait_for(lambda: len(ctx.curve("generation")) > n)
        yield [stop_message()]

    return script


@pytest.mark.slow
def test_a_network_with_the_better_score_takes_over_the_view(project: LiveProject) -> None:
    ctx = LiveContext(until_the_network_is_shown(project))

    # An instant model that hardly learns is soon overtaken.
    weak = live_plan().instant.model_copy(update={"learning_rate": 1e-6})
    network = tiny_network(guess_weight=0.0, learning_rate=0.01)
    result = project.job(live_plan(score_every=40, instant=weak, network=network)).run(ctx)

    assert result["shown"] == "network"
    info = read_model_info(project.root / "models" / "m-live")
    assert info.plan.network.kind == "filter_unet"
    assert info.scores["live"]["network"] > info.scores["live"]["instant"]
    assert accuracy(project, project.section()) > 0.7
    shown = TrainedModel.load(project.root / "models" / "m-live")
    assert shown.info.steps == result["steps"] > 0


@pytest.mark.slow
def test_another_section_is_predicted_by_the_instant_model_first(project: LiveProject) -> None:
    begun: list[int] = []

    def script(ctx: LiveContext) -> Iterator[list[JobMessage]]:
        yield [project.view()]
        yield from ctx.wait_for(lambda: ctx.curve("shown") == [0, 1])
        n = len(ctx.curve("generation"))
        yield from ctx.wait_for(lambda: len(ctx.curve("generation")) > n)
        begun.append(len(ctx.artifacts))
        yield [project.view(2, z=4)]
        yield from ctx.wait_for(lambda: ctx.curve("generation")[-1] == 2)
        yield [stop_message()]

    weak = live_plan().instant.model_copy(update={"learning_rate": 1e-6})
    network = tiny_network(guess_weight=0.0, learning_rate=0.01)
    ctx = LiveContext(script)
    project.job(live_plan(score_every=40, instant=weak, network=network)).run(ctx)

    tiles = ctx.tiles(begun[0])
    n = len(set(tiles))
    assert n
    assert len(set(tiles[:n])) == n, "not all of the section is predicted at once"
    assert set(tiles[n : 2 * n]) == set(tiles), "the network's prediction did not follow"
    assert accuracy(project, project.section(4)) > 0.7


@pytest.mark.slow
def test_a_stroke_shows_at_once_while_newer_weights_predict_the_view(
    project: LiveProject, monkeypatch: pytest.MonkeyPatch
) -> None:
    begun: list[int] = []

    def script(ctx: LiveContext) -> Iterator[list[JobMessage]]:
        yield [project.view()]
        yield from ctx.wait_for(lambda: ctx.curve("shown") == [0, 1])
        n = len(ctx.curve("generation"))
        yield from ctx.wait_for(lambda: len(ctx.curve("generation")) > n)
        monkeypatch.setattr(Blend, "has_tile", lambda blend, box: False)  # as right after new weights were taken
        begun.append(len(ctx.artifacts))
        project.paint(seed=5)
        yield [annotations_message(project.store.revision)]
        revisions = [step for name, step, _ in ctx.metrics if name == "generation"]
        yield from ctx.wait_for(
            lambda: [step for name, step, _ in ctx.metrics if name == "generation"][-1] > revisions[-1]
        )
        yield [stop_message()]

    weak = live_plan().instant.model_copy(update={"learning_rate": 1e-6})
    network = tiny_network(guess_weight=0.0, learning_rate=0.01)
    ctx = LiveContext(script)
    project.job(live_plan(score_every=40, instant=weak, network=network)).run(ctx)

    tiles = ctx.tiles(begun[0])
    n = len(set(tiles))
    assert n
    assert len(set(tiles[:n])) == n, "not all of the view is predicted at once"
    assert set(tiles[n : 2 * n]) == set(tiles), "the network's prediction did not follow"


@pytest.mark.slow
def test_a_network_that_cannot_train_leaves_the_instant_model(project: LiveProject) -> None:
    def script(ctx: LiveContext) -> Iterator[list[JobMessage]]:
        yield [project.view()]
        yield from ctx.wait_for(lambda: ctx.warnings and ctx.curve("generation"))
        yield [stop_message()]

    ctx = LiveContext(script)
    plan = live_plan(network=tiny_network(learning_rate=1e30, guess_weight=0.0))
    result = project.job(plan).run(ctx)

    assert "instant model alone" in ctx.warnings[0]
    assert result["shown"] == "instant"
    assert result["model"] == "m-live"


def no_numbers(*_: object) -> None:
    raise ModelError("The network returned values that are not finite numbers.")


@pytest.mark.slow
def test_a_network_that_predicts_no_numbers_gives_the_view_back(
    project: LiveProject, monkeypatch: pytest.MonkeyPatch
) -> None:
    def script(ctx: LiveContext) -> Iterator[list[JobMessage]]:
        yield [project.view()]
        yield from ctx.wait_for(lambda: ctx.curve("shown") == [0, 1])
        monkeypatch.setattr(NetworkTrainer, "predict", no_numbers)
        n = len(ctx.curve("generation"))
        yield [project.view(2, z=5)]
        yield from ctx.wait_for(lambda: len(ctx.curve("generation")) > n)
        yield [stop_message()]

    weak = live_plan().instant.model_copy(update={"learning_rate": 1e-6})
    ctx = LiveContext(script)
    plan = live_plan(score_every=40, instant=weak, network=tiny_network(guess_weight=0.0, learning_rate=0.01))
    result = project.job(plan).run(ctx)

    assert ctx.curve("shown") == [0, 1, 0]
    assert result["shown"] == "instant"
    (warning,) = ctx.warnings
    assert warning.startswith("The network returned values that are not finite numbers.")


@pytest.mark.slow
def test_suggestions_come_without_a_network_that_predicts_no_numbers(
    project: LiveProject, monkeypatch: pytest.MonkeyPatch
) -> None:
    big = LiveProject(project.root / "big", tissue=live_tissue(shape=(6, 300, 300)))

    def script(ctx: LiveContext) -> Iterator[list[JobMessage]]:
        yield [big.view()]
        yield from ctx.wait_for(lambda: ctx.curve("network/score"))
        monkeypatch.setattr(NetworkTrainer, "predict_best", no_numbers)
        yield [suggest_message(3)]
        yield from ctx.wait_for(lambda: any(kind == "suggestions" for kind, _ in ctx.artifacts))
        yield [stop_message()]

    ctx = LiveContext(script)
    assert big.job(live_plan()).run(ctx)["shown"] == "instant"
    assert json.loads((big.root / "live" / SUGGESTIONS).read_text())["boxes"]
    assert ["instant model alone" in warning for warning in ctx.warnings] == [True]


@pytest.mark.slow
def test_a_cancelled_job_keeps_its_state_and_the_next_goes_on(project: LiveProject) -> None:
    def cancelled(ctx: LiveContext) -> Iterator[list[JobMessage]]:
        yield [project.view()]
        yield from ctx.wait_for(lambda: ctx.curve("network/score"))
        ctx.cancel()
        yield []

    first = LiveContext(cancelled)
    with pytest.raises(JobCancelled):
        project.job(live_plan()).run(first)
    reached = max(step for name, step, _ in first.metrics if name == "network/score")

    def goes_on(ctx: LiveContext) -> Iterator[list[JobMessage]]:
        yield from ctx.wait_for(lambda: ctx.curve("network/score"))
        yield [stop_message()]

    second = LiveContext(goes_on)
    result = project.job(live_plan()).run(second)

    assert min(step for name, step, _ in second.metrics if name == "network/score") > reached
    assert result["steps"] > reached


@pytest.mark.slow
def test_suggestions_are_written_best_first_and_never_where_held_out_or_painted(project: LiveProject) -> None:
    def script(ctx: LiveContext) -> Iterator[list[JobMessage]]:
        yield [project.view(), suggest_message(3)]
        yield from ctx.wait_for(lambda: any(kind == "suggestions" for kind, _ in ctx.artifacts))
        yield [stop_message()]

    tissue = live_tissue(shape=(6, 300, 300))
    big = LiveProject(project.root / "big", tissue=tissue)
    held_out = Box((0, 0, 0), (6, 300, 100))
    big.job(held_out=(held_out,)).run(LiveContext(script))

    found = json.loads((project.root / "big" / "live" / SUGGESTIONS).read_text())
    boxes = [Box(tuple(s["box"]["start"]), tuple(s["box"]["stop"])) for s in found["boxes"]]
    assert 0 < len(boxes) <= 3
    assert not any(box.overlaps(held_out) for box in boxes)
    assert not any(big.store.read(box).any() for box in boxes)
    assert not found["saturated"]
    assert all(s["reason"] and s["gain"] >= 0 for s in found["boxes"])


@pytest.mark.slow
def test_a_message_that_is_not_understood_is_warned_of(project: LiveProject) -> None:
    def script(ctx: LiveContext) -> Iterator[list[JobMessage]]:
        yield [JobMessage(topic="dance"), JobMessage(topic="view", content={"box": "here"})]
        yield [stop_message()]

    ctx = LiveContext(script)
    project.job().run(ctx)

    assert len(ctx.warnings) == 2


def test_another_image_is_refused(project: LiveProject) -> None:
    with pytest.raises(PytcError, match="image changed"):
        project.job(digest="another").run(LiveContext(lambda ctx: iter([[stop_message()]])))
