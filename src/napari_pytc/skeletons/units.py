"""Names of SWC files and units; the command line offers them before anything is imported."""

from __future__ import annotations

from typing import Literal

SUFFIX = ".swc"
"""End of the names of SWC files."""
SkeletonUnit = Literal["nm", "um", "voxels"]
"""Unit of the lengths in a file."""
FILE = "swc"
"""Format of an export: one file of all skeletons."""
FOLDER = "swc-series"
"""Format of an export: a folder with a file for each skeleton."""
