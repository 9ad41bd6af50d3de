"""A network on one block: pieces, flips, precision, and what happens when memory runs out."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from napari_pytc.errors import ModelError, OutOfMemory
from napari_pytc.geometry import Box, Shape
from napari_pytc.learning.machine.precision import Precision
from napari_pytc.learning.networks.network import Network, adapt
from napari_pytc.learning.prediction import inference, network_inferer
from napari_pytc.learning.prediction.inference import Inferer
from napari_pytc.plans.networks import DynUNetNetwork, FilterBankNetwork, UNetNetwork
from tests.support.learning import space, tta_of

CPU = torch.device("cpu")


def unet(anisotropy: float = 1.0) -> nn.Module:
    torch.manual_seed(0)
    return UNetNetwork(channels=(4, 8)).build(3, space(anisotropy)).eval()


def noise(shape: Shape, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).normal(size=(1, *shape)).astype(np.float32)


def inferer(network: nn.Module, **options: object) -> Inferer:
    return Inferer(network, network.limits(), CPU, Precision(), **options)


def test_it_is_the_softmax_of_the_network() -> None:
    network, image = unet(), noise((8, 12, 16))
    found = inferer(network)(image, Box((1, 2, 3), (7, 9, 16)))
    with torch.no_grad():
        expected = network(torch.from_numpy(image)[None])[0].softmax(0)[:, 1:7, 2:9, 3:16]
    assert found.dtype == torch.float32
    assert torch.allclose(found, expected, atol=1e-6)


def test_a_block_that_no_stride_divides_is_mirrored_at_its_end() -> None:
    network, image = unet(), noise((3, 5, 7))
    found = inferer(network)(image, Box.of_shape(image.shape[1:]))
    padded = np.pad(image, [(0, 0), (0, 1), (0, 1), (0, 1)], "symmetric")
    with torch.no_grad():
        expected = network(torch.from_numpy(padded)[None])[0].softmax(0)[:, :3, :5, :7]
    assert torch.allclose(found, expected, atol=1e-6)


def test_flips_average_the_mirrored_predictions() -> None:
    network, image = unet(), noise((4, 6, 8))
    found = inferer(network, tta=tta_of(True))(image, Box.of_shape(image.shape[1:]))
    block = torch.from_numpy(image)[None]
    total = torch.zeros(3, 4, 6, 8)
    with torch.no_grad():
        for axes in ([], [2], [3], [4], [2, 3], [2, 4], [3, 4], [2, 3, 4]):
            total += network(block.flip(axes)).flip(axes)[0].softmax(0)
    assert torch.allclose(found, total / 8, atol=1e-6)
    mirrored = inferer(network, tta=tta_of(True))(image[:, :, ::-1].copy(), Box.of_shape(image.shape[1:]))
    assert torch.allclose(mirrored.flip(2), found, atol=1e-6)


def test_one_section_is_not_flipped_along_its_depth() -> None:
    class Counting(nn.Conv3d):
        n_calls = 0

        def forward(self, image: torch.Tensor) -> torch.Tensor:
            self.n_calls += 1
            return super().forward(image)

    network: Any = adapt(Counting(1, 2, 1)).eval()
    found = inferer(network, tta=tta_of(True))
    network.n_calls = 0
    found(noise((1, 4, 4)), Box.of_shape((1, 4, 4)))
    assert network.n_calls == 4


class LittleMemory(Network):
    """A network that fails, as where memory runs out, on blocks larger than there is room for."""

    def __init__(self, network: nn.Module, n_voxels: int, error: type[Exception] = RuntimeError) -> None:
        super().__init__()
        self.network, self.n_voxels, self.error = network, n_voxels, error
        self.sizes: list[int] = []

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        self.sizes.append(image.numel())
        if image.numel() > self.n_voxels:
            raise self.error("CUDA out of memory. Tried to allocate 20.00 GiB")
        return self.network(image)


@pytest.mark.slow
@pytest.mark.parametrize("error", [RuntimeError, MemoryError, torch.OutOfMemoryError])
@pytest.mark.parametrize("flips", [False, True])
def test_pieces_give_the_same_when_memory_runs_out(
    flips: bool, error: type[Exception], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(inference, "_LEAST_VOXELS", 64)
    network = unet()
    limits = network.limits()
    image, inner = noise((22, 40, 52)), Box((3, 5, 2), (20, 40, 50))
    expected = Inferer(network, limits, CPU, Precision(), tta=tta_of(flips))(image, inner)
    told: list[str] = []
    short = LittleMemory(network, 22 * 40 * 52 // 3, error)
    found = Inferer(short, limits, CPU, Precision(), tta=tta_of(flips), warn=told.append)
    assert torch.allclose(found(image, inner), expected, atol=1e-6)
    assert told
    assert all("Out of memory with a tile in" in sentence for sentence in told)
    n_told, n_calls = len(told), len(short.sizes)
    # What was learnt is kept: the next block fails no more.
    assert torch.allclose(found(image, inner), expected, atol=1e-6)
    assert len(told) == n_told
    assert max(short.sizes[n_calls:]) <= short.n_voxels


@pytest.mark.slow
def test_the_smallest_pieces_too_large_is_one_clear_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(inference, "_LEAST_VOXELS", 64)
    network = unet()
    found = Inferer(LittleMemory(network, 0), network.limits(), CPU, Precision())
    with pytest.raises(OutOfMemory, match="even in") as caught:
        found(noise((8, 8, 8)), Box.of_shape((8, 8, 8)))
    assert "tile_shape" in caught.value.hint


def test_then_the_cpu(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(inference, "_LEAST_VOXELS", 64)

    class NoMemoryOnDevice(LittleMemory):
        """Stands for a GPU: nothing fits until the network is moved."""

        def to(self, device: torch.device) -> nn.Module:  # type: ignore[override]
            self.n_voxels = 10**9
            return super().to(device)

    network, told = unet(), []
    image, inner = noise((8, 16, 16)), Box.of_shape((8, 16, 16))
    expected = inferer(network)(image, inner)
    found = Inferer(NoMemoryOnDevice(network, 0), network.limits(), CPU, Precision("bf16"), warn=told.append)
    found.device = FakeGpu()
    monkeypatch.setattr(torch, "from_numpy", _from_numpy_of_fake(torch.from_numpy))
    monkeypatch.setattr(inference, "autocast_for", lambda *_: torch.autocast("cpu", enabled=False))
    monkeypatch.setattr(network_inferer, "release_memory", lambda _: None)
    assert torch.allclose(found(image, inner), expected, atol=1e-6)
    assert told[-1] == "Out of memory on fake even in small pieces; going on with the CPU."
    assert found.device == CPU
    assert found.precision == Precision()


class FakeGpu:
    type = "fake"

    def __str__(self) -> str:
        return "fake"


def _from_numpy_of_fake(real):
    class Moved:
        def __init__(self, tensor: torch.Tensor) -> None:
            self.tensor = tensor

        def __getitem__(self, key: object) -> Moved:
            return Moved(self.tensor[key])

        def to(self, device: object) -> torch.Tensor:
            return self.tensor

    return lambda array: Moved(real(array))


def test_another_error_passes_through() -> None:
    class Broken(LittleMemory):
        def forward(self, image: torch.Tensor) -> torch.Tensor:
            raise RuntimeError("expected 1 channel")

    network = unet()
    told: list[str] = []
    found = Inferer(Broken(network, 0), network.limits(), CPU, Precision(), warn=told.append)
    with pytest.raises(RuntimeError, match="expected 1 channel"):
        found(noise((4, 4, 4)), Box.of_shape((4, 4, 4)))
    assert not told


class Overflowing(Network):
    """Not finite in bf16 only."""

    def __init__(self, network: nn.Module, always: bool) -> None:
        super().__init__()
        self.network, self.always = network, always

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        logits = self.network(image)
        return logits * float("nan") if self.always or torch.is_autocast_enabled("cpu") else logits


def test_what_is_not_finite_in_bf16_is_computed_in_float32() -> None:
    network, told = unet(), []
    image, inner = noise((4, 8, 8)), Box.of_shape((4, 8, 8))
    found = Inferer(Overflowing(network, False), network.limits(), CPU, Precision("bf16"), warn=told.append)
    assert torch.allclose(found(image, inner), inferer(network)(image, inner), atol=1e-5)
    assert told == ["Not all probabilities were finite in bf16; going on in float32."]
    found(image, inner)
    assert len(told) == 1
    assert found.precision.number_format == "float32"


def test_what_is_not_finite_in_float32_is_an_error() -> None:
    network = unet()
    found = Inferer(Overflowing(network, True), network.limits(), CPU, Precision())
    with pytest.raises(ModelError, match="not finite numbers") as caught:
        found(noise((4, 8, 8)), Box.of_shape((4, 8, 8)))
    assert "learning_rate" in caught.value.hint


@pytest.mark.parametrize(
    "settings",
    [UNetNetwork(channels=(4, 8)), DynUNetNetwork(channels=(4, 8, 8)), FilterBankNetwork(sigmas=(0.7, 1.6))],
    ids=lambda settings: settings.kind,
)
def test_channels_last_is_the_same(settings) -> None:
    torch.manual_seed(0)
    network = settings.build(2, space(2)).eval()
    limits = network.limits()
    image, inner = noise((4, 16, 16)), Box.of_shape((4, 16, 16))
    plain = Inferer(network, limits, CPU, Precision())(image, inner)
    last = Precision("float32", channels_last=True)
    last.place_network(network)
    assert torch.allclose(Inferer(network, limits, CPU, last)(image, inner), plain, atol=1e-5)
