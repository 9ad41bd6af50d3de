"""Draw over- and under-segmentation for the page on decoders, from the bundled sample.

    python docs/draw_decoders.py

The boundary is that of a ridge filter on the raw voxels, so that it takes seconds and the same mistakes show that a
weak network makes. Three settings of one slider on one set of supervoxels, no voxel computed twice.
"""

from __future__ import annotations

from pathlib import Path

import h5py
import numpy as np
from PIL import Image
from skimage.feature import hessian_matrix, hessian_matrix_eigvals

from napari_pytc.decoding import AgglomerationDecoder
from napari_pytc.decoding.evidence import Evidence
from napari_pytc.geometry import VoxelSpace
from napari_pytc.samples import sample_path

IMAGES = Path(__file__).parent / "images"
SECTION, ZOOM = 16, 3
SPACE = VoxelSpace((10, 10, 10))
SETTINGS = {"decoders-over": 0.57, "decoders-middle": 0.42, "decoders-under": 0.3}


def ridges(raw: np.ndarray) -> np.ndarray:
    """Dark sheets of a volume as the probability of a boundary, float32."""
    elements = hessian_matrix(raw.astype(np.float32) / 255, sigma=1.5, use_gaussian_derivatives=False)
    strength = hessian_matrix_eigvals(elements)[0]
    return np.clip(strength / np.percentile(strength, 97), 0, 1).astype(np.float32)


def drawn(raw: np.ndarray, segments: np.ndarray) -> Image.Image:
    """A section under the colours of its segments."""
    palette = np.random.default_rng(3).integers(40, 256, (int(segments.max()) + 1, 3))
    edges = np.zeros(segments.shape, bool)
    edges[:-1] |= segments[:-1] != segments[1:]
    edges[:, :-1] |= segments[:, :-1] != segments[:, 1:]
    coloured = 0.6 * raw[..., None] + 0.4 * palette[segments]
    coloured[edges] = 255
    picture = Image.fromarray(np.clip(coloured, 0, 255).astype(np.uint8))
    return picture.resize((picture.width * ZOOM, picture.height * ZOOM), Image.Resampling.NEAREST)


def main() -> None:
    with h5py.File(sample_path("medulla"), "r") as file:
        raw = file["raw"][:32]
    settings = AgglomerationDecoder()
    decoding = settings.decode(Evidence(boundary=ridges(raw)), SPACE)
    sizes = np.bincount(decoding.supervoxels.ravel())
    IMAGES.mkdir(exist_ok=True)
    for name, threshold in SETTINGS.items():
        moved = settings.model_copy(update={"threshold": threshold})
        segments = moved.partition(decoding.graph, sizes, SPACE)
        picture = drawn(raw[SECTION], segments[decoding.supervoxels[SECTION]])
        picture.save(IMAGES / f"{name}.png", optimize=True)
        print(f"{name}.png: merge from {threshold:g}, {len(np.unique(segments)) - 1} segments")


if __name__ == "__main__":
    main()
