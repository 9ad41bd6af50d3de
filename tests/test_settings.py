"""Settings that come in kinds: families, their registries, other packages' kinds, and functions named as text."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator
from typing import Any, ClassVar, Literal

import pytest
from pydantic import BaseModel, ValidationError

from napari_pytc import settings
from napari_pytc.errors import InvalidInput
from napari_pytc.settings import Settings, TaggedSettings, resolve, setting


class Shapes(TaggedSettings):
    noun: ClassVar[str] = "shape"
    entry_point_group: ClassVar[str] = "napari_pytc.tests.shapes"


class Circle(Shapes):
    kind: Literal["circle"] = "circle"
    radius: float = setting(1.0, "Radius", "How far the rim is from the centre.", "nm", gt=0)


class Square(Shapes):
    kind: Literal["square"] = "square"
    side: float = 1.0


class Sounds(TaggedSettings):
    noun: ClassVar[str] = "sound"


class Beep(Sounds):
    kind: Literal["beep"] = "beep"


class Entry:
    """An entry point whose module defines a kind when it is imported."""

    def __init__(self) -> None:
        self.n_loaded = 0

    def load(self) -> None:
        self.n_loaded += 1

        class Triangle(Shapes):
            kind: Literal["triangle"] = "triangle"


@pytest.fixture
def entry(monkeypatch: pytest.MonkeyPatch) -> Iterator[Entry]:
    """An installed package that brings triangles."""
    entry = Entry()
    asked: dict[str, list[Entry]] = {Shapes.entry_point_group: [entry]}
    monkeypatch.setattr(settings, "entry_points", lambda group: asked[group])
    yield entry
    TaggedSettings._loaded.discard(Shapes.entry_point_group)
    Shapes.kinds.pop("triangle", None)


def test_settings_cannot_be_changed_and_unknown_names_are_errors() -> None:
    circle = Circle(radius=2)
    with pytest.raises(ValidationError, match="frozen"):
        circle.radius = 3  # type: ignore[misc]
    with pytest.raises(ValidationError, match="diameter"):
        Circle(diameter=2)  # type: ignore[call-arg]


def test_equal_settings_are_one_key() -> None:
    assert len({Circle(radius=2), Circle(radius=2.0), Circle(radius=3)}) == 2


def test_a_family_knows_its_own_kinds_only(entry: Entry) -> None:
    assert Shapes.variants().keys() == {"circle", "square", "triangle"}
    assert Sounds.variants() == {"beep": Beep}


def test_a_change_of_the_answer_leaves_the_registry_alone(entry: Entry) -> None:
    Shapes.variants().clear()
    assert Shapes.variants()["circle"] is Circle


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("square", Square()),
        ({"kind": "circle"}, Circle()),
        ({"kind": "circle", "radius": 7}, Circle(radius=7)),
        (Circle(radius=5), Circle(radius=5)),
    ],
)
def test_a_name_a_mapping_and_settings_are_parsed(value: Any, expected: Shapes) -> None:
    found = Shapes.parse(value)
    assert type(found) is type(expected)
    assert found == expected


@pytest.mark.parametrize("value", [None, 3, ["circle"]])
def test_what_names_no_kind_is_left_to_the_field(value: Any) -> None:
    assert Shapes.parse(value) is value


@pytest.mark.parametrize("value", ["oval", {"kind": "oval"}])
def test_an_unknown_kind_is_refused_with_those_that_are_known(entry: Entry, value: Any) -> None:
    with pytest.raises(InvalidInput) as caught:
        Shapes.parse(value)
    assert caught.value.message == "No shape is called 'oval'."
    assert caught.value.hint == "Known are circle, square, triangle."


@pytest.mark.parametrize(
    ("value", "instead"), [({"side": 1}, ""), ({"kid": "oval"}, ": it has the key 'kid' instead"), ({3: 1}, "")]
)
def test_settings_without_a_kind_are_refused_with_the_key_that_may_be_meant(
    entry: Entry, value: Any, instead: str
) -> None:
    with pytest.raises(InvalidInput) as caught:
        Shapes.parse(value)
    assert caught.value.message == f"The shape does not say its kind{instead}."
    assert caught.value.hint == "For example kind: circle. Known are circle, square, triangle."


def test_the_kind_of_another_family_is_unknown() -> None:
    with pytest.raises(InvalidInput, match="No sound is called 'circle'"):
        Sounds.parse("circle")


def test_a_family_without_kinds_says_so() -> None:
    class Smells(TaggedSettings):
        noun: ClassVar[str] = "smell"

    with pytest.raises(InvalidInput, match="Known are none"):
        Smells.parse("rose")


def test_other_packages_are_loaded_once_and_only_where_a_kind_is_missing(entry: Entry) -> None:
    Shapes.parse("circle")
    assert entry.n_loaded == 0
    assert type(Shapes.parse("triangle")).__name__ == "Triangle"
    with pytest.raises(InvalidInput):
        Shapes.parse("oval")
    Shapes.variants()
    assert entry.n_loaded == 1


def test_a_wrong_value_of_a_known_kind_names_the_field() -> None:
    with pytest.raises(ValidationError, match="radius"):
        Shapes.parse({"kind": "circle", "radius": -1})


def test_a_kind_travels_as_json() -> None:
    circle = Circle(radius=2.5)
    assert Shapes.parse(json.loads(circle.model_dump_json())) == circle


def test_a_subclass_of_a_kind_takes_its_own_name_and_leaves_the_parents() -> None:
    class Ring(Circle):
        kind: Literal["ring"] = "ring"  # type: ignore[assignment]

    try:
        assert Shapes.parse("ring") == Ring()
        assert type(Shapes.parse("circle")) is Circle
    finally:
        del Shapes.kinds["ring"]


def test_a_field_shows_its_text_unit_and_bounds() -> None:
    class Form(Settings):
        speed: float = setting(3.0, "Speed", "How fast.", "nm/s", ge=0, le=9)
        name: str = setting("x", "Name", "What to call it.")

    schema = Form.model_json_schema()["properties"]
    assert (schema["speed"]["title"], schema["speed"]["description"]) == ("Speed", "How fast.")
    assert (schema["speed"]["unit"], schema["speed"]["minimum"], schema["speed"]["maximum"]) == ("nm/s", 0, 9)
    assert schema["speed"]["default"] == 3.0
    assert "unit" not in schema["name"]


def test_a_function_is_found_from_its_name() -> None:
    assert resolve("math:hypot") is math.hypot


@pytest.mark.parametrize(
    ("name", "error"), [("no_such_package:run", ModuleNotFoundError), ("math:no_such_function", AttributeError)]
)
def test_a_name_of_nothing_is_an_error(name: str, error: type[Exception]) -> None:
    with pytest.raises(error, match="no_such"):
        resolve(name)


def test_the_base_alone_is_a_pydantic_model_without_kinds() -> None:
    assert issubclass(Settings, BaseModel)
    assert not hasattr(Settings, "kinds")
