"""Voxel sizes: from voxels to nanometres."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field

from napari_pytc.errors import InvalidInput


@dataclass(frozen=True, slots=True)
class VoxelSpace:
    """Size of a voxel and place of the first one.

    Parameters
    ----------
    voxel_size_nm : tuple of float
        Edge lengths along z, y, x in nanometres.
    origin_nm : tuple of float
        Position of the centre of voxel (0, 0, 0) in nanometres.
    known : bool
        False where no file and no user gave the size and 1 nm stands in for it.
    is_placed : bool
        Whether a file says where the first voxel lies, also at 0; False where 0 stands for nothing said. Spaces that
        differ in this alone are equal.
    """

    voxel_size_nm: tuple[float, float, float] = (1.0, 1.0, 1.0)
    origin_nm: tuple[float, float, float] = (0.0, 0.0, 0.0)
    known: bool = True
    is_placed: bool = field(default=False, compare=False)

    def __post_init__(self) -> None:
        size = tuple(float(v) for v in self.voxel_size_nm)
        if len(size) != 3 or not all(0 < v < float("inf") for v in size):
            raise InvalidInput(
                f"A voxel size is three positive lengths in nm (z, y, x), got {self.voxel_size_nm}.",
                "Write it as Z,Y,X, for example 40,4,4.",
            )
        object.__setattr__(self, "voxel_size_nm", size)
        origin = tuple(float(v) for v in self.origin_nm)
        if len(origin) != 3 or not all(math.isfinite(v) for v in origin):
            raise InvalidInput(f"An origin is three finite positions in nm (z, y, x), got {self.origin_nm}.")
        object.__setattr__(self, "origin_nm", origin)
        object.__setattr__(self, "is_placed", self.is_placed or any(origin))

    @classmethod
    def parse(cls, text: str) -> VoxelSpace:
        """Read ``Z,Y,X`` in nm."""
        try:
            size = tuple(float(part) for part in text.split(","))
        except ValueError:
            size = ()
        if len(size) != 3:
            raise InvalidInput(f"A voxel size is written Z,Y,X in nm, for example 40,4,4; got {text!r}.")
        return cls(size)

    @classmethod
    def unknown(cls) -> VoxelSpace:
        """1 nm along every axis, marked as a stand-in."""
        return cls(known=False)

    @property
    def anisotropy(self) -> float:
        """Section thickness over the finer in-plane edge; 1 for cubic voxels."""
        z, y, x = self.voxel_size_nm
        return z / min(y, x)

    def nm(self, lengths: Sequence[float]) -> tuple[float, float, float]:
        """Lengths in voxels along z, y, x as nanometres."""
        return tuple(v * s for v, s in zip(lengths, self.voxel_size_nm, strict=True))  # type: ignore[return-value]
