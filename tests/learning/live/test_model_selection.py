"""Which model is shown, and when painting is enough."""

from __future__ import annotations

import pytest

from napari_pytc.learning.live.model_selection import LearningCurve, ModelScores, ModelSelector


def candidate(score: float | None, step: int = 1) -> ModelScores:
    return ModelScores({}, step, score)


def selector_of(instant: float | None, network: float | None, is_of_strokes: bool = False) -> ModelSelector:
    """With a margin of 0.02 and a tolerance of 0.1; decided once."""
    selector = ModelSelector(0.02, 0.1)
    submit(selector, instant, network, is_of_strokes)
    selector.select()
    return selector


def submit(selector: ModelSelector, instant: float | None, network: float | None, is_of_strokes: bool = False) -> None:
    selector.invalidate()
    selector.set_instant_score(instant, is_of_strokes)
    selector.submit(candidate(network))


def test_on_held_out_boxes_a_model_replaces_the_other_by_a_margin() -> None:
    selector = selector_of(0.70, 0.71)
    assert selector.shown == "instant"
    selector.submit(candidate(0.73))
    assert selector.select()
    assert selector.shown == "network"
    selector.invalidate()
    selector.set_instant_score(0.74, is_of_strokes=False)
    assert not selector.select()  # the network's score is of other strokes
    selector.submit(candidate(0.73))
    assert not selector.select()
    selector.set_instant_score(0.76, is_of_strokes=False)
    assert selector.select()
    assert selector.shown == "instant"


def test_on_validation_strokes_the_network_is_shown_when_better_until_it_is_far_behind() -> None:
    assert selector_of(0.70, 0.70, is_of_strokes=True).shown == "instant"
    selector = selector_of(0.70, 0.701, is_of_strokes=True)
    assert selector.shown == "network"
    assert not selector.is_doubtful
    submit(selector, 0.74, 0.65, is_of_strokes=True)
    assert not selector.select()
    assert selector.is_doubtful
    submit(selector, 0.76, 0.65, is_of_strokes=True)
    assert selector.select()
    assert selector.shown == "instant"
    assert not selector.is_doubtful


def test_on_held_out_boxes_the_tolerance_does_not_apply() -> None:
    selector = selector_of(0.70, 0.701, is_of_strokes=True)
    submit(selector, 0.74, 0.70, is_of_strokes=False)
    assert selector.select()
    assert selector.shown == "instant"


@pytest.mark.parametrize("is_of_strokes", [False, True])
def test_without_a_margin_equal_scores_change_nothing(is_of_strokes: bool) -> None:
    selector = ModelSelector(0.0, 0.0)
    submit(selector, 0.5, 0.5, is_of_strokes)
    assert not selector.select()
    selector.shown = "network"
    assert not selector.select()


def test_worse_weights_are_refused_unless_strokes_were_painted() -> None:
    selector = ModelSelector(0.02, 0.1)
    assert selector.submit(candidate(0.6, 1))
    assert not selector.submit(candidate(0.5, 2))
    selector.invalidate()
    assert selector.submit(candidate(0.5, 3))
    assert selector.best is not None
    assert selector.best.step == 3


def test_without_a_network_the_instant_model_is_shown() -> None:
    selector = ModelSelector(0.0, 0.0)
    selector.set_instant_score(0.5, is_of_strokes=True)
    selector.submit(candidate(0.9))
    selector.select()

    assert selector.drop_network()
    assert selector.shown == "instant"
    assert not selector.drop_network()


def make_curve(scores: list[float]) -> LearningCurve:
    curve = LearningCurve()
    for score in scores:
        curve.start_round()
        curve.add_score(score)
    return curve


@pytest.mark.parametrize(
    ("scores", "saturated"),
    [
        ([], False),
        ([0.5, 0.5, 0.5, 0.5], False),  # too early to tell
        ([0.5, 0.6, 0.68, 0.74, 0.79], False),
        ([0.3, 0.5, 0.80, 0.79, 0.81, 0.80, 0.80], True),
        ([0.80, 0.78, 0.76, 0.75, 0.74], True),
    ],
)
def test_painting_is_enough_when_the_score_stays_flat(scores: list[float], saturated: bool) -> None:
    found, text = make_curve(scores).saturation()

    assert found == saturated
    assert text.endswith(".")


def test_within_a_round_the_best_score_counts() -> None:
    curve = LearningCurve()
    for score in (0.5, 0.7, 0.6):
        curve.add_score(score)

    assert curve.scores == [0.7]
