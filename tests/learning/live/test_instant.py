"""The instant model: when a fit continues, when it starts afresh, undo and redo."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from napari_pytc.geometry import Box
from napari_pytc.learning.live.instant import InstantModel
from napari_pytc.learning.live.labelled_features import Examples
from napari_pytc.learning.live.stroke_split import ChunkLabels, StrokeSnapshot
from tests.support.live import (
    LiveProject,
    make_instant_model,
    make_labelled_features,
)

BOX = Box((0, 0, 0), (1, 10, 100))


@pytest.mark.slow
def test_rounded_features_do_not_change_the_prediction(tmp_path: Path) -> None:
    project, model = LiveProject(tmp_path), make_instant_model()
    labelled, split = make_labelled_features(project, project.tissue.raw)
    training, _ = labelled.gather(split.chunks.values())
    model.fit(training)

    exact, rounded = model.probabilities(training.features), model.probabilities(training.features.half())

    assert (exact - rounded).abs().max() < 0.01


@pytest.mark.slow
def test_the_instant_model_learns_and_is_the_same_every_time(tmp_path: Path) -> None:
    project, model, other = LiveProject(tmp_path), make_instant_model(), make_instant_model()
    labelled, split = make_labelled_features(project, project.tissue.raw)
    training, validation = labelled.gather(split.chunks.values())

    model.fit(training)
    model.fit(training + validation)
    other.fit(training + validation)

    assert len(training) + len(validation) == int((split.counts + split.validation_counts).sum())
    right = model.probabilities(training.features).argmax(0) + 1 == training.classes
    assert right.float().mean() > 0.9
    assert torch.equal(model.probabilities(training.features), other.probabilities(training.features))


N_EACH = np.array([3, 3])


def fit_in_turn(
    n_first: int, *later: tuple[int, ChunkLabels | None], n_steps: int = 5
) -> tuple[InstantModel, InstantModel]:
    """A model that was fitted to more and more examples, and one that was fitted to the last ones afresh."""
    generator = torch.Generator().manual_seed(0)
    continued, afresh = make_instant_model(n_steps), make_instant_model(n_steps)
    classes = torch.arange(400) % 2 + 1
    features = torch.randn(400, continued.network.n_features, generator=generator) + classes[:, None]
    continued.update(Examples(features[:n_first], classes[:n_first]), StrokeSnapshot({BOX: chunk(10)}, N_EACH))
    for n, now in later:
        continued.update(Examples(features[:n], classes[:n]), StrokeSnapshot({} if now is None else {BOX: now}, N_EACH))
        afresh.fit(Examples(features[:n], classes[:n]))
    return continued, afresh


def chunk(n: int, of_class: int = 1) -> ChunkLabels:
    """A chunk whose first voxels are painted."""
    none = np.zeros(n, bool)
    return ChunkLabels(BOX, np.arange(n), np.full(n, of_class, np.uint8), none, none, 0.0)


def are_alike(one: InstantModel, other: InstantModel) -> bool:
    features = torch.randn(50, one.network.n_features, generator=torch.Generator().manual_seed(1))
    return torch.equal(one.probabilities(features), other.probabilities(features))


@pytest.mark.slow
def test_a_fit_continues_where_strokes_were_added() -> None:
    continued, afresh = fit_in_turn(300, (310, chunk(20)), (320, chunk(30)), n_steps=60)

    assert not are_alike(continued, afresh)
    features = torch.tensor([1.0, 2.0])[:, None].expand(2, continued.network.n_features)
    assert continued.probabilities(features).argmax(0).tolist() == [0, 1]
    assert not torch.equal(continued.network.feature_mean, afresh.network.feature_mean)


@pytest.mark.parametrize(
    ("n_first", "n", "now"),
    [(300, 290, chunk(9)), (300, 310, chunk(20, of_class=2)), (300, 310, None), (200, 400, chunk(20))],
    ids=["erased", "of another class", "all erased", "twice as many"],
)
def test_a_fit_starts_afresh_after_an_erased_stroke_and_when_examples_have_doubled(
    n_first: int, n: int, now: ChunkLabels | None
) -> None:
    continued, afresh = fit_in_turn(n_first, (n, now))

    assert are_alike(continued, afresh)


def test_undo_and_redo_restore_the_weights() -> None:
    model, then, last = make_instant_model(n_steps=5), make_instant_model(n_steps=5), make_instant_model(n_steps=5)
    features = torch.randn(320, model.network.n_features, generator=torch.Generator().manual_seed(2))
    steps = [
        (Examples(features[:n], torch.arange(n) % 2 + 1), StrokeSnapshot({BOX: chunk(n)}, N_EACH))
        for n in (300, 310, 320)
    ]
    for step in steps:
        model.update(*step)
        last.update(*step)
    for step in steps[:2]:
        then.update(*step)

    model.update(*steps[1])
    assert are_alike(model, then)
    model.update(*steps[2])
    assert are_alike(model, last)
    assert not are_alike(model, then)


def test_a_fit_starts_afresh_when_many_strokes_come_at_once() -> None:
    continued, afresh = fit_in_turn(300)
    few, many = StrokeSnapshot({BOX: chunk(20)}, N_EACH + 4), StrokeSnapshot({BOX: chunk(30)}, N_EACH + 9)
    features = torch.randn(320, continued.network.n_features, generator=torch.Generator().manual_seed(2))
    examples = Examples(features, torch.arange(320) % 2 + 1)
    afresh.fit(examples)

    continued.update(examples, few)
    assert not are_alike(continued, afresh)
    continued.update(examples, many)
    assert are_alike(continued, afresh)


def test_a_fit_starts_afresh_for_a_new_class() -> None:
    model, afresh = make_instant_model(n_steps=5), make_instant_model(n_steps=5)
    features = torch.randn(60, model.network.n_features, generator=torch.Generator().manual_seed(0))
    ones, both = torch.ones(60, dtype=torch.int64), torch.arange(60) % 2 + 1
    model.update(Examples(features, ones), StrokeSnapshot({BOX: chunk(10)}, np.array([3, 0])))

    model.update(Examples(features, both), StrokeSnapshot({BOX: chunk(20)}, np.array([3, 1])))

    afresh.fit(Examples(features, both))
    assert are_alike(model, afresh)
