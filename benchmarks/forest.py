"""The comparison: a random forest on ilastik's features, as its pixel classification workflow would be used."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import numpy as np
from bioimage_cpp import filters
from sklearn.ensemble import RandomForestClassifier

from napari_pytc.geometry import Box, TileGrid

SIGMAS = (0.3, 0.7, 1.0, 1.6, 3.5, 5.0, 10.0)
_HALO = 40
_BLOCK = 128


class ForestModel:
    """A forest of fully grown trees on ilastik's features.

    Parameters
    ----------
    volumetric : bool
        Features in 3D, else section by section.
    n_trees, seed, n_jobs : int
        Those of scikit-learn's forest.
    """

    def __init__(self, volumetric: bool, n_trees: int = 100, seed: int = 0, n_jobs: int = 2) -> None:
        self.volumetric = volumetric
        self.n_jobs = n_jobs
        self.forest = RandomForestClassifier(n_trees, n_jobs=n_jobs, random_state=seed)

    def features(self, raw: np.ndarray) -> np.ndarray:
        """Features (z, y, x, f), float32."""
        raw = raw.astype(np.float32)
        blocks = [raw] if self.volumetric else list(raw)
        calls = [(block, sigma, index) for block in blocks for index, sigma in enumerate(SIGMAS)]
        with ThreadPoolExecutor(self.n_jobs) as pool:
            maps = list(pool.map(lambda call: _of_scale(call[0], call[1]), calls))
        stacks = [np.concatenate(maps[i : i + len(SIGMAS)], axis=-1) for i in range(0, len(maps), len(SIGMAS))]
        return stacks[0] if self.volumetric else np.stack(stacks)

    def fit(self, raw: np.ndarray, strokes: np.ndarray) -> None:
        """Learn from the strokes; features are computed on blocks around them only."""
        self.forest.fit(*features_at(raw, strokes, self.features, self.volumetric))

    def predict(self, raw: np.ndarray) -> np.ndarray:
        """Probabilities (k, z, y, x), float32, of the classes that had strokes."""
        features = self.features(raw)
        found = self.forest.predict_proba(features.reshape(-1, features.shape[-1]))
        return np.moveaxis(found.astype(np.float32).reshape(*raw.shape, -1), -1, 0)


def features_at(
    raw: np.ndarray, strokes: np.ndarray, compute: Callable[[np.ndarray], np.ndarray], volumetric: bool
) -> tuple[np.ndarray, np.ndarray]:
    """Features (n, f) and labels (n,) of the annotated voxels."""
    depth = _BLOCK if volumetric else 1
    halo = (_HALO if volumetric else 0, _HALO, _HALO)
    grid = TileGrid(Box.of_shape(raw.shape), (depth, _BLOCK, _BLOCK), halo)
    features, labels = [], []
    for tile in grid:
        here = strokes[tile.write.slices]
        if here.any():
            features.append(compute(raw[tile.read.slices])[tile.inner.slices][here > 0])
            labels.append(here[here > 0])
    return np.concatenate(features), np.concatenate(labels)


def _of_scale(image: np.ndarray, sigma: float) -> np.ndarray:
    smooth = filters.gaussian_smoothing(image, sigma)
    if sigma == SIGMAS[0]:
        return smooth[..., None]
    maps = [
        smooth,
        filters.laplacian_of_gaussian(image, sigma),
        filters.gaussian_gradient_magnitude(image, sigma),
        smooth - filters.gaussian_smoothing(image, 0.66 * sigma),
    ]
    tensors = (
        filters.structure_tensor_eigenvalues(image, sigma, 0.5 * sigma),
        filters.hessian_of_gaussian_eigenvalues(image, sigma),
    )
    return np.concatenate([np.stack(maps, axis=-1), *tensors], axis=-1).astype(np.float32)
