"""Placement of labels: where files say, rounded, refused, resampled, always told."""

from __future__ import annotations

import numpy as np
import pytest

from napari_pytc.annotations.label_source import ArrayLabels
from napari_pytc.annotations.label_transform import LabelTransform
from napari_pytc.annotations.placement import place_labels
from napari_pytc.errors import InvalidInput
from napari_pytc.geometry import Box, VoxelSpace

IMAGE = (12, 64, 64)
SPACE = VoxelSpace((40, 4, 4))


def test_labels_lie_where_the_origins_say():
    placed = place_labels((4, 32, 32), VoxelSpace((40, 4, 4), (160, 64, 64)), IMAGE, SPACE)
    assert placed.box == Box((4, 16, 16), (8, 48, 48))
    assert placed.notes == ()
    moved = VoxelSpace((40, 4, 4), (80, 40, 0))
    placed = place_labels((4, 32, 32), VoxelSpace((40, 4, 4), (160, 64, 64)), IMAGE, moved)
    assert placed.box.start == (2, 6, 16)


def test_an_offset_goes_before_the_file_and_says_so():
    space = VoxelSpace((40, 4, 4), (160, 64, 64))
    placed = place_labels((4, 32, 32), space, IMAGE, SPACE, offset=(0, 1, 2))
    assert placed.box.start == (0, 1, 2)
    assert "begin at voxel 4,16,16" in placed.notes[0]
    assert "put at 0,1,2" in placed.notes[0]
    assert place_labels((4, 32, 32), space, IMAGE, SPACE, offset=(4, 16, 16)).notes == ()


@pytest.mark.parametrize("space", [VoxelSpace.unknown(), SPACE])
def test_labels_without_a_place_begin_at_the_first_voxel_and_a_note_says_so(space: VoxelSpace):
    image_space = VoxelSpace((40, 4, 4), (400, 40, 40))
    placed = place_labels((4, 32, 32), space, IMAGE, image_space)
    assert placed.box.start == (0, 0, 0)
    assert "do not say where they lie" in placed.notes[0]
    assert "--offset" in placed.notes[0]
    assert place_labels(IMAGE, space, IMAGE, image_space).notes == ()


def test_an_origin_of_0_counts_where_the_image_lies_around_it():
    around = VoxelSpace((40, 4, 4), (-80, -40, -4))
    placed = place_labels((4, 32, 32), SPACE, IMAGE, around)
    assert placed.box.start == (2, 10, 1)
    assert "have the origin 0, or say none" in placed.notes[0]
    assert place_labels(IMAGE, SPACE, IMAGE, around).box.start == (0, 0, 0)
    assert place_labels((4, 32, 32), VoxelSpace.unknown(), IMAGE, around).box.start == (0, 0, 0)


def test_a_place_between_voxels_is_rounded_and_told():
    placed = place_labels((4, 32, 32), VoxelSpace((40, 4, 4), (40, 65.2, 64)), IMAGE, SPACE)
    assert placed.box.start == (1, 16, 16)
    assert "1,16.3,16" in placed.notes[0]
    assert "0.3 of a voxel" in placed.notes[0]
    assert place_labels((4, 32, 32), VoxelSpace((40, 4, 4), (40, 64.04, 64)), IMAGE, SPACE).notes == ()


def test_other_voxel_sizes_are_refused_with_both():
    with pytest.raises(InvalidInput, match=r"80 x 8 x 8 nm.*40 x 4 x 4 nm") as caught:
        place_labels((6, 32, 32), VoxelSpace((80, 8, 8)), IMAGE, SPACE)
    assert "--resample" in caught.value.hint
    with pytest.raises(InvalidInput, match=r"40 x 4\.1 x 4 nm"):
        place_labels(IMAGE, VoxelSpace((40, 4.1, 4)), IMAGE, SPACE)
    with pytest.raises(InvalidInput) as caught:
        place_labels(IMAGE, VoxelSpace((80, 8, 8)), IMAGE, SPACE)
    assert "as many as the image's" in caught.value.hint
    assert place_labels(IMAGE, VoxelSpace((40, 4.001, 4)), IMAGE, SPACE).indices is None


def test_the_thickness_of_a_single_section_does_not_matter():
    assert place_labels((1, 64, 64), VoxelSpace((4, 4, 4)), IMAGE, SPACE, (3, 0, 0)).box.start == (3, 0, 0)


@pytest.mark.parametrize("factor", [2, 3])
def test_coarse_labels_cover_what_they_were_made_of(factor: int):
    fine = np.random.default_rng(0).integers(0, 5, (4, 5, 6)).astype(np.uint8)
    fine = np.kron(fine, np.ones((factor, factor, factor), np.uint8))
    coarse = fine[::factor, ::factor, ::factor]
    size = (40.0 * factor, 4.0 * factor, 4.0 * factor)
    centre = tuple(s * (factor - 1) / 2 / factor for s in size)
    for origin in ((0, 0, 0), centre):  # as CREMI has it, and as OME-Zarr
        placed = LabelTransform(resample=True).place(ArrayLabels(coarse, VoxelSpace(size, origin)), fine.shape, SPACE)
        assert placed.box == Box.of_shape(fine.shape)
        assert np.array_equal(placed.read(placed.box), fine)
        part = Box((1, 2, 3), (4, 7, 8))
        assert np.array_equal(placed.read(part), fine[part.slices])
        assert placed.read(Box((1, 1, 1), (1, 2, 2))).shape == (0, 1, 1)
        assert "nearest" in placed.placement.notes[-1]


def test_coarse_labels_with_an_origin_and_finer_ones():
    fine = np.random.default_rng(1).integers(0, 5, (4, 4, 4)).astype(np.uint8)
    whole = np.kron(fine, np.ones((1, 2, 2), np.uint8))
    labels = ArrayLabels(fine, VoxelSpace((40, 8, 8), (80, 16, 24)))
    placed = LabelTransform(resample=True).place(labels, IMAGE, SPACE)
    assert placed.box == Box((2, 4, 6), (6, 12, 14))
    assert np.array_equal(placed.read(placed.box), whole)
    labels = ArrayLabels(whole, VoxelSpace((40, 2, 2), (0, 0, 0)))
    placed = LabelTransform(resample=True).place(labels, (4, 4, 4), SPACE)
    assert np.array_equal(placed.read(placed.box), fine)


def test_a_coarse_voxel_may_reach_over_the_edge_of_the_image():
    placed = place_labels((6, 33, 33), VoxelSpace((80, 8, 8)), (11, 65, 66), SPACE, resample=True)
    assert placed.box == Box.of_shape((11, 65, 66))
    assert placed.notes[0].startswith("The labels' voxels of 80 x 8 x 8 nm were resampled")


def test_what_lies_in_the_image_is_taken_of_labels_that_reach_beyond_it():
    labels = np.random.default_rng(0).integers(0, 5, (9, 70, 70)).astype(np.uint8)
    source = ArrayLabels(labels, VoxelSpace((40, 4, 4), (-80, -12, 4)))
    placed = LabelTransform().place(source, IMAGE, SPACE)
    assert (placed.box, placed.placement.start) == (Box((0, 0, 1), (7, 64, 64)), (-2, -3, 1))
    assert np.array_equal(placed.read(placed.box), labels[2:, 3:67, :63])
    assert np.array_equal(placed.read(Box((1, 2, 3), (2, 4, 6))), labels[3:4, 5:7, 2:5])
    assert "reach beyond the image" in placed.placement.notes[0]
    coarse = ArrayLabels(labels, VoxelSpace((40, 8, 8), (-80, -16, 8)))
    placed = LabelTransform(resample=True).place(coarse, IMAGE, SPACE)
    assert placed.box == Box((0, 0, 2), (7, 64, 64))
    expected = np.kron(labels, np.ones((1, 2, 2), np.uint8))[2:, 4:68, :62]
    assert np.array_equal(placed.read(placed.box), expected)


@pytest.mark.parametrize("origin", [(0, 0, 256), (-160, 0, 0), (480, 0, 0)])
def test_labels_beyond_the_image_are_refused_with_their_box(origin: tuple[float, float, float]):
    with pytest.raises(InvalidInput, match=r"do not lie within the volume of 12 x 64 x 64: they would fill") as caught:
        place_labels((4, 32, 32), VoxelSpace((40, 4, 4), origin), IMAGE, SPACE)
    assert "--offset" in caught.value.hint


@pytest.mark.parametrize("space", [VoxelSpace.unknown(), SPACE])
def test_labels_larger_than_the_image_need_a_place(space: VoxelSpace):
    with pytest.raises(InvalidInput, match="do not lie within"):
        place_labels((13, 64, 64), space, IMAGE, SPACE)


def test_an_offset_may_not_lead_beyond_the_image():
    with pytest.raises(InvalidInput, match="at offset 9,0,0 do not lie within"):
        place_labels((4, 32, 32), SPACE, IMAGE, SPACE, offset=(9, 0, 0))


def test_an_offset_is_three_numbers():
    with pytest.raises(InvalidInput, match="three voxels"):
        place_labels((4, 32, 32), SPACE, IMAGE, SPACE, offset=(1, 2))


def test_values_are_read_as_the_command_line_has_them():
    assert LabelTransform.parse_values("0=background, 255 = mito,7=2,-1=0") == {
        0: "background",
        255: "mito",
        7: 2,
        -1: 0,
    }
    assert LabelTransform.parse_values(None) == {}
    for text in ("mito=255", "1", "1=", "=a", "1=a,"):
        with pytest.raises(InvalidInput, match="VALUE=CLASS"):
            LabelTransform.parse_values(text)
    with pytest.raises(InvalidInput, match="twice"):
        LabelTransform.parse_values("1=a,1=b")


def test_an_offset_of_resampled_labels_is_where_it_says():
    labels = ArrayLabels(np.ones((4, 4, 4), np.uint8), VoxelSpace((20, 20, 20)))
    for start in (1, 2, 3):
        transform = LabelTransform(resample=True, offset=(start, start, start))
        assert transform.place(labels, (16, 16, 16), VoxelSpace((10, 10, 10))).box == Box.at([start] * 3, [8] * 3)


def test_a_value_has_one_meaning():
    labels = ArrayLabels(np.ones(IMAGE, np.uint8), SPACE)
    transform = LabelTransform(values={1: "mito", 255: "background"}, ignored=(255,))
    with pytest.raises(InvalidInput, match="value 255 is mapped to background and ignored") as caught:
        transform.place(labels, IMAGE, SPACE)
    assert "--map or --ignore-value" in caught.value.hint
    with pytest.raises(InvalidInput, match="value 255"):
        LabelTransform(values={255: "background"}, ignored=(255,)).mapped_ids()


def test_an_origin_of_0_that_a_file_says_is_a_place():
    said = VoxelSpace((40, 4, 4), (0, 0, 0), is_placed=True)
    placed_image = VoxelSpace((40, 4, 4), is_placed=True)
    assert place_labels((4, 32, 32), said, IMAGE, placed_image).notes == (), "nothing is assumed"
    around = VoxelSpace((40, 4, 4), (-80, -40, -4))
    placed = place_labels((4, 32, 32), said, IMAGE, around)
    assert (placed.box.start, placed.notes) == ((2, 10, 1), ())
    beyond = place_labels((12, 60, 60), said, IMAGE, around)
    assert beyond.box == Box((2, 10, 1), (12, 64, 61))
    assert "reach beyond the image" in beyond.notes[0]


def test_labels_as_large_as_the_image_with_an_origin_of_0_are_put_on_it_and_told():
    said = VoxelSpace((40, 4, 4), (0, 0, 0), is_placed=True)
    placed = place_labels(IMAGE, said, IMAGE, VoxelSpace((40, 4, 4), (400, 40, 40)))
    assert placed.box == Box.of_shape(IMAGE)
    assert "says the origin 0, which is voxel -10,-10,-10" in placed.notes[0]
    assert place_labels(IMAGE, said, IMAGE, SPACE).notes == ()
