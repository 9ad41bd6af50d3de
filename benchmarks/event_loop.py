"""How smooth the window stays: gaps of napari's event loop while sections are scrolled.

Run ``python benchmarks/event_loop.py [--rounds 3] [--seconds 5]`` with a display (``xvfb-run -a`` where there is none).

idle        nothing else runs
training    the worker process trains the `fast` recipe
predicting  the worker process predicts, and what is new is shown
thread      the same training in a thread of the window's own process, with as many torch threads as the worker has

A timer asks for a turn every millisecond; a gap is the time between two of its turns. Every 100 ms another section is
shown and drawn, so a slice that takes long counts as well. Also: what importing the plugin costs.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from napari_pytc.jobs.spec import JobSpec
    from napari_pytc.ui.workspace import Workspace

SCROLL_MS = 100
WARM_UP_S = 1.0
REPEATED = (2, 4, 4)
_IMPORT = """
import sys, time
import napari, napari.viewer, qtpy.QtWidgets, pydantic, psygnal
napari.Viewer
begin = time.perf_counter()
import napari_pytc.ui.plugin
print(1000 * (time.perf_counter() - begin), "torch" in sys.modules)
"""


class Gaps:
    """Times between turns of the event loop, in ms."""

    def __init__(self, viewer: object) -> None:
        from qtpy.QtCore import Qt, QTimer

        self._viewer = viewer
        self._turns: list[float] = []
        self._turn = QTimer(interval=1, timerType=Qt.TimerType.PreciseTimer)
        self._turn.timeout.connect(lambda: self._turns.append(time.perf_counter()))
        self._scroll = QTimer(interval=SCROLL_MS, timerType=Qt.TimerType.PreciseTimer)
        self._scroll.timeout.connect(self._next_section)
        self._way = 1

    def measure(self, seconds: float) -> np.ndarray:
        """Scroll for a while."""
        self._scroll.start()
        wait(WARM_UP_S)
        self._turns.clear()
        self._turn.start()
        wait(seconds)
        self._turn.stop()
        self._scroll.stop()
        return np.diff(self._turns) * 1000

    def _next_section(self) -> None:
        dims = self._viewer.dims  # type: ignore[attr-defined]
        step, last = dims.current_step[0], dims.nsteps[0] - 1
        if not 0 <= step + self._way <= last:
            self._way = -self._way
        dims.set_current_step(0, step + self._way)


def wait(seconds: float) -> None:
    """Let the event loop run."""
    from qtpy.QtCore import QEventLoop, QTimer

    loop = QEventLoop()
    QTimer.singleShot(round(seconds * 1000), loop.quit)
    loop.exec()


def wait_until(condition: Callable[[], bool], timeout_s: float = 180) -> None:
    """Let the event loop run until something is so."""
    end = time.monotonic() + timeout_s
    while not condition():
        if time.monotonic() > end:
            raise TimeoutError("What was waited for did not come.")
        wait(0.05)


@contextmanager
def in_the_worker(workspace: Workspace, start: Callable[[], None]) -> Iterator[None]:
    """A job of the worker process, past its preparations; started again where it ends early."""
    from napari_pytc.ui.tasks.job_board import JobModel

    def again(job: JobModel) -> None:
        if job.message:
            raise RuntimeError(f"{job.title}: {job.message}")
        start()

    start()
    wait_until(lambda: any(job.total > 1 and "loading" not in job.note for job in workspace.jobs.running))
    workspace.jobs.ended.connect(again)
    yield
    workspace.jobs.ended.disconnect(again)
    for job in workspace.jobs.running:
        job.cancel()
    wait_until(lambda: not workspace.jobs.running)


@contextmanager
def in_a_thread(spec: JobSpec) -> Iterator[None]:
    """The job in a thread of this process."""
    from napari_pytc.jobs.events import JobEvent, Progressed
    from napari_pytc.jobs.runners.inline import InlineRunner

    runner, steps = InlineRunner(), []

    def sink(event: JobEvent) -> None:
        if isinstance(event, Progressed) and event.done:
            steps.append(event.done)

    thread = threading.Thread(target=runner.start, args=(spec, sink))
    thread.start()
    wait_until(lambda: len(steps) > 3)
    yield
    runner.close()
    wait_until(lambda: not thread.is_alive())
    thread.join()


def open_volume_of_tissue(folder: Path) -> tuple[object, Workspace]:
    """A window with the sample many times side by side, one of them painted: large enough to predict for a while."""
    import napari

    from napari_pytc.geometry import Box
    from napari_pytc.samples import sample_path
    from napari_pytc.session.opening import NewProject
    from napari_pytc.session.records import ClassSpec
    from napari_pytc.ui.plugin import show_workspace
    from napari_pytc.volumes.opening import open_volume
    from napari_pytc.volumes.spec import ReadOptions

    sample = open_volume(f"{sample_path('medulla')}:raw")
    raw = np.tile(sample.read(Box.of_shape(sample.shape)), REPEATED)
    viewer = napari.Viewer()
    workspace = show_workspace(viewer).workspace
    classes = (ClassSpec(name="membrane"), ClassSpec(name="inside"))
    options = ReadOptions(voxel_size_nm=sample.space.voxel_size_nm)
    workspace.create_project(NewProject(folder / "tissue.pytc", None, classes, options, array=raw))
    wait_until(lambda: workspace.session is not None and workspace.worker.is_warm)
    assert workspace.session is not None
    workspace.session.strokes.add(open_volume(f"{sample_path('medulla')}:strokes"))
    return viewer, workspace


def train_to_predict(workspace: Workspace) -> None:
    """One instant model, so that there is something to predict with."""
    workspace.launcher.train_now()
    wait_until(lambda: bool(workspace.jobs.jobs) and not workspace.jobs.running)
    job = workspace.jobs.jobs[-1]
    if job.message:
        raise RuntimeError(job.message)


def table(found: dict[str, np.ndarray]) -> None:
    """Gaps of all rounds together, and their ratios to the idle window."""
    idle = np.percentile(found["idle"], 99)
    print(f"\n{'':12}{'turns':>8}{'median ms':>11}{'p99 ms':>9}{'longest ms':>12}{'p99 / idle':>12}")
    for name, gaps in found.items():
        high = np.percentile(gaps, 99)
        print(f"{name:12}{len(gaps):8}{np.median(gaps):11.2f}{high:9.2f}{gaps.max():12.1f}{high / idle:12.2f}")
    for name in ("training", "predicting"):
        ratio, longest = np.percentile(found[name], 99) / idle, found[name].max()
        met = "met" if ratio <= 1.5 and longest <= 250 else "MISSED"
        print(f"  {name}: p99 {ratio:.2f} times idle (bar 1.5), longest {longest:.0f} ms (bar 250): {met}")


def imports(n_rounds: int) -> None:
    """Milliseconds of importing the plugin where napari is there already."""
    taken, with_torch = [], []
    for _ in range(n_rounds):
        command = [sys.executable, "-c", _IMPORT]
        answer = subprocess.run(command, check=True, capture_output=True, text=True).stdout.split()
        taken.append(float(answer[-2]))
        with_torch.append(answer[-1] == "True")
    met = "met" if np.median(taken) <= 100 and not any(with_torch) else "MISSED"
    print(
        f"\nimport napari_pytc.ui.plugin: median {np.median(taken):.0f} ms, best {min(taken):.0f} ms, torch imported: "
        f"{'yes' if any(with_torch) else 'no'}; bar 100 ms and no torch: {met}"
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--seconds", type=float, default=5.0, help="Of each variant in each round.")
    options = parser.parse_args()
    from napari_pytc.jobs.runners.worker_process import usable_cores

    os.environ["OMP_NUM_THREADS"] = str(max(1, usable_cores() - 1))  # for the thread: what the worker has
    imports(2 * options.rounds + 1)
    with tempfile.TemporaryDirectory() as place:
        viewer, workspace = open_volume_of_tissue(Path(place))
        train_to_predict(workspace)
        from napari_pytc.plans.recipes import load_recipe

        plan = load_recipe("fast", ["steps=1000000", "minutes=null"])
        gaps, found = Gaps(viewer), {}

        def measure(name: str) -> None:
            part = gaps.measure(options.seconds)
            found[name] = np.concatenate([found.get(name, np.empty(0)), part])

        for _ in range(options.rounds):
            measure("idle")
            with in_the_worker(workspace, lambda: workspace.launcher.train(plan)):
                measure("training")
            with in_the_worker(workspace, lambda: predict_anew(workspace)):
                measure("predicting")
        assert "torch" not in sys.modules, "the window's process has imported torch"
        assert workspace.session is not None
        for _ in range(options.rounds):
            measure("idle")
            with in_a_thread(workspace.session.jobs.train_job(plan, resume=False)):
                measure("thread")
        table(found)
        viewer.close()  # type: ignore[attr-defined]


def predict_anew(workspace: Workspace) -> None:
    """The whole volume, of which nothing is done yet."""
    assert workspace.session is not None
    for record in workspace.session.predictions.records():
        workspace.session.predictions.delete(record.id)
    workspace.launcher.predict("all")


if __name__ == "__main__":
    main()
