"""Names of SWC files, units and rules; the command line offers them before anything is imported."""

from __future__ import annotations

from typing import Literal

SUFFIX = ".swc"
"""End of the names of SWC files."""
SkeletonUnit = Literal["nm", "um", "voxels"]
"""Unit of the lengths in a file."""
MergedBy = Literal["segment", "skeleton"]
"""Edges that a merger spoils: all on the segment, or those of the skeletons that it merges."""
FILE = "swc"
"""Format of an export: one file of all skeletons."""
FOLDER = "swc-series"
"""Format of an export: a folder with a file for each skeleton."""
