"""Make the bundled sample: a crop of FlyEM's medulla with truth and simulated strokes.

    python benchmarks/make_sample.py DATA_FOLDER [OUTPUT]

DATA_FOLDER holds `medulla.h5` (raw and neurons). The strokes lie in sections 0 to 39 of the crop, a few on each of
eight sections as a person would paint them; sections 48 to 63 are left for a score on voxels that no training saw.
"""

from __future__ import annotations

import sys
from pathlib import Path

import h5py
import numpy as np
from scipy import ndimage
from skimage.morphology import skeletonize

CROP = np.s_[10:74, 30:222, 30:222]
PAINTED_SECTIONS = (2, 7, 13, 18, 23, 28, 33, 38)
STROKES_A_CLASS = 3
LENGTHS = (12, 30)
MEMBRANE, INSIDE = 1, 2
OUTPUT = Path(__file__).parents[1] / "src" / "napari_pytc" / "samples" / "medulla.h5"


def classes_of(neurons: np.ndarray) -> np.ndarray:
    """1 where one of the six neighbours belongs to another neuron, 2 elsewhere, 0 where the truth is open."""
    membrane = np.zeros(neurons.shape, bool)
    for axis in range(3):
        a, b = np.moveaxis(neurons, axis, 0)[:-1], np.moveaxis(neurons, axis, 0)[1:]
        meet = (a != b) & (a > 0) & (b > 0)
        view = np.moveaxis(membrane, axis, 0)
        view[:-1] |= meet
        view[1:] |= meet
    return np.where(neurons == 0, 0, np.where(membrane, MEMBRANE, INSIDE)).astype(np.uint8)


def membrane_stroke(section: np.ndarray, length: int, rng: np.random.Generator) -> np.ndarray:
    """A walk along the middle of a membrane, two voxels wide."""
    middle = skeletonize(section == MEMBRANE)
    walked = [tuple(rng.choice(np.argwhere(middle)))]
    while len(walked) < length:
        (y, x), behind = walked[-1], np.array(walked[max(0, len(walked) - 5)])
        near = [(y + dy, x + dx) for dy in (-1, 0, 1) for dx in (-1, 0, 1)]
        near = [(y, x) for y, x in near if 0 <= y < middle.shape[0] and 0 <= x < middle.shape[1]]
        ahead = [place for place in near if middle[place] and place not in walked]
        if not ahead:
            break
        walked.append(max(ahead, key=lambda place: np.hypot(*(place - behind))))
    line = np.zeros(section.shape, bool)
    line[tuple(np.transpose(walked))] = True
    return ndimage.binary_dilation(line, np.ones((2, 2))) & (section == MEMBRANE)


def inside_stroke(section: np.ndarray, where: np.ndarray, length: int, rng: np.random.Generator) -> np.ndarray:
    """A slightly bent line within one cell, three voxels wide, from one of the given places."""
    depth = ndimage.distance_transform_edt(section == INSIDE)
    place = rng.choice(np.argwhere((depth >= 4) & where)).astype(float)
    angle, bend = rng.uniform(0, 2 * np.pi), rng.normal(0, 0.04)
    line = np.zeros(section.shape, bool)
    for _ in range(length):
        y, x = np.round(place).astype(int)
        if not (0 <= y < section.shape[0] and 0 <= x < section.shape[1]) or depth[y, x] < 2.5:
            break
        line[y, x] = True
        place += (np.sin(angle), np.cos(angle))
        angle += bend
    return ndimage.binary_dilation(line, ndimage.generate_binary_structure(2, 1)) & (section == INSIDE)


def draw(raw: np.ndarray, classes: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """The strokes of all painted sections; every other one inside starts on something dark, as mitochondria are."""
    strokes = np.zeros_like(classes)
    for z in PAINTED_SECTIONS:
        smooth = ndimage.gaussian_filter(raw[z].astype(float), 3)
        dark = smooth < np.percentile(smooth, 20)
        for index in range(STROKES_A_CLASS):
            where = dark if (z + index) % 2 else ~dark
            for kind, paint in (
                (MEMBRANE, lambda z, length, where: membrane_stroke(classes[z], length, rng)),
                (INSIDE, lambda z, length, where: inside_stroke(classes[z], where, length, rng)),
            ):
                length, stroke = int(rng.integers(*LENGTHS)), np.zeros(smooth.shape, bool)
                while stroke.sum() < length:  # a stroke that ran into something at once is begun anew
                    stroke = paint(z, length, where)
                strokes[z][stroke] = kind
    return strokes


def main(data: Path, output: Path = OUTPUT) -> None:
    with h5py.File(data / "medulla.h5") as file:
        raw, neurons = file["raw"][CROP], file["neurons"][:]
        size_nm = np.asarray(file.attrs["voxel_size_nm"], float)
    arrays = {"raw": raw, "classes": classes_of(neurons)[CROP], "neurons": neurons[CROP]}
    arrays["strokes"] = draw(raw, arrays["classes"], np.random.default_rng(7))
    with h5py.File(output, "w", track_order=True) as file:
        file.attrs["licence"] = "CC BY 3.0"
        file.attrs["attribution"] = "FlyEM, Janelia Research Campus, HHMI; changed: see ATTRIBUTION.md"
        for name, array in arrays.items():
            dataset = file.create_dataset(
                name, data=array, chunks=(16, 96, 96), compression="gzip", compression_opts=9, shuffle=True
            )
            dataset.attrs["element_size_um"] = size_nm / 1000
            dataset.attrs["voxel_size_nm"] = size_nm
    painted = {int(k): int(n) for k, n in zip(*np.unique(arrays["strokes"], return_counts=True), strict=True)}
    print(f"{output}: {output.stat().st_size / 1e6:.2f} MB, voxels painted {painted}")


if __name__ == "__main__":
    main(Path(sys.argv[1]), *map(Path, sys.argv[2:3]))
