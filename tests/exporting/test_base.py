from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from napari_pytc.errors import InvalidInput
from napari_pytc.exporting import exporter_for


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("a.tif", "TiffExporter"),
        ("A.B.TIFF", "TiffExporter"),
        ("a.ome.tif", "TiffExporter"),
        ("a.h5", "Hdf5Exporter"),
        ("a.hdf5", "Hdf5Exporter"),
        ("a.zarr", "ZarrExporter"),
        ("a.ome.zarr", "ZarrExporter"),
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


def test_describing_an_export_loads_neither_torch_nor_tifffile():
    code = (
        "import sys, napari_pytc.exporting; "
        "sys.exit(any(m in sys.modules for m in ('torch', 'napari', 'qtpy', 'h5py', 'tifffile')))"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
