"""Files and folders that appear complete or not at all."""

from __future__ import annotations

import errno
import os
import shutil
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from napari_pytc.errors import VolumeError

_DISK_FULL = (errno.ENOSPC, errno.EFBIG, getattr(errno, "EDQUOT", errno.ENOSPC))
# Libraries in C++ tell it in words only.
_SIGNS_OF_DISK_FULL = ("No space left", "File too large", "quota exceeded")


@contextmanager
def written_aside(path: Path, overwrite: bool) -> Iterator[Path]:
    """A temporary name beside `path` to write a file or folder at; it takes the place of `path` at the end.

    Whatever happens within, a cancel included, the temporary file or folder is gone afterwards, and `path` is either
    complete and new or as it was.

    Raises
    ------
    VolumeError
        Where the folder is missing, the target is in the way, or writing fails, for example because the disk is full.
    """
    _check_target(path, overwrite)
    # A folder of its own, so that the file has its final name already and whatever else a library leaves goes with it.
    folder = path.with_name(f".{path.name}.{uuid.uuid4().hex[:8]}.part")
    try:
        folder.mkdir()
        yield folder / path.name
        _check_target(path, overwrite)
        _put_in_place(folder / path.name, path)
    except OSError as error:
        raise _told(path, error.errno, error.strerror or str(error)) from error
    except VolumeError as error:
        if str(folder) not in error.message:
            raise
        raise _told(path, None, error.message.replace(str(folder), str(path.parent))) from error
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _check_target(path: Path, overwrite: bool) -> None:
    if not path.parent.is_dir():
        raise VolumeError(
            f"The folder to export to does not exist: {path.parent}.", "Make the folder, or choose another."
        )
    if not os.path.lexists(path):
        return
    if not overwrite:
        raise VolumeError(f"There is already something at {path}.", "Choose another name, or add --overwrite.")
    # Only what an export may have written is replaced: never a folder of something else.
    if path.is_dir() and not any((path / name).is_file() for name in ("zarr.json", ".zgroup", ".zarray")):
        raise VolumeError(f"{path} is a folder that holds no Zarr, and is not overwritten.", "Choose another name.")


def _put_in_place(aside: Path, path: Path) -> None:
    if aside.is_file():
        with open(aside, "rb+") as file:
            os.fsync(file.fileno())
    if path.is_dir() or (path.exists() and aside.is_dir()):
        # A folder cannot be replaced in one step: the old one steps aside, and comes back if the new one fails. It is
        # not kept in the temporary folder, which is removed even where coming back fails too.
        old = aside.parent.with_suffix(".old")
        os.rename(path, old)
        try:
            os.rename(aside, path)
        except OSError:
            os.rename(old, path)
            raise
        _remove(old)
    else:
        os.replace(aside, path)
    _sync_folder(path.parent)


def _sync_folder(folder: Path) -> None:
    if os.name == "nt":
        return  # Windows can neither open nor sync a folder
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    except OSError as error:
        if error.errno not in (errno.EINVAL, errno.ENOTSUP):  # some network folders cannot be synced
            raise
    finally:
        os.close(descriptor)


def _told(path: Path, number: int | None, reason: str) -> VolumeError:
    if number in _DISK_FULL or any(sign in reason for sign in _SIGNS_OF_DISK_FULL):
        return VolumeError(f"The disk is full: {path} could not be written.", "Free space on it, or export elsewhere.")
    if number in (errno.EACCES, errno.EPERM):
        return VolumeError(
            f"Writing {path} is not permitted.", "Close the programs that have it open, or choose another folder."
        )
    return VolumeError(f"{path} could not be written: {reason.rstrip('.')}.", "Check the disk, or export elsewhere.")


def _remove(path: Path) -> None:
    if path.is_dir():
        shutil.rmtree(path, ignore_errors=True)
    else:
        path.unlink()
