"""Ensemble of two perceptrons on the same features."""

from __future__ import annotations

import copy
import math

import torch
from torch import Tensor, nn

from napari_pytc.learning.networks.filter_bank import FilterBank


def agreement_of(one: FilterBank, other: FilterBank) -> FilterBank:
    """A filter bank that predicts the mean of two filter banks' probabilities: confident only where both are.

    The filters are computed once, what they are mixed to twice: 1.75 (3D) to 2 times (2D) the time of one filter bank.

    Parameters
    ----------
    one, other : FilterBank
        With the same filters, and as many classes; both stay as they are.

    Returns
    -------
    FilterBank
        In eval mode, on the device of the first, not to be trained. Its logits are the logarithms of the mean
        probabilities.

    Raises
    ------
    ValueError
        If their features or classes differ.
    """
    if not one.has_features_of(other) or one.n_classes != other.n_classes:
        raise ValueError("Both filter banks must have the same filters and the same classes.")
    both = copy.deepcopy(one)
    firsts, rests = zip(*(_of_features(copy.deepcopy(bank)) for bank in (one, other)), strict=True)
    merged = nn.Linear(one.n_features, sum(layer.out_features for layer in firsts))
    with torch.no_grad():
        merged.weight.copy_(torch.cat([layer.weight for layer in firsts]))
        merged.bias.copy_(torch.cat([layer.bias for layer in firsts]))
        both.feature_mean.zero_()
        both.feature_scale.fill_(1.0)
    both.head = nn.Sequential(merged.to(both.feature_mean), _Mean(rests, [layer.out_features for layer in firsts]))
    return both.eval().requires_grad_(False)


def _of_features(bank: FilterBank) -> tuple[nn.Linear, nn.Sequential]:
    """The first layer of the perceptron, of features as they are found, and the others."""
    first, *others = bank.head
    assert isinstance(first, nn.Linear)
    with torch.no_grad():
        first.weight.div_(bank.feature_scale)
        first.bias.sub_(first.weight @ bank.feature_mean)
    return first, nn.Sequential(*others)


class _Mean(nn.Module):
    """Logarithm of the mean probability of several perceptrons, each of its own part (..., n) of hidden units."""

    def __init__(self, parts: tuple[nn.Sequential, ...], widths: list[int]) -> None:
        super().__init__()
        self.parts = nn.ModuleList(parts)
        self._widths = widths

    def forward(self, rows: Tensor) -> Tensor:
        shares = zip(self.parts, rows.split(self._widths, dim=-1), strict=True)
        answers = [part(share).log_softmax(-1) for part, share in shares]
        return torch.stack(answers).logsumexp(0) - math.log(len(answers))
