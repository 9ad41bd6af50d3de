"""Fingerprints: what they notice, what they cost, and what a job says of an image that changed."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from napari_pytc.errors import VolumeError
from napari_pytc.geometry import Box
from napari_pytc.volumes.fingerprint import check_image, fingerprint
from napari_pytc.volumes.memory import MemoryVolume

shapes = st.tuples(st.integers(1, 20), st.integers(1, 90), st.integers(1, 90))


def volume(shape: tuple[int, int, int] = (9, 70, 80), seed: int = 0, dtype: str = "uint8") -> MemoryVolume:
    return MemoryVolume(np.random.default_rng(seed).integers(1, 200, shape).astype(dtype))


class Noting(MemoryVolume):
    """A volume that notes every box that is read."""

    def __init__(self, array: np.ndarray) -> None:
        super().__init__(array)
        self.boxes: list[Box] = []

    def read(self, box: Box) -> np.ndarray:
        self.boxes.append(box)
        return super().read(box)


@settings(max_examples=25)
@given(shapes)
def test_both_ends_are_looked_at_and_no_box_leaves_the_volume(shape: tuple[int, int, int]) -> None:
    noting = Noting(np.zeros(shape, np.uint8))
    fingerprint(noting)
    assert len(noting.boxes) == 8
    whole = Box.of_shape(shape)
    assert all(whole.contains(box) and not box.is_empty for box in noting.boxes)
    assert noting.boxes[0].start == (0, 0, 0)
    assert noting.boxes[-1].stop == shape


@settings(max_examples=20)
@given(shapes, st.integers(0, 5))
def test_the_same_values_have_the_same_fingerprint(shape: tuple[int, int, int], seed: int) -> None:
    taken = fingerprint(volume(shape, seed))
    assert fingerprint(volume(shape, seed)) == taken
    taken.check(volume(shape, seed))
    assert taken.n_bytes == np.prod(shape)


@pytest.mark.parametrize("place", [(0, 0, 0), (8, 69, 79), (0, 63, 63)])
def test_a_change_of_one_voxel_at_either_end_is_noticed(place: tuple[int, int, int]) -> None:
    changed = volume()
    changed.array[place] += 1
    with pytest.raises(VolumeError) as caught:
        fingerprint(volume()).check(changed)
    assert caught.value.message == ("The image changed: it still has 9 x 70 x 80 voxels of uint8, but other values.")
    assert caught.value.hint == "Put the old image back, or make a new project for this one."


@pytest.mark.parametrize(
    ("other", "got"),
    [
        (volume((9, 70, 81)), "9 x 70 x 81 of uint8"),
        (volume((8, 70, 80)), "8 x 70 x 80 of uint8"),
        (volume(dtype="uint16"), "9 x 70 x 80 of uint16"),
        (volume(dtype="float32"), "9 x 70 x 80 of float32"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_another_shape_or_type_is_named_without_reading_a_voxel(other: MemoryVolume, got: str) -> None:
    with pytest.raises(VolumeError) as caught:
        fingerprint(volume()).check(other)
    assert caught.value.message == f"The image changed: it had 9 x 70 x 80 voxels of uint8 and now has {got}."


def test_a_job_gets_the_digest_and_refuses_another() -> None:
    digest = check_image(volume(), None)
    assert digest == fingerprint(volume()).digest
    assert check_image(volume(), digest) == digest
    with pytest.raises(VolumeError, match="The image changed since the job was described"):
        check_image(volume(seed=1), digest)
