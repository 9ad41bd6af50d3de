"""Several volumes in one project: added, removed, restored, renamed, and each with what is its own."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest

from napari_pytc.errors import InvalidInput, ProjectError, VolumeError
from napari_pytc.geometry import Box
from napari_pytc.jobs.events import Finished
from napari_pytc.plans.plan import PredictPlan, TrainPlan
from napari_pytc.plans.recipes import load_recipe
from napari_pytc.session.project.state import utc_now
from napari_pytc.session.session import Session
from napari_pytc.session.volumes.building import NewVolume
from napari_pytc.volumes.spec import ReadOptions
from tests.session.models import make_model
from tests.session.runners import ScriptedRunner
from tests.support.faults import file_size_limit

SHAPE = (6, 24, 20)
BOX = Box((0, 0, 0), (1, 2, 2))


@pytest.fixture
def second(tmp_path: Path) -> Path:
    """Another image, smaller than the first."""
    path = tmp_path / "other.h5"
    with h5py.File(path, "w") as file:
        raw = np.random.default_rng(1).integers(0, 255, SHAPE, np.uint8)
        file.create_dataset("main", data=raw).attrs["voxel_size_nm"] = (30.0, 8.0, 8.0)
    return path


@pytest.fixture
def two(session: Session, second: Path) -> Session:
    """A project with the volumes raw and other."""
    session.volumes.add(NewVolume(second))
    return session


def test_a_volume_is_added_with_what_its_file_says(two: Session) -> None:
    first, second = two.volumes.records()
    assert (first.id, first.name, first.voxel_size_source) == ("v1", "raw", "user")
    assert (second.id, second.name, second.shape, second.voxel_size_nm) == ("v2", "other", SHAPE, (30.0, 8.0, 8.0))
    assert second.voxel_size_source == "file"
    two.close()
    with Session.open(two.folder) as again:
        assert again.volumes.records() == [first, second]
        assert again.image.volume == first
    with Session.open(two.folder, volume="other") as again:
        assert again.image.volume == second
        assert again.image.check().shape == SHAPE
    with pytest.raises(InvalidInput, match="no volume 'third'; its volumes: raw, other"):
        Session.open(two.folder, volume="third")


def test_each_volume_has_its_own_strokes_boxes_objects_and_history(two: Session) -> None:
    other = two.at("other")
    assert other is two.at("v2")
    assert other.at("raw") is two
    assert (other.project, other.classes, other.models, other.volumes) == (
        two.project,
        two.classes,
        two.models,
        two.volumes,
    )
    two.strokes.paint(BOX, 1)
    other.strokes.paint(Box((1, 0, 0), (2, 3, 3)), 2)
    other.held_out.add(Box((5, 0, 0), (6, 24, 20)))
    with pytest.raises(InvalidInput, match="within the volume"):
        other.held_out.add(Box((11, 0, 0), (12, 24, 20)))
    other.objects.add(np.ones((1, 2, 2), np.uint32))
    assert [two.volumes.n_objects(name) for name in two.volumes.names] == [0, 1]
    assert (two.strokes.counts(), other.strokes.counts()) == (
        {"membrane": 4, "inside": 0},
        {"membrane": 0, "inside": 9},
    )
    assert (two.held_out.boxes, other.held_out.boxes) == ((), (Box((5, 0, 0), (6, 24, 20)),))
    assert (two.objects.n_chunks, other.objects.n_chunks) == (0, 1)
    assert [len(one.proofreader.entries()) for one in (two, other)] == [1, 2]
    other.proofreader.undo()
    other.proofreader.undo()
    assert two.strokes.counts()["membrane"] == 4
    assert other.strokes.counts()["inside"] == 0
    other.proofreader.redo()
    two.close()
    with Session.open(two.folder, read_only=True) as again:
        assert again.strokes.counts()["membrane"] == 4
        assert again.at("other").strokes.counts()["inside"] == 9
        assert again.at("other").held_out.boxes == (Box((5, 0, 0), (6, 24, 20)),)


def test_a_volume_that_was_read_in_another_thread_is_there_at_once(two: Session, monkeypatch: Any) -> None:
    with ThreadPoolExecutor(1) as pool:
        pool.submit(two.volumes.prepare, "other").result()

    def fail(*args: object) -> None:
        raise AssertionError("the disk was read")

    monkeypatch.setattr("napari_pytc.session.project.image.open_image", fail)
    monkeypatch.setattr("napari_pytc.session.volumes.open_volumes.open_volume_files", fail)
    assert two.at("other").image.source.shape == SHAPE
    with ThreadPoolExecutor(1) as pool, pytest.raises(RuntimeError, match="thread"):
        pool.submit(two.at("other").strokes.paint, BOX, 1).result()


def test_names_are_checked_and_numbered(two: Session, second: Path) -> None:
    with pytest.raises(InvalidInput, match="'raw' already"):
        two.volumes.rename("other", " raw ")
    with pytest.raises(InvalidInput, match="without commas"):
        two.volumes.rename("other", "a, b")
    with pytest.raises(InvalidInput, match="'raw' already"):
        two.volumes.add(NewVolume(second, name="raw", anyway=True))
    assert two.volumes.add(NewVolume(second, anyway=True)).name == "other-2"
    assert two.volumes.rename("v2", "the other").name == "the other"
    assert two.volumes.names == ("raw", "the other", "other-2")
    assert two.volumes.resolve("the other").id == "v2"
    with pytest.raises(InvalidInput, match="3 volumes: raw, the other, other-2") as caught:
        two.volumes.resolve()
    assert "--volume raw" in caught.value.hint


def test_the_same_image_twice_is_reported(two: Session, second: Path, tmp_path: Path) -> None:
    copy = shutil.copy(second, tmp_path / "copy.h5")
    before = (two.folder / "project.json").read_bytes()
    for image in (second, copy):
        with pytest.raises(InvalidInput, match="has this image already, as the volume other") as caught:
            two.volumes.add(NewVolume(image))
        assert "--anyway" in caught.value.hint
    assert (two.folder / "project.json").read_bytes() == before
    assert sorted(p.name for p in (two.folder / "volumes").iterdir()) == ["v1", "v2"]


def test_a_layer_is_copied_into_the_project_and_moves_with_it(session: Session) -> None:
    array = np.arange(4 * 8 * 8, dtype=np.uint8).reshape(4, 8, 8)
    added = session.volumes.add(NewVolume(None, "layer", ReadOptions(voxel_size_nm=(40.0, 8.0, 8.0)), array))
    assert np.array_equal(session.at("layer").image.check().channels[0].read(Box.of_shape(array.shape)), array)
    session.close()
    moved = session.folder.rename(session.folder.with_name("moved.pytc"))
    with Session.open(moved, volume="layer") as again:
        assert again.image.spec.url == str(moved / "volumes" / added.id / "image.zarr")
        assert np.array_equal(again.image.check().channels[0].read(Box.of_shape(array.shape)), array)
        again.volumes.remove("layer")
        again.volumes.restore("layer")
        assert np.array_equal(again.at("layer").image.check().channels[0].read(Box.of_shape(array.shape)), array)


@pytest.mark.parametrize("fault", ["moved", "truncated"])
def test_one_image_that_is_gone_leaves_the_others_usable(two: Session, second: Path, fault: str) -> None:
    two.strokes.paint(BOX, 1)
    two.at("other").strokes.paint(BOX, 1)
    two.close()
    if fault == "moved":
        second.rename(second.with_name("moved.h5"))
    else:
        second.write_bytes(second.read_bytes()[: second.stat().st_size // 2])
    with Session.open(two.folder) as again:
        again.image.check()
        again.volumes.prepare("other")
        with pytest.raises(VolumeError) as caught:
            again.at("other").image.check()
        assert f"napari-pytc relink {two.folder} --image PATH --volume other" in caught.value.hint
        assert again.at("other").strokes.counts()["membrane"] == 4
        with pytest.raises(VolumeError, match="The image of other cannot be used"):
            again.jobs.train_job(TrainPlan())
        assert [one.name for one in again.jobs.train_job(TrainPlan(), volumes=["raw"]).inputs] == ["raw"]
        live = again.live.job()
        assert [one.name for one in live.inputs] == ["raw"]
        (note,) = live.notes
        assert note.startswith("The image of other cannot be used. ")
        assert note.endswith(" Live learns without this volume.")
        if fault == "moved":
            again.at("other").image.relink(second.with_name("moved.h5"))
            assert len(again.jobs.train_job(TrainPlan()).inputs) == 2


def test_live_leaves_out_a_volume_whose_strokes_are_damaged_and_tells_it(two: Session) -> None:
    two.strokes.paint(BOX, 1)
    two.at("other").strokes.paint(BOX, 1)
    store = two.at("other").strokes.store.folder
    two.close()
    (store / "zarr.json").write_text("{")
    with Session.open(two.folder) as again:
        job = again.live.job()
        assert [one.name for one in job.inputs] == ["raw"]
        (note,) = job.notes
        assert note.startswith("The strokes of other cannot be read. ")
        assert note.endswith(" Live learns without this volume.")


def test_a_training_learns_from_all_annotated_volumes_or_those_that_are_named(two: Session, second: Path) -> None:
    two.volumes.add(NewVolume(second, "empty", anyway=True))
    two.strokes.paint(BOX, 1)
    other = two.at("other")
    other.strokes.paint(BOX, 2)
    other.held_out.add(Box((5, 0, 0), (6, 24, 20)))
    job = other.jobs.train_job(TrainPlan())
    assert [one.name for one in job.inputs] == ["raw", "other"]
    assert [one.annotations for one in job.inputs] == [one.strokes.store.folder for one in (two, other)]
    assert [one.held_out for one in job.inputs] == [(), other.held_out.boxes]
    assert [one.digest for one in job.inputs] == [two.image.digest, other.image.digest]
    assert [one.space.voxel_size_nm for one in job.inputs] == [(40.0, 10.0, 10.0), (30.0, 8.0, 8.0)]
    assert [one.name for one in two.jobs.train_job(TrainPlan(), volumes=["v2", "other"]).inputs] == ["other"]
    with pytest.raises(InvalidInput, match="no volume 'x'"):
        two.jobs.train_job(TrainPlan(), volumes=["x"])
    assert [one.name for one in other.live.job().inputs] == ["other", "raw"]


def test_a_training_of_objects_learns_from_volumes_with_objects(two: Session) -> None:
    two.strokes.paint(BOX, 1)
    two.at("other").objects.add(np.ones((1, 2, 2), np.uint32))
    assert [one.name for one in two.jobs.train_job(load_recipe("neurites", [])).inputs] == ["other"]
    assert [one.name for one in two.at("other").jobs.train_job(TrainPlan()).inputs] == ["raw"]


def test_an_interrupted_training_of_two_volumes_is_found_again(two: Session) -> None:
    for one in (two, two.at("other")):
        one.strokes.paint(BOX, 1)
    plan = TrainPlan(recipe="instant")
    job = two.jobs.train_job(plan)

    def stop(job: Any) -> None:
        (job.output.run_folder / "step.safetensors").write_bytes(b"")

    from napari_pytc.jobs.events import Cancelled

    two.jobs.run(job, ScriptedRunner([Cancelled(job="j")], stop))
    assert two.jobs.train_job(plan).output == job.output
    assert two.jobs.train_job(plan, volumes=["raw"]).output != job.output
    two.close()
    moved = two.folder.rename(two.folder.with_name("moved.pytc"))
    with Session.open(moved, volume="other") as again:
        (found,) = again.jobs.unfinished_trainings()
        assert [one.annotations for one in found.inputs] == [
            moved / "volumes" / id / "annotations.zarr" for id in ("v1", "v2")
        ]
        assert again.jobs.train_job(plan).output.run_folder == found.output.run_folder
        again.volumes.remove("raw")
        assert again.jobs.unfinished_trainings() == []


def test_what_a_job_makes_belongs_to_its_volume(two: Session) -> None:
    make_model(two.folder / "models" / "m1")
    heard: list[str] = []
    two.jobs.ended.connect(heard.append)
    other = two.at("other")
    jobs = [one.jobs.predict_job(PredictPlan()) for one in (two, other)]
    assert [job.output.relative_to(two.folder).parts[:2] for job in jobs] == [("volumes", "v1"), ("volumes", "v2")]
    assert jobs[0].output.name == jobs[1].output.name

    def predict_the_other(job: Any) -> None:  # the same id at the other volume, while this one runs
        job.output.mkdir(parents=True)
        other.jobs.run(jobs[1], ScriptedRunner([Finished(job="b")], lambda job: job.output.mkdir(parents=True)))

    two.jobs.run(jobs[0], ScriptedRunner([Finished(job="a")], predict_the_other))
    assert heard == ["b", "a"]
    assert {run.id: run.volume for run in two.jobs.runs()} == {"a": "v1", "b": "v2"}
    assert [(p.volume, p.state, p.folder) for p in other.predictions.records()] == [("v2", "finished", jobs[1].output)]
    assert [(p.volume, p.folder) for p in two.predictions.records()] == [("v1", jobs[0].output)]
    other.predictions.delete(jobs[1].output.stem)
    assert other.predictions.records() == []
    assert len(two.predictions.records()) == 1
    with pytest.raises(ProjectError, match="The volume other has no prediction") as caught:
        other.predictions.resolve()
    assert "--volume other" in caught.value.hint


def test_a_removed_volume_is_kept_in_the_trash_and_can_be_restored(two: Session) -> None:
    make_model(two.folder / "models" / "m1")
    other = two.at("other")
    other.strokes.paint(BOX, 1)
    other.jobs.run(
        other.jobs.predict_job(), ScriptedRunner([Finished(job="b")], lambda job: job.output.mkdir(parents=True))
    )
    heard: list[str] = []
    two.volumes.removed.connect(heard.append)
    removed = two.volumes.remove("other")
    assert heard == ["v2"]
    assert two.volumes.names == ("raw",)
    assert removed.folder == two.folder / "trash" / "removed" / "v2"
    assert removed.kept_until - removed.removed == timedelta(days=30)
    with pytest.raises(ProjectError, match="was removed"):
        other.strokes.paint(BOX, 2)
    two.project.empty_trash()
    two.close()
    with Session.open(two.folder) as again:
        assert [one.record.name for one in again.volumes.in_trash()] == ["other"]
        with pytest.raises(InvalidInput, match="no volume 'raw'; in it: other"):
            again.volumes.restore("raw")
        again.volumes.restore("other")
        other = again.at("other")
        assert other.strokes.counts()["membrane"] == 4
        assert len(other.predictions.records()) == 1
        other.proofreader.undo()
        assert other.strokes.counts()["membrane"] == 0
        assert again.volumes.in_trash() == []


def test_a_removal_is_announced_where_the_folder_cannot_be_moved(two: Session, monkeypatch: pytest.MonkeyPatch) -> None:
    from napari_pytc.session.project.folder import ProjectFolder

    def refuse(self: ProjectFolder, id: str, now: object) -> None:
        raise ProjectError("The disk is full.")

    heard: list[str] = []
    two.volumes.removed.connect(heard.append)
    two.volumes.changed.connect(lambda: heard.append("changed"))
    with monkeypatch.context() as patch:
        patch.setattr(ProjectFolder, "put_aside", refuse)
        with pytest.raises(ProjectError, match="disk is full"):
            two.volumes.remove("other")
    assert heard == ["v2", "changed"]
    assert two.volumes.names == ("raw",)
    two.close()
    with Session.open(two.folder) as again:  # which puts the folder aside
        assert [one.record.name for one in again.volumes.in_trash()] == ["other"]


def test_one_volume_that_cannot_be_saved_keeps_no_other_open(two: Session, monkeypatch: pytest.MonkeyPatch) -> None:
    other, closed = two.at("other"), list[str]()

    def refuse() -> None:
        raise ProjectError("The disk is full.")

    monkeypatch.setattr(two.proofreader, "close", refuse)
    monkeypatch.setattr(other.proofreader, "close", lambda: closed.append("other"))
    with pytest.raises(ProjectError, match="disk is full"):
        two.close()
    assert closed == ["other"]
    monkeypatch.undo()
    two.proofreader.close()
    with Session.open(two.folder) as again:
        assert not again.project.read_only, "the lock was released"


def test_what_is_in_the_trash_for_thirty_days_is_deleted(two: Session) -> None:
    folder = two.volumes.remove("other").folder
    two.close()
    for days, is_there in ((29, True), (31, False)):
        from napari_pytc.session.project.folder import ProjectFolder

        place = ProjectFolder(two.folder)
        place.sweep(place.load(), utc_now() + timedelta(days=days))
        assert folder.exists() == is_there


def test_ids_are_never_used_twice(two: Session, second: Path) -> None:
    two.volumes.remove("other")
    assert two.volumes.add(NewVolume(second)).id == "v3"
    assert two.volumes.restore("other").name == "other-2"
    assert [record.id for record in two.volumes.records()] == ["v1", "v3", "v2"]


def test_the_only_volume_and_one_that_a_job_reads_stay(two: Session, second: Path) -> None:
    make_model(two.folder / "models" / "m1")
    other = two.at("other")
    for one in (two, other):
        one.strokes.paint(BOX, 1)

    def look(job: object) -> None:
        with pytest.raises(ProjectError, match="A job needs this volume, other") as caught:
            two.volumes.remove("other")
        assert "Wait" in caught.value.hint

    other.jobs.run(other.jobs.predict_job(), ScriptedRunner([Finished(job="p")], look))
    two.jobs.run(two.jobs.train_job(TrainPlan()), ScriptedRunner([Finished(job="t")], look))
    assert two.volumes.names == ("raw", "other")
    two.volumes.remove("raw")
    with pytest.raises(ProjectError, match="only volume"):
        other.volumes.remove("other")


def killed_copies(
    session: Session, folder: Path, monkeypatch: pytest.MonkeyPatch, change: Callable[[], object]
) -> list[Path]:
    """Copies of the project before every write that decides something, and after the last."""
    copies: list[Path] = []

    def seen(function: Callable[..., Any]) -> Callable[..., Any]:
        def call(*args: Any, **kwargs: Any) -> Any:
            copies.append(Path(shutil.copytree(session.folder, folder / f"killed-{len(copies)}")))
            return function(*args, **kwargs)

        return call

    with monkeypatch.context() as patch:
        for name in ("replace", "fsync"):
            patch.setattr(os, name, seen(getattr(os, name)))
        change()
    return [*copies, Path(shutil.copytree(session.folder, folder / "done"))]


def test_a_kill_during_an_addition_leaves_the_project_before_or_after(
    session: Session, second: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    session.strokes.paint(BOX, 1)
    copies = killed_copies(session, tmp_path, monkeypatch, lambda: session.volumes.add(NewVolume(second)))
    states = []
    for copy in copies:
        with Session.open(copy, read_only=True) as reader:
            names = reader.volumes.names
        with Session.open(copy) as found:
            assert found.volumes.names == names
            assert found.strokes.counts()["membrane"] == 4
            for name in names:
                found.at(name).image.check()
            if len(names) == 1:
                found.volumes.add(NewVolume(second))
            assert {p.name for p in (copy / "volumes").iterdir()} == {r.id for r in found.volumes.records()}
        states.append(len(names))
    assert states == sorted(states)
    assert set(states) == {1, 2}


def test_a_kill_during_a_removal_loses_no_stroke(two: Session, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    two.at("other").strokes.paint(BOX, 1)
    copies = killed_copies(two, tmp_path, monkeypatch, lambda: two.volumes.remove("other"))
    for copy in copies:
        with Session.open(copy) as found:
            if len(found.volumes.names) == 1:
                assert [one.record.name for one in found.volumes.in_trash()] == ["other"]
                found.volumes.restore("other")
            assert found.at("other").strokes.counts()["membrane"] == 4
            assert {p.name for p in (copy / "volumes").iterdir()} == {"v1", "v2"}


def test_a_kill_during_a_restoration_leaves_it_in_the_trash_or_in_the_project(
    two: Session, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    two.at("other").strokes.paint(BOX, 1)
    two.volumes.remove("other")
    states = []
    for copy in killed_copies(two, tmp_path, monkeypatch, lambda: two.volumes.restore("other")):
        with Session.open(copy) as found:
            states.append(len(found.volumes.names))
            if states[-1] == 1:
                found.volumes.restore("other")
            assert found.at("other").strokes.counts()["membrane"] == 4
    assert states == sorted(states)
    assert set(states) == {1, 2}


def test_a_full_disk_during_an_addition_leaves_nothing(session: Session, second: Path) -> None:
    array = np.random.default_rng(0).integers(0, 255, (8, 64, 64), np.uint8)
    before = (session.folder / "project.json").read_bytes()
    with file_size_limit(500), pytest.raises((ProjectError, VolumeError)) as caught:
        session.volumes.add(NewVolume(None, "layer", ReadOptions(voxel_size_nm=(40.0, 8.0, 8.0)), array))
    assert "disk" in str(caught.value).lower() or "space" in str(caught.value).lower()
    assert (session.folder / "project.json").read_bytes() == before
    assert [p.name for p in (session.folder / "volumes").iterdir()] == ["v1"]
    session.volumes.add(NewVolume(second))


def test_an_older_project_json_put_back_deletes_no_volume(two: Session) -> None:
    two.at("other").strokes.paint(BOX, 1)
    two.close()
    path = two.folder / "project.json"
    content = json.loads(path.read_text())
    path.write_text(json.dumps(content | {"volumes": content["volumes"][:1], "next_volume": 2}))
    with Session.open(two.folder) as again:
        assert again.volumes.names == ("raw",)
        again.volumes.restore("other")
        assert again.at("other").strokes.counts()["membrane"] == 4
        assert again.project.description.next_volume == 3


def test_a_volume_is_restored_beside_a_later_one_with_its_id(two: Session, tmp_path: Path) -> None:
    two.at("other").strokes.paint(BOX, 1)
    two.close()
    path = two.folder / "project.json"
    content = json.loads(path.read_text())
    path.write_text(json.dumps(content | {"volumes": content["volumes"][:1], "next_volume": 2}))
    with Session.open(two.folder) as again:
        array = np.arange(4 * 8 * 8, dtype=np.uint8).reshape(4, 8, 8)
        assert again.volumes.add(NewVolume(None, "layer", ReadOptions(voxel_size_nm=(40, 8, 8)), array)).id == "v2"
        assert again.volumes.restore("other").id == "v3"
        assert again.at("other").strokes.counts()["membrane"] == 4
        assert np.array_equal(again.at("layer").image.source.channels[0].read(Box.of_shape(array.shape)), array)


def test_a_class_that_is_removed_is_removed_from_all_volumes(two: Session) -> None:
    other = two.at("other")
    two.strokes.paint(BOX, 2)
    other.strokes.paint(BOX, 1)
    other.strokes.paint(Box((2, 0, 0), (3, 2, 2)), 2)
    two.classes.remove(1)
    assert (two.strokes.counts(), other.strokes.counts()) == ({"inside": 4}, {"inside": 4})
    two.close()
    with Session.open(two.folder) as again:
        assert (again.strokes.counts(), again.at("other").strokes.counts()) == ({"inside": 4}, {"inside": 4})


def test_a_volume_is_restored_only_to_the_classes_that_its_strokes_are_of(two: Session) -> None:
    two.at("other").strokes.paint(BOX, 2)
    names = [info.name for info in two.classes.records()]
    two.volumes.remove("other")
    two.classes.remove(1)
    with pytest.raises(InvalidInput, match="The classes were"):
        two.volumes.restore("other")
    assert [one.record.name for one in two.volumes.in_trash()] == ["other"]
    two.classes.rename(1, names[0])
    two.classes.add(names[1])
    two.volumes.restore("other")
    assert two.at("other").strokes.counts()[names[1]] == 4


@pytest.mark.parametrize("name", ["v2", "v10"])
def test_no_volume_is_named_like_an_id(two: Session, tmp_path: Path, name: str) -> None:
    with pytest.raises(InvalidInput, match="looks like an id"):
        two.volumes.rename("other", name)
    path = tmp_path / f"{name}.h5"
    with h5py.File(path, "w") as file:
        raw = np.random.default_rng(2).integers(0, 255, SHAPE, np.uint8)
        file.create_dataset("main", data=raw).attrs["voxel_size_nm"] = (30.0, 8.0, 8.0)
    assert two.volumes.add(NewVolume(path)).name == f"volume-{name}"
