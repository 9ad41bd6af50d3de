"""Checkpoints of other programs, read without running anything in them.

A checkpoint of PyTorch is a zip archive: `data.pkl`, a pickle of plain values in which every tensor is a reference, and
the tensors' bytes, a file each under `data/`. The pickle's opcodes are looked through (`pickle_checks`) and then read
as plain values (`stored_values`).

::

    file.ckpt ── zip directory ── data.pkl ── opcodes looked through ── values: dict, list, text, StoredTensor, ...
                      └────────── data/0, data/1, ... ── read when a StoredTensor is asked for
"""

from __future__ import annotations

import hashlib
import io
import pickle
import struct
import zipfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from napari_pytc.errors import ModelError
from napari_pytc.pytc.pickle_checks import check_opcodes
from napari_pytc.pytc.stored_values import StoredTensor, ValueReader

_ZIP = b"PK\x03\x04"
_OLD_TORCH = b"\x80\x02\x8a\nl\xfc\x9cF\xf9 j\xa8P\x19."
_MOST_PICKLE_BYTES = 128 * 2**20
_MOST_ENTRIES = 200_000
_BROKEN_ENTRY = (
    zipfile.BadZipFile,
    EOFError,
    OSError,
    ValueError,
    RuntimeError,
    NotImplementedError,
    OverflowError,
    struct.error,
)
_AGAIN = "Copy the file again from where it was trained."


class StoredCheckpoint:
    """What a checkpoint holds: values, with its tensors still on disk.

    Parameters
    ----------
    path : Path
        A file that ``torch.save`` wrote, since version 1.6.

    Raises
    ------
    ModelError
        If it is none, damaged, or of the older format that is all pickle.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        try:
            with path.open("rb") as file:
                start = file.read(len(_OLD_TORCH))
        except FileNotFoundError as error:
            raise ModelError(f"There is no checkpoint {path}.", "Check the path.") from error
        except OSError as error:
            raise ModelError(f"The checkpoint {path} cannot be read: {error.strerror or error}.") from error
        _refuse_other_formats(path, start)
        try:
            self._archive = zipfile.ZipFile(path)
        except (zipfile.BadZipFile, OSError, ValueError, NotImplementedError) as error:
            raise self.damaged("its end is missing, as after a copy that broke off") from error
        try:
            self._folder = self._find_folder()
            self.values, self.foreign = self._read_values()
        except BaseException:
            self._archive.close()
            raise

    def __enter__(self) -> StoredCheckpoint:
        return self

    def __exit__(self, *_: object) -> None:
        self._archive.close()

    def digest(self) -> str:
        """SHA-256 of the file."""
        with self.path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()

    def read(self, tensor: StoredTensor) -> bytearray:
        """The bytes of a tensor's numbers, all of its storage.

        Raises
        ------
        ModelError
            If they are not all there.
        """
        expected = tensor.storage.n_bytes
        data = bytearray(self._read_entry(f"{self._folder}data/{tensor.storage.entry}", expected))
        if len(data) != expected:
            raise self.damaged(f"a tensor has {len(data)} bytes instead of {expected}")
        return data

    def damaged(self, why: str) -> ModelError:
        """The error of a file that cannot be read."""
        return ModelError(f"The checkpoint {self.path} is damaged or no checkpoint: {why}.", _AGAIN)

    def _find_folder(self) -> str:
        """The folder in the archive that holds ``data.pkl``; its name is the one the file was saved under."""
        entries = self._archive.infolist()
        if len(entries) > _MOST_ENTRIES:
            raise self.damaged(f"its archive has {len(entries)} entries")
        found = [entry.filename for entry in entries if entry.filename.split("/")[1:] == ["data.pkl"]]
        if len(found) != 1:
            raise ModelError(
                f"{self.path} is a zip archive, but no checkpoint of PyTorch: it has {len(found)} entries data.pkl.",
                "Give the file that training wrote, as last.ckpt or checkpoint_100000.pth.tar.",
            )
        folder = found[0].removesuffix("data.pkl")
        if any(entry.filename == f"{folder}constants.pkl" for entry in entries):
            raise ModelError(
                f"{self.path} is a TorchScript program, which is code; a checkpoint holds weights alone.",
                "Give the checkpoint that it was made from.",
            )
        if f"{folder}byteorder" in self._archive.namelist():
            order = self._read_entry(f"{folder}byteorder", 16)
            if order != b"little":
                raise ModelError(
                    f"{self.path} was written by a machine of the byte order {order[:16]!r}; little is read.",
                    "Load and save it again on such a machine as this.",
                )
        return folder

    def _read_entry(self, name: str, most: int) -> bytes:
        shown = escaped(name)
        try:
            entry = self._archive.getinfo(name)
        except KeyError as error:
            raise self.damaged(f"it lacks its entry {shown}") from error
        if entry.compress_type != zipfile.ZIP_STORED:
            raise self.damaged(f"its entry {shown} is compressed, which PyTorch never does")
        if entry.file_size > most:
            raise self.damaged(f"its entry {shown} has {entry.file_size} bytes, at most {most} were expected")
        try:
            return self._archive.read(entry)
        except _BROKEN_ENTRY as error:
            raise self.damaged(f"its entry {shown} is broken") from error

    def _read_values(self) -> tuple[Any, tuple[str, ...]]:
        data = self._read_entry(f"{self._folder}data.pkl", _MOST_PICKLE_BYTES)
        try:
            check_opcodes(data)
            reader = ValueReader(io.BytesIO(data))
            values = reader.load()
        except (
            pickle.UnpicklingError,
            ValueError,
            TypeError,
            KeyError,
            IndexError,
            AttributeError,
            EOFError,
            OverflowError,
            MemoryError,
            RecursionError,
        ) as error:
            raise self.damaged("its description of the tensors cannot be read") from error
        return values, tuple(sorted(reader.foreign))


def escaped(text: str) -> str:
    """Text of a file for messages: its first characters, those beyond ASCII and of control as escapes."""
    return text[:200].encode("unicode_escape").decode("ascii")


def _refuse_other_formats(path: Path, start: bytes) -> None:
    if start.startswith(_ZIP):
        return
    if start == _OLD_TORCH or start[:2] in (b"\x80\x02", b"\x80\x03", b"\x80\x04", b"\x80\x05"):
        raise ModelError(
            f"{path} is all pickle, as PyTorch wrote before version 1.6: opening it would run what is in it.",
            "Where you trust it, load it with torch.load and save it again with torch.save.",
        )
    if start[8:9] == b"{":
        raise ModelError(
            f"{path} is a safetensors file, not a checkpoint.",
            "A model folder of this program is used as it is: napari-pytc predict --model FOLDER.",
        )
    raise ModelError(
        f"The checkpoint {path} is damaged or no checkpoint: it does not begin as a file of PyTorch.", _AGAIN
    )


def tensors_in(values: Any) -> dict[str, StoredTensor]:
    """The tensors of a mapping of names to tensors; empty where it is none, or holds anything else but a few values."""
    entries = _entries(values)
    return {name: value for name, value in entries if isinstance(name, str) and isinstance(value, StoredTensor)}


def _entries(values: Any) -> Iterator[tuple[Any, Any]]:
    return iter(values.items()) if isinstance(values, Mapping) else iter(())
