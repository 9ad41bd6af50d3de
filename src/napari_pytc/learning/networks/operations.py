"""Multiplications that a network makes for a voxel of its prediction, counted without computing them."""

from __future__ import annotations

import math

import torch
from torch import Tensor
from torch.utils.flop_counter import FlopCounterMode

from napari_pytc.geometry import Shape
from napari_pytc.learning.networks.network import Network


def multiplications_a_voxel(network: Network, shape: Shape) -> float:
    """Multiplications of convolutions, products of matrices and attention in a forward pass, for a voxel of the result.

    A training step makes about three times as many. Norms, activations and memory traffic come on top, so that networks
    of many narrow or depth-wise convolutions take longer than their multiplications tell.

    Parameters
    ----------
    network : Network
        Hand in one of its own: it is moved to the device ``meta``, where tensors have shapes and no numbers. Filter
        banks have no such tensors; they stay on the CPU and compute.
    shape : tuple of int
        Lengths z, y, x of the image, which the network must take.
    """
    device = "meta" if network.feature_bank is None else "cpu"
    network = network.to(device).eval()
    image = torch.zeros(1, network.n_inputs, *shape, device=device)
    with torch.no_grad(), FlopCounterMode(display=False) as counter:
        logits: Tensor = network(image)
    return float(counter.get_total_flops()) / 2 / math.prod(logits.shape[2:])
