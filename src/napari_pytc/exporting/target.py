"""The file or folder that an export makes: complete, or not there at all."""

from __future__ import annotations

import errno
import json
import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from napari_pytc.errors import VolumeError
from napari_pytc.files import atomic_write
from napari_pytc.volumes.export_mark import MARK, WRITER, read_mark

_DISK_FULL = (errno.ENOSPC, errno.EFBIG, getattr(errno, "EDQUOT", errno.ENOSPC))
# Libraries in C++ report it in words only.
_SIGNS_OF_DISK_FULL = ("No space left", "File too large", "quota exceeded")


@contextmanager
def export_target(path: Path, overwrite: bool) -> Iterator[Path]:
    """A temporary place to write a file or folder at, which takes the place of `path` at the end; see `atomic_write`.

    Raises
    ------
    VolumeError
        Where the folder is missing, the target is in the way, or writing fails, for example because the disk is full.
    """
    _check_target(path, overwrite)
    folder = path.parent
    try:
        with atomic_write(path) as aside:
            folder = aside.parent
            yield aside
            _check_target(path, overwrite)
    except OSError as error:
        raise _write_error(path, error.errno, error.strerror or str(error)) from error
    except VolumeError as error:
        if folder == path.parent or str(folder) not in error.message:
            raise
        raise _write_error(path, None, error.message.replace(str(folder), str(path.parent))) from error


def _check_target(path: Path, overwrite: bool) -> None:
    if not path.parent.is_dir():
        raise VolumeError(
            f"The folder to export to does not exist: {path.parent}.", "Make the folder, or choose another."
        )
    if not os.path.lexists(path):
        return
    if not overwrite:
        raise VolumeError(f"There is already something at {path}.", "Choose another name, or add --overwrite.")
    if path.is_dir() and (reason := _why_not_ours(path)):
        raise VolumeError(
            f"{path} is a folder {reason}, and is not overwritten.", "Choose another name, or delete it yourself."
        )


def write_mark(folder: Path, facts: dict[str, Any]) -> None:
    """Note in a folder of files that an export wrote it, and what the files themselves cannot say."""
    (folder / MARK).write_text(json.dumps({"written_by": WRITER, **facts}, indent=1), encoding="utf-8")


def _why_not_ours(folder: Path) -> str:
    """Reason why a folder may hold more than an export of this program; empty where it is one."""
    if any((above / "project.json").is_file() for above in folder.absolute().parents):
        return "within a project"
    attributes = [_json(folder / "zarr.json").get("attributes"), _json(folder / ".zattrs")]
    if any(isinstance(found, dict) and "napari_pytc" in found for found in attributes):
        return ""
    mark = read_mark(folder)
    if not mark:
        return "that no export of napari-pytc wrote"
    known = re.compile(str(mark.get("files", ".*")))
    others = sorted(file.name for file in folder.iterdir() if file.name != MARK and not known.fullmatch(file.name))
    return f"that holds other files, too ({', '.join(others[:3])})" if others else ""


def _json(path: Path) -> dict[str, Any]:
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return content if isinstance(content, dict) else {}


def _write_error(path: Path, number: int | None, reason: str) -> VolumeError:
    if number in _DISK_FULL or any(sign in reason for sign in _SIGNS_OF_DISK_FULL):
        return VolumeError(f"The disk is full: {path} could not be written.", "Free space on it, or export elsewhere.")
    if number in (errno.EACCES, errno.EPERM):
        return VolumeError(
            f"Writing {path} is not permitted.", "Close the programs that have it open, or choose another folder."
        )
    return VolumeError(f"{path} could not be written: {reason.rstrip('.')}.", "Check the disk, or export elsewhere.")
