"""Strokes and object labels on voxels of another size."""

from __future__ import annotations

import numpy as np
import pytest

from napari_pytc.geometry import Box
from napari_pytc.learning.data.resampled_labels import ResampledAnnotations, ResampledLabels
from napari_pytc.volumes.resampling import ResampledGrid
from tests.support.annotations import MemoryAnnotations
from tests.support.learning import MemoryObjects

SHAPE = (4, 48, 48)
FINE, COARSE = (10.0, 10.0, 10.0), (10.0, 20.0, 20.0)


def strokes() -> np.ndarray:
    labels = np.zeros(SHAPE, np.uint8)
    labels[1, 5, 3:40] = 1  # one voxel wide
    labels[2, 30:40, 30:40] = 2
    return labels


@pytest.mark.parametrize("wanted", [COARSE, (10.0, 5.0, 5.0), (20.0, 10.0, 10.0)], ids=["coarser", "finer", "thicker"])
def test_any_box_is_a_part_of_the_whole(wanted: tuple[float, float, float]) -> None:
    source = MemoryAnnotations(strokes())
    labels = ResampledLabels(source, ResampledGrid.of(SHAPE, FINE, wanted))
    whole = labels.read(Box.of_shape(labels.shape))
    assert set(np.unique(whole)) == {0, 1, 2}
    for box in (Box((0, 3, 5), (2, 20, 21)), Box((1, 11, 0), (2, 12, 24))):
        assert np.array_equal(labels.read(box), whole[box.slices])


def test_a_thin_stroke_stays_on_coarser_voxels() -> None:
    labels = ResampledLabels(MemoryAnnotations(strokes()), ResampledGrid.of(SHAPE, FINE, COARSE))
    assert labels.shape == (4, 24, 24)
    assert (labels.read(Box((1, 2, 2), (2, 3, 20))) == 1).all()


def test_chunks_cover_every_label() -> None:
    labels = ResampledLabels(MemoryAnnotations(strokes()), ResampledGrid.of(SHAPE, FINE, COARSE))
    whole = labels.read(Box.of_shape(labels.shape))
    covered = np.zeros(labels.shape, bool)
    for chunk in labels.chunks():
        assert not covered[chunk.box.slices].any(), "chunks are disjoint"
        covered[chunk.box.slices] = True
    assert covered[whole > 0].all()


def test_a_chunk_changed_when_the_latest_below_it_did() -> None:
    source = MemoryAnnotations(strokes(), chunk_shape=(4, 24, 24), changed={(0, 0, 0): 3.0, (0, 24, 24): 8.0})
    (chunk,) = ResampledLabels(source, ResampledGrid.of(SHAPE, FINE, COARSE)).chunks()
    assert chunk.changed == 8.0


def test_nothing_is_read_of_an_empty_box_and_nothing_there_is_of_no_labels() -> None:
    objects = MemoryObjects(np.zeros(SHAPE, np.uint32))
    labels = ResampledLabels(objects, ResampledGrid.of(SHAPE, FINE, COARSE))
    assert labels.read(Box((1, 1, 1), (1, 4, 4))).shape == (0, 3, 3)
    assert objects.was_read == []
    assert labels.chunks() == []


def test_ids_keep_their_type_and_values() -> None:
    ids = np.zeros(SHAPE, np.uint32)
    ids[:, 8:16, 8:16] = 4_000_000_000
    labels = ResampledLabels(MemoryObjects(ids), ResampledGrid.of(SHAPE, FINE, COARSE))
    found = labels.read(Box.of_shape(labels.shape))
    assert found.dtype == np.uint32
    assert np.array_equal(found, ids[:, ::2, ::2])


def test_strokes_tell_their_revision() -> None:
    source = MemoryAnnotations(strokes())
    labels = ResampledAnnotations(source, ResampledGrid.of(SHAPE, FINE, COARSE))
    assert labels.revision == 0
    source.paint(Box((0, 0, 0), (1, 4, 4)), 2)
    assert labels.revision == 1
    assert (labels.read(Box((0, 0, 0), (1, 2, 2))) == 2).all()
