"""What every family of settings that come in kinds must do; tests subclass and name the family."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any, Literal, get_args, get_origin

import pytest
from pydantic import ValidationError

from napari_pytc.errors import InvalidInput
from napari_pytc.settings import TaggedSettings


def bounds_of(kind: type[TaggedSettings]) -> Iterator[tuple[str, Any]]:
    """Fields of a kind with a value just beyond each of their bounds."""
    for name, field in kind.model_fields.items():
        for bound in field.metadata:
            for word, step in (("ge", -1), ("gt", 0), ("le", 1), ("lt", 0)):
                if getattr(bound, word, None) is not None:
                    yield name, getattr(bound, word) + step


class KindContract:
    """Subclasses give the `family` and `examples`: settings of every kind of it, those with required fields filled."""

    family: type[TaggedSettings]
    examples: tuple[TaggedSettings, ...]

    def test_there_is_an_example_of_every_kind_of_this_package(self):
        ours = {k for k, cls in self.family.variants().items() if cls.__module__.startswith("napari_pytc.")}
        assert {example.kind for example in self.examples} == ours

    def test_a_kind_is_registered_by_the_name_in_its_field(self):
        for name, kind in self.family.variants().items():
            annotation = kind.model_fields["kind"].annotation
            assert get_origin(annotation) is Literal
            assert get_args(annotation) == (name,)
            assert issubclass(kind, self.family)

    def test_every_example_comes_back_from_its_json_as_its_own_class(self):
        for example in self.examples:
            again = self.family.parse(json.loads(example.model_dump_json()))
            assert type(again) is type(example)
            assert again == example

    def test_what_is_not_given_is_the_default(self):
        for example in self.examples:
            values = json.loads(example.model_dump_json())
            fields = type(example).model_fields
            same = {n for n, f in fields.items() if n != "kind" and getattr(example, n) == f.get_default()}
            assert self.family.parse({n: value for n, value in values.items() if n not in same}) == example

    def test_settings_cannot_be_changed(self):
        for example in self.examples:
            with pytest.raises(ValidationError, match="frozen"):
                example.kind = "other"  # type: ignore[misc]

    def test_an_unknown_setting_is_named(self):
        for example in self.examples:
            with pytest.raises(ValidationError, match="no_such_setting"):
                self.family.parse(json.loads(example.model_dump_json()) | {"no_such_setting": 1})

    def test_the_name_of_another_kind_is_not_taken(self):
        for example in self.examples:
            with pytest.raises(ValidationError, match="kind"):
                type(example).model_validate(json.loads(example.model_dump_json()) | {"kind": "no_such_kind"})

    def test_values_beyond_the_bounds_are_refused(self):
        for example in self.examples:
            values = json.loads(example.model_dump_json())
            for name, value in bounds_of(type(example)):
                if not isinstance(value, int | float):
                    continue
                with pytest.raises((ValidationError, InvalidInput), match=name):
                    self.family.parse(values | {name: value})

    def test_an_unknown_kind_is_told_with_those_there_are(self):
        with pytest.raises(InvalidInput) as caught:
            self.family.parse("no_such_kind")
        assert caught.value.message == f"No {self.family.noun} is called 'no_such_kind'."
        for example in self.examples:
            assert example.kind in caught.value.hint

    def test_every_kind_says_what_it_is(self):
        for kind in {type(example) for example in self.examples}:
            first = (kind.__doc__ or "").strip().splitlines()[0]
            assert first.endswith((".", ";", ",", ":")) or len(first) > 60, kind
            assert first[0].isupper(), kind
