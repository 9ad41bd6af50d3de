from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from napari_pytc.errors import ModelError
from napari_pytc.geometry import Box
from napari_pytc.learning.data import TrainingData, TrainingImage
from napari_pytc.learning.live.network import NetworkBehind
from napari_pytc.learning.live.strokes import LearntStrokes, StrokeBook
from napari_pytc.learning.networks import FilterUNetNetwork
from napari_pytc.learning.normalisation import Normalisation
from napari_pytc.volumes.memory import MemoryVolume
from tests.support.contexts import RecordingContext
from tests.support.learning import CLASSES
from tests.support.live import LiveProject, tiny_network

NORMALISATION = Normalisation(mean=128, std=50, low=0, high=255)
HELD_OUT = Box((0, 0, 0), (6, 64, 24))


@pytest.fixture
def project(tmp_path: Path) -> LiveProject:
    return LiveProject(tmp_path)


def data_of(project: LiveProject) -> TrainingData:
    book = StrokeBook(project.store, 2, (HELD_OUT,))
    book.refresh()
    source = MemoryVolume(project.tissue.raw, project.tissue.space)
    strokes = LearntStrokes(source.shape, list(book.pages.values()), book.revision)
    return TrainingData(source, strokes, CLASSES, (HELD_OUT,), project.tissue.space)


def network_of(project: LiveProject, ctx: RecordingContext | None = None, **changes: object) -> NetworkBehind:
    data = data_of(project)
    image = TrainingImage(data.source, NORMALISATION, (HELD_OUT,))
    visible = TrainingImage(data.source, NORMALISATION)
    plan = tiny_network(guess_weight=0.0, learning_rate=0.01, **changes)
    network = NetworkBehind(plan, data, image, visible, ctx or RecordingContext())
    network.teach(data, None)
    return network


def test_it_learns_step_by_step(project: LiveProject) -> None:
    ctx = RecordingContext()
    network = network_of(project, ctx)

    try:
        for _ in range(60):
            network.train_step()
    finally:
        network.rest()

    curve = ctx.curve("network/loss")
    assert network.step == 60
    assert np.mean(curve[-2:]) < 0.7 * curve[0]
    box = Box((2, 0, 0), (3, 64, 64))
    found = network.predict(network.average(), box).argmax(0).numpy() + 1
    assert (found == project.tissue.classes[box.slices]).mean() > 0.7


def test_strokes_painted_between_steps_are_learnt(project: LiveProject, monkeypatch: pytest.MonkeyPatch) -> None:
    network = network_of(project)
    seen: list[torch.Tensor] = []
    try:
        network.train_step()
        project.store.write(project.whole, np.zeros(project.whole.shape, np.uint8))
        project.store.paint(Box((0, 0, 30), (6, 64, 40)), 1)
        project.store.paint(Box((0, 0, 44), (6, 64, 54)), 2)
        network.teach(data_of(project), None)
        for _ in range(2):  # batches that were made ahead
            network.train_step()
        step = network._module.training_step  # type: ignore[union-attr]
        monkeypatch.setattr(network._module, "training_step", lambda batch: (seen.append(batch.labels), step(batch))[1])
        for _ in range(4):
            network.train_step()
    finally:
        network.rest()

    counts = torch.bincount(torch.cat([labels.ravel() for labels in seen]), minlength=3)
    assert counts[1] > 200  # these strokes are wide; the ones before were thin lines
    assert counts[2] > 200


def test_no_held_out_voxel_enters_a_batch(project: LiveProject, monkeypatch: pytest.MonkeyPatch) -> None:
    bright = project.tissue.raw.copy()
    bright[HELD_OUT.slices] = 255
    bright[:, :, 24:] = np.minimum(bright[:, :, 24:], 200)
    project.tissue.raw[:] = bright
    network = network_of(project)
    seen: list[torch.Tensor] = []

    try:
        network.train_step()
        step = network._module.training_step  # type: ignore[union-attr]
        monkeypatch.setattr(network._module, "training_step", lambda batch: (seen.append(batch.image), step(batch))[1])
        for _ in range(10):
            network.train_step()
    finally:
        network.rest()

    assert len(seen) == 10
    assert max(float(image.max()) for image in seen) < NORMALISATION.apply(np.array([201.0]))[0]


def test_out_of_memory_takes_a_smaller_patch_and_goes_on(project: LiveProject, monkeypatch: pytest.MonkeyPatch) -> None:
    ctx = RecordingContext()
    network = network_of(project, ctx, batch_size=2)
    network.train_step()
    step, failures = network._module.training_step, [True]  # type: ignore[union-attr]

    def scarce(batch: object) -> torch.Tensor:
        if failures:
            failures.pop()
            raise torch.OutOfMemoryError("out of memory")
        return step(batch)  # type: ignore[arg-type]

    monkeypatch.setattr(network._module, "training_step", scarce)
    try:
        network.train_step()
    finally:
        network.rest()

    assert network.step == 2
    assert "Out of memory" in ctx.warnings[0]


def test_it_begins_with_the_instant_models_weights(project: LiveProject) -> None:
    network = network_of(project)
    bank = {name: torch.full_like(tensor, 0.5) for name, tensor in network.network.bank.state_dict().items()}

    network.begin_like(bank, torch.zeros(1, 1))

    found = network.average()
    assert all(torch.equal(found[f"bank.{name}"], tensor) for name, tensor in bank.items())


def test_a_network_of_other_filters_finds_its_own_scale(project: LiveProject) -> None:
    own = network_of(project, network=FilterUNetNetwork(channels=(4, 8), sigmas=(1.0, 2.0)))
    instant = network_of(project).network.bank

    own.begin_like(dict(instant.state_dict()), torch.zeros(5, instant.n_features))

    bank = own.network.bank
    assert bank.n_features != instant.n_features
    assert not bank.feature_mean.equal(torch.zeros(bank.n_features))
    assert bool((bank.feature_scale > 0).all())


def test_a_state_goes_on_where_it_stopped(project: LiveProject) -> None:
    first = network_of(project)
    try:
        for _ in range(3):
            first.train_step()
    finally:
        first.rest()
    state = first.state("f", 1.0)
    assert state is not None

    second = network_of(project)
    second.go_on_from(state)
    try:
        second.train_step()
    finally:
        second.rest()

    assert second.step == 4


def test_a_state_of_another_network_is_refused(project: LiveProject) -> None:
    first = network_of(project)
    first.train_step()
    first.rest()
    state = first.state("f", 1.0)
    assert state is not None
    state.network = {}

    with pytest.raises(ModelError, match="does not fit"):
        network_of(project).go_on_from(state)


def test_its_perceptron_is_that_of_the_average(project: LiveProject) -> None:
    network = network_of(project)
    try:
        for _ in range(3):
            network.train_step()
    finally:
        network.rest()

    found = network.perceptron()

    assert found is not None
    average, now = network.average(), network.network.bank.state_dict()
    assert all(torch.equal(tensor, average[f"bank.{name}"]) for name, tensor in found.state_dict().items())
    assert not all(torch.equal(tensor, now[name]) for name, tensor in found.state_dict().items())
    assert not found.training
