"""Whatever a decoder drops, joins or leaves out is told with the setting that decides it."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from napari_pytc.decoding import (
    AgglomerationDecoder,
    BcdWatershedDecoder,
    ComponentsDecoder,
    DecoderSettings,
    MulticutDecoder,
    MutexWatershedDecoder,
    WatershedDecoder,
)
from napari_pytc.decoding.jobs import SegmentJob
from napari_pytc.decoding.notes import BlockCounts, DecodingNotes, is_on_grouping
from napari_pytc.geometry import Box, VoxelSpace
from napari_pytc.labels.segmentation import Segmentation, read_record
from napari_pytc.proofreading.document import LabelDocument
from napari_pytc.proofreading.edits import parse_edit
from napari_pytc.volumes.channels import BoundaryRole, ClassRole
from tests.support.contexts import RecordingContext
from tests.support.evidence import prediction_of, write_prediction

SPACE = VoxelSpace((4, 4, 4))
SQUARES = np.kron(np.arange(1, 13).reshape(1, 3, 4), np.ones((1, 16, 16), int)).astype(np.uint32)
"""Twelve cells of 256 pixels, 64 nm wide, in a single section."""


def run(prediction: Path, output: Path, decoder: DecoderSettings, **fields) -> tuple[dict, RecordingContext]:
    ctx = RecordingContext()
    return SegmentJob(prediction=prediction, decoder=decoder, output=output, **fields).run(ctx), ctx


def walls() -> np.ndarray:
    """Walls of three pixels around the cells of `SQUARES`; float32 (1, y, x)."""
    y, x = np.ogrid[:48, :64]
    return ((y % 16 == 0) | (x % 16 == 0) | (y % 16 == 15) | (x % 16 == 15)).astype(np.float32)[None]


@pytest.fixture
def flat(tmp_path: Path) -> Path:
    """Membranes of the twelve cells."""
    boundary = walls()
    roles = (ClassRole(name="membrane"), ClassRole(name="inside"))
    return write_prediction(tmp_path / "flat.zarr", np.stack([boundary, 1 - boundary]), roles, SPACE)


@pytest.mark.parametrize(
    "decoder",
    [AgglomerationDecoder(), MulticutDecoder(), ComponentsDecoder(), WatershedDecoder(seed_distance_um=0.03)],
)
def test_the_cells_of_a_single_section_are_found(tmp_path: Path, flat: Path, decoder: DecoderSettings) -> None:
    result, _ = run(flat, tmp_path / "s", decoder)
    assert result["n_segments"] == 12
    assert result["notes"] == []


def test_a_filter_that_drops_everything_says_so(tmp_path: Path, flat: Path) -> None:
    decoder = ComponentsDecoder(object_class="inside", smallest_um2=0.1)
    result, ctx = run(flat, tmp_path / "s", decoder)
    assert result["n_segments"] == 0
    (note,) = result["notes"]
    assert note.startswith("All 12 objects are smaller than smallest_um2=0.1 µm² (6250 voxels) and were dropped")
    assert list(read_record(tmp_path / "s").notes) == [note]
    assert ctx.warnings == [note]


def test_segments_that_join_for_their_size_are_told(tmp_path: Path, flat: Path) -> None:
    result, _ = run(flat, tmp_path / "s", AgglomerationDecoder(smallest_um2=0.02))
    (note,) = result["notes"]
    assert "of 12 segments are smaller than smallest_um2=0.02" in note
    assert "joined a neighbour" in note


def test_in_a_volume_the_volume_counts(tmp_path: Path) -> None:
    boundary = np.repeat(walls(), 3, axis=0)
    roles = (ClassRole(name="membrane"), ClassRole(name="inside"))
    path = write_prediction(tmp_path / "p.zarr", np.stack([boundary, 1 - boundary]), roles, SPACE)
    decoder = ComponentsDecoder(object_class="inside", smallest_um3=0.1, smallest_um2=0)
    (note,) = run(path, tmp_path / "s", decoder)[0]["notes"]
    assert "smallest_um3=0.1 µm³" in note
    one = Box((1, 0, 0), (2, 48, 64))
    assert run(path, tmp_path / "one", decoder, box=one)[0]["n_segments"] == 12


def test_an_empty_prediction_is_told(tmp_path: Path) -> None:
    path = write_prediction(tmp_path / "p.zarr", np.ones((1, 2, 8, 8)), [BoundaryRole()], SPACE)
    (note,) = run(path, tmp_path / "s", ComponentsDecoder())[0]["notes"]
    assert "no object" in note


def test_voxels_that_were_not_predicted_are_told(tmp_path: Path) -> None:
    roles = (ClassRole(name="membrane"), ClassRole(name="inside"))
    boundary = np.repeat(walls(), 2, axis=0)
    channels = np.stack([boundary, 1 - boundary])
    path = write_prediction(tmp_path / "p.zarr", channels, roles, SPACE, Box((1, 0, 0), (2, 48, 64)))
    decoder = ComponentsDecoder(object_class="inside", smallest_um3=0)
    assert "50 % of the voxels were not predicted and are background." in run(path, tmp_path / "s", decoder)[0]["notes"]


def test_pieces_that_the_mutex_watershed_drops_are_told(tmp_path: Path) -> None:
    cells = np.zeros((10, 20, 20), np.uint32)
    cells[2:8, 5:15, 5:15] = 1
    path = prediction_of(tmp_path / "p.zarr", cells, SPACE, ("near", "far"), noise=0)
    notes = run(path, tmp_path / "s", MutexWatershedDecoder(fill=False, smallest_um3=1))[0]["notes"]
    assert any("touch no larger one" in note and "smallest_um3=1 " in note for note in notes)
    assert not any(
        "touch no larger" in n
        for n in run(path, tmp_path / "t", MutexWatershedDecoder(fill=False, smallest_um3=1e-5))[0]["notes"]
    )


def test_less_than_half_is_no_note() -> None:
    explain = DecodingNotes(ComponentsDecoder(), (5, 5, 5), SPACE)
    assert explain.on_dropped(np.array([False, True, True, False])) == []
    assert explain.on_dropped(np.array([False, True, False, False]))[0].startswith("2 of 3 objects")
    assert explain.on_joined(np.array([0, 1, 2, 3]), np.array([0, 1, 1, 3])) == []
    assert explain.on_blocks(BlockCounts.total([np.array([0, 0]), np.array([0, 0])], 250)) == []


def test_segments_that_join_none_and_are_dropped_are_told() -> None:
    notes = DecodingNotes(AgglomerationDecoder(smallest_um3=0.001), (4, 9, 9), VoxelSpace((10, 10, 10)))
    before, after = np.array([0, 1, 2, 3]), np.array([0, 1, 0, 0])
    (note,) = notes.on_joined(before, after)
    assert note == (
        "2 of 3 segments are smaller than smallest_um3=0.001 µm³ (1000 voxels), join no neighbour and are background; "
        "a lower join_from or drop_below keeps them."
    )
    assert is_on_grouping(note)
    assert notes.on_joined(before, np.array([0, 1, 2, 0])) == []


def test_objects_without_a_seed_are_told_apart_from_small_ones() -> None:
    notes = DecodingNotes(BcdWatershedDecoder(smallest_um3=0.001), (4, 9, 9), VoxelSpace((10, 10, 10)))
    no_seed = "objects hold no seed that is large enough and became background; weaker seed settings keep more."
    keep = np.array([False, True, True, False, True])
    assert notes.on_dropped(keep, np.array([False, True, False, False, False])) == [f"3 of 4 {no_seed}"]
    assert notes.on_dropped(keep, np.zeros(5, bool)) == [f"All 4 {no_seed}"]
    assert notes.on_dropped(keep, np.array([False, True, True, True, False])) == []
    (both, small) = notes.on_dropped(keep, np.array([False, False, False, True, False]))
    assert both == f"3 of 4 {no_seed}"
    assert small.startswith("The only object is smaller than smallest_um3=0.001")


def test_a_small_locked_segment_that_stays_is_not_told_as_dropped(tmp_path: Path, flat: Path) -> None:
    decoder = AgglomerationDecoder(smallest_um2=0)
    run(flat, tmp_path / "old", decoder)
    document = LabelDocument(Segmentation.open(tmp_path / "old"))
    document.apply(parse_edit({"kind": "lock", "segments": document.segment_ids().tolist()}).plan(document))
    document.flush(1)
    larger = AgglomerationDecoder(smallest_um2=0.02, join_from=1)
    result, _ = run(flat, tmp_path / "new", larger, keep=tmp_path / "old")
    assert result["n_segments"] == 12
    assert result["notes"] == []
