"""Times of skeletons and of the scores on them: TEASAR of a block, NERL of a segmentation, start of the process.

Run ``python benchmarks/skeletons.py [--rounds 3] [--tolerated-nodes 0 5 50]``. The truth is the neurites of the
medulla, 170 x 250 x 250 voxels of 10 nm; the segmentation that is scored is that of flood-filling networks in the same
file. It prints the seconds of TEASAR for all neurites in one thread (best and median of the rounds), of scoring on
their nodes, the NERL by both rules of what a merger spoils, and how long the window's process takes until its first
skeleton.
"""

from __future__ import annotations

import argparse
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from typing import Any

import h5py
import numpy as np
from simulated_annotator import DATA

from napari_pytc.geometry import Box, VoxelSpace
from napari_pytc.metrics import evaluate_skeletons
from napari_pytc.skeletons.teasar import skeletonise_segments
from napari_pytc.skeletons.teasar_process import read_reply, request_of

SPACE = VoxelSpace((10.0, 10.0, 10.0))


class ArrayLabels:
    """An array as a volume of labels."""

    def __init__(self, labels: np.ndarray) -> None:
        self.labels = labels
        z, y, x = labels.shape
        self.shape = (z, y, x)

    def read(self, box: Box) -> np.ndarray:
        """Labels of a box."""
        return self.labels[box.slices]


def timed(work: Callable[[], Any], rounds: int) -> tuple[Any, str]:
    """The result, and the best and median seconds."""
    seconds = []
    for _ in range(rounds):
        started = time.perf_counter()
        found = work()
        seconds.append(time.perf_counter() - started)
    return found, f"best {min(seconds):.2f} s, median {statistics.median(seconds):.2f} s of {rounds}"


def first_reply() -> None:
    """Start the process that the window has, and wait for the skeleton of a small tube."""
    mask = np.zeros((5, 9, 40), bool)
    mask[1:4, 2:7, 1:39] = True
    command = [sys.executable, "-m", "napari_pytc.skeletons.teasar_process"]
    done = subprocess.run(command, input=request_of(mask, 1, SPACE), capture_output=True, check=True)
    assert read_reply(done.stdout, 1) is not None


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--tolerated-nodes", type=int, nargs="+", default=(0, 5, 50))
    options = parser.parse_args()
    with h5py.File(DATA / "medulla.h5") as file:
        neurons, predicted = file["neurons"][:], file["ffn_segmentation"][:]
    truth = ArrayLabels(neurons)
    skeletons, seconds = timed(lambda: list(skeletonise_segments(truth, SPACE)), options.rounds)
    n_nodes = sum(one.n_nodes for one in skeletons)
    print(f"TEASAR of {len(skeletons)} neurites of {neurons.shape} voxels, {n_nodes} nodes: {seconds}", flush=True)
    for tolerated in options.tolerated_nodes:
        for merged_by in ("segment", "skeleton"):

            def score(tolerated: int = tolerated, merged_by: Any = merged_by) -> dict[str, Any]:
                return evaluate_skeletons(
                    ArrayLabels(predicted), skeletons, SPACE, tolerated=tolerated, merged_by=merged_by
                )

            found, seconds = timed(score, options.rounds)
            rule = f"{tolerated} tolerated nodes, merged by {merged_by}"
            print(f"NERL {found['nerl']:.4f}, ERL {found['erl']:.0f} nm ({rule}): {seconds}", flush=True)
    _, seconds = timed(first_reply, options.rounds)
    print(f"The window's process, from its start to its first skeleton: {seconds}", flush=True)


if __name__ == "__main__":
    main()
