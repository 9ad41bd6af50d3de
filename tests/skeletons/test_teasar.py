from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pytest

from napari_pytc.errors import InvalidInput
from napari_pytc.geometry import Box, Shape, VoxelSpace
from napari_pytc.skeletons.skeleton import Skeleton
from napari_pytc.skeletons.teasar import Teasar, skeletonise_segments
from tests.support.arrays import FakeArray

SPACE = VoxelSpace((20.0, 10.0, 10.0), (400.0, 0.0, 50.0))
TEASAR = Teasar(constant_nm=30)
T: Shape = (12, 40, 60)
HUGE = 2**40 + 3


class CountingArray(FakeArray):
    """An array that keeps the sizes of what was read."""

    def read(self, box: Box) -> np.ndarray:
        self.sizes = [*getattr(self, "sizes", []), box.size]
        return super().read(box)


@pytest.fixture
def labels() -> CountingArray:
    """A T, a single voxel with a large id, and a bar."""
    data = np.zeros(T, np.uint64)
    data[4:7, 6:11, 4:56] = 7
    data[4:7, 11:35, 28:33] = 7
    data[0, 0, 0] = HUGE
    data[9:11, 30:34, 2:14] = 3
    return CountingArray(data, SPACE)


def by_segment(found: Iterator[Skeleton]) -> dict[int, Skeleton]:
    return {one.segment: one for one in found}


def test_skeletons_have_the_form_of_their_segments(labels: CountingArray) -> None:
    found = by_segment(skeletonise_segments(labels, SPACE, teasar=TEASAR))
    assert sorted(found) == [3, 7, HUGE]
    fork, bar, point = found[7], found[3], found[HUGE]
    assert (fork.n_branch_points, fork.n_end_points, fork.n_parts) == (1, 3, 1)
    assert (bar.n_branch_points, bar.n_end_points) == (0, 2)
    # Ends reach the corners, so that lengths are a little more than those of the axes.
    assert fork.length_nm == pytest.approx(520 + 240, rel=0.12)
    assert bar.length_nm == pytest.approx(120, rel=0.3)
    assert point.nodes_nm.tolist() == [list(SPACE.origin_nm)]
    assert point.length_nm == 0
    for one in found.values():
        voxels = np.rint((one.nodes_nm - SPACE.origin_nm) / SPACE.voxel_size_nm).astype(int)
        assert (labels.data[tuple(voxels.T)] == one.segment).all()
        assert one.is_forest


@pytest.mark.parametrize("most_voxels", [2**25, 1])
def test_blocks_and_pieces_give_the_same_tree(labels: CountingArray, most_voxels: int) -> None:
    whole = by_segment(skeletonise_segments(labels, SPACE, teasar=TEASAR))
    blocks = by_segment(
        skeletonise_segments(labels, SPACE, teasar=TEASAR, block_shape=(5, 16, 16), most_voxels=most_voxels)
    )
    assert sorted(blocks) == sorted(whole)
    for segment, one in blocks.items():
        same = whole[segment]
        assert (one.n_branch_points, one.n_end_points, one.n_parts, one.is_forest) == (
            same.n_branch_points, same.n_end_points, 1, True,
        )  # fmt: skip
        assert one.length_nm == pytest.approx(same.length_nm, rel=0.1)
    if most_voxels == 1:
        assert max(labels.sizes[-10:]) <= 6 * 17 * 17
    else:
        assert np.array_equal(blocks[7].nodes_nm, whole[7].nodes_nm)


def test_a_box_and_a_choice_of_segments_count_alone(labels: CountingArray) -> None:
    assert sorted(by_segment(skeletonise_segments(labels, SPACE, segments=np.array([7, 99, 3])))) == [3, 7]
    half = Box((0, 0, 0), (12, 40, 30))
    found = by_segment(skeletonise_segments(labels, SPACE, half, teasar=TEASAR))
    assert found[7].nodes_nm[:, 2].max() <= 29 * 10 + 50
    assert list(skeletonise_segments(FakeArray(np.zeros((2, 3, 4), np.uint8)), SPACE)) == []


def test_steps_are_counted_and_can_be_stopped(labels: CountingArray) -> None:
    steps: list[tuple[int, int]] = []
    list(skeletonise_segments(labels, SPACE, report=lambda *step: steps.append(step), block_shape=(12, 40, 20)))
    assert steps[-1][0] == steps[-1][1]
    assert [done for done, _ in steps] == sorted(done for done, _ in steps)

    def stop(done: int, total: int) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        list(skeletonise_segments(labels, SPACE, report=stop))


def test_the_usual_constant_is_in_voxels_where_their_size_is_not_known() -> None:
    assert Teasar().options(SPACE)["constant"] == 300
    assert Teasar().options(VoxelSpace.unknown())["constant"] == 10
    assert Teasar(constant_nm=0).options(SPACE)["constant"] == 0
    with pytest.raises(InvalidInput, match="scale of TEASAR"):
        Teasar(scale=-1)
    with pytest.raises(InvalidInput, match="constant of TEASAR"):
        Teasar(constant_nm=float("nan"))
