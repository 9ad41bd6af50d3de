"""Opcodes of a pickle, looked through before it is read.

By a few opcodes a small pickle would take much memory or time, or look up names in this process; such a one is refused.
"""

from __future__ import annotations

import pickle
import pickletools
from collections.abc import Sequence
from typing import Any, NamedTuple

_MOST_OPCODES = 3_000_000
_DEEPEST_TUPLE = 100
_MOST_HASHED = 5_000_000
_LARGEST_KEY = 2**31
"""Multiples of 2**61 - 1 have the same hash; a mapping of many of them would take time that grows with their square."""
_EXTENSIONS = frozenset({"EXT1", "EXT2", "EXT4"})
_PUTS = frozenset({"PUT", "BINPUT", "LONG_BINPUT"})
_GETS = frozenset({"GET", "BINGET", "LONG_BINGET"})


def check_opcodes(data: bytes) -> None:
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
    """What hashing an object takes: how many objects, how deep, and whether there are integers that no key has."""

    n: int
    depth: int
    is_large: bool = False


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
            n = min(_MOST_HASHED + 1, 1 + sum(one.n for one in popped))
            found = _Hashing(n, depth, any(one.is_large for one in popped))
        elif name == "BINPERSID":
            found = popped[0]
        elif type(argument) is int:
            found = _Hashing(1 + argument.bit_length() // 64, 0, abs(argument) >= _LARGEST_KEY)
        self._stack.append(found)

    def _count(self, keys: Sequence[_Hashing]) -> None:
        if any(key.is_large for key in keys):
            raise pickle.UnpicklingError("an integer key that no checkpoint has")
        self._n_hashed += sum(key.n for key in keys)
        if self._n_hashed > _MOST_HASHED:
            raise pickle.UnpicklingError("keys that take too long")
