"""How long a user waits at the beginning: opening the workspace, and from the first strokes to the first prediction.

Run ``python benchmarks/startup.py [--rounds 3]`` with a display (``xvfb-run -a`` where there is none).

Every round is a process of its own: a napari window, the workspace's dock widget, the sample's project, one stroke of
each class, then `instant` trained and the view predicted, as a user would who presses the two keys at once. Both with
the worker still loading its libraries when the strokes are there, and with it ready.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from statistics import median

from event_loop import wait, wait_until

NAMES = {
    "window": "napari's own window",
    "workspace": "workspace opened (Qt thread)",
    "project": "sample's project open, layers shown",
    "cold": "strokes to prediction in view, worker loading",
    "warm": "strokes to prediction in view, worker ready",
}
BARS = {"workspace": 0.5}


def measure() -> dict[str, float]:
    """One start, in seconds."""
    import napari

    found, begin = {}, time.perf_counter()

    def lap(name: str, since: float) -> float:
        found[name] = time.perf_counter() - since
        return time.perf_counter()

    viewer = napari.Viewer()
    wait(0.5)
    lap("window", begin + 0.5)
    from napari_pytc.ui.panels.data.sample_project import open_sample_in
    from napari_pytc.ui.plugin import show_workspace

    hired = time.perf_counter()
    workspace = show_workspace(viewer).workspace
    now = lap("workspace", hired)
    with tempfile.TemporaryDirectory() as place:
        open_sample_in(workspace, Path(place))
        wait_until(lambda: workspace.layers is not None)
        lap("project", now)
        found["cold"] = strokes_to_prediction(workspace, viewer, 0)
        wait_until(lambda: workspace.worker.is_warm)
        found["warm"] = strokes_to_prediction(workspace, viewer, 8)
        viewer.close()
    return found


def strokes_to_prediction(workspace: object, viewer: object, shift: int) -> float:
    """Seconds from painting a stroke of each class to new voxels on the canvas."""
    from napari_pytc.samples import sample_path
    from napari_pytc.ui.workspace import Workspace
    from napari_pytc.volumes.opening import open_volume

    assert isinstance(workspace, Workspace)
    assert workspace.session is not None
    layer = next(layer for layer in viewer.layers if layer.name == "Strokes")  # type: ignore[attr-defined]
    strokes = open_volume(f"{sample_path('medulla')}:strokes")
    from napari_pytc.geometry import Box

    painted = strokes.read(Box.of_shape(strokes.shape))
    section = int(painted[shift : shift + 8].any(axis=(1, 2)).argmax()) + shift
    viewer.dims.set_current_step(0, section)  # type: ignore[attr-defined]
    wait(0.3)
    begin = time.perf_counter()
    for label in (1, 2):
        where = (painted[shift : shift + 8] == label).nonzero()
        layer.data_setitem((where[0] + shift, *where[1:]), label)
    n_before = len(workspace.jobs.jobs)
    workspace.launcher.train_now()
    wait_until(lambda: len(workspace.jobs.jobs) > n_before and workspace.jobs.jobs[-1].is_over)
    workspace.launcher.predict("view")
    wait_until(lambda: len(workspace.jobs.jobs) > n_before + 1 and workspace.jobs.jobs[-1].is_over)
    for job in workspace.jobs.jobs[n_before:]:
        if job.message:
            raise RuntimeError(job.message)
    wait(0.05)
    return time.perf_counter() - begin - 0.05


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--once", action="store_true", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.once:
        print(json.dumps(measure()))
        return
    rounds = []
    for n in range(options.rounds + 1):  # the first fills the disk's cache
        answer = subprocess.run([sys.executable, __file__, "--once"], check=True, capture_output=True, text=True)
        if n:
            rounds.append(json.loads(answer.stdout.splitlines()[-1]))
    print(f"\n{'':50}{'median s':>10}{'best s':>9}")
    for name, title in NAMES.items():
        taken = [one[name] for one in rounds if name in one]
        if not taken:
            continue
        bar = BARS.get(name)
        met = "" if bar is None else f"  bar {bar:g}: {'met' if median(taken) <= bar else 'MISSED'}"
        print(f"{title:50}{median(taken):10.3f}{min(taken):9.3f}{met}")


if __name__ == "__main__":
    main()
