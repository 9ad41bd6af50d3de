from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from napari_pytc.errors import InvalidInput
from napari_pytc.geometry import VoxelSpace

sizes = st.tuples(*[st.floats(0.01, 1e6)] * 3)


@given(sizes)
def test_text_gives_the_size(size: tuple[float, float, float]) -> None:
    assert VoxelSpace.parse(",".join(map(repr, size))) == VoxelSpace(size)
    assert VoxelSpace(size).nm((1, 2, 3)) == (size[0], 2 * size[1], 3 * size[2])


def test_anisotropy_is_thickness_over_the_finer_edge_in_the_plane() -> None:
    assert VoxelSpace((40, 8, 4)).anisotropy == 10
    assert VoxelSpace((10, 10, 10)).anisotropy == 1


def test_an_unknown_size_says_so() -> None:
    assert not VoxelSpace.unknown().known
    assert VoxelSpace((1, 1, 1)).known


@pytest.mark.parametrize("text", ["", "4", "4,4", "4,4,4,4", "4,4,x"])
def test_text_that_is_no_size_is_refused_with_an_example(text: str) -> None:
    with pytest.raises(InvalidInput, match="for example 40,4,4"):
        VoxelSpace.parse(text)


@pytest.mark.parametrize("size", [(0, 1, 1), (-4, 4, 4), (float("nan"), 4, 4), (float("inf"), 4, 4), (4, 4)])
def test_sizes_that_no_voxel_has_are_refused(size: tuple[float, ...]) -> None:
    with pytest.raises(InvalidInput, match="three positive lengths"):
        VoxelSpace(size)  # type: ignore[arg-type]


@pytest.mark.parametrize("origin", [(0, 0), (float("nan"), 0, 0)])
def test_an_origin_is_three_finite_positions(origin: tuple[float, ...]) -> None:
    with pytest.raises(InvalidInput, match="three finite positions"):
        VoxelSpace(origin_nm=origin)  # type: ignore[arg-type]
