from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import h5py
import numpy as np
import pytest

from napari_pytc.geometry import Shape
from napari_pytc.session.session import Session
from napari_pytc.session.volumes.building import NewVolume

MakeImage = Callable[..., Path]


@pytest.fixture
def make_image(tmp_path: Path) -> MakeImage:
    """Writes an image of random intensities, of one channel or several."""

    def make(name: str = "other", shape: Shape = (6, 24, 20), n_channels: int = 1) -> Path:
        path = tmp_path / f"{name}.h5"
        raw = np.random.default_rng(1).integers(0, 255, (n_channels, *shape) if n_channels > 1 else shape, np.uint8)
        with h5py.File(path, "w") as file:
            file.create_dataset("main", data=raw).attrs["voxel_size_nm"] = (30.0, 8.0, 8.0)
        return path

    return make


@pytest.fixture
def pair(session: Session, make_image: MakeImage) -> Session:
    """A project with the volumes raw and other."""
    session.volumes.add(NewVolume(make_image()))
    return session
