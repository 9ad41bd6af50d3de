from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from napari_pytc.errors import ModelError
from napari_pytc.geometry import Box
from napari_pytc.learning.data.training_image import TrainingImage
from napari_pytc.learning.data.volume_data import VolumeData
from napari_pytc.learning.live.live_network import LiveNetwork
from napari_pytc.learning.live.stroke_split import StrokeSplit, TrainingStrokes
from napari_pytc.plans.networks import FilterUNetNetwork
from tests.support.contexts import RecordingContext
from tests.support.images import memory_image, one_channel
from tests.support.learning import CLASSES
from tests.support.live import LiveProject, tiny_network

NORMALISATION = one_channel(mean=128, std=50, low=0, high=255)
HELD_OUT = Box((0, 0, 0), (6, 64, 24))


@pytest.fixture
def project(tmp_path: Path) -> LiveProject:
    return LiveProject(tmp_path)


def make_data(project: LiveProject) -> VolumeData:
    split = StrokeSplit(project.store, 2, (HELD_OUT,))
    split.refresh()
    source = memory_image(project.tissue.raw, project.tissue.space)
    strokes = TrainingStrokes(source.shape, list(split.chunks.values()), split.revision)
    return VolumeData(source, strokes, CLASSES, (HELD_OUT,), project.tissue.space)


def make_network(project: LiveProject, ctx: RecordingContext | None = None, **changes: object) -> LiveNetwork:
    data = make_data(project)
    image = TrainingImage(data.source, NORMALISATION, (HELD_OUT,))
    unmasked = TrainingImage(data.source, NORMALISATION)
    plan = tiny_network(guess_weight=0.0, learning_rate=0.01, **changes)
    network = LiveNetwork(plan, data, image, unmasked, project.root / "run", ctx or RecordingContext())
    network.set_data(data, None)
    return network


def train(network: LiveNetwork, n_steps: int = 1) -> None:
    last = network.step + n_steps
    network.fit(lambda: network.step < last)


@pytest.mark.slow
def test_the_loss_falls_and_the_prediction_is_right(project: LiveProject) -> None:
    ctx = RecordingContext()
    network = make_network(project, ctx)

    try:
        train(network, 60)
    finally:
        network.stop_batches()

    curve = ctx.curve("network/loss")
    assert network.step == 60
    assert np.mean(curve[-2:]) < 0.7 * curve[0]
    box = Box((2, 0, 0), (3, 64, 64))
    found = network.predict(network.average(), box).argmax(0).numpy() + 1
    assert (found == project.tissue.classes[box.slices]).mean() > 0.7


@pytest.mark.slow
def test_strokes_painted_between_steps_are_trained_on(project: LiveProject, monkeypatch: pytest.MonkeyPatch) -> None:
    network = make_network(project)
    seen: list[torch.Tensor] = []
    try:
        train(network)
        project.store.write(project.whole, np.zeros(project.whole.shape, np.uint8))
        project.store.paint(Box((0, 0, 30), (6, 64, 40)), 1)
        project.store.paint(Box((0, 0, 44), (6, 64, 54)), 2)
        network.set_data(make_data(project), None)
        train(network, 2)  # batches that were made ahead
        step = network._module.training_step  # type: ignore[union-attr]
        monkeypatch.setattr(network._module, "training_step", lambda batch: (seen.append(batch.labels), step(batch))[1])
        train(network, 4)
    finally:
        network.stop_batches()

    counts = torch.bincount(torch.cat([labels.ravel() for labels in seen]), minlength=3)
    assert counts[1] > 200  # these strokes are wide; the ones before were thin lines
    assert counts[2] > 200


@pytest.mark.slow
def test_no_held_out_voxel_enters_a_batch(project: LiveProject, monkeypatch: pytest.MonkeyPatch) -> None:
    bright = project.tissue.raw.copy()
    bright[HELD_OUT.slices] = 255
    bright[:, :, 24:] = np.minimum(bright[:, :, 24:], 200)
    project.tissue.raw[:] = bright
    network = make_network(project)
    seen: list[torch.Tensor] = []

    try:
        train(network)
        step = network._module.training_step  # type: ignore[union-attr]
        monkeypatch.setattr(network._module, "training_step", lambda batch: (seen.append(batch.image), step(batch))[1])
        train(network, 10)
    finally:
        network.stop_batches()

    assert len(seen) == 10
    assert max(float(image.max()) for image in seen) < NORMALISATION.apply(np.array([201.0]))[0]


@pytest.mark.slow
def test_out_of_memory_takes_a_smaller_patch_and_goes_on(project: LiveProject, monkeypatch: pytest.MonkeyPatch) -> None:
    ctx = RecordingContext()
    network = make_network(project, ctx, batch_size=2)
    train(network)
    step, failures = network._module.training_step, [True]  # type: ignore[union-attr]

    def scarce(batch: object) -> torch.Tensor:
        if failures:
            failures.pop()
            raise torch.OutOfMemoryError("out of memory")
        return step(batch)  # type: ignore[arg-type]

    monkeypatch.setattr(network._module, "training_step", scarce)
    try:
        train(network)
    finally:
        network.stop_batches()

    assert network.step == 2
    assert "Out of memory" in ctx.warnings[0]


def test_it_starts_from_the_instant_models_weights(project: LiveProject) -> None:
    network = make_network(project)
    bank = {name: torch.full_like(tensor, 0.5) for name, tensor in network.network.bank.state_dict().items()}

    network.start_from_bank(bank, torch.zeros(1, 1))

    found = network.average()
    assert all(torch.equal(found[f"bank.{name}"], tensor) for name, tensor in bank.items())


def test_a_make_network_other_filters_finds_its_own_scale(project: LiveProject) -> None:
    own = make_network(project, network=FilterUNetNetwork(channels=(4, 8), sigmas=(1.0, 2.0)))
    instant = make_network(project).network.bank

    own.start_from_bank(dict(instant.state_dict()), torch.zeros(5, instant.n_features))

    bank = own.network.bank
    assert bank.n_features != instant.n_features
    assert not bank.feature_mean.equal(torch.zeros(bank.n_features))
    assert bool((bank.feature_scale > 0).all())


@pytest.mark.slow
def test_a_state_goes_on_where_it_stopped(project: LiveProject) -> None:
    first = make_network(project)
    try:
        train(first, 3)
    finally:
        first.stop_batches()
    state = first.state("f", 1.0)
    assert state is not None

    second = make_network(project)
    second.restore(state)
    try:
        train(second)
    finally:
        second.stop_batches()

    assert second.step == 4


@pytest.mark.slow
def test_a_loss_that_is_no_number_ends_it_at_that_step_with_its_batch_kept(
    project: LiveProject, monkeypatch: pytest.MonkeyPatch
) -> None:
    network = make_network(project)
    try:
        train(network, 2)
        monkeypatch.setattr(network._module, "_loss_of", lambda batch: torch.tensor(float("nan"), requires_grad=True))
        with pytest.raises(ModelError, match="The loss of step 3 is no finite number"):
            train(network)
    finally:
        network.stop_batches()
    assert (project.root / "run" / "bad-batch-step-000003.npz").exists()
    assert all(bool(torch.isfinite(tensor).all()) for tensor in network.average().values())


@pytest.mark.slow
@pytest.mark.parametrize("is_of_a_norm", [False, True])
def test_weights_that_are_no_numbers_are_neither_shown_nor_kept(project: LiveProject, is_of_a_norm: bool) -> None:
    network = make_network(project)
    try:
        train(network)
    finally:
        network.stop_batches()
    average = network._module.average.module  # type: ignore[union-attr]
    tensors = average.named_buffers() if is_of_a_norm else average.named_parameters()
    floats = [tensor for _, tensor in tensors if tensor.is_floating_point()]
    floats[-1].data.flatten()[0] = float("nan")

    with pytest.raises(ModelError, match="weights are no finite numbers"):
        network.average()
    assert network.averaged_bank() is None
    assert network.state("f", 1.0) is None


@pytest.mark.slow
def test_a_state_that_holds_no_numbers_is_refused(project: LiveProject) -> None:
    first = make_network(project)
    try:
        train(first)
    finally:
        first.stop_batches()
    state = first.state("f", 1.0)
    assert state is not None
    name = next(name for name, tensor in state.network.items() if tensor.is_floating_point())
    state.network[name] = torch.full_like(state.network[name], float("inf"))

    second = make_network(project)
    with pytest.raises(ModelError, match="not finite"):
        second.restore(state)
    assert all(bool(torch.isfinite(tensor).all()) for tensor in second.average().values())


@pytest.mark.slow
def test_a_state_of_another_network_is_refused(project: LiveProject) -> None:
    first = make_network(project)
    train(first)
    first.stop_batches()
    state = first.state("f", 1.0)
    assert state is not None
    state.network = {}

    with pytest.raises(ModelError, match="does not fit"):
        make_network(project).restore(state)


@pytest.mark.slow
def test_its_perceptron_is_that_of_the_average(project: LiveProject) -> None:
    network = make_network(project)
    try:
        train(network, 3)
    finally:
        network.stop_batches()

    found = network.averaged_bank()

    assert found is not None
    average, now = network.average(), network.network.bank.state_dict()
    assert all(torch.equal(tensor, average[f"bank.{name}"]) for name, tensor in found.state_dict().items())
    assert not all(torch.equal(tensor, now[name]) for name, tensor in found.state_dict().items())
    assert not found.training
