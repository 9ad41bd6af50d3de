from __future__ import annotations

import numpy as np
import pytest

from napari_pytc.errors import InvalidEdit, InvalidInput
from napari_pytc.geometry import Box
from napari_pytc.labels.region_graph import contact_edges
from napari_pytc.labels.segmentation import Segmentation
from napari_pytc.labels.store import LabelStore
from napari_pytc.proofreading.document import LabelDocument
from napari_pytc.proofreading.edits import Delete, Lock, Merge, Paint, Scribble, SetClass
from tests.support.segmentations import SegmentedTissue, make_segmentation

BOX = Box((1, 2, 3), (4, 12, 13))


def edited(document: LabelDocument) -> LabelDocument:
    ids = document.segment_ids().tolist()
    for edit in (Merge(segments=ids[:2]), Delete(segments=ids[2:3]), Lock(segments=ids[3:4]),
                 SetClass(segments=ids[4:5], class_id=1), Paint.of(BOX, np.ones(BOX.shape, bool), 0)):  # fmt: skip
        document.apply(edit.plan(document))
    return document


def test_it_shows_what_was_decoded(made: SegmentedTissue, document: LabelDocument):
    whole = Box.of_shape(document.shape)
    assert np.array_equal(document.supervoxels(whole), made.supervoxels)
    assert np.array_equal(document.segments(whole), made.segments)
    assert document.segment_ids().tolist() == np.unique(made.segments[made.segments > 0]).tolist()
    for segment in document.segment_ids()[:5].tolist():
        places = np.argwhere(made.segments == segment)
        assert document.size(segment) == len(places)
        assert document.box(segment) == Box(tuple(places.min(axis=0)), tuple(places.max(axis=0) + 1))
        assert document.members(segment).tolist() == np.unique(made.supervoxels[made.segments == segment]).tolist()
        assert document.segment_at(places[0]) == segment
        assert document.supervoxel_at(places[0]) == made.supervoxels[tuple(places[0])]
    assert document.segment_at((-1, 0, 0)) == document.segment_at((0, 0, 999)) == 0
    assert document.next_id == len(made.segmentation.segments)
    assert np.array_equal(document.boundary(BOX), made.boundary.array[BOX.slices])
    some = np.arange(20, dtype=np.uint32)
    assert np.array_equal(document.edges_within(some).edges, made.segmentation.graph.edges[document.graph.within(some)])


@pytest.mark.parametrize("cache_bytes", [0, 2**28])
def test_what_was_flushed_is_there_again(made: SegmentedTissue, document: LabelDocument, cache_bytes: int):
    whole = Box.of_shape(document.shape)
    edited(document).flush(17)
    again = LabelDocument(Segmentation.open(made.segmentation.folder), made.boundary, cache_bytes=cache_bytes)
    assert again.log_index == 17
    assert again.checksum() == again.present_checksum() == document.checksum()
    assert np.array_equal(again.segments(whole), document.segments(whole))
    assert again.noted_segments() == document.noted_segments()
    assert again.next_id == document.next_id
    for segment in document.segment_ids().tolist():
        assert again.state(segment) == document.state(segment)
        assert again.size(segment) == document.size(segment)
        assert again.box(segment) == document.box(segment)
    assert again.dirty_bytes == 0


def test_the_files_of_the_decode_are_never_written_to(made: SegmentedTissue, document: LabelDocument):
    folder = made.segmentation.folder
    before = {path: path.read_bytes() for path in folder.rglob("*") if path.is_file() and "edits" not in str(path)}
    edited(document).flush(1)
    assert {path: path.read_bytes() for path in before} == before


def test_a_checksum_sees_every_damaged_voxel(document: LabelDocument):
    edited(document).flush(1)
    assert document.checksum() == document.present_checksum()
    store = LabelStore.open(document.folder / "edits.zarr")
    box = Box((2, 5, 5), (3, 6, 6))
    store.write(box, store.read(box) + np.uint32(1))
    again = LabelDocument(Segmentation.open(document.segmentation.folder))
    assert again.checksum() != again.present_checksum()


def test_without_a_boundary_map_no_voxel_is_one(made: SegmentedTissue):
    document = LabelDocument(made.segmentation)
    assert not document.boundary(BOX).any()
    assert document.boundary(BOX).dtype == np.float32


def test_strokes_are_no_business_of_a_segmentation(document: LabelDocument, made: SegmentedTissue):
    class Strokes:
        shape = document.shape

        def labels(self, box: Box) -> np.ndarray:
            return np.zeros(box.shape, np.uint8)

    change = Scribble.of(BOX, np.ones(BOX.shape, np.uint8)).plan(Strokes())
    with pytest.raises(InvalidInput, match="takes changes of segments"):
        document.apply(change)


def test_decoded_classes_are_those_of_most_voxels(tmp_path):
    made = make_segmentation(tmp_path / "a", n_cells=6, classes=("axon", "dendrite"))
    document = LabelDocument(made.segmentation)
    assert document.class_names == ("axon", "dendrite")
    for segment in document.segment_ids().tolist():
        counts = np.bincount(made.segmentation.classes[made.supervoxels[made.segments == segment]])
        assert counts[document.state(segment).class_id] == counts.max()
    with pytest.raises(InvalidEdit, match="no class 3"):
        SetClass(segments=(1,), class_id=3).plan(document)


def test_a_read_only_folder_gets_no_file(made: SegmentedTissue):
    before = sorted(path.name for path in made.segmentation.folder.iterdir())
    document = edited(LabelDocument(made.segmentation, writable=False))
    assert document.checksum() == document.present_checksum()
    assert sorted(path.name for path in made.segmentation.folder.iterdir()) == before


def test_contacts_that_were_looked_for_once_are_those_of_the_voxels_after_every_edit(
    made: SegmentedTissue, document: LabelDocument
):
    everything = np.arange(1, document.next_id + 40, dtype=np.uint32)
    rng = np.random.default_rng(0)
    for _ in range(12):
        start = [int(rng.integers(0, n - 2)) for n in document.shape]
        box = Box.at(start, (2, 6, 6)).intersect(Box.of_shape(document.shape))
        segment = int(rng.choice(document.segment_ids()))
        try:
            change = Paint.of(box, np.ones(box.shape, bool), int(rng.choice([0, segment]))).plan(document)
        except InvalidEdit:
            continue
        document.apply(change)
        found = document.edges_within(everything)
        fresh = contact_edges(document.supervoxels(Box.of_shape(document.shape)))
        np.testing.assert_array_equal(found.edges, fresh.edges)
        np.testing.assert_array_equal(found.contacts, fresh.contacts)
        if rng.random() < 0.3:
            document.apply(change.inverse())
            again = contact_edges(document.supervoxels(Box.of_shape(document.shape)))
            np.testing.assert_array_equal(document.edges_within(everything).edges, again.edges)


def test_contacts_are_read_once_for_many_cuts(made: SegmentedTissue, document: LabelDocument):
    document.apply(Paint.of(BOX, np.ones(BOX.shape, bool), 0).plan(document))
    everything = np.arange(1, document.next_id, dtype=np.uint32)
    first = document.edges_within(everything)
    made.boundary.array[:] = 0.25  # what is kept does not look at it again
    again = document.edges_within(everything)
    np.testing.assert_array_equal(first.scores, again.scores)
    document.apply(Paint.of(BOX.shift((0, 1, 1)), np.ones(BOX.shape, bool), 0).plan(document))
    assert 0.75 in document.edges_within(everything).scores
