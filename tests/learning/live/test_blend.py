from __future__ import annotations

import torch

from napari_pytc.geometry import Box
from napari_pytc.learning.live.blend import Blend
from napari_pytc.learning.live.instant import InstantModel
from napari_pytc.learning.live.taught import Examples
from napari_pytc.learning.recipes import load_recipe
from tests.support.live import live_tissue

TILE = Box((0, 0, 0), (1, 10, 20))


def model() -> InstantModel:
    return InstantModel(load_recipe("instant"), 2, live_tissue().space)


class Desk:
    """A network that is undecided everywhere, and features of the tile's voxels of two kinds."""

    def __init__(self) -> None:
        self.instant, self.n_asked = model(), 0
        self.blend = Blend(self.instant, model())
        torch.manual_seed(0)
        self.kinds = torch.arange(200) % 2
        self.features = torch.randn(200, self.instant.network.n_features) + 3 * self.kinds[:, None]

    def fit(self, labels: torch.Tensor) -> None:
        self.instant.fit(Examples(self.features, labels))

    def network(self, box: Box) -> torch.Tensor:
        self.n_asked += 1
        return torch.full((2, *box.shape), 0.5)

    def look(self) -> torch.Tensor:
        return self.blend.probabilities(TILE, self.network, lambda box: self.features.half())


def test_without_new_strokes_the_view_is_the_networks() -> None:
    desk = Desk()
    desk.fit(desk.kinds + 1)
    desk.blend.begin()

    assert (desk.look() == 0.5).all()


def test_a_stroke_moves_the_view_by_what_the_instant_model_learnt() -> None:
    desk = Desk()
    desk.fit(desk.kinds + 1)
    desk.blend.begin()
    desk.look()
    desk.fit(2 - desk.kinds)  # the other way round
    desk.blend.note_change()

    found = desk.look().reshape(2, -1)

    assert torch.allclose(found.sum(0), torch.ones(200), atol=1e-4)
    assert (found[0, desk.kinds == 1] > 0.5).float().mean() > 0.9
    assert (found[1, desk.kinds == 0] > 0.5).float().mean() > 0.9
    assert desk.n_asked == 1  # the network was not asked again


def test_new_weights_begin_anew() -> None:
    desk = Desk()
    desk.fit(desk.kinds + 1)
    desk.blend.begin()
    desk.look()
    desk.fit(2 - desk.kinds)
    desk.blend.note_change()
    desk.blend.begin()

    assert (desk.look() == 0.5).all()
    assert desk.n_asked == 2
