"""Recipes: built in and the user's own, with changes on top."""

from __future__ import annotations

from pathlib import Path

import pytest

from napari_pytc.errors import InvalidInput
from napari_pytc.plans.networks import DynUNetNetwork, FilterBankNetwork
from napari_pytc.plans.plan import TrainPlan
from napari_pytc.plans.recipes import load_recipe, recipe_text, recipes
from tests.support.learning import space


def test_there_are_three_and_each_says_what_it_is_for() -> None:
    assert list(recipes())[:3] == ["instant", "fast", "accurate"]
    assert all(len(sentence) > 30 and not sentence.startswith("#") for sentence in recipes().values())


@pytest.mark.parametrize("name", ["instant", "fast", "accurate"])
def test_each_makes_a_plan_that_comes_back_and_a_network(name: str) -> None:
    plan = load_recipe(name)
    assert plan.recipe == name
    assert TrainPlan.model_validate_json(plan.model_dump_json()) == plan
    for anisotropy in (1.0, 8.0):
        network = plan.network.build(3, space(anisotropy))
        assert sum(p.numel() for p in network.parameters()) > 0
        assert all(n >= 1 for n in plan.network.patch_shape(space(anisotropy)))


def test_the_instant_one_is_a_filter_bank_and_the_accurate_one_follows_the_voxels() -> None:
    assert isinstance(load_recipe("instant").network, FilterBankNetwork)
    assert isinstance(load_recipe("accurate").network, DynUNetNetwork)


def test_settings_are_changed_by_dotted_names() -> None:
    changed = ["steps=7", "network.channels=[4,8,16]", "minutes=null", "augmentation.blur=0.5"]
    plan = load_recipe("accurate", changed)
    assert plan.steps == 7
    assert plan.network.channels == (4, 8, 16)
    assert plan.minutes is None
    assert plan.augmentation.blur == 0.5
    assert plan.batch_size == load_recipe("accurate").batch_size


def test_a_copy_of_a_recipe_can_be_changed(tmp_path: Path) -> None:
    path = tmp_path / "mine.yaml"
    path.write_text(recipe_text("fast") + "weight_decay: 0.25\n")
    plan = load_recipe(path, ["seed=3"])
    assert (plan.recipe, plan.weight_decay, plan.seed) == ("mine", 0.25, 3)
    assert plan.network == load_recipe("fast").network
    assert load_recipe(str(path)) == load_recipe(path)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("steps: 0", "'steps': input should be greater than or equal to 1, got 0"),
        ("stpes: 5", "there is no setting 'stpes'"),
        ("network: {kind: unet, chanels: [4, 8]}", "chanels"),
        ("network: {kind: vgg}", "No network is called 'vgg'"),
        ("network: {kid: unet}", "The network does not say its kind: it has the key 'kid' instead"),
        ("network: {channels: [4, 8]}", "The network does not say its kind. For example kind: dynunet"),
        ("steps: [1", "not valid YAML"),
        ("- 1\n- 2", "must be a YAML mapping"),
        ("steps: ${nowhere}", "takes the value of 'nowhere'"),
    ],
)
def test_a_wrong_setting_is_named_in_a_sentence(tmp_path: Path, text: str, words: str) -> None:
    path = tmp_path / "mine.yaml"
    path.write_text(text)
    with pytest.raises(InvalidInput) as caught:
        load_recipe(path)
    assert words in str(caught.value)
    assert "\n" not in str(caught.value)


def test_an_empty_file_is_all_defaults(tmp_path: Path) -> None:
    path = tmp_path / "mine.yaml"
    path.write_text("")
    assert load_recipe(path) == TrainPlan(recipe="mine")


def test_what_is_not_there_is_reported_with_what_is() -> None:
    with pytest.raises(InvalidInput, match="No recipe is called 'fats'") as caught:
        load_recipe("fats")
    assert "instant, fast, accurate" in caught.value.hint
    with pytest.raises(InvalidInput, match="no recipe file"):
        load_recipe("nowhere.yaml")


@pytest.mark.parametrize("change", ["steps.more=5", "network.channels=[4", "network=5", "steps=many"])
def test_a_change_that_does_not_fit_is_reported(change: str) -> None:
    with pytest.raises(InvalidInput) as caught:
        load_recipe("fast", [change])
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("change", ["steps", "=5", ""])
def test_a_change_without_a_value_is_reported(change: str) -> None:
    with pytest.raises(InvalidInput, match="key=value"):
        load_recipe("fast", [change])
