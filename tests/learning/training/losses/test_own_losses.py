"""Losses of other packages: found by name, and each way in which one can be wrong is one sentence."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import torch

from napari_pytc.errors import InvalidInput
from napari_pytc.geometry import VoxelSpace
from napari_pytc.learning.training.losses import make_loss
from napari_pytc.plans.losses import DiceLoss, LossSettings
from napari_pytc.plans.plan import TrainPlan
from napari_pytc.plans.recipes import plan_from_yaml
from napari_pytc.plans.targets import ChannelsTarget
from tests.support.packages import installed

SETTINGS = """
from typing import ClassVar, Literal
from napari_pytc.plans.losses import LossSettings

class OwnLoss(LossSettings):
    "A loss of another package."
    builds: ClassVar[str] = "{builds}"
    suits: ClassVar[tuple[str, ...]] = ("sigmoid",)
    kind: Literal["{kind}"] = "{kind}"
    factor: float = 2.0
"""
MODULES = """
import torch

class Own(torch.nn.Module):
    def __init__(self, factor):
        super().__init__()
        self.factor = factor

    def forward(self, logits, target, mask):
        return self.factor * ((logits.sigmoid() - target).abs() * mask).sum() / mask.sum().clamp(min=1)

class TwoArguments(torch.nn.Module):
    def forward(self, logits, target):
        return logits.sum()

class EachVoxel(torch.nn.Module):
    def forward(self, logits, target, mask):
        return logits * mask

def build(settings, activation, kept): return Own(settings.factor)
def build_of_one(settings): return Own(settings.factor)
def build_a_function(settings, activation, kept): return lambda logits, target, mask: logits.sum()
def build_of_two_arguments(settings, activation, kept): return TwoArguments()
def build_each_voxel(settings, activation, kept): return EachVoxel()
"""
TARGET = {"kind": "channels", "channels": [{"role": "foreground"}]}


@contextmanager
def package(
    folder: Path, builds: str = "own.modules:build", kind: str = "own", settings: str = SETTINGS
) -> Iterator[None]:
    files = {"own/settings.py": settings.replace("{builds}", builds).replace("{kind}", kind), "own/modules.py": MODULES}
    with installed(folder, LossSettings, files, {"own": "own.settings"}):
        yield


def plan(**loss: Any) -> TrainPlan:
    return TrainPlan.model_validate({"target": TARGET, "losses": [{"kind": "own", **loss}]})


def value_of(of: TrainPlan) -> torch.Tensor:
    roles = of.target.roles((), VoxelSpace((10, 10, 10)))
    of.check_channels(roles)
    targets = torch.full((1, 1, 2, 4, 4), 255, dtype=torch.uint8)
    return make_loss(of, roles)(torch.zeros(targets.shape), targets)


def test_a_loss_of_another_package_is_found_by_its_name(tmp_path: Path) -> None:
    with package(tmp_path):
        assert plan_from_yaml("{losses: [own], target: {kind: channels, channels: [foreground]}}", "mine").losses
        assert value_of(plan(factor=6)) == 3
        named = ChannelsTarget.model_validate({"channels": [{"role": "foreground", "loss": "own"}]})
        assert value_of(TrainPlan(target=named)) == 1
        again = TrainPlan.model_validate_json(plan(factor=6).model_dump_json())
        assert again == plan(factor=6)
        of = TrainPlan.model_validate({"target": {"kind": "channels", "channels": ["distance"]}, "losses": ["own"]})
        roles = of.target.roles((), VoxelSpace((10, 10, 10)))
        with pytest.raises(InvalidInput, match=r"'own' does not fit channel 0 \(distance\)"):
            of.check_channels(roles)
    with pytest.raises(InvalidInput, match="No loss is called 'own'"):
        plan()


@pytest.mark.parametrize(
    ("builds", "told"),
    [
        ("own.modules:build_of_one", r"takes \(settings\) and not \(settings, activation, kept\)"),
        (
            "own.modules:missing",
            "'own.modules:missing' of the loss 'own' cannot be imported: .* no attribute 'missing'",
        ),
        ("own.nowhere:build", "cannot be imported: No module named 'own.nowhere'"),
        ("own.modules", "cannot be imported"),
        ("own.modules:build_a_function", r"is to return a torch.nn.Module, got function"),
        ("own.modules:build_of_two_arguments", r"called with logits, target and mask, but takes \(logits, target\)"),
        ("own.modules:build_each_voxel", r"is to return one number, got a tensor of the shape \(1, 1, 2, 4, 4\)"),
    ],
)
def test_a_function_that_makes_no_loss_is_told_in_a_sentence(tmp_path: Path, builds: str, told: str) -> None:
    with package(tmp_path, builds), pytest.raises(InvalidInput, match=told) as caught:
        value_of(plan())
    assert "\n" not in str(caught.value)
    assert caught.value.hint


@pytest.mark.parametrize(
    ("settings", "told"),
    [
        ("import not_installed", "ModuleNotFoundError: No module named 'not_installed'."),
        ("def broken(:", "SyntaxError: "),
        ("1 / 0", "ZeroDivisionError: division by zero."),
        (SETTINGS.replace("    suits: ", "    other: "), "The loss 'own' (own.settings.OwnLoss) does not say suits."),
        (SETTINGS.replace('"sigmoid"', '"relu"'), "The loss 'own' suits relu, which is no activation."),
    ],
)
def test_settings_that_cannot_be_imported_are_left_out_and_told(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, settings: str, told: str
) -> None:
    with caplog.at_level(logging.WARNING), package(tmp_path, settings=settings):
        assert "dice" in LossSettings.variants()
        with pytest.raises(InvalidInput, match="No loss is called 'own'") as caught:
            plan()
        assert "The loss of own.settings of the package my-package was left out: " in caught.value.hint
        assert told in caught.value.hint
        assert "\n" not in str(caught.value)
        assert told in caplog.text


def test_a_loss_with_the_name_of_another_one_is_left_out_and_told(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.WARNING), package(tmp_path, kind="dice"):
        assert LossSettings.variants()["dice"] is DiceLoss
        assert "Two kinds of loss are called 'dice': napari_pytc.plans.losses.overlap.DiceLoss and own." in caplog.text


def test_a_plan_with_the_loss_of_that_name_says_which_one_it_is(tmp_path: Path) -> None:
    with package(tmp_path, kind="dice"):
        (note,) = TrainPlan(losses=("dice", {"loss": "dice", "weight": 2.0})).notes()
        assert "own.settings of the package my-package was left out" in note
        assert "Two kinds of loss are called 'dice'" in note
        assert TrainPlan(losses=("ce",)).notes() == []
        of_channel = {"kind": "channels", "channels": [{"role": "foreground", "loss": "dice"}]}
        assert TrainPlan(target=of_channel).notes() == [note]
    assert TrainPlan(losses=("dice",)).notes() == []
