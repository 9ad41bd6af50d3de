"""Windows: equal to MONAI's, whatever is predicted together, also where memory runs out."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from monai.inferers import sliding_window_inference
from torch import Tensor, nn

from napari_pytc.errors import ModelError, OutOfMemory
from napari_pytc.geometry import Box, Shape, TileGrid
from napari_pytc.learning.machine.precision import Precision
from napari_pytc.learning.networks.network import Network, adapt, build_network
from napari_pytc.learning.prediction import window_inferer
from napari_pytc.learning.prediction.activations import OutputActivation
from napari_pytc.learning.prediction.copies import is_directed
from napari_pytc.learning.prediction.window_blending import RollingArray, blending_weights
from napari_pytc.learning.prediction.window_inferer import WindowInferer, read_mirrored
from napari_pytc.plans.networks import MonaiBasicUNetNetwork
from napari_pytc.plans.windows import Average, Blending, Windows
from napari_pytc.volumes.roles import AffinityRole, ChannelRole, ClassRole, ForegroundRole, InstanceDistanceRole
from tests.support.learning import space, tta_of

CPU = torch.device("cpu")


class Normed(nn.Module):
    """A network without a finite halo: instance norm between two convolutions."""

    def __init__(self, n_inputs: int = 1, n_outputs: int = 2) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.layers = nn.Sequential(
            nn.Conv3d(n_inputs, 4, 3, padding=1), nn.InstanceNorm3d(4), nn.ReLU(), nn.Conv3d(4, n_outputs, 3, padding=1)
        )

    def forward(self, image: Tensor) -> Tensor:
        return self.layers(image)


def normed(n_inputs: int = 1, n_outputs: int = 2) -> Network:
    return adapt(Normed(n_inputs, n_outputs)).eval()


def sure(network: Network) -> Network:
    """With outputs so large that averages of probabilities and of logits differ."""
    with torch.no_grad():
        for parameter in network.parameters():
            parameter *= 4
    return network


def image(shape: Shape, n_channels: int = 1) -> np.ndarray:
    return np.random.default_rng(0).normal(size=(n_channels, *shape)).astype(np.float32)


def predict(inferer: WindowInferer, data: np.ndarray, box: Box | None = None) -> Tensor:
    whole = Box.of_shape(data.shape[1:])
    return inferer.predict_box(lambda part: data[(..., *part.slices)], box or whole, whole)


def monai(network: nn.Module, data: np.ndarray, windows: Windows, mirrored: Shape = (0, 0, 0)) -> Tensor:
    """MONAI's blending of probabilities, or of logits whose probabilities are taken then."""
    of_logits = windows.average == "logits"
    padded = np.pad(data, [(0, 0), *((n // 2, n - n // 2) for n in mirrored)], "symmetric")
    with torch.inference_mode():
        found = sliding_window_inference(
            torch.from_numpy(padded)[None],
            windows.shape,
            windows.batch_size,
            network if of_logits else lambda batch: network(batch).softmax(1),
            overlap=windows.overlap,
            mode=windows.blending,
        )[0]
    found = found.softmax(0) if of_logits else found
    return found[(..., *(slice(n // 2, n // 2 + m) for n, m in zip(mirrored, data.shape[1:], strict=True)))]


@pytest.mark.parametrize("average", ["probabilities", "logits"])
@pytest.mark.parametrize("blending", ["gaussian", "constant"])
@pytest.mark.parametrize(
    ("shape", "window", "overlap"),
    [((12, 30, 21), (8, 8, 8), 0.5), ((9, 17, 30), (4, 16, 12), 0.25), ((20, 8, 8), (8, 8, 8), 0.7)],
)
def test_windows_equal_those_of_monai(
    average: Average, blending: Blending, shape: Shape, window: Shape, overlap: float
) -> None:
    windows = Windows(shape=window, overlap=overlap, blending=blending, average=average, batch_size=2)
    network, data = sure(normed(2)), image(shape, 2)
    found = predict(WindowInferer(network, windows, CPU, Precision()), data)
    assert (found - monai(network, data, windows)).abs().max() < 1e-5


def test_averages_of_logits_are_others_than_those_of_probabilities() -> None:
    network, data = sure(normed()), image((9, 17, 30))
    of = {
        average: predict(WindowInferer(network, Windows(shape=(4, 16, 12), average=average), CPU, Precision()), data)
        for average in ("probabilities", "logits")
    }
    assert (of["probabilities"] - of["logits"]).abs().max() > 1e-2


def test_the_activation_of_each_channel_comes_after_the_average_of_logits() -> None:
    roles: list[ChannelRole] = [
        ClassRole(name="a", activation="softmax"),
        ForegroundRole(),
        InstanceDistanceRole(activation="none"),
        ClassRole(name="b", activation="softmax"),
    ]
    windows = Windows(shape=(4, 8, 8), average="logits", batch_size=2)
    network, data = normed(n_outputs=4), image((6, 12, 10))
    found = predict(WindowInferer(network, windows, CPU, Precision(), roles=roles, kept=[1, 2, 3]), data)
    with torch.inference_mode():
        logits = sliding_window_inference(
            torch.from_numpy(data)[None], windows.shape, 2, network, overlap=0.5, mode="gaussian"
        )
    assert (found - OutputActivation(roles).probabilities(logits[0])[1:]).abs().max() < 1e-5
    some = predict(
        WindowInferer(network, windows, CPU, Precision(), roles=roles, kept=[1, 2, 3]), data, Box((1, 2, 3), (5, 9, 9))
    )
    assert torch.equal(some, found[:, 1:5, 2:9, 3:9])


def test_a_basic_unet_equals_monais_windows() -> None:
    torch.manual_seed(0)
    network = build_network(MonaiBasicUNetNetwork(channels=(4, 4, 4, 4, 4, 4)), 2, space()).eval()
    windows, data = Windows(shape=(16, 32, 16), batch_size=2), image((20, 50, 33))
    found = predict(WindowInferer(network, windows, CPU, Precision()), data)
    assert (found - monai(network, data, windows)).abs().max() < 1e-5


def test_a_volume_shorter_than_a_window_is_mirrored_as_in_training() -> None:
    windows, data = Windows(shape=(8, 8, 8)), image((3, 5, 12))
    network = normed()
    found = predict(WindowInferer(network, windows, CPU, Precision()), data)
    assert (found - monai(network, data, windows, mirrored=(5, 3, 0))).abs().max() < 1e-5
    whole = Box.of_shape((3, 5, 12))
    seen = read_mirrored(Box((-2, 0, 0), (4, 5, 12)), lambda box: data[(..., *box.slices)], whole)
    assert np.array_equal(seen[:, :2], data[:, [1, 0]])
    assert np.array_equal(seen[:, -1], data[:, 2])


@pytest.mark.slow
@settings(max_examples=15)
@given(
    shape=st.tuples(st.integers(2, 14), st.integers(4, 30), st.integers(4, 30)),
    window=st.tuples(st.integers(2, 6), st.integers(4, 12), st.integers(4, 12)),
    overlap=st.sampled_from([0.0, 0.25, 0.5, 0.75]),
    blending=st.sampled_from(["gaussian", "bump", "constant"]),
    batch_size=st.integers(1, 5),
    tile=st.tuples(st.integers(1, 14), st.integers(3, 30), st.integers(3, 30)),
    flips=st.booleans(),
)
def test_a_voxel_does_not_depend_on_what_is_predicted_with_it(
    shape, window, overlap, blending, batch_size, tile, flips
) -> None:
    windows = Windows(shape=window, overlap=overlap, blending=blending, batch_size=batch_size)
    inferer, data = WindowInferer(normed(), windows, CPU, Precision(), tta=tta_of(flips)), image(shape)
    whole = predict(inferer, data)
    assert torch.allclose(whole.sum(0), torch.ones(shape), atol=1e-5)
    for part in TileGrid(Box.of_shape(shape), tile):
        found = predict(inferer, data, part.write)
        assert torch.equal(found, whole[(slice(None), *part.write.slices)])


def test_boxes_of_a_sweep_equal_each_alone() -> None:
    shape, windows = (30, 12, 10), Windows(shape=(6, 8, 8), batch_size=3)
    inferer, data, whole = WindowInferer(normed(), windows, CPU, Precision()), image(shape), Box.of_shape(shape)
    # They may touch, overlap, or leave a gap.
    boxes = [Box((z0, 2, 1), (z1, 9, 10)) for z0, z1 in [(0, 3), (3, 9), (8, 12), (20, 30)]]
    reads: list[Box] = []

    def read(box: Box) -> np.ndarray:
        reads.append(box)
        return data[(..., *box.slices)]

    slabs = window_inferer.iter_slabs(inferer.slabs(boxes, whole), read, whole)
    found = list(inferer.sweep(slabs, boxes, whole))
    for box, one in zip(boxes, found, strict=True):
        assert torch.equal(one, predict(inferer, data, box))
    rows = [row for box in reads for row in range(box.start[0], box.stop[0])]
    assert len(rows) == len(set(rows))  # nothing is read twice


@pytest.mark.parametrize("average", ["probabilities", "logits"])
def test_flips_average_mirrored_windows(average: Average) -> None:
    windows, data = Windows(shape=(4, 8, 8), average=average, batch_size=2), image((4, 8, 8))
    network = sure(normed())
    found = predict(WindowInferer(network, windows, CPU, Precision(), tta=tta_of(True)), data)
    block, total = torch.from_numpy(data)[None], torch.zeros(1, 2, 4, 8, 8)
    with torch.no_grad():
        for axes in ([], [2], [3], [4], [2, 3], [2, 4], [3, 4], [2, 3, 4]):
            logits = network(block.flip(axes)).flip(axes)
            total += logits if average == "logits" else logits.softmax(1)
    mean = total[0] / 8
    assert torch.allclose(found, mean.softmax(0) if average == "logits" else mean, atol=1e-6)


@pytest.mark.parametrize("average", ["probabilities", "logits"])
def test_flips_of_affinities_are_looked_up_at_their_partner(average: Average) -> None:
    roles: list[ChannelRole] = [AffinityRole(offset=(0, 0, -1)), AffinityRole(offset=(0, -1, 0))]

    class Edges(nn.Module):
        """The affinity of a voxel and the one before it, of an image of steps: large where both are alike."""

        def __init__(self) -> None:
            super().__init__()
            self.weight = nn.Parameter(torch.zeros(1))

        def forward(self, batch: Tensor) -> Tensor:
            found = []
            for axis in (4, 3):
                before = batch.roll(1, axis)
                before.narrow(axis, 0, 1).copy_(batch.narrow(axis, 0, 1))
                found.append(4 - 8 * (batch - before).abs())
            return torch.cat(found, 1)

    data = np.zeros((1, 4, 8, 8), np.float32)
    data[..., 5:] = 1
    data[:, :, 3:] += 2
    windows = Windows(shape=(4, 8, 8), average=average)
    plain, flipped = (
        predict(WindowInferer(adapt(Edges()), windows, CPU, Precision(), tta=tta_of(flips), roles=roles), data)
        for flips in (False, True)
    )
    inner = (slice(None), slice(None), slice(1, None), slice(1, None))
    assert torch.allclose(plain[inner], flipped[inner], atol=1e-6)
    assert is_directed(roles, tta_of(True).orientations)


class Short(nn.Module):
    """Fails with batches of more than so many windows, as a device without memory."""

    def __init__(self, most: int) -> None:
        super().__init__()
        self.inner, self.most = Normed(), most

    def forward(self, batch: Tensor) -> Tensor:
        if len(batch) > self.most:
            raise RuntimeError("CUDA out of memory.")
        return self.inner(batch)


def test_fewer_windows_at_a_time_where_memory_runs_out() -> None:
    told: list[str] = []
    windows, data = Windows(shape=(4, 8, 8), batch_size=4), image((8, 20, 20))
    found = predict(WindowInferer(adapt(Short(1)), windows, CPU, Precision(), warn=told.append), data)
    expected = predict(WindowInferer(normed(), windows, CPU, Precision()), data)
    assert (found - expected).abs().max() < 1e-5
    assert [sentence.split(";")[1] for sentence in told] == [" trying 2.", " trying 1."]


def test_too_little_memory_for_one_window_is_an_error() -> None:
    windows = Windows(shape=(4, 8, 8), batch_size=2)
    with pytest.raises(OutOfMemory, match="one window of 4 x 8 x 8"):
        predict(WindowInferer(adapt(Short(0)), windows, CPU, Precision()), image((8, 20, 20)))


def test_values_that_are_not_finite_are_an_error() -> None:
    network = normed()
    nn.init.constant_(next(network.parameters()), float("nan"))
    with pytest.raises(ModelError, match="not finite"):
        predict(WindowInferer(network, Windows(shape=(4, 8, 8)), CPU, Precision()), image((4, 8, 8)))


@pytest.mark.parametrize("shape", [(4, 8, 8), (1, 5, 7)])
@pytest.mark.parametrize("blending", ["gaussian", "bump", "constant"])
def test_weights_are_symmetric_largest_in_the_middle_and_nowhere_0(shape: Shape, blending: Blending) -> None:
    weights = blending_weights(shape, blending)
    assert weights.shape == shape
    assert weights.dtype == torch.float32
    assert torch.allclose(weights, weights.flip([0, 1, 2]))
    assert float(weights.min()) >= 1e-3 - 1e-9
    assert float(weights.max()) == float(weights[tuple(n // 2 for n in shape)])


@given(st.lists(st.tuples(st.integers(0, 4), st.integers(1, 9)), min_size=1, max_size=12), st.integers(0, 2))
def test_rows_of_a_rolling_array_stay_until_they_are_dropped(steps: list[tuple[int, int]], axis: int) -> None:
    cross = Box((2, 2, 2), (5, 5, 5))
    rolling, expected = RollingArray(1, cross, axis, CPU), np.zeros(200)
    low = high = 0
    for forward, length in steps:
        low = min(low + forward, high) if high else low
        high = max(high, low + length)
        rolling.cover(low, high)
        start, stop = list(cross.start), list(cross.stop)
        start[axis], stop[axis] = low, high
        box = Box((start[0], start[1], start[2]), (stop[0], stop[1], stop[2]))
        dim = axis + 1
        found = rolling.view(box).movedim(dim, 1)[0, :, 0, 0].numpy()
        assert np.array_equal(found, expected[low:high])
        rolling.view(box).add_(1)
        expected[low:high] += 1
