"""Segmentations of other programs are proofread like our own, without a model or a prediction."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest

from napari_pytc.annotations.label_transform import LabelTransform
from napari_pytc.errors import InvalidInput, VolumeError
from napari_pytc.geometry import Box
from napari_pytc.jobs.events import Cancelled, Failed, Finished, JobEvent
from napari_pytc.jobs.runners import InlineRunner
from napari_pytc.labels.segments_view import SegmentsView
from napari_pytc.proofreading.review.queue import ReviewQueue
from napari_pytc.session.session import Session
from tests.support.tissue import MEMBRANE, Tissue

WHOLE = Box((0, 0, 0), (12, 48, 40))
FIRST = 2**40


@pytest.fixture
def labels(tmp_path: Path, tissue: Tissue) -> Path:
    """Cells with large ids; the first fills a second place as well."""
    ids = tissue.cells.astype(np.uint64) + np.uint64(FIRST)
    return write(tmp_path / "ids.h5", ids)


def write(path: Path, array: np.ndarray) -> Path:
    with h5py.File(path, "w") as file:
        file.create_dataset("main", data=array).attrs["voxel_size_nm"] = (40.0, 10.0, 10.0)
    return path


def bring_in(session: Session, labels: Path, **options: Any) -> dict[str, Any]:
    events: list[JobEvent] = []
    with InlineRunner() as runner:
        job = session.jobs.import_segmentation_job(labels, **options)
        end = session.jobs.run(job, runner, events.append).wait()
    assert isinstance(end, Finished), end
    return end.result


def shown(session: Session) -> np.ndarray:
    """The original id of every voxel, with all edits."""
    session.proofreader.flush()
    view = SegmentsView.open(session.segmentations.resolve())
    assert view.original_ids is not None
    return view.original_ids.lookup(view.read(WHOLE))


def test_an_import_becomes_current_and_keeps_its_ids(session: Session, labels: Path, tissue: Tissue) -> None:
    result = bring_in(session, labels)
    (info,) = session.segmentations.records()
    assert (info.id, info.active, info.problem) == (result["segmentation"], True, "")
    assert info.decoder["kind"] == "imported"
    assert info.n_segments == len(np.unique(tissue.cells))
    assert any("dark ridges" in note for note in info.notes)
    np.testing.assert_array_equal(shown(session), tissue.cells + np.uint64(FIRST))
    (run,) = session.jobs.runs()
    assert (run.kind, run.subject, run.state) == ("import_segmentation", info.id, "finished")
    assert list((session.folder / "runs").iterdir()) == []
    assert session.segmentations.unfinished() == []


def test_it_is_not_grouped_again_and_the_reason_is_that_it_was_imported(session: Session, labels: Path) -> None:
    found = bring_in(session, labels)["segmentation"]
    for settings in ({"threshold": 0.4}, {"kind": "agglomeration", "threshold": 0.4}):
        with pytest.raises(InvalidInput, match="was imported from another program") as caught:
            session.segmentations.regroup(found, settings)
        assert "Merge and split" in caught.value.hint


def test_merge_split_review_and_undo_work_on_it(session: Session, labels: Path, tissue: Tissue) -> None:
    boundaries = write(labels.with_name("b.h5"), (tissue.classes == MEMBRANE).astype(np.float32))
    bring_in(session, labels, boundaries=boundaries)
    proofreader = session.proofreader
    document = proofreader.document
    assert document is not None
    before = shown(session)
    assert document.boundary(WHOLE).max() == 1
    queue = ReviewQueue(document)
    item = queue.next()
    assert item is not None
    edit = queue.accept("merge")
    assert edit is not None
    proofreader.apply(edit)
    merged = shown(session)
    assert len(np.unique(merged)) == len(np.unique(before)) - 1
    assert set(np.unique(merged)) < set(np.unique(before))
    proofreader.undo()
    np.testing.assert_array_equal(shown(session), before)
    first, second = (tuple(int(v) for v in np.argwhere(before == before[0, 0, 0])[k]) for k in (0, -1))
    proofreader.apply({"kind": "split", "seeds": {1: [first], 2: [second]}})
    split = shown(session)
    assert split[first] != split[second]
    new = set(np.unique(split).tolist()) - set(np.unique(before).tolist())
    assert len(new) == 1
    assert min(new) > before.max()  # an id that the file does not have
    proofreader.undo()
    np.testing.assert_array_equal(shown(session), before)


def test_a_split_takes_separate_parts_of_one_id_apart(session: Session, tmp_path: Path) -> None:
    ids = np.zeros(WHOLE.shape, np.uint16)
    ids[1:4, 5:15, 5:15], ids[7:10, 25:40, 20:35], ids[7:10, 5:15, 5:15] = 7, 7, 9
    result = bring_in(session, write(tmp_path / "parts.h5", ids))
    assert (result["n_supervoxels"], result["n_segments"]) == (3, 2)
    session.proofreader.apply({"kind": "split", "seeds": {1: [(2, 8, 8)], 2: [(8, 30, 25)]}})
    found = shown(session)
    assert found[8, 30, 25] == 7  # the larger part keeps the id
    assert found[2, 8, 8] > 9  # an id that the file does not have
    assert (found[7:10, 5:15, 5:15] == 9).all()
    assert np.count_nonzero(found) == np.count_nonzero(ids)


def test_what_was_cut_short_is_listed_and_goes_on(session: Session, labels: Path) -> None:
    job = session.jobs.import_segmentation_job(labels)
    events: list[JobEvent] = []
    with InlineRunner() as runner:

        def cancel(event: JobEvent) -> None:
            events.append(event)
            if len(events) == 4:
                for handle in runner.unfinished():
                    handle.cancel()

        assert isinstance(session.jobs.run(job, runner, cancel).wait(), Cancelled)
    (left,) = session.segmentations.unfinished()
    assert left == job
    assert session.segmentations.records() == []
    assert session.jobs.import_segmentation_job(labels).output == job.output
    other = session.jobs.import_segmentation_job(labels, gap_um=0.1)
    assert other.output != job.output
    assert bring_in(session, labels)["segmentation"] == job.output.name
    session.segmentations.delete(job.output.name)
    assert session.segmentations.records() == []


def test_a_boundary_map_that_is_gone_leaves_the_image(session: Session, labels: Path, tissue: Tissue) -> None:
    boundaries = write(labels.with_name("b.h5"), np.ones(WHOLE.shape, np.float32))
    bring_in(session, labels, boundaries=boundaries)
    boundaries.unlink()
    session.proofreader.reopen(lambda: None)
    document = session.proofreader.document
    assert document is not None
    assert 0 < document.boundary(WHOLE).mean() < 1


def test_refusals_come_before_anything_is_written(session: Session, labels: Path, tmp_path: Path) -> None:
    with pytest.raises(VolumeError, match="There is no file"):
        session.jobs.import_segmentation_job(tmp_path / "gone.tif")
    with pytest.raises(InvalidInput, match="mapped to an id"):
        session.jobs.import_segmentation_job(labels, transform=LabelTransform(values={1: "mito"}))
    with pytest.raises(InvalidInput, match="0 is no object"):
        session.jobs.import_segmentation_job(labels, transform=LabelTransform(dense=True))
    with pytest.raises(InvalidInput, match=r"lie within|do not lie|beyond"):
        session.jobs.import_segmentation_job(labels, transform=LabelTransform(offset=(9, 0, 0)))
    assert not (session.folder / "volumes/v1/segments").exists()
    halves = write(tmp_path / "f.h5", np.full(WHOLE.shape, 0.5, np.float32))
    with InlineRunner() as runner:
        end = session.jobs.run(session.jobs.import_segmentation_job(halves), runner).wait()
    assert isinstance(end, Failed)
    assert "must be whole numbers" in end.message
    negative = write(tmp_path / "n.h5", np.full(WHOLE.shape, -3, np.int16))
    with InlineRunner() as runner:
        end = session.jobs.run(session.jobs.import_segmentation_job(negative), runner).wait()
    assert isinstance(end, Failed)
    assert "hold -3" in end.message
    assert session.segmentations.records() == []
