"""The text of options and arguments, and what is wrong with it in a sentence."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from napari_pytc.cli.main import app
from napari_pytc.cli.options import (
    read_box,
    read_classes,
    read_options,
    read_settings,
    read_triple,
    read_voxel_size,
    refuse_repeated,
)
from napari_pytc.errors import InvalidInput
from napari_pytc.geometry import Box
from napari_pytc.volumes.spec import ReadOptions
from tests.cli.conftest import Command, is_one_error


def test_options_that_are_not_given_are_none() -> None:
    assert read_box(None) is None
    assert read_voxel_size(None) is None


def test_boxes_voxel_sizes_and_places_are_z_y_x() -> None:
    assert read_box("0:1,2:4,5:9") == Box((0, 2, 5), (1, 4, 9))
    assert read_voxel_size("40,10,9.5") == (40, 10, 9.5)
    assert read_triple("0,-128,7", "An offset") == (0, -128, 7)


@pytest.mark.parametrize("text", ["", "1,2", "1,2,3,4", "1,2,x", "1.5,2,3"])
def test_a_place_has_three_whole_numbers(text: str) -> None:
    with pytest.raises(InvalidInput, match=r"^A focus is written Z,Y,X in voxels"):
        read_triple(text, "A focus")


def test_settings_are_yaml_and_their_names_may_be_dotted() -> None:
    found = read_settings(["steps=10", "network.width=[1, 2]", "minutes=null", "name=a=b", "fill=false"])
    assert found == {"steps": 10, "network": {"width": [1, 2]}, "minutes": None, "name": "a=b", "fill": False}
    assert read_settings([]) == {}


@pytest.mark.parametrize("word", ["steps", "=10"])
def test_a_setting_needs_a_name_and_a_value(word: str) -> None:
    with pytest.raises(InvalidInput, match="key=value"):
        read_settings(["device=cpu", word])


def test_a_value_that_is_no_yaml_is_an_error_of_the_user() -> None:
    with pytest.raises(InvalidInput, match="settings cannot be read"):
        read_settings(["steps=[1, 2"])


def test_classes_are_names_in_order() -> None:
    assert read_classes("membrane, inside") == ["membrane", "inside"]
    with pytest.raises(InvalidInput, match="names with commas"):
        read_classes("membrane,,inside")
    with pytest.raises(InvalidInput, match="'a' twice"):
        read_classes("b,a,c,a")


def test_how_to_read_a_volume() -> None:
    assert read_options() == ReadOptions()
    read = read_options("40,4,4", 2, "TZYX", 3, "blank")
    assert read == ReadOptions(voxel_size_nm=(40, 4, 4), channel=2, axes="tzyx", time=3, missing_sections="blank")


@pytest.mark.parametrize(
    ("given", "sentence"),
    [
        ({"axes": "zy"}, r"--axes cannot be 'zy': axes are letters of t, c, z, y, x, s, each at most once"),
        ({"missing_sections": "black"}, r"--missing-sections cannot be 'black': Input should be 'note' or 'blank'\."),
        ({"channel": -1}, "--channel cannot be -1"),
    ],
)
def test_wrong_options_are_named(given: dict[str, Any], sentence: str) -> None:
    with pytest.raises(InvalidInput, match=f"^{sentence}"):
        read_options(**given)


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (
            ("new", "a.pytc", "--image", "red.tif", "--image=green.tif", "--classes", "a"),
            ("red.tif, green.tif", "layers"),
        ),
        (("train", "a.pytc", "--steps", "2", "--steps", "3"), ("--steps takes one value, got 2: 2, 3", "once")),
    ],
)
def test_an_option_of_one_value_is_refused_where_it_is_given_twice(
    cli: Command, words: tuple[str, ...], told: tuple[str, ...]
) -> None:
    assert is_one_error(cli(*words), *told)
    assert not Path("a.pytc").exists()


def test_a_list_of_values_and_a_switch_may_be_given_twice() -> None:
    from typer.main import get_command

    apply = get_command(app).commands["apply"]  # type: ignore[attr-defined]
    refuse_repeated(apply.params, ["--set", "a=1", "--set", "b=2", "--json", "--json"])
