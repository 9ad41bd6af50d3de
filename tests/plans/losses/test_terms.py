"""Terms of losses as recipes write them, and the channels that each is given."""

from __future__ import annotations

from typing import Any

import pytest

from napari_pytc.errors import InvalidInput
from napari_pytc.geometry import VoxelSpace
from napari_pytc.plans.losses import LossSettings, LossTerm, activations_of, assign_losses
from napari_pytc.plans.plan import TrainPlan
from napari_pytc.plans.recipes import plan_from_yaml
from napari_pytc.plans.targets import InstancesTarget
from napari_pytc.volumes.channels import AffinityRole, BoundaryRole, ClassRole, DistanceRole

CLASSES = tuple(ClassRole(name=name) for name in ("membrane", "inside", "glia"))
CHANNELS = (
    AffinityRole(offset=(-1, 0, 0)),
    AffinityRole(offset=(0, -1, 0)),
    BoundaryRole(),
    DistanceRole(reach_nm=50),
)


def term(written: Any) -> LossTerm:
    return LossTerm.model_validate(written)


def refusal(terms: list[Any], roles: Any = CHANNELS, **others: Any) -> InvalidInput:
    with pytest.raises(InvalidInput) as caught:
        assign_losses([term(one) for one in terms], roles, **others)
    assert "\n" not in str(caught.value)
    return caught.value


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("losses: dice", [("dice", 1.0, None, ())]),
        ("losses: [dice, ce]", [("dice", 1.0, None, ()), ("ce", 1.0, None, ())]),
        ("losses: [{loss: dice, weight: 0.5}]", [("dice", 0.5, None, ())]),
        ("losses: {kind: tversky, alpha: 0.3, weight: 2}", [("tversky", 2.0, None, ())]),
        ("losses: [{loss: {kind: tversky, alpha: 0.3}, channels: '1:3'}]", [("tversky", 1.0, "1:3", ())]),
        ("losses: [{loss: bce, channels: 1:3}]", [("bce", 1.0, "1:3", ())]),  # YAML reads 63
        ("losses: [{loss: bce, channels: 0:3}]", [("bce", 1.0, "0:3", ())]),
        ("losses: [{loss: bce, channels: 2}]", [("bce", 1.0, "2", ())]),
        ("losses: [{loss: bce, channels: [0, 2]}]", [("bce", 1.0, "0,2", ())]),
        ("losses: [{loss: bce, heads: affinity}]", [("bce", 1.0, None, ("affinity",))]),
    ],
)
def test_all_ways_to_write_them(text: str, expected: list[Any]) -> None:
    plan = plan_from_yaml(text, "mine")
    assert [(one.loss.kind, one.weight, one.channels, one.heads) for one in plan.losses] == expected
    assert TrainPlan.model_validate_json(plan.model_dump_json()) == plan
    assert plan_from_yaml("", "mine", [text.replace(": ", "=", 1)]) == plan


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("losses: [dise]", "No loss is called 'dise'"),
        ("losses: [{kind: tversky, alhpa: 1}]", "alhpa"),
        ("losses: [{kind: tversky, alpha: 2}]", "less than or equal to 1, got 2"),
        ("losses: [{loss: dice, weight: 0}]", "greater than 0"),
        ("losses: [{loss: dice, channels: a}]", "numbers from 0 or slices of them, got 'a'"),
        ("losses: [{loss: dice, channels: '3:1'}]", "judge the channels 3:1"),
        ("losses: [{loss: dice, channels: '0', heads: [affinity]}]", "by number or by head"),
        ("losses: [{kind: per_channel_bce, pos_weight: [1, 0]}]", "above 0 for each channel"),
        ("{losses: [dice], loss_balancing: uncertainty}", "losses has 1"),
        ("supervision_weights: [0, 1]", "the first of the finest level and above 0"),
    ],
)
def test_what_is_wrong_is_a_sentence(text: str, words: str) -> None:
    with pytest.raises(InvalidInput) as caught:
        plan_from_yaml(text, "mine")
    assert words in str(caught.value)
    assert "\n" not in str(caught.value)


def test_an_unknown_loss_lists_the_known_ones() -> None:
    with pytest.raises(InvalidInput) as caught:
        term("dise")
    assert set(LossSettings.kinds) <= set(caught.value.hint.removeprefix("Known are ").rstrip(".").split(", "))


def test_channels_have_the_activation_of_their_role() -> None:
    assert activations_of(CLASSES) == ("softmax",) * 3
    assert activations_of(CHANNELS) == ("sigmoid", "sigmoid", "sigmoid", "tanh")
    assert activations_of((ClassRole(name="foreground"),)) == ("sigmoid",)


def test_each_term_gets_its_channels() -> None:
    terms = [
        {"loss": "bce", "channels": "0:2"},
        {"loss": "dice", "heads": ["boundary"]},
        {"loss": "mae", "channels": "3"},
    ]
    found = assign_losses([term(one) for one in terms], CHANNELS)
    assert [(one.activation, one.channels, one.kept) for one in found] == [
        ("sigmoid", (0, 1), (0, 1)),
        ("sigmoid", (2,), (0,)),
        ("tanh", (3,), (0,)),
    ]


def test_some_classes_are_judged_by_their_share_in_all() -> None:
    found = assign_losses([term("ce"), term({"loss": "dice", "heads": ["glia"]})], CLASSES)
    assert [(one.channels, one.kept) for one in found] == [((0, 1, 2), (0, 1, 2)), ((0, 1, 2), (2,))]


@pytest.mark.parametrize(
    ("terms", "words", "hint"),
    [
        (["ce"], "'ce' does not fit channel 0 (affinity -1,0,0): it is a probability by itself", "bce"),
        (["bce"], "'bce' does not fit channel 3 (distance): it is a number from -1 to 1", "channels=0,1,2"),
        ([{"loss": "mae", "channels": "2:4"}], "different kinds: sigmoid and tanh", "term of its own"),
        ([{"loss": "bce", "channels": "0:3"}], "channel 3 (distance) has none", "leave the channel out"),
        ([{"loss": "bce", "channels": "0:5"}], "the target has 4", "first:last+1"),
        ([{"loss": "bce", "heads": ["flow"]}], "head 'flow'", "affinity, affinity -1,0,0"),
        (
            [{"kind": "per_channel_bce", "pos_weight": [1, 2], "channels": "0:3"}],
            "2 values of pos_weight for 3",
            "3 numbers",
        ),
    ],
)
def test_a_loss_that_does_not_fit_is_refused(terms: list[Any], words: str, hint: str) -> None:
    found = refusal(terms)
    assert words in found.message
    assert hint in found.hint


def test_losses_of_classes_that_do_not_fit_are_refused() -> None:
    assert "exclude one another" in refusal(["bce"], CLASSES).message
    assert "all classes at once" in refusal([{"loss": "ce", "channels": "0:2"}], CLASSES).message
    assert "neighbouring voxels" in refusal(["soft_cldice"], CLASSES, single_voxels=True).message


def test_the_plan_checks_them_by_its_target() -> None:
    space = VoxelSpace((10, 10, 10))
    plan = TrainPlan(target=InstancesTarget(distance=True), losses=("bce",))
    with pytest.raises(InvalidInput, match="does not fit channel 9"):
        plan.check_channels(plan.target.roles((), space))


def test_a_training_without_losses_is_recognised_as_one_of_an_older_version() -> None:
    identity = TrainPlan().identity(1)
    assert not {"losses", "loss_balancing", "supervision_weights"} & set(identity)
    assert "losses" in TrainPlan(losses=("dice",)).identity(1)


@pytest.mark.parametrize(
    ("loss", "told"),
    [
        ({"kind": "dice_ce", "dice_weight": 0, "ce_weight": 0}, "dice_weight=0 and ce_weight=0 learns nothing"),
        ({"kind": "dice_focal", "dice_weight": 0, "focal_weight": 0}, "learns nothing"),
        ({"kind": "tversky", "alpha": 0, "beta": 0}, "alpha=0 and beta=0 learns nothing"),
        ({"kind": "ce", "class_weights": [1, -1]}, "at least 0 for each class"),
        ({"kind": "ce", "class_weights": [0, 0]}, "one of them above 0"),
    ],
)
def test_a_loss_that_learns_nothing_or_rewards_mistakes_is_refused(loss: dict[str, object], told: str) -> None:
    with pytest.raises((InvalidInput, ValueError), match=told):
        LossTerm(loss=loss)


def test_an_open_slice_beside_a_number_is_checked_without_its_numbers() -> None:
    assert LossTerm(loss="dice", channels="0,2:").positions(4) == [0, 2, 3]
