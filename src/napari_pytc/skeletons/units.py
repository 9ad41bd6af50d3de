"""Names of SWC files and units; the command line offers them before anything is imported."""

from __future__ import annotations

from typing import Literal

SUFFIX = ".swc"
"""End of the names of SWC files."""
SkeletonUnit = Literal["nm", "um", "voxels"]
"""Unit of the lengths in a file."""
