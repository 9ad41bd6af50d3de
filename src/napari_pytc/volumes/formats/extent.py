"""Limits of the arrays that are opened: no program writes larger ones on purpose."""

from __future__ import annotations

import math
from collections.abc import Sequence

from napari_pytc.errors import VolumeError

_LARGEST_BYTES = 2**60
_LARGEST_CHUNK_BYTES = 4 * 2**30


def check_extent(lengths: Sequence[int], chunk_lengths: Sequence[int], n_bytes: int, where: str) -> None:
    """Refuse an array without end, or in chunks that fill the memory.

    Parameters
    ----------
    lengths : sequence of int
        The array's shape.
    chunk_lengths : sequence of int
        The smallest piece that can be read; empty where any voxel can be read alone.
    n_bytes : int
        Bytes of a voxel.

    Raises
    ------
    VolumeError
        If the voxels take more than 2^60 bytes, or a chunk more than 4 GiB.
    """
    if any(n < 0 for n in lengths) or math.prod(lengths) * n_bytes > _LARGEST_BYTES:
        raise VolumeError(
            f"{where} claims to have {' x '.join(map(str, lengths))} voxels, which no disk holds.",
            "Its metadata are damaged; have them written again.",
        )
    chunk = math.prod(chunk_lengths) * n_bytes
    if chunk_lengths and chunk > _LARGEST_CHUNK_BYTES:
        raise VolumeError(
            f"{where} has chunks of {' x '.join(map(str, chunk_lengths))} voxels; reading one voxel would take "
            f"{chunk // 2**30:,} GiB.",
            "Write it again with chunks of about 64 x 128 x 128.",
        )
