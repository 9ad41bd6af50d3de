"""Tiled prediction against bare forward passes, MONAI's sliding window, itself on larger volumes, and the whole.

Run ``python benchmarks/prediction.py [--parts bare monai memory whole] [--recipes fast accurate] [--large] [--quick]``.

bare    the network alone over disjoint tiles of the same voxels, the same tile shape and arithmetic, images ready in
        memory; against the tiled prediction in memory and as a job from HDF5 to OME-Zarr, its start included
monai   sliding_window_inference (overlap 0.5, gaussian) with windows of 32x128x128 and of our tile
memory  largest resident memory of processes that predict a small and a large volume of zeros with a tiny network
whole   largest difference between tiles and one piece, in float32

With ``--windows``: networks that predict in overlapping windows, as jobs from HDF5 to OME-Zarr, against MONAI's
sliding_window_inference with the same windows, batch and arithmetic, once as such a job (the model is loaded, the
volume read and normalised, the result written to an OME-Zarr) and once with volume and model in memory; in turns, in
seconds of the clock and of the processor. Memory as above.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from statistics import median

import h5py
import numpy as np
import torch
from rounds import Claim, ProcessorTime, interleave, peak_mib, print_bar, print_timings

from napari_pytc.geometry import Box, Shape, TileGrid, VoxelSpace
from napari_pytc.geometry.windows import WindowGrid
from napari_pytc.jobs.context import JobMessage
from napari_pytc.learning.machine.devices import limit_threads
from napari_pytc.learning.machine.memory import free_memory_bytes
from napari_pytc.learning.machine.precision import Precision, autocast_for
from napari_pytc.learning.machine.weights import save_weights
from napari_pytc.learning.networks.network import Network, build_network
from napari_pytc.learning.prediction.inference import Inferer
from napari_pytc.learning.prediction.model import TrainedModel
from napari_pytc.learning.prediction.tile_shape import CHUNK, fit_tile
from napari_pytc.learning.prediction.tiled import TiledPredictor
from napari_pytc.plans.model_folder import ModelInfo, write_model_folder
from napari_pytc.plans.networks import MonaiBasicUNetNetwork, NetworkSettings, UNetNetwork
from napari_pytc.plans.normalisation import ImageNormalisation, Normalisation
from napari_pytc.plans.plan import PredictPlan, TrainPlan
from napari_pytc.plans.recipes import load_recipe
from napari_pytc.plans.specs import PredictJob
from napari_pytc.plans.windows import Windows, WindowSettings
from napari_pytc.volumes.image import SingleImage, open_image
from napari_pytc.volumes.memory import MemoryVolume
from napari_pytc.volumes.opening import open_volume
from napari_pytc.volumes.zarr_output import create_ome_zarr

CLASSES = ("membrane", "inside")
SPACE = VoxelSpace((10.0, 10.0, 10.0))
NORMALISATION = ImageNormalisation.of([Normalisation(mean=128, std=40, low=0, high=255)])
WINDOW: Shape = (32, 128, 128)
TINY = UNetNetwork(channels=(2, 4), residual_units=0)
TINY_OF_WINDOWS = MonaiBasicUNetNetwork(channels=(2, 2, 2, 2, 2, 2))


class Quiet:
    """A job's outside that listens to nothing."""

    def report(self, done: int, total: int, note: str = "") -> None:
        pass

    def metric(self, name: str, step: int, value: float) -> None:
        pass

    def artifact(self, kind: str, box: Box) -> None:
        pass

    def warn(self, message: str) -> None:
        print(f"  warned: {message}")

    def messages(self) -> Iterator[JobMessage]:
        yield from ()

    def check(self) -> None:
        pass


class ArraySink:
    """A (c, z, y, x) array as a sink."""

    def __init__(self, shape: Shape, dtype: type) -> None:
        self.array = np.zeros((len(CLASSES), *shape), dtype)
        self.dtype = self.array.dtype

    def write(self, box: Box, data: np.ndarray) -> None:
        self.array[(slice(None), *box.slices)] = data


@dataclass(frozen=True)
class Setting:
    """A model on disk, a volume in memory and as a file, and the tile that the product would choose."""

    folder: Path
    model: TrainedModel
    raw: np.ndarray
    device: torch.device
    precision: Precision
    tile: Shape

    @classmethod
    def make(cls, plan: TrainPlan, shape: Shape, folder: Path) -> Setting:
        make_model(plan, folder / "model")
        raw = synthetic_raw(shape)
        with h5py.File(folder / "raw.h5", "w") as file:
            chunks = tuple(min(c, n) for c, n in zip((32, 64, 64), shape, strict=True))
            file.create_dataset("main", data=raw, chunks=chunks, compression="gzip", compression_opts=1)
        model = TrainedModel.load(folder / "model")
        device, precision = model.place("auto", "auto")
        memory = model.network.tile_memory(model.limits, len(CLASSES))
        tile = fit_tile(shape, model.limits, memory, free_memory_bytes(device))
        return cls(folder, model, raw, device, precision, tile)

    @property
    def predictor(self) -> TiledPredictor:
        inferer = Inferer(self.model.network, self.model.limits, self.device, self.precision)
        return TiledPredictor(inferer, NORMALISATION, self.tile)

    def tiled_in_memory(self) -> None:
        source, sink = SingleImage(MemoryVolume(self.raw, SPACE)), ArraySink(self.raw.shape, np.uint8)
        self.predictor.predict(source, sink, Box.of_shape(self.raw.shape), Quiet())

    def tiled_on_disk(self) -> None:
        with tempfile.TemporaryDirectory(dir=self.folder) as place:
            predict_file(self.folder / "raw.h5", self.folder / "model", Path(place) / "out.zarr", self.tile)

    def forward_passes(self, images: list[torch.Tensor]) -> None:
        with torch.inference_mode(), autocast_for(self.device, self.precision):
            for image in images:
                self.model.network(image)
        self.wait()

    def images(self) -> list[torch.Tensor]:
        """Disjoint tiles, normalised and in place."""
        found = []
        for tile in TileGrid(Box.of_shape(self.raw.shape), self.tile):
            image = torch.from_numpy(NORMALISATION.apply(self.raw[tile.write.slices][None]))
            found.append(self.precision.place(image[None].to(self.device)))
        return found

    def slide(self, image: torch.Tensor, window: Shape) -> None:
        """MONAI's prediction of a volume that is normalised and in place."""
        from monai.inferers import sliding_window_inference

        fitting = tuple(min(w, n) for w, n in zip(window, self.raw.shape, strict=True))
        with torch.inference_mode(), autocast_for(self.device, self.precision):
            logits = sliding_window_inference(image, fitting, 1, self.model.network, overlap=0.5, mode="gaussian")
            assert isinstance(logits, torch.Tensor)
            logits.float().softmax(1).mul(255).round_().to(torch.uint8).cpu()

    def wait(self) -> None:
        if self.device.type == "cuda":
            torch.cuda.synchronize(self.device)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parts = ["bare", "monai", "memory", "whole"]
    parser.add_argument("--parts", nargs="+", choices=parts, default=parts)
    parser.add_argument("--recipes", nargs="+", default=["fast", "accurate"])
    parser.add_argument("--shape", type=int, nargs=3, default=[64, 512, 512])
    parser.add_argument("--large", action="store_true", help="Also 64x1024x1024 in the comparison with bare passes.")
    parser.add_argument("--quick", action="store_true", help="A quarter of the volume, and 0.25 and 2 GB of memory.")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--memory-gb", type=float, nargs=2)
    parser.add_argument("--memory-tile", type=int, nargs=3, default=[64, 256, 256])
    parser.add_argument(
        "--windows", nargs="*", metavar="KIND", help="Windows instead; by default mednext and monai_unet."
    )
    parser.add_argument("--predict-gb", type=float, help=argparse.SUPPRESS)
    options = parser.parse_args()
    limit_threads()
    if options.predict_gb is not None:
        print_own_peak(options.predict_gb, tuple(options.memory_tile), of_windows=options.windows is not None)
        return
    z, y, x = options.shape
    if options.quick:
        y, x = y // 2, x // 2
    print(f"{torch.get_num_threads()} threads, torch {torch.__version__}", flush=True)
    if options.windows is not None:
        if "monai" in options.parts:
            for kind in options.windows or ["mednext", "monai_unet"]:
                windows_against_monai(kind, (z, y, x), options.rounds)
        if "memory" in options.parts:
            sizes = options.memory_gb or ([0.03, 0.24] if options.quick else [0.125, 1.0])
            memory(sizes, options.memory_tile, of_windows=True)
        return
    timed = {"bare", "monai"} & set(options.parts)
    with tempfile.TemporaryDirectory() as folder:
        for recipe in options.recipes if timed else ():
            shapes = [(z, y, x)] + ([(64, 1024, 1024)] if options.large else [])
            for n, shape in enumerate(shapes):
                place = Path(folder) / f"{recipe}{n}"
                place.mkdir()
                setting = Setting.make(load_recipe(recipe), shape, place)
                if "bare" in options.parts:
                    against_bare(recipe, setting, options.rounds)
                if "monai" in options.parts and n == 0:
                    against_monai(recipe, setting, options.rounds)
    if "memory" in options.parts:
        memory(options.memory_gb or ([0.25, 2.0] if options.quick else [1.0, 8.0]), options.memory_tile)
    if "whole" in options.parts:
        against_whole()


def describe(recipe: str, setting: Setting) -> str:
    limits = setting.model.limits
    return (
        f"{recipe} on {by(setting.raw.shape)}, {setting.precision} on {setting.device}, tile {by(setting.tile)}, "
        f"halo {by(limits.halo)}"
    )


def against_bare(recipe: str, setting: Setting, n_rounds: int) -> None:
    """Row 1 of the figures: the pipeline, halos, softmax, rounding, reading and writing against the network alone."""
    images = setting.images()
    timings = interleave(
        {
            "bare": partial(setting.forward_passes, images),
            "tiled in memory": setting.tiled_in_memory,
            "tiled disk to disk": setting.tiled_on_disk,
        },
        n_rounds,
    )
    claims = [Claim(name, "bare", 0.8) for name in ("tiled in memory", "tiled disk to disk")]
    print_timings(describe(recipe, setting), timings, setting.raw.size / 1e6, "Mvoxel", claims)


def against_monai(recipe: str, setting: Setting, n_rounds: int) -> None:
    """Row 2: MONAI's sliding window gets the volume normalised, in memory; ours reads and writes files."""
    image = torch.from_numpy(NORMALISATION.apply(setting.raw[None]))[None]
    image = setting.precision.place(image.to(setting.device))
    ours, theirs, same = "tiled disk to disk", f"MONAI {by(WINDOW)}", f"MONAI {by(setting.tile)}"
    timings = interleave(
        {
            ours: setting.tiled_on_disk,
            theirs: partial(setting.slide, image, WINDOW),
            same: partial(setting.slide, image, setting.tile),
        },
        n_rounds,
    )
    claims = [Claim(ours, theirs, 4), Claim(ours, same, 2)]
    print_timings(describe(recipe, setting), timings, setting.raw.size / 1e6, "Mvoxel", claims)


def windows_against_monai(kind: str, shape: Shape, n_rounds: int) -> None:
    """The same windows, batch and arithmetic; the statistics of the volume are given to MONAI's."""
    settings = NetworkSettings.parse({"kind": kind, "norm": "instance"} if kind == "monai_unet" else {"kind": kind})
    with tempfile.TemporaryDirectory() as place:
        folder, raw = Path(place), synthetic_raw(shape)
        make_model(TrainPlan(recipe=kind, network=settings), folder / "model")
        with h5py.File(folder / "raw.h5", "w") as file:
            chunks = tuple(min(c, n) for c, n in zip((32, 64, 64), shape, strict=True))
            file.create_dataset("main", data=raw, chunks=chunks, compression="gzip", compression_opts=1)
        loaded = TrainedModel.load(folder / "model")
        placed, windows = loaded.place("auto", "auto"), loaded.windows(WindowSettings())
        image = torch.from_numpy(NORMALISATION.apply(raw[None]))[None]

        def slide_on_disk() -> None:
            model = TrainedModel.load(folder / "model")
            place = model.place("auto", "auto")
            read = open_image(folder / "raw.h5").read(Box.of_shape(shape))
            found = slide_windows(model, windows, torch.from_numpy(NORMALISATION.apply(read))[None], *place)
            with tempfile.TemporaryDirectory(dir=folder) as output:
                target = Path(output) / "out.zarr"
                sink = create_ome_zarr(target, shape, np.dtype(np.uint8), SPACE, channels=CLASSES, chunk_shape=CHUNK)
                sink.write(Box.of_shape(shape), found)

        def predict() -> None:
            with tempfile.TemporaryDirectory(dir=folder) as output:
                predict_file(folder / "raw.h5", folder / "model", Path(output) / "out.zarr", None)

        ours, theirs, bare = "windows disk to disk", "MONAI disk to disk", "MONAI in memory"
        variants = {
            ours: predict,
            theirs: slide_on_disk,
            bare: lambda: slide_windows(loaded, windows, image, *placed),
        }
        processor = ProcessorTime()
        measured = {name: processor.of(name, work) for name, work in variants.items()}
        timings = interleave(measured, n_rounds)
        n_windows = len(WindowGrid.of(shape, windows.shape, windows.overlap))
        title = f"{kind} on {by(shape)}, {placed[1]} on {placed[0]}, {n_windows} windows of {windows}"
        claims = [Claim(ours, theirs, 1), Claim(ours, bare, 1)]
        print_timings(title, timings, raw.size / 1e6, "Mvoxel", claims)
        of_rounds = {name: taken[-n_rounds:] for name, taken in processor.timings.items()}
        print_timings("the same in processor seconds", of_rounds, raw.size / 1e6, "Mvoxel", claims)


def slide_windows(
    model: TrainedModel, windows: Windows, image: torch.Tensor, device: torch.device, precision: Precision
) -> np.ndarray:
    """MONAI's probabilities (k, z, y, x) uint8 of a normalised image (1, c, z, y, x)."""
    from monai.inferers import sliding_window_inference

    with torch.inference_mode(), autocast_for(device, precision):
        found = sliding_window_inference(
            image.to(device),
            windows.shape,
            windows.batch_size,
            lambda batch: model.network(precision.place(batch)).float().softmax(1),
            overlap=windows.overlap,
            mode=windows.blending,
        )
        assert isinstance(found, torch.Tensor)
        data: np.ndarray = found.mul(255).round_().to(torch.uint8).cpu()[0].numpy()
    return data


def memory(sizes_gb: list[float], tile: list[int], of_windows: bool = False) -> None:
    """Row 3: each prediction in a process of its own."""
    peaks = []
    network = TINY_OF_WINDOWS if of_windows else TINY
    print(f"\nLargest resident memory of a prediction, tiny network {network}, tile {by(tile)}")
    for size in sizes_gb:
        command = [sys.executable, __file__, "--predict-gb", str(size), "--memory-tile", *map(str, tile)]
        command += ["--windows"] if of_windows else []
        answer = subprocess.run(command, check=True, capture_output=True, text=True).stdout
        peak, taken, shape = answer.split()[-3:]
        peaks.append(float(peak))
        print(f"{size:6g} GB ({shape} uint8): {peaks[-1]:8.1f} MiB, {float(taken):.0f} s", flush=True)
    print_bar(f"{sizes_gb[1]:g} GB / {sizes_gb[0]:g} GB", peaks[1] / peaks[0], at_most=1.1)


def print_own_peak(size_gb: float, tile: Shape, of_windows: bool) -> None:
    """Predict a volume of zeros of this many bytes; print the process's peak memory (MiB), seconds and the shape."""

    side = round((size_gb * 1e9 / 256) ** 0.5 / 64) * 64
    shape = (256, side, side)
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place)
        with h5py.File(folder / "raw.h5", "w") as file:
            file.create_dataset("main", shape, np.uint8, chunks=(32, 128, 128))
        make_model(TrainPlan(recipe="tiny", network=TINY_OF_WINDOWS if of_windows else TINY), folder / "model")
        started = time.monotonic()
        predict_file(folder / "raw.h5", folder / "model", folder / "out.zarr", tile)
        taken = time.monotonic() - started
    print(peak_mib(), taken, by(shape))


def against_whole() -> None:
    """Tiled = whole: the largest difference of a probability, in float32."""
    shape, tile = (24, 112, 128), (16, 64, 64)
    raw = synthetic_raw(shape)
    print(f"\nTiles of {by(tile)} against one piece of {by(shape)}, float32")
    for recipe in ("fast", "accurate", "instant"):
        network = prepared_network(load_recipe(recipe))
        limits = network.limits()
        found = []
        for tile_shape in (shape, tile):
            inferer = Inferer(network, limits, torch.device("cpu"), Precision())
            sink = ArraySink(shape, np.float32)
            predictor = TiledPredictor(inferer, NORMALISATION, tile_shape)
            predictor.predict(SingleImage(MemoryVolume(raw, SPACE)), sink, Box.of_shape(shape), Quiet())
            found.append(sink.array)
        spread = float(median(found[0].std(axis=(1, 2, 3))))
        name = f"{recipe} (probabilities deviate by {spread:.3f} within a class)"
        print_bar(f"largest difference, {name}", float(np.abs(found[0] - found[1]).max()), at_most=1e-3)


def prepared_network(plan: TrainPlan) -> Network:
    """Random weights, with the statistics of batch norms and features that a training would have left."""
    torch.manual_seed(0)
    network = build_network(plan.network, len(CLASSES), SPACE)
    patch = torch.from_numpy(NORMALISATION.apply(synthetic_raw((32, 64, 64))[None]))[None]
    bank = network.feature_bank
    if plan.network.learns_from == "voxels" and bank is not None:
        with torch.no_grad():
            found = bank.eval().features(patch)
            bank.fit_normalisation(found.flatten(2)[0].T)
        return network
    for module in network.modules():
        if isinstance(module, torch.nn.modules.batchnorm._BatchNorm):
            module.momentum = None  # plain means, so that one pass suffices
    network.train()
    with torch.no_grad():
        network(patch)
    return network.eval()


def make_model(plan: TrainPlan, folder: Path) -> None:
    """A model folder as a training would leave it."""
    network = prepared_network(plan)
    info = ModelInfo(
        id=folder.name,
        name=folder.name,
        recipe=plan.recipe,
        classes=CLASSES,
        voxel_size_nm=SPACE.voxel_size_nm,
        limits=network.limits() if plan.network.tiles() == "exact" else None,
        window_shape=None if plan.network.tiles() == "exact" else plan.network.patch_shape(SPACE),
        plan=plan,
    )
    weights = {name: tensor.contiguous() for name, tensor in network.state_dict().items()}
    write_model_folder(folder, info, NORMALISATION, lambda path: save_weights(path, weights))


def predict_file(raw: Path, model: Path, output: Path, tile: Shape | None) -> None:
    """The job that the command line and the window run."""
    job = PredictJob(
        image=open_volume(raw).spec,
        voxel_size_nm=SPACE.voxel_size_nm,
        model=model,
        output=output,
        plan=PredictPlan(tile_shape=tile, windows=WindowSettings(overlap=0.25) if tile else WindowSettings()),
    )
    job.run(Quiet())


def synthetic_raw(shape: Shape) -> np.ndarray:
    """Noise that compresses as badly as electron microscopy does."""
    rng = np.random.default_rng(0)
    coarse = rng.normal(128, 40, [-(-n // 8) for n in shape])
    smooth = coarse.repeat(8, 0).repeat(8, 1).repeat(8, 2)[: shape[0], : shape[1], : shape[2]]
    return np.clip(smooth + rng.normal(0, 14, shape), 0, 255).astype(np.uint8)


def by(shape: object) -> str:
    return "x".join(str(int(n)) for n in shape)  # type: ignore[attr-defined]


if __name__ == "__main__":
    main()
