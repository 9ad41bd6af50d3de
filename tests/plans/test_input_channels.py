"""Channels of images and of models: which go together, and what is told."""

from __future__ import annotations

from typing import Any

import pytest

from napari_pytc.errors import ModelError
from napari_pytc.plans.input_channels import check_n_inputs, check_same_channels, other_channels_note
from napari_pytc.plans.model_folder import ModelInfo


def model(n_inputs: int, *names: str) -> ModelInfo:
    values: dict[str, Any] = {"id": "m1", "n_inputs": n_inputs, "input_names": names}
    return ModelInfo.model_construct(**values)


@pytest.mark.parametrize("n", [1, 3])
def test_an_image_with_as_many_channels_is_taken(n: int) -> None:
    check_n_inputs(model(n), n)


def test_an_image_with_other_channels_is_refused_with_both_numbers() -> None:
    with pytest.raises(ModelError) as caught:
        check_n_inputs(model(2, "DAPI", "sem"), 1, "cells.tif")
    assert caught.value.message == "The model m1 takes images of 2 channels (DAPI, sem); cells.tif has one channel."
    assert "--channel" in caught.value.hint
    with pytest.raises(ModelError, match=r"takes images of one channel; the image has 3 channels\."):
        check_n_inputs(model(1), 3)


@pytest.mark.parametrize(
    ("learnt", "found"),
    [
        (("DAPI", "sem"), ("DAPI", "sem")),
        ((), ("DAPI", "sem")),
        (("DAPI", "sem"), ("DAPI", "")),
        (("channel 0", "channel 2"), ("DAPI", "sem")),
    ],
    ids=["the same", "learnt without names", "without a name", "learnt by number"],
)
def test_channels_of_which_nothing_else_is_known_are_not_told(learnt: tuple[str, ...], found: tuple[str, ...]) -> None:
    assert other_channels_note(model(2, *learnt), found) is None


@pytest.mark.parametrize("found", [("sem", "DAPI"), ("DAPI", "bse")], ids=["another order", "another name"])
def test_other_channels_are_told(found: tuple[str, ...]) -> None:
    note = other_channels_note(model(2, "DAPI", "sem"), found)
    assert note == (
        f"The model m1 learned the channels DAPI, sem, in this order; the image is read with {', '.join(found)}."
    )


def test_volumes_of_a_training_have_as_many_channels() -> None:
    check_same_channels([("the volume a", 2)])
    check_same_channels([("the volume a", 2), ("the volume b", 2)])
    with pytest.raises(ModelError) as caught:
        check_same_channels([("the volume a", 2), ("the volume b", 1), ("the volume c", 2), ("the volume d", 3)])
    assert caught.value.message == (
        "A model learns from images with as many channels: the volume a has 2, the volume b has 1, the volume d has 3."
    )
    assert "--volumes" in caught.value.hint
