from __future__ import annotations

from pathlib import Path

import pytest
import torch

from napari_pytc.errors import ModelError
from napari_pytc.geometry import Box, TileGrid, VoxelSpace
from napari_pytc.learning.machine.weights import load_weights_and_notes
from napari_pytc.learning.networks import starter
from napari_pytc.learning.networks.filter_bank import FilterBank
from napari_pytc.learning.networks.starter import N_FEATURES, StarterFeatures, StarterNetwork
from napari_pytc.plans.networks import FilterBankNetwork, FilterUNetNetwork
from napari_pytc.plans.recipes import load_recipe
from tests.support.tissue import make_tissue

SPACES = [VoxelSpace((10, 10, 10)), VoxelSpace((45, 4.6, 4.6))]


def noise(*shape: int) -> torch.Tensor:
    return torch.randn(1, 1, *shape, generator=torch.Generator().manual_seed(0))


def bank(space: VoxelSpace) -> FilterBank:
    torch.manual_seed(0)
    found = FilterBankNetwork(sigmas=(0.7, 2.0), hidden=(8,), starter=True).build(2, space)
    assert isinstance(found, FilterBank)
    sample = found.features(noise(6, 32, 32)).movedim(1, -1).reshape(-1, found.n_features)
    found.fit_normalisation(sample)
    return found.eval()


@pytest.mark.parametrize("space", SPACES, ids=["isotropic", "thick"])
@pytest.mark.parametrize("shape", [(5, 33, 47), (1, 40, 24), (1, 1, 1), (2, 3, 1)])
def test_logits_are_those_of_the_features(space: VoxelSpace, shape: tuple[int, int, int]) -> None:
    network, image = bank(space), noise(*shape)
    features = network.features(image)
    assert features.shape == (1, network.n_features, *shape)
    expected = network.classify(features.movedim(1, -1)).movedim(-1, 1)
    torch.testing.assert_close(network(image), expected, atol=1e-4, rtol=1e-4)


@pytest.mark.slow
@pytest.mark.parametrize("space", SPACES, ids=["isotropic", "thick"])
def test_tiles_give_what_the_whole_gives(space: VoxelSpace) -> None:
    network, shape = bank(space), (6, 203, 171)
    image = noise(*shape)
    whole, features = network(image)[0], network.features(image)[0]
    grid = TileGrid(Box.of_shape(shape), (3, 61, 57), network.halo, alignment=network.alignment)
    for tile in grid:
        block = image[(slice(None), slice(None), *tile.read.slices)]
        inside = (slice(None), *tile.write.slices)
        assert (network(block, inner=tile.inner)[0] - whole[inside]).abs().max() < 1e-3
        assert (network.features(block, inner=tile.inner)[0] - features[inside]).abs().max() < 1e-3


def test_the_halo_is_as_far_as_it_looks() -> None:
    found = StarterFeatures(10.0)
    image = noise(5, 272, 272)[0, 0]
    inner = Box((2, 0, 0), (3, 272, 272))
    before, _ = found(image, inner)
    furthest = 0
    for place in range(128, 136):
        changed = image.clone()
        changed[2, place, place] += 100
        touched = (found(changed, inner)[0] - before).abs().amax((0, 3)).nonzero() * 2
        furthest = max(furthest, place - int(touched.min()) + 2, int(touched.max()) + 3 - place)
    assert furthest <= found.halo[1] < furthest + 8
    assert found.halo == (1, found.halo[1], found.halo[1])


def test_neighbours_are_seen_where_sections_are_thin_only() -> None:
    image = noise(5, 32, 32)[0, 0]
    changed = image.clone()
    changed[3] += 1
    of_third = Box((2, 0, 0), (3, 32, 32))
    for found, sees in ((StarterFeatures(10.0), True), (StarterFeatures(None), False)):
        assert (found(image, of_third)[0].equal(found(changed, of_third)[0])) != sees


def test_they_tell_membranes_from_the_inside() -> None:
    """Without any learning: one of the features alone."""
    tissue = make_tissue((4, 128, 128), n_cells=20)
    raw = torch.from_numpy(tissue.raw.astype("float32"))
    cells, _ = StarterFeatures(None)((raw - raw.mean()) / raw.std(), Box.of_shape(raw.shape))
    membrane = torch.from_numpy(tissue.classes == 1).float()
    share = torch.nn.functional.avg_pool2d(membrane[:, None], 2)[:, 0].flatten()
    of_each = [abs(float(torch.corrcoef(torch.stack([share, one]))[0, 1])) for one in cells.flatten(0, 2).T]
    assert max(of_each) > 0.5


def test_it_never_learns() -> None:
    network = FilterUNetNetwork(sigmas=(0.7,), channels=(8, 16), starter=True).build(2, SPACES[0])
    before = {name: tensor.clone() for name, tensor in network.bank.starter.state_dict().items()}
    network.train()
    optimiser = torch.optim.AdamW([p for p in network.parameters() if p.requires_grad], lr=0.1)
    network(noise(8, 32, 32)).square().mean().backward()
    optimiser.step()
    after = network.bank.starter.state_dict()
    assert before
    assert all(tensor.equal(after[name]) for name, tensor in before.items())


def test_a_model_takes_its_own_copy_along() -> None:
    names = load_recipe("instant").network.build(2, SPACES[0]).state_dict()
    assert any(name.startswith("starter.") for name in names)


def test_plans_from_before_do_without() -> None:
    assert FilterBankNetwork.model_validate({"kind": "filter_bank"}).starter is False
    network = FilterBankNetwork().build(2, SPACES[0])
    assert not any(name.startswith("starter.") for name in network.state_dict())


def test_the_file_says_what_it_is_made_of_and_fits() -> None:
    tensors, notes = load_weights_and_notes(starter.WEIGHTS)
    assert "Janelia" in notes["source"]
    assert "CC BY 3.0" in notes["source"]
    assert {n: t.shape for n, t in tensors.items()} == {n: t.shape for n, t in StarterNetwork().state_dict().items()}
    assert tensors["last.weight"].shape[0] == N_FEATURES
    assert starter.WEIGHTS.stat().st_size < 5e6


def test_a_damaged_file_is_reported(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    damaged = tmp_path / "starter.safetensors"
    damaged.write_bytes(starter.WEIGHTS.read_bytes()[:1000])
    monkeypatch.setattr(starter, "WEIGHTS", damaged)
    starter._weights.cache_clear()
    with pytest.raises(ModelError) as caught:
        StarterFeatures(None)
    starter._weights.cache_clear()
    assert "Install" in caught.value.hint
