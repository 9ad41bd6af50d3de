"""Labels of other programs become a segmentation with the same voxels, ids and contacts, however they are cut."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
from PIL import Image
from scipy import ndimage

from napari_pytc.annotations.label_transform import LabelTransform
from napari_pytc.decoding.imports.boundary_map import BoundaryMap, find_boundary_map
from napari_pytc.decoding.imports.describe_import import describe_import
from napari_pytc.decoding.jobs import ImportSegmentationJob
from napari_pytc.errors import InvalidInput, VolumeError
from napari_pytc.geometry import Box, Shape, VoxelSpace
from napari_pytc.jobs.context import JobCancelled
from napari_pytc.jobs.spec import JobSpec
from napari_pytc.labels.original_ids import OriginalIds
from napari_pytc.labels.region_graph import contact_edges
from napari_pytc.labels.segmentation import Segmentation, checksum_text, digest_of
from napari_pytc.volumes.image import open_image
from napari_pytc.volumes.opening import open_volume
from tests.support.contexts import RecordingContext
from tests.support.evidence import prediction_of
from tests.support.faults import file_size_limit
from tests.support.tissue import MEMBRANE, make_tissue

SHAPE: Shape = (12, 30, 32)
WHOLE = Box.of_shape(SHAPE)
BLOCK: Shape = (5, 16, 13)
TISSUE = make_tissue(SHAPE, 9, seed=4)
SPACE = TISSUE.space
HUGE = 2**63


@pytest.fixture
def image(tmp_path: Path) -> Path:
    return write(tmp_path / "image.h5", TISSUE.raw)


def write(path: Path, array: np.ndarray, offset: Shape | None = None) -> Path:
    with h5py.File(path, "w") as file:
        file["main"] = array
        file["main"].attrs["voxel_size_nm"] = SPACE.voxel_size_nm
        if offset is not None:
            file["main"].attrs["offset"] = np.array(offset) * SPACE.voxel_size_nm
    return path


def job(labels: Path, image: Path, output: Path, **options) -> ImportSegmentationJob:
    transform = LabelTransform(**options.pop("transform", {}))
    fields = {"block_shape": BLOCK, **options}
    return ImportSegmentationJob(
        labels=open_volume(labels).spec, image=open_volume(image).spec, space=SPACE, transform=transform,
        output=output, **fields,
    )  # fmt: skip


def imported(labels: np.ndarray, image: Path, output: Path, **options) -> tuple[Segmentation, dict]:
    path = write(output.with_suffix(".h5"), labels, options.pop("offset", None))
    result = job(path, image, output, **options).run(RecordingContext())
    return Segmentation.open(output), result


def original(segmentation: Segmentation) -> np.ndarray:
    """The file's id of each voxel."""
    ids = OriginalIds.load(segmentation.folder)
    assert ids is not None
    return ids.lookup(segmentation.segments[segmentation.supervoxels.read(Box.of_shape(segmentation.shape))])


@pytest.mark.parametrize("block", [BLOCK, SHAPE, (3, 7, 9)])
def test_voxels_ids_and_tables_are_those_of_the_file(image: Path, tmp_path: Path, block: Shape) -> None:
    labels = TISSUE.cells.astype(np.uint64) * 1000 + HUGE
    spec = JobSpec.parse(
        job(write(tmp_path / "l.h5", labels), image, tmp_path / "s", block_shape=block).model_dump(mode="json")
    )
    ctx = RecordingContext()
    result = spec.run(ctx)
    found = Segmentation.open(tmp_path / "s")
    np.testing.assert_array_equal(original(found), labels)
    n = len(np.unique(labels))
    assert (result["n_segments"], found.record.n_segments) == (n, n)
    assert sorted(set(found.segments.tolist())) == list(range(n + 1))
    supervoxels = found.supervoxels.read(WHOLE)
    assert found.record.checksum == checksum_text(digest_of(supervoxels, (0, 0, 0), SHAPE))
    np.testing.assert_array_equal(found.sizes[1:], np.bincount(supervoxels.ravel(), minlength=len(found.sizes))[1:])
    for number, part in enumerate(ndimage.find_objects(supervoxels), start=1):
        assert found.boxes[number].tolist() == [s.start for s in part] + [s.stop for s in part]
        assert ndimage.label(supervoxels == number, np.ones((3, 3, 3)))[1] == 1
    assert ctx.artifacts == [("segments", WHOLE)]
    assert ctx.progress[-1][0] == ctx.progress[-1][1]
    assert not (tmp_path / "s" / "parts").exists()


def test_contacts_are_those_of_the_whole_with_the_scores_of_the_boundary_map(image: Path, tmp_path: Path) -> None:
    boundary = ndimage.gaussian_filter((TISSUE.classes == MEMBRANE).astype(np.float32), 0.7)
    path = write(tmp_path / "b.h5", np.round(boundary * 255).astype(np.uint8))
    chosen = find_boundary_map(path, SHAPE, SPACE, WHOLE)
    found, result = imported(TISSUE.cells, image, tmp_path / "s", boundaries=chosen)
    expected = contact_edges(found.supervoxels.read(WHOLE), 1 - np.round(boundary * 255).astype(np.float32) / 255)
    np.testing.assert_array_equal(found.graph.edges, expected.edges)
    np.testing.assert_array_equal(found.graph.contacts, expected.contacts)
    np.testing.assert_allclose(found.graph.scores, expected.scores, atol=1e-5)
    np.testing.assert_allclose(found.graph.places, expected.places, atol=1e-3)
    assert result["n_contacts"] == len(expected)
    assert found.record.boundaries is not None
    assert BoundaryMap.model_validate(found.record.boundaries) == chosen


def test_without_a_map_dark_ridges_of_the_image_score_the_contacts(image: Path, tmp_path: Path) -> None:
    found, _ = imported(TISSUE.cells, image, tmp_path / "s")
    halves = np.where(np.arange(SHAPE[2]) < 16, 0, 100).astype(np.uint16)
    cut, _ = imported((TISSUE.cells + halves).astype(np.uint16), image, tmp_path / "c")
    ids = OriginalIds.load(cut.folder)
    assert ids is not None
    first, second = (ids.lookup(cut.segments[cut.graph.edges[:, side]]) % 100 for side in (0, 1))
    within = cut.graph.scores[first == second]
    assert np.average(found.graph.scores, weights=found.graph.contacts) + 0.2 < np.median(within)


def test_parts_of_one_id_are_supervoxels_of_one_segment(image: Path, tmp_path: Path) -> None:
    labels = np.zeros(SHAPE, np.uint16)
    labels[2:4, 3:8, 2:30] = 7  # through several blocks
    labels[8:10, 20:25, 4:9] = 7
    labels[4, 8, 30] = 7  # touches the first over a corner only
    labels[10:12, 2:5, 2:5] = 9
    found, result = imported(labels, image, tmp_path / "s")
    assert (result["n_supervoxels"], result["n_segments"]) == (3, 2)
    assert found.segments.tolist() == [0, 1, 2, 1]
    np.testing.assert_array_equal(original(found), labels)
    assert "1 id fills separate parts, 3 parts of 2 ids" in result["notes"][0]


@pytest.mark.parametrize("gap_um", [0.0, 0.02, 0.05])
def test_segments_with_background_between_them_touch_where_the_gap_is_small_enough(
    image: Path, tmp_path: Path, gap_um: float
) -> None:
    labels = np.zeros(SHAPE, np.uint8)
    labels[:, :, :8], labels[:, :, 10:20], labels[:, :, 25:] = 1, 2, 3  # two and five voxels of 10 nm
    assert SPACE.voxel_size_nm[2] == 10
    found, result = imported(labels, image, tmp_path / "s", gap_um=gap_um)
    expected = {0.0: [], 0.02: [[1, 2]], 0.05: [[1, 2], [2, 3]]}[gap_um]
    assert found.graph.edges.tolist() == expected
    assert any("--gap" in note for note in result["notes"]) == (not expected)
    np.testing.assert_array_equal(original(found), labels)
    if expected:
        assert found.graph.contacts[0] == SHAPE[0] * SHAPE[1]


def test_values_that_are_no_ids_are_left_out_and_told(image: Path, tmp_path: Path) -> None:
    labels = TISSUE.cells.astype(np.uint64)
    labels[0], labels[1] = 2**64 - 1, 77
    found, result = imported(labels, image, tmp_path / "s", transform={"ignored": (77,)})
    shown = original(found)
    assert not shown[:2].any()
    np.testing.assert_array_equal(shown[2:], labels[2:])
    assert any("2^64-1" in note and str(30 * 32) in note for note in result["notes"])
    assert any("the value 77" in note for note in result["notes"])
    assert found.record.notes == tuple(result["notes"])


@pytest.mark.parametrize("dtype", [np.uint8, np.int32, np.uint64])
def test_values_are_taken_for_other_ids(image: Path, tmp_path: Path, dtype: type) -> None:
    labels = TISSUE.cells.astype(dtype)
    first, second, third = (int(id) for id in np.unique(labels[labels > 0])[:3])
    values = {first: 2**40, second: "background", third: first}
    found, result = imported(labels, image, tmp_path / "s", transform={"values": values})
    expected = TISSUE.cells.astype(np.uint64)
    for value, id in ((first, 2**40), (second, 0), (third, first)):
        expected[labels == value] = id
    np.testing.assert_array_equal(original(found), expected)
    assert f"{first} is {2**40}" in " ".join(result["notes"])


@pytest.mark.parametrize(
    ("transform", "match"),
    [
        ({"values": {1: "mito"}}, "1=mito"),
        ({"values": {1: -2}}, "1=-2"),
        ({"values": {1: 2}, "ignored": (1,)}, "value 1"),
    ],
)
def test_a_value_has_one_meaning_that_a_segment_can_have(
    image: Path, tmp_path: Path, transform: dict[str, Any], match: str
) -> None:
    with pytest.raises(InvalidInput, match=match):
        imported(TISSUE.cells, image, tmp_path / "s", transform=transform)


def test_negative_values_are_refused_unless_they_are_ignored(image: Path, tmp_path: Path) -> None:
    labels = TISSUE.cells.astype(np.int32)
    labels[3] = -1
    with pytest.raises(InvalidInput, match="hold -1") as refused:
        imported(labels, image, tmp_path / "s")
    assert "--ignore-value -1" in refused.value.hint
    found, result = imported(labels, image, tmp_path / "t", transform={"ignored": (-1,)})
    assert not original(found)[3].any()
    assert any("the value -1" in note for note in result["notes"])


def test_a_crop_lies_where_its_file_says(image: Path, tmp_path: Path) -> None:
    box = Box((4, 6, 8), (10, 24, 28))
    crop = TISSUE.cells[box.slices]
    found, _ = imported(crop, image, tmp_path / "s", offset=box.start)
    assert found.record.box == box
    shown = original(found)
    np.testing.assert_array_equal(shown[box.slices], crop)
    assert np.count_nonzero(shown) == np.count_nonzero(crop)
    given, _ = imported(crop, image, tmp_path / "t", transform={"offset": (0, 0, 0)})
    np.testing.assert_array_equal(original(given)[:6, :18, :20], crop)


def test_a_mask_and_nothing_at_all(image: Path, tmp_path: Path) -> None:
    found, result = imported(TISSUE.cells == 2, image, tmp_path / "s")
    assert result["n_segments"] == 1
    np.testing.assert_array_equal(original(found), TISSUE.cells == 2)
    _, result = imported(np.zeros(SHAPE, np.uint8), image, tmp_path / "t")
    assert (result["n_segments"], result["n_supervoxels"]) == (0, 0)
    assert "no id but 0" in result["notes"][0]


@pytest.mark.parametrize("checks", [1, 9, 20, 30])
def test_a_cancelled_import_goes_on_and_is_no_other(image: Path, tmp_path: Path, checks: int) -> None:
    path = write(tmp_path / "l.h5", TISSUE.cells)
    with pytest.raises(JobCancelled):
        job(path, image, tmp_path / "s").run(RecordingContext(cancel_after=checks))
    assert not (tmp_path / "s" / "segmentation.json").exists()
    result = job(path, image, tmp_path / "s").run(RecordingContext())
    whole, _ = imported(TISSUE.cells, image, tmp_path / "w")
    found = Segmentation.open(tmp_path / "s")
    assert found.record.checksum == whole.record.checksum
    np.testing.assert_array_equal(found.graph.scores, whole.graph.scores)
    assert result["n_segments"] == whole.record.n_segments


def test_a_full_disk_leaves_nothing_that_looks_finished(image: Path, tmp_path: Path) -> None:
    path = write(tmp_path / "l.h5", TISSUE.cells)
    with file_size_limit(400), pytest.raises(VolumeError):
        job(path, image, tmp_path / "s").run(RecordingContext())
    assert not (tmp_path / "s" / "segmentation.json").exists()


def test_labels_that_changed_since_are_refused(image: Path, tmp_path: Path) -> None:
    path = write(tmp_path / "l.h5", TISSUE.cells)
    with pytest.raises(VolumeError, match="changed since"):
        job(path, image, tmp_path / "s", labels_digest="0" * 64).run(RecordingContext())
    job(path, image, tmp_path / "s").run(RecordingContext())
    with pytest.raises(InvalidInput, match="already a segmentation"):
        job(path, image, tmp_path / "s").run(RecordingContext())


# ---- boundary maps


def test_a_prediction_is_a_boundary_map(image: Path, tmp_path: Path) -> None:
    cells = np.where(TISSUE.classes == MEMBRANE, 0, TISSUE.cells)
    path = prediction_of(tmp_path / "p.zarr", cells, SPACE, ("boundary",), noise=0)
    chosen = find_boundary_map(path, SHAPE, SPACE, WHOLE)
    assert chosen.prediction == path
    assert chosen.open().read(WHOLE).mean() > 0.05
    found, _ = imported(TISSUE.cells, image, tmp_path / "s", boundaries=chosen)
    assert found.graph.scores.mean() < 0.5


@pytest.mark.parametrize(
    ("dtype", "high", "full", "n_notes"),
    [(np.float32, 1.0, 1.0, 0), (np.uint8, 255, 255.0, 0), (np.uint8, 1, 1.0, 1), (np.uint16, 65535, 65535.0, 1),
     (np.uint16, 255, 255.0, 1)],
)  # fmt: skip
def test_the_value_for_one_is_found(tmp_path: Path, dtype: type, high: float, full: float, n_notes: int) -> None:
    array = np.zeros(SHAPE, dtype)
    array[:, :, ::2] = high
    chosen = find_boundary_map(write(tmp_path / "b.h5", array), SHAPE, SPACE, WHOLE)
    assert (chosen.full, len(chosen.notes)) == (full, n_notes)
    assert chosen.open().read(WHOLE).max() == 1


def test_a_boundary_map_of_the_labels_box_lies_there(tmp_path: Path) -> None:
    box = Box((2, 3, 4), (8, 20, 20))
    chosen = find_boundary_map(write(tmp_path / "b.h5", np.ones(box.shape, np.float32)), SHAPE, SPACE, box)
    assert chosen.start == box.start
    read = chosen.open().read(WHOLE)
    assert read[box.slices].all()
    assert read.sum() == box.size


def test_what_is_no_boundary_map_is_refused(tmp_path: Path) -> None:
    values = write(tmp_path / "v.h5", np.full(SHAPE, 7, np.float32))
    with pytest.raises(InvalidInput, match="probabilities"):
        find_boundary_map(values, SHAPE, SPACE, WHOLE)
    small = write(tmp_path / "small.h5", np.ones((2, 5, 5), np.float32))
    with pytest.raises(InvalidInput, match="lies at"):
        find_boundary_map(small, SHAPE, SPACE, WHOLE)
    classes = prediction_of(tmp_path / "p.zarr", TISSUE.cells, VoxelSpace((40, 10, 10)), ("distance",), noise=0)
    assert find_boundary_map(classes, SHAPE, SPACE, WHOLE).prediction == classes


def test_labels_in_a_palette_are_its_indices(image: Path, tmp_path: Path) -> None:
    folder = tmp_path / "sections"
    folder.mkdir()
    cells = TISSUE.cells.astype(np.uint8)
    for z, section in enumerate(cells):
        page = Image.fromarray(section, "P")
        page.putpalette([v for k in range(256) for v in (255 - k, k // 2, k)])
        page.save(folder / f"s_{z:03d}.png")
    source = open_image(image)
    described = describe_import(folder, source, SPACE, tmp_path / "s")
    described.run(RecordingContext())
    np.testing.assert_array_equal(original(Segmentation.open(tmp_path / "s")), cells)
