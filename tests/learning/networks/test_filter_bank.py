from __future__ import annotations

from itertools import product

import pytest
import torch

from napari_pytc.geometry import Box, TileGrid
from napari_pytc.learning.networks.filter_bank import FilterBank, _slabs
from napari_pytc.learning.networks.filter_invariants import extreme_eigenvalues
from napari_pytc.learning.networks.filter_scales import upsample

KINDS = [("2d", 10.0), ("3d", 1.0), ("3d", 2.5)]


def bank(dims: str = "3d", anisotropy: float = 1.0, sigmas: tuple[float, ...] = (0.7, 1.6, 3.5)) -> FilterBank:
    torch.manual_seed(0)
    network = FilterBank(sigmas, (16, 8), dims, anisotropy, 3)
    sample = network.features(noise(8, 32, 32)).movedim(1, -1).reshape(-1, network.n_features)
    network.fit_normalisation(sample)
    return network.eval()


def noise(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(1, 1, *shape, generator=torch.Generator().manual_seed(seed))


@pytest.mark.slow
@pytest.mark.parametrize(("dims", "anisotropy"), KINDS)
@pytest.mark.parametrize("shape", [(33, 51, 47), (1, 40, 24), (1, 1, 1), (2, 3, 1), (5, 1, 9)])
def test_logits_are_those_of_the_features(dims: str, anisotropy: float, shape: tuple[int, int, int]) -> None:
    network = bank(dims, anisotropy)
    image = torch.cat([noise(*shape), noise(*shape, seed=1)])
    features = network.features(image)
    assert features.shape == (2, network.n_features, *shape)
    expected = network.classify(features.movedim(1, -1)).movedim(-1, 1)
    assert network(image).shape == (2, 3, *shape)
    torch.testing.assert_close(network(image), expected, atol=1e-4, rtol=1e-4)


@pytest.mark.slow
@pytest.mark.parametrize(("dims", "anisotropy"), KINDS)
def test_tiles_give_what_the_whole_gives(dims: str, anisotropy: float) -> None:
    network = bank(dims, anisotropy)
    shape = (41, 75, 67)
    image = noise(*shape)
    whole = network(image)[0]
    grid = TileGrid(Box.of_shape(shape), (17, 23, 29), network.halo, alignment=network.alignment)
    for tile in grid:
        block = image[(slice(None), slice(None), *tile.read.slices)]
        expected = whole[(slice(None), *tile.write.slices)]
        cropped = network(block)[(0, slice(None), *tile.inner.slices)]
        assert (cropped - expected).abs().max() < 1e-3
        assert (network(block, inner=tile.inner)[0] - expected).abs().max() < 1e-3
        found = network.features(block, inner=tile.inner)
        assert found.shape[2:] == tile.write.shape


@pytest.mark.parametrize("step", [(1, 2, 2), (2, 2, 2)])
def test_interpolation_of_any_box_is_that_of_the_whole(step: tuple[int, int, int]) -> None:
    coarse = (4, 3, 5)
    cells = torch.randn(*coarse, 2, generator=torch.Generator().manual_seed(3))
    mode = {"scale_factor": [float(s) for s in step], "mode": "trilinear", "align_corners": False}
    whole = torch.nn.functional.interpolate(cells.movedim(-1, 0)[None], **mode)[0].movedim(0, -1)
    shape = whole.shape[:3]
    for start in product(*(range(0, n, 3) for n in shape)):
        for size in ((1, 1, 1), (2, 3, 4), shape):
            box = Box.at(start, size).intersect(Box.of_shape(shape))
            low = [max(a // s - (s > 1), 0) for a, s in zip(box.start, step, strict=True)]
            high = [min((b - 1) // s + 1 + (s > 1), n) for b, s, n in zip(box.stop, step, coarse, strict=True)]
            window = Box(tuple(low), tuple(high))
            found = torch.empty(*box.shape, 2)
            upsample(cells[window.slices], window, box, step, found)
            torch.testing.assert_close(found, whole[box.slices])


@pytest.mark.parametrize("n_voxels", [7, 100, 5000])
def test_slabs_cover_a_box_once(n_voxels: int) -> None:
    box = Box((3, 5, 7), (32, 60, 50))
    seen = torch.zeros(*box.stop)
    for slab in _slabs(box, n_voxels):
        seen[slab.slices] += 1
        assert slab.size <= max(n_voxels, box.shape[2])
    assert (seen[box.slices] == 1).all()
    assert seen.sum() == box.size


def test_tiles_without_the_halo_differ() -> None:
    network = bank()
    image = noise(32, 48, 48)
    block = network(image[:, :, :16, :24, :24])[0]
    assert (block - network(image)[0, :, :16, :24, :24]).abs().max() > 1e-2


@pytest.mark.parametrize(("dims", "anisotropy"), KINDS)
def test_the_halo_holds_for_every_place_within_a_coarse_cell(dims: str, anisotropy: float) -> None:
    network = bank(dims, anisotropy)
    shape = [2 * (h + -h % a) + 2 * a for h, a in zip(network.halo, network.alignment, strict=True)]
    image = noise(*shape)
    before = network.features(image)
    for axis in range(3):
        furthest = 0
        for offset in range(network.alignment[axis]):
            changed = image.clone()
            place = [n // 2 for n in shape]
            place[axis] += offset
            changed[(0, 0, *place)] += 100
            touched = (network.features(changed) - before).abs().amax((0, 1)).nonzero()[:, axis]
            furthest = max(furthest, int((touched - place[axis]).abs().max()))
        # Not far from it either: a halo costs time.
        assert furthest <= network.halo[axis] <= furthest + network.alignment[axis]


@pytest.mark.parametrize(("dims", "anisotropy"), KINDS)
def test_turning_and_mirroring_commute_with_prediction(dims: str, anisotropy: float) -> None:
    network = bank(dims, anisotropy)
    image = noise(16, 48, 48)
    expected = network(image)
    for axis in (2, 3, 4):
        torch.testing.assert_close(network(image.flip(axis)).flip(axis), expected, atol=1e-3, rtol=1e-3)
    turned = network(image.rot90(1, (3, 4))).rot90(-1, (3, 4))
    torch.testing.assert_close(turned, expected, atol=1e-3, rtol=1e-3)


def test_cubic_voxels_have_no_special_axis() -> None:
    network = bank()
    image = noise(32, 32, 32)
    turned = network(image.transpose(2, 4)).transpose(2, 4)
    torch.testing.assert_close(turned, network(image), atol=1e-3, rtol=1e-3)


def test_sections_are_independent_in_two_dimensions() -> None:
    network = bank("2d", 10.0)
    image = noise(3, 40, 40)
    torch.testing.assert_close(network(image)[:, :, 1:2], network(image[:, :, 1:2]), atol=1e-4, rtol=1e-4)
    assert network.halo[0] == 0
    assert network.alignment[0] == 1


def test_features_have_no_parameters() -> None:
    network = bank()
    image = noise(8, 24, 24)
    before = network.features(image)
    for parameter in network.parameters():
        torch.nn.init.normal_(parameter)
    network.fit_normalisation(torch.randn(100, network.n_features))
    assert torch.equal(network.features(image), before)
    assert all(name.startswith("head.") for name, _ in network.named_parameters())


def test_weights_and_normalisation_travel_in_the_state() -> None:
    network = bank()
    copy = FilterBank((0.7, 1.6, 3.5), (16, 8), "3d", 1.0, 3)
    copy.load_state_dict(network.state_dict())
    image = noise(8, 24, 24)
    assert torch.equal(copy(image), network(image))


def test_a_feature_without_spread_is_not_blown_up() -> None:
    network = FilterBank((1.0,), (8,), "2d", 10.0, 2)
    network.fit_normalisation(torch.ones(50, network.n_features))
    assert torch.isfinite(network(noise(1, 16, 16))).all()
    assert (network.feature_scale == 1).all()


@pytest.mark.slow
def test_only_the_perceptron_learns_and_it_does() -> None:
    network = bank()
    image = noise(8, 24, 24)
    features = network.features(image)[0].flatten(1).t()
    target = (features[:, 0] > 0).long()
    optimiser = torch.optim.AdamW(network.parameters(), lr=0.02)
    losses = []
    for _ in range(30):
        loss = torch.nn.functional.cross_entropy(network.classify(features), target)
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        losses.append(float(loss.detach()))
    assert losses[-1] < 0.3 * losses[0]
    predicted = network(image)[0].flatten(1).argmax(0)
    assert (predicted == target).float().mean() > 0.9


def test_a_constant_image_has_only_its_intensity() -> None:
    network = FilterBank((0.7, 1.6, 3.5), (8,), "3d", 1.0, 2)
    features = network.features(torch.full((1, 1, 20, 20, 20), 2.0))
    assert torch.isfinite(features).all()
    values = features.amax((0, 2, 3, 4))
    assert int((values > 1.9).sum()) == 3
    assert int((values.abs() < 1e-2).sum()) == network.n_features - 3


def test_extreme_eigenvalues_are_those_of_linear_algebra() -> None:
    matrices = torch.randn(500, 3, 3, generator=torch.Generator().manual_seed(0))
    matrices = matrices + matrices.mT
    matrices[:3] = torch.stack([torch.eye(3), torch.diag(torch.tensor([2.0, 2.0, 1.0])), torch.zeros(3, 3)])
    expected = torch.linalg.eigvalsh(matrices)
    trace = expected.sum(dim=1)
    high, low = torch.empty(500), torch.empty(500)
    (xx, xy, xz), (_, yy, yz), (_, _, zz) = matrices.permute(1, 2, 0).clone()
    extreme_eigenvalues(xx, yy, zz, xy, xz, yz, trace, high, low)
    torch.testing.assert_close(high + trace / 3, expected[:, 2], atol=2e-3, rtol=2e-3)
    torch.testing.assert_close(low + trace / 3, expected[:, 0], atol=2e-3, rtol=2e-3)
