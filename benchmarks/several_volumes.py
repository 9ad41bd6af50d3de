"""One model of two volumes against a model of each alone; and a model on the same volume with other intensities.

Run ``python benchmarks/several_volumes.py [--recipes instant fast] [--seeds 3] [--side 384] [--steps 160]``.

The same seeded annotator paints strokes on the largest errors of the instant model in the vnc and in the medulla volume
(membrane and the rest, the classes that both have). Then each recipe is trained on the strokes of vnc, of the medulla,
and of both; a held-out part of each is scored, by the model of that volume and by that of both. The volumes have voxels
of 45 x 4.6 x 4.6 and 10 x 10 x 10 nm, so that the joint training resamples, for every size that ``--sizes`` names
(``auto`` is the plan's own choice).
``--keep FOLDER`` keeps strokes and models, and uses those that are there.

``--parts intensities``: the model of one volume predicts the same image at half the contrast and as uint16, which are
normalised by their own statistics.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
from annotator_bench import Bench, Quiet, Strokes, middle
from simulated_annotator import Dataset, datasets

from napari_pytc.annotations.paint_store import PaintStore
from napari_pytc.geometry import Box
from napari_pytc.learning.prediction.disk_prediction import predict_to_disk
from napari_pytc.metrics.overlap import ClassCounts
from napari_pytc.plans.model_folder import read_model_info
from napari_pytc.plans.plan import PredictPlan
from napari_pytc.plans.recipes import load_recipe
from napari_pytc.plans.specs import ModelOutput, PredictJob, TrainJob, VolumeInputs
from napari_pytc.volumes.formats.npy import save_npy
from napari_pytc.volumes.spec import NpySpec
from napari_pytc.volumes.zarr_output import open_ome_zarr

CLASSES = ("membrane", "rest")
BAR, SAME = 0.02, 0.01


def two_classes(data: Dataset) -> Dataset:
    """A dataset of membrane and the rest; 0 stays what is not known."""
    truth = np.where(data.truth == 1, 1, np.where(data.truth > 1, 2, 0)).astype(np.uint8)
    return replace(data, truth=truth, classes=CLASSES)


class Volume:
    """A dataset on disk with the strokes of a seed."""

    def __init__(self, data: Dataset, folder: Path, side: int) -> None:
        self.data, self.folder = data, folder
        self.scored = middle(data.test, side)
        self.image = NpySpec(
            path=save_npy(folder / f"{data.name}.npy", data.raw), voxel_size_nm=data.space.voxel_size_nm
        )

    def paint(self, seed: int, n_rounds: int, side: int) -> VolumeInputs:
        """Strokes of an annotator who answers the instant model's errors."""
        place = self.folder / f"{self.data.name}-{seed}.zarr"
        if not place.exists():
            self._paint(place, seed, n_rounds, side)
        return VolumeInputs(
            name=self.data.name,
            volume=self.image,
            space=self.data.space,
            annotations=place,
            held_out=(self.data.test,),
        )

    def _paint(self, place: Path, seed: int, n_rounds: int, side: int) -> None:
        bench, strokes = Bench(self.data, side), Strokes(self.data.raw.shape)  # type: ignore[arg-type]
        annotator, rng = bench.annotator(seed), np.random.default_rng(seed)
        looked: np.ndarray | None = None
        for done in range(n_rounds):
            annotator.paint(strokes.array, looked)
            strokes.revision += 1
            if done + 1 < n_rounds:
                model, _ = bench.train("instant", strokes, f"instant-{done}", [f"seed={seed}"])
                looked = bench.look(bench.predictor(model), rng)
        store = PaintStore.create(place, self.data.raw.shape, self.data.space)  # type: ignore[arg-type]
        store.write(Box.of_shape(self.data.raw.shape), strokes.array)

    def dice(self, model: Path, image: NpySpec | None = None) -> float:
        """Mean Dice of a model on the part that is scored; its normalisation is that of the whole volume."""
        with tempfile.TemporaryDirectory() as folder:
            job = PredictJob(
                image=image or self.image,
                voxel_size_nm=self.data.space.voxel_size_nm,
                model=model,
                output=Path(folder) / "p.zarr",
                plan=PredictPlan(precision="float32"),
                box=self.scored,
            )
            predict_to_disk(job, Quiet())
            found = open_ome_zarr(job.output).read(self.scored).argmax(0).astype(np.uint8) + 1
        counts = ClassCounts()
        counts.add(found.astype(np.uint8), self.data.truth[self.scored.slices])
        return float(np.mean(list(counts.dice((1, 2)).values())))


class Comparison:
    """Trains recipes on one volume or several and scores them on all."""

    def __init__(self, options: argparse.Namespace, folder: Path) -> None:
        self.options, self.folder = options, folder
        self.volumes = [Volume(two_classes(data), folder, options.side) for data in datasets()]
        self.rows: dict[tuple[str, str], list[list[float]]] = {}

    def train(self, recipe: str, inputs: Sequence[VolumeInputs], name: str, changes: Sequence[str]) -> Path:
        """A model of these volumes."""
        changes = [*changes, "precision=float32"]
        if recipe != "instant":
            changes += [f"steps={self.options.steps}"]
        output = ModelOutput(model_folder=self.folder / name, run_folder=self.folder / f"{name}-run")
        if output.model_folder.exists():
            return output.model_folder
        job = TrainJob(
            inputs=tuple(inputs), classes=CLASSES, plan=load_recipe(recipe, changes), output=output, resume=False
        )
        job.run(Quiet())
        return output.model_folder

    def together(self) -> None:
        """Alone against together, an entry of the table a seed."""
        for seed in range(self.options.first_seed, self.options.first_seed + self.options.seeds):
            inputs = [volume.paint(seed, self.options.rounds, self.options.side) for volume in self.volumes]
            for recipe in self.options.recipes:
                for volume, one in zip(self.volumes, inputs, strict=True):
                    self._note(recipe, f"{one.name} alone", [one], seed, [volume])
                for size in self.options.sizes:
                    changes = [] if size == "auto" else [f"voxel_size_nm=[{size}]"]
                    self._note(recipe, f"both, {size}", inputs, seed, self.volumes, changes)
        self._print()

    def _note(
        self,
        recipe: str,
        what: str,
        inputs: Sequence[VolumeInputs],
        seed: int,
        scored: Sequence[Volume],
        changes: Sequence[str] = (),
    ) -> None:
        started = time.perf_counter()
        model = self.train(recipe, inputs, _name(recipe, what, seed), [f"seed={seed}", *changes])
        trained = time.perf_counter() - started
        dice = [volume.dice(model) for volume in scored]
        self.rows.setdefault((recipe, what), []).append(dice)
        size = read_model_info(model).voxel_size_nm
        print(f"  seed {seed} {recipe:8} {what:24} {np.round(dice, 3)} at {size} nm, {trained:.0f} s", flush=True)

    def _print(self) -> None:
        names = [volume.data.name for volume in self.volumes]
        print(f"\nmean Dice over {self.options.seeds} seeds; both are scored on {' and '.join(names)}")
        for recipe in self.options.recipes:
            alone = np.array([np.mean(self.rows[recipe, f"{name} alone"]) for name in names])
            for (of, what), found in self.rows.items():
                if of == recipe:
                    print(f"{recipe:8} {what:24} {np.round(np.mean(found, axis=0), 3)}")
            for size in self.options.sizes:
                behind = alone - np.mean(self.rows[recipe, f"both, {size}"], axis=0)
                verdict = "met" if (behind <= BAR).all() else "MISSED"
                print(f"{recipe:8} both, {size}: behind the one alone by {np.round(behind, 3)}; bar {BAR}: {verdict}")

    def intensities(self) -> None:
        """A model on the same volume at half contrast and as uint16."""
        for volume in self.volumes:
            seed = self.options.first_seed
            inputs = volume.paint(seed, self.options.rounds, self.options.side)
            raw = volume.data.raw
            others = {"half contrast": (raw // 2 + 60).astype(np.uint8), "uint16": raw.astype(np.uint16) * 257}
            for recipe in self.options.recipes:
                model = self.train(recipe, [inputs], _name(recipe, f"{inputs.name} alone", seed), [f"seed={seed}"])
                before = volume.dice(model)
                for what, array in others.items():
                    path = save_npy(self.folder / f"{volume.data.name}-{what.replace(' ', '-')}.npy", array)
                    after = volume.dice(model, volume.image.model_copy(update={"path": path}))
                    verdict = "met" if abs(after - before) <= SAME else "MISSED"
                    print(
                        f"{recipe:8} {volume.data.name:8} {what:13} Dice {after:.3f} against {before:.3f}; "
                        f"bar {SAME}: {verdict}",
                        flush=True,
                    )


def _name(recipe: str, what: str, seed: int) -> str:
    """Name of a model's folder."""
    return f"{recipe}-{what}-{seed}".replace(" ", "").replace(",", "_")


def main() -> None:
    """Parse the options and run the parts."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--parts", nargs="+", default=["together", "intensities"])
    parser.add_argument("--recipes", nargs="+", default=["instant", "fast"])
    parser.add_argument("--sizes", nargs="+", default=["auto"], metavar="auto|Z,Y,X")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--first-seed", type=int, default=80)
    parser.add_argument("--rounds", type=int, default=3, help="rounds of twelve strokes in each volume")
    parser.add_argument("--side", type=int, default=256, help="length in y and x of what is scored")
    parser.add_argument("--steps", type=int, default=160, help="of networks")
    parser.add_argument("--keep", type=Path, metavar="FOLDER")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="several-volumes-") as folder:
        comparison = Comparison(options, options.keep or Path(folder))
        if "together" in options.parts:
            comparison.together()
        if "intensities" in options.parts:
            comparison.intensities()


if __name__ == "__main__":
    main()
