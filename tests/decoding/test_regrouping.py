"""The supervoxels of a segmentation grouped anew: the segments, and the notes on their sizes."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from napari_pytc.decoding import AgglomerationDecoder, DecoderSettings, MulticutDecoder, WatershedDecoder
from napari_pytc.decoding.jobs import SegmentJob
from napari_pytc.decoding.regrouping import group_again, repartition
from napari_pytc.errors import InvalidInput
from napari_pytc.geometry import VoxelSpace
from napari_pytc.labels.segmentation import Segmentation
from napari_pytc.volumes.channels import ClassRole
from tests.decoding.test_notes import walls
from tests.support.contexts import RecordingContext
from tests.support.evidence import write_prediction

SPACE = VoxelSpace((4, 4, 4))
TOO_LARGE = 0.02
"""A smallest area in µm² for which nearly all of the twelve cells join a neighbour."""


@pytest.fixture
def flat(tmp_path: Path) -> Path:
    """Membranes of twelve cells in a single section."""
    boundary = walls()
    roles = (ClassRole(name="membrane"), ClassRole(name="inside"))
    return write_prediction(tmp_path / "flat.zarr", np.stack([boundary, 1 - boundary]), roles, SPACE)


def segmented(flat: Path, output: Path, decoder: DecoderSettings, *notes: str) -> Segmentation:
    SegmentJob(prediction=flat, decoder=decoder, output=output, notes=notes).run(RecordingContext())
    return Segmentation.open(output)


def test_supervoxels_stay_and_segments_change(flat: Path, tmp_path: Path) -> None:
    before = segmented(flat, tmp_path / "s", AgglomerationDecoder(smallest_um2=0)).record
    record = repartition(tmp_path / "s", AgglomerationDecoder(threshold=0, smallest_um2=0))
    assert record == Segmentation.open(tmp_path / "s").record
    assert record.n_segments == 1 < before.n_segments
    assert record.checksum == before.checksum
    assert record.decoder["threshold"] == 0
    with pytest.raises(InvalidInput, match="can be grouped again"):
        repartition(tmp_path / "s", WatershedDecoder())


def test_a_note_on_joined_segments_goes_with_a_lower_size_and_others_stay(flat: Path, tmp_path: Path) -> None:
    other = "The prediction covers a part only."
    before = segmented(flat, tmp_path / "s", AgglomerationDecoder(smallest_um2=TOO_LARGE), other).record
    assert "joined a neighbour" in before.notes[1]
    record = repartition(tmp_path / "s", AgglomerationDecoder(smallest_um2=0))
    assert record.notes == (other,)
    assert record.n_segments == 12
    (again, joined) = repartition(tmp_path / "s", MulticutDecoder(smallest_um2=0.019)).notes
    assert again == other
    assert "segments are smaller than smallest_um2=0.019 µm²" in joined


def test_a_size_that_does_not_count_in_a_section_is_told(flat: Path, tmp_path: Path) -> None:
    found = segmented(flat, tmp_path / "s", AgglomerationDecoder(smallest_um2=0))
    _, notes = group_again(found, AgglomerationDecoder(smallest_um3=7))
    assert notes == ("A single section has areas, not volumes: smallest_um2 counts, and smallest_um3=7.0 is not used.",)
    assert repartition(tmp_path / "s", AgglomerationDecoder(smallest_um3=7)).notes == notes
    assert repartition(tmp_path / "s", AgglomerationDecoder()).notes == ()
