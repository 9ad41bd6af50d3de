"""A simulated proofreader works through the review queue: VOI against the number of answers and of edits.

Run ``python benchmarks/proofreader.py [SEGMENTATION] [--sections 110 170] [--answers 1500] [--seeds 3]``.

SEGMENTATION is a folder of a segmentation of these sections of medulla.h5, without edits; by default one is made of
another system's supervoxels (gala), each a segment, with contacts scored on the ridges of the raw image. The
proofreader answers from the truth, as a person would: two segments that mostly are one neuron are merged, others left;
a segment of unusual shape that mostly is two neurons is cut with a click in the middle of either, else left. The same
contacts are gone through in the queue's order, in random orders, and beginning at the largest segment. An answer counts
whatever it is; an edit is a merge or a cut.

``--prediction ZARR [--threshold 0.7]`` segments a prediction of these sections with agglomeration instead. Merges
cannot mend what supervoxels have mixed up, so a second mark is half of what merges can mend; and "knows all" is how few
edits reach either mark if every merge is right and the best one there is.
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
from segmented import SPACE, ArrayBoundary, Medulla, make_document, ridge_map
from split_success import deepest

from napari_pytc.decoding import DecoderSettings
from napari_pytc.decoding.evidence import EvidenceReader
from napari_pytc.errors import InvalidEdit
from napari_pytc.geometry import Box
from napari_pytc.labels.segmentation import Segmentation
from napari_pytc.proofreading.document import LabelDocument
from napari_pytc.proofreading.edits import Merge
from napari_pytc.proofreading.edits.split import Split
from napari_pytc.proofreading.review.queue import ReviewQueue
from napari_pytc.proofreading.review.ranking import information, rank
from napari_pytc.proofreading.review.store import MemoryReviewStore

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

    def knows(self, segment: int) -> bool:
        """Whether any of its voxels is of a neuron."""
        return bool(np.isin(self._document.members(segment), self._supervoxels).any())

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

    def cut(self, segment: int, least_share: float = _SECOND_SHARE) -> Split | None:
        """How a person would cut a segment; None where less of it than this is a second neuron."""
        neurons, shares = self.neurons_of(segment)
        if len(shares) < 2 or shares[1] < least_share:
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


def by_knowing_all(document: LabelDocument, oracle: Oracle, pairs: np.ndarray) -> Curve:
    """The right merge that mends most, over and over: no order of the same contacts needs much fewer edits."""
    curve = [(0, 0, oracle.voi())]
    neuron_of = {int(s): int(oracle.neurons_of(int(s))[0][0]) for s in document.segment_ids() if oracle.knows(int(s))}
    while True:
        ends = document.owners(pairs.ravel()).reshape(-1, 2)
        neurons = np.array([[neuron_of.get(int(end), -1) for end in pair] for pair in ends])
        right = np.flatnonzero((ends[:, 0] != ends[:, 1]) & (neurons[:, 0] == neurons[:, 1]) & (neurons[:, 0] >= 0))
        if not len(right):
            return curve
        segments, at = np.unique(ends[right], return_inverse=True)
        sizes = np.array([document.size(int(segment)) for segment in segments], float)[at.reshape(-1, 2)]
        best = ends[right[information(sizes[:, 0], sizes[:, 1]).argmax()]]
        document.apply(Merge(segments=tuple(best.tolist())).plan(document))
        curve.append((len(curve), len(curve), oracle.voi()))


def apply(document: LabelDocument, oracle: Oracle, edit: Split) -> bool:
    try:
        document.apply(edit.plan(document))
    except InvalidEdit:
        return False
    oracle.look()
    return True


def needed(curve: Curve, column: int, mark: float) -> float:
    """Answers (0) or edits (1) until VOI is down to a mark; infinite if it never is."""
    return next((point[column] for point in curve if point[2] <= mark), float("inf"))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("segmentation", type=Path, nargs="?")
    parser.add_argument("--sections", type=int, nargs=2, default=(110, 170))
    parser.add_argument("--answers", type=int, default=1500)
    parser.add_argument("--answers-of-others", type=int, default=12_000)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--prediction", type=Path, help="An OME-Zarr of affinities or boundaries to segment.")
    parser.add_argument("--threshold", type=float, default=0.7, help="Of agglomeration.")
    options = parser.parse_args()
    data = Medulla.load(slice(*options.sections))
    boundary = ridge_map(data.raw)
    with tempfile.TemporaryDirectory() as folder:
        original = options.segmentation
        if original is None and options.prediction is not None:
            original = Path(folder) / "agglomeration"
            box = Box((options.sections[0], 0, 0), (options.sections[1], *data.raw.shape[1:]))
            evidence = EvidenceReader.open(options.prediction).read(box)
            boundary = evidence.boundary_map()
            settings = {"kind": "agglomeration", "smoothing_um": 0.004, "threshold": options.threshold}
            decoding = DecoderSettings.parse(settings).decode(evidence, SPACE)
            make_document(original, decoding.supervoxels, decoding.segments, boundary, graph=decoding.graph)
        elif original is None:
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
    curves["knows all"] = [by_knowing_all(*fresh(), pairs)]
    tell(curves)


def tell(curves: dict[str, list[Curve]]) -> None:
    marks = (0, 25, 50, 100, 200, 400, 800, 1600, 3200, 6400)
    print(f"\n{'VOI after answers':18}" + "".join(f"{mark:8}" for mark in marks))
    for name, runs in curves.items():
        values = [median(run[min(mark, len(run) - 1)][2] for run in runs) for mark in marks]
        ended = [all(mark >= len(run) for run in runs) for mark in marks]
        print(f"{name:18}" + "".join(f"{'' if e else f'{v:.3f}':>8}" for v, e in zip(values, ended, strict=True)))
    start, best = curves["queue"][0][0][2], min(point[2] for point in curves["knows all"][0])
    for what, mark in (("halve VOI", start / 2), ("mend half of what merges can", (start + best) / 2)):
        print(f"\nto {what}, from {start:.3f} to {mark:.3f}:")
        found = {
            name: [median(needed(r, column, mark) for r in runs) for column in (0, 1)] for name, runs in curves.items()
        }
        for name, (answers, edits) in found.items():
            print(f"  {name}: {answers:g} answers, of which {edits:g} edits")
        for column, counted in enumerate(("answers", "edits")):
            for other in ("random", "largest first"):
                if np.isfinite(found[other][column]):
                    ratio = found["queue"][column] / found[other][column]
                    print_bar(f"{counted}, queue / {other}", ratio, at_most=1 / 3)
        if np.isfinite(found["random"][1]):
            print(f"  edits, knows all / random: {found['knows all'][1] / found['random'][1]:.3f}")


if __name__ == "__main__":
    main()
