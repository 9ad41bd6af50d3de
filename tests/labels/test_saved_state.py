from __future__ import annotations

import sys
from dataclasses import fields
from pathlib import Path

import numpy as np
import pytest

from napari_pytc.errors import VolumeError
from napari_pytc.labels import saved_state
from napari_pytc.labels.saved_state import STATE, SavedState
from tests.support.faults import file_size_limit

FULL = SavedState(
    log_index=7,
    next_id=2**32 - 1,
    digests=np.array([1, 2**64 - 1, 3], np.uint64),
    moved=np.array([3, 2**32 - 2], np.uint32),
    segments=np.array([1, 1], np.uint32),
    touched=np.array([5], np.uint32),
    sizes=np.array([2**40], np.uint64),
    boxes=np.array([[0, 1, 2, 3, 4, 5]], np.int32),
    noted=np.array([1], np.uint32),
    locked=np.array([True]),
    deleted=np.array([False]),
    classes=np.array([255], np.uint8),
)


def test_what_is_saved_is_loaded(tmp_path: Path):
    assert SavedState.load(tmp_path) is None
    for state in (SavedState(), FULL):
        state.save(tmp_path)
        found = SavedState.load(tmp_path)
        for entry in fields(SavedState):
            assert np.array_equal(getattr(found, entry.name), getattr(state, entry.name))
    assert [path.name for path in tmp_path.iterdir()] == [STATE]


def test_damage_and_newer_versions_are_errors(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    FULL.save(tmp_path)
    data = (tmp_path / STATE).read_bytes()
    for broken in (b"", b"no archive", data[: len(data) // 2]):
        (tmp_path / STATE).write_bytes(broken)
        with pytest.raises(VolumeError, match="is damaged") as caught:
            SavedState.load(tmp_path)
        assert "replay" in caught.value.hint
    monkeypatch.setattr(saved_state, "VERSION", 9)
    FULL.save(tmp_path)
    monkeypatch.undo()
    with pytest.raises(VolumeError, match="has format 9"):
        SavedState.load(tmp_path)


@pytest.mark.skipif(sys.platform == "win32", reason="the limit on file sizes is POSIX's")
def test_a_full_disk_leaves_the_former_state(tmp_path: Path):
    FULL.save(tmp_path)
    with file_size_limit(100), pytest.raises(VolumeError, match="could not be saved"):
        SavedState(log_index=8).save(tmp_path)
    assert SavedState.load(tmp_path).log_index == 7
