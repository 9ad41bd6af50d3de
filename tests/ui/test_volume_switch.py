"""Volumes of a project in the window: one shown after the other, added, renamed, removed; jobs of others go on."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest

from napari_pytc.errors import ProjectError
from napari_pytc.geometry import Box, VoxelSpace
from napari_pytc.jobs.events import Finished, Produced, Started
from napari_pytc.jobs.job import JobState
from napari_pytc.session.session import Session
from napari_pytc.session.volumes.building import NewVolume
from napari_pytc.ui.canvas.viewer.layer_choice import LayerChoice
from napari_pytc.ui.canvas.viewer.port import LayerStyle
from napari_pytc.ui.panels.train.live_controller import LiveState
from napari_pytc.volumes.spec import ReadOptions
from tests.session.models import make_model
from tests.support.workspace_bench import SHAPE, WorkspaceBench

OTHER = (6, 40, 32)
SIZE = ReadOptions(voxel_size_nm=(50.0, 8.0, 8.0))


@pytest.fixture
def bench(qtbot: Any, tmp_path: Path) -> Iterator[WorkspaceBench]:
    found = WorkspaceBench(qtbot, tmp_path)
    found.open(found.make())
    yield found
    found.workspace.shutdown()


def image(bench: WorkspaceBench, name: str = "second", seed: int = 0) -> Path:
    path = bench.folder / f"{name}.h5"
    with h5py.File(path, "w") as file:
        file["main"] = np.random.default_rng(seed).integers(0, 255, OTHER).astype(np.uint8)
    return path


def add(bench: WorkspaceBench, name: str = "second", seed: int = 0) -> str:
    """Add a volume; its id, once it is shown."""
    bench.workspace.volumes.add(NewVolume(image(bench, name, seed), name, SIZE))
    bench.until(lambda: bench.session.image.volume.name == name)
    return bench.workspace.volumes.current


def show(bench: WorkspaceBench, volume: str) -> None:
    bench.workspace.volumes.show(volume)
    bench.until(lambda: bench.workspace.volumes.current == volume)


def names(bench: WorkspaceBench) -> list[str]:
    return [layer.name for layer in bench.viewer.layers]


def test_a_volume_is_added_and_shown(bench: WorkspaceBench) -> None:
    projects: list[int] = []
    bench.workspace.project_changed.connect(lambda: projects.append(1))
    assert names(bench) == ["a", "Strokes"]
    assert add(bench) == "v2"
    assert names(bench) == ["second", "Strokes"]
    assert bench.layers.shape == OTHER
    assert bench.viewer.find("second").space == VoxelSpace((50, 8, 8))
    assert bench.sessions == ["a.pytc"] * 2, "panels follow"
    assert not projects, "it is the same project"
    assert [record.name for record in bench.workspace.volumes.records] == ["a", "second"]
    assert bench.viewer.restored == [None], "all of it is in view"
    assert not bench.errors


def test_each_volume_has_its_strokes_and_its_place(bench: WorkspaceBench) -> None:
    bench.paint(1, 10)
    bench.viewer.middle = (3.0, 20.0, 20.0)
    second = add(bench)
    strokes: Any = bench.viewer.find("Strokes").data
    assert not strokes[3, :, :].any()
    assert bench.session.strokes.counts() == {"membrane": 0, "inside": 0}
    bench.paint(2, 4)
    show(bench, "v1")
    assert bench.session.strokes.counts()["membrane"] > 0, "they were saved before the volume went"
    assert bench.session.strokes.counts()["inside"] == 0
    state = bench.viewer.restored[-1]
    assert state is not None
    assert state.point == (3.0, 20.0, 20.0)
    show(bench, second)
    assert bench.session.strokes.counts()["inside"] > 0
    bench.workspace.close_project()
    assert bench.viewer.layers == []
    with Session.open(bench.folder / "a.pytc") as session:
        assert session.at("second").strokes.counts()["inside"] > 0


def test_of_several_that_are_asked_for_the_last_one_is_shown(bench: WorkspaceBench) -> None:
    add(bench, "b", 1)
    add(bench, "c", 2)
    volumes = bench.workspace.volumes
    volumes.show("v1")
    volumes.show("v2")
    assert volumes.wanted == "v2"
    bench.until(lambda: volumes.current == "v2")
    bench.bot.wait(50)
    assert volumes.current == "v2"
    volumes.show("v1")
    volumes.show("v2")  # as it is: nothing is wanted any more
    bench.bot.wait(50)
    assert volumes.current == "v2"


def test_keys_go_through_the_volumes(bench: WorkspaceBench) -> None:
    volumes = bench.workspace.volumes
    with pytest.raises(ProjectError, match="one volume"):
        volumes.show_next()
    add(bench)
    volumes.show_next()
    bench.until(lambda: volumes.current == "v1")
    volumes.show_next(-1)
    bench.until(lambda: volumes.current == "v2")
    bench.workspace.close_project()
    with pytest.raises(ProjectError, match="No project"):
        volumes.show_next()


def test_jobs_of_other_volumes_go_on_and_are_not_shown(bench: WorkspaceBench) -> None:
    bench.warm()
    make_model(bench.session.folder / "models" / "m1")
    add(bench)
    show(bench, "v1")
    bench.workspace.launcher.predict("all")
    bench.until(lambda: bench.runner.jobs)
    (job,) = bench.workspace.jobs.jobs
    assert (job.volume, job.title) == ("v1", "Predict the volume: a")
    bench.runner.specs[0].output.mkdir(parents=True)
    bench.runner.tell(Started)
    show(bench, "v2")
    bench.runner.tell(Produced, kind="prediction", box=Box((0, 0, 0), (4, 16, 16)))
    assert bench.jobs() == [JobState.RUNNING]
    assert bench.layers.predictions.folder is None, "it is of another volume"
    bench.runner.tell(Finished)
    assert bench.jobs() == [JobState.FINISHED]
    assert bench.layers.predictions.folder is None
    assert not bench.session.predictions.records()
    assert [one.state for one in bench.session.at("v1").predictions.records()] == ["finished"]
    assert not bench.errors


def test_a_job_that_waits_is_of_the_volume_that_it_was_asked_for(bench: WorkspaceBench) -> None:
    make_model(bench.session.folder / "models" / "m1")
    add(bench)
    show(bench, "v1")
    bench.workspace.launcher.predict("all")  # the worker is not there yet
    show(bench, "v2")
    bench.warm()
    bench.until(lambda: bench.runner.specs)
    assert bench.runner.specs[0].image == bench.session.at("v1").image.spec


def test_live_learning_starts_anew_for_the_volume_in_view(bench: WorkspaceBench) -> None:
    bench.warm()
    add(bench)
    show(bench, "v1")
    live = bench.controllers.live
    live.switch_on()
    bench.until(lambda: bench.runner.specs)
    bench.runner.tell(Started)
    bench.until(lambda: live.state is LiveState.LEARNING)
    show(bench, "v2")
    assert live.state is LiveState.WAITING
    assert bench.runner.messages[-1].topic == "stop"
    bench.runner.tell(Finished, result={"model": None})
    bench.until(lambda: len(bench.runner.specs) == 2)
    assert bench.runner.specs[1].in_view.name == "second"
    assert live.is_on


def test_a_volume_without_its_image_leaves_the_others_usable(bench: WorkspaceBench) -> None:
    add(bench)
    show(bench, "v1")
    (bench.folder / "second.h5").unlink()
    bench.session.at("v2").image.close()
    show(bench, "v2")
    assert bench.workspace.layers is None
    assert "Find the image" in bench.errors[-1].hint
    assert bench.workspace.volumes.missing == {"v2"}
    show(bench, "v1")
    assert bench.layers.shape == SHAPE
    bench.paint(1, 10)
    image(bench)
    show(bench, "v2")
    assert bench.workspace.volumes.missing == set()
    assert bench.layers.shape == OTHER


def test_an_image_that_cannot_be_added_leaves_the_project(bench: WorkspaceBench) -> None:
    volumes = bench.workspace.volumes
    volumes.add(NewVolume(bench.folder / "a.h5", "again", SIZE))
    bench.until(lambda: bench.errors)
    assert "has this image already" in bench.errors[0].message
    assert volumes.current == "v1"
    assert not volumes.doing
    assert len(volumes.records) == 1


def test_volumes_are_renamed_and_removed(bench: WorkspaceBench) -> None:
    volumes, changes = bench.workspace.volumes, list[int]()
    bench.workspace.volumes_changed.connect(lambda: changes.append(1))
    assert "only volume" in volumes.why_not_remove()
    volumes.remove("v1")
    assert "only volume" in bench.errors.pop().message
    add(bench)
    volumes.rename("v2", "b")
    volumes.rename("v2", "a")
    assert "already" in bench.errors.pop().message
    assert [record.name for record in volumes.records] == ["a", "b"]
    assert len(changes) == 2
    volumes.remove("v2")
    bench.until(lambda: len(volumes.records) == 1)
    assert volumes.current == "v1", "another one is shown"
    assert names(bench) == ["a", "Strokes"] or names(bench) == ["Strokes", "a"]
    add(bench, "c", 3)
    volumes.remove("v1")  # one that is not in view
    assert [record.name for record in volumes.records] == ["c"]
    assert not bench.errors


def test_a_volume_that_a_job_reads_stays_in_view(bench: WorkspaceBench) -> None:
    bench.warm()
    make_model(bench.session.folder / "models" / "m1")
    add(bench)
    bench.workspace.launcher.predict("all")
    bench.until(lambda: bench.runner.specs)
    shown = len(bench.sessions)
    bench.workspace.volumes.remove("v2")
    bench.until(lambda: bench.errors)
    assert "A job needs this volume" in bench.errors.pop().message
    assert bench.workspace.volumes.current == "v2"
    assert len(bench.sessions) == shown, "no other one was shown meanwhile"
    bench.runner.tell(Started)
    bench.runner.tell(Finished)


def test_a_volume_that_the_disk_does_not_let_go_is_shown_again(
    bench: WorkspaceBench, monkeypatch: pytest.MonkeyPatch
) -> None:
    add(bench)
    session = bench.session

    def refuse(name: str) -> None:
        raise ProjectError("The disk is full.")

    monkeypatch.setattr(session.volumes, "remove", refuse)
    bench.workspace.volumes.remove("v2")
    bench.until(lambda: bench.errors)
    assert "disk" in bench.errors.pop().message
    bench.until(lambda: bench.workspace.volumes.current == "v2")
    assert len(bench.workspace.volumes.records) == 2


def test_a_project_that_is_read_only_shows_its_volumes(bench: WorkspaceBench) -> None:
    add(bench)
    bench.workspace.close_project()
    with Session.open(bench.folder / "a.pytc"):
        bench.open(bench.folder / "a.pytc")
        bench.errors.clear()
        show(bench, "v2")
        assert "reading only" in bench.workspace.volumes.why_not_change()
        bench.workspace.volumes.add(NewVolume(image(bench, "d", 4), "d", SIZE))
        assert "reading only" in bench.errors[-1].message
        bench.workspace.close_project()


def test_the_users_layer_is_the_image_of_its_volume(bench: WorkspaceBench) -> None:
    data = np.random.default_rng(5).integers(0, 255, OTHER).astype(np.uint8)
    mine = bench.viewer.add_image(data, VoxelSpace((1.0, 1.0, 1.0)), LayerStyle("mine", ""))
    bench.viewer.choices = [LayerChoice("mine", OTHER, "uint8", None, None, mine)]
    bench.workspace.volumes.add(NewVolume(None, "mine", SIZE, data), [mine])
    bench.until(lambda: bench.workspace.volumes.current == "v2")
    assert bench.layers.image is mine
    assert mine.space == VoxelSpace((50, 8, 8))
    show(bench, "v1")
    assert not mine.visible
    assert bench.layers.image is not mine
    show(bench, "v2")
    assert bench.layers.image is mine
    assert mine.visible
