"""Predictions of known cells with truth beside them, and tunings of them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import h5py
import numpy as np

from napari_pytc.annotations.label_transform import LabelTransform
from napari_pytc.geometry import VoxelSpace
from napari_pytc.tuning.describe import TuneRequest, describe_tuning
from napari_pytc.tuning.jobs import TuneJob
from napari_pytc.tuning.truth import LabelTruth
from napari_pytc.volumes.fingerprint import fingerprint
from napari_pytc.volumes.opening import open_labels
from tests.support.evidence import prediction_of
from tests.support.tissue import make_tissue

SPACE = VoxelSpace((10.0, 10.0, 10.0))
SHAPE = (12, 40, 44)


def cells_of(shape: tuple[int, int, int] = SHAPE, n_cells: int = 12) -> np.ndarray:
    return make_tissue(shape, n_cells=n_cells).cells


def predict(folder: Path, cells: np.ndarray, what: tuple[str, ...] = ("near", "far"), noise: float = 0.25) -> Path:
    return prediction_of(folder / "p.zarr", cells, SPACE, what, noise=noise)


def write_labels(path: Path, labels: np.ndarray, origin_nm: tuple[float, ...] | None = None) -> Path:
    with h5py.File(path, "w") as file:
        file["main"] = labels
        file["main"].attrs["voxel_size_nm"] = SPACE.voxel_size_nm
        if origin_nm is not None:
            file["main"].attrs["origin_nm"] = origin_nm
    return path


def truth_of(path: Path, transform: LabelTransform | None = None) -> LabelTruth:
    source = open_labels(path)
    return LabelTruth(labels=source.spec, digest=fingerprint(source).digest, transform=transform or LabelTransform())


def describe(
    folder: Path,
    cells: np.ndarray,
    request: TuneRequest | None = None,
    truth: np.ndarray | None = None,
    what: tuple[str, ...] = ("near", "far"),
    transform: LabelTransform | None = None,
    **fields: Any,
) -> TuneJob:
    """A tuning of a noisy prediction of cells on those cells, or on other truth."""
    prediction = folder / "p.zarr"
    if not prediction.exists():
        predict(folder, cells, what)
    labels = write_labels(folder / "truth.h5", cells if truth is None else truth)
    found = truth_of(labels, transform)
    return describe_tuning(prediction, folder / "tuning", found, request or TuneRequest(trials=4), **fields)
