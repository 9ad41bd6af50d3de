"""A change of voxels, with its way back."""

from __future__ import annotations

import struct
import zlib
from dataclasses import dataclass

import numpy as np

from napari_pytc.errors import InvalidInput, ProjectError
from napari_pytc.geometry import Box

_HEAD = struct.Struct("<2sBB6qQ")
_MAGIC = b"P1"


@dataclass(frozen=True, eq=False)
class LabelPatch:
    """Labels of some voxels of a box before and after a change.

    ::

        box          mask             before = [3, 3, 7]     (one label a voxel of the mask, in C order)
        +-------+    . # #            after  = [5, 5, 5]
        |       |    . . #
        +-------+    . . .

    Parameters
    ----------
    box : Box
        Around all changed voxels.
    mask : ndarray of bool
        Which voxels of the box change, shape ``box.shape``.
    before, after : ndarray
        Labels of these voxels, of one integer type.
    """

    box: Box
    mask: np.ndarray
    before: np.ndarray
    after: np.ndarray

    def __post_init__(self) -> None:
        n = int(np.count_nonzero(self.mask))
        if self.mask.shape != self.box.shape or self.before.shape != (n,) or self.after.shape != (n,):
            raise InvalidInput(
                f"A patch of {self.box} needs a mask of shape {self.box.shape} and labels of its {n} voxels, got "
                f"a mask of {self.mask.shape} and labels of {self.before.shape} and {self.after.shape}."
            )
        if self.before.dtype != self.after.dtype:
            raise InvalidInput(f"A patch has labels of one type, got {self.before.dtype} and {self.after.dtype}.")

    @classmethod
    def between(cls, box: Box, before: np.ndarray, after: np.ndarray) -> LabelPatch | None:
        """The change from one array of labels to another; None where they are the same.

        Parameters
        ----------
        before, after : ndarray
            Labels of all voxels of the box, shape ``box.shape``, one type.
        """
        differs = before != after
        if not differs.any():
            return None
        spans = []
        for axis in range(3):
            where = np.flatnonzero(differs.any(axis=tuple(other for other in range(3) if other != axis)))
            spans.append((int(where[0]), int(where[-1]) + 1))
        inner = Box(tuple(a for a, _ in spans), tuple(b for _, b in spans))  # type: ignore[arg-type]
        mask = np.ascontiguousarray(differs[inner.slices])
        return cls(inner.shift(box.start), mask, before[inner.slices][mask], after[inner.slices][mask])

    @property
    def n_voxels(self) -> int:
        """How many voxels change."""
        return len(self.before)

    def inverse(self) -> LabelPatch:
        """The way back."""
        return LabelPatch(self.box, self.mask, self.after, self.before)

    def apply_to(self, labels: np.ndarray, origin: tuple[int, int, int]) -> None:
        """Write what comes after into an array whose first voxel is `origin`; voxels outside of it are left out."""
        common = self.box.intersect(Box.at(origin, labels.shape))
        if common.is_empty:
            return
        if common == self.box:
            labels[common.relative_to(origin).slices][self.mask] = self.after
            return
        values = np.zeros(self.mask.shape, self.after.dtype)
        values[self.mask] = self.after
        inside = common.relative_to(self.box.start).slices
        part = self.mask[inside]
        labels[common.relative_to(origin).slices][part] = values[inside][part]

    def to_bytes(self) -> bytes:
        """The patch, packed: a bit a voxel of the box, and the labels in runs, all deflated."""
        content = [np.packbits(self.mask.ravel()).tobytes()]
        for labels in (self.before, self.after):
            starts = np.flatnonzero(np.r_[True, labels[1:] != labels[:-1]]) if len(labels) else np.zeros(0, int)
            lengths = np.diff(np.r_[starts, len(labels)]).astype("<u4")
            runs = labels[starts].astype(labels.dtype.newbyteorder("<"))
            content += [struct.pack("<Q", len(starts)), lengths.tobytes(), runs.tobytes()]
        code = self.before.dtype.str[1:].encode()
        head = _HEAD.pack(_MAGIC, code[0], int(code[1:]), *self.box.start, *self.box.stop, len(self.before))
        return head + zlib.compress(b"".join(content), 1)

    @classmethod
    def from_bytes(cls, data: bytes) -> LabelPatch:
        """Read what `to_bytes` packed.

        Raises
        ------
        ProjectError
            If it is something else.
        """
        try:
            magic, kind, size, z0, y0, x0, z1, y1, x1, n = _HEAD.unpack_from(data)
            if magic != _MAGIC:
                raise ValueError("it does not begin as one")
            box, dtype = Box((z0, y0, x0), (z1, y1, x1)), np.dtype(f"<{chr(kind)}{size}")
            content = zlib.decompress(data[_HEAD.size :])
            n_mask = -(-box.size // 8)
            mask = np.unpackbits(np.frombuffer(content, np.uint8, n_mask), count=box.size).astype(bool)
            at, found = n_mask, []
            for _ in range(2):
                (n_runs,) = struct.unpack_from("<Q", content, at)
                lengths = np.frombuffer(content, "<u4", n_runs, at + 8)
                runs = np.frombuffer(content, dtype, n_runs, at + 8 + 4 * n_runs)
                found.append(np.repeat(runs, lengths).astype(dtype.newbyteorder("=")))
                at += 8 + n_runs * (4 + size)
            if len(found[0]) != n:
                raise ValueError("its labels are not complete")
            return cls(box, mask.reshape(box.shape), found[0], found[1])
        except (struct.error, zlib.error, ValueError, TypeError, InvalidInput) as error:
            raise ProjectError(f"A change in the journal is damaged: {error}.", "Restore it from a backup.") from error
