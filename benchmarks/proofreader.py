"""A simulated proofreader works through the review queue: VOI against the number of answers and of edits.

Run ``python benchmarks/proofreader.py [SEGMENTATION] [--sections 110 170] [--answers 1500] [--seeds 3]``.

SEGMENTATION is a folder of a segmentation of these sections of medulla.h5, without edits; by default one is made of
another system's supervoxels (gala), each a segment, with contacts scored on the ridges of the raw image. The
proofreader answers from the truth, as a person would: two segments that mostly are one neuron are merged, others left;
a segment of unusual shape that mostly is two neurons is cut with a click in the middle of either, else left. The same
contacts are gone through in the queue's order, in random orders, and beginning at the largest segment. An answer counts
whatever it is; an edit is a merge or a cut.
"""

from __future__ import annotations

import argparse
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path
from statistics import median

import numpy as np
from rounds import print_bar
from segmented import ArrayBoundary, Medulla, make_document, ridge_map
from split_success import deepest

from napari_pytc.errors import InvalidEdit
from napari_pytc.geometry import Box
from napari_pytc.labels.segmentation import Segmentation
from napari_pytc.proofreading.document import LabelDocument
from napari_pytc.proofreading.edits import Merge
from napari_pytc.proofreading.queue import ReviewQueue
from napari_pytc.proofreading.review_ranking import rank
from napari_pytc.proofreading.review_store import MemoryReviewStore
from napari_pytc.proofreading.split import Split

Curve = list[tuple[int, int, float]]
"""Answers, edits and VOI (split + merge, bits) so far."""
_SECOND_SHARE = 0.2
"""A segment of which so much is another neuron is cut."""


class Oracle:
    """Knows the truth, and how far a document is from it."""

    def __init__(self, document: LabelDocument, truth: np.ndarray) -> None:
        self._document, self._truth = document, truth
        self.look()

    def look(self) -> None:
        """Count the voxels anew: after cuts alone, merges need none."""
        labels = self._document.supervoxels(Box.of_shape(self._document.shape))
        width = int(self._truth.max()) + 1
        known = labels > 0
        keys, self._counts = np.unique(labels[known].astype(np.int64) * width + self._truth[known], return_counts=True)
        self._supervoxels, self._neurons = (keys // width).astype(np.uint32), keys % width

    def neurons_of(self, segment: int) -> tuple[np.ndarray, np.ndarray]:
        """The neurons in a segment, the largest first, and their shares."""
        mine = np.isin(self._supervoxels, self._document.members(segment))
        sums = np.bincount(self._neurons[mine], self._counts[mine])
        order = np.argsort(-sums, kind="stable")
        return order, sums[order] / max(sums.sum(), 1)

    def voi(self) -> float:
        """VOI, split + merge, in bits."""
        segments = self._document.owners(self._supervoxels).astype(np.int64)
        _, segment = np.unique(segments, return_inverse=True)
        _, pair = np.unique(segment * (int(self._neurons.max()) + 1) + self._neurons, return_inverse=True)
        total = self._counts.sum()

        def entropy(groups: np.ndarray) -> float:
            share = np.bincount(groups, self._counts) / total
            share = share[share > 0]
            return float(-(share * np.log2(share)).sum())

        return 2 * entropy(pair) - entropy(segment) - entropy(self._neurons)

    def are_one(self, segments: tuple[int, ...]) -> bool:
        """Whether two segments mostly are one neuron."""
        first, second = (self.neurons_of(segment)[0][0] for segment in segments)
        return bool(first == second)

    def cut(self, segment: int) -> Split | None:
        """How a person would cut a segment; None where it is as it should be."""
        neurons, shares = self.neurons_of(segment)
        if len(shares) < 2 or shares[1] < _SECOND_SHARE:
            return None
        box = self._document.box(segment)
        inside = self._document.segments(box) == segment
        clicks = {}
        for colour, neuron in enumerate(neurons[:2], start=1):
            place = deepest(inside & (self._truth[box.slices] == neuron))
            clicks[colour] = [tuple(int(p + s) for p, s in zip(place, box.start, strict=True))]
        return Split(seeds=clicks)


def by_queue(document: LabelDocument, oracle: Oracle, most: int) -> Curve:
    """Answer what the queue asks."""
    queue, curve, edits = ReviewQueue(document, MemoryReviewStore()), [(0, 0, oracle.voi())], 0
    for answers in range(1, most + 1):
        item = queue.next()
        if item is None:
            break
        if len(item.segments) == 2 and oracle.are_one(item.segments):
            edit = queue.accept("merge")
            assert edit is not None
            document.apply(edit.plan(document))
            edits += 1
        else:
            cut = oracle.cut(item.segments[0]) if len(item.segments) == 1 else None
            queue.accept("leave")
            edits += cut is not None and apply(document, oracle, cut)
        curve.append((answers, edits, oracle.voi() if edits > curve[-1][1] else curve[-1][2]))
    return curve


def by_list(document: LabelDocument, oracle: Oracle, pairs: Iterator[tuple[int, int]], most: int) -> Curve:
    """Answer pairs of supervoxels one after the other; those in one segment by then are passed over."""
    curve, answers, edits = [(0, 0, oracle.voi())], 0, 0
    for pair in pairs:
        segments = tuple(document.owners(np.array(pair, np.uint32)).tolist())
        if segments[0] == segments[1]:
            continue
        if answers == most:
            break
        answers += 1
        if oracle.are_one(segments):
            document.apply(Merge(segments=segments).plan(document))
            edits += 1
        curve.append((answers, edits, oracle.voi() if edits > curve[-1][1] else curve[-1][2]))
    return curve


def apply(document: LabelDocument, oracle: Oracle, edit: Split) -> bool:
    try:
        document.apply(edit.plan(document))
    except InvalidEdit:
        return False
    oracle.look()
    return True


def needed(curve: Curve, column: int) -> float:
    """Answers (0) or edits (1) until VOI is half of what it was; infinite if it never is."""
    half = curve[0][2] / 2
    return next((point[column] for point in curve if point[2] <= half), float("inf"))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("segmentation", type=Path, nargs="?")
    parser.add_argument("--sections", type=int, nargs=2, default=(110, 170))
    parser.add_argument("--answers", type=int, default=1500)
    parser.add_argument("--answers-of-others", type=int, default=12_000)
    parser.add_argument("--seeds", type=int, default=3)
    options = parser.parse_args()
    data = Medulla.load(slice(*options.sections))
    boundary = ridge_map(data.raw)
    with tempfile.TemporaryDirectory() as folder:
        original = options.segmentation
        if original is None:
            original = Path(folder) / "gala"
            _, dense = np.unique(np.append(data.gala.ravel(), 0), return_inverse=True)
            labels = dense[:-1].reshape(data.gala.shape).astype(np.uint32)
            make_document(original, labels, np.arange(int(labels.max()) + 1), boundary)
        run(original, Path(folder), data, boundary, options)


def run(original: Path, folder: Path, data: Medulla, boundary: np.ndarray, options: argparse.Namespace) -> None:
    """All orders, each on a copy of the segmentation."""
    n_copies = 0

    def fresh() -> tuple[LabelDocument, Oracle]:
        nonlocal n_copies
        n_copies += 1
        copy = folder / f"copy{n_copies}"
        shutil.copytree(original, copy)
        document = LabelDocument(Segmentation.open(copy), ArrayBoundary(boundary))
        return document, Oracle(document, data.neurons)

    document, oracle = fresh()
    ranking = rank(document)
    two = np.flatnonzero(ranking.second)
    sizes = np.stack([document.sizes(ends[two]) for ends in (ranking.first, ranking.second)])
    pairs = np.stack([ranking.first[two], ranking.second[two]], axis=1)
    print(f"{original.name}: {len(document.segment_ids())} segments, {len(pairs)} contacts between them")
    curves = {"queue": [by_queue(document, oracle, options.answers)]}
    largest = np.lexsort((-sizes.min(axis=0), -sizes.max(axis=0)))
    curves["largest first"] = [by_list(*fresh(), iter(pairs[largest].tolist()), options.answers_of_others)]
    curves["random"] = []
    for seed in range(options.seeds):
        order = np.random.default_rng(seed).permutation(len(pairs))
        curves["random"].append(by_list(*fresh(), iter(pairs[order].tolist()), options.answers_of_others))
    tell(curves)


def tell(curves: dict[str, list[Curve]]) -> None:
    marks = (0, 25, 50, 100, 200, 400, 800, 1600, 3200, 6400)
    print(f"\n{'VOI after answers':18}" + "".join(f"{mark:8}" for mark in marks))
    for name, runs in curves.items():
        values = [median(run[min(mark, len(run) - 1)][2] for run in runs) for mark in marks]
        ended = [all(mark >= len(run) for run in runs) for mark in marks]
        print(f"{name:18}" + "".join(f"{'' if e else f'{v:.3f}':>8}" for v, e in zip(values, ended, strict=True)))
    found = {}
    for name, runs in curves.items():
        found[name] = [median(needed(run, column) for run in runs) for column in (0, 1)]
        print(f"{name}: VOI is halved after {found[name][0]:g} answers, of which {found[name][1]:g} edits")
    for column, what in enumerate(("answers", "edits")):
        for other in ("random", "largest first"):
            ratio = found["queue"][column] / found[other][column]
            print_bar(f"{what} to halve VOI, queue / {other}", ratio, at_most=1 / 3)


if __name__ == "__main__":
    main()
