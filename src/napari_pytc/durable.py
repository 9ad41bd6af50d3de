"""Files and folders that are either complete on disk or not there at all."""

from __future__ import annotations

import os
import secrets
import shutil
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any


def temporary_beside(path: Path) -> Path:
    """A name not in use, in the same folder, so that a rename never crosses file systems."""
    return path.with_name(f".{path.name}.{os.getpid()}-{secrets.token_hex(4)}.tmp")


def wait_for_all(writes: Sequence[Any]) -> None:
    """Wait for tensorstore's writes, one a chunk, then raise the first error, if any.

    One write of several chunks is over when the first chunk fails, while others are still on their way to the disk and
    would make a folder again that somebody deletes.
    """
    failures = [error for write in writes if (error := write.exception()) is not None]
    if failures:
        raise failures[0]


def sync_file(path: Path) -> None:
    """Force a file's bytes to the disk."""
    with path.open("r+b") as file:
        os.fsync(file.fileno())


def sync_folder(folder: Path) -> None:
    """Force a folder's entries to the disk, where the system can (not on Windows)."""
    if os.name == "nt":
        return
    handle = os.open(folder, os.O_RDONLY)
    try:
        with suppress(OSError):  # some network file systems refuse; the rename stays atomic all the same
            os.fsync(handle)
    finally:
        os.close(handle)


def write_durably(path: Path, write: Callable[[Path], None]) -> None:
    """Let `write` fill a temporary file, then put it in place of `path` in one step.

    Whatever interrupts it, `path` holds either its old content or all of its new content.
    """
    aside = temporary_beside(path)
    try:
        write(aside)
        sync_file(aside)
        os.replace(aside, path)
    finally:
        aside.unlink(missing_ok=True)
    sync_folder(path.parent)


def write_text_durably(path: Path, text: str) -> None:
    """Put a text in place of a file in one step, as `write_durably`."""
    write_durably(path, lambda aside: _write_text(aside, text))


def _write_text(path: Path, text: str) -> None:
    path.write_text(text, encoding="utf-8")


@contextmanager
def folder_built_aside(folder: Path) -> Iterator[Path]:
    """A temporary sibling to fill, which becomes `folder` when the block ends well and vanishes when it does not.

    A folder of that name that is there already is replaced as a whole.
    """
    folder.parent.mkdir(parents=True, exist_ok=True)
    aside = temporary_beside(folder)
    aside.mkdir()
    try:
        yield aside
        for file in aside.iterdir():
            sync_file(file)
        sync_folder(aside)
        put_folder_in_place(aside, folder)
    finally:
        shutil.rmtree(aside, ignore_errors=True)


def put_folder_in_place(aside: Path, folder: Path) -> None:
    """Rename a folder to its place; what was there goes, or comes back where the renaming fails."""
    former = temporary_beside(folder)
    if folder.exists():
        os.replace(folder, former)
    try:
        os.replace(aside, folder)
    except OSError:
        if former.exists():
            os.replace(former, folder)
        raise
    sync_folder(folder.parent)
    shutil.rmtree(former, ignore_errors=True)
