"""The order in which tiles of the view are predicted."""

from __future__ import annotations

import torch

from napari_pytc.geometry import Box
from napari_pytc.learning.live.view_predictor import ViewPredictor
from napari_pytc.plans.live_messages import LiveView


class WrittenTiles:
    """Records the tiles that are written."""

    def __init__(self) -> None:
        self.tiles: list[tuple[Box, float] | None] = []

    def write(self, box: Box, probabilities: torch.Tensor) -> None:
        self.tiles.append((box, float(probabilities)))

    def wait(self) -> None:
        """Recorded as None."""
        self.tiles.append(None)


def test_all_tiles_get_an_interim_prediction_before_any_is_predicted() -> None:
    written = WrittenTiles()
    view_predictor = ViewPredictor(Box((0, 0, 0), (8, 300, 128)), (1.0, 1.0, 1.0), written)  # type: ignore[arg-type]
    view = LiveView(Box((2, 0, 0), (3, 300, 128)), 1)
    near, *others = view_predictor.pending(view)
    assert len(others) == 2

    def interim(box: Box) -> torch.Tensor | None:
        return None if box == near else torch.tensor(0.25)

    while not view_predictor.is_done(view):
        view_predictor.predict_next(view, lambda box: torch.tensor(0.75), interim)

    predicted = [(box, 0.75) for box in (near, *others)]
    assert written.tiles == [*((box, 0.25) for box in others), None, *predicted, None]
    view_predictor.invalidate()
    view_predictor.predict_next(view, lambda box: torch.tensor(0.75), interim)
    assert written.tiles[-1] == (others[0], 0.25)
