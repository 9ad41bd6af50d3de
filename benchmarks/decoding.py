"""Decoding in blocks against decoding in one piece: what differs, how long it takes, and how fast the slider is.

    python benchmarks/decoding.py
    python benchmarks/decoding.py --data ../shared/data/medulla.h5 --decoders agglomeration multicut

The evidence is that of known cells with seeded errors, which are as large as a network's: synthetic tissue, and the
true neurons of `medulla.h5` where it is given. Six block shapes, each with one and two workers in turns, on real
data once; VOI is between the segments of blocks and those of one piece, and between either and the truth.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from statistics import median

import h5py
import numpy as np
from rounds import interleave, print_bar
from scipy import spatial

from napari_pytc.decoding import DecoderSettings
from napari_pytc.decoding.contact_scores import ScoreRule
from napari_pytc.decoding.evidence import EvidenceReader
from napari_pytc.decoding.jobs import SegmentJob
from napari_pytc.decoding.partition import hierarchy_of
from napari_pytc.geometry import Box, Shape, VoxelSpace
from napari_pytc.labels.contact_histograms import ContactHistograms
from napari_pytc.labels.region_graph import RegionGraph
from napari_pytc.labels.segmentation import Segmentation
from napari_pytc.metrics.partitions import ContingencyTable

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
from tests.support.contexts import RecordingContext
from tests.support.evidence import boundary_of, prediction_of
from tests.support.tissue import make_tissue

DECODERS: dict[str, dict[str, object]] = {
    "components": {"kind": "components"},
    "affinity_components": {"kind": "affinity_components", "threshold": 0.6},
    "watershed": {"kind": "watershed"},
    "bcd_watershed": {"kind": "bcd_watershed", "seed_distance": 0.2, "smallest_seed": 10},
    "mutex_watershed": {"kind": "mutex_watershed"},
    "agglomeration": {"kind": "agglomeration"},
    "agglomeration by quantiles": {"kind": "agglomeration", "score": "quantile", "quantile": 0.5},
    "multicut": {"kind": "multicut"},
}
OF_BCD = ("bcd_watershed",)
"""Decoders that are measured on foreground, boundary and distance, all others on affinities."""
EXACT = ("components", "affinity_components")
N_EDGES = 100_000


def blocks_of(shape: Shape) -> list[Shape]:
    """Six shapes: halves, quarters, slabs, columns, odd lengths, and blocks that are smaller than most halos."""
    z, y, x = shape
    return [
        (z, -(-y // 2), -(-x // 2)),
        (-(-z // 2), -(-y // 2), -(-x // 2)),
        (max(z // 4, 1), y, x),
        (z, y, max(x // 4, 1)),
        (max(z // 3 + 1, 1), max(y // 3 - 1, 1), max(x // 2 + 5, 1)),
        (12, 48, 40),
    ]


def voi(labels: np.ndarray, truth: np.ndarray) -> tuple[float, float]:
    """Split and merge."""
    table = ContingencyTable()
    table.add(labels, truth)
    return table.variation_of_information()


def labels_of(folder: Path) -> np.ndarray:
    """The segment of each voxel."""
    segmentation = Segmentation.open(folder)
    return segmentation.segments[segmentation.supervoxels.read(Box.of_shape(segmentation.shape))]


class Run:
    """Segments a prediction again and again, each time into a new folder."""

    def __init__(self, folder: Path, prediction: Path, decoder: DecoderSettings) -> None:
        self.folder, self.prediction, self.decoder = folder, prediction, decoder
        self.last: dict[tuple[Shape, int], Path] = {}
        self.n = 0

    def __call__(self, block: Shape, workers: int) -> None:
        self.n += 1
        output = self.folder / f"{self.decoder.kind}-{self.n}"
        job = SegmentJob(
            prediction=self.prediction, decoder=self.decoder, output=output, block_shape=block, workers=workers
        )
        job.run(RecordingContext())
        self.last[block, workers] = output


def measure(title: str, prediction: Path, truth: np.ndarray, kinds: Sequence[str], n_rounds: int) -> None:
    """Tables of all decoders on one prediction."""
    reader = EvidenceReader.open(prediction)
    print(f"\n{title}: {' x '.join(map(str, reader.shape))} voxels, {reader.kind}")
    for kind in kinds:
        decoder = DecoderSettings.parse(DECODERS[kind])
        begin = time.perf_counter()
        whole = decoder.decode(reader.read(Box.of_shape(reader.shape)), reader.space).labels
        seconds = time.perf_counter() - begin
        split, merge = voi(whole, truth)
        print(f"\n{kind}: one piece {seconds:.2f} s, {len(np.unique(whole)) - 1} segments, VOI to the truth "
              f"{split:.3f} + {merge:.3f}")  # fmt: skip
        print(f"{'block':>16} workers  median s    best s  VOI to one piece  VOI to the truth")
        with tempfile.TemporaryDirectory() as folder:
            run = Run(Path(folder), prediction, decoder)
            blocks = blocks_of(reader.shape)
            variants = {f"{block} {workers}": partial(run, block, workers) for block in blocks for workers in (1, 2)}
            timings = interleave(variants, n_rounds, n_warm_ups=0)
            worst = 0.0
            for block in blocks:
                one, two = (labels_of(run.last[block, workers]) for workers in (1, 2))
                same = "" if np.array_equal(one, two) else "  WORKERS DIFFER"
                apart, truthful = voi(one, whole), voi(one, truth)
                worst = max(worst, sum(apart))
                for workers in (1, 2):
                    taken = timings[f"{block} {workers}"]
                    print(
                        f"{'x'.join(map(str, block)):>16} {workers:7}  {median(taken):8.2f}  {min(taken):8.2f}  "
                        f"{apart[0]:.4f} + {apart[1]:.4f}   {truthful[0]:.3f} + {truthful[1]:.3f}{same}"
                    )
            if kind in EXACT:
                print_bar("largest VOI to one piece", worst, at_most=0)
            else:
                print_bar("largest VOI to one piece", worst, at_most=0.1)


def slider(n_rounds: int) -> None:
    """How long a move of the slider takes on a graph of 100 000 contacts."""
    rng = np.random.default_rng(0)
    places = rng.random((13_500, 3))
    simplices = spatial.Delaunay(places).simplices
    pairs = np.concatenate([simplices[:, [i, j]] for i in range(4) for j in range(i)]) + 1
    edges = np.unique(np.sort(pairs, axis=1), axis=0).astype(np.uint32)[:N_EDGES]
    home = (places * 5).astype(int) @ [25, 5, 1]
    same = home[edges[:, 0] - 1] == home[edges[:, 1] - 1]
    scores = np.where(same, 0.7, 0.3) + rng.uniform(-0.25, 0.25, len(edges))
    contacts = rng.integers(1, 500, len(edges)).astype(np.uint32)
    graph = RegionGraph(edges, scores.astype(np.float32), contacts, np.zeros((len(edges), 3), np.float32))
    sizes, space = np.full(len(places) + 1, 2000, np.uint64), VoxelSpace((10, 10, 10))
    faces = np.repeat(np.arange(len(edges)), rng.integers(1, 40, len(edges)))
    faces_scores = np.clip(scores[faces] + rng.normal(0, 0.1, len(faces)), 0, 1)
    by_face = replace(graph, histograms=ContactHistograms.of_faces(faces, faces_scores, len(edges)))
    print(f"\nthe slider: {len(edges)} contacts of {len(places)} supervoxels")
    begin = time.perf_counter()
    hierarchy_of(graph, len(sizes))
    print(f"  merge hierarchy, once: {time.perf_counter() - begin:.3f} s")
    begin = time.perf_counter()
    hierarchy_of(by_face, len(sizes), ScoreRule("quantile", 850))
    print(f"  the same by a quantile of {len(faces)} faces, once: {time.perf_counter() - begin:.3f} s")
    moves = {
        kind: partial(DecoderSettings.parse({"kind": kind, name: value}).partition, graph, sizes, space)
        for kind, name, value in (("agglomeration", "threshold", 0.6), ("multicut", "beta", 0.4))
    }
    quantile = DecoderSettings.parse({"kind": "agglomeration", "score": "quantile", "threshold": 0.6})
    moves["agglomeration by quantiles"] = partial(quantile.partition, by_face, sizes, space)
    for kind, taken in interleave(moves, max(n_rounds, 7)).items():
        print_bar(f"{kind}, ms a move, median (best {1000 * min(taken):.1f})", 1000 * median(taken), at_most=100)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--data", type=Path, help="medulla.h5, for the evidence of true neurons")
    parser.add_argument("--decoders", nargs="+", choices=list(DECODERS), default=list(DECODERS))
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--shape", type=int, nargs=3, default=(32, 96, 96), help="of the synthetic tissue")
    options = parser.parse_args()
    slider(options.rounds)
    with tempfile.TemporaryDirectory() as folder:
        tissue = make_tissue(tuple(options.shape), n_cells=50)
        cells = np.where(tissue.classes == 1, 0, tissue.cells)
        on_affinities = [kind for kind in options.decoders if kind not in OF_BCD]
        on_bcd = [kind for kind in options.decoders if kind in OF_BCD]
        path = prediction_of(Path(folder) / "tissue", cells, tissue.space, ("near", "far"), noise=0.15)
        measure("synthetic tissue", path, tissue.cells, on_affinities, options.rounds)
        offers = ("foreground", "boundary", "distance")
        path = prediction_of(Path(folder) / "bcd", cells, tissue.space, offers, noise=0.15)
        measure("synthetic tissue", path, tissue.cells, on_bcd, options.rounds)
        if options.data is not None:
            with h5py.File(options.data, "r") as file:
                truth = file["neurons"][110:142, :128, :128]
            cells = np.where(boundary_of(truth, blur=0) > 0, 0, truth)  # the truth leaves no room for membranes
            path = prediction_of(Path(folder) / "medulla", cells, VoxelSpace((10, 10, 10)), ("near", "far"), noise=0.15)
            measure("medulla, sections 110 to 141", path, truth, on_affinities, n_rounds=1)  # minutes a round


if __name__ == "__main__":
    main()
