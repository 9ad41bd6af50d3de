"""The examples of the documentation: commands are ones that the program takes, recipes are plans."""

from __future__ import annotations

import importlib.util
import re
import shlex
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from typer.main import get_command

from napari_pytc.cli.commands.learn import prediction_plan, training_plan
from napari_pytc.cli.main import app
from napari_pytc.cli.options import read_settings
from napari_pytc.decoding import DecoderSettings
from napari_pytc.plans.losses import LossSettings
from napari_pytc.plans.network_list import all_networks
from napari_pytc.plans.networks import (
    MedNeXtNetwork,
    MonaiBasicUNetNetwork,
    NetworkSettings,
    RSUNetNetwork,
    UNetNetwork,
)
from napari_pytc.plans.plan import Augmentation, TrainPlan
from napari_pytc.plans.recipes import plan_from_yaml, recipes
from tests.support.packages import installed, losses_of_page

ROOT = Path(__file__).parents[1]
PAGES = sorted([ROOT / "README.md", *(ROOT / "docs").glob("*.md"), *(ROOT / "docs" / "design").glob("*.md")])
COMMANDS: dict[str, Any] = dict(get_command(app).commands)  # type: ignore[attr-defined]


def commands_of(text: str) -> list[str]:
    """All commands of the program in a page: in blocks, in `$(...)`, and between backticks with more than a name."""
    found = []
    for line in re.findall(r"^\$ (.*)$", text, re.MULTILINE):
        nested = re.search(r"\$\((napari-pytc [^|)]*)", line)
        found += [nested.group(1)] if nested else [line] if line.startswith("napari-pytc ") else []
    return found + re.findall(r"`(napari-pytc [a-z-]+ [^`]+)`", text)


def name_of(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


EXAMPLES = [(name_of(page), line) for page in PAGES for line in commands_of(page.read_text(encoding="utf-8"))]
RECIPES = [
    (name_of(page), block)
    for page in PAGES
    for block in re.findall(r"```yaml\n(.*?)```", page.read_text(encoding="utf-8"), re.DOTALL)
]


@pytest.fixture(scope="module")
def loss_of_the_page(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """The package whose loss an example of the page of losses trains with."""
    text = (ROOT / "docs" / "architectures-and-losses.md").read_text(encoding="utf-8")
    with installed(tmp_path_factory.mktemp("installed"), LossSettings, *losses_of_page(text)):
        yield


@pytest.mark.usefixtures("loss_of_the_page")
@pytest.mark.parametrize(("page", "line"), EXAMPLES)
def test_a_command_of_the_documentation_is_one_that_the_program_takes(page: str, line: str) -> None:
    _, name, *words = shlex.split(line, comments=True)
    assert name in COMMANDS, f"{page} names a command that there is not"
    with COMMANDS[name].make_context(name, list(words)) as context:
        settings = list(context.params.get("settings") or context.params.get("words") or ())
    settings = [word for word in settings if "=" in word]
    if name == "train":
        recipe = context.params["recipe"] or "fast"
        training_plan(
            recipe if recipe in recipes() else "fast", settings, context.params["steps"], context.params["minutes"]
        )
    elif name == "predict":
        prediction_plan(settings, context.params["tta"])
    elif name == "segment" and context.params["decoder"] and settings:
        DecoderSettings.parse({"kind": context.params["decoder"], **read_settings(settings)})


@pytest.mark.parametrize(("page", "text"), RECIPES)
def test_a_recipe_of_the_documentation_is_a_plan(page: str, text: str) -> None:
    assert isinstance(plan_from_yaml(text, page), TrainPlan)


def test_the_pages_name_every_recipe_and_every_random_change() -> None:
    pages = {page: (ROOT / "docs" / page).read_text(encoding="utf-8") for page in ("recipes.md", "augmentation.md")}
    for recipe in recipes():
        assert f"| `{recipe}` |" in pages["recipes.md"]
    for change in set(Augmentation.model_fields) - {"elastic_shift"}:
        assert f"| `{change}` |" in pages["augmentation.md"]


def test_a_new_user_finds_every_page() -> None:
    start = (ROOT / "docs" / "index.md").read_text(encoding="utf-8")
    listed = yaml.safe_load((ROOT / "mkdocs.yml").read_text(encoding="utf-8"))["nav"]
    (tasks,) = [entry["Tasks"] for entry in listed if "Tasks" in entry]
    pages = [page for entry in tasks for page in entry.values()]
    assert set(pages) == {page.name for page in (ROOT / "docs").glob("*.md")} - {
        "index.md",
        "tutorial.md",
        "architecture.md",
        "benchmarks.md",
    }
    for page in pages:
        assert f"]({page})" in start, f"docs/index.md does not lead to {page}"


def test_there_are_examples() -> None:
    assert len(EXAMPLES) > 100
    assert {page for page, _ in RECIPES} >= {
        "docs/architectures-and-losses.md",
        "docs/augmentation.md",
        "docs/targets.md",
    }


def test_the_tables_of_the_page_of_architectures_are_made_from_the_program() -> None:
    text = (ROOT / "docs" / "architectures-and-losses.md").read_text(encoding="utf-8")
    for mark in ("networks", "losses", "optimisers", "schedules"):
        assert f"<!-- {mark} -->" in text
    found = importlib.util.spec_from_file_location("hook", ROOT / "docs" / "generate_networks.py")
    assert found is not None
    assert found.loader is not None
    hook = importlib.util.module_from_spec(found)
    found.loader.exec_module(hook)

    assert hook.tiles_text(UNetNetwork()) == "exact tiles"
    assert hook.tiles_text(MedNeXtNetwork()) == "windows: its norms are over the whole image"
    assert hook.tiles_text(MonaiBasicUNetNetwork()) == "windows (exact with batch norm alone)"
    assert hook.levels_text(1, 5) == "1, up to 5"
    assert hook.fully_supervised(RSUNetNetwork()).deep_supervision is True
    assert hook.fully_supervised(MedNeXtNetwork()) is None


@pytest.mark.parametrize("settings", all_networks(), ids=lambda settings: settings.kind)
def test_every_network_says_when_to_take_it(settings: NetworkSettings) -> None:
    if type(settings).__module__.startswith("napari_pytc."):
        assert settings.when.endswith(".")
