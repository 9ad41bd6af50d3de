"""Volumes in memory: how other processes get them."""

from __future__ import annotations

import gc

import numpy as np
import pytest

from napari_pytc.errors import InvalidInput, VolumeError
from napari_pytc.geometry import VoxelSpace
from napari_pytc.volumes.memory import MemoryVolume
from napari_pytc.volumes.source import VolumeSource
from tests.volumes.files import image


@pytest.mark.slow
def test_the_copy_for_others_goes_with_the_volume():
    volume = MemoryVolume(image(), VoxelSpace((40, 4, 4)))
    spec = volume.spec
    assert volume.spec == spec
    assert spec.path.is_file()
    del volume
    gc.collect()
    assert not spec.path.parent.exists()


def test_a_full_disk_is_reported(monkeypatch):
    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("napari_pytc.files.os.fsync", full)
    volume = MemoryVolume(image())
    with pytest.raises(VolumeError, match="No space left"):
        _ = volume.spec


def test_an_image_is_one_section_and_more_axes_are_refused():
    volume = MemoryVolume(image(shape=(7, 8)))
    assert volume.shape == (1, 7, 8)
    assert isinstance(volume, VolumeSource)
    with pytest.raises(InvalidInput, match=r"\(2, 3, 7, 8\)"):
        MemoryVolume(image(shape=(2, 3, 7, 8)))
    with pytest.raises(VolumeError, match="complex128"):
        MemoryVolume(np.zeros((2, 3, 4), complex))
