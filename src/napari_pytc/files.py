"""Files and folders that are either complete on disk or not there at all."""

from __future__ import annotations

import os
import secrets
import shutil
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

_ACCESS_SIGNS = ("PERMISSION_DENIED", "UNAUTHENTICATED", "UNAVAILABLE", "DEADLINE_EXCEEDED", "ABORTED", "CANCELLED")


def plain_path(path: str | Path) -> Path:
    """A path from the root, with ``~`` filled in, without ``..`` and without a second slash in front.

    tensorstore refuses the last two, and a path through a folder that is deleted later would be lost. Links keep their
    names behind the last ``..``, for they may be what a user calls the data.
    """
    place = Path(path).expanduser().absolute()
    if ".." in place.parts:
        last = len(place.parts) - place.parts[::-1].index("..")
        above = Path(*place.parts[:last])
        # Windows takes the folder before .. away, other systems follow its link first.
        head = Path(os.path.normpath(above)) if os.name == "nt" else above.resolve()
        place = head.joinpath(*place.parts[last:])
    text = str(place)
    return Path("/" + text.lstrip("/")) if os.name != "nt" and text.startswith("//") else place


def is_access_problem(error: Exception) -> bool:
    """Whether an error of the system or of tensorstore is about reaching data, not about the data."""
    return (isinstance(error, OSError | UnicodeEncodeError)) or str(error).startswith(_ACCESS_SIGNS)


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


@contextmanager
def atomic_write(path: Path) -> Iterator[Path]:
    """A temporary place for a file or folder, which takes the place of `path` when the block ends well.

    Whatever interrupts it, `path` holds either its old content or all of its new content. The files written are forced
    to the disk; of a folder those directly in it, deeper ones are the business of who writes them.

    Yields
    ------
    Path
        Bears the final name, in a temporary folder beside `path`: whatever else a library leaves there goes, too.
    """
    folder = temporary_beside(path)
    folder.mkdir()
    aside = folder / path.name
    try:
        yield aside
        if aside.is_dir():
            for file in aside.iterdir():
                if file.is_file():
                    sync_file(file)
            sync_folder(aside)
        else:
            sync_file(aside)
        put_in_place(aside, path)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def write_text_durably(path: Path, text: str) -> None:
    """Put a text in place of a file in one step, as `atomic_write`."""
    with atomic_write(path) as aside:
        aside.write_text(text, encoding="utf-8", newline="\n")


def put_in_place(aside: Path, path: Path) -> None:
    """Rename a file or folder to its place; what was there goes, or comes back where the renaming fails."""
    if aside.is_dir() or path.is_dir():
        # A folder cannot be replaced in one step. What is there is moved to a place of its own, where it stays even
        # if coming back fails, too.
        previous = temporary_beside(path)
        if path.exists():
            os.replace(path, previous)
        try:
            os.replace(aside, path)
        except OSError:
            if previous.exists():
                os.replace(previous, path)
            raise
        if previous.is_file():
            previous.unlink()
        else:
            shutil.rmtree(previous, ignore_errors=True)
    else:
        os.replace(aside, path)
    sync_folder(path.parent)
