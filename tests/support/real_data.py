"""Real volumes for tests: beside the checkout where they are, else the test is skipped with the reason."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

_BESIDE_THE_CHECKOUT = Path(__file__).resolve().parents[3] / "shared" / "data"


def real_data_folder() -> Path:
    """Folder of the real volumes: environment variable NAPARI_PYTC_DATA, or ../shared/data of the checkout."""
    return Path(os.environ.get("NAPARI_PYTC_DATA") or _BESIDE_THE_CHECKOUT)


def real_data(name: str) -> Path:
    """Path of a real volume; skips the calling test where there is none."""
    path = real_data_folder() / name
    if not path.exists():
        pytest.skip(f"needs {name} in {path.parent} (or in the folder that NAPARI_PYTC_DATA names)")
    return path
