"""Classes are renamed, recoloured and removed without losing a stroke."""

from __future__ import annotations

import os
import pathlib
import shutil
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from napari_pytc.errors import InvalidInput, ProjectError
from napari_pytc.geometry import Box
from napari_pytc.jobs.events import Finished
from napari_pytc.labels.store import LabelStore
from napari_pytc.plans.plan import TrainPlan
from napari_pytc.session.session import Session
from tests.session.runners import ScriptedRunner
from tests.support.painting import box_writer

WHOLE = Box((0, 0, 0), (12, 48, 40))


def painted(session: Session) -> np.ndarray:
    """Three classes and unlabelled voxels, all over the volume."""
    session.classes.add("third")
    labels = np.random.default_rng(0).integers(0, 4, WHOLE.shape, np.uint8)
    session.strokes.paint(WHOLE, labels, np.ones(WHOLE.shape, bool))
    return labels


def without(labels: np.ndarray, id: int) -> np.ndarray:
    return np.where(labels == id, 0, labels - (labels > id)).astype(np.uint8)


def test_a_class_is_renamed_and_recoloured(session: Session):
    heard: list[None] = []
    session.classes.changed.connect(lambda: heard.append(None))
    session.classes.rename(2, " cytosol ")
    session.classes.recolour(2, "#00ff00")
    session.classes.rename(2, "cytosol")
    session.classes.add("third")
    assert len(heard) == 3
    session.close()
    with Session.open(session.folder) as again:
        assert [(c.id, c.name) for c in again.classes.records()] == [(1, "membrane"), (2, "cytosol"), (3, "third")]
        assert again.classes.records()[1].colour == "#00ff00"


@pytest.mark.parametrize(
    "change",
    [
        lambda s: s.classes.rename(1, "inside"),
        lambda s: s.classes.rename(1, "  "),
        lambda s: s.classes.rename(3, "x"),
        lambda s: s.classes.recolour(1, "red"),
        lambda s: s.classes.recolour(0, "#000000"),
        lambda s: s.classes.remove(3),
    ],
)
def test_a_wrong_change_of_classes_is_refused(session: Session, change: Callable[[Session], Any]):
    before = session.classes.records()
    with pytest.raises(InvalidInput):
        change(session)
    assert session.classes.records() == before


def test_the_last_class_stays(session: Session):
    session.classes.remove(1)
    with pytest.raises(InvalidInput, match="at least one"):
        session.classes.remove(1)
    assert [(c.id, c.name) for c in session.classes.records()] == [(1, "inside")]


@pytest.mark.parametrize("id", [1, 2, 3])
def test_strokes_of_a_removed_class_go_and_later_ones_move_up(session: Session, id: int):
    labels = painted(session)
    names, store, revision = (
        list(session.classes.names),
        session.strokes.store,
        session.strokes.store.revision,
    )
    session.classes.remove(id)
    assert session.strokes.store is store
    assert store.revision > revision
    assert np.array_equal(store.read(WHOLE), without(labels, id))
    del names[id - 1]
    assert list(session.classes.names) == names
    assert sum(session.strokes.counts().values()) == np.count_nonzero(without(labels, id))
    session.project.empty_trash()
    assert sorted(p.name for p in (session.folder / "volumes/v1").iterdir() if "annotations" in p.name) == [
        "annotations-2.zarr"
    ]
    assert session.jobs.train_job(TrainPlan()).inputs[0].annotations == session.folder / "volumes/v1/annotations-2.zarr"
    session.classes.remove(1)
    session.close()
    with Session.open(session.folder) as again:
        assert np.array_equal(again.strokes.store.read(WHOLE), without(without(labels, id), 1))


def test_strokes_painted_while_a_class_is_removed_are_kept(session: Session):
    labels = painted(session)
    plan = session.classes.plan_removal(2)
    thread = threading.Thread(target=plan.run)
    thread.start()
    thread.join()
    box = Box((3, 4, 5), (4, 10, 11))
    box_writer(session.strokes)(box, np.full(box.shape, 3, np.uint8))
    labels[box.slices] = 3
    session.classes.finish_removal(plan)
    assert np.array_equal(session.strokes.store.read(WHOLE), without(labels, 2))


def test_a_removal_that_the_classes_left_behind_is_refused(session: Session):
    labels = painted(session)
    plan = session.classes.plan_removal(2)
    plan.run()
    session.classes.rename(1, "other")
    with pytest.raises(ProjectError, match="meanwhile"):
        session.classes.finish_removal(plan)
    assert np.array_equal(session.strokes.store.read(WHOLE), labels)
    assert not list((session.folder / "trash").iterdir())


def test_no_class_is_removed_while_a_training_runs(session: Session):
    def look(job: object) -> None:
        with pytest.raises(ProjectError, match="training is running"):
            session.classes.remove(1)

    session.jobs.run(session.jobs.train_job(TrainPlan()), ScriptedRunner([Finished(job="j")], look))
    session.classes.remove(1)


def test_a_kill_at_any_step_of_a_removal_leaves_the_project_before_or_after(
    session: Session, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    labels = painted(session)
    n = 0

    def seen(function: Callable[..., Any]) -> Callable[..., Any]:
        def call(*args: Any, **kwargs: Any) -> Any:
            nonlocal n
            shutil.copytree(session.folder, tmp_path / f"killed-{n}")
            n += 1
            return function(*args, **kwargs)

        return call

    with monkeypatch.context() as patch:
        for owner, name in ((os, "replace"), (os, "fsync"), (pathlib.Path, "rename"), (LabelStore, "write")):
            patch.setattr(owner, name, seen(getattr(owner, name)))
        session.classes.remove(2)
    assert n > 8
    shutil.copytree(session.folder, tmp_path / f"killed-{n}")
    states = []
    for k in range(n + 1):
        for read_only in (True, False):
            with Session.open(tmp_path / f"killed-{k}", read_only=read_only) as found:
                after = len(found.classes.names) == 2
                assert np.array_equal(found.strokes.store.read(WHOLE), without(labels, 2) if after else labels), k
        with Session.open(tmp_path / f"killed-{k}") as found:
            found.classes.remove(1)  # what was left behind is in nobody's way
            assert not (found.folder / "trash").exists() or len(list((found.folder / "trash").iterdir())) == 1
        states.append(after)
    assert states == sorted(states)
    assert set(states) == {False, True}
