"""Mirrored, turned and scaled copies, against references that transform the whole image and compare voxel by voxel."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import product
from typing import Any

import numpy as np
import pytest
import torch
from monai.inferers import sliding_window_inference
from torch import Tensor, nn

from napari_pytc.errors import InvalidInput, OutOfMemory
from napari_pytc.geometry import QUARTER_TURNS, Box, Orientation, Shape
from napari_pytc.learning.machine.precision import Precision
from napari_pytc.learning.networks.network import Network, adapt
from napari_pytc.learning.prediction import inference
from napari_pytc.learning.prediction.activations import OutputActivation
from napari_pytc.learning.prediction.copies import (
    ChannelSource,
    brought_back,
    channel_sources,
    notes_on_sources,
    oriented,
    with_reach,
)
from napari_pytc.learning.prediction.inference import Inferer
from napari_pytc.learning.prediction.scales import ScaleCombination, note_on_scales, scaled_images
from napari_pytc.learning.prediction.tiled import TiledPredictor
from napari_pytc.learning.prediction.window_inferer import WindowInferer
from napari_pytc.learning.prediction.window_predictor import WindowPredictor
from napari_pytc.plans.networks import LeanUNetNetwork, NetworkLimits, UNetNetwork
from napari_pytc.plans.test_time import TtaSettings
from napari_pytc.plans.windows import Windows
from napari_pytc.volumes.roles import (
    AffinityRole,
    BoundaryRole,
    ChannelRole,
    ClassRole,
    DescriptorRole,
    DistanceRole,
    FlowRole,
    ForegroundRole,
)
from tests.learning.prediction.test_activations import ROLES, VECTORS, Gradients, Pairs, noise
from tests.support.contexts import RecordingContext
from tests.support.images import one_channel
from tests.support.learning import space
from tests.support.predictor_contract import Sink, volume

CPU = torch.device("cpu")
NORMALISATION = one_channel(mean=120, std=60, low=-1000, high=1000)
CLASSES = [ClassRole(name="a"), ClassRole(name="b")]
TURN = QUARTER_TURNS[1]

SETTINGS: list[dict[str, Any]] = [
    {"flips": "all"},
    {"flips": ["y", "zx"], "combine": "min"},
    {"turns": True},
    {"flips": "all", "turns": True, "combine": "max"},
    {"flips": "plane", "average": "logits"},
    {"turns": True, "combine": "min", "average": "logits"},
    {"turns": True, "exceptions": [{"channels": "1", "combine": "max"}], "combine": "min"},
]
EVERYTHING = [
    *SETTINGS,
    {"scales": [0.6, 1, 1.5]},
    {"flips": ["y"], "turns": True, "scales": [0.75, 1], "combine": "min"},
]


def copies(**settings: Any) -> TtaSettings:
    return TtaSettings.model_validate(settings)


def combined(values: Sequence[Tensor], mode: str) -> Tensor:
    together = torch.stack(list(values))
    return {"mean": together.mean(0), "min": together.amin(0), "max": together.amax(0)}[mode]


def reference(network: nn.Module, image: np.ndarray, tta: TtaSettings, roles: Sequence[ChannelRole]) -> Tensor:
    """The combination of the network's outputs for the whole image, mirrored and turned with numpy."""
    modes, activation, found = tta.combinations(roles), OutputActivation(roles), []
    for axes, k in product([(), *(tuple("zyx".index(a) for a in one) for one in tta.mirrors)], range(4)):
        if k and not tta.turns:
            continue
        turned = np.rot90(np.flip(image, [axis + 1 for axis in axes]), k, axes=(2, 3))
        with torch.no_grad():
            logits = network(torch.from_numpy(turned.copy())[None])[0].numpy()
        back = torch.from_numpy(np.flip(np.rot90(logits, -k, axes=(2, 3)), [axis + 1 for axis in axes]).copy())
        found.append(back if tta.average == "logits" else activation.probabilities(back))
    # Each copy may be there twice, as a half turn and as a mirrored one; all are there as often.
    together = torch.stack([combined([one[n] for one in found], mode) for n, mode in enumerate(modes)])
    return activation.probabilities(together) if tta.average == "logits" else together


def unet(n_outputs: int = 2) -> Network:
    torch.manual_seed(0)
    return UNetNetwork(channels=(4, 8)).build(n_outputs, space()).eval()


class Normed(nn.Module):
    """A network without a finite halo, with outputs so large that averages of logits are others."""

    def __init__(self, n_outputs: int = 2) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.layers = nn.Sequential(
            nn.Conv3d(1, 4, 3, padding=1), nn.InstanceNorm3d(4), nn.ReLU(), nn.Conv3d(4, n_outputs, 3, padding=1)
        )
        with torch.no_grad():
            for parameter in self.parameters():
                parameter *= 3

    def forward(self, image: Tensor) -> Tensor:
        return self.layers(image)


# ---- copies of blocks


@pytest.mark.parametrize("orientation", [*QUARTER_TURNS, Orientation((0, 2), True), Orientation((0,))])
def test_a_copy_is_brought_back(orientation: Orientation) -> None:
    image = torch.arange(60.0).reshape(1, 3, 4, 5)
    assert torch.equal(brought_back(oriented(image, orientation), orientation), image)


@pytest.mark.parametrize("settings", SETTINGS)
def test_a_block_is_as_the_whole_image_mirrored_and_turned(settings: dict[str, Any]) -> None:
    tta, network, image = copies(**settings), unet(), noise(4, 8, 12)
    inferer = Inferer(network, network.limits(), CPU, Precision(), tta=tta, roles=CLASSES)
    box = Box((1, 2, 3), (4, 8, 9))
    expected = reference(network, image, tta, CLASSES)
    assert (inferer(image, box) - expected[(slice(None), *box.slices)]).abs().max() < 1e-5


@pytest.mark.parametrize("settings", SETTINGS)
@pytest.mark.parametrize("average", ["probabilities", "logits"])
def test_windows_are_as_the_whole_image_mirrored_and_turned(settings: dict[str, Any], average: Any) -> None:
    if settings.get("average") == "logits" != average:
        with pytest.raises(InvalidInput, match="before their activation"):
            WindowInferer(adapt(Normed()), Windows(shape=(4, 8, 8)), CPU, Precision(), tta=copies(**settings))
        return
    tta, image = copies(**{"average": "probabilities", **settings}), noise(6, 12, 16)
    windows = Windows(shape=(4, 8, 8), average=average, batch_size=2)
    network, activation = adapt(Normed()).eval(), OutputActivation(CLASSES)

    def blended(batch: Tensor) -> Tensor:
        of_logits = average == "logits"
        found = sliding_window_inference(
            batch,
            windows.shape,
            2,
            network if of_logits else lambda one: activation.probabilities(network(one)),
            overlap=0.5,
            mode="gaussian",
        )
        # What `reference` makes probabilities of, where it combines these: as the activation is one to one.
        return found if of_logits else found.log() if tta.average == "probabilities" else found

    expected = reference(blended, image, tta, CLASSES)  # type: ignore[arg-type]
    whole = Box.of_shape(image.shape[1:])
    inferer = WindowInferer(network, windows, CPU, Precision(), tta=tta, roles=CLASSES)
    box = Box((1, 2, 3), (5, 12, 11))
    found = inferer.predict_box(lambda part: image[(..., *part.slices)], box, whole)
    assert (found - expected[(slice(None), *box.slices)]).abs().max() < 1e-5


# ---- channels with a direction


def brute_force(network: nn.Module, image: np.ndarray, tta: TtaSettings, offsets: Sequence[Shape]) -> np.ndarray:
    """Affinities by pairs: what every copy says of two voxels, wherever it says it; those without a partner are NaN."""
    shape = image.shape[1:]
    told: dict[tuple[int, int, int], list[float]] = {}
    numbers = np.arange(image.size).reshape(shape)
    for orientation in tta.orientations:
        copy = oriented(torch.from_numpy(image), orientation)[None].contiguous()
        which = oriented(torch.from_numpy(numbers), orientation).numpy()
        with torch.no_grad():
            found = network(copy)[0].sigmoid().numpy()
        for channel, offset in enumerate(offsets):
            length = tuple(abs(n) for n in _step(orientation, offset))
            for voxel in np.ndindex(*which.shape):
                other = tuple(a + b for a, b in zip(voxel, offset, strict=True))
                if all(0 <= a < n for a, n in zip(other, which.shape, strict=True)):
                    pair = sorted((int(which[voxel]), int(which[other])))
                    told.setdefault((*pair, hash(length)), []).append(float(found[(channel, *voxel)]))
    result = np.full((len(offsets), *shape), np.nan)
    for channel, offset in enumerate(offsets):
        for voxel in np.ndindex(*shape):
            other = tuple(a + b for a, b in zip(voxel, offset, strict=True))
            if all(0 <= a < n for a, n in zip(other, shape, strict=True)):
                pair = sorted((int(numbers[voxel]), int(numbers[other])))
                values = told[(*pair, hash(tuple(abs(n) for n in offset)))]
                result[(channel, *voxel)] = {"mean": np.mean, "min": np.min, "max": np.max}[tta.combine](values)
    return result


def _step(orientation: Orientation, offset: Shape) -> Shape:
    z, y, x = offset
    return (z, x, y) if orientation.swapped else offset


AFFINITIES = [(-1, 0, 0), (0, -1, 0), (0, 0, -1), (0, 0, 3), (0, -2, 2), (0, 2, 2), (1, -1, 0)]
DIRECTED = [
    {"flips": "all"},
    {"flips": "all", "combine": "min"},
    {"turns": True},
    {"turns": True, "combine": "min"},
    {"flips": "all", "turns": True, "combine": "max"},
]


def affinity_network() -> Network:
    torch.manual_seed(1)
    network = adapt(nn.Conv3d(1, len(AFFINITIES), 3, padding=1)).eval()
    return network


@pytest.mark.parametrize("settings", DIRECTED)
def test_affinities_of_copies_are_those_of_the_same_pairs(settings: dict[str, Any]) -> None:
    tta, image, network = copies(**settings), noise(4, 7, 6), affinity_network()
    roles = [AffinityRole(offset=offset) for offset in AFFINITIES]
    expected = brute_force(network, image, tta, AFFINITIES)
    limits = NetworkLimits(halo=(1, 1, 1), alignment=(1, 1, 1))
    found = Inferer(network, limits, CPU, Precision(), tta=tta, roles=roles)(image, Box.of_shape(image.shape[1:]))
    where = np.isfinite(expected)
    assert where.any(axis=(1, 2, 3)).all()
    assert np.abs(found.numpy()[where] - expected[where]).max() < 1e-5
    assert torch.isfinite(found).all()


@pytest.mark.parametrize("settings", DIRECTED)
def test_affinities_in_a_single_window_are_those_of_the_same_pairs(settings: dict[str, Any]) -> None:
    tta, image, network = copies(**settings), noise(4, 6, 6), affinity_network()
    roles = [AffinityRole(offset=offset) for offset in AFFINITIES]
    expected = brute_force(network, image, tta, AFFINITIES)
    whole = Box.of_shape(image.shape[1:])
    inferer = WindowInferer(network, Windows(shape=(4, 6, 6)), CPU, Precision(), tta=tta, roles=roles)
    found = inferer.predict_box(lambda box: image[(slice(None), *box.slices)], whole, whole)
    where = np.isfinite(expected)
    assert np.abs(found.numpy()[where] - expected[where]).max() < 1e-5
    assert torch.isfinite(found).all()


def test_a_mirrored_channel_answers_at_its_partner() -> None:
    taken = channel_sources(ROLES, Orientation((0,)))
    assert taken[0] == ChannelSource(0, (-1, 0, 0))
    assert taken[1:5] == [ChannelSource(n, (0, 0, 0)) for n in range(1, 5)]
    assert taken[5] is None  # its mirror image is no channel
    assert taken[6] == ChannelSource(6, (0, 0, 0))


def test_a_diagonal_finds_the_one_that_it_becomes() -> None:
    taken = channel_sources(ROLES, Orientation((1,)))
    assert taken[3] == ChannelSource(4, (0, 0, 0))
    assert taken[4] == ChannelSource(3, (0, 0, 0))
    taken = channel_sources(ROLES, Orientation((2,)))
    assert taken[3] == ChannelSource(4, (0, -2, 2))
    assert taken[4] == ChannelSource(3, (0, 2, 2))
    assert channel_sources(ROLES, Orientation((1, 2)))[4] == ChannelSource(4, (0, 2, 2))


def test_a_turned_channel_is_that_of_the_other_axis_and_left_out_where_there_is_none() -> None:
    taken = channel_sources(ROLES, TURN)
    assert taken[0] == ChannelSource(0, (0, 0, 0))
    assert taken[1] is None  # no channel along x reaches one voxel
    assert taken[2] is None  # none along y reaches three
    assert {source.channel for source in taken[3:5] if source is not None} == {3, 4}
    assert taken[5] is None
    assert channel_sources([ForegroundRole(erosion=(0, 1, 2)), BoundaryRole()], TURN) == [
        None,
        ChannelSource(1, (0, 0, 0)),
    ]


def test_channels_that_some_copies_do_not_tell_of_are_noted() -> None:
    (note,) = notes_on_sources(ROLES, range(len(ROLES)), QUARTER_TURNS)
    assert "affinity 0,-1,0 (2), affinity 0,0,+3 (2), affinity +1,-1,0 (1)" in note
    assert notes_on_sources(ROLES, [0, 6], QUARTER_TURNS) == []
    assert notes_on_sources([BoundaryRole()], [0], QUARTER_TURNS) == []


@pytest.mark.parametrize("tta", [copies(turns=True), copies(flips="all", turns=True)])
@pytest.mark.parametrize("combine", ["mean", "min", "max"])
def test_copies_of_a_symmetric_network_change_nothing(tta: TtaSettings, combine: Any) -> None:
    limits, image, inner = (
        NetworkLimits(halo=(1, 2, 3), alignment=(1, 1, 1)),
        noise(7, 9, 11),
        Box((1, 3, 3), (6, 7, 8)),
    )
    tta = tta.model_copy(update={"combine": combine})
    plain, found = (Inferer(Pairs(), limits, CPU, Precision(), tta=one, roles=ROLES) for one in (TtaSettings(), tta))
    assert torch.allclose(found(image, inner), plain(image, inner), atol=1e-6)


@pytest.mark.parametrize("tta", [copies(turns=True), copies(flips=["z", "yx"], turns=True, combine="max")])
def test_turns_turn_the_components_of_vectors(tta: TtaSettings) -> None:
    limits = NetworkLimits(halo=(1, 1, 1), alignment=(1, 1, 1))
    image, inner = noise(7, 9, 11), Box((1, 1, 1), (6, 8, 10))
    plain, found = (
        Inferer(Gradients(), limits, CPU, Precision(), tta=one, roles=VECTORS) for one in (TtaSettings(), tta)
    )
    assert torch.allclose(found(image, inner), plain(image, inner), atol=1e-6)
    wrong = Inferer(Gradients(), limits, CPU, Precision(), tta=tta, roles=[BoundaryRole()] * len(VECTORS))
    assert not torch.allclose(wrong(image, inner)[:3], plain(image, inner)[:3], atol=1e-2)


def test_vectors_without_the_component_along_the_other_axis_are_those_of_fewer_copies() -> None:
    assert channel_sources([FlowRole(axis=1)], TURN) == [None]
    assert channel_sources([FlowRole(axis=0), DescriptorRole(component=9, sigma_nm=80)], TURN) == [
        ChannelSource(0, (0, 0, 0)),
        ChannelSource(1, (0, 0, 0)),
    ]


def test_the_halo_of_copies_holds_partners_and_is_the_same_in_both_axes_of_a_turn() -> None:
    limits = NetworkLimits(halo=(4, 8, 8), alignment=(2, 8, 8))
    assert with_reach(limits, ROLES, copies(flips="all").orientations).halo == (6, 16, 16)
    assert with_reach(limits, ROLES, TtaSettings().orientations) == limits
    assert with_reach(limits, [BoundaryRole()], copies(flips="all").orientations) == limits
    uneven = NetworkLimits(halo=(1, 4, 9), alignment=(1, 4, 6))
    turned = NetworkLimits(halo=(1, 9, 9), alignment=(1, 12, 12))
    assert with_reach(uneven, [BoundaryRole()], QUARTER_TURNS) == turned


def test_windows_that_are_not_square_cannot_be_turned() -> None:
    with pytest.raises(InvalidInput, match="as long along y as along x for it, got 4 x 8 x 12"):
        WindowInferer(adapt(Normed()), Windows(shape=(4, 8, 12)), CPU, Precision(), tta=copies(turns=True))


# ---- scales


def test_scales_are_the_predictions_of_resampled_images_brought_back() -> None:
    tta, network, source = copies(scales=[0.6, 1, 1.5], combine="max"), unet(3), volume((4, 16, 24))
    roles: list[ChannelRole] = [ForegroundRole(), BoundaryRole(), DistanceRole(reach_nm=50)]
    inferer = Inferer(network, network.limits(), CPU, Precision(), roles=roles)
    size = source.space.voxel_size_nm
    scaled = scaled_images(source, tta, size, size)
    assert [one.shape for one in scaled] == [(4, 10, 14), (4, 24, 36)]
    scale_free = [role.is_scale_free for role in roles]
    combination = ScaleCombination(tta.combinations(roles), scale_free)
    sink = Sink(source.shape, 3)
    TiledPredictor(inferer, NORMALISATION, (2, 8, 8), None, scaled, combination).predict(
        source, sink, Box.of_shape(source.shape), RecordingContext()
    )
    found = []
    for image in (source, *scaled):
        whole = Box.of_shape(image.shape)
        probabilities = inferer(NORMALISATION.apply(image.read(whole)), whole)
        if image is not source:
            grid = image.grid.inverse
            probabilities = torch.from_numpy(grid.interpolate(probabilities.numpy(), whole, Box.of_shape(source.shape)))
        found.append(probabilities)
    expected = combined(found, "max")
    expected[2] = found[0][2]  # a distance in nm is another on an image of another scale
    assert np.abs(sink.data - expected.numpy()).max() < 1e-5
    assert np.abs(sink.data[:2] - found[0].numpy()[:2]).max() > 1e-3


def test_channels_that_are_measured_come_from_scale_1_and_none_else_is_refused() -> None:
    tta = copies(scales=[0.75, 1])
    assert note_on_scales([ForegroundRole(), BoundaryRole()], tta) == ""
    assert note_on_scales([AffinityRole(offset=(1, 0, 0))], TtaSettings()) == ""
    note = note_on_scales([ForegroundRole(), AffinityRole(offset=(1, 0, 0)), FlowRole(axis=0)], tta)
    assert note.endswith("come from scale 1 alone: affinity +1,0,0, flow z.")
    with pytest.raises(InvalidInput, match="no effect on any channel"):
        note_on_scales([AffinityRole(offset=(1, 0, 0))], tta)


def test_classes_add_up_to_one_after_a_minimum() -> None:
    values = [
        torch.tensor([[0.7, 0.2], [0.3, 0.8]])[:, :, None, None],
        torch.tensor([[0.4, 0.9], [0.6, 0.1]])[:, :, None, None],
    ]
    found = ScaleCombination(("min",), [True, True], [0, 1])([one.clone() for one in values])
    assert torch.allclose(found.sum(0), torch.ones(2, 1, 1))
    assert torch.allclose(found[0, :, 0, 0], torch.tensor([4 / 7, 2 / 3]))
    apart = ScaleCombination(("min",), [True, True])([one.clone() for one in values])
    assert torch.equal(apart, torch.minimum(*values))


def test_classes_of_which_none_is_in_all_copies_are_as_probable() -> None:
    sure = torch.eye(2)[:, :, None, None]
    values = [sure, sure.flip(0)]  # at either voxel each copy is sure of another class
    found = ScaleCombination(("min",), [True, True], [0, 1])([one.clone() for one in values])
    assert torch.equal(found, torch.full_like(found, 0.5))
    tiny = [1e-20 * torch.ones(2, 1, 1, 1), torch.ones(2, 1, 1, 1)]
    assert torch.equal(ScaleCombination(("min",), [True, True], [0, 1])(tiny), torch.full((2, 1, 1, 1), 0.5))


# ---- predictors with all of it


def predictor(kind: str, tile: Shape, tta: TtaSettings, source: Any, anisotropy: float = 1.0) -> Any:
    options = {"tta": tta, "roles": CLASSES}
    size = source.space.voxel_size_nm
    scaled = scaled_images(source, tta, size, size)
    combination = ScaleCombination(tta.combinations(CLASSES), [True, True], [0, 1])
    if kind == "exact":
        torch.manual_seed(0)
        network = LeanUNetNetwork(channels=(4, 8), convolutions=1).build(2, space(anisotropy)).eval()
        exact = Inferer(network, network.limits(), CPU, Precision(), **options)
        return TiledPredictor(exact, NORMALISATION, tile, None, scaled, combination)
    average = "logits" if tta.average == "logits" else "probabilities"
    windows = Windows(shape=(4, 8, 8), batch_size=2, average=average)
    inferer = WindowInferer(adapt(Normed()).eval(), windows, CPU, Precision(), **options)
    return WindowPredictor(inferer, NORMALISATION, tile, None, scaled, combination)


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["exact", "windows"])
@pytest.mark.parametrize("settings", EVERYTHING)
def test_tiles_are_the_whole_whatever_the_copies(kind: str, settings: dict[str, Any]) -> None:
    shape, tta = (5, 21, 19), copies(**settings)
    source, whole, part = volume(shape), Box.of_shape(shape), Box((1, 5, 3), (5, 20, 18))
    found = []
    for tile, box, focus in (
        (shape, whole, None),
        ((4, 16, 8), whole, (3.0, 20.0, 2.0)),
        ((3, 16, 16), part, None),
    ):
        sink = Sink(shape)
        predictor(kind, tile, tta, source).predict(source, sink, box, RecordingContext(), focus=focus)
        assert np.allclose(sink.data[(slice(None), *box.slices)].sum(axis=0), 1, atol=1e-5)
        found.append(sink.data[(slice(None), *part.slices)])
    for other in found[1:]:
        assert np.abs(other - found[0]).max() < 1e-5
    plain = Sink(shape)
    predictor(kind, shape, TtaSettings(), source).predict(source, plain, whole, RecordingContext())
    assert np.abs(plain.data[(slice(None), *part.slices)] - found[0]).max() > 1e-3, "copies change something"


class LittleMemory(Network):
    """Fails, as where memory runs out, on more voxels than there is room for."""

    def __init__(self, network: nn.Module, n_voxels: int) -> None:
        super().__init__()
        self.network, self.n_voxels = network, n_voxels

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        if image.numel() > self.n_voxels:
            raise RuntimeError("CUDA out of memory. Tried to allocate 20.00 GiB")
        return self.network(image)


@pytest.mark.slow
@pytest.mark.parametrize("settings", [EVERYTHING[-1], {"flips": ["z"], "turns": True, "combine": "max"}])
def test_where_memory_runs_out_copies_give_the_same(settings: dict[str, Any], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(inference, "_LEAST_VOXELS", 64)
    tta, shape = copies(**settings), (12, 40, 48)
    source, network = volume(shape), unet()
    scaled = scaled_images(source, tta, source.space.voxel_size_nm, source.space.voxel_size_nm)
    combination, found, told = ScaleCombination(tta.combinations(CLASSES), [True, True], [0, 1]), [], []
    for one in (network, LittleMemory(network, 12 * 40 * 48 * 2 // 3)):
        inferer = Inferer(one, network.limits(), CPU, Precision(), tta=tta, roles=CLASSES, warn=told.append)
        sink = Sink(shape)
        TiledPredictor(inferer, NORMALISATION, shape, None, scaled, combination).predict(
            source, sink, Box.of_shape(shape), RecordingContext()
        )
        found.append(sink.data)
    assert np.abs(found[0] - found[1]).max() < 1e-5
    assert told
    with pytest.raises(OutOfMemory):
        Inferer(LittleMemory(network, 0), network.limits(), CPU, Precision(), tta=tta)(
            noise(8, 8, 8), Box.of_shape((8, 8, 8))
        )
    windows = Windows(shape=(4, 8, 8), batch_size=4)
    data, whole = noise(8, 20, 20), Box.of_shape((8, 20, 20))
    of_windows = [
        WindowInferer(adapt(one).eval(), windows, CPU, Precision(), tta=tta, roles=CLASSES).predict_box(
            lambda box: data[(slice(None), *box.slices)], whole, whole
        )
        for one in (Normed(), LittleMemory(Normed(), 4 * 8 * 8))
    ]
    assert torch.allclose(*of_windows, atol=1e-6)
