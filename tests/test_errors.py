"""Errors keep their kind, sentence and hint, also on the way from the worker to the window."""

from __future__ import annotations

import pickle

import pytest

from napari_pytc.errors import PytcError


def test_text_is_the_sentence_then_the_hint() -> None:
    assert (
        str(PytcError("Expected two classes, got one.", "Paint both.")) == "Expected two classes, got one. Paint both."
    )
    assert str(PytcError("Expected two classes, got one.")) == "Expected two classes, got one."


@pytest.mark.parametrize("kind", PytcError.__subclasses__())
def test_every_kind_crosses_processes(kind: type[PytcError]) -> None:
    error = pickle.loads(pickle.dumps(kind("What came.", "What to do.")))
    assert type(error) is kind
    assert (error.message, error.hint) == ("What came.", "What to do.")
