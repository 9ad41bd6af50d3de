"""Checkpoints are read without running anything in them; what is broken or hostile is told in one sentence."""

from __future__ import annotations

import io
import os
import pickle
import struct
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from napari_pytc.errors import ModelError
from napari_pytc.learning.imports.stored_tensors import read_tensor
from napari_pytc.pytc import pickle_checks
from napari_pytc.pytc.stored_checkpoint import StoredCheckpoint, escaped, tensors_in
from napari_pytc.pytc.stored_values import ForeignObject


class Calls:
    """An object whose pickle calls a function with an argument."""

    def __init__(self, function: Callable[..., Any], *arguments: Any) -> None:
        self.called = function, arguments

    def __reduce__(self) -> Any:
        return self.called


class Settings:
    """A class of somebody's own, as those of embedded configurations."""

    def __init__(self) -> None:
        self.size = "S"


def saved(path: Path, content: Any) -> Path:
    torch.save(content, path)
    return path


def rewritten(path: Path, change: Callable[[dict[str, bytes]], None]) -> Path:
    """The archive with other entries."""
    with zipfile.ZipFile(path) as archive:
        entries = {entry.filename: archive.read(entry) for entry in archive.infolist()}
    change(entries)
    with zipfile.ZipFile(path, "w") as archive:
        for name, data in entries.items():
            archive.writestr(name, data)
    return path


def with_pickle(path: Path, data: bytes) -> Path:
    """A checkpoint whose values are these bytes."""
    saved(path, {"a": torch.ones(2)})
    folder = zipfile.ZipFile(path).namelist()[0].split("/")[0]
    return rewritten(path, lambda entries: entries.update({f"{folder}/data.pkl": data}))


# What is in it


def test_tensors_are_those_that_were_saved(tmp_path: Path) -> None:
    tensors = {
        "float": torch.randn(3, 4),
        "half": torch.randn(5).half(),
        "bf16": torch.randn(5).bfloat16(),
        "turned": torch.arange(12).reshape(3, 4).t(),
        "part": torch.arange(20)[5:15:2],
        "none": torch.zeros(0, 3),
        "number": torch.tensor(2.5),
        "flag": torch.tensor([True, False]),
        "spread": torch.ones(3, 4, 5, 6, 7).to(memory_format=torch.channels_last_3d),
        "parameter": nn.Parameter(torch.randn(2)),
    }
    with StoredCheckpoint(saved(tmp_path / "a.ckpt", {"state_dict": tensors})) as stored:
        found = {name: read_tensor(stored, one) for name, one in tensors_in(stored.values["state_dict"]).items()}
        assert stored.foreign == ()
    assert found.keys() == tensors.keys()
    for name, tensor in tensors.items():
        assert torch.equal(found[name], tensor.detach()), name
        assert found[name].dtype == tensor.dtype


def test_a_state_dict_and_an_optimiser_open_as_they_are(tmp_path: Path) -> None:
    network = nn.Sequential(nn.Conv3d(1, 2, 3), nn.BatchNorm3d(2))
    optimiser = torch.optim.AdamW(network.parameters())
    network(torch.randn(1, 1, 5, 5, 5)).sum().backward()
    optimiser.step()
    path = saved(tmp_path / "a.ckpt", {"state_dict": network.state_dict(), "optimizer": optimiser.state_dict()})
    with StoredCheckpoint(path) as stored:
        for name, tensor in network.state_dict().items():
            assert torch.equal(read_tensor(stored, stored.values["state_dict"][name]), tensor)
        assert stored.values["optimizer"]["param_groups"][0]["lr"] == 1e-3


def test_foreign_objects_are_data_without_their_behaviour(tmp_path: Path) -> None:
    content = {"config": Settings(), "path": Path("a"), "scalar": np.float64(2.0), "set": {1, 2}}
    with StoredCheckpoint(saved(tmp_path / "a.ckpt", content)) as stored:
        config = stored.values["config"]
        assert isinstance(config, ForeignObject)
        assert config.state == {"size": "S"}
        assert any(name.endswith("Settings") for name in stored.foreign)
        assert all(isinstance(stored.values[name], ForeignObject) for name in ("path", "scalar", "set"))


@pytest.mark.parametrize(
    "attack",
    [
        lambda mark: Calls(os.system, f"touch {mark}"),
        lambda mark: Calls(eval, f"open({str(mark)!r}, 'w')"),
        lambda mark: Calls(exec, f"open({str(mark)!r}, 'w')"),
        lambda mark: Calls(Path.touch, mark),
        lambda mark: Calls(getattr, Calls(__import__, "os"), "system"),
    ],
    ids=["system", "eval", "exec", "method", "import"],
)
def test_nothing_that_is_in_it_runs(tmp_path: Path, attack: Callable[[Path], Calls]) -> None:
    mark = tmp_path / "ran"
    path = saved(tmp_path / "a.ckpt", {"state_dict": {"a": torch.ones(2)}, "evil": attack(mark)})
    with StoredCheckpoint(path) as stored:
        assert isinstance(stored.values["evil"], ForeignObject)
        assert tensors_in(stored.values["state_dict"]).keys() == {"a"}
    assert not mark.exists()


def test_torch_itself_would_have_run_it(tmp_path: Path) -> None:
    mark = tmp_path / "ran"
    torch.load(saved(tmp_path / "a.ckpt", Calls(os.mkdir, str(mark))), weights_only=False)
    assert mark.exists()


# What is broken, or made to do harm


def told(path: Path) -> str:
    def read() -> None:
        with StoredCheckpoint(path) as stored:
            for tensor in tensors_in(stored.values).values():
                read_tensor(stored, tensor)

    with pytest.raises(ModelError) as error:
        read()
    assert error.value.hint
    assert "\n" not in str(error.value)
    return str(error.value)


def test_a_file_that_is_not_there_is_told(tmp_path: Path) -> None:
    assert "There is no checkpoint" in told(tmp_path / "gone.ckpt")


@pytest.mark.parametrize("share", [0.1, 0.5, 0.99])
def test_a_file_that_is_cut_off_is_told(tmp_path: Path, share: float) -> None:
    path = saved(tmp_path / "a.ckpt", {"a": torch.ones(1000)})
    path.write_bytes(path.read_bytes()[: int(share * path.stat().st_size)])
    assert "its end is missing" in told(path)


def test_broken_numbers_are_told(tmp_path: Path) -> None:
    path = saved(tmp_path / "a.ckpt", {"a": torch.arange(1000.0)})
    data = bytearray(path.read_bytes())
    where = data.find(struct.pack("<f", 500.0))
    data[where] ^= 1
    path.write_bytes(data)
    assert "is broken" in told(path)


def test_a_file_before_zip_archives_is_told(tmp_path: Path) -> None:
    path = tmp_path / "old.pth.tar"
    torch.save({"a": torch.ones(2)}, path, _use_new_zipfile_serialization=False)
    assert "before version 1.6" in told(path)
    path.write_bytes(pickle.dumps({"a": 1}))
    assert "all pickle" in told(path)


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"", "does not begin"),
        (b"hello, world, this is text", "does not begin"),
        (b"\x08\0\0\0\0\0\0\0{}      ", "safetensors"),
    ],
)
def test_other_files_are_told(tmp_path: Path, content: bytes, words: str) -> None:
    (tmp_path / "a.ckpt").write_bytes(content)
    assert words in told(tmp_path / "a.ckpt")


def test_another_archive_and_a_program_are_told(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as archive:
        archive.writestr("thesis/chapter.tex", "years")
    assert "no checkpoint of PyTorch" in told(tmp_path / "a.zip")
    path = saved(tmp_path / "b.ckpt", {"a": torch.ones(2)})
    rewritten(path, lambda entries: entries.update({f"{next(iter(entries)).split('/')[0]}/constants.pkl": b""}))
    assert "TorchScript" in told(path)


def test_an_entry_that_is_missing_or_of_the_other_byte_order_is_told(tmp_path: Path) -> None:
    path = saved(tmp_path / "a.ckpt", {"a": torch.ones(2)})
    rewritten(path, lambda entries: entries.pop(next(name for name in entries if "/data/" in name)))
    assert "lacks its entry" in told(path)
    path = saved(tmp_path / "b.ckpt", {"a": torch.ones(2)})
    rewritten(path, lambda entries: entries.update({next(n for n in entries if n.endswith("byteorder")): b"big"}))
    assert "byte order" in told(path)


def test_a_bomb_is_not_unpacked(tmp_path: Path) -> None:
    path = tmp_path / "a.ckpt"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("a/data.pkl", b"\0" * 10_000_000)
    assert "compressed" in told(path)


@pytest.mark.parametrize(
    ("shape", "stride", "offset"),
    [
        ((100,), (1,), 0),
        ((2,), (1,), 3),
        ((4, 4), (0, 0), 0),
        ((-1,), (1,), 0),
        ((2,), (-1,), 1),
        ((1,) * 9, (1,) * 9, 0),
    ],
)
def test_a_tensor_beyond_its_bytes_is_told(tmp_path: Path, shape: Any, stride: Any, offset: int) -> None:
    data = io.BytesIO()

    class Writer(pickle.Pickler):
        def persistent_id(self, one: Any) -> Any:
            return ("storage", torch.FloatStorage, "0", "cpu", 4) if one == "bytes" else None

    from torch._utils import _rebuild_tensor_v2

    Writer(data, 2).dump({"a": Calls(_rebuild_tensor_v2, "bytes", offset, shape, stride, False, {})})
    assert "cannot be read" in told(with_pickle(tmp_path / "a.ckpt", data.getvalue()))


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"garbage",
        b"\x80\x02}q\x00",
        b"\x80\x02K\x01r\xff\xff\xff\x7f.",
        b"\x80\x02\x82\x01.",
        b"\x80\x05\x8e\xff\xff\xff\xff\xff\x00\x00\x00abc.",
        b"\x80\x02K\x01Q.",
        b"\x80\x02(K\x01K\x02u.",
        b"\x80\x02})" + b"\x85" * 100_000 + b"K\x01s.",
        b"\x80\x02})q\x00" + b"0h\x00\x85q\x00" * 200 + b"K\x01s.",
        b"\x80\x02})" + b"2\x86" * 60 + b"K\x01s.",
        b"\x80\x04\x8f()" + b"q\x00h\x00\x86" * 60 + b"\x90.",
        b"\x80\x02}" + b"(t" + b"2\x86" * 60 + b"K\x01s.",
        b"\x80\x02ctorch\nSize\n(](K\x01K\x02)etR.",
        b"\x80\x02ctorch._utils\n_rebuild_parameter\n))\x85\x86R.",
        b"\x80\x02ccollections\nOrderedDict\n]](K\x01K\x02ea\x85R.",
        b"\x80\x02(\x85.",
    ],
    ids=[
        *("empty", "text", "cut", "memory", "extension", "length", "reference", "stack", "nested", "remembered"),
        *("doubled", "set", "marked", "shape", "parameter", "filled", "mark"),
    ],
)
def test_values_that_cannot_be_read_are_told(tmp_path: Path, data: bytes) -> None:
    assert "cannot be read" in told(with_pickle(tmp_path / "a.ckpt", data))


ALIKE = 2**61 - 1


def long(number: int) -> bytes:
    """The opcode of a large integer."""
    data = pickle.encode_long(number)
    return b"\x8b" + struct.pack("<i", len(data)) + data


@pytest.mark.parametrize(
    "values",
    [
        {ALIKE: 1},
        {-2 * ALIKE: 1},
        {(1, ("a", 3 * ALIKE)): 1},
        {2**31: 1},
        {frozenset({ALIKE})},
    ],
    ids=["whole", "negative", "tuple", "smallest", "set"],
)
def test_integer_keys_that_no_checkpoint_has_are_told(tmp_path: Path, values: Any) -> None:
    assert "cannot be read" in told(with_pickle(tmp_path / "a.ckpt", pickle.dumps(values, 4)))


def test_a_shape_as_a_key_has_lengths_that_there_can_be(tmp_path: Path) -> None:
    for numbers in (long(ALIKE), long(2**48), b"K\x01" * 65):
        data = b"\x80\x02}ctorch\nSize\n](" + numbers + b"e\x85RK\x01s."
        assert "cannot be read" in told(with_pickle(tmp_path / "a.ckpt", data))


def test_integers_of_any_size_are_values(tmp_path: Path) -> None:
    values = {2**31 - 1: 2**62, "a": (ALIKE, [3 * ALIKE])}
    with StoredCheckpoint(with_pickle(tmp_path / "a.ckpt", pickle.dumps(values, 4))) as stored:
        assert stored.values == values


def test_more_classes_than_any_checkpoint_names_are_told(tmp_path: Path) -> None:
    for n, is_told in ((3000, False), (5000, True)):
        names = b"".join(b"ca\nb%d\n0" % number for number in range(n))
        path = with_pickle(tmp_path / f"{n}.ckpt", b"\x80\x02" + names + b"}.")
        if is_told:
            assert "cannot be read" in told(path)
        else:
            with StoredCheckpoint(path) as stored:
                assert stored.values == {}


def test_more_opcodes_than_any_checkpoint_has_are_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pickle_checks, "_MOST_OPCODES", 100)
    assert "cannot be read" in told(with_pickle(tmp_path / "a.ckpt", b"\x80\x02" + b"N0" * 100 + b"N."))


TENSOR = b"ctorch._utils\n_rebuild_tensor_v2\n"
STORED = TENSOR + b"((X\x07\x00\x00\x00storagectorch\nFloatStorage\nX\x01\x00\x00\x000X\x03\x00\x00\x00cpuK\x02tQ"
STORED += b"K\x00K\x02\x85K\x01\x85\x89NtR"


def test_a_tensor_is_not_changed_after_its_bounds_were_checked(tmp_path: Path) -> None:
    path = with_pickle(tmp_path / "a.ckpt", b"\x80\x02}K\x01" + STORED + b"s.")
    with StoredCheckpoint(path) as stored:
        assert torch.equal(read_tensor(stored, stored.values[1]), torch.ones(2))
    for state in (b"}X\x06\x00\x00\x00offsetM\xff\xffs", b"N}X\x06\x00\x00\x00offsetM\xff\xffs\x86"):
        path = with_pickle(tmp_path / "a.ckpt", b"\x80\x02}K\x01" + STORED + state + b"bs.")
        assert "cannot be read" in told(path)


@pytest.mark.parametrize("state", [b"N}X\x0c\x00\x00\x00__defaults__Ns\x86", b"}X\x01\x00\x00\x00aK\x01s"])
@pytest.mark.parametrize("name", [TENSOR, b"ccollections\nOrderedDict\n", b"ctorch\nSize\n", b"ctorch\nfloat32\n"])
def test_functions_of_this_program_are_not_changed(tmp_path: Path, name: bytes, state: bytes) -> None:
    assert "cannot be read" in told(with_pickle(tmp_path / "a.ckpt", b"\x80\x02" + name + state + b"b."))


def test_attributes_of_a_mapping_do_not_hide_its_methods(tmp_path: Path) -> None:
    made = b"ccollections\nOrderedDict\n)R" + b"K\x01" + STORED + b"s"
    state = b"}X\x05\x00\x00\x00itemsK\x03sX\x03\x00\x00\x00getK\x03sb"
    with StoredCheckpoint(with_pickle(tmp_path / "a.ckpt", b"\x80\x02" + made + state + b".")) as stored:
        assert [type(value).__name__ for _, value in stored.values.items()] == ["StoredTensor"]
        assert stored.values.get("b") is None


@pytest.mark.parametrize("error", [struct.error("short"), OverflowError("large")])
def test_an_entry_that_the_archive_reader_stumbles_over_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, error: Exception
) -> None:
    def fail(*_: object) -> None:
        raise error

    path = saved(tmp_path / "a.ckpt", {"a": torch.ones(2)})
    monkeypatch.setattr(zipfile.ZipFile, "read", fail)
    assert "is broken" in told(path)


def test_a_shape_that_torch_refuses_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object, **__: object) -> None:
        raise RuntimeError("numel: integer multiplication overflow")

    path = saved(tmp_path / "a.ckpt", {"a": torch.ones(2)})
    monkeypatch.setattr(torch, "frombuffer", fail)
    assert "impossible shape" in told(path)


def test_names_of_the_file_are_escaped() -> None:
    assert escaped("a\nb\x1b[31m\u202e\ud800") == r"a\nb\x1b[31m\u202e\ud800"
    assert len(escaped("a" * 10_000)) == 200


def test_a_name_of_bytes_does_not_lead_elsewhere(tmp_path: Path) -> None:
    data = io.BytesIO()

    class Writer(pickle.Pickler):
        def persistent_id(self, one: Any) -> Any:
            return ("storage", torch.FloatStorage, "../../etc/passwd", "cpu", 4) if one == "bytes" else None

    Writer(data, 2).dump("bytes")
    assert "cannot be read" in told(with_pickle(tmp_path / "a.ckpt", data.getvalue()))
