"""The mutex watershed on small arrays with a known answer."""

from __future__ import annotations

import numpy as np
import pytest

from napari_pytc.decoding import MutexWatershedDecoder
from napari_pytc.decoding.evidence import Evidence
from napari_pytc.geometry import VoxelSpace
from napari_pytc.labels.region_graph import RegionGraph
from tests.support.evidence import FAR, NEAR, affinities_of

SPACE = VoxelSpace((10, 10, 10))
VOXEL_UM3 = 1e-6


def decoder(**settings: object) -> MutexWatershedDecoder:
    return MutexWatershedDecoder(**{"smallest_um3": 0, "boundary_threshold": 1.0, **settings})  # type: ignore[arg-type]


def evidence_of(cells: np.ndarray, offsets: tuple[tuple[int, int, int], ...] = NEAR + FAR) -> Evidence:
    # Never quite 0: a voxel that is boundary for certain would be left to the flooding.
    return Evidence(affinities=np.clip(affinities_of(cells, offsets, blur=0), 0.05, 0.95), offsets=offsets)


def same(a: np.ndarray, b: np.ndarray) -> bool:
    """Whether two label arrays group voxels alike."""
    pairs = np.unique(np.stack([a.ravel(), b.ravel()]), axis=1)
    return pairs.shape[1] == len(np.unique(a)) == len(np.unique(b))


def blocks_of_cells() -> np.ndarray:
    """Eight cells in a block of 8 x 16 x 16 voxels."""
    z, y, x = np.ogrid[:8, :16, :16]
    return (1 + z // 4 + 2 * (y // 8) + 4 * (x // 8)).astype(np.uint32)


def test_affinities_without_a_fault_give_the_cells_back() -> None:
    cells = blocks_of_cells()
    assert same(decoder().decode(evidence_of(cells), SPACE).labels, cells)


def test_the_sign_of_an_offset_changes_nothing() -> None:
    cells = blocks_of_cells()
    backward = tuple((-z, -y, -x) for z, y, x in NEAR + FAR)
    assert same(decoder().decode(evidence_of(cells, backward), SPACE).labels, cells)


def with_a_hole(cells: np.ndarray) -> Evidence:
    """The affinities of cells, of which the network missed the wall along x in one place."""
    evidence = evidence_of(cells)
    assert evidence.affinities is not None
    evidence.affinities[2, 1:3, 2:4, 7] = 0.9
    return evidence


def test_long_affinities_forbid_the_merge_that_a_hole_in_the_wall_asks_for() -> None:
    cells = blocks_of_cells()
    assert same(decoder().decode(with_a_hole(cells), SPACE).labels, cells)


def test_where_no_long_affinity_repels_the_hole_joins_the_two_cells() -> None:
    cells = blocks_of_cells()
    evidence = with_a_hole(cells)
    assert evidence.affinities is not None
    evidence.affinities[3:] = 1
    labels = decoder().decode(evidence, SPACE).labels
    assert labels[1, 2, 6] == labels[1, 2, 9]
    assert labels[1, 10, 6] == labels[1, 2, 6]  # nothing repels at all, so that everything is one


@pytest.mark.parametrize("step", [1, 2, 3])
def test_every_so_many_th_voxel_that_repels_is_enough_for_walls_without_holes(step: int) -> None:
    cells = blocks_of_cells()
    assert same(decoder(repulsion_step=step).decode(evidence_of(cells), SPACE).labels, cells)


def test_boundaries_are_given_to_the_objects_around_them_or_left_out() -> None:
    cells = np.ones((4, 8, 17), np.uint32)
    cells[:, :, 8], cells[:, :, 9:] = 0, 2
    filled = decoder(fill=True, boundary_threshold=0.5).decode(evidence_of(cells), SPACE).labels
    apart = decoder(fill=False, boundary_threshold=0.5).decode(evidence_of(cells), SPACE).labels
    assert (filled > 0).all()
    assert len(np.unique(filled)) == 2
    assert not apart[:, :, 8].any()
    assert same(apart[:, :, [2, 14]], cells[:, :, [2, 14]])


def test_pieces_within_the_block_that_are_too_small_are_given_to_what_is_around_them() -> None:
    cells = np.ones((7, 15, 15), np.uint32)
    cells[3:5, 6:9, 6:9] = 2
    evidence = evidence_of(cells)
    both = decoder().decode(evidence, SPACE).labels
    one = decoder(smallest_um3=30 * VOXEL_UM3).decode(evidence, SPACE).labels
    assert len(np.unique(one)) <= len(np.unique(both))
    assert (one == one[0, 0, 0]).all()


def test_boundary_everywhere_is_no_object() -> None:
    evidence = evidence_of(np.zeros((4, 8, 8), np.uint32))
    assert not decoder(boundary_threshold=0.5).decode(evidence, SPACE).labels.any()


@pytest.mark.parametrize(
    ("space", "halo"), [(VoxelSpace((10, 10, 10)), (20, 20, 20)), (VoxelSpace((500, 400, 4)), (2, 2, 50))]
)
def test_the_halo_is_a_length_and_at_least_two_voxels(space: VoxelSpace, halo: tuple[int, int, int]) -> None:
    assert decoder().halo(space) == halo


def test_small_objects_at_the_end_of_the_volume_join_a_neighbour_afterwards() -> None:
    edges = np.array([[1, 2], [2, 3]], np.uint32)
    graph = RegionGraph(edges, np.array([0.2, 0.1], np.float32), np.ones(2, np.uint32), np.zeros((2, 3), np.float32))
    sizes = np.array([0, 5, 500, 500])
    settings = decoder(smallest_um3=50 * VOXEL_UM3)
    assert settings.partition(graph, sizes, SPACE).tolist() == [0, 1, 1, 3]
    assert settings.large_enough(np.array([0, 5, 500, 500, 5]), graph, SPACE).tolist() == [
        False,
        True,
        True,
        True,
        False,
    ]
