"""Plain values of a checkpoint's pickle: what its names stand for, none of which does anything.

A pickle may name any function of any package and have it called. This unpickler knows four things by name (ordered
dictionaries, types of numbers, tensors, shapes), and makes a `ForeignObject` that does nothing of every other name.
Neither torch's own unpickler nor a class of another package is used.
"""

from __future__ import annotations

import io
import math
import pickle
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, ClassVar, NamedTuple, Self

_MOST_DIMENSIONS = 8
_LARGEST_LENGTH = 2**48
_LONGEST_SHAPE = 64
_MOST_CLASSES = 4000
"""How many classes of other packages are made for a file; checkpoints name some dozens."""


class NumberType(NamedTuple):
    """A type of numbers, by the name that torch has for it."""

    name: str
    n_bytes: int


_BYTES = NumberType("uint8", 1)
_STORAGES = {
    "DoubleStorage": NumberType("float64", 8),
    "FloatStorage": NumberType("float32", 4),
    "HalfStorage": NumberType("float16", 2),
    "BFloat16Storage": NumberType("bfloat16", 2),
    "LongStorage": NumberType("int64", 8),
    "IntStorage": NumberType("int32", 4),
    "ShortStorage": NumberType("int16", 2),
    "CharStorage": NumberType("int8", 1),
    "ByteStorage": _BYTES,
    "BoolStorage": NumberType("bool", 1),
}
_NUMBER_TYPES = {kind.name: kind for kind in _STORAGES.values()}


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


class Storage(NamedTuple):
    """Bytes of the archive as numbers of a type."""

    entry: str
    dtype: NumberType
    n: int

    @property
    def n_bytes(self) -> int:
        """Length of its bytes."""
        return self.n * self.dtype.n_bytes


@dataclass(frozen=True, eq=False)
class StoredTensor:
    """A tensor that is still in its file."""

    storage: Storage
    offset: int
    shape: tuple[int, ...]
    stride: tuple[int, ...]

    @property
    def dtype(self) -> NumberType:
        """Type of its numbers."""
        return self.storage.dtype

    def __setstate__(self, state: Any) -> None:
        raise pickle.UnpicklingError("a tensor that is changed after its bounds were checked")


class StoredMapping(dict[Any, Any]):
    """An ordered dictionary without attributes, which would hide its methods."""

    __slots__ = ()

    def __setstate__(self, state: Any) -> None:
        """Nothing: the attributes are metadata of modules."""


class ValueReader(pickle.Unpickler):
    """An unpickler that makes plain values, `StoredTensor` and `ForeignObject` and imports nothing."""

    def __init__(self, file: io.BytesIO) -> None:
        super().__init__(file, encoding="utf-8")
        self.foreign: dict[str, type[ForeignObject]] = {}

    def find_class(self, module: str, name: str) -> Any:
        """What a name in the pickle stands for."""
        full = f"{module}.{name}"
        if full in _KNOWN:
            return _KNOWN[full]
        if module in ("torch", "torch.storage") and name in _STORAGES:
            return _STORAGES[name]
        if module == "torch" and name in _NUMBER_TYPES:
            return _NUMBER_TYPES[name]
        if full not in self.foreign:
            if len(self.foreign) >= _MOST_CLASSES:
                raise pickle.UnpicklingError("more classes than any checkpoint names")
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
        return Storage(entry, dtype if isinstance(dtype, NumberType) else _BYTES, n)


def _tensor(storage: Any, offset: Any, shape: Any, stride: Any, *_: Any) -> StoredTensor:
    """A tensor that lies within its bytes."""
    numbers = [offset, *shape, *stride]
    if not isinstance(storage, Storage) or not all(type(n) is int and 0 <= n < _LARGEST_LENGTH for n in numbers):
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
    if not isinstance(storage, Storage) or not isinstance(dtype, NumberType):
        raise pickle.UnpicklingError("a tensor without a type")
    n = storage.n_bytes // dtype.n_bytes
    return _tensor(Storage(storage.entry, dtype, n), offset, shape, stride)


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
    if not isinstance(values, tuple | list) or len(values) > _LONGEST_SHAPE:
        raise pickle.UnpicklingError("a shape that is none")
    if not all(type(n) is int and 0 <= n < _LARGEST_LENGTH for n in values):
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
