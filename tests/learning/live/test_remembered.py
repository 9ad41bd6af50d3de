"""What live learning remembers of its answers: when it begins, what is held, and that erased strokes leave no trace."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch

from napari_pytc.geometry import Box
from napari_pytc.jobs.context import JobMessage
from napari_pytc.learning.held_answers import Held
from napari_pytc.learning.live.memory import Memory
from napari_pytc.learning.live.messages import annotations_message, stop_message
from napari_pytc.learning.live.remembered import RememberedAnswers, SeenVoxels
from napari_pytc.learning.live.strokes import Page, Painted
from napari_pytc.learning.model_folder import weights_path
from napari_pytc.learning.weights import load_weights
from tests.learning.live.test_parts import instant_model, taught_of
from tests.support.live import LiveContext, LiveProject, Script, live_plan

N_FEATURES = 5


def tile(number: int) -> Box:
    return Box((number, 0, 0), (number + 1, 20, 20))


def seen(n_tiles: int) -> SeenVoxels:
    """A few tiles, the features of each all the same number."""
    found = SeenVoxels(N_FEATURES, seed=0)
    for number in range(n_tiles):
        found.look(tile(number), torch.full((400, N_FEATURES), float(number)))
    return found


def painted(n_each: tuple[int, ...], places: int = 10, of_class: int = 1) -> Painted:
    """Strokes whose voxels are the first places of one chunk."""
    flat, classes = np.arange(places), np.full(places, of_class, np.uint8)
    none = np.zeros(places, bool)
    page = Page(Box((0, 0, 0), (1, 10, 100)), flat, classes, none, none, 0.0)
    return Painted({page.box: page}, np.array(n_each))


def always(*probabilities: float) -> object:
    """A model that answers the same everywhere."""

    def answer(features: torch.Tensor) -> torch.Tensor:
        return torch.tensor(probabilities)[:, None].expand(-1, len(features)).clone()

    return answer


def never(features: torch.Tensor) -> torch.Tensor:
    raise AssertionError("asked a model that was not fitted")


def test_some_voxels_of_every_tile_are_remembered_once_and_the_oldest_forgotten() -> None:
    found = seen(3)
    found.look(tile(1), torch.full((400, N_FEATURES), 9.0))
    assert len(found.filled) == 3 * 256
    assert sorted(found.of(found.filled)[:, 0].unique().tolist()) == [0, 1, 2]

    for number in range(3, 66):
        found.look(tile(number), torch.full((400, N_FEATURES), float(number)))

    assert len(found.filled) == 64 * 256
    assert found.of(found.filled)[:, 0].unique().tolist() == list(range(2, 66))


def test_nothing_is_held_before_there_are_four_strokes_of_each_class() -> None:
    answers = RememberedAnswers(seen(2))

    assert answers.prepare(painted((3, 9)), never) is None
    answers.take(painted((3, 9)), always(0.9, 0.1))  # type: ignore[arg-type]
    assert answers.prepare(painted((4, 9), 20), always(0.9, 0.1)) is None  # type: ignore[arg-type]
    answers.take(painted((4, 9), 20), always(0.9, 0.1))  # type: ignore[arg-type]

    assert answers.prepare(painted((5, 9), 30), never) is not None


def test_answers_are_averaged_over_strokes_and_sharpened() -> None:
    answers = RememberedAnswers(seen(2))
    answers.take(painted((4, 4)), always(0.8, 0.2))  # type: ignore[arg-type]
    answers.take(painted((10, 10), 20), always(0.4, 0.6))  # type: ignore[arg-type]

    held = answers.prepare(painted((11, 10), 30), never)

    assert held is not None
    assert held.features.shape == (512, N_FEATURES)
    # Twelve strokes: half of the former answer.
    assert torch.allclose(held.answers, torch.tensor([0.6**3, 0.4**3]) / (0.6**3 + 0.4**3))


def test_what_came_into_view_since_is_held_at_what_was_shown() -> None:
    voxels = seen(1)
    answers = RememberedAnswers(voxels)
    answers.take(painted((4, 4)), always(0.8, 0.2))  # type: ignore[arg-type]
    voxels.look(tile(7), torch.full((400, N_FEATURES), 7.0))

    held = answers.prepare(painted((5, 4), 20), always(0.1, 0.9))  # type: ignore[arg-type]

    assert held is not None
    is_new = held.features[:, 0] == 7
    assert (held.answers[is_new][:, 1] > 0.99).all()
    assert (held.answers[~is_new][:, 0] > 0.98).all()


def test_a_class_that_is_painted_for_the_first_time_begins_anew() -> None:
    answers = RememberedAnswers(seen(2))
    answers.take(painted((4, 4, 0)), always(0.8, 0.2, 0.0))  # type: ignore[arg-type]

    assert answers.prepare(painted((4, 4, 1), 20), never) is None


def test_what_is_erased_leaves_no_trace() -> None:
    answers = RememberedAnswers(seen(2))
    answers.take(painted((4, 4), 10), always(0.8, 0.2))  # type: ignore[arg-type]
    answers.take(painted((5, 4), 20), always(0.0, 1.0))  # type: ignore[arg-type]

    held = answers.prepare(painted((4, 4), 10), never)
    assert held is not None
    assert torch.allclose(held.answers, torch.tensor([0.8**3, 0.2**3]) / (0.8**3 + 0.2**3))

    assert answers.prepare(painted((4, 4), 9), never) is None  # nothing is known from before that was painted
    assert answers.prepare(painted((4, 4), 9), never) is None


def test_a_stroke_of_another_class_takes_back_what_it_covers() -> None:
    before, after = painted((4, 4), 10), painted((4, 4), 12)
    assert not after.takes_back(before)
    assert painted((4, 4), 12, of_class=2).takes_back(before)
    assert before.takes_back(after)
    assert Painted({}, np.array([4, 4])).takes_back(before)
    assert before.digest == painted((9, 9), 10).digest != after.digest


def test_the_model_stays_near_what_is_held_where_strokes_say_little(tmp_path: Path) -> None:
    project, alone, near = LiveProject(tmp_path), instant_model(), instant_model()
    taught, book = taught_of(project, project.tissue.raw)
    learnt, _ = taught.gather(book.pages.values())
    generator = torch.Generator().manual_seed(0)
    features = learnt.features[torch.randint(len(learnt), (300,), generator=generator)] + 40.0
    wanted = torch.tensor([0.02, 0.98]).expand(300, 2)

    alone.fit(learnt)
    near.fit(learnt, Held(features, wanted))

    def away(model: object) -> float:
        return float((model.probabilities(features).T - wanted).abs().mean())  # type: ignore[attr-defined]

    assert away(near) < 0.1
    assert away(near) < away(alone)
    right = near.probabilities(learnt.features).argmax(0) + 1 == learnt.classes
    assert right.float().mean() > 0.9


def test_tiles_that_see_what_is_held_out_are_not_remembered(tmp_path: Path) -> None:
    project = LiveProject(tmp_path)
    job = project.job(live_plan(hold_weight=1), held_out=(Box((0, 0, 0), (6, 64, 30)),))
    instant, twin = instant_model(), instant_model()
    taught, book = taught_of(project, project.tissue.raw, job.held_out)
    memory = Memory(job, instant, twin, taught.sees_held_out)
    learnt, _ = taught.gather(book.pages.values())

    for _ in range(2):
        memory.fit("instant", learnt, book.painted())
        memory.fit("twin", learnt, book.painted())
        memory.look(project.section(), torch.zeros(64 * 64, instant.network.n_features))
    memory.keep()

    assert not any(job.run_folder.rglob("*"))


def test_a_class_that_the_memory_would_hide_is_learnt_without_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    project = LiveProject(tmp_path)
    job = project.job(live_plan(hold_weight=10))
    instant, alone = instant_model(), instant_model()
    taught, book = taught_of(project, project.tissue.raw)
    learnt, _ = taught.gather(book.pages.values())
    alone.fit(learnt)
    all_of_one = Held(learnt.features, torch.tensor([1.0, 0.0]).expand(len(learnt), 2))
    monkeypatch.setattr(RememberedAnswers, "prepare", lambda *_: all_of_one)
    forgotten: list[RememberedAnswers] = []
    monkeypatch.setattr(RememberedAnswers, "forget", lambda self: forgotten.append(self))

    Memory(job, instant, instant_model(), taught.sees_held_out).fit("instant", learnt, book.painted())

    assert len(forgotten) == 1
    assert torch.equal(instant.probabilities(learnt.features), alone.probabilities(learnt.features))


def look_and_paint(project: LiveProject, rows: range) -> Script:
    """Look at a section, paint some strokes one by one, and stop."""

    def script(ctx: LiveContext) -> Iterator[list[JobMessage]]:
        yield [project.view()]
        yield from ctx.wait_for(lambda: ctx.curve("instant/score"))
        for row in rows:
            n_before = len(ctx.curve("instant/score"))
            box = Box((2, row, 0), (3, row + 1, 64))
            project.store.paint(box, project.tissue.classes[box.slices])
            yield [annotations_message(project.store.revision, box)]
            yield from ctx.wait_for(lambda n=n_before: len(ctx.curve("instant/score")) > n)  # type: ignore[misc]
        yield [stop_message()]

    return script


@pytest.fixture
def held(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """How many voxels a model was held near, fit by fit."""
    found: list[int] = []
    prepare = RememberedAnswers.prepare

    def noting(self: RememberedAnswers, *args: object) -> Held | None:
        answer = prepare(self, *args)  # type: ignore[arg-type]
        found.append(0 if answer is None else len(answer.features))
        return answer

    monkeypatch.setattr(RememberedAnswers, "prepare", noting)
    return found


def test_live_learning_remembers_what_it_showed_and_so_does_the_next_session(tmp_path: Path, held: list[int]) -> None:
    project = LiveProject(tmp_path)

    first = LiveContext(look_and_paint(project, range(10, 14)))
    project.job(live_plan(hold_weight=1)).run(first)
    assert held[:2] == [0, 0]  # the instant model and its twin, before anything was seen
    assert held[2:] == [256] * 8
    assert not first.warnings

    held.clear()
    project.job(live_plan(hold_weight=1)).run(LiveContext(look_and_paint(project, range(14, 15))))
    assert held == [256] * 4

    held.clear()
    project.store.write(Box((2, 10, 0), (3, 12, 64)), np.zeros((1, 2, 64), np.uint8))
    project.job(live_plan(hold_weight=1)).run(LiveContext(look_and_paint(project, range(0))))
    assert held == [0, 0]  # erased meanwhile, so that all is forgotten


def head_after(project: LiveProject, rows: range, run_folder: Path | None = None) -> torch.Tensor:
    """The perceptron's first layer after a session in which these rows were painted."""
    changes = {} if run_folder is None else {"run_folder": run_folder}
    job = project.job(**changes)
    job.run(LiveContext(look_and_paint(project, rows)))
    return load_weights(weights_path(job.model_folder))["head.0.weight"]


def test_the_next_session_goes_on_from_what_was_learnt(tmp_path: Path, held: list[int]) -> None:
    project = LiveProject(tmp_path)

    first = head_after(project, range(10, 13))
    assert torch.equal(head_after(project, range(0)), first)
    assert not torch.equal(head_after(project, range(0), tmp_path / "another run"), first)
    assert not held  # answers are not remembered unless that is asked for

    project.store.write(Box((2, 10, 0), (3, 12, 64)), np.zeros((1, 2, 64), np.uint8))
    assert not torch.equal(head_after(project, range(0)), first)


def test_a_twin_does_not_outlive_the_choice_of_what_is_kept_to_score_by(tmp_path: Path) -> None:
    project = LiveProject(tmp_path)
    first = head_after(project, range(10, 13))
    for state in (tmp_path / "live" / "run").iterdir():
        if not state.name.startswith("remembered"):
            state.unlink()

    assert not torch.equal(head_after(project, range(0)), first)
