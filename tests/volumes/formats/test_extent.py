"""Limits of the arrays that are opened."""

from __future__ import annotations

import pytest

from napari_pytc.errors import VolumeError
from napari_pytc.volumes.formats.extent import check_extent


@pytest.mark.parametrize(
    ("lengths", "chunks", "n_bytes"),
    [
        ((0, 64, 64), (0, 64, 64), 1),
        ((100_000, 100_000, 100_000), (64, 128, 128), 8),
        ((2**20, 2**20, 2**20), (), 1),
        ((4, 2**16, 2**14), (4, 2**16, 2**14), 1),
    ],
    ids=["empty", "petabytes", "the largest", "the largest chunk"],
)
def test_what_programs_write_is_taken(lengths: tuple[int, ...], chunks: tuple[int, ...], n_bytes: int) -> None:
    check_extent(lengths, chunks, n_bytes, "a.zarr")


@pytest.mark.parametrize(("lengths", "n_bytes"), [((2**20, 2**20, 2**20), 2), ((2**61,), 1), ((-1, 4, 4), 1)])
def test_an_array_without_end_is_refused(lengths: tuple[int, ...], n_bytes: int) -> None:
    with pytest.raises(VolumeError, match=r"^a\.zarr claims to have .* voxels, which no disk holds\.") as caught:
        check_extent(lengths, (64,) * len(lengths), n_bytes, "a.zarr")
    assert "damaged" in caught.value.hint


def test_a_chunk_that_fills_the_memory_is_refused_with_its_size() -> None:
    with pytest.raises(VolumeError) as caught:
        check_extent((4096, 4096, 4096), (1024, 4096, 4096), 1, "a.zarr")
    assert caught.value.message == (
        "a.zarr has chunks of 1024 x 4096 x 4096 voxels; reading one voxel would take 16 GiB."
    )


def test_where_any_voxel_is_read_alone_there_is_no_chunk() -> None:
    check_extent((4096, 4096, 4096), (), 8, "a.npy")
