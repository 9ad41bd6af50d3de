"""Weights are safetensors or refused; a training goes on after a kill as if nothing had happened."""

from __future__ import annotations

import os
import pickle
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from napari_pytc.errors import ModelError
from napari_pytc.learning.machine.precision import Precision
from napari_pytc.learning.machine.weights import load_exactly, load_matching, load_weights, save_weights
from napari_pytc.learning.training.state import checkpoints
from napari_pytc.learning.training.state.checkpoints import (
    TrainingState,
    delete_training_state,
    load_training_state,
    save_training_state,
)


def tiny(n_classes: int = 2) -> nn.Sequential:
    return nn.Sequential(nn.Conv3d(1, 3, 3, padding=1), nn.BatchNorm3d(3), nn.ReLU(), nn.Conv3d(3, n_classes, 1))


def same(a: dict[str, torch.Tensor], b: dict[str, torch.Tensor]) -> bool:
    return a.keys() == b.keys() and all(a[k].dtype == b[k].dtype and torch.equal(a[k], b[k]) for k in a)


def test_weights_come_back(tmp_path: Path) -> None:
    network = tiny()
    for weights in network.parameters():
        if weights.dim() == 5:
            weights.data = weights.data.contiguous(memory_format=torch.channels_last_3d)
    tensors = {**network.state_dict(), "half": torch.ones(3, dtype=torch.bfloat16), "shared": network[0].weight.data}
    save_weights(tmp_path / "w.safetensors", tensors)
    assert same(load_weights(tmp_path / "w.safetensors"), tensors)
    assert [p.name for p in tmp_path.iterdir()] == ["w.safetensors"]


def test_every_header_length_is_distinguished_from_a_pickle(tmp_path: Path) -> None:
    path = tmp_path / "w.safetensors"
    starts = set()
    for n in range(0, 1100, 8):
        save_weights(path, {"a": torch.ones(1)}, {"note": "x" * n})
        starts.add(path.read_bytes()[:2])
        load_weights(path)
    assert b"\x80\x02" in starts  # also how a pickle of protocol 2 begins


def pickled(path: Path) -> None:
    path.write_bytes(pickle.dumps({"a": 1}))


def zipped(path: Path) -> None:
    torch.save({"a": torch.ones(1)}, path)


def old_pickle(path: Path) -> None:
    path.write_bytes(b"}q\x00(X\x01\x00\x00\x00a")


@pytest.mark.parametrize("make", [pickled, zipped])
@pytest.mark.parametrize("name", ["weights.safetensors", "model.ckpt", "model.pt"])
def test_a_pickle_is_refused(tmp_path: Path, make: object, name: str) -> None:
    make(tmp_path / name)  # type: ignore[operator]
    with pytest.raises(ModelError, match="pickle") as caught:
        load_weights(tmp_path / name)
    assert "safetensors" in caught.value.hint


def test_a_pickle_of_an_old_protocol_is_known_by_its_name(tmp_path: Path) -> None:
    old_pickle(tmp_path / "model.pth")
    with pytest.raises(ModelError, match="pickle"):
        load_weights(tmp_path / "model.pth")


def test_a_pickle_never_runs(tmp_path: Path) -> None:
    class Harm:
        def __reduce__(self) -> tuple[object, ...]:
            return os.mkdir, (str(tmp_path / "harm"),)

    (tmp_path / "weights.safetensors").write_bytes(pickle.dumps(Harm()))
    with pytest.raises(ModelError):
        load_weights(tmp_path / "weights.safetensors")
    assert not (tmp_path / "harm").exists()


@pytest.mark.parametrize("n_bytes", [0, 5, 9, 60, -1])
def test_a_truncated_file_is_refused(tmp_path: Path, n_bytes: int) -> None:
    path = tmp_path / "weights.safetensors"
    save_weights(path, tiny().state_dict())
    path.write_bytes(path.read_bytes()[:n_bytes])
    with pytest.raises(ModelError, match="damaged"):
        load_weights(path)


def test_a_flipped_bit_is_found(tmp_path: Path) -> None:
    path = tmp_path / "weights.safetensors"
    save_weights(path, tiny().state_dict())
    content = bytearray(path.read_bytes())
    content[-3] ^= 4
    path.write_bytes(content)
    with pytest.raises(ModelError, match="checksum"):
        load_weights(path)


def test_no_file_and_noise(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="no weights file"):
        load_weights(tmp_path / "weights.safetensors")
    (tmp_path / "weights.safetensors").write_bytes(bytes(range(200)))
    with pytest.raises(ModelError, match="damaged"):
        load_weights(tmp_path / "weights.safetensors")


def test_fine_tuning_takes_what_fits() -> None:
    parent, child = tiny(2), tiny(4)
    parent[1].running_mean += 1
    own = {k: v.clone() for k, v in child.state_dict().items()}
    report = load_matching(child, {**parent.state_dict(), "gone": torch.ones(1)})
    assert report.reinitialised == ("3.weight", "3.bias")
    assert report.unused == ("3.weight", "3.bias", "gone")
    assert torch.equal(child[0].weight, parent[0].weight)
    assert torch.equal(child[1].running_mean, parent[1].running_mean)
    assert torch.equal(child[3].weight, own["3.weight"])
    assert "7 of 9" in str(report)
    assert "3.weight" in str(report)


def test_fine_tuning_from_another_architecture_is_refused() -> None:
    with pytest.raises(ModelError, match="None of the parent"):
        load_matching(tiny(), nn.Linear(3, 3).state_dict())


def test_exact_loading_refuses_what_does_not_fit() -> None:
    with pytest.raises(ModelError, match=r"3\.weight"):
        load_exactly(tiny(2), tiny(4).state_dict())
    source, target = tiny(), tiny()
    load_exactly(target, source.state_dict())
    assert same(target.state_dict(), source.state_dict())


class Loop:
    """A small training with everything that has a state: dropout, batch norm, AdamW with two groups, noise."""

    def __init__(self) -> None:
        torch.manual_seed(0)
        self.network = nn.Sequential(nn.Linear(4, 8), nn.BatchNorm1d(8), nn.Dropout(0.3), nn.Linear(8, 2))
        groups = [{"params": self.network[0].parameters(), "lr": 1e-2}, {"params": self.network[3].parameters()}]
        self.optimiser = torch.optim.AdamW(groups, lr=1e-3, betas=(0.8, 0.99), amsgrad=True)
        self.rng = np.random.default_rng(0)
        self.step = 0

    def run(self, n_steps: int) -> None:
        for _ in range(n_steps):
            patch = torch.from_numpy(self.rng.normal(size=(6, 4)).astype(np.float32))
            self.optimiser.zero_grad()
            self.network(patch + 0.1 * torch.randn_like(patch)).square().mean().backward()
            self.optimiser.step()
            self.step += 1

    def state(self, **others: object) -> TrainingState:
        return TrainingState.capture(
            self.network, self.optimiser, self.rng, fingerprint="f", step=self.step, seconds=1.5, **others
        )


def test_resumed_equals_uninterrupted(tmp_path: Path) -> None:
    whole = Loop()
    whole.run(9)

    first = Loop()
    first.run(4)
    average = {"w": torch.ones(2, dtype=torch.float64)}
    best = {"w": torch.zeros(2)}
    history = [{"step": 4, "score": 0.25}]
    save_training_state(
        tmp_path, first.state(average=average, best=best, best_score=0.25, history=history, extra={"a": [1, None]})
    )
    torch.randn(100)  # whatever happens between the kill and the next start

    second = Loop()
    state = load_training_state(tmp_path)
    assert state is not None
    assert (state.fingerprint, state.step, state.seconds, state.best_score) == ("f", 4, 1.5, 0.25)
    assert state.history == history
    assert state.extra == {"a": [1, None]}
    assert state.average is not None
    assert same(state.average, average)
    assert state.best is not None
    assert same(state.best, best)
    state.restore(second.network, second.optimiser, second.rng)
    second.step = state.step
    second.run(5)

    assert second.step == whole.step
    assert same(second.network.state_dict(), whole.network.state_dict())
    assert second.optimiser.param_groups[0]["betas"] == (0.8, 0.99)
    for ours, theirs in zip(
        second.optimiser.state_dict()["state"].values(), whole.optimiser.state_dict()["state"].values(), strict=True
    ):
        assert same(ours, theirs)


def test_resuming_keeps_the_memory_format(tmp_path: Path) -> None:
    def make() -> tuple[nn.Module, torch.optim.Optimizer]:
        network = Precision(channels_last=True).place_network(nn.Conv3d(2, 4, 3))
        return network, torch.optim.AdamW(network.parameters())

    rng = np.random.default_rng(0)
    network, optimiser = make()
    network(torch.randn(2, 2, 3, 4, 5)).sum().backward()
    optimiser.step()
    save_training_state(tmp_path, TrainingState.capture(network, optimiser, rng, fingerprint="f", step=1, seconds=0))
    state = load_training_state(tmp_path)
    assert state is not None
    resumed, resumed_optimiser = make()
    state.restore(resumed, resumed_optimiser, rng)
    weights, former = resumed.get_parameter("weight"), network.get_parameter("weight")
    assert not former.is_contiguous()
    assert weights.stride() == former.stride()
    assert resumed_optimiser.state[weights]["exp_avg"].stride() == weights.stride()
    assert torch.equal(resumed_optimiser.state[weights]["exp_avg"], optimiser.state[former]["exp_avg"])


def test_before_the_first_step_and_without_averages(tmp_path: Path) -> None:
    loop = Loop()
    save_training_state(tmp_path, loop.state())
    state = load_training_state(tmp_path)
    assert state is not None
    assert (state.average, state.best, state.best_score, state.optimiser["state"]) == (None, None, None, {})


def test_nothing_to_resume(tmp_path: Path) -> None:
    assert load_training_state(tmp_path / "never") is None
    save_training_state(tmp_path, Loop().state())
    save_training_state(tmp_path, Loop().state())
    delete_training_state(tmp_path)
    assert load_training_state(tmp_path) is None
    assert list(tmp_path.iterdir()) == []


class Killed(BaseException):
    pass


@pytest.mark.parametrize("n_before", range(6))
def test_a_kill_at_any_moment_leaves_a_checkpoint(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, n_before: int
) -> None:
    """Die before the n-th call that changes the folder; a complete checkpoint of step 1 or 2 must be left."""
    loop = Loop()
    loop.run(1)
    save_training_state(tmp_path, loop.state())
    loop.run(1)
    n_calls = 0

    def dying(real: object) -> object:
        def call(*args: object, **kwargs: object) -> object:
            nonlocal n_calls
            if n_calls == n_before:
                raise Killed
            n_calls += 1
            return real(*args, **kwargs)  # type: ignore[operator]

        return call

    with monkeypatch.context() as patch:
        patch.setattr(os, "replace", dying(os.replace))
        patch.setattr(os, "fsync", dying(os.fsync))
        with pytest.raises(Killed):
            save_training_state(tmp_path, loop.state())
    state = load_training_state(tmp_path)
    assert state is not None
    assert state.step in (1, 2)
    save_training_state(tmp_path, loop.state())
    again = load_training_state(tmp_path)
    assert again is not None
    assert again.step == 2


def test_a_damaged_checkpoint_falls_back_to_the_one_before(tmp_path: Path) -> None:
    loop = Loop()
    for _ in range(2):
        loop.run(1)
        save_training_state(tmp_path, loop.state())
    current = tmp_path / checkpoints._CURRENT
    current.write_bytes(current.read_bytes()[:-20])
    told: list[str] = []
    state = load_training_state(tmp_path, told.append)
    assert state is not None
    assert state.step == 1
    assert len(told) == 1
    assert "step 1" in told[0]

    (tmp_path / checkpoints._FORMER).write_bytes(pickle.dumps(1))
    with pytest.raises(ModelError, match="damaged") as caught:
        load_training_state(tmp_path)
    assert "without resuming" in caught.value.hint


def test_weights_are_not_taken_for_a_checkpoint(tmp_path: Path) -> None:
    save_weights(tmp_path / checkpoints._CURRENT, tiny().state_dict())
    with pytest.raises(ModelError, match="no checkpoint"):
        load_training_state(tmp_path)


def test_a_checkpoint_of_another_network_is_refused_on_restore(tmp_path: Path) -> None:
    save_training_state(tmp_path, Loop().state())
    state = load_training_state(tmp_path)
    assert state is not None
    other = tiny()
    with pytest.raises(ModelError, match="does not fit"):
        state.restore(other, torch.optim.AdamW(other.parameters()), np.random.default_rng())
