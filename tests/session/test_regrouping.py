"""The supervoxels of a segmentation grouped otherwise: another segmentation, and nothing of the first is lost."""

from __future__ import annotations

import os

import numpy as np
import pytest

from napari_pytc.decoding.base import DecoderSettings
from napari_pytc.errors import InvalidInput
from napari_pytc.geometry import Box
from napari_pytc.labels.segmentation import Segmentation
from napari_pytc.session.regrouping import regroup
from napari_pytc.session.session import Session
from tests.session.test_segmentations import add_prediction, segment
from tests.support.tissue import Tissue


@pytest.fixture
def predicted(session: Session, tissue: Tissue) -> Session:
    add_prediction(session, tissue.cells)
    return session


def test_another_grouping_is_a_segmentation_of_its_own(predicted: Session) -> None:
    job = segment(predicted, decoder="agglomeration")
    before = Segmentation.open(job.output)
    tables = np.array(before.segments)
    decoder = job.decoder.model_copy(update={"threshold": 0.0})
    name = regroup(predicted.segmentations, job.output.name, decoder)
    assert name != job.output.name
    old, new = predicted.segmentations.records()
    assert (old.active, new.active) == (False, True)
    assert new.decoder["threshold"] == 0.0
    assert new.n_segments < old.n_segments
    assert new.n_supervoxels == old.n_supervoxels
    after = Segmentation.open(new.folder)
    whole = Box.of_shape(after.shape)
    np.testing.assert_array_equal(after.supervoxels.read(whole), before.supervoxels.read(whole))
    np.testing.assert_array_equal(Segmentation.open(job.output).segments, tables)
    assert after.record.id == name
    assert after.record.checksum == before.record.checksum
    document = predicted.proofreader.document
    assert document is not None
    assert document.id == name
    assert len(document.segment_ids()) == new.n_segments


def test_edits_stay_with_the_first_and_undo_brings_it_back(predicted: Session) -> None:
    job = segment(predicted, decoder="agglomeration")
    proofreader = predicted.proofreader
    assert proofreader.document is not None
    first = int(proofreader.document.segment_ids()[0])
    proofreader.apply({"kind": "lock", "segments": [first]})
    proofreader.flush()
    name = regroup(predicted.segmentations, job.output.name, job.decoder)
    assert proofreader.document is not None
    assert proofreader.document.noted_segments() == []
    assert not (predicted.segmentations.resolve(name) / "state.npz").exists()
    proofreader.undo()
    assert proofreader.segmentation == job.output.name
    assert proofreader.document.noted_segments() == [first]


def test_the_disk_holds_supervoxels_once_and_either_can_be_deleted(predicted: Session) -> None:
    job = segment(predicted, decoder="agglomeration")
    name = regroup(predicted.segmentations, job.output.name, job.decoder)
    folder = predicted.segmentations.resolve(name)
    chunk = next(path for path in (folder / "supervoxels.zarr" / "0" / "c").rglob("*") if path.is_file())
    if hasattr(os, "link"):
        assert chunk.stat().st_nlink == 2
    predicted.segmentations.delete(job.output.name)
    predicted.project.empty_trash()
    assert Segmentation.open(folder).supervoxels.read(Box((0, 0, 0), (2, 9, 9))).any()


def test_where_files_cannot_be_linked_they_are_copied(predicted: Session, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*arguments: object) -> None:
        raise OSError(1, "Operation not permitted")

    job = segment(predicted, decoder="agglomeration")
    monkeypatch.setattr(os, "link", refuse)
    name = regroup(predicted.segmentations, job.output.name, job.decoder)
    whole = Box.of_shape(Segmentation.open(job.output).shape)
    opened = Segmentation.open(predicted.segmentations.resolve(name))
    np.testing.assert_array_equal(opened.supervoxels.read(whole), Segmentation.open(job.output).supervoxels.read(whole))


def test_only_decoders_that_group_can_group_again(predicted: Session) -> None:
    job = segment(predicted, decoder="components", settings={"object_class": "inside"})
    with pytest.raises(InvalidInput, match="grouped again"):
        regroup(predicted.segmentations, job.output.name, DecoderSettings.parse("agglomeration"))
    assert len(predicted.segmentations.records()) == 1
    assert not [path for path in predicted.segmentations.resolve().parent.iterdir() if path.name.startswith(".tmp")]


def test_notes_on_sizes_are_those_of_the_new_grouping(predicted: Session) -> None:
    job = segment(predicted, decoder="agglomeration", settings={"smallest_um3": 0.0})
    decoder = job.decoder.model_copy(update={"smallest_um3": 10.0})
    regroup(predicted.segmentations, job.output.name, decoder)
    old, new = predicted.segmentations.records()
    assert not any("joined a neighbour" in note for note in old.notes)
    assert any("smaller than smallest_um3=10 µm³" in note for note in new.notes)
    predicted.segmentations.regroup(new.id, {"smallest_um3": 0.0})
    assert predicted.segmentations.records()[1].notes == old.notes
