"""Plans: their bounds, what does not go together, what corrections change, and live plans of older versions."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from napari_pytc.errors import InvalidInput
from napari_pytc.plans.live_plan import LivePlan
from napari_pytc.plans.loop import Averaging
from napari_pytc.plans.networks import FilterBankNetwork, UNetNetwork
from napari_pytc.plans.plan import Augmentation, PredictPlan, TrainPlan
from napari_pytc.plans.recipes import load_recipe, plan_from_yaml, recipe_yaml, recipes
from napari_pytc.plans.targets import InstancesTarget

SHARES = ("dice_weight", "class_balance", "corrections_share", "recent")


@pytest.mark.parametrize("name", SHARES)
@pytest.mark.parametrize("value", [-0.01, 1.01, float("nan")])
def test_shares_lie_between_0_and_1(name: str, value: float) -> None:
    with pytest.raises(ValidationError, match=name):
        TrainPlan.model_validate({name: value})


@pytest.mark.parametrize("name", sorted(set(Augmentation.model_fields) - {"flips", "turns", "elastic_shift"}))
@pytest.mark.parametrize("value", [-0.01, 1.01])
def test_random_changes_have_probabilities(name: str, value: float) -> None:
    with pytest.raises(ValidationError, match=name):
        Augmentation.model_validate({name: value})


def test_an_elastic_deformation_has_no_larger_shifts_than_it_can_make() -> None:
    assert Augmentation(elastic_shift=8).elastic_shift == 8
    with pytest.raises(ValidationError, match="elastic_shift"):
        Augmentation(elastic_shift=8.1)


@pytest.mark.parametrize(
    ("plan", "told"),
    [
        ({"losses": ["bce"], "dice_weight": 0.1}, "losses says what the loss is: dice_weight=0.1 has no effect."),
        (
            {"target": {"kind": "channels", "channels": [{"role": "foreground", "loss": "bce"}]}, "dice_weight": 0.1},
            "dice_weight=0.1 has no effect: every channel of the target names its loss",
        ),
        (
            {"target": {"kind": "instances", "affinities": False, "distance": True}, "dice_weight": 0.1},
            "dice_weight=0.1 has no effect",
        ),
        (
            {
                "target": {"kind": "channels", "channels": [{"role": "foreground"}], "small_object_weight": 9},
                "losses": ["dice", "bce"],
            },
            "target.small_object_weight=9 has no effect on dice: these losses compare regions",
        ),
        (
            {"network": "filter_bank", "augmentation": {"elastic": 0.5, "flips": False}, "recent": 0.1},
            "augmentation.flips, augmentation.elastic, recent have no effect: this network learns from single voxels",
        ),
        ({"network": "filter_bank", "patch_shape": [4, 4, 4]}, "patch_shape has no effect"),
        ({"target": {"kind": "instances", "reach_um": 1}}, "target.reach_um=1 has no effect"),
        (
            {"target": {"kind": "instances", "offsets": [[0, 1, 0]], "long_range": [4]}},
            "target.long_range=[4] has no effect: target.offsets names every affinity.",
        ),
        (
            {"target": {"kind": "instances", "offsets": [[0, 1, 0]], "affinities": False, "boundary": True}},
            "target.offsets has no effect: target.affinities is off.",
        ),
    ],
)
def test_a_setting_without_effect_is_told(plan: dict[str, Any], told: str) -> None:
    (note,) = TrainPlan.model_validate(plan).notes()
    assert told in note


def test_no_recipe_has_a_setting_without_effect() -> None:
    assert [load_recipe(name).notes() for name in recipes()] == [[]] * len(recipes())


def test_settings_that_have_an_effect_are_not_told() -> None:
    half = [{"role": "foreground", "loss": "bce"}, {"role": "boundary"}]
    target = {"kind": "channels", "channels": half, "small_object_weight": 9}
    assert TrainPlan.model_validate({"target": target, "dice_weight": 0.1}).notes() == []


def test_an_offset_that_leads_out_of_every_patch_is_refused() -> None:
    target = InstancesTarget(offsets=((-1, 0, 0), (0, 0, -32)))
    TrainPlan(target=target, patch_shape=(8, 32, 33)).check()
    with pytest.raises(InvalidInput, match="leads out of every training patch of 8 x 32 x 32 voxels"):
        TrainPlan(target=target, patch_shape=(8, 32, 32)).check()


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("steps", 0),
        ("minutes", 0),
        ("batch_size", 0),
        ("learning_rate", 0),
        ("weight_decay", -1),
        ("guess_confidence", 0.4),
        ("guess_confidence", 1),
        ("ema_decay", 1),
        ("validate_every", 0),
        ("patience", -1),
        ("checkpoint_every", 0),
        ("seed", -1),
        ("device", "tpu"),
        ("precision", "float8"),
        ("patch_shape", (4, 4)),
    ],
)
def test_values_that_no_training_can_have_are_refused(name: str, value: Any) -> None:
    with pytest.raises(ValidationError, match=name):
        TrainPlan.model_validate({name: value})


@pytest.mark.parametrize("name", list(recipes()))
def test_a_recipe_written_out_and_read_is_the_same_plan(name: str) -> None:
    plan = load_recipe(name)
    text = recipe_yaml(plan, "What it is\n for.")
    assert text.splitlines()[0] == "# What it is for."
    assert "recipe:" not in text
    assert plan_from_yaml(text, name) == plan


@settings(max_examples=20)
@given(st.integers(1, 10**6), st.floats(1e-6, 1), st.lists(st.integers(1, 512), min_size=2, max_size=5))
def test_any_plan_comes_back_from_its_recipe(steps: int, rate: float, channels: list[int]) -> None:
    plan = TrainPlan(recipe="mine", steps=steps, learning_rate=rate, network=UNetNetwork(channels=tuple(channels)))
    assert plan_from_yaml(recipe_yaml(plan, "mine"), "mine") == plan


class TestForCorrections:
    def test_it_is_short_careful_and_stays_near_its_parent(self) -> None:
        plan = TrainPlan(learning_rate=3e-3, guess_weight=0.5, device="cuda", precision="fp16", steps=77)
        short = plan.for_corrections(2.0)
        assert short.minutes == 2
        assert short.learning_rate == pytest.approx(1e-3)
        assert short.distil_weight == 1
        assert short.guess_weight == 0
        assert (short.device, short.precision) == ("auto", "auto")
        assert short.steps == 77
        assert short.network == plan.network

    @pytest.mark.parametrize(("own", "asked", "minutes"), [(None, 5.0, 5.0), (1.0, 5.0, 1.0), (9.0, 5.0, 5.0)])
    def test_a_plan_that_is_shorter_stays_so(self, own: float | None, asked: float, minutes: float) -> None:
        assert TrainPlan(minutes=own).for_corrections(asked).minutes == minutes

    def test_the_rate_of_the_plain_mean_is_as_careful(self) -> None:
        plan = TrainPlan(averaging=Averaging(swa_start=0.5, swa_rate=3e-3))
        assert plan.for_corrections(1.0).averaging == Averaging(swa_start=0.5, swa_rate=1e-3)
        assert TrainPlan().for_corrections(1.0).averaging == Averaging()

    def test_the_plan_itself_is_left_alone(self) -> None:
        plan = TrainPlan()
        plan.for_corrections(1.0)
        assert plan == TrainPlan()


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        (
            {"target": InstancesTarget(), "network": FilterBankNetwork()},
            "The network 'filter_bank' learns classes from single voxels; it cannot learn instances.",
        ),
        (
            {"target": InstancesTarget(), "guess_weight": 0.25},
            "Pseudo-labels are of classes; with target.kind=instances there are none, got guess_weight=0.25.",
        ),
    ],
)
def test_settings_that_do_not_go_together_are_reported(changes: dict[str, Any], sentence: str) -> None:
    with pytest.raises(InvalidInput) as caught:
        TrainPlan(**changes).check()
    assert caught.value.message == sentence
    assert caught.value.hint


def test_classes_go_with_everything() -> None:
    TrainPlan(network=FilterBankNetwork(), guess_weight=1.0).check()


def test_a_prediction_is_plain_by_default() -> None:
    assert PredictPlan() == PredictPlan(tile_shape=None, flips=False, device="auto", precision="auto")


class TestLivePlan:
    def test_it_is_of_the_built_in_recipes(self) -> None:
        plan = LivePlan()
        assert (plan.network.recipe, plan.instant.recipe) == ("fast", "instant")
        plan.check()
        assert plan.notes == ()
        assert LivePlan.model_validate_json(plan.model_dump_json()) == plan

    @pytest.mark.parametrize(("weight", "n_notes"), [(0.0, 0), (0.5, 1)])
    def test_one_of_version_0_1_is_read_and_noted_where_it_meant_something(self, weight: float, n_notes: int) -> None:
        old = LivePlan(seed=3).model_dump(mode="json") | {"hold_weight": weight}
        plan = LivePlan.model_validate(old)
        assert plan.model_dump() == LivePlan(seed=3).model_dump()
        assert len(plan.notes) == n_notes
        assert all("0.5 is ignored" in note for note in plan.notes)
        assert "hold_weight" not in plan.model_dump_json()

    def test_the_note_is_not_written_on(self) -> None:
        noted = LivePlan.model_validate({"hold_weight": 1.0})
        assert LivePlan.model_validate_json(noted.model_dump_json()).notes == ()

    @pytest.mark.parametrize(
        ("changes", "words"),
        [
            ({"instant": load_recipe("fast")}, "The instant model must learn from single voxels"),
            ({"network": load_recipe("neurites")}, "the recipe 'neurites' learns instances"),
        ],
    )
    def test_recipes_that_cannot_learn_live_are_refused(self, changes: dict[str, Any], words: str) -> None:
        with pytest.raises(InvalidInput, match=words):
            LivePlan(**changes).check()

    @pytest.mark.parametrize(
        ("name", "value"), [("feature_cache_mb", 15), ("margin", 1.5), ("tolerance", -0.1), ("score_every", 0)]
    )
    def test_values_that_cannot_be_are_refused(self, name: str, value: float) -> None:
        with pytest.raises(ValidationError, match=name):
            LivePlan.model_validate({name: value})


@pytest.mark.parametrize(
    ("kind", "name", "changed"),
    [
        ("mednext", "heads", [{"name": "a"}]),
        ("mednext_custom", "heads", [{"name": "a"}]),
        ("unet_3d", "non_local", True),
    ],
)
def test_a_training_of_before_a_network_had_a_setting_is_the_same_work(kind: str, name: str, changed: Any) -> None:
    assert name not in TrainPlan(network={"kind": kind}).identity(1)["network"]
    with_it = {"kind": kind, name: changed, **({"deep_supervision": False} if name == "heads" else {"norm": "batch"})}
    assert TrainPlan(network=with_it).identity(1)["network"][name]
    assert "network" not in TrainPlan(network={"kind": kind}).identity(1, exclude=("network",))
