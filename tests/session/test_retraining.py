from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from napari_pytc.errors import InvalidInput, ProjectError
from napari_pytc.geometry import Box
from napari_pytc.plans.recipes import load_recipe
from napari_pytc.plans.specs import TrainJob
from napari_pytc.proofreading.constraints.edit_transfer import TransferReport
from napari_pytc.session.retraining import STEPS
from napari_pytc.session.session import Session
from napari_pytc.session.volumes.building import NewVolume
from napari_pytc.volumes.spec import ReadOptions
from tests.session.models import make_model
from tests.session.retraining_bench import (
    WORSE,
    StandIn,
    Stopped,
    document,
    everything,
    prepare,
    proofread,
    run,
    segments_on_disk,
    stop,
)
from tests.support.tissue import Tissue

SHAPE = (12, 48, 40)
WHOLE = Box.of_shape(SHAPE)


@pytest.fixture
def former(session: Session, tissue: Tissue) -> str:
    """The id of a segmentation that is current."""
    return prepare(session, tissue)


@pytest.mark.slow
def test_the_whole_chain(session: Session, former: str, tissue: Tissue):
    done = proofread(session)
    before = document(session).segments(WHOLE)
    runner, retraining = StandIn(tissue), session.retraining.begin()
    assert session.retraining.find() is not None
    assert run(session, retraining, runner) == "over"
    assert session.retraining.find() is None
    assert [job.kind for job in runner.jobs] == ["train", "predict", "compare", "segment"]
    segmenting = runner.jobs[-1]
    assert segmenting.changed
    assert all(box.start[2] < 40 for box in segmenting.changed)
    outcome = retraining.outcome()
    assert (outcome["former"], outcome["parent"], outcome["unchanged"]) == (former, "m1", False)
    assert session.proofreader.segmentation == outcome["segmentation"] != former
    assert json.loads(json.dumps(outcome)) == outcome
    (locked,) = done["locked"]
    now = document(session)
    np.testing.assert_array_equal(now.segments(WHOLE) == locked, before == locked)
    assert now.is_locked(locked)
    assert sum(outcome["edits"].values()) == 3
    carried = TransferReport.load(session.segmentations.resolve())
    assert carried is not None
    assert [edit.constraints.kind for edit in carried.edits] == ["merge", "lock", "delete"]
    assert [model.id for model in session.models.records() if model.active] == [outcome["model"]]


@pytest.mark.slow
def test_undo_goes_back_across_the_switch(session: Session, former: str, tissue: Tissue):
    proofread(session)
    before, position = document(session).segments(WHOLE), session.proofreader.position
    retraining = session.retraining.begin()
    run(session, retraining, StandIn(tissue))
    after, proofreader = document(session).segments(WHOLE), session.proofreader
    marks = {entry.checkpoint: entry.id for entry in proofreader.entries()}
    assert marks["Before retraining"] == position
    end = proofreader.position
    while proofreader.position > position:
        proofreader.undo()
    assert proofreader.segmentation == former
    np.testing.assert_array_equal(document(session).segments(WHOLE), before)
    proofreader.jump(end)
    np.testing.assert_array_equal(document(session).segments(WHOLE), after)
    assert session.proofreader.replay(str(retraining.state.segmentation)).agrees


@pytest.mark.slow
def test_the_name_that_the_user_gave_the_last_state_stays(session: Session, former: str, tissue: Tissue):
    proofread(session)
    position = session.proofreader.position
    session.proofreader.checkpoint("all cells done")
    run(session, session.retraining.begin(), StandIn(tissue))
    marks = {entry.id: entry.checkpoint for entry in session.proofreader.entries()}
    assert marks[position] == "Before retraining; all cells done"


@pytest.mark.slow
@pytest.mark.parametrize("step", STEPS)
def test_given_up_in_any_step_everything_is_as_it_was(session: Session, former: str, tissue: Tissue, step: str):
    proofread(session)
    session.proofreader.flush()
    before = everything(session)
    retraining = session.retraining.begin()
    if step in ("train", "predict", "compare", "segment"):
        assert run(session, retraining, StandIn(tissue, cancel=step)) == f"{step} Cancelled"
    else:
        run(session, retraining, StandIn(tissue), until=step)
        task = retraining.task()
        assert task.work is not None
        with pytest.raises(Stopped):
            task.work(lambda done, total: None, stop)
    assert document(session).checksum() == before["checksum"]
    assert session.proofreader.segmentation == former
    retraining.discard()
    session.project.empty_trash()
    assert everything(session) == before


@pytest.mark.slow
@pytest.mark.parametrize("step", STEPS[1:])
def test_stopped_anywhere_and_gone_on_with(session: Session, former: str, tissue: Tissue, step: str):
    """As after a kill: only what is on the disk is known."""
    proofread(session)
    if step in ("train", "predict", "compare", "segment"):
        run(session, session.retraining.begin(), StandIn(tissue, cancel=step))
    else:
        run(session, session.retraining.begin(), StandIn(tissue), until=step)
    folder = session.folder
    session.close()
    with Session.open(folder) as again:
        found = again.retraining.find()
        assert found is not None
        assert found.state.step == step
        with pytest.raises(ProjectError, match="not over"):
            again.retraining.begin()
        assert run(again, found, StandIn(tissue)) == "over"
        assert len(again.models.records()) == 2
        assert len(again.predictions.records()) == 2
        assert len(again.segmentations.records()) == 2
        assert again.proofreader.segmentation == found.state.segmentation


_DYING = """
import os, signal, sys
from pathlib import Path
from napari_pytc.proofreading.journal.journal import Journal
from napari_pytc.session.retraining import Retraining
from napari_pytc.session.session import Session
from tests.session.retraining_bench import StandIn, run
from tests.support.tissue import make_tissue

folder, where = sys.argv[1:]
tissue = make_tissue((12, 48, 40), anisotropy=4.0)

class Dying(StandIn):
    def start(self, spec, sink):
        if spec.kind == where:
            self._half_made(spec)
            os.kill(os.getpid(), signal.SIGKILL)
        return super().start(spec, sink)

apply, left = Journal.apply_change, 2
def dying(self, change):
    global left
    left -= 1
    if left < 0:
        os.kill(os.getpid(), signal.SIGKILL)
    return apply(self, change)

session = Session.open(folder)
retraining = session.retraining.begin()
if where == "carry":
    run(session, retraining, StandIn(tissue), until="carry")
    Journal.apply_change = dying
run(session, retraining, Dying(tissue))
"""


@pytest.mark.slow
@pytest.mark.parametrize("where", ["train", "predict", "segment", "carry"])
def test_killed_and_gone_on_with(session: Session, former: str, tissue: Tissue, where: str):
    done = proofread(session)
    before = document(session).segments(WHOLE)
    folder = session.folder
    session.close()
    killed = subprocess.run(
        [sys.executable, "-c", _DYING, str(folder), where],
        env=os.environ | {"PYTHONPATH": os.pathsep.join([str(Path(__file__).parents[2]), *sys.path])},
        capture_output=True,
        check=False,
    )
    assert killed.returncode == -signal.SIGKILL, killed.stderr.decode()
    with Session.open(folder) as again:
        found = again.retraining.find()
        assert found is not None
        assert found.state.step == where
        if where != "carry":
            np.testing.assert_array_equal(document(again).segments(WHOLE), before)
        assert run(again, found, StandIn(tissue)) == "over"
        now = document(again)
        (locked,) = done["locked"]
        assert now.is_locked(locked)
        np.testing.assert_array_equal(now.segments(WHOLE) == locked, before == locked)
        assert len(again.segmentations.records()) == 2
        assert again.proofreader.replay(str(found.state.segmentation)).agrees


@pytest.mark.slow
def test_edits_that_are_made_meanwhile_are_carried_over_too(session: Session, former: str, tissue: Tissue):
    proofread(session)
    retraining = session.retraining.begin()
    run(session, retraining, StandIn(tissue), until="carry")
    now = document(session)
    free = [k for k in now.segment_ids().tolist() if not now.is_locked(k)]
    session.proofreader.apply({"kind": "delete", "segments": [min(free, key=now.size)]})
    gone = now.supervoxels(WHOLE)
    gone = now.owners(gone) == session.proofreader.entries()[-1].segments[0]
    run(session, retraining, StandIn(tissue))
    assert sum(retraining.outcome()["edits"].values()) == 4
    assert (document(session).segments(WHOLE)[gone] == 0).mean() > 0.5 or retraining.outcome()["edits"]["lost"]


@pytest.mark.slow
def test_somebody_edits_while_edits_are_carried_over(session: Session, former: str, tissue: Tissue):
    proofread(session)
    retraining = session.retraining.begin()
    run(session, retraining, StandIn(tissue), until="carry")
    task, n = retraining.task(), 0

    def edit_once(done: int, total: int) -> None:
        nonlocal n
        n += 1
        if n == 1:
            now = document(session)
            free = [k for k in now.segment_ids().tolist() if not now.is_locked(k)]
            session.proofreader.apply({"kind": "lock", "segments": free[:1]})

    assert task.work is not None
    retraining.done(task.work(edit_once, lambda: None))
    assert sum(retraining.outcome()["edits"].values()) == 4


@pytest.mark.slow
def test_constraints_that_held_without_an_edit_are_carried_to_the_next_one(
    session: Session, former: str, tissue: Tissue
):
    proofread(session)
    runner = StandIn(tissue)
    first = session.retraining.begin()
    run(session, first, runner)
    n = sum(first.outcome()["edits"].values())
    proofreader = session.proofreader
    if not any("carried over" in entry.title for entry in proofreader.entries()):
        pytest.fail("nothing was carried over")
    second = session.retraining.begin()
    runner.changes = False
    assert run(session, second, runner) == "over"
    edits = second.outcome()["edits"]
    assert sum(edits.values()) >= n
    assert edits["lost"] == 0


@pytest.mark.slow
def test_a_worse_model_waits_for_somebody_to_insist(session: Session, former: str, tissue: Tissue):
    proofread(session)
    before = document(session).checksum()
    retraining, runner = session.retraining.begin(), StandIn(tissue, scores=WORSE)
    with pytest.raises(ProjectError, match="found worse"):
        run(session, retraining, runner)
    assert retraining.is_refused
    assert "Worse than m1" in retraining.verdict
    assert document(session).checksum() == before
    assert [model.id for model in session.models.records() if model.active] == ["m1"]
    found = session.retraining.find()
    assert found is not None
    found.insist()
    assert run(session, found, runner) == "over"
    assert [model.id for model in session.models.records() if model.active] == [found.state.model]


def test_where_nothing_changed_the_segments_stay(session: Session, former: str, tissue: Tissue):
    proofread(session)
    before = document(session).checksum()
    runner = StandIn(tissue)
    runner.changes = False
    retraining = session.retraining.begin()
    assert run(session, retraining, runner) == "over"
    assert retraining.outcome()["unchanged"]
    assert session.proofreader.segmentation == former
    assert document(session).checksum() == before
    assert session.retraining.find() is None


@pytest.mark.slow
def test_the_copy_does_not_follow_later_edits(session: Session, former: str, tissue: Tissue):
    proofread(session)
    retraining = session.retraining.begin()
    run(session, retraining, StandIn(tissue), until="segment")
    copy = session.folder / "volumes/v1/retraining" / "former"
    before = segments_on_disk(copy, SHAPE)
    now = document(session)
    free = [k for k in now.segment_ids().tolist() if not now.is_locked(k)]
    places = np.argwhere(now.segments(WHOLE) == free[0]).tolist()
    session.proofreader.apply({"kind": "split", "seeds": {"1": places[:1], "2": places[-1:]}})
    session.proofreader.flush()
    np.testing.assert_array_equal(segments_on_disk(copy, SHAPE), before)
    assert not np.array_equal(segments_on_disk(session.segmentations.resolve(former), SHAPE), before)


def test_without_edits_there_is_nothing_to_learn(session: Session, former: str, tissue: Tissue):
    retraining = session.retraining.begin()
    with pytest.raises(InvalidInput, match="nothing to learn from"):
        run(session, retraining, StandIn(tissue))
    assert session.retraining.find() is None


def test_missing_inputs_are_reported(session: Session, tissue: Tissue):
    with pytest.raises(ProjectError, match="no segmentation yet"):
        session.retraining.begin()
    prepare(session, tissue)
    make_model(session.folder / "models" / "other")
    session.models.delete("m1")
    with pytest.raises(ProjectError, match="is gone"):
        session.retraining.begin()
    make_model(session.folder / "models" / "m1", plan=load_recipe("instant"))
    with pytest.raises(InvalidInput, match="painted voxels alone"):
        session.retraining.begin()
    session.predictions.delete("m1")
    with pytest.raises(ProjectError, match="none of the project's"):
        session.retraining.begin()


def test_edits_of_other_volumes_are_learnt_too(session: Session, former: str, tissue: Tissue, image: Path):
    session.volumes.add(NewVolume(image, "b", ReadOptions(voxel_size_nm=(40, 10, 10)), anyway=True))
    shutil.copytree(session.folder / "volumes/v1/segments", session.folder / "volumes/v2/segments")
    session.at("b").segmentations.activate(former)
    proofread(session.at("b"))
    with pytest.raises(InvalidInput, match="nothing to learn from"):  # of the segmentation that is made anew
        run(session, session.retraining.begin(), StandIn(tissue))
    proofread(session)
    retraining = session.retraining.begin()
    assert run(session, retraining, StandIn(tissue), until="train") == "train"
    describe = retraining.task().describe
    assert describe is not None
    job = describe()
    assert isinstance(job, TrainJob)
    assert [one.corrections for one in job.inputs] == [session.at(name).corrections.folder for name in ("raw", "b")]
    assert session.at("b").corrections.info().n_edits == 3
