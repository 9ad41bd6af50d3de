"""Configurations in checkpoints are read as plain values, without a class of another package."""

from __future__ import annotations

import os
import pickle
import sys
from dataclasses import dataclass, field, make_dataclass
from pathlib import Path, PurePosixPath
from types import ModuleType
from typing import Any

import pytest
import torch
from omegaconf import OmegaConf

from napari_pytc.errors import InvalidInput, ModelError
from napari_pytc.pytc.embedded_config import read_embedded_config
from napari_pytc.pytc.translate import import_embedded

VALUES: dict[str, Any] = {
    "experiment_name": "mito",
    "model": {"arch": {"type": "monai_unet", "profile": "mine"}, "monai": {"filters": [4, 8]}, "out_channels": 1},
    "optimization": {"max_steps": 30, "n_steps_per_epoch": 10, "optimizer": {"lr": 0.01}},
    "data": {"dataloader": {"patch_size": [16, 32, 32], "batch_size": 3}, "train": {"image": "${oc.env:HOME}/a.h5"}},
    "default": {"model": {"out_channels": 7}},
}


def saved(path: Path, config: Any) -> Path:
    torch.save({"state_dict": {"a": torch.ones(1)}, "hyper_parameters": {"cfg": config, "skip_loss": False}}, path)
    return path


def as_dataclass(name: str, values: dict[str, Any], module: ModuleType) -> Any:
    """Nested values as objects of dataclasses of a module."""
    made = {
        key: as_dataclass(f"{name}_{key}", one, module) if isinstance(one, dict) else one for key, one in values.items()
    }
    kind = make_dataclass(name, [(key, Any, field(default=None)) for key in made])
    kind.__module__ = module.__name__
    setattr(module, name, kind)
    return kind(**made)


@pytest.fixture
def dataclasses(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """A module that is there while a checkpoint is written, and gone when it is read."""
    module = ModuleType("connectomics_of_then")
    monkeypatch.setitem(sys.modules, module.__name__, module)
    return module


def test_pickled_dataclasses_are_read_without_their_classes(
    tmp_path: Path, dataclasses: ModuleType, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = saved(tmp_path / "a.ckpt", as_dataclass("Config", VALUES, dataclasses))
    monkeypatch.delitem(sys.modules, dataclasses.__name__)
    assert read_embedded_config(path) == VALUES
    assert dataclasses.__name__ not in sys.modules


def test_containers_of_omegaconf_are_read_and_nothing_in_them_is_resolved(tmp_path: Path) -> None:
    config = OmegaConf.create({**VALUES, "copy": "${model.out_channels}"})
    assert read_embedded_config(saved(tmp_path / "a.ckpt", config)) == {**VALUES, "copy": "${model.out_channels}"}


@dataclass
class _Structured:
    size: str = "S"
    widths: tuple[int, ...] = (1, 2)
    where: Any = None


def test_other_objects_are_data_or_null(tmp_path: Path) -> None:
    structured = _Structured(where=PurePosixPath("a/b"))
    content = {"structured": structured, "mode": slice(3), "kind": dict, "nan": float("nan")}
    assert read_embedded_config(saved(tmp_path / "a.ckpt", content)) == {
        "structured": {"size": "S", "widths": [1, 2], "where": "a/b"},
        "mode": None,
        "kind": None,
        "nan": "nan",
    }


def test_it_becomes_a_plan_with_a_note_and_every_key_in_the_table(tmp_path: Path) -> None:
    found = import_embedded(saved(tmp_path / "last.ckpt", OmegaConf.create(VALUES)))
    plan = found.plan
    assert (found.name, found.dialect, plan.steps, plan.batch_size) == ("last", "stages", 30, 3)
    assert (plan.learning_rate, plan.patch_shape) == (0.01, (16, 32, 32))
    assert found.notes == ("The configuration is the one that the checkpoint last.ckpt holds.",)
    assert found.images == ()
    rows = {row.key: row for row in found.keys}
    assert rows["data.train.image"].why == "it refers to another value, which is not followed in a checkpoint"
    assert rows["model.arch.profile"].why == "its settings are filled in"
    assert (rows["default"].value, rows["default"].outcome) == ("1 keys", "left out")


def test_one_of_the_flat_dialect_is_read_as_such(tmp_path: Path) -> None:
    flat = {"model": {"architecture": "rsunet", "loss_functions": ["DiceLoss"]}, "data": {"batch_size": 2}}
    found = import_embedded(saved(tmp_path / "a.ckpt", flat))
    assert (found.dialect, found.plan.batch_size) == ("flat", 2)
    assert [term.loss.kind for term in found.plan.losses] == ["dice"]


class _Attack:
    def __init__(self, mark: Path) -> None:
        self.mark = mark

    def __reduce__(self) -> Any:
        return os.mkdir, (str(self.mark),)


@pytest.mark.parametrize("place", ["whole", "section", "value"])
def test_a_hostile_one_stays_inert(tmp_path: Path, place: str) -> None:
    attack = _Attack(tmp_path / "mark")
    config = {"whole": attack, "section": {**VALUES, "model": attack}, "value": {**VALUES, "save_path": attack}}[place]
    path = saved(tmp_path / "a.ckpt", config)
    if place == "value":
        import_embedded(path)
    else:
        with pytest.raises((ModelError, InvalidInput)):
            import_embedded(path)
    assert not (tmp_path / "mark").exists()


def nested(depth: int) -> Any:
    found: Any = 1
    for _ in range(depth):
        found = {"a": found}
    return found


@pytest.mark.parametrize(
    ("config", "words"),
    [
        (None, "does not hold its configuration; PyTorch Connectomics does not embed it since May 2026"),
        (3, "cannot be read as one"),
        ({}, "cannot be read as one"),
        ([1, 2], "cannot be read as one"),
        (nested(60), "too large or too deep"),
        ({"a": list(range(30_000))}, "too large or too deep"),
        ({"weather": "fine"}, "holds no configuration of PyTorch Connectomics, but weather"),
        ({"data": {"dataloader": {}}}, "describes no network"),
        ({"model": {"arch": {"type": "vgg"}}}, "not among the networks here"),
        ({"model": {"arch": {"type": "monai_unet"}, "out_channels": "${n}"}}, None),
    ],
)
def test_what_is_no_configuration_is_told(tmp_path: Path, config: Any, words: str | None) -> None:
    path = saved(tmp_path / "a.ckpt", config)
    if words is None:  # a value that is not followed has the default
        assert len(import_embedded(path).plan.target.channels) == 1
        return
    with pytest.raises((ModelError, InvalidInput)) as error:
        import_embedded(path)
    assert words in str(error.value)
    assert "\n" not in str(error.value)


def test_a_key_of_thousands_of_digits_is_told(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="cannot be read"):
        import_embedded(saved(tmp_path / "a.ckpt", {10**5000: 1, **VALUES}))


def test_a_key_longer_than_any_is_left_out(tmp_path: Path) -> None:
    assert read_embedded_config(saved(tmp_path / "a.ckpt", {"a" * 20_000: 1, **VALUES})) == VALUES


def test_a_cycle_ends_in_a_sentence(tmp_path: Path) -> None:
    values: dict[str, Any] = {}
    values["model"] = values
    with pytest.raises(ModelError, match="too large or too deep"):
        import_embedded(saved(tmp_path / "a.ckpt", values))


def test_a_checkpoint_without_hyper_parameters_is_told(tmp_path: Path) -> None:
    torch.save({"state_dict": {}}, tmp_path / "a.ckpt")
    with pytest.raises(ModelError, match="does not hold its configuration"):
        import_embedded(tmp_path / "a.ckpt")
    (tmp_path / "b.ckpt").write_bytes(pickle.dumps({"hyper_parameters": {}}))
    with pytest.raises(ModelError, match="all pickle"):
        import_embedded(tmp_path / "b.ckpt")
