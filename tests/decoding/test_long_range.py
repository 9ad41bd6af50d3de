from __future__ import annotations

import numpy as np

from napari_pytc.decoding.base import contact_join
from napari_pytc.decoding.evidence import Evidence
from napari_pytc.decoding.long_range import reach_of, with_long_range

NEAR = ((1, 0, 0), (0, 1, 0), (0, 0, 1))
SHAPE = (6, 7, 8)


def affinities_of(cells: np.ndarray, offset: tuple[int, int, int]) -> np.ndarray:
    """Whether a voxel and the one at its offset are one cell, as 0.9 and 0.1; 0 where there is no such voxel."""
    padded = np.pad(cells, 4, constant_values=-1)
    there = padded[tuple(slice(4 + o, 4 + o + n) for o, n in zip(offset, cells.shape, strict=True))]
    return np.where(there < 0, 0, np.where(cells == there, 0.9, 0.1)).astype(np.float32)


def evidence_of(cells: np.ndarray, offsets: tuple[tuple[int, int, int], ...], **more: np.ndarray) -> Evidence:
    return Evidence(affinities=np.stack([affinities_of(cells, o) for o in offsets]), offsets=offsets, **more)


def test_links_over_a_face_count_as_much_as_the_face() -> None:
    cells = np.zeros(SHAPE, int)
    cells[..., 4:] = 1
    evidence = evidence_of(cells, (*NEAR, (0, 0, 3)))
    near = evidence.nearest()
    assert near is not None
    near[2, :, :, 3] = 0.9  # the network misses the membrane between x = 3 and x = 4
    joined = with_long_range(near, evidence.affinities, evidence.offsets)
    np.testing.assert_allclose(joined[2, :, :, 3], (0.9 + 0.1) / 2, atol=1e-6)
    np.testing.assert_allclose(joined[2, :, :, 2], (0.9 + (0.9 + 0.1 + 0.1) / 3) / 2, atol=1e-6)
    np.testing.assert_allclose(joined[2, :, :, 0], 0.9, atol=1e-6)
    np.testing.assert_array_equal(joined[:2], near[:2])
    assert not joined[2, :, :, -1].any()


def test_either_direction_says_the_same() -> None:
    cells = np.random.default_rng(0).integers(0, 3, SHAPE)
    forward = evidence_of(cells, (*NEAR, (3, 0, 0), (0, 0, 2)))
    backward = evidence_of(cells, (*NEAR, (-3, 0, 0), (0, 0, -2)))
    np.testing.assert_allclose(contact_join(forward), contact_join(backward))


def test_the_shortest_straight_links_are_taken() -> None:
    cells = np.random.default_rng(1).integers(0, 2, SHAPE)
    one = evidence_of(cells, (*NEAR, (0, 0, 3)))
    more = evidence_of(cells, (*NEAR, (0, 0, 4), (0, 3, 3), (0, 0, 3)))
    np.testing.assert_array_equal(contact_join(one), contact_join(more))
    assert reach_of(more.offsets) == (1, 1, 3)


def test_a_part_of_a_volume_is_as_the_whole_with_so_much_around_it() -> None:
    cells = np.random.default_rng(2).integers(0, 2, (12, 12, 12))
    offsets = (*NEAR, (3, 0, 0), (0, 3, 0), (0, 0, 3))
    whole = contact_join(evidence_of(cells, offsets))
    part = evidence_of(cells, offsets)
    assert whole is not None
    assert part.affinities is not None
    reach = reach_of(offsets)[0]
    around = slice(4 - reach, 8 + reach)
    cut = contact_join(Evidence(affinities=part.affinities[:, around, around, around], offsets=offsets))
    assert cut is not None
    inner = slice(reach, reach + 4)
    np.testing.assert_array_equal(cut[:, inner, inner, inner], whole[:, 4:8, 4:8, 4:8])


def test_no_link_jumps_over_what_no_object_reaches_through() -> None:
    barrier = np.zeros(SHAPE, np.float32)
    barrier[:, :, 4] = 1
    joined = contact_join(evidence_of(np.zeros(SHAPE, int), (*NEAR, (0, 0, 3)), barrier=barrier))
    assert joined is not None
    assert not joined[2, :, :, 3:5].any()
    np.testing.assert_allclose(joined[2, :, :, 1], 0.9, atol=1e-6)


def test_a_volume_that_is_thinner_than_a_link_has_its_faces_alone() -> None:
    evidence = evidence_of(np.zeros((2, 7, 8), int), (*NEAR, (3, 0, 0)))
    np.testing.assert_array_equal(contact_join(evidence), evidence.nearest())
