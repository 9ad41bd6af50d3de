"""How often a few clicks mend a false merge: pairs of touching neurons of medulla.h5, merged.

Run ``python benchmarks/split_success.py [--pairs 60] [--seed 0] [--maps ridges darkness] [--verbose]``;
``--prediction ZARR`` with ``--maps learnt`` takes the boundary of a prediction of the whole volume.

Every pair is merged twice: as one single supervoxel, and as the supervoxels of another system (gala) that lie in
either. A simulated user clicks in the middle of the contact's neighbourhood on either side, and then, while either
neuron's IoU is below 0.9 and a side has fewer than three clicks, in the middle of the largest part that is wrong. Two
boundary maps are made of the raw image alone: `ridges` is what proofreading has where nothing was predicted, `darkness`
the smoothed and inverted intensity. Times are those of plan and apply, of the processor and on the wall. For gala's
supervoxels it also prints how many pairs any cut along their borders could mend.
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

from napari_pytc.decoding.evidence import EvidenceReader
from napari_pytc.errors import InvalidEdit
from napari_pytc.geometry import Box
from napari_pytc.labels.region_graph import contact_edges
from napari_pytc.proofreading.edits.split import Split

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
    """Smaller IoU of both after 2, 3, ... clicks, and milliseconds of each split: of the processor, on the wall."""

    ious: list[float]
    milliseconds: list[tuple[float, float]]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--pairs", type=int, default=60)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--maps", nargs="+", choices=("ridges", "darkness", "learnt"), default=["ridges", "darkness"])
    parser.add_argument("--prediction", type=Path, help="An OME-Zarr that predict wrote, for the map learnt.")
    parser.add_argument("--kinds", nargs="+", default=["one supervoxel", "supervoxels"])
    parser.add_argument("--verbose", action="store_true")
    options = parser.parse_args()
    for name in options.maps:
        data = Medulla.load()
        boundary = boundary_named(name, data.raw, options.prediction)
        cells = cc3d.connected_components(data.neurons, connectivity=6)
        chosen = touching(cells, options.pairs, options.seed)
        for kind in options.kinds:
            gala = None if kind == "one supervoxel" else data.gala
            outcomes, reachable = [], 0
            for a, b in chosen:
                pair = pair_of(cells, a, b, boundary, gala)
                outcomes.append(mend(pair))
                reachable += best_along_borders(pair) >= GOOD
                if options.verbose:
                    print(a, b, np.round(outcomes[-1].ious, 3), flush=True)
            tell(f"{name}, merged as {kind}", outcomes)
            if gala is not None:
                print(f"  share that cuts along borders of supervoxels alone could mend: {reachable / len(chosen):.3f}")


def boundary_named(name: str, raw: np.ndarray, prediction: Path | None) -> np.ndarray:
    """The boundary map of the whole volume."""
    if name != "learnt":
        return {"ridges": ridge_map, "darkness": smoothed_darkness}[name](raw)
    if prediction is None:
        raise SystemExit("The map learnt needs --prediction.")
    return EvidenceReader.open(prediction).read(Box.of_shape(raw.shape)).boundary_map()


def best_along_borders(pair: Pair) -> float:
    """The smaller IoU where every supervoxel goes with the neuron that most of it is."""
    n = int(pair.labels.max()) + 1
    counts = [np.bincount(pair.labels[side], minlength=n) for side in (pair.first, pair.second)]
    is_first = (counts[0] >= counts[1])[pair.labels] & (pair.labels > 0)
    known = pair.first | pair.second
    return min(iou(is_first & known, pair.first), iou(~is_first & known, pair.second))


def tell(title: str, outcomes: list[Outcome]) -> None:
    n = len(outcomes)
    print(f"\n{title}: {n} pairs")
    for clicks in range(2, 2 * CLICKS + 1):
        share = sum(max(outcome.ious[: clicks - 1]) >= GOOD for outcome in outcomes) / n
        print(f"  with {clicks} clicks: {share:.3f}")
    taken = np.array([times for outcome in outcomes for times in outcome.milliseconds])
    p50, p95 = np.percentile(taken, [50, 95], axis=0)
    print(f"  a split: p50 {p50[0]:.0f} ms, p95 {p95[0]:.0f} ms (on the wall {p50[1]:.0f} and {p95[1]:.0f} ms)")
    print_bar("share mended", sum(max(outcome.ious) >= GOOD for outcome in outcomes) / n, at_least=0.95)
    print_bar("p95 of a split, ms of the processor", p95[0], at_most=300)


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
            before, wall = time.process_time(), time.perf_counter()
            try:
                change = Split(seeds=clicks).plan(document)
            except InvalidEdit:
                outcome.ious.append(0.0)
                return outcome
            document.apply(change)
            after = time.process_time(), time.perf_counter()
            outcome.milliseconds.append((1e3 * (after[0] - before), 1e3 * (after[1] - wall)))
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
