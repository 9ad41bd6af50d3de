"""Networks that see one section at a time."""

from __future__ import annotations

import torch
from torch import Tensor

from napari_pytc.learning.networks.sections import section_by_section

IMAGE = torch.arange(2 * 3 * 4 * 5 * 6, dtype=torch.float32).reshape(2, 3, 4, 5, 6)


def test_each_section_is_an_image_of_its_own() -> None:
    shapes: list[tuple[int, ...]] = []

    def network(images: Tensor) -> Tensor:
        shapes.append(tuple(images.shape))
        return images[:, :1] - images[:, 1:2] * images.mean(dim=(1, 2, 3), keepdim=True)

    found = section_by_section(network, IMAGE)

    assert shapes == [(8, 3, 5, 6)]
    assert found.shape == (2, 1, 4, 5, 6)
    for batch in range(2):
        for z in range(4):
            alone = network(IMAGE[batch, :, z][None])[0]
            assert torch.equal(found[batch, :, z], alone)


def test_several_levels_come_back_as_several_volumes() -> None:
    def network(images: Tensor) -> tuple[Tensor, ...]:
        return images[:, :2], images[:, :1, ::2, ::2]

    fine, coarse = section_by_section(network, IMAGE)

    assert torch.equal(fine, IMAGE[:, :2])
    assert torch.equal(coarse, IMAGE[:, :1, :, ::2, ::2])
