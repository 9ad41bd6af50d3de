"""The contact of two segments: its voxels, the section that is shown, and what of it is in view."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from napari_pytc.geometry import Box, VoxelSpace
from napari_pytc.ui.panels.proofread.contact import find_contact, touching

SHAPE = (9, 60, 60)


def document_of(labels: np.ndarray, voxel_size_nm: tuple[float, float, float] = (40.0, 10.0, 10.0)) -> Any:
    return SimpleNamespace(
        shape=labels.shape, space=VoxelSpace(voxel_size_nm), segments=lambda box: labels[box.slices].copy()
    )


@pytest.fixture
def labels() -> np.ndarray:
    """Two segments that touch along a plane across x, in sections 2 to 6, and a third."""
    found = np.zeros(SHAPE, np.uint32)
    found[2:7, 20:40, 10:30] = 1
    found[2:7, 24:36, 30:50] = 2
    found[2:7, 40:44, :] = 3
    return found


def test_both_sides_of_a_face_touch(labels: np.ndarray) -> None:
    found = touching(labels, 1, 2)
    expected = np.zeros(SHAPE, bool)
    expected[2:7, 24:36, 29:31] = True
    np.testing.assert_array_equal(found, expected)
    np.testing.assert_array_equal(touching(labels, 2, 1), expected)
    assert not touching(labels, 2, 3).any()


@pytest.mark.parametrize("axis", [0, 1, 2])
def test_faces_along_each_axis_count(axis: int) -> None:
    block = np.ones((4, 4, 4), np.uint32)
    np.moveaxis(block, axis, 0)[2:] = 2
    found = np.moveaxis(touching(block, 1, 2), axis, 0)
    assert found[1:3].all()
    assert not found[[0, 3]].any()


def test_the_nearest_section_that_shows_it_well_is_in_view(labels: np.ndarray) -> None:
    contact = find_contact(document_of(labels), (1, 2), (8.0, 30.0, 30.0), axis=0)
    assert contact is not None
    assert contact.place[0] == 6
    assert labels[contact.place] in (1, 2)
    assert contact.voxels[tuple(np.subtract(contact.place, contact.box.start))]
    assert 28 <= contact.place[1] <= 31, "in the middle of the contact"
    assert contact.view.shape[0] == 1
    assert contact.view.contains(Box((6, 24, 29), (7, 36, 31)))
    assert contact.view.shape[1] > 12, "with its surroundings"


def test_sections_across_another_axis(labels: np.ndarray) -> None:
    contact = find_contact(document_of(labels), (1, 2), (4.0, 30.0, 30.0), axis=2)
    assert contact is not None
    assert contact.view.shape[2] == 1
    assert contact.place[2] in (29, 30)


def test_what_is_far_from_the_place_or_does_not_touch_is_no_contact(labels: np.ndarray) -> None:
    assert find_contact(document_of(labels), (2, 3), (4.0, 38.0, 40.0), axis=0) is None
    coarse = document_of(labels, (4000.0, 1000.0, 1000.0))  # 1.5 um are two voxels
    assert find_contact(coarse, (1, 2), (4.0, 30.0, 10.0), axis=0) is None
    assert find_contact(coarse, (1, 2), (4.0, 30.0, 29.0), axis=0) is not None
