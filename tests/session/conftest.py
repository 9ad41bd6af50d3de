from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import h5py
import numpy as np
import pytest

from napari_pytc.session.session import Session
from tests.support.tissue import Tissue, make_tissue


@pytest.fixture(scope="session")
def tissue() -> Tissue:
    return make_tissue((12, 48, 40), anisotropy=4.0)


@pytest.fixture
def image(tmp_path: Path, tissue: Tissue) -> Path:
    path = tmp_path / "raw.h5"
    write_image(path, tissue.raw)
    return path


def write_image(path: Path, raw: np.ndarray) -> None:
    with h5py.File(path, "w") as file:
        file.create_dataset("main", data=raw).attrs["voxel_size_nm"] = (40.0, 10.0, 10.0)


@pytest.fixture
def session(tmp_path: Path, image: Path) -> Iterator[Session]:
    with Session.create(tmp_path / "a.pytc", str(image), ["membrane", "inside"], voxel_size_nm=(40, 10, 10)) as session:
        yield session
