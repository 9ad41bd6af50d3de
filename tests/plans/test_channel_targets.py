"""A target of explicit channels: their order, roles and numbers, and what is refused in one sentence."""

from __future__ import annotations

from typing import Any

import pytest
from pydantic import ValidationError

from napari_pytc.errors import InvalidInput
from napari_pytc.plans.targets import ChannelsTarget
from napari_pytc.plans.targets.channel_kinds import CHANNEL_KINDS
from tests.support.learning import space

CLASSES = ("membrane", "inside")
BCD = [{"role": "foreground"}, {"role": "boundary"}, {"role": "instance_distance"}]


def target(*channels: dict[str, Any] | str, **settings: Any) -> ChannelsTarget:
    return ChannelsTarget.model_validate({"channels": channels, **settings})


def titles(of: ChannelsTarget, voxels=None) -> list[str]:
    return [role.title for role in of.roles(CLASSES, voxels or space())]


def test_channels_come_in_the_order_that_is_given() -> None:
    assert titles(target(*BCD)) == ["foreground", "boundary", "instance distance"]
    assert titles(target(*reversed(BCD))) == ["instance distance", "boundary", "foreground"]


def test_a_role_alone_is_a_channel_with_its_defaults() -> None:
    assert target("foreground", {"role": "boundary"}) == target({"role": "foreground"}, {"role": "boundary"})


def test_every_role_has_channels_of_its_own() -> None:
    needed = {"affinity": {"offset": [1, 0, 0]}, "polarity": {"side": "pre"}}
    for kind in CHANNEL_KINDS:
        name = kind.model_fields["role"].default
        found = target({"role": name, **needed.get(name, {})})
        n = {"classes": 2, "flow": 3, "lsd": 10}.get(name, 1)
        assert len(set(titles(found))) == n, name
        assert kind.known, name
        assert ChannelsTarget.model_validate_json(found.model_dump_json()) == found


def test_entries_know_their_channels_and_left_out_ones_are_not_kept() -> None:
    of = target({"role": "flow", "kept": False}, {"role": "classes"}, {"role": "foreground"})
    assert [numbers for _, numbers in of.entries(of.roles(CLASSES, space()))] == [slice(0, 3), slice(3, 5), slice(5, 6)]
    assert of.kept(CLASSES, space()) == (3, 4, 5)
    assert of.learns_classes
    assert of.learns_objects
    assert not target({"role": "classes"}).learns_objects
    assert not target(*BCD).learns_classes


def test_levels_of_a_distance_are_a_channel_each_and_have_cross_entropy() -> None:
    of = target({"role": "instance_distance", "levels": 3}, "boundary")
    assert titles(of) == [*(f"instance distance level {level} of 3" for level in range(4)), "boundary"]
    (assigned,) = of.assigned_losses(of.roles((), space()))
    assert (assigned.term.loss.kind, assigned.channels) == ("ce", (0, 1, 2, 3))
    with pytest.raises(InvalidInput, match=r"one group of channels .* got classes and skeleton_distance"):
        target("classes", {"role": "skeleton_distance", "levels": 3})
    with pytest.raises(InvalidInput, match="tanh does not fit the role instance_distance"):
        target({"role": "instance_distance", "levels": 3, "activation": "tanh"})


def test_classes_are_those_of_the_project_or_the_named_ones() -> None:
    of = target({"role": "classes"}).of_classes(("a", "b", "c"))
    assert titles(of) == ["a", "b", "c"]  # whatever the classes that roles are asked for
    assert titles(target({"role": "classes", "names": ["c", "a"]}).of_classes(("a", "b", "c"))) == ["c", "a"]


def test_offsets_follow_their_convention() -> None:
    of = target(
        {"role": "affinity", "offset": [1, 0, 0], "convention": "deepem"},
        {"role": "affinity", "offset": [1, 0, 0], "convention": "banis"},
        {"role": "affinity", "offset": [0, -2, 3]},
    )
    assert titles(of) == ["affinity -1,0,0", "affinity +1,0,0", "affinity 0,-2,+3"]


def test_lengths_follow_the_finest_voxels_where_none_is_given() -> None:
    of = target({"role": "distance"}, {"role": "signed_distance"}, {"role": "semantic_distance"})
    distance, signed, semantic = of.roles((), space(4.0))
    finest = min(space(4.0).voxel_size_nm)
    assert distance.reach_nm == 12 * finest
    assert (signed.inside_nm, signed.outside_nm) == (8 * finest, 8 * finest)
    assert (semantic.inside_nm, semantic.outside_nm) == (8 * finest, 50 * finest)


@pytest.mark.parametrize(
    ("channels", "words"),
    [
        ([], "at least one channel, got none"),
        ([{"role": "nothing"}], "No channel has the role 'nothing'. Known are classes, foreground, affinity"),
        ([{"offset": [1, 0, 0]}], "No channel has the role None"),
        ([{"role": "foreground"}, {"role": "foreground"}], "the same: foreground"),
        ([{"role": "foreground", "activation": "softmax"}], "needs two channels or more"),
        ([{"role": "foreground", "activation": "tanh"}], "tanh does not fit the role foreground"),
        ([{"role": "flow", "activation": "scaled_sigmoid"}], "does not fit the role flow"),
        ([{"role": "classes", "names": ["a"]}], "two classes or more, all different, got a"),
        ([{"role": "classes"}, {"role": "classes", "names": ["a", "b"]}], "its classes in one entry"),
        ([{"role": "affinity", "offset": [0, 0, 0]}], "is not 0,0,0"),
        ([{"role": "affinity", "offset": [-1, 0, 0], "convention": "deepem"}], "are not negative"),
        ([{"role": "foreground", "erosion": [0, -1, 1]}], "no negative number"),
        ([{"role": "foreground", "kept": False}], "a prediction would be empty"),
        ([{"role": "lsd", "components": [10]}], "different numbers from 0 to 9"),
    ],
)
def test_what_does_not_go_together_is_refused_in_a_sentence(channels, words) -> None:
    with pytest.raises(InvalidInput) as caught:
        target(*channels)
    assert words in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    "channel",
    [{"role": "affinity"}, {"role": "boundary", "thickness": 9}, {"role": "flow", "x": 1}],
)
def test_unknown_roles_and_settings_are_errors(channel) -> None:
    with pytest.raises(ValidationError):
        target(channel)


def test_the_classes_of_a_project_are_checked() -> None:
    with pytest.raises(InvalidInput, match="'glia', which the project does not have; it has membrane, inside"):
        target({"role": "classes", "names": ["glia", "inside"]}).of_classes(CLASSES)
    with pytest.raises(InvalidInput, match="two classes or more"):
        target({"role": "classes"}).of_classes(("alone",))


def test_an_offset_that_leaves_every_patch_is_refused() -> None:
    of = target({"role": "affinity", "offset": [0, 32, 0]}, *BCD)
    of.check_patch((16, 33, 32))
    with pytest.raises(InvalidInput, match="leads out of every training patch of 16 x 32 x 32"):
        of.check_patch((16, 32, 32))


@pytest.mark.parametrize(
    ("of", "told"),
    [
        (
            target("foreground", class_share=0.3),
            "target.class_share=0.3 has no effect: the target learns objects alone",
        ),
        (target("classes", class_share=0.3), "the target learns classes alone"),
        (target("classes", small_object_weight=3), "target.small_object_weight=3 has no effect"),
        (target("foreground", small_object_um3=3), "target.small_object_um3=3 has no effect"),
        (target("foreground", cut_objects="counted"), "target.cut_objects=counted has no effect"),
    ],
)
def test_a_setting_without_effect_is_told(of: ChannelsTarget, told: str) -> None:
    (note,) = of.notes()
    assert told in note


def test_settings_that_count_are_not_told() -> None:
    assert target("foreground", "classes", class_share=0.3, small_object_weight=3, small_object_um3=2).notes() == []
    assert target("foreground", small_object_weight=3, cut_objects="counted").notes() == []
    assert target("flow", cut_objects="counted").notes() == []


@pytest.mark.parametrize(
    "channel", [{"role": "foreground", "erosion": [0, -1, 0]}, {"role": "lsd", "components": [1, 1]}]
)
def test_numbers_that_are_refused_have_a_hint(channel: dict[str, Any]) -> None:
    with pytest.raises(InvalidInput) as caught:
        target(channel)
    assert caught.value.hint.startswith("For example ")
