"""Values that mean no label in files of the field, and what is told about voxels that were left out."""

from __future__ import annotations

from collections.abc import Collection, Mapping

import numpy as np

BACKGROUND_WORD = "background"
"""What a value is mapped to that stands for no object, or for the class of this name."""
NO_LABEL = 2**64 - 1
"""Value of uint64 labels without a label, in files of CREMI and Paintera."""
UNKNOWN = (2**64 - 2, 2**64 - 3)
"""Values of uint64 labels that are invalid, or outside of what was annotated, in files of Paintera."""


def whole_numbers(block: np.ndarray) -> np.ndarray:
    """The same labels as whole numbers: bool is 0 and 1."""
    return block.view(np.uint8) if block.dtype == bool else block


def ignored_notes(counts: Mapping[int, int], ignored: Collection[int], is_uint64: bool) -> list[str]:
    """Sentences about voxels that were left out, by their values."""
    found = [
        f"{_voxels(counts[value])} of the value {value} left out, as it is ignored."
        for value in sorted(ignored)
        if counts.get(value)
    ]
    if is_uint64 and counts.get(NO_LABEL) and NO_LABEL not in ignored:
        found.append(f"{_voxels(counts[NO_LABEL])} of the value 2^64-1, CREMI's sign for no label, taken for 0.")
    n_unknown = sum(counts.get(value, 0) for value in UNKNOWN if value not in ignored) if is_uint64 else 0
    if n_unknown:
        found.append(f"{_voxels(n_unknown)} of the values 2^64-2 and 2^64-3, unknown in Paintera, left out.")
    return found


def _voxels(n: int) -> str:
    return "1 voxel" if n == 1 else f"{n} voxels"
