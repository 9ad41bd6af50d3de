"""How often a few clicks mend a false merge: pairs of touching neurons of medulla.h5, merged.

Run ``python benchmarks/split_success.py [--pairs 60] [--seed 0] [--maps ridges darkness] [--verbose]``.

Every pair is merged twice: as one single supervoxel, and as the supervoxels of another system (gala) that lie in
either. A simulated user clicks in the middle of the contact's neighbourhood on either side, and then, while either
neuron's IoU is below 0.9 and a side has fewer than three clicks, in the middle of the largest part that is wrong. Both
boundary maps are made of the raw image alone: `ridges` is what proofreading has where nothing was predicted, `darkness`
the smoothed and inverted intensity. Times are those of plan and apply.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

import cc3d
import numpy as np
from bioimage_cpp.distance import distance_transform
from rounds import print_bar
from scipy import ndimage
from segmented import Medulla, make_document, ridge_map, smoothed_darkness

from napari_pytc.errors import InvalidEdit
from napari_pytc.geometry import Box
from napari_pytc.labels.region_graph import contact_edges
from napari_pytc.proofreading.split import Split

GOOD = 0.9
CLICKS = 3
NEAR = 12
"""Voxels around the middle of a contact in which the first click goes."""

Voxel = tuple[int, int, int]


@dataclass(frozen=True)
class Pair:
    """Two touching neurons: labels (supervoxels of both from 1), and where each is."""

    labels: np.ndarray
    first: np.ndarray
    second: np.ndarray
    boundary: np.ndarray
    contact: Voxel


@dataclass
class Outcome:
    """Smaller IoU of both after 2, 3, ... clicks, and milliseconds of each split."""

    ious: list[float]
    milliseconds: list[float]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--pairs", type=int, default=60)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--maps", nargs="+", default=["ridges", "darkness"])
    parser.add_argument("--kinds", nargs="+", default=["one supervoxel", "supervoxels"])
    parser.add_argument("--verbose", action="store_true")
    options = parser.parse_args()
    for name in options.maps:
        data = Medulla.load()
        boundary = {"ridges": ridge_map, "darkness": smoothed_darkness}[name](data.raw)
        cells = cc3d.connected_components(data.neurons, connectivity=6)
        chosen = touching(cells, options.pairs, options.seed)
        for kind in options.kinds:
            gala = None if kind == "one supervoxel" else data.gala
            outcomes = []
            for a, b in chosen:
                outcomes.append(mend(pair_of(cells, a, b, boundary, gala)))
                if options.verbose:
                    print(a, b, np.round(outcomes[-1].ious, 3), flush=True)
            tell(f"{name}, merged as {kind}", outcomes)


def tell(title: str, outcomes: list[Outcome]) -> None:
    n = len(outcomes)
    print(f"\n{title}: {n} pairs")
    for clicks in range(2, 2 * CLICKS + 1):
        share = sum(max(outcome.ious[: clicks - 1]) >= GOOD for outcome in outcomes) / n
        print(f"  with {clicks} clicks: {share:.3f}")
    taken = np.concatenate([outcome.milliseconds for outcome in outcomes])
    print(f"  a split: p50 {np.percentile(taken, 50):.0f} ms, p95 {np.percentile(taken, 95):.0f} ms")
    print_bar("share mended", sum(max(outcome.ious) >= GOOD for outcome in outcomes) / n, at_least=0.95)


def touching(cells: np.ndarray, n: int, seed: int, smallest: int = 5000, contact: int = 100) -> list[tuple[int, int]]:
    """Pairs of neurons that touch by at least so many faces, drawn by chance."""
    sizes = np.bincount(cells.ravel())
    graph = contact_edges(cells)
    large = (graph.contacts >= contact) & (sizes[graph.edges] >= smallest).all(axis=1)
    found = graph.edges[large]
    order = np.random.default_rng(seed).permutation(len(found))[:n]
    return [(int(a), int(b)) for a, b in found[order]]


def pair_of(cells: np.ndarray, a: int, b: int, boundary: np.ndarray, gala: np.ndarray | None) -> Pair:
    """Both neurons cut out of the volume, as one supervoxel or as those that lie in them for the most part."""
    if gala is None:
        labels = ((cells == a) | (cells == b)).astype(np.uint32)
    else:
        inside = np.bincount(gala.ravel(), ((cells == a) | (cells == b)).ravel())
        mine = inside > 0.5 * np.bincount(gala.ravel())
        mine[0] = False
        labels = np.where(mine[gala], gala, 0)
    box = ndimage.find_objects((labels > 0).astype(np.uint8))[0]
    _, dense = np.unique(np.append(labels[box].ravel(), 0), return_inverse=True)
    small = dense[:-1].reshape(labels[box].shape).astype(np.uint32)
    first, second = (cells[box] == a) & (small > 0), (cells[box] == b) & (small > 0)
    return Pair(small, first, second, boundary[box], middle_of_contact(first, second))


def middle_of_contact(first: np.ndarray, second: np.ndarray) -> Voxel:
    """The voxel of the largest patch of contact that is nearest to its middle."""
    touch = (first & ndimage.binary_dilation(second)) | (second & ndimage.binary_dilation(first))
    patches = cc3d.connected_components(touch, connectivity=26)
    places = np.argwhere(patches == np.bincount(patches.ravel())[1:].argmax() + 1)
    return tuple(places[((places - places.mean(axis=0)) ** 2).sum(axis=1).argmin()].tolist())


def mend(pair: Pair) -> Outcome:
    """Click until it is good or the clicks are used up."""
    outcome = Outcome([], [])
    clicks = {1: [deepest(pair.first, pair.contact)], 2: [deepest(pair.second, pair.contact)]}
    with tempfile.TemporaryDirectory() as folder:
        owners = np.minimum(np.arange(int(pair.labels.max()) + 1), 1)
        document = make_document(Path(folder) / "pair", pair.labels, owners, pair.boundary)
        while True:
            before = time.perf_counter()
            try:
                change = Split(seeds=clicks).plan(document)
            except InvalidEdit:
                outcome.ious.append(0.0)
                return outcome
            document.apply(change)
            outcome.milliseconds.append(1e3 * (time.perf_counter() - before))
            shown = document.segments(Box.of_shape(document.shape))
            is_first = shown == document.segment_at(clicks[1][0])
            is_second = shown == document.segment_at(clicks[2][0])
            document.apply(change.inverse())
            known = pair.first | pair.second
            outcome.ious.append(min(iou(is_first & known, pair.first), iou(is_second & known, pair.second)))
            if outcome.ious[-1] >= GOOD or not click_again(clicks, pair, is_first, is_second):
                return outcome


def click_again(clicks: dict[int, list[Voxel]], pair: Pair, is_first: np.ndarray, is_second: np.ndarray) -> bool:
    """One more click in the middle of what is most wrong; False where there is none left."""
    found = []
    for colour, missing in ((1, pair.first & ~is_first), (2, pair.second & ~is_second)):
        if len(clicks[colour]) < CLICKS and missing.any():
            patches = cc3d.connected_components(missing, connectivity=6)
            sizes = np.bincount(patches.ravel())[1:]
            found.append((int(sizes.max()), colour, patches == sizes.argmax() + 1))
    if not found:
        return False
    _, colour, patch = max(found, key=lambda one: one[0])
    clicks[colour].append(deepest(patch))
    return True


def deepest(mask: np.ndarray, near: Voxel | None = None) -> Voxel:
    """The innermost voxel of a mask, within reach of a place if there is one."""
    depth = distance_transform(np.pad(mask, 1))[1:-1, 1:-1, 1:-1]
    if near is not None:
        z, y, x = np.ogrid[tuple(slice(0, n) for n in mask.shape)]
        depth = np.where((z - near[0]) ** 2 + (y - near[1]) ** 2 + (x - near[2]) ** 2 <= NEAR**2, depth, -1)
    return tuple(int(i) for i in np.unravel_index(depth.argmax(), depth.shape))


def iou(a: np.ndarray, b: np.ndarray) -> float:
    return float((a & b).sum() / max((a | b).sum(), 1))


if __name__ == "__main__":
    main()
