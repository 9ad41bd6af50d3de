"""Quality of neurites before any edit: the recipe `neurites` on one part of the medulla, segmented on another.

Run ``python benchmarks/segmentation_quality.py [--minutes 20] [--keep FOLDER] [key=value ...]``; ``key=value``
changes a setting of the recipe. It trains on sections 0 to 109 with all their neurons, predicts sections 110 to 169,
which no step of it has seen, decodes them with the recipe's decoder and prints variation of information (every voxel)
and adapted Rand error (without truth 0) beside two other systems' results on the same voxels. The line of the recipe's
own threshold is the result; the others show what the slider does. ``--model FOLDER`` takes a trained model instead.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from pathlib import Path

import h5py
import numpy as np
from dense_models import predict, train_on
from simulated_annotator import DATA

from napari_pytc.decoding import DecoderSettings, Decoding
from napari_pytc.decoding.evidence import EvidenceReader
from napari_pytc.geometry import Box, VoxelSpace
from napari_pytc.metrics.partitions import ContingencyTable
from napari_pytc.plans.model_folder import read_model_info
from napari_pytc.plans.recipes import load_recipe

SPACE = VoxelSpace((10.0, 10.0, 10.0))
TRAINED, TESTED = slice(0, 110), slice(110, 170)
THRESHOLDS = (0.3, 0.4, 0.5, 0.6, 0.7, 0.8)
BASELINES = ("gala_supervoxels", "ffn_segmentation")


def figures(predicted: np.ndarray, truth: np.ndarray) -> tuple[float, float, float]:
    """Split and merge of the variation of information, and adapted Rand error."""
    table = ContingencyTable()
    table.add(predicted, truth)
    return (*table.variation_of_information(), table.adapted_rand_error(0))


def line(name: str, labels: np.ndarray, truth: np.ndarray) -> tuple[float, float]:
    """Print a system's figures; its variation of information in all, and its adapted Rand error."""
    split, merge, arand = figures(labels, truth)
    print(
        f"{name:34} {split:6.3f} {merge:6.3f} {split + merge:6.3f} {arand:8.4f} {len(np.unique(labels)):8d}", flush=True
    )
    return split + merge, arand


def decoded(prediction: Path, settings: dict[str, object]) -> Decoding:
    """Decode the tested sections in one piece."""
    reader = EvidenceReader.open(prediction)
    box = Box((TESTED.start, 0, 0), (TESTED.stop, *reader.shape[1:]))
    return DecoderSettings.parse(settings).decode(reader.read(box), SPACE)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("changes", nargs="*", help="Settings of the recipe, as steps=500.")
    parser.add_argument("--recipe", default="neurites")
    parser.add_argument("--minutes", type=float, default=20.0)
    parser.add_argument("--flips", action="store_true", help="Average predictions over mirrored copies.")
    parser.add_argument("--model", type=Path, help="A trained model's folder.")
    parser.add_argument("--keep", type=Path, help="Keep model and prediction in this folder, which is new.")
    options = parser.parse_args()
    with h5py.File(DATA / "medulla.h5") as file:
        raw, neurons = file["raw"][:], file["neurons"][:]
        others = {name: file[name][TESTED] for name in BASELINES}
    with tempfile.TemporaryDirectory() as place:
        folder = options.keep or Path(place)
        folder.mkdir(parents=True, exist_ok=True)
        model = options.model
        if model is None:
            plan = load_recipe(options.recipe, [f"minutes={options.minutes}", *options.changes])
            model = train_on(raw[TRAINED], neurons[TRAINED], "neuron", SPACE, plan, folder)
        decoder = read_model_info(model).plan.decoder
        tested = Box((TESTED.start, 0, 0), (TESTED.stop, *raw.shape[1:]))
        prediction = predict(raw, SPACE, tested, model, folder, options.flips)
        compare(prediction, decoder, neurons[TESTED], others)


def compare(prediction: Path, decoder: dict[str, object], truth: np.ndarray, others: dict[str, np.ndarray]) -> None:
    """Print the table and what was to be shown."""
    print(f"\n{'sections 110 to 169':34} {'split':>6} {'merge':>6} {'VOI':>6} {'aRand':>8} {'segments':>8}")
    theirs = {name: line(name, labels, truth) for name, labels in others.items()}
    start = time.perf_counter()
    ours = line(f"ours, {decoder['kind']}", decoded(prediction, decoder).labels, truth)
    print(f"{'':34} decoded in {time.perf_counter() - start:.1f} s")
    for threshold in THRESHOLDS:
        line(f"  at threshold {threshold:g}", decoded(prediction, {**decoder, "threshold": threshold}).labels, truth)
    gala = theirs["gala_supervoxels"]
    for name, found, bar in (
        ("VOI / Gala's, to show 0.75, to aim for 0.5", ours[0] / gala[0], 0.75),
        ("adapted Rand error / Gala's, to show 0.5", ours[1] / gala[1], 0.5),
        ("adapted Rand error, to aim for 0.081", ours[1], 0.081),
    ):
        print(f"{name:48} {found:6.3f}  {'reached' if found <= bar else 'not reached'}")


if __name__ == "__main__":
    main()
