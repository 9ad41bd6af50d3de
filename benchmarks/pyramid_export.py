"""Exports with a pyramid against the same exports without, and their largest memory.

Run ``python benchmarks/pyramid_export.py [--parts rate memory] [--rate-gb 0.5] [--memory-gb 1 8] [--rounds 3]``.

rate    OME-Zarr and precomputed of an image (uint8) and of segments (uint32), with and without a pyramid, in turns
memory  largest resident memory of processes that export a small and a large image and segmentation with a pyramid

Volumes are streamed: a block of synthetic tissue that repeats, so that no volume needs a place on the disk or in memory
but the export itself.
"""

from __future__ import annotations

import argparse
import shutil
import subprocess
import sys
import tempfile
import time
from functools import partial
from pathlib import Path

import numpy as np
from rounds import Claim, interleave, peak_mib, print_bar, print_timings
from scipy import ndimage

from napari_pytc.exporting.base import ExportOptions
from napari_pytc.exporting.formats import exporter_for
from napari_pytc.geometry import Box, Shape, VoxelSpace
from napari_pytc.jobs.execution import EventContext

SUFFIXES = (".zarr", ".precomputed")
SPACES = {"isotropic": VoxelSpace((10.0, 10.0, 10.0)), "anisotropic": VoxelSpace((40.0, 5.0, 5.0))}
TILE: Shape = (32, 512, 512)


class RepeatedTissue:
    """A volume of any size that repeats one block along each axis."""

    channels: tuple[str, ...] = ()

    def __init__(self, n_bytes: float, content: str, space: VoxelSpace) -> None:
        self.space, self.content = space, content
        self._tile = synthetic_image() if content == "image" else synthetic_cells()
        self.dtype = self._tile.dtype
        side = round((n_bytes / self.dtype.itemsize / 256) ** 0.5 / 128) * 128
        self.shape: Shape = (256, max(128, side), max(128, side))

    def read(self, box: Box) -> np.ndarray:
        block = self._tile
        for axis, (start, stop) in enumerate(zip(box.start, box.stop, strict=True)):
            block = block.take(np.arange(start, stop) % TILE[axis], axis=axis)
        return block


def synthetic_image() -> np.ndarray:
    """Noise that compresses as badly as electron microscopy does."""
    rng = np.random.default_rng(0)
    smooth = ndimage.gaussian_filter(rng.normal(0, 1, TILE), 4, mode="wrap")
    return np.clip(128 + 40 * smooth / smooth.std() + rng.normal(0, 14, TILE), 0, 255).astype(np.uint8)


def synthetic_cells() -> np.ndarray:
    """Cells about 40 voxels wide, each with an id of its own."""
    rng = np.random.default_rng(0)
    seeds = np.zeros(TILE, bool)
    seeds[tuple(rng.integers(0, n, 400) for n in TILE)] = True
    ids, _ = ndimage.label(seeds)
    _, nearest = ndimage.distance_transform_edt(~seeds, sampling=(4, 1, 1), return_indices=True)
    return ids[tuple(nearest)].astype(np.uint32)


def write(array: RepeatedTissue, place: Path, suffix: str, pyramid: bool) -> None:
    """Export, and remove the export."""
    path = place / f"out{suffix}"
    options = ExportOptions(content=array.content, pyramid=pyramid)
    exporter_for(path).export(array, path, options, EventContext("export", lambda event: None))
    shutil.rmtree(path)


def rates(size_gb: float, n_rounds: int, place: Path) -> None:
    for content in ("image", "labels"):
        for name, space in SPACES.items():
            array = RepeatedTissue(size_gb * 1e9, content, space)
            n_mb = np.prod(array.shape) * array.dtype.itemsize / 1e6
            variants = {
                f"{suffix} {kind}": partial(write, array, place, suffix, kind == "pyramid")
                for suffix in SUFFIXES
                for kind in ("plain", "pyramid")
            }
            claims = [Claim(f"{suffix} pyramid", f"{suffix} plain", 0.7) for suffix in SUFFIXES]
            title = f"Export of {content}, {name}, {by(array.shape)} {array.dtype}"
            print_timings(title, interleave(variants, n_rounds), n_mb, "MB", claims)


def memory(sizes_gb: list[float]) -> None:
    print("\nLargest resident memory of an export with a pyramid")
    for content in ("image", "labels"):
        peaks = []
        for size in sizes_gb:
            command = [sys.executable, __file__, "--export-gb", str(size), "--content", content]
            answer = subprocess.run(command, check=True, capture_output=True, text=True).stdout
            peak, taken, shape = answer.split()[-3:]
            peaks.append(float(peak))
            print(f"{content} {size:6g} GB ({shape}): {peaks[-1]:8.1f} MiB, {float(taken):.0f} s", flush=True)
        print_bar(f"{content}, {sizes_gb[-1]:g} GB / {sizes_gb[0]:g} GB", peaks[-1] / peaks[0], at_most=1.1)


def print_own_peak(size_gb: float, content: str) -> None:
    """Export so many bytes; print the process's peak memory (MiB), seconds and the shape."""

    array = RepeatedTissue(size_gb * 1e9, content, SPACES["anisotropic"])
    with tempfile.TemporaryDirectory() as place:
        started = time.monotonic()
        write(array, Path(place), ".zarr", True)
        taken = time.monotonic() - started
    print(peak_mib(), taken, by(array.shape))


def by(shape: Shape) -> str:
    return "x".join(str(n) for n in shape)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--parts", nargs="+", default=["rate", "memory"], choices=["rate", "memory"])
    parser.add_argument("--rate-gb", type=float, default=0.5)
    parser.add_argument("--memory-gb", type=float, nargs="+", default=[1, 8])
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--export-gb", type=float, help=argparse.SUPPRESS)
    parser.add_argument("--content", default="image", help=argparse.SUPPRESS)
    chosen = parser.parse_args()
    if chosen.export_gb is not None:
        print_own_peak(chosen.export_gb, chosen.content)
        return
    if "rate" in chosen.parts:
        with tempfile.TemporaryDirectory() as place:
            rates(chosen.rate_gb, chosen.rounds, Path(place))
    if "memory" in chosen.parts:
        memory(chosen.memory_gb)


if __name__ == "__main__":
    main()
