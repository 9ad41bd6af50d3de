from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from napari_pytc.errors import InvalidInput
from napari_pytc.exporting.base import chunk_blocks
from napari_pytc.exporting.formats import BY_KEY, FORMATS, SUFFIXES, exporter_for, format_for
from tests.support.arrays import VirtualArray


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("a.tif", "TiffExporter"),
        ("A.B.TIFF", "TiffExporter"),
        ("a.ome.tif", "OmeTiffExporter"),
        ("a.h5", "Hdf5Exporter"),
        ("a.hdf5", "Hdf5Exporter"),
        ("a.zarr", "ZarrExporter"),
        ("a.ome.zarr", "ZarrExporter"),
        ("a.precomputed", "PrecomputedExporter"),
        ("a.nii", "NiftiExporter"),
        ("a.nii.gz", "NiftiExporter"),
        ("a.mrc", "MrcExporter"),
    ],
)
def test_the_suffix_says_the_format(name: str, kind: str):
    assert type(exporter_for(Path(name))).__name__ == kind


@pytest.mark.parametrize("name", ["a.png", "a", "tif", "a.tif.gz"])
def test_an_unknown_suffix_lists_the_known(name: str):
    with pytest.raises(InvalidInput, match="known suffix") as caught:
        exporter_for(Path("folder") / name)
    for suffix in (".ome.tif", ".tiff", ".h5", ".zarr"):
        assert suffix in caught.value.hint


@pytest.mark.slow
def test_describing_an_export_loads_neither_torch_nor_tifffile():
    code = (
        "import sys, napari_pytc.exporting.jobs, napari_pytc.exporting.formats, napari_pytc.exporting.views; "
        "sys.exit(any(m in sys.modules for m in ('torch', 'napari', 'qtpy', 'h5py', 'tifffile')))"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_every_exporter_of_the_table_is_there(suffix: str):
    exporter = exporter_for(Path(f"a{suffix}"))
    assert callable(exporter.export)
    assert callable(exporter.plan)


@pytest.mark.parametrize("key", BY_KEY)
def test_a_format_that_is_asked_for_takes_names_without_a_suffix_and_its_own(key: str):
    found = format_for(Path("folder") / "out", key)
    assert found.key == key
    assert format_for(Path(f"out{found.suffix}"), key) is found
    other = next(one for one in FORMATS if one.key != key and one.suffix and not found.fits(f"a{one.suffix}"))
    with pytest.raises(InvalidInput, match=f"named like {other.title}"):
        format_for(Path(f"out{other.suffix}"), key)


def test_a_plain_tiff_is_not_named_like_an_ome_tiff():
    with pytest.raises(InvalidInput, match=r"x\.ome\.tif is named like OME-TIFF, but TIFF is asked for") as caught:
        format_for(Path("x.ome.tif"), "tif")
    assert caught.value.hint == "Give it another name, such as x.tif."
    with pytest.raises(InvalidInput, match="named like TIFF") as caught:
        format_for(Path("x.tif"), "ome-tif")
    assert "x.ome.tif" in caught.value.hint


def test_an_unknown_format_lists_the_known():
    with pytest.raises(InvalidInput, match="no export format 'doc'") as caught:
        format_for(Path("out"), "doc")
    assert "png-series" in caught.value.hint


@given(
    shape=st.tuples(*[st.integers(1, 3000)] * 3),
    chunk=st.tuples(*[st.integers(1, 128)] * 3),
    n_channels=st.integers(0, 4),
    block_bytes=st.integers(1, 2**24),
)
def test_blocks_are_whole_chunks_within_the_budget(shape, chunk, n_channels: int, block_bytes: int):
    grid = chunk_blocks(VirtualArray(shape, tuple("abcd"[:n_channels])), chunk, block_bytes)
    assert grid.box.shape == shape
    assert all(t % c == 0 for t, c in zip(grid.tile_shape, chunk, strict=True))
    z, y, x = grid.tile_shape
    assert grid.tile_shape == chunk or z * y * x * max(1, n_channels) <= block_bytes
