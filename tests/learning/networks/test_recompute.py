"""Activations that are thrown away and computed again for the gradients."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from napari_pytc.learning.networks.recompute import Recomputed


class Block(nn.Module):
    """A convolution with batch norm that counts how often it is computed."""

    def __init__(self) -> None:
        super().__init__()
        self.convolution, self.norm = nn.Conv3d(2, 2, 3, padding=1), nn.BatchNorm3d(2)
        self.n_computed = 0

    def forward(self, image: Tensor) -> Tensor:
        self.n_computed += 1
        found: Tensor = torch.relu(self.norm(self.convolution(image)))
        return found


class RecomputedBlock(Recomputed, Block):
    """The same, computed again for the gradients."""


def pair() -> tuple[Block, RecomputedBlock]:
    torch.manual_seed(0)
    plain, again = Block(), RecomputedBlock()
    again.load_state_dict(plain.state_dict())
    return plain, again


IMAGE = torch.randn(2, 2, 4, 4, 4, generator=torch.Generator().manual_seed(1))


def test_values_gradients_and_statistics_are_those_of_the_plain_block() -> None:
    plain, again = pair()
    for block in (plain, again):
        block.train()(IMAGE).square().mean().backward()
    assert torch.equal(plain(IMAGE), again(IMAGE))
    for one, other in zip(plain.parameters(), again.parameters(), strict=True):
        assert one.grad is not None
        assert other.grad is not None
        assert torch.allclose(one.grad, other.grad, atol=1e-7)
    for name in ("norm.running_mean", "norm.running_var"):
        assert torch.equal(plain.state_dict()[name], again.state_dict()[name]), f"{name} counted the batch once"


def test_it_is_computed_twice_in_training_alone() -> None:
    _, block = pair()
    block.train()(IMAGE).sum().backward()
    assert block.n_computed == 2
    block.eval()(IMAGE).sum().backward()
    assert block.n_computed == 3
    with torch.no_grad():
        block.train()(IMAGE)
    assert block.n_computed == 4


def test_names_of_weights_are_those_of_the_plain_block() -> None:
    plain, again = pair()
    assert list(plain.state_dict()) == list(again.state_dict())
