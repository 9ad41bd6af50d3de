"""Losses of several levels of a network."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

from napari_pytc.learning.training.losses.supervision import deeply_supervised, supervision_weights

LABELS = torch.zeros(1, 4, 8, 8, dtype=torch.long)


class Mean(nn.Module):
    """The mean of the logits, with the shapes that it was called with."""

    def __init__(self) -> None:
        super().__init__()
        self.shapes: list[tuple[int, ...]] = []

    def forward(self, logits: Tensor, labels: Tensor) -> Tensor:
        self.shapes.append(tuple(logits.shape[2:]))
        return logits.mean()


def levels(*values: float) -> list[Tensor]:
    """A level of each value, each half as long as the one before."""
    return [torch.full((1, 2, 4 >> n, 8 >> n, 8 >> n), value) for n, value in enumerate(values)]


def test_each_level_counts_half_as_much_as_the_finer_one() -> None:
    assert supervision_weights(1) == [1]
    assert supervision_weights(4) == [1, 0.5, 0.25, 0.125]


@pytest.mark.parametrize(("wanted", "expected"), [((1, 0.3), [1, 0.3, 0]), ((1, 0.3, 0.1, 5), [1, 0.3, 0.1])])
def test_levels_beyond_those_that_are_wanted_do_not_count(wanted: tuple[float, ...], expected: list[float]) -> None:
    assert supervision_weights(3, wanted) == expected


def test_the_sum_is_a_mean_by_weight() -> None:
    assert deeply_supervised(Mean(), levels(7.0), LABELS).item() == pytest.approx(7)
    found = deeply_supervised(Mean(), levels(1.0, 4.0, 10.0), LABELS)
    assert found.item() == pytest.approx((1 + 4 / 2 + 10 / 4) / 1.75)
    found = deeply_supervised(Mean(), levels(1.0, 4.0, 10.0), LABELS, (1, 3))
    assert found.item() == pytest.approx((1 + 12) / 4)


def test_coarse_logits_are_brought_to_the_labels_and_levels_without_weight_are_not_computed() -> None:
    loss = Mean()
    deeply_supervised(loss, levels(1.0, 4.0, 10.0), LABELS, (1, 1))
    assert loss.shapes == [(4, 8, 8), (4, 8, 8)]


def test_every_level_gets_a_gradient() -> None:
    logits = [level.requires_grad_() for level in levels(1.0, 4.0)]
    deeply_supervised(Mean(), logits, LABELS).backward()
    assert all(level.grad is not None and level.grad.abs().sum() > 0 for level in logits)
