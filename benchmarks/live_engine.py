"""How long live learning's engine takes from a stroke to the tiles of a 512 x 512 view, without a window or a process.

Run ``python benchmarks/live_engine.py [--strokes 10] [--only vnc]``. Two engines with the same strokes take turns,
stroke by stroke: one keeps the features of all four sections that are looked at in turn, the other has room for those
of one. Processor time is printed beside the clock's, because other programs add to the latter. The network is off: what
it takes depends on where its step is when the stroke comes, and is measured in live.py.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
from simulated_annotator import Dataset, datasets

sys.path.insert(0, str(Path(__file__).parents[1]))

from tests.support.contexts import RecordingContext

from napari_pytc.annotations.paint_store import PaintStore
from napari_pytc.geometry import Box
from napari_pytc.learning.live.engine import LiveEngine
from napari_pytc.plans.live_messages import view_message
from napari_pytc.plans.live_plan import LivePlan
from napari_pytc.plans.live_spec import LiveJob
from napari_pytc.plans.specs import ModelOutput, VolumeInputs
from napari_pytc.volumes.image import SingleImage
from napari_pytc.volumes.memory import MemoryVolume
from napari_pytc.volumes.zarr_output import create_ome_zarr

SIDE, N_SECTIONS = 512, 4
BAR_S, GOAL_S = 1.0, 0.5
VARIANTS = {"features kept": 1024, "features of one section kept": 16}


class Desk(RecordingContext):
    """Somebody at an engine: looks at a section after every stroke, and is told when all of it was predicted."""

    def __init__(self, folder: Path, data: Dataset, cache_mb: int) -> None:
        super().__init__()
        shape = data.raw.shape
        image = create_ome_zarr(folder / "raw.zarr", shape, data.raw.dtype, data.space)
        image.write(Box.of_shape(shape), data.raw)
        self.store = PaintStore.create(folder / "annotations.zarr", shape, data.space)
        job = LiveJob(
            inputs=VolumeInputs(volume=image.spec, space=data.space, annotations=self.store.folder),
            classes=data.classes,
            plan=LivePlan(instant_only=True, feature_cache_mb=cache_mb),
            prediction=folder / "live" / "prediction.zarr",
            output=ModelOutput(model_folder=folder / "models" / "live", run_folder=folder / "live" / "run"),
        )
        self.engine = LiveEngine(job, SingleImage(MemoryVolume(data.raw, data.space)), self.store, self)

    def look(self, section: int, generation: int) -> None:
        """Let the engine learn what is on the disk and predict a section; returns when all of it is there."""
        view = Box((section, 0, 0), (section + 1, *self.store.shape[1:]))
        self.inbox.append(view_message(view, generation))
        while not any(name == "generation" and value == generation for name, _, value in self.metrics[-3:]):
            self.engine.turn()
        self.metrics.clear()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--strokes", type=int, default=10, help="Strokes in each section.")
    parser.add_argument("--only", help="Name of one dataset.")
    options = parser.parse_args()
    for data in datasets():
        if options.only in (None, data.name):
            measure(_as_wide(data), options.strokes)


def measure(data: Dataset, n_strokes: int) -> None:
    """Print seconds from a stroke on the disk to the view's last tile."""
    print(f"{data.name}: {' x '.join(map(str, data.raw.shape))} voxels")
    with tempfile.TemporaryDirectory() as folder:
        desks = {name: Desk(_made(Path(folder) / str(mb)), data, mb) for name, mb in VARIANTS.items()}
        taken: dict[str, list[tuple[float, float]]] = {name: [] for name in desks}
        sections = np.linspace(0, data.raw.shape[0] - 1, N_SECTIONS).astype(int).tolist()
        strokes = _strokes(data, sections)
        for desk in desks.values():
            for _ in range(8 * len(data.classes)):
                desk.store.paint(*next(strokes))
            for number, section in enumerate(sections):
                desk.look(section, number)
        for turn in range(n_strokes * N_SECTIONS):
            stroke = next(strokes)
            for name, desk in desks.items():
                desk.store.paint(*stroke)
                wall, cpu = time.perf_counter(), time.process_time()
                desk.look(sections[turn % N_SECTIONS], N_SECTIONS + turn)
                taken[name].append((time.perf_counter() - wall, time.process_time() - cpu))
        for desk in desks.values():
            desk.engine.close()
    for name, pairs in taken.items():
        walls, cpus = np.array(pairs).T
        print(
            f"  {name:29} clock {np.median(walls):.2f} s (best {walls.min():.2f}, p95 {np.quantile(walls, 0.95):.2f}), "
            f"processor {np.median(cpus):.2f} s (best {cpus.min():.2f})"
        )
    with_cache, without = (np.median(np.array(taken[name])[:, 1]) for name in VARIANTS)
    best = float(np.median(np.array(taken["features kept"])[:, 0]))
    print(f"  ratio of processor times, not kept to kept: {without / with_cache:.2f}")
    verdict = "goal met" if best <= GOAL_S else "bar met" if best <= BAR_S else "bar missed"
    print(f"  median of the clock {best:.2f} s, bar {BAR_S} s, goal {GOAL_S} s: {verdict}")


def _as_wide(data: Dataset) -> Dataset:
    """The dataset with sections of 512 x 512, mirrored where they are smaller."""
    widths = [(0, 0), *((0, max(0, SIDE - n)) for n in data.raw.shape[1:])]
    raw, truth = (np.pad(array, widths, "symmetric")[:, :SIDE, :SIDE] for array in (data.raw, data.truth))
    return replace(data, raw=raw, truth=truth)


def _strokes(data: Dataset, sections: list[int]) -> Iterator[tuple[Box, np.ndarray]]:
    """Strokes of 5 x 40 voxels without those of another class, in one section after another."""
    rng = np.random.default_rng(0)
    turn = 0
    while True:
        section, k = sections[turn % len(sections)], 1 + int(rng.integers(len(data.classes)))
        turn += 1
        places = np.argwhere(data.truth[section, 4:-4, 24:-24] == k)
        if not len(places):
            continue
        y, x = places[rng.integers(len(places))] + (4, 24)
        box = Box((section, int(y) - 2, int(x) - 20), (section + 1, int(y) + 3, int(x) + 20))
        labels = data.truth[box.slices]
        yield box, np.where(labels == k, k, 0).astype(np.uint8)


def _made(folder: Path) -> Path:
    folder.mkdir()
    return folder


if __name__ == "__main__":
    main()
