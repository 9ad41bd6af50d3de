"""Precision: where tensors lie, and what autocast computes in."""

from __future__ import annotations

import torch
from torch import nn

from napari_pytc.learning.machine.precision import Precision, autocast_for


def test_precision_places_networks_and_tensors() -> None:
    network = nn.Sequential(nn.Conv3d(2, 4, 3), nn.Linear(3, 3))
    Precision("float32", True).place_network(network)
    assert network[0].weight.is_contiguous(memory_format=torch.channels_last_3d)
    assert not network[0].weight.is_contiguous()
    Precision("float32", False).place_network(network)
    assert network[0].weight.is_contiguous()
    flat = torch.randn(2, 3, 4, 5)
    assert Precision("bf16", True).place(flat).is_contiguous(memory_format=torch.channels_last)
    assert torch.equal(Precision("bf16", True).place(flat), flat)


def test_autocast_is_on_where_it_should_be() -> None:
    layer, x = nn.Linear(2, 2), torch.randn(1, 2)
    with autocast_for("cpu", Precision("bf16")):
        assert layer(x).dtype == torch.bfloat16
        with autocast_for("cpu", Precision("float32")):
            assert layer(x).dtype == torch.float32
