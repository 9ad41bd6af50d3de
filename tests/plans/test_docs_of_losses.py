"""Every example of the page "Architectures and losses" is read, and its loss, optimiser and schedule are used."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch

from napari_pytc.cli.commands.learn import training_plan
from napari_pytc.geometry import VoxelSpace
from napari_pytc.learning.networks.network import build_network
from napari_pytc.learning.training.losses import deeply_supervised, make_loss
from napari_pytc.learning.training.steps.optimisation import LearningRate, make_optimiser, prepare_gradients
from napari_pytc.plans.losses import LossSettings
from napari_pytc.plans.plan import TrainPlan
from napari_pytc.plans.recipes import plan_from_yaml
from tests.support.packages import installed, losses_of_page

PAGE = Path(__file__).parents[2] / "docs" / "architectures-and-losses.md"
TEXT = PAGE.read_text(encoding="utf-8")
YAML = re.findall(r"```yaml\n(.*?)```", TEXT, re.DOTALL)
COMMANDS = [
    line.removeprefix("$ ")
    for block in re.findall(r"```console\n(.*?)```", TEXT, re.DOTALL)
    for line in block.splitlines()
]
MODULES, ENTRIES = losses_of_page(TEXT)
SPACE = VoxelSpace((10, 10, 10))


@pytest.fixture(scope="module", autouse=True)
def package_of_the_page(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    with installed(tmp_path_factory.mktemp("installed"), LossSettings, MODULES, ENTRIES):
        yield


def take_a_step(plan: TrainPlan) -> None:
    plan.check()
    roles = plan.target.roles(("membrane", "inside"), SPACE)
    plan.check_channels(roles)
    torch.manual_seed(0)
    network = build_network(plan.network, len(roles), SPACE).train()
    loss = make_loss(plan, roles)
    optimiser = make_optimiser(network, plan, others=loss.parameters())
    LearningRate(plan).set(optimiser, 5, 0.1)
    labels = torch.randint(0, 3, (2, 16, 32, 32))
    if plan.target.kind != "classes":
        labels = (torch.randint(0, 3, (2, len(roles), 16, 32, 32)) * 127).to(torch.uint8)
    before = [parameter.detach().clone() for parameter in network.parameters()]
    value = deeply_supervised(
        loss, network.training_logits(torch.randn(2, 1, 16, 32, 32)), labels, plan.supervision_weights
    )
    assert torch.isfinite(value)
    value.backward()
    prepare_gradients(optimiser, plan.gradients, True)
    optimiser.step()
    assert any(not torch.equal(a, b) for a, b in zip(before, network.parameters(), strict=True))


@pytest.mark.parametrize("text", YAML)
def test_a_recipe_of_the_page_takes_a_step(text: str) -> None:
    take_a_step(plan_from_yaml(text, "example"))


@pytest.mark.parametrize("command", COMMANDS)
def test_a_command_of_the_page_is_a_plan(command: str) -> None:
    program, name, _, *words = shlex.split(command)
    assert (program, name) == ("napari-pytc", "train")
    recipe = words[words.index("--recipe") + 1]
    settings = [word for word in words if "=" in word and not word.startswith("network.")]
    plan = training_plan(recipe, [word for word in words if "=" in word], None, None)
    assert plan.network.tiles() in ("exact", "windows")
    take_a_step(
        training_plan(recipe, [*settings, "network.kind=unet", "network.channels=[4,8]", "guess_weight=0"], None, None)
    )


def test_there_are_examples() -> None:
    assert len(YAML) >= 7
    assert len(COMMANDS) >= 5
    assert list(MODULES) == ["my_package/settings.py", "my_package/log_cosh.py"]
    assert len(ENTRIES) == 1
