from __future__ import annotations

import pytest
import torch

from napari_pytc.geometry import Box
from napari_pytc.learning.live.blend import Blend
from napari_pytc.learning.live.instant import InstantModel
from napari_pytc.learning.live.labelled_features import Examples
from napari_pytc.plans.recipes import load_recipe
from tests.support.live import live_tissue

TILE = Box((0, 0, 0), (1, 10, 20))


def model() -> InstantModel:
    return InstantModel(load_recipe("instant"), 2, live_tissue().space)


class BlendedView:
    """A network that is undecided everywhere, and features of two kinds of voxels."""

    def __init__(self) -> None:
        self.instant, self.n_predictions = model(), 0
        self.blend = Blend(self.instant, model())
        torch.manual_seed(0)
        self.kinds = torch.arange(200) % 2
        self.features = torch.randn(200, self.instant.network.n_features) + 3 * self.kinds[:, None]

    def fit(self, labels: torch.Tensor) -> None:
        self.instant.fit(Examples(self.features, labels))

    def network(self, box: Box) -> torch.Tensor:
        self.n_predictions += 1
        return torch.full((2, *box.shape), 0.5)

    def probabilities(self) -> torch.Tensor:
        return self.blend.probabilities(TILE, self.network, lambda box: self.features.half())


@pytest.mark.slow
def test_without_new_strokes_the_networks_prediction_is_shown() -> None:
    view = BlendedView()
    view.fit(view.kinds + 1)
    view.blend.reset()

    assert (view.probabilities() == 0.5).all()


@pytest.mark.slow
def test_a_stroke_moves_the_view_by_what_the_instant_model_learnt() -> None:
    view = BlendedView()
    view.fit(view.kinds + 1)
    view.blend.reset()
    view.probabilities()
    view.fit(2 - view.kinds)  # the other way round
    view.blend.mark_changed()

    found = view.probabilities().reshape(2, -1)

    assert torch.allclose(found.sum(0), torch.ones(200), atol=1e-4)
    assert (found[0, view.kinds == 1] > 0.5).float().mean() > 0.9
    assert (found[1, view.kinds == 0] > 0.5).float().mean() > 0.9
    assert view.n_predictions == 1  # its prediction is cached


@pytest.mark.slow
def test_new_weights_start_over() -> None:
    view = BlendedView()
    view.fit(view.kinds + 1)
    view.blend.reset()
    view.probabilities()
    view.fit(2 - view.kinds)
    view.blend.mark_changed()
    view.blend.reset()

    assert (view.probabilities() == 0.5).all()
    assert view.n_predictions == 2
