"""Choices of exports, without what carries them out: the command line offers them before anything is imported."""

from __future__ import annotations

from typing import Literal

Compression = Literal["auto", "zlib", "zstd", "none"]
"""Of the voxels in the file; auto is what most programs read."""
Content = Literal["labels", "image"]
OmeVersion = Literal["0.4", "0.5"]
"""Version of OME-Zarr: 0.4 is Zarr 2, 0.5 Zarr 3."""
Layout = Literal["plain", "cremi"]
"""Layout of an HDF5 file by a convention of the field."""
What = Literal["classes", "probabilities", "segments", "table", "skeletons", "image"]
"""What is exported."""
OF_SEGMENTS: tuple[What, ...] = ("segments", "table", "skeletons")
"""What is made of a segmentation, not of a prediction or the image."""
VoxelType = Literal["uint8", "uint16", "uint32", "uint64", "float32"]
"""Types that voxels can be written as."""
SegmentIds = Literal["original", "shown"]
"""Ids of an imported segmentation: those of its file, or those that the window shows."""
