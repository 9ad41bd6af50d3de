"""Notes beside segmentations: the job that made one."""

from __future__ import annotations

from pathlib import Path

import pytest

from napari_pytc.session.runs.segmentation_runs import noted_job


def test_the_job_of_a_segmentation_is_read(tmp_path: Path) -> None:
    (tmp_path / "segment.json").write_text('{"stamp": "a", "volume": "v1", "job": {"boundary_class": "membrane"}}')
    assert noted_job(tmp_path) == {"boundary_class": "membrane"}


@pytest.mark.parametrize("text", ["", "{", "[]", "7", "{}", '{"job": null}', '{"job": [1]}'])
def test_a_note_that_is_damaged_is_none(tmp_path: Path, text: str) -> None:
    (tmp_path / "segment.json").write_text(text)
    assert noted_job(tmp_path) == {}


def test_a_segmentation_without_a_note_has_none(tmp_path: Path) -> None:
    assert noted_job(tmp_path) == {}
