from __future__ import annotations

import errno
import os
import subprocess
import sys
import threading
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from napari_pytc.errors import PytcError
from napari_pytc.jobs.ledger import Ledger
from napari_pytc.jobs.runners.worker_process import worker_environment


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "new folder" / "tiles.ledger"


def done(path: Path, fingerprint: str = "work") -> set[int]:
    with Ledger(path, fingerprint) as ledger:
        return ledger.done()


def fill(path: Path, *indices: int) -> None:
    with Ledger(path, "work") as ledger:
        for index in indices:
            ledger.mark(index)


def test_a_later_ledger_knows_what_is_done(path: Path) -> None:
    fill(path, 3, 0, 3)
    fill(path, 12)
    assert done(path) == {0, 3, 12}


def test_other_work_starts_over(path: Path) -> None:
    fill(path, 1, 2)
    assert done(path, "other work\nwith a line") == set()
    assert done(path) == set()


def test_a_returned_set_is_a_copy(path: Path) -> None:
    with Ledger(path, "work") as ledger:
        ledger.done().add(5)
        assert ledger.done() == set()


@pytest.mark.slow
@given(st.data())
def test_a_file_cut_anywhere_gives_whole_lines_only_and_goes_on(
    tmp_path_factory: pytest.TempPathFactory, data: st.DataObject
) -> None:
    path = tmp_path_factory.mktemp("ledger") / "ledger"
    indices = (17, 170, 1, 7)
    fill(path, *indices)
    content = path.read_bytes()
    path.write_bytes(content[: data.draw(st.integers(0, len(content)))])
    found = done(path)
    assert found in [set(indices[:n]) for n in range(5)]
    fill(path, 99)
    assert done(path) == found | {99}


def test_a_power_cut_that_left_zeros_counts_for_nothing(path: Path) -> None:
    fill(path, 4)
    with path.open("ab") as file:
        file.write(b"\0" * 8)
    fill(path, 5)
    assert done(path) == {4, 5}


@pytest.mark.slow
def test_a_killed_process_loses_no_mark(path: Path) -> None:
    script = (
        "import os, signal, sys; from pathlib import Path; from napari_pytc.jobs.ledger import Ledger\n"
        "ledger = Ledger(Path(sys.argv[1]), 'work'); ledger.mark(7); ledger.mark(8); os._exit(9)"
    )
    ended = subprocess.run(
        [sys.executable, "-c", script, str(path)], env=worker_environment(os.environ, 1), check=False
    )
    assert ended.returncode == 9
    assert done(path) == {7, 8}


def test_marks_from_several_threads(path: Path) -> None:
    with Ledger(path, "work") as ledger:
        threads = [threading.Thread(target=lambda k=k: [ledger.mark(i) for i in range(k, 200, 4)]) for k in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert done(path) == set(range(200))


class FullDisk:
    """A file whose disk takes so many bytes of a line and no more."""

    def __init__(self, file: object, n_bytes: int) -> None:
        self._file, self._n_bytes = file, n_bytes

    def write(self, line: bytes) -> int:
        if self._n_bytes == 0:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        return self._file.write(line[: self._n_bytes])  # type: ignore[attr-defined]

    def __getattr__(self, name: str) -> object:
        return getattr(self._file, name)


@pytest.mark.parametrize("n_bytes", [0, 1])
def test_a_full_disk_is_reported_and_leaves_no_half_line(path: Path, n_bytes: int) -> None:
    with Ledger(path, "work") as ledger:
        ledger.mark(1)
        file = ledger._file
        ledger._file = FullDisk(file, n_bytes)  # type: ignore[assignment]
        with pytest.raises(PytcError, match="No space left") as raised:
            ledger.mark(23)
        assert "disk is not full" in raised.value.hint
        assert ledger.done() == {1}
        ledger._file = file
        ledger.mark(4)
    assert done(path) == {1, 4}


def test_a_folder_in_the_way_is_reported(tmp_path: Path) -> None:
    with pytest.raises(PytcError, match="list of finished pieces"):
        Ledger(tmp_path, "work")


def test_close_twice(path: Path) -> None:
    ledger = Ledger(path, "work")
    ledger.close()
    ledger.close()
