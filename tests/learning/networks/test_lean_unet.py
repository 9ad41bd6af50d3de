"""The lean network's folding of voxels into channels, and what follows from it."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from napari_pytc.geometry import Shape, VoxelSpace
from napari_pytc.learning.networks.lean_unet_module import LeanUNet, _fold, _unfold, build_lean_unet
from napari_pytc.plans.networks import LeanUNetNetwork

BLOCKS = st.tuples(st.integers(1, 2), st.integers(1, 3), st.integers(1, 3))
N_BLOCKS = st.tuples(st.integers(1, 3), st.integers(1, 3), st.integers(1, 3))


def image_of(shape: tuple[int, ...], seed: int = 0) -> torch.Tensor:
    return torch.from_numpy(np.random.default_rng(seed).normal(size=shape).astype(np.float32))


def make(n_classes: int = 3, anisotropy: float = 1.0) -> LeanUNet:
    torch.manual_seed(0)
    space = VoxelSpace((8.0 * anisotropy, 8.0, 8.0))
    return build_lean_unet(LeanUNetNetwork(), n_classes, space).eval()


@given(block=BLOCKS, n=N_BLOCKS, n_channels=st.integers(1, 3), n_images=st.integers(1, 2))
@settings(max_examples=40, deadline=None)
def test_unfolding_undoes_folding(block: Shape, n: Shape, n_channels: int, n_images: int) -> None:
    image = image_of((n_images, n_channels, *(a * b for a, b in zip(block, n, strict=True))))
    folded = _fold(image, block)
    assert folded.shape == (n_images, n_channels * block[0] * block[1] * block[2], *n)
    assert torch.equal(_unfold(folded, block), image)


@given(block=BLOCKS, n=N_BLOCKS, data=st.data())
@settings(max_examples=40, deadline=None)
def test_a_voxel_stays_in_the_cell_of_its_block(block: Shape, n: Shape, data: st.DataObject) -> None:
    shape = tuple(a * b for a, b in zip(block, n, strict=True))
    image = torch.zeros(1, 1, *shape)
    place = tuple(data.draw(st.integers(0, length - 1)) for length in shape)
    image[(0, 0, *place)] = 1
    ((_, _, *cell),) = _fold(image, block).nonzero().tolist()
    assert cell == [p // b for p, b in zip(place, block, strict=True)]


@pytest.mark.parametrize("anisotropy", [1.0, 5.0])
@pytest.mark.parametrize("n_classes", [1, 4])
def test_logits_have_the_shape_of_the_image_whatever_the_memory_format(anisotropy: float, n_classes: int) -> None:
    network = make(n_classes, anisotropy)
    image = image_of((2, 1, 16, 32, 32))
    with torch.inference_mode():
        plain = network(image)
        last = network.to(memory_format=torch.channels_last_3d)(image)
    assert plain.shape == (2, n_classes, 16, 32, 32)
    np.testing.assert_allclose(last, plain, atol=1e-4)


def test_images_of_a_batch_do_not_see_one_another() -> None:
    network, images = make(), image_of((2, 1, 16, 32, 32))
    with torch.inference_mode():
        np.testing.assert_allclose(network(images)[1:], network(images[1:]), atol=1e-5)


def test_every_weight_learns() -> None:
    network = make().train()
    network(image_of((2, 1, 16, 32, 32))).square().mean().backward()
    without = [name for name, p in network.named_parameters() if p.grad is None or not p.grad.abs().sum() > 0]
    assert without == []
