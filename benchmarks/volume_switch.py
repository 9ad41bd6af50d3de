"""How long another volume of a project takes to come into view.

Run ``python benchmarks/volume_switch.py [--switches 40] [--gigabytes 1]`` with a display (``xvfb-run -a`` where there
is none).

A project with two volumes of a gigabyte each, in files of which the system has a part in memory. Both have strokes.
Time is taken from the key to the moment when the section of the other volume is on the canvas, all of it read, and the
panels show that volume. Beside it stands the processor time of the window's thread, which other programs on the machine
do not change, and the longest time in which the window did not react.
"""

from __future__ import annotations

import argparse
import json
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from statistics import median
from typing import Any

import h5py
import numpy as np
from event_loop import wait, wait_until
from qtpy.QtWidgets import QApplication

BAR_S = 0.5
VOXEL_SIZES = ((40.0, 8.0, 8.0), (30.0, 6.0, 6.0))


def make_image(path: Path, n_sections: int, seed: int) -> None:
    """Sections of 2048 x 2048 voxels of noise, which no compression makes small."""
    rng = np.random.default_rng(seed)
    with h5py.File(path, "w") as file:
        data = file.create_dataset("raw", (n_sections, 2048, 2048), np.uint8, chunks=(8, 256, 256))
        block = rng.integers(0, 255, (8, 2048, 2048), dtype=np.uint8)
        for z in range(0, n_sections, 8):
            data[z : z + 8] = np.roll(block, 17 * z + 1, axis=2)[: min(8, n_sections - z)]


@contextmanager
def project(gigabytes: float) -> Iterator[Any]:
    """A window with a project of two volumes."""
    import napari

    from napari_pytc.session.session import Session
    from napari_pytc.session.volumes.building import NewVolume
    from napari_pytc.ui.plugin import show_workspace
    from napari_pytc.volumes.spec import ReadOptions

    n_sections = max(8, round(gigabytes * 2**30 / 2048**2))
    with tempfile.TemporaryDirectory() as place:
        paths = [Path(place) / f"{name}.h5" for name in ("first", "second")]
        for seed, path in enumerate(paths):
            make_image(path, n_sections, seed)
        folder = Path(place) / "two.pytc"
        with Session.create(folder, paths[0], ["membrane", "inside"], VOXEL_SIZES[0]) as session:
            session.volumes.add(NewVolume(paths[1], options=ReadOptions(voxel_size_nm=VOXEL_SIZES[1])))
        viewer = napari.Viewer()
        widget = show_workspace(viewer)
        wait_until(lambda: widget.is_furnished)
        workspace = widget.workspace
        workspace.open_project(folder)
        wait_until(lambda: workspace.layers is not None)
        wait(2.0)
        yield workspace
        viewer.close()


def is_in_view(workspace: Any) -> bool:
    """Whether all of the section is read and shown."""
    layer = workspace.layers.image
    section = workspace.viewer.viewer.dims.current_step[0]
    return bool((np.asarray(layer._slice.image.raw) == np.asarray(layer.data[section, :, :])).mean() > 0.99)


def measure(workspace: Any, n_switches: int) -> list[dict[str, float]]:
    """Seconds of each switch, of the window's thread, and of its longest gap."""
    viewer, found = workspace.viewer.viewer, []
    ids = [record.id for record in workspace.volumes.records]
    for number in range(n_switches + 2):
        before = workspace.volumes.current
        other = ids[1 - ids.index(before)]
        for row in (100, 400):
            workspace.layers.strokes.data[viewer.dims.current_step[0], row : row + 9, 100:300] = 1 + number % 2
        wait(0.8)  # as somebody looks at it
        began, processor, last, gap = time.perf_counter(), time.thread_time(), time.perf_counter(), 0.0
        workspace.volumes.show_next()
        shown = None
        while shown is None:
            QApplication.processEvents()
            now = time.perf_counter()
            gap, last = max(gap, now - last), now
            if workspace.volumes.current == other and is_in_view(workspace):
                shown = now - began
            else:
                time.sleep(0.001)
            last = max(last, time.perf_counter() - 0.001)
        found.append({"shown": shown, "processor": time.thread_time() - processor, "gap": gap})
        step = (number * 7) % max(1, viewer.dims.nsteps[0])
        viewer.dims.set_current_step(0, step)
        wait(0.5)
    return found[2:]  # the first ones import and allocate


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--switches", type=int, default=40)
    parser.add_argument("--gigabytes", type=float, default=1.0)
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    with project(options.gigabytes) as workspace:
        found = measure(workspace, options.switches)
    result = {
        f"{name}_{what}_s": round(value, 3)
        for name in ("shown", "processor", "gap")
        for what, value in (
            ("median", median(one[name] for one in found)),
            ("p95", float(np.percentile([one[name] for one in found], 95))),
            ("largest", max(one[name] for one in found)),
        )
    }
    if options.json:
        print(json.dumps(result))
        return
    print(f"two volumes of {options.gigabytes:g} GB, {options.switches} switches")
    for name, about in (
        ("shown", "key to the section in view"),
        ("processor", "processor time of the window's thread"),
        ("gap", "longest time without a reaction"),
    ):
        values = ", ".join(f"{what} {result[f'{name}_{what}_s']:.3f} s" for what in ("median", "p95", "largest"))
        bar = f"; bar: p95 at most {BAR_S} s" if name == "shown" else ""
        print(f"{about}: {values}{bar}")


if __name__ == "__main__":
    main()
