"""The folder of a new volume: complete before it has its name, and refused before it is begun."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from napari_pytc.annotations.paint_store import PaintStore
from napari_pytc.errors import InvalidInput, PytcError
from napari_pytc.geometry import Box
from napari_pytc.session.project.description import OWN_IMAGE, VolumeRecord
from napari_pytc.session.project.volume_folder import VolumeFolder
from napari_pytc.session.volumes.building import RECORD, NewVolume, build_volume, open_new_image
from napari_pytc.volumes.image import open_image
from napari_pytc.volumes.spec import ReadOptions
from tests.session.volumes.conftest import MakeImage

SHAPE = (4, 10, 12)
SIZED = ReadOptions(voxel_size_nm=(30.0, 8.0, 8.0))


def build(request: NewVolume, root: Path, taken: tuple[str, ...] = ()) -> VolumeRecord:
    return build_volume(request, open_new_image(request), "v3", root / "v3.tmp", root / "a.pytc", taken)


@pytest.mark.parametrize("given", [{"image": None}, {"image": "raw.h5", "array": np.zeros(SHAPE)}])
def test_a_volume_is_made_of_a_file_or_of_an_array(given: dict[str, object]) -> None:
    with pytest.raises(InvalidInput, match="an image file or of an array"):
        open_new_image(NewVolume(**given))  # type: ignore[arg-type]


def test_an_image_without_a_voxel_size_is_refused(tmp_path: Path) -> None:
    np.save(tmp_path / "raw.npy", np.zeros(SHAPE, np.uint8))
    with pytest.raises(PytcError, match="how large its voxels are"):
        open_new_image(NewVolume(tmp_path / "raw.npy"))


def test_the_image_of_a_file_stays_where_it_is(tmp_path: Path, make_image: MakeImage) -> None:
    path = make_image(shape=SHAPE)
    record = build(NewVolume(path), tmp_path, taken=("raw",))

    place = VolumeFolder(tmp_path / "v3.tmp")
    assert (record.id, record.name, record.shape) == ("v3", "other", SHAPE)
    assert (record.voxel_size_nm, record.voxel_size_source) == ((30.0, 8.0, 8.0), "file")
    assert not place.own_image.exists()
    assert PaintStore.open(place.annotations()).shape == SHAPE
    assert VolumeRecord.model_validate_json((tmp_path / "v3.tmp" / RECORD).read_text()) == record


def test_a_name_is_a_number_further_where_it_is_taken_and_an_asked_for_one_is_refused(
    tmp_path: Path, make_image: MakeImage
) -> None:
    path = make_image(shape=SHAPE)
    assert build(NewVolume(path), tmp_path, taken=("other",)).name == "other-2"
    with pytest.raises(InvalidInput, match="left"):
        build(NewVolume(path, name="left"), tmp_path / "again", taken=("left",))


@pytest.mark.parametrize(
    ("array", "channel", "expected"),
    [
        (np.arange(480).reshape(SHAPE).astype(np.uint16), None, [0]),
        (np.arange(1440).reshape(3, *SHAPE).astype(np.uint16), 2, [2]),
        (np.arange(1440).reshape(3, *SHAPE).astype(np.uint16), (2, 0), [2, 0]),
        (np.arange(1440).reshape(3, *SHAPE).astype(np.uint16), "all", [0, 1, 2]),
        (tuple(np.arange(960).reshape(2, *SHAPE).astype(np.uint16)), None, [0, 1]),
    ],
)
def test_an_array_is_copied_with_the_channels_that_are_asked_for(
    tmp_path: Path, array: np.ndarray, channel: object, expected: list[int]
) -> None:
    options = SIZED.model_copy(update={"channel": channel})
    record = build(NewVolume(None, options=options, array=array, name="mine"), tmp_path)

    assert str(record.spec.url) == OWN_IMAGE
    assert record.voxel_size_source == "user"
    given = np.stack(array) if isinstance(array, tuple) else array.reshape(-1, *SHAPE)
    channels = None if len(expected) == 1 else tuple(range(len(expected)))
    own = open_image(str(VolumeFolder(tmp_path / "v3.tmp").own_image), ReadOptions(channel=channels))
    assert own.space.voxel_size_nm == (30.0, 8.0, 8.0)
    assert np.array_equal(own.read(Box.of_shape(SHAPE)), given[expected])


def test_a_channel_that_the_array_does_not_have_is_refused(tmp_path: Path) -> None:
    options = SIZED.model_copy(update={"channel": (0, 3)})
    with pytest.raises(InvalidInput, match="has 3 channels, so there is no channel 3"):
        build(NewVolume(None, options=options, array=np.zeros((3, *SHAPE), np.uint8), name="mine"), tmp_path)
