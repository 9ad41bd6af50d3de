"""The ledger of a job: which pieces are done, on disk, so that a later run goes on after a kill."""

from __future__ import annotations

import errno
import hashlib
import os
import threading
from contextlib import suppress
from pathlib import Path
from types import TracebackType

from napari_pytc.errors import PytcError
from napari_pytc.files import write_text_durably

_TITLE = "napari-pytc ledger 1"


class Ledger:
    """An append-only file of the indices of finished pieces.

    ::

        napari-pytc ledger 1 9b0c...      the work these pieces belong to
        0
        17
        1                                 <- no line end: torn by a kill, ignored

    A line counts once its end is written, so a kill loses at most the piece in flight. Each mark is handed to the
    operating system at once, which keeps it through a kill of the process; `close` also forces it to the disk. A piece
    lost in a power cut is done again, which is harmless: pieces are idempotent.

    Parameters
    ----------
    path : Path
        The file; made, with its folder, if it is not there.
    fingerprint : str
        Identifies the work. A file of other work is started over.

    Raises
    ------
    PytcError
        When the file cannot be read or written, for example on a full disk.
    """

    def __init__(self, path: Path, fingerprint: str) -> None:
        self._path = Path(path)
        self._lock = threading.Lock()
        header = f"{_TITLE} {hashlib.sha256(fingerprint.encode()).hexdigest()}\n"
        try:
            self._path.parent.mkdir(parents=True, exist_ok=True)
            self._done, n_sound_bytes = _read(self._path, header.encode())
            if n_sound_bytes == 0:
                write_text_durably(self._path, header)
                n_sound_bytes = len(header)
            elif n_sound_bytes < self._path.stat().st_size:
                os.truncate(self._path, n_sound_bytes)
            self._n_sound_bytes = n_sound_bytes
            self._file = self._path.open("ab", buffering=0)
        except OSError as error:
            raise self._write_error(error) from error

    def done(self) -> set[int]:
        """Indices of the finished pieces."""
        with self._lock:
            return set(self._done)

    def mark(self, index: int) -> None:
        """Note a piece as finished; its data must be on disk by now. May be called from any thread."""
        line = f"{int(index)}\n".encode()
        with self._lock:
            if index in self._done:
                return
            try:
                if self._file.write(line) != len(line):
                    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
            except OSError as error:
                with suppress(OSError):  # half a line would swallow the next one
                    self._file.truncate(self._n_sound_bytes)
                raise self._write_error(error) from error
            self._n_sound_bytes += len(line)
            self._done.add(int(index))

    def close(self) -> None:
        """Force what was marked to the disk; may be called twice."""
        with self._lock:
            if self._file.closed:
                return
            try:
                os.fsync(self._file.fileno())
            except OSError as error:
                raise self._write_error(error) from error
            finally:
                self._file.close()

    def __enter__(self) -> Ledger:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.close()

    def _write_error(self, error: OSError) -> PytcError:
        return PytcError(
            f"The list of finished pieces {self._path} could not be read or written: {error.strerror or error}.",
            "Check that the disk is not full and the folder may be written, then run it again to go on from there.",
        )


def _read(path: Path, header: bytes) -> tuple[set[int], int]:
    """The finished pieces and the number of bytes up to the last sound line; nothing if the file is of other work."""
    try:
        content = path.read_bytes()
    except FileNotFoundError:
        return set(), 0
    if not content.startswith(header):
        return set(), 0
    done: set[int] = set()
    n_sound_bytes = len(header)
    for line in content[n_sound_bytes:].splitlines(keepends=True):
        if not (line.endswith(b"\n") and line.strip().isdigit()):
            break
        done.add(int(line))
        n_sound_bytes += len(line)
    return done, n_sound_bytes
