"""Weights of any names, types and shapes come back; what is damaged, or fits no network, is told in one sentence."""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path

import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from torch import Tensor, nn

from napari_pytc.errors import ModelError
from napari_pytc.learning.machine.weights import (
    MatchReport,
    load_exactly,
    load_matching,
    load_weights,
    load_weights_and_notes,
    save_weights,
)

DTYPES = [torch.float32, torch.float16, torch.bfloat16, torch.int64, torch.uint8, torch.bool]
TENSORS = st.dictionaries(
    st.text(st.characters(codec="utf-8"), min_size=1, max_size=8).filter(lambda name: name != "__metadata__"),
    st.builds(
        lambda shape, dtype, seed: torch.randn(shape, generator=torch.Generator().manual_seed(seed)).to(dtype),
        st.lists(st.integers(0, 3), max_size=4),
        st.sampled_from(DTYPES),
        st.integers(0, 99),
    ),
    max_size=4,
)
in_a_folder = settings(
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow], max_examples=40, deadline=None
)


def make_network(n_outputs: int = 2) -> nn.Sequential:
    return nn.Sequential(nn.Linear(3, 4), nn.BatchNorm1d(4), nn.Linear(4, n_outputs))


def ones_of(network: nn.Module) -> dict[str, Tensor]:
    return {name: torch.ones_like(tensor) for name, tensor in network.state_dict().items()}


# On disk


@in_a_folder
@given(tensors=TENSORS, notes=st.dictionaries(st.sampled_from(["id", "made by", "µ"]), st.text(max_size=9)))
def test_what_was_saved_is_loaded(tmp_path: Path, tensors: dict[str, Tensor], notes: dict[str, str]) -> None:
    save_weights(tmp_path / "w.safetensors", tensors, notes)
    loaded, found = load_weights_and_notes(tmp_path / "w.safetensors")
    assert found == notes
    assert loaded.keys() == tensors.keys()
    for name, tensor in tensors.items():
        assert loaded[name].dtype == tensor.dtype
        assert loaded[name].shape == tensor.shape
        assert torch.equal(loaded[name], tensor)


def test_tensors_that_share_memory_are_saved_as_two(tmp_path: Path) -> None:
    whole = torch.arange(6.0)
    save_weights(tmp_path / "w.safetensors", {"a": whole, "b": whole[2:4], "c": whole.reshape(2, 3).T})
    loaded = load_weights(tmp_path / "w.safetensors")
    loaded["a"].zero_()
    assert loaded["b"].tolist() == [2, 3]
    assert loaded["c"].tolist() == [[0, 3], [1, 4], [2, 5]]


def test_a_file_is_replaced_while_its_weights_are_in_use(tmp_path: Path) -> None:
    path = tmp_path / "w.safetensors"
    save_weights(path, {"a": torch.zeros(3)})
    former = load_weights(path)
    save_weights(path, {"a": torch.ones(3)})
    assert former["a"].tolist() == [0, 0, 0]
    assert load_weights(path)["a"].tolist() == [1, 1, 1]
    assert os.listdir(tmp_path) == ["w.safetensors"]


@in_a_folder
@given(at=st.integers(1, 52), flip=st.integers(1, 255))
def test_a_changed_byte_of_the_numbers_is_found(tmp_path: Path, at: int, flip: int) -> None:
    path = tmp_path / "w.safetensors"
    save_weights(path, {"a": torch.arange(5.0), "b": torch.arange(4)})  # 20 + 32 bytes at the end of the file
    content = bytearray(path.read_bytes())
    content[-at] ^= flip
    path.write_bytes(content)
    with pytest.raises(ModelError, match="its checksum does not fit its content"):
        load_weights(path)


@in_a_folder
@given(at=st.integers(0, 500), flip=st.integers(1, 255))
def test_a_changed_byte_of_the_header_is_told_or_changes_no_weight(tmp_path: Path, at: int, flip: int) -> None:
    path = tmp_path / "w.safetensors"
    tensors = {"a": torch.arange(5.0), "b": torch.arange(4)}
    save_weights(path, tensors)
    content = bytearray(path.read_bytes())
    content[at % (len(content) - 52)] ^= flip
    path.write_bytes(content)
    with suppress(ModelError):
        loaded = load_weights(path)
        assert all(torch.equal(loaded[name], tensor) for name, tensor in tensors.items())


def test_a_folder_in_place_of_the_file_is_told(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="cannot be read"):
        load_weights(tmp_path)
    with pytest.raises(ModelError, match="could not be written"):
        save_weights(tmp_path / "gone" / "w.safetensors", {"a": torch.zeros(1)})


# Into a network


def test_weights_that_fit_exactly_are_taken() -> None:
    network = make_network()
    load_exactly(network, ones_of(network))
    assert all((tensor == 1).all() for tensor in network.state_dict().values())


@pytest.mark.parametrize("change", ["missing", "more", "shape"])
def test_weights_that_do_not_fit_change_nothing_and_are_named(change: str) -> None:
    network = make_network()
    before = {name: tensor.clone() for name, tensor in network.state_dict().items()}
    tensors = ones_of(network)
    if change == "missing":
        del tensors["2.bias"]
    elif change == "more":
        tensors["3.bias"] = torch.ones(2)
    else:
        tensors["2.bias"] = torch.ones(3)
    name = "3.bias" if change == "more" else "2.bias"
    with pytest.raises(ModelError, match=rf"^The parent does not fit .*: 1 tensors differ, first '{name}'"):
        load_exactly(network, tensors, "The parent")
    assert all(torch.equal(before[name], tensor) for name, tensor in network.state_dict().items())


@given(names=st.sets(st.sampled_from(sorted(make_network().state_dict()))))
def test_fine_tuning_takes_what_is_there_and_leaves_the_rest(names: set[str]) -> None:
    network = make_network()
    before = {name: tensor.clone() for name, tensor in network.state_dict().items()}
    tensors = {name: tensor for name, tensor in ones_of(network).items() if name in names}
    if not names & {name for name, _ in network.named_parameters()}:
        with pytest.raises(ModelError, match="None of the parent model's weights fits"):
            load_matching(network, tensors)
        names = set()
    else:
        report = load_matching(network, {**tensors, "extra": torch.ones(1)})
        assert set(report.loaded) == names
        assert set(report.reinitialised) == before.keys() - names
        assert report.unused == ("extra",)
    for name, tensor in network.state_dict().items():
        assert torch.equal(tensor, torch.ones_like(tensor) if name in names else before[name])


def test_a_network_for_more_classes_learns_its_last_layer_anew() -> None:
    report = load_matching(make_network(5), make_network(2).state_dict())
    assert report.reinitialised == report.unused == ("2.weight", "2.bias")
    assert str(report) == "7 of 9 tensors taken over; learnt anew: 2.weight, 2.bias."


@pytest.mark.parametrize(
    ("anew", "text"),
    [
        ((), "2 of 2 tensors taken over."),
        (("c",), "2 of 3 tensors taken over; learnt anew: c."),
        (tuple("cdef"), "2 of 6 tensors taken over; learnt anew: c, d, e, f."),
        (tuple("cdefg"), "2 of 7 tensors taken over; learnt anew: c, d, e, f, ...."),
    ],
)
def test_a_report_in_words(anew: tuple[str, ...], text: str) -> None:
    assert str(MatchReport(("a", "b"), anew, ())) == text
