"""Quality of mitochondria before any edit: the recipe `organelles` on one part of a volume, segmented on another.

Run ``python benchmarks/organelle_quality.py [--recipe organelles] [--data lucchi vnc] [--minutes 10] [--keep FOLDER]
[key=value ...]``; ``key=value`` changes a setting of the recipe. Of lucchi it trains on sections 0 to 54 and scores the
27 behind them, with ``--columns`` on the left two thirds and the right third, as it does of vnc; no step has seen what
is scored. It prints Dice and Jaccard index of the foreground, then for several distances of the watershed's seeds the
average precision (TP / (TP + FP + FN)) of whole mitochondria. The line of the recipe's own decoder is the result.
``--model FOLDER`` takes a trained model instead; ``--flips`` averages its predictions of mirrored copies.
"""

from __future__ import annotations

import argparse
import tempfile
from pathlib import Path

import h5py
import numpy as np
import tifffile
from dense_models import predict, train_on
from scipy import ndimage
from simulated_annotator import DATA

from napari_pytc.annotations.object_relations import BACKGROUND
from napari_pytc.decoding import DecoderSettings
from napari_pytc.decoding.evidence import EvidenceReader
from napari_pytc.geometry import Box, VoxelSpace
from napari_pytc.metrics.objects import average_precision
from napari_pytc.metrics.partitions import ContingencyTable
from napari_pytc.plans.model_folder import read_model_info
from napari_pytc.plans.recipes import load_recipe

SEED_DISTANCES_UM = (0.05, 0.1, 0.15, 0.2, 0.3, 0.5)
TRAINED_SECTIONS = 55
"""Of lucchi; the rest is scored."""
SMALLEST = 200
"""Voxels of a piece of truth that counts: less is what the cut through the volume left of a mitochondrion."""


def load(name: str) -> tuple[np.ndarray, np.ndarray, VoxelSpace]:
    """Raw voxels and single mitochondria, 0 where there is none."""
    if name == "lucchi":
        with h5py.File(DATA / "lucchipp_train.h5") as file:
            raw, inside = file["raw"][:], file["mitochondria"][:] > 0
        return raw, inside, VoxelSpace((5.0, 5.0, 5.0))
    raw, classes = tifffile.imread(DATA / "vnc_raw.tif"), tifffile.imread(DATA / "vnc_classes.tif")
    return raw, classes == 2, VoxelSpace((45.0, 4.6, 4.6))


def objects_of(inside: np.ndarray) -> np.ndarray:
    """Each connected piece as an object; crumbs are left out."""
    labels, _ = ndimage.label(inside)
    sizes = np.bincount(labels.ravel())
    return np.where(sizes[labels] >= SMALLEST, labels, 0).astype(np.uint32)


def compare(prediction: Path, decoder: dict[str, object], inside: np.ndarray, scored: Box, space: VoxelSpace) -> None:
    """Print foreground and objects, for the recipe's decoder and for other distances of seeds."""
    evidence = EvidenceReader.open(prediction).read(scored)
    truth_inside = inside[scored.slices]
    truth = objects_of(truth_inside)
    found = evidence.object_map("foreground") >= 0.5
    common = np.count_nonzero(found & truth_inside)
    both = np.count_nonzero(found) + np.count_nonzero(truth_inside)
    print(f"foreground: Dice {2 * common / both:.4f}, Jaccard index {common / (both - common):.4f}")
    print(f"{'objects: ' + str(len(np.unique(truth)) - 1):34} {'AP 0.5':>7} {'AP 0.75':>7} {'mean AP':>7} {'found':>6}")
    variants = {"recipe's": decoder}
    if decoder["kind"] == "watershed":
        variants |= {f"  seeds {d:g} um": {**decoder, "seed_distance_um": d} for d in SEED_DISTANCES_UM}
    variants["  components"] = {
        "kind": "components", "object_class": "foreground", "smallest_um3": decoder.get("smallest_um3", 0.001),
    }  # fmt: skip
    for name, settings in variants.items():
        decoding = DecoderSettings.parse(settings).decode(evidence, space)
        table = ContingencyTable()
        table.add(decoding.labels, truth)
        scores = {s.threshold: s.average_precision for s in average_precision(table)}
        mean = sum(scores.values()) / len(scores)
        n_found = len(np.unique(decoding.labels)) - 1
        print(f"{name:34} {scores[0.5]:7.3f} {scores[0.75]:7.3f} {mean:7.3f} {n_found:6d}", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("changes", nargs="*", help="Settings of the recipe, as steps=500.")
    parser.add_argument("--recipe", default="organelles")
    parser.add_argument("--data", nargs="+", choices=("lucchi", "vnc"), default=["lucchi"])
    parser.add_argument("--columns", action="store_true", help="Cut lucchi through its columns, not its sections.")
    parser.add_argument("--minutes", type=float, default=10.0)
    parser.add_argument("--model", type=Path, help="A trained model's folder.")
    parser.add_argument("--flips", action="store_true", help="Average over mirrored copies.")
    parser.add_argument("--keep", type=Path, help="Keep models and predictions in this folder, which is new.")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as place:
        for name in options.data:
            folder = (options.keep or Path(place)) / name
            folder.mkdir(parents=True, exist_ok=True)
            raw, inside, space = load(name)
            if name == "lucchi" and not options.columns:
                trained, scored = (
                    Box((0, 0, 0), (TRAINED_SECTIONS, *raw.shape[1:])),
                    Box((TRAINED_SECTIONS, 0, 0), raw.shape),
                )
            else:
                cut = raw.shape[2] * 2 // 3
                trained, scored = Box((0, 0, 0), (*raw.shape[:2], cut)), Box((0, 0, cut), raw.shape)
            print(f"{name}: trained on {trained}, scored on {scored}", flush=True)
            model = options.model
            if model is None:
                plan = load_recipe(options.recipe, [f"minutes={options.minutes}", *options.changes])
                ids = objects_of(inside[trained.slices])
                labels = np.where(ids > 0, ids, np.uint32(BACKGROUND))
                model = train_on(raw[trained.slices], labels, "mitochondrion", space, plan, folder)
            prediction = predict(raw, space, scored, model, folder, options.flips)
            compare(prediction, read_model_info(model).plan.decoder, inside, scored, space)


if __name__ == "__main__":
    main()
