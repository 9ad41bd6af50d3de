from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import h5py
import pytest
from qtpy.QtWidgets import QPushButton

from napari_pytc.errors import PytcError
from napari_pytc.geometry import Box
from napari_pytc.jobs.events import Failed
from napari_pytc.jobs.job import Job, Sink
from napari_pytc.jobs.spec import JobSpec
from napari_pytc.plans.recipes import load_recipe
from napari_pytc.proofreading.constraints.edit_constraints import EditConstraints
from napari_pytc.proofreading.constraints.edit_transfer import TransferredEdit, TransferReport
from napari_pytc.session.project.recent import RecentProjects
from napari_pytc.session.session import Session
from napari_pytc.ui.controllers import Controllers
from napari_pytc.ui.panels.proofread.panel import ProofreadPanel
from napari_pytc.ui.workspace import Workspace
from tests.session.retraining_bench import WORSE, StandIn, prepare, proofread
from tests.support.tissue import make_tissue
from tests.support.viewers import FakeViewer
from tests.support.workspace_bench import ManualRunner

pytestmark = pytest.mark.slow

SHAPE = (12, 48, 40)


class Worker(ManualRunner):
    """Makes what a worker would make, but for the kind of job that is held."""

    def __init__(self, stand_in: StandIn, hold: str = "") -> None:
        super().__init__()
        self.stand_in, self.hold = stand_in, hold

    def start(self, spec: JobSpec, sink: Sink) -> Job:
        job = super().start(spec, sink)
        if spec.kind != self.hold:
            self.stand_in.start(spec, lambda event: job.emit(event.model_copy(update={"job": job.id})))
        return job


class Bench:
    """A user who retrains."""

    def __init__(self, bot: Any, folder: Path, proofreads: bool = True) -> None:
        self.bot, self.path = bot, folder / "cells.pytc"
        self.tissue = make_tissue(SHAPE, anisotropy=4.0)
        with h5py.File(folder / "cells.h5", "w") as file:
            file.create_dataset("main", data=self.tissue.raw)
        size = self.tissue.space.voxel_size_nm
        with Session.create(self.path, folder / "cells.h5", ["membrane", "inside"], voxel_size_nm=size) as session:
            self.former = prepare(session, self.tissue)
            if proofreads:
                proofread(session)
        self.worker = Worker(StandIn(self.tissue))
        self.viewer = FakeViewer()
        self.workspace = Workspace(self.viewer, lambda: self.worker, RecentProjects(folder / "recent.json"))
        self.errors: list[PytcError] = []
        self.workspace.failed.connect(self.errors.append)
        self.controllers = Controllers(self.workspace)
        self.panel = ProofreadPanel(self.workspace, self.controllers.actions, self.controllers.retraining)
        self.box, self.retraining = self.panel.retraining, self.controllers.retraining
        bot.addWidget(self.panel)
        self.panel.resize(360, 1100)
        self.panel.show()
        self.open()

    def open(self) -> None:
        self.workspace.open_project(self.path)
        self.until(lambda: self.workspace.segments.document is not None and self.controllers.actions.history.entries)

    def until(self, happened: Any) -> None:
        self.bot.waitUntil(lambda: bool(happened()))

    def press(self, name: str) -> None:
        button = self.panel.findChild(QPushButton, name)
        assert button is not None
        assert button.isVisible(), name
        assert button.isEnabled(), button.toolTip()
        button.click()

    def picture(self, name: str) -> None:
        """Of the panel, for whoever wants to look at it."""
        if folder := os.environ.get("PYTC_PICTURES"):
            self.bot.wait(50)
            self.panel.sections["Learn from edits"].grab().save(f"{folder}/retraining-{name}.png")

    @property
    def shown(self) -> list[str]:
        """The buttons that can be seen."""
        return [b.text() for b in self.box.findChildren(QPushButton) if b.isVisible()]

    @property
    def current(self) -> str | None:
        session = self.workspace.session
        assert session is not None
        return session.proofreader.segmentation


@pytest.fixture
def bench(qtbot: Any, tmp_path: Path) -> Iterator[Bench]:
    bench = Bench(qtbot, tmp_path)
    yield bench
    bench.workspace.shutdown()


@pytest.mark.slow
def test_from_a_button_to_new_segments(bench: Bench) -> None:
    bench.until(lambda: bench.box.begin.isEnabled())
    assert bench.box.text.text() == "Learns from 1 merge, 1 locked segment, 1 deleted segment."
    assert bench.shown == ["Retrain from corrections"]
    bench.picture("idle")
    bench.press("beginRetraining")
    assert bench.retraining.phase == "running"
    assert bench.shown == ["Stop"]
    bench.until(lambda: bench.retraining.phase == "over")
    assert [spec.kind for spec in bench.worker.specs] == ["train", "predict", "compare", "segment"]
    assert bench.box.text.text().startswith("Done. ")
    assert "Before retraining" in bench.box.text.text()
    assert bench.current != bench.former
    bench.until(
        lambda: bench.controllers.editor.document is not None and bench.controllers.editor.document.id == bench.current
    )
    assert not bench.errors
    bench.picture("over")


@pytest.mark.slow
@pytest.mark.parametrize("step", ["train", "predict", "compare", "segment"])
def test_a_stopped_retraining_is_resumed_or_discarded(bench: Bench, step: str) -> None:
    bench.worker.hold = step
    bench.until(lambda: bench.box.begin.isEnabled())
    bench.press("beginRetraining")
    bench.until(
        lambda: bench.retraining.task is not None and bench.retraining.task.step == step and bench.worker.unfinished()
    )
    assert f"of 7: {bench.retraining.task.title}" in bench.box.text.text()  # type: ignore[union-attr]
    bench.picture(f"running-{step}")
    bench.press("stopRetraining")
    bench.until(lambda: bench.retraining.phase == "stopped")
    assert bench.shown == ["Go on", "Discard"]
    assert bench.current == bench.former
    bench.picture("stopped")
    bench.press("goOnRetraining")
    bench.until(lambda: bench.worker.unfinished())
    bench.press("stopRetraining")
    bench.until(lambda: bench.retraining.phase == "stopped")
    bench.press("discardRetraining")
    assert bench.retraining.phase == "idle"
    assert bench.current == bench.former
    session = bench.workspace.session
    assert session is not None
    assert session.retraining.find() is None
    assert [model.id for model in session.models.records()] == ["m1"]
    assert len(session.segmentations.records()) == 1
    assert not bench.errors


@pytest.mark.slow
def test_what_was_begun_is_found_when_the_project_is_opened(bench: Bench) -> None:
    bench.worker.hold = "predict"
    bench.until(lambda: bench.box.begin.isEnabled())
    bench.press("beginRetraining")
    bench.until(lambda: bench.worker.unfinished())
    bench.workspace.close_project()
    assert bench.retraining.phase == "idle"
    bench.worker.hold = ""
    bench.open()
    assert bench.retraining.phase == "stopped"
    bench.press("goOnRetraining")
    bench.until(lambda: bench.retraining.phase == "over")
    assert bench.current != bench.former


@pytest.mark.slow
def test_a_worse_model_is_reported_and_may_be_used(bench: Bench) -> None:
    bench.worker.stand_in.scores = WORSE
    bench.until(lambda: bench.box.begin.isEnabled())
    bench.press("beginRetraining")
    bench.until(lambda: bench.retraining.phase == "asking")
    assert "Worse than m1" in bench.box.text.text()
    assert bench.shown == ["Use it all the same", "Keep the present model"]
    assert bench.current == bench.former
    bench.picture("asking")
    bench.press("insistRetraining")
    bench.until(lambda: bench.retraining.phase == "over")
    assert bench.current != bench.former


def test_a_worse_model_is_dropped(bench: Bench) -> None:
    bench.worker.stand_in.scores = WORSE
    bench.until(lambda: bench.box.begin.isEnabled())
    bench.press("beginRetraining")
    bench.until(lambda: bench.retraining.phase == "asking")
    bench.press("discardRetraining")
    session = bench.workspace.session
    assert session is not None
    assert [model.id for model in session.models.records()] == ["m1"]
    assert bench.shown == ["Retrain from corrections"]


@pytest.mark.slow
def test_a_failed_step_says_why_and_can_be_tried_again(bench: Bench) -> None:
    bench.worker.hold = "train"
    bench.until(lambda: bench.box.begin.isEnabled())
    bench.press("beginRetraining")
    bench.until(lambda: bench.worker.unfinished())
    bench.worker.tell(Failed, message="The worker died.", hint="Try again.")
    bench.until(lambda: bench.retraining.phase == "stopped")
    assert bench.box.notice.text == "The worker died."
    bench.picture("failed")
    bench.worker.hold = ""
    bench.press("goOnRetraining")
    bench.until(lambda: bench.retraining.phase == "over")
    assert not bench.box.notice.isVisible()


def test_edits_that_no_longer_apply_are_listed_and_flown_to(bench: Bench) -> None:
    document = bench.controllers.editor.document
    assert document is not None
    constraints = EditConstraints(entry=4, kind="merge", title="Merge 12 into 7", place=(3, 20, 30))
    lost = TransferredEdit(constraints=constraints, outcome="lost", reason="They are two segments now.")
    other = TransferredEdit(
        constraints=constraints.model_copy(update={"title": "Lock 31"}),
        outcome="lost",
        reason="Its outline is another one now: look at it, and lock it again.",
    )
    TransferReport(former="before", edits=(lost, other)).save(document.segmentation.folder)
    assert not bench.box.lost.isVisible()
    bench.workspace.close_project()
    bench.open()
    bench.until(lambda: bench.box.lost.isVisible())
    assert "2 edits no longer apply" in bench.box.lost_text.text()
    item = bench.box.lost.item(0)
    assert item is not None
    assert item.text() == "Merge 12 into 7: They are two segments now."
    bench.picture("lost")
    bench.box.lost.itemClicked.emit(item)
    place, box = bench.viewer.flights[-1]
    assert tuple(place) == (3, 20, 30)
    assert Box.of_shape(SHAPE).contains(box)


def test_without_edits_it_says_what_to_do(qtbot: Any, tmp_path: Path) -> None:
    bench = Bench(qtbot, tmp_path, proofreads=False)
    assert not bench.box.begin.isEnabled()
    assert "nothing was edited yet" in bench.box.begin.toolTip()
    assert "Every edit is training data" in bench.box.text.text()
    bench.picture("nothing")
    bench.workspace.shutdown()


def test_a_model_that_cannot_learn_from_edits_is_reported(bench: Bench) -> None:
    import shutil

    from tests.session.models import make_model

    shutil.rmtree(bench.path / "models" / "m1")
    make_model(bench.path / "models" / "m1", plan=load_recipe("instant"))
    bench.until(lambda: bench.box.begin.isEnabled())
    bench.press("beginRetraining")
    assert "painted voxels alone" in bench.box.notice.text
    assert bench.retraining.phase == "idle"
    bench.picture("classes")


def test_closing_the_window_in_the_middle_is_safe(bench: Bench) -> None:
    bench.worker.hold = "segment"
    bench.until(lambda: bench.box.begin.isEnabled())
    bench.press("beginRetraining")
    bench.until(lambda: bench.worker.unfinished())
    bench.workspace.shutdown()
    with Session.open(bench.path) as session:
        found = session.retraining.find()
        assert found is not None
        assert found.state.step == "segment"
        assert session.proofreader.segmentation == bench.former
