from __future__ import annotations

import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

from napari_pytc.errors import VolumeError
from napari_pytc.exporting.target import export_target


def test_the_target_appears_only_at_the_end(tmp_path: Path):
    path = tmp_path / "out.bin"
    with export_target(path, overwrite=False) as aside:
        assert (aside.parent.parent, aside.name) == (tmp_path, path.name)
        aside.write_bytes(b"new")
        assert not path.exists()
    assert path.read_bytes() == b"new"
    assert list(tmp_path.iterdir()) == [path]


def test_a_file_made_by_another_meanwhile_is_kept(tmp_path: Path):
    path = tmp_path / "out.bin"

    def write_while_another_does() -> None:
        with export_target(path, overwrite=False) as aside:
            aside.write_bytes(b"new")
            path.write_bytes(b"other")

    with pytest.raises(VolumeError, match="already"):
        write_while_another_does()
    assert path.read_bytes() == b"other"
    assert list(tmp_path.iterdir()) == [path]


def test_a_zarr_gives_way_to_a_zarr(tmp_path: Path):
    path = tmp_path / "out.zarr"
    path.mkdir()
    (path / "zarr.json").write_text('{"attributes": {"napari_pytc": {}}}')
    with export_target(path, overwrite=True) as aside:
        aside.mkdir()
        (aside / "zarr.json").write_text("new")
    assert (path / "zarr.json").read_text() == "new"
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.skipif(sys.platform == "win32", reason="the limit on file sizes is POSIX's")
@pytest.mark.slow
@pytest.mark.parametrize("limit", [0, 600, 2500, 30_000])
def test_a_full_disk_under_hdf5_does_not_crash_the_process_at_its_end(tmp_path: Path, limit: int):
    code = f"""
        import sys
        from pathlib import Path
        import numpy as np
        from napari_pytc.errors import VolumeError
        from napari_pytc.exporting.base import ExportOptions
        from napari_pytc.exporting.hdf5 import Hdf5Exporter
        from tests.support.arrays import VirtualArray
        from tests.support.faults import StepContext, file_size_limit
        try:
            with file_size_limit({limit}):
                Hdf5Exporter().export(
                    VirtualArray((128, 256, 256), ("a", "b")),
                    Path(sys.argv[1]),
                    ExportOptions(block_bytes=2**20, compression="none"),
                    StepContext(),
                )
        except VolumeError as error:
            assert "full" in str(error), error
            sys.exit(7)
    """
    root = Path(__file__).resolve().parents[2]
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(code), str(tmp_path / "out.h5")], cwd=root, check=False
    )
    assert done.returncode == 7
    assert list(tmp_path.iterdir()) == []
