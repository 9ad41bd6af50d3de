"""Checkpoints of other programs, read without running anything in them.

A checkpoint of PyTorch is a zip archive: `data.pkl`, a pickle of plain values in which every tensor is a reference, and
the tensors' bytes, a file each under `data/`. A pickle may name any function of any package and have it called. Here it
is read by an unpickler that knows four things by name (ordered dictionaries, types of numbers, tensors, shapes), and
makes a `ForeignObject` that does nothing of every other name. Neither torch's own unpickler nor a class of another
package is used.

::

    file.ckpt ── zip directory ── data.pkl ── opcodes looked through ── values: dict, list, text, StoredTensor, ...
                      └────────── data/0, data/1, ... ── read when a StoredTensor is asked for
"""

from __future__ import annotations

import hashlib
import io
import math
import pickle
import pickletools
import struct
import zipfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, NamedTuple, Self

import torch
from torch import Tensor

from napari_pytc.errors import ModelError

_ZIP = b"PK\x03\x04"
_OLD_TORCH = b"\x80\x02\x8a\nl\xfc\x9cF\xf9 j\xa8P\x19."
_MOST_PICKLE_BYTES = 128 * 2**20
_MOST_ENTRIES = 200_000
_MOST_DIMENSIONS = 8
_MOST_OPCODES = 3_000_000
_DEEPEST_TUPLE = 100
_MOST_HASHED = 5_000_000
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
_DTYPES: dict[str, torch.dtype] = {
    "DoubleStorage": torch.float64,
    "FloatStorage": torch.float32,
    "HalfStorage": torch.float16,
    "BFloat16Storage": torch.bfloat16,
    "LongStorage": torch.int64,
    "IntStorage": torch.int32,
    "ShortStorage": torch.int16,
    "CharStorage": torch.int8,
    "ByteStorage": torch.uint8,
    "BoolStorage": torch.bool,
}


class ForeignObject:
    """An object of a class that is not known here: its arguments and its state as data, without its behaviour."""

    name: ClassVar[str] = ""
    arguments: tuple[Any, ...]
    state: Any

    items: list[Any]
    entries: dict[Any, Any]

    def __new__(cls, *arguments: Any, **_: Any) -> Self:
        """Without a call of what the arguments were meant for."""
        found = super().__new__(cls)
        found.arguments, found.state, found.items, found.entries = arguments, None, [], {}
        return found

    def __init__(self, *_: Any, **__: Any) -> None:
        """Nothing: `__new__` kept the arguments."""

    def __call__(self, *_: Any, **__: Any) -> ForeignObject:
        """Itself: it may stand for a function, which is not called."""
        return self

    def __setstate__(self, state: Any) -> None:
        self.state = state

    def __setitem__(self, key: Any, value: Any) -> None:
        self.entries[key] = value

    def append(self, value: Any) -> None:
        """An item of what was a list."""
        self.items.append(value)

    def extend(self, values: Any) -> None:
        """Items of what was a list."""
        self.items.extend(values)

    def add(self, value: Any) -> None:
        """An item of what was a set."""
        self.items.append(value)


class _Storage(NamedTuple):
    """Bytes of the archive as numbers of a type."""

    entry: str
    dtype: torch.dtype
    n: int


@dataclass(frozen=True, eq=False)
class StoredTensor:
    """A tensor that is still in its file."""

    storage: _Storage
    offset: int
    shape: tuple[int, ...]
    stride: tuple[int, ...]

    @property
    def dtype(self) -> torch.dtype:
        """Type of its numbers."""
        return self.storage.dtype

    def __setstate__(self, state: Any) -> None:
        raise pickle.UnpicklingError("a tensor that is changed after its bounds were checked")


class StoredMapping(dict[Any, Any]):
    """An ordered dictionary without attributes, which would hide its methods."""

    __slots__ = ()

    def __setstate__(self, state: Any) -> None:
        """Nothing: the attributes are metadata of modules."""


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
            raise self._damaged("its end is missing, as after a copy that broke off") from error
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

    def read(self, tensor: StoredTensor) -> Tensor:
        """A tensor's numbers.

        Raises
        ------
        ModelError
            If they are not all there.
        """
        storage = tensor.storage
        expected = storage.n * storage.dtype.itemsize
        data = bytearray(self._read_entry(f"{self._folder}data/{storage.entry}", expected))
        if len(data) != expected:
            raise self._damaged(f"a tensor has {len(data)} bytes instead of {expected}")
        try:
            if not expected:
                return torch.zeros(tensor.shape, dtype=storage.dtype)
            flat = torch.frombuffer(data, dtype=storage.dtype)
            return flat.as_strided(tensor.shape, tensor.stride, tensor.offset).clone()
        except (RuntimeError, OverflowError) as error:
            raise self._damaged("a tensor has an impossible shape") from error

    def _find_folder(self) -> str:
        """The folder in the archive that holds ``data.pkl``; its name is the one the file was saved under."""
        entries = self._archive.infolist()
        if len(entries) > _MOST_ENTRIES:
            raise self._damaged(f"its archive has {len(entries)} entries")
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
            raise self._damaged(f"it lacks its entry {shown}") from error
        if entry.compress_type != zipfile.ZIP_STORED:
            raise self._damaged(f"its entry {shown} is compressed, which PyTorch never does")
        if entry.file_size > most:
            raise self._damaged(f"its entry {shown} has {entry.file_size} bytes, at most {most} were expected")
        try:
            return self._archive.read(entry)
        except _BROKEN_ENTRY as error:
            raise self._damaged(f"its entry {shown} is broken") from error

    def _read_values(self) -> tuple[Any, tuple[str, ...]]:
        data = self._read_entry(f"{self._folder}data.pkl", _MOST_PICKLE_BYTES)
        try:
            _look_through(data)
            reader = _ValueReader(io.BytesIO(data))
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
            raise self._damaged("its description of the tensors cannot be read") from error
        return values, tuple(sorted(reader.foreign))

    def _damaged(self, why: str) -> ModelError:
        return ModelError(f"The checkpoint {self.path} is damaged or no checkpoint: {why}.", _AGAIN)


class _ValueReader(pickle.Unpickler):
    """An unpickler that makes plain values, `StoredTensor` and `ForeignObject` and imports nothing."""

    def __init__(self, file: io.BytesIO) -> None:
        super().__init__(file, encoding="utf-8")
        self.foreign: dict[str, type[ForeignObject]] = {}

    def find_class(self, module: str, name: str) -> Any:
        """What a name in the pickle stands for."""
        full = f"{module}.{name}"
        if full in _KNOWN:
            return _KNOWN[full]
        if module in ("torch", "torch.storage") and name in _DTYPES:
            return _DTYPES[name]
        if module == "torch" and isinstance(dtype := _TORCH_DTYPES.get(name), torch.dtype):
            return dtype
        if full not in self.foreign:
            self.foreign[full] = type("ForeignObject", (ForeignObject,), {"name": full})
        return self.foreign[full]

    def persistent_load(self, pid: Any) -> Any:
        """The reference to a tensor's bytes."""
        kind, dtype, entry, _, n = pid
        if kind != "storage" or not isinstance(entry, str) or not isinstance(n, int) or n < 0:
            raise pickle.UnpicklingError("not a reference to a tensor's bytes")
        if not entry.replace("_", "").isalnum():
            raise pickle.UnpicklingError("a name of an entry that leads elsewhere")
        # A storage without a type of its own is counted in bytes, and the tensor says the type.
        return _Storage(entry, dtype if isinstance(dtype, torch.dtype) else torch.uint8, n)


def _tensor(storage: Any, offset: Any, shape: Any, stride: Any, *_: Any) -> StoredTensor:
    """A tensor that lies within its bytes."""
    numbers = [offset, *shape, *stride]
    if not isinstance(storage, _Storage) or not all(type(n) is int and 0 <= n < 2**48 for n in numbers):
        raise pickle.UnpicklingError("a tensor of an impossible shape")
    if len(shape) != len(stride) or len(shape) > _MOST_DIMENSIONS:
        raise pickle.UnpicklingError("a tensor of an impossible shape")
    last = offset + sum((n - 1) * step for n, step in zip(shape, stride, strict=True))
    # Equal strides of 0 would make a huge tensor of a single number.
    if math.prod(shape) > storage.n or (math.prod(shape) and last >= storage.n):
        raise pickle.UnpicklingError("a tensor larger than its bytes")
    return StoredTensor(storage, offset, tuple(shape), tuple(stride))


def _typed_tensor(
    storage: Any, offset: Any, shape: Any, stride: Any, _grad: Any, _hooks: Any, dtype: Any, *_: Any
) -> StoredTensor:
    """A tensor whose bytes have no type of their own."""
    if not isinstance(storage, _Storage) or not isinstance(dtype, torch.dtype):
        raise pickle.UnpicklingError("a tensor without a type")
    n_bytes = storage.n * storage.dtype.itemsize
    return _tensor(_Storage(storage.entry, dtype, n_bytes // dtype.itemsize), offset, shape, stride)


def _parameter(tensor: Any, *_: Any) -> Any:
    if not isinstance(tensor, StoredTensor | ForeignObject):
        raise pickle.UnpicklingError("a parameter that is no tensor")
    return tensor


def _of_type(build: Any, _kind: Any, arguments: Any, _state: Any) -> Any:
    """A tensor that carries attributes, without them."""
    if build not in (_KNOWN["torch._utils._rebuild_tensor_v2"], _KNOWN["torch._utils._rebuild_tensor_v3"]):
        raise pickle.UnpicklingError("a tensor of an unknown kind")
    return build(*arguments)


def _shape(values: Any = ()) -> tuple[int, ...]:
    if not isinstance(values, tuple | list) or not all(type(n) is int for n in values):
        raise pickle.UnpicklingError("a shape that is none")
    return tuple(values)


def _mapping(*arguments: Any) -> StoredMapping:
    if arguments:
        raise pickle.UnpicklingError("an ordered dictionary that is not filled item by item")
    return StoredMapping()


class _KnownCallable:
    """A function that a pickle may have called, and cannot change as it could change the function's attributes."""

    __slots__ = ("_function",)
    _function: Callable[..., Any]

    def __init__(self, function: Callable[..., Any]) -> None:
        self._function = function

    def __call__(self, *arguments: Any) -> Any:
        return self._function(*arguments)

    def __setstate__(self, state: Any) -> None:
        raise pickle.UnpicklingError("a function that is changed")


_KNOWN = {
    "collections.OrderedDict": _KnownCallable(_mapping),
    "torch._utils._rebuild_tensor": _KnownCallable(_tensor),
    "torch._utils._rebuild_tensor_v2": _KnownCallable(_tensor),
    "torch._utils._rebuild_tensor_v3": _KnownCallable(_typed_tensor),
    "torch._utils._rebuild_parameter": _KnownCallable(_parameter),
    "torch._utils._rebuild_parameter_with_state": _KnownCallable(_parameter),
    "torch._tensor._rebuild_from_type_v2": _KnownCallable(_of_type),
    "torch.Size": _KnownCallable(_shape),
}
_TORCH_DTYPES = {str(dtype).removeprefix("torch."): dtype for dtype in _DTYPES.values()}
_EXTENSIONS = frozenset({"EXT1", "EXT2", "EXT4"})
_PUTS = frozenset({"PUT", "BINPUT", "LONG_BINPUT"})
_GETS = frozenset({"GET", "BINGET", "LONG_BINGET"})


def _look_through(data: bytes) -> None:
    """Refuse opcodes by which a small pickle would take much memory or time, or look up names in this process.

    The numbers of remembered objects are given by the file; the unpickler makes room for the largest of them. A tuple
    has the hashes of all that is in it computed, anew each time, without end where tuples hold one another.
    """
    nesting = _TupleNesting()
    for number, (opcode, argument, _) in enumerate(pickletools.genops(data)):
        if number >= _MOST_OPCODES:
            raise pickle.UnpicklingError("more than any checkpoint has")
        if opcode.name in _EXTENSIONS:
            raise pickle.UnpicklingError("a name by number")
        if opcode.name in _PUTS and int(argument or 0) > number:
            raise pickle.UnpicklingError("a remembered object out of order")
        nesting.follow(opcode, argument)


class _Hashing(NamedTuple):
    """What hashing an object takes: how many objects, and how deep."""

    n: int
    depth: int


_ATOM = _Hashing(1, 0)
_MARK = _Hashing(0, 0)
_N_POPPED = {
    **{"TUPLE1": 1, "TUPLE2": 2, "TUPLE3": 3, "APPEND": 1, "BUILD": 1, "SETITEM": 2, "POP": 1, "STOP": 1},
    **{"REDUCE": 2, "NEWOBJ": 2, "NEWOBJ_EX": 3, "STACK_GLOBAL": 2, "BINPERSID": 1, "READONLY_BUFFER": 1},
}
_TO_THE_MARK = frozenset(
    {"TUPLE", "LIST", "DICT", "FROZENSET", "INST", "OBJ", "APPENDS", "SETITEMS", "ADDITEMS", "POP_MARK"}
)
_NO_RESULT = frozenset(
    {"APPEND", "BUILD", "SETITEM", "POP", "STOP", "APPENDS", "SETITEMS", "ADDITEMS", "POP_MARK", "PROTO", "FRAME"}
)
_TUPLES = frozenset({"TUPLE", "TUPLE1", "TUPLE2", "TUPLE3"})


class _TupleNesting:
    """The stack of an unpickler, with what hashing each of its objects takes in place of the objects."""

    def __init__(self) -> None:
        self._stack: list[_Hashing] = []
        self._memo: dict[int, _Hashing] = {}
        self._n_hashed = 0

    def follow(self, opcode: pickletools.OpcodeInfo, argument: Any) -> None:
        """Go on by an opcode."""
        name, stack = opcode.name, self._stack
        if name == "MARK":
            stack.append(_MARK)
        elif name == "DUP":
            stack.append(stack[-1])
        elif name in _PUTS:
            self._memo[int(argument)] = stack[-1]
        elif name == "MEMOIZE":
            self._memo[len(self._memo)] = stack[-1]
        elif name in _GETS:
            stack.append(self._memo[int(argument)])
        else:
            self._replace(name, self._popped(name), argument)

    def _popped(self, name: str) -> list[_Hashing]:
        stack = self._stack
        if name in _TO_THE_MARK:
            found = []
            while (one := stack.pop()) is not _MARK:
                found.append(one)
            return found[::-1]
        n = _N_POPPED.get(name, 0)
        found = [stack.pop() for _ in range(n)][::-1]
        if name != "POP" and any(one is _MARK for one in found):
            raise pickle.UnpicklingError("a mark in place of an object")
        return found

    def _replace(self, name: str, popped: Sequence[_Hashing], argument: Any) -> None:
        if name in ("SETITEM", "SETITEMS", "DICT"):
            self._count(popped[::2])
        elif name in ("ADDITEMS", "FROZENSET"):
            self._count(popped)
        if name in _NO_RESULT:
            return
        found = _ATOM
        if name in _TUPLES:
            depth = 1 + max((one.depth for one in popped), default=0)
            if depth > _DEEPEST_TUPLE:
                raise pickle.UnpicklingError("tuples in tuples without end")
            found = _Hashing(min(_MOST_HASHED + 1, 1 + sum(one.n for one in popped)), depth)
        elif name == "BINPERSID":
            found = popped[0]
        elif type(argument) is int:
            found = _Hashing(1 + argument.bit_length() // 64, 0)
        self._stack.append(found)

    def _count(self, keys: Sequence[_Hashing]) -> None:
        self._n_hashed += sum(key.n for key in keys)
        if self._n_hashed > _MOST_HASHED:
            raise pickle.UnpicklingError("keys that take too long")


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
