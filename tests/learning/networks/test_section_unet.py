"""The section-by-section U-Net: what of a patch it learns, and from which sections."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy import ndimage
from torch.nn import functional

from napari_pytc.errors import ModelError
from napari_pytc.geometry import VoxelSpace
from napari_pytc.learning.networks.section_unet_module import SectionUNet, build_section_unet
from napari_pytc.plans.networks import SectionUNetNetwork


def make(n_context: int = 2, pixel_nm: float = 8.0, n_inputs: int = 1, dropout: float = 0.0) -> SectionUNet:
    torch.manual_seed(0)
    settings = SectionUNetNetwork(channels=(4, 8), context_sections=n_context, pixel_nm=pixel_nm, dropout=dropout)
    return build_section_unet(settings, 3, VoxelSpace((40.0, 8.0, 8.0)), n_inputs)


def image_of(*shape: int) -> torch.Tensor:
    return torch.from_numpy(np.random.default_rng(0).normal(size=shape).astype(np.float32))


@pytest.mark.parametrize("pixel_nm", [8.0, 16.0])
@pytest.mark.parametrize("n_inputs", [1, 2])
def test_what_is_learnt_of_a_patch_are_the_sections_with_all_their_context(pixel_nm: float, n_inputs: int) -> None:
    network, image = make(2, pixel_nm, n_inputs).eval(), image_of(2, n_inputs, 7, 16, 16)
    with torch.no_grad():
        (learnt,), whole = network.training_logits(image), network(image)
    assert learnt.shape == (2, 3, 3, 16, 16)
    assert whole.shape == (2, 3, 7, 16, 16)
    np.testing.assert_allclose(learnt, whole[:, :, 2:5], atol=1e-5)


def test_a_section_sees_its_neighbours_and_no_others() -> None:
    network, image = make(1).eval(), image_of(1, 1, 7, 16, 16)
    with torch.no_grad():
        before = network(image)
        image[:, :, 3] += 1
        changed = (network(image) - before).abs().amax(dim=(0, 1, 3, 4)) > 1e-6
    assert changed.tolist() == [False, False, True, True, True, False, False]


def test_a_single_section_is_seen_with_itself_as_context() -> None:
    network = make(2).eval()
    with torch.no_grad():
        assert network(image_of(1, 1, 1, 16, 16)).shape == (1, 3, 1, 16, 16)


def test_a_patch_without_a_section_that_has_its_context_is_refused() -> None:
    with pytest.raises(ModelError, match=r"2 sections of context on either side needs patches of at least 5.*got 4"):
        make(2).training_logits(image_of(1, 1, 4, 16, 16))


def test_dropout_is_of_steps_alone() -> None:
    network, image = make(dropout=0.5), image_of(1, 1, 5, 32, 32)
    with torch.no_grad():
        one, other = network.train().training_logits(image)[0], network.training_logits(image)[0]
        assert not torch.equal(one, other)
        network.eval()
        assert torch.equal(network(image), network(image))


@pytest.mark.parametrize("pixel_nm", [8.0, 16.0])
def test_predictions_are_smoothed_across_sections_and_within_them_but_not_what_is_learnt(pixel_nm: float) -> None:
    torch.manual_seed(0)
    size = VoxelSpace((8.0, 8.0, 8.0))
    settings = SectionUNetNetwork(channels=(4, 8), context_sections=1, pixel_nm=pixel_nm, smoothing_nm=16.0)
    smooth = build_section_unet(settings, 2, size).eval()
    plain = build_section_unet(settings.model_copy(update={"smoothing_nm": 0.0}), 2, size).eval()
    plain.load_state_dict(smooth.state_dict())
    image, fold = image_of(1, 1, 12, 32, 32), round(pixel_nm / 8)
    with torch.no_grad():
        found, before = smooth(image)[0], plain(image)[0]
        pixels = (
            before if fold == 1 else functional.interpolate(before[None], scale_factor=(1, 0.5, 0.5), mode="area")[0]
        )
        sigmas = (0, 2, 2 / fold, 2 / fold)
        expected = ndimage.gaussian_filter(pixels.numpy(), sigmas, mode="nearest", truncate=3)
        if fold == 1:
            np.testing.assert_allclose(found, expected, atol=1e-4)
        else:  # of pixels, interpolated after the smoothing
            np.testing.assert_allclose(found[:, :, 8:-8:2, 8:-8:2], expected[:, :, 4:-4, 4:-4], atol=0.05)
        smooth.train()
        plain.train()
        torch.testing.assert_close(smooth.training_logits(image)[0], plain.training_logits(image)[0])


def test_every_weight_learns() -> None:
    network = make().train()
    network.training_logits(image_of(2, 1, 5, 16, 16))[0].square().mean().backward()
    assert [name for name, p in network.named_parameters() if p.grad is None or not p.grad.abs().sum() > 0] == []


def test_the_patch_is_of_pixels_and_as_deep_as_the_context() -> None:
    settings = SectionUNetNetwork(context_sections=3)
    assert settings.training_margin == (3, 0, 0)
    assert settings.patch_shape(VoxelSpace((5.0, 5.0, 5.0))) == (7, 384, 384)
    assert settings.patch_shape(VoxelSpace((40.0, 10.0, 10.0))) == (7, 192, 192)
