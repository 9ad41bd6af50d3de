"""Any box of any layout reads as slicing."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from napari_pytc.geometry import Box
from napari_pytc.volumes.layout import layout_of
from napari_pytc.volumes.opening import open_volume
from napari_pytc.volumes.spec import ReadOptions
from tests.volumes import files
from tests.volumes.files import image

SHAPE = (6, 33, 47)


def boxes(shape):
    ranges = [st.tuples(st.integers(0, n), st.integers(0, n)).map(sorted) for n in shape]
    return st.tuples(*ranges).map(lambda r: Box(tuple(a for a, _ in r), tuple(b for _, b in r)))


@pytest.fixture(scope="module")
def volumes(tmp_path_factory):
    folder = tmp_path_factory.mktemp("volumes")
    data = image("uint16", SHAPE)
    return data, [
        open_volume(files.write_tiff(folder / "strips.tif", data, compression="zlib", rowsperstrip=5)),
        open_volume(files.write_tiff(folder / "tiles.tif", data, compression="zlib", tile=(16, 32))),
        open_volume(files.write_tiff(folder / "depth.tif", data, volumetric=True, tile=(4, 16, 16))),
        open_volume(files.write_tiff(folder / "plain.tif", data)),
        open_volume(files.write_hdf5(folder / "a.h5", {"main": data}, chunks=(2, 8, 8), compression="gzip")),
        open_volume(files.write_sections(folder / "sections", data, ".png")),
        open_volume(files.write_n5(folder / "a.n5", data, "em")),
        open_volume(files.write_precomputed(folder / "em", data[None])),
    ]


@given(box=boxes(SHAPE))
@settings(
    max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow]
)
def test_reading_equals_slicing(volumes, box):
    data, opened = volumes
    for volume in opened:
        np.testing.assert_array_equal(volume.read(box), data[box.slices])


@given(axes=st.permutations("tczyx"), channel=st.integers(0, 2), box=boxes((3, 4, 5)))
@settings(max_examples=200, deadline=None)
def test_every_order_of_axes_is_undone(axes, channel, box):
    canonical = np.arange(3 * 3 * 4 * 5).reshape(1, 3, 3, 4, 5)
    stored = canonical.transpose(["tczyx".index(a) for a in axes])
    layout = layout_of("".join(axes), stored.shape, ReadOptions(channel=channel), "array")
    assert layout.shape == (3, 4, 5)
    block = layout.arrange(stored[layout.index(box)], box.shape)
    np.testing.assert_array_equal(block, canonical[0, channel][box.slices])
