"""What a training may see: annotations outside the held-out boxes, and an image that is blank inside them."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from napari_pytc.errors import ModelError
from napari_pytc.geometry import Box, VoxelSpace
from napari_pytc.learning.data.training_data import TrainingData
from napari_pytc.learning.data.training_image import TrainingImage, pad_to
from napari_pytc.learning.data.volume_data import count_classes
from tests.support.images import MemoryImage, memory_image, one_channel
from tests.support.learning import HELD_OUT, strokes, tissue, training_data

PLAIN = one_channel(mean=0, std=1, low=-1e6, high=1e6)


def labels_with(*painted: tuple[Box, int], shape: tuple[int, int, int] = (8, 48, 48)) -> np.ndarray:
    labels = np.zeros(shape, np.uint8)
    for box, value in painted:
        labels[box.slices] = value
    return labels


INSIDE_HELD_OUT = Box((1, 2, 2), (3, 9, 9))
OUTSIDE = Box((1, 30, 30), (3, 40, 40))


def test_annotations_in_held_out_boxes_are_not_learnt_from() -> None:
    data = training_data()
    whole = Box.of_shape(data.source.shape)
    seen = data.labels(whole)
    assert not seen[HELD_OUT.slices].any()
    expected = strokes(tissue())
    assert expected[HELD_OUT.slices].any()
    expected[HELD_OUT.slices] = 0
    assert np.array_equal(seen, expected)
    assert np.array_equal(data.annotations.read(whole), strokes(tissue()))
    counted = np.sum([chunk.counts for chunk in data.chunks], axis=0)
    assert counted.tolist() == [int((expected == 1).sum()), int((expected == 2).sum())]


def test_held_out_boxes_that_cover_all_strokes_are_reported() -> None:
    data = training_data(labels=labels_with((INSIDE_HELD_OUT, 1)))
    with pytest.raises(ModelError, match="All annotated voxels lie in held-out boxes") as caught:
        TrainingData.of(data).check()
    assert "outside" in caught.value.hint


def test_no_strokes_at_all_are_reported() -> None:
    with pytest.raises(ModelError, match="at least two classes, got none"):
        TrainingData.of(training_data(labels=labels_with())).check()


def test_erased_strokes_are_not_said_to_be_held_out() -> None:
    data = training_data(labels=labels_with((OUTSIDE, 1)))
    written = data.annotations.chunks()
    data.annotations.paint(OUTSIDE, 0)
    data.annotations.chunks = lambda: written  # a store keeps chunks whose labels were erased
    with pytest.raises(ModelError, match="at least two classes, got none"):
        TrainingData.of(data).check()


def test_one_class_cannot_be_learnt() -> None:
    with pytest.raises(ModelError, match="at least two classes, got membrane") as caught:
        TrainingData.of(training_data(labels=labels_with((OUTSIDE, 1)))).check()
    assert "membrane, inside" in caught.value.hint


def test_a_class_without_strokes_is_reported() -> None:
    data = training_data(classes=("membrane", "inside", "synapse"))
    assert TrainingData.of(data).check() == ["Class 'synapse' has no strokes to learn from: it will not be predicted."]
    assert TrainingData.of(training_data()).check() == []


@pytest.mark.parametrize("where", [OUTSIDE, INSIDE_HELD_OUT])
def test_a_class_value_beyond_the_list_is_reported(where: Box) -> None:
    labels = strokes(tissue())
    labels[where.slices] = 7
    with pytest.raises(ModelError, match="hold the value 7, but there are 2 classes") as caught:
        TrainingData.of(training_data(labels=labels)).check()
    assert caught.value.hint


def test_a_class_added_while_the_training_runs_is_ignored() -> None:
    data = training_data()
    TrainingData.of(data).check()
    data.annotations.paint(OUTSIDE, 3)
    assert not data.labels(OUTSIDE).any()


def test_classes_are_counted() -> None:
    assert count_classes(np.array([[0, 2, 2, 3]], np.uint8), 4) == (0, 2, 1, 0)


def test_scored_tiles_are_held_out_and_annotated() -> None:
    held = [HELD_OUT, Box((0, 40, 40), (99, 99, 99))]
    data = training_data(held_out=held, labels=labels_with((INSIDE_HELD_OUT, 1), (Box((7, 47, 47), (8, 48, 48)), 2)))
    tiles = data.scored_tiles((4, 8, 8))
    whole = Box.of_shape(data.source.shape)
    assert all(any(box.intersect(whole).contains(tile) for box in held) for tile in tiles)
    scored = sum(int((data.annotations.read(tile) > 0).sum()) for tile in tiles)
    assert scored == INSIDE_HELD_OUT.size + 1


def test_a_held_out_box_outside_of_the_volume_changes_nothing() -> None:
    data = training_data(held_out=[Box((90, 90, 90), (95, 95, 95))])
    assert data.scored_tiles((4, 8, 8)) == []
    assert np.array_equal(data.labels(Box.of_shape((8, 48, 48))), strokes(tissue()))


@settings(max_examples=30)
@given(
    shape=st.tuples(st.integers(1, 5), st.integers(1, 9), st.integers(1, 9)),
    start=st.tuples(st.integers(-12, 8), st.integers(-20, 12), st.integers(-20, 12)),
    lengths=st.tuples(st.integers(1, 12), st.integers(1, 30), st.integers(1, 30)),
)
def test_a_patch_is_the_mirrored_volume_with_held_out_voxels_blank(shape, start, lengths) -> None:
    raw = np.random.default_rng(0).integers(1, 200, shape).astype(np.uint8)
    hidden = Box((0, 0, 0), (1, 2, 2))
    image = TrainingImage(memory_image(raw), PLAIN, [hidden], cache_bytes=0)
    image._block = (2, 4, 4)
    box = Box.at(start, lengths)
    found = image.read(box)
    assert found.dtype == np.float32
    inside = box.intersect(Box.of_shape(shape))
    if inside.is_empty:
        assert not found.any()
        return
    blanked = raw.astype(np.float32)
    blanked[hidden.intersect(Box.of_shape(shape)).slices] = 0
    width = [(a - b, d - c) for a, b, c, d in zip(inside.start, box.start, inside.stop, box.stop, strict=True)]
    assert np.array_equal(found[0], np.pad(blanked[inside.slices], width, "symmetric"))


def test_the_image_keeps_few_blocks() -> None:
    class Counting(MemoryImage):
        n_reads = 0

        def read(self, box: Box) -> np.ndarray:
            self.n_reads += 1
            return super().read(box)

    source = Counting(np.zeros((1, 1, 128 * 9, 128), np.uint8))
    image = TrainingImage(source, PLAIN, cache_bytes=8 * 128**2)
    for _ in range(2):
        image.read(Box((0, 0, 0), (1, 256, 128)))
    assert source.n_reads == 2
    for y in range(9):
        image.read(Box.at((0, 128 * y, 0), (1, 128, 128)))
    assert source.n_reads == 9
    image.read(Box((0, 0, 0), (1, 128, 128)))
    assert source.n_reads == 10


def test_voxels_that_are_no_numbers_become_the_mean() -> None:
    raw = np.full((2, 4, 4), 3.0, np.float32)
    raw[0, 0, 0], raw[1, 1, 1], raw[1, 2, 2] = np.nan, np.inf, -np.inf
    image = TrainingImage(memory_image(raw), one_channel(mean=1, std=2, low=0, high=9))
    (found,) = image.read(Box.of_shape(raw.shape))
    assert np.isfinite(found).all()
    assert found[0, 0, 0] == found[1, 1, 1] == found[1, 2, 2] == 0
    assert found[0, 1, 1] == 1


def test_labels_are_padded_with_nothing() -> None:
    labels = np.ones((1, 2, 2), np.uint8)
    padded = pad_to(labels, Box((0, 0, 0), (1, 2, 2)), Box((-1, 0, -2), (2, 2, 3)), "zero")
    assert padded.shape == (3, 2, 5)
    assert padded.sum() == 4


def test_the_job_names_what_is_opened(tmp_path) -> None:
    from napari_pytc.annotations.paint_store import PaintStore
    from napari_pytc.plans.specs import ModelOutput, TrainJob, VolumeInputs
    from napari_pytc.volumes.spec import NpySpec
    from tests.support.learning import tiny_plan

    of = tissue()
    np.save(tmp_path / "raw.npy", of.raw)
    store = PaintStore.create(tmp_path / "a.zarr", of.raw.shape, of.space)
    store.write(Box.of_shape(of.raw.shape), strokes(of))
    job = TrainJob(
        inputs=(
            VolumeInputs(
                volume=NpySpec(path=tmp_path / "raw.npy"),
                space=VoxelSpace((40, 10, 10)),
                annotations=tmp_path / "a.zarr",
                held_out=(HELD_OUT,),
            ),
        ),
        classes=("membrane", "inside"),
        plan=tiny_plan(),
        output=ModelOutput(model_folder=tmp_path / "m", run_folder=tmp_path / "r"),
    )
    (data,) = TrainingData.open(job).volumes
    assert data.space == VoxelSpace((40, 10, 10))
    assert np.array_equal(data.source.read(Box.of_shape(of.raw.shape)), of.raw[None])
    assert [c.counts for c in data.chunks]
    assert [c.counts for c in data.chunks]
    assert TrainingData.of(data).check() == []
