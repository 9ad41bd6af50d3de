"""How far a network looks is measured for every image, or the network is refused."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

from napari_pytc.errors import ModelError
from napari_pytc.learning.networks.limits import measure_limits

REACH = 3
FAR = 1e6
"""No random image gets there."""


class Combined(nn.Module):
    """An image together with what a convolution sees around each of its voxels."""

    def __init__(self, combine: Callable[[Tensor, Tensor], Tensor]) -> None:
        super().__init__()
        self.around = nn.Conv3d(1, 1, 2 * REACH + 1, padding=REACH)
        self.combine = combine

    def forward(self, image: Tensor) -> Tensor:
        return self.combine(image, self.around(image))


def halo_of(combine: Callable[[Tensor, Tensor], Tensor]) -> tuple[int, ...]:
    torch.manual_seed(0)
    network = Combined(combine)
    found = measure_limits(network, alignment=(1, 1, 1)).halo
    assert all(weights.requires_grad for weights in network.parameters())
    return found


@pytest.mark.parametrize(
    "combine",
    [
        lambda image, around: image + around.clamp(min=FAR),
        lambda image, around: image + torch.clip(around, FAR, 2 * FAR),
        lambda image, around: image.clamp(max=around + FAR),
        lambda image, around: image + (around - FAR).clamp_(min=0),
        lambda image, around: image + functional.relu6(around - FAR),
        lambda image, around: image + functional.hardsigmoid(around - FAR),
        lambda image, around: torch.max(image + FAR, around),
        lambda image, around: torch.minimum(image, around + FAR),
        lambda image, around: (image + FAR).max(around),
        lambda image, around: torch.stack([image + FAR, around]).amax(0),
        lambda image, around: torch.stack([image + FAR, around]).amax(dim=(0,)),
        lambda image, around: torch.stack([image + FAR, around]).max(0).values,
        lambda image, around: torch.min(torch.stack([image, around + FAR]), dim=0)[0],
        lambda image, around: image + (0.1 * around).round() + around.sign(),
        lambda image, around: torch.where(around > FAR, image, 2 * image),
        lambda image, around: image.where(around < FAR, 2 * image),
        lambda image, around: image * (around >= FAR),
        lambda image, around: image * ((around > FAR) & ~(around > 2 * FAR)).float(),
        lambda image, around: image.masked_fill(around > FAR, 0.0),
        lambda image, around: image + functional.adaptive_max_pool3d(around - FAR, image.shape[2:]).relu(),
    ],
)
def test_the_reach_does_not_depend_on_the_image(combine: Callable[[Tensor, Tensor], Tensor]) -> None:
    assert halo_of(combine) == (REACH,) * 3


@pytest.mark.parametrize(
    "combine",
    [
        lambda image, around: image + torch.zeros_like(around, dtype=torch.int64),
        lambda image, around: image.masked_fill(torch.isnan(around), 0.0),
        lambda image, around: image + around.new_ones(1),
    ],
)
def test_what_is_the_same_for_every_image_does_not_count(combine: Callable[[Tensor, Tensor], Tensor]) -> None:
    assert halo_of(combine) == (0, 0, 0)


@pytest.mark.parametrize(
    ("combine", "operation"),
    [
        (lambda image, around: image + around.argmax(1, keepdim=True), "argmax"),
        (lambda image, around: image + around.sort(2).values, "sort"),
        (lambda image, around: image + around.topk(1, dim=1).values, "topk"),
        (lambda image, around: image + around.median(), "median"),
        (lambda image, around: image + around.quantile(0.5), "quantile"),
        (lambda image, around: image + around.detach(), "detach"),
        (lambda image, around: image + around.data, "get"),
        (lambda image, around: image + around.long(), "long"),
        (lambda image, around: image * around.mean().item(), "item"),
        (lambda image, around: image if around.mean() > FAR else 2 * image, "bool"),
        (lambda image, around: image + torch.linalg.vector_norm(around, float("inf")), "linalg_vector_norm"),
        (lambda image, around: image + functional.max_pool3d(around, 1, return_indices=True)[0], "max_pool3d"),
    ],
)
def test_an_operation_whose_reach_is_not_known_is_refused(
    combine: Callable[[Tensor, Tensor], Tensor], operation: str
) -> None:
    with pytest.raises(ModelError, match=f"operation '{operation}") as caught:
        halo_of(combine)
    assert '"windows"' in caught.value.hint


def chosen_by_index(image: Tensor, around: Tensor) -> Tensor:
    return image + torch.stack([image, around]).gather(0, torch.stack([image, around]).max(0, keepdim=True).indices)[0]


def changed_at_a_mask(image: Tensor, around: Tensor) -> Tensor:
    found = image.clone()
    found[around > FAR] = 0.0
    return found


@pytest.mark.parametrize("combine", [chosen_by_index, changed_at_a_mask])
def test_values_that_are_chosen_by_an_index_are_refused(combine: Callable[[Tensor, Tensor], Tensor]) -> None:
    with pytest.raises(ModelError, match="cannot be measured how far") as caught:
        halo_of(combine)
    assert "override `limits`" in caught.value.hint


def test_the_largest_value_of_all_is_that_of_the_whole_image() -> None:
    with pytest.raises(ModelError, match="perhaps at the whole image"):
        halo_of(lambda image, around: image + around.amax((2, 3, 4), keepdim=True))


def test_a_network_that_fails_anyway_says_so_itself() -> None:
    with pytest.raises(RuntimeError, match="shape"):
        halo_of(lambda image, around: image.reshape(3, 5, 7, 11))


def test_an_output_that_does_not_depend_on_the_image_is_refused() -> None:
    with pytest.raises(ModelError, match="does not depend on the image"):
        halo_of(lambda image, around: torch.zeros_like(image))
