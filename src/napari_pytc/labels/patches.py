"""Changes of voxels that can be undone."""

from __future__ import annotations

import struct
import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from napari_pytc.errors import InvalidInput, ProjectError
from napari_pytc.geometry import Box, Shape, Voxel, cells, hull_of

_HEAD = struct.Struct("<2sBB6qQ")
_MAGIC = b"P1"
_CODE = struct.Struct("<BQ")
_BITS, _RUNS, _ALL = 0, 1, 2


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
        Mask of the voxels of the box that change, shape ``box.shape``.
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

    @classmethod
    def joined(cls, patches: Sequence[LabelPatch]) -> LabelPatch:
        """One patch of several whose voxels are disjoint; there must be one."""
        if len(patches) == 1:
            return patches[0]
        box = hull_of(patch.box for patch in patches)
        mask = np.zeros(box.shape, bool)
        places = []
        for patch in patches:
            inside = patch.box.relative_to(box.start)
            mask[inside.slices] |= patch.mask
            where = tuple(axis + offset for axis, offset in zip(np.nonzero(patch.mask), inside.start, strict=True))
            places.append(np.ravel_multi_index(where, box.shape))
        order = np.argsort(np.concatenate(places))
        before, after = (np.concatenate([getattr(p, side) for p in patches])[order] for side in ("before", "after"))
        return cls(box, mask, before, after)

    @property
    def n_voxels(self) -> int:
        """Number of voxels that change."""
        return len(self.before)

    def inverse(self) -> LabelPatch:
        """The patch that undoes this one."""
        return LabelPatch(self.box, self.mask, self.after, self.before)

    def rebased(self, labels: np.ndarray) -> LabelPatch | None:
        """The same `after` as a change of other labels than it was made for; None where nothing differs.

        Parameters
        ----------
        labels : ndarray
            Present labels of the patch's box. Where they are as the patch has them, it is the patch itself.
        """
        before = labels[self.mask]
        if np.array_equal(before, self.before):
            return self
        after = labels.copy()
        after[self.mask] = self.after
        return LabelPatch.between(self.box, labels, after)

    def chunks(self, chunk_shape: Shape, shape: Shape) -> list[Box]:
        """The chunks of a volume in which voxels change, cut at the volume's edge."""
        whole = Box.of_shape(shape)
        changed = [c for c in cells(self.box, chunk_shape) if self.mask[c.relative_to(self.box.start).slices].any()]
        return [cell.aligned(chunk_shape).intersect(whole) for cell in changed]

    def apply_to(self, labels: np.ndarray, origin: Voxel) -> None:
        """Write what comes after into an array whose first voxel is `origin`; voxels outside of it are left out."""
        self.apply_to_chunks({Box.at(origin, labels.shape): labels})

    def apply_to_chunks(self, chunks: Mapping[Box, np.ndarray]) -> None:
        """Write what comes after into arrays, by their boxes; voxels outside of all of them are left out."""
        values = None
        for box, labels in chunks.items():
            common = self.box.intersect(box)
            if common.is_empty:
                continue
            target = labels[common.relative_to(box.start).slices]
            if common == self.box:
                target[self.mask] = self.after
                continue
            if values is None:
                values = np.zeros(self.mask.shape, self.after.dtype)
                values[self.mask] = self.after
            inside = common.relative_to(self.box.start).slices
            np.copyto(target, values[inside], where=self.mask[inside])

    def to_bytes(self) -> bytes:
        """The patch, packed and deflated; before it is deflated at most 16 bytes a changed voxel of uint32, and 100."""
        content = _pack_mask(self.mask) + _pack_labels(self.before) + _pack_labels(self.after)
        code = self.before.dtype.str[1:].encode()
        head = _HEAD.pack(_MAGIC, code[0], int(code[1:]), *self.box.start, *self.box.stop, len(self.before))
        return head + zlib.compress(content, 1)

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
            mask, at = _unpack_mask(content, 0, box)
            before, at = _unpack_labels(content, at, dtype, n)
            after, at = _unpack_labels(content, at, dtype, n)
            return cls(box, mask, before, after)
        except (struct.error, zlib.error, ValueError, TypeError, IndexError, InvalidInput) as error:
            raise ProjectError(f"A change in the journal is damaged: {error}.", "Restore it from a backup.") from error


def _pack_mask(mask: np.ndarray) -> bytes:
    """A bit a voxel in C order, or where that is shorter the runs of voxels: a stroke fills little of its box."""
    flat = mask.ravel()
    places = np.flatnonzero(flat)
    firsts = places[np.flatnonzero(np.diff(places, prepend=-2) > 1)]
    n_bits = -(-flat.size // 8)
    if 8 * len(firsts) >= n_bits:
        return _CODE.pack(_BITS, n_bits) + np.packbits(flat).tobytes()
    lasts = places[np.flatnonzero(np.diff(places, append=flat.size + 1) > 1)]
    runs = np.concatenate([np.diff(firsts, prepend=0), lasts - firsts + 1]).astype("<u4")
    return _CODE.pack(_RUNS, len(firsts)) + runs.tobytes()


def _unpack_mask(content: bytes, at: int, box: Box) -> tuple[np.ndarray, int]:
    code, n = _CODE.unpack_from(content, at)
    at += _CODE.size
    if code == _BITS:
        bits = np.frombuffer(content, np.uint8, n, at)
        return np.unpackbits(bits, count=box.size).astype(bool).reshape(box.shape), at + n
    runs = np.frombuffer(content, "<u4", 2 * n, at).astype(np.int64)
    starts, lengths = np.cumsum(runs[:n]), runs[n:]
    mask = np.zeros(box.size, bool)
    mask[np.repeat(starts - np.cumsum(lengths) + lengths, lengths) + np.arange(lengths.sum())] = True
    return mask.reshape(box.shape), at + 8 * n


def _pack_labels(labels: np.ndarray) -> bytes:
    """Runs of equal labels, or all labels where that is shorter."""
    starts = np.flatnonzero(np.r_[True, labels[1:] != labels[:-1]]) if len(labels) else np.zeros(0, int)
    little = labels.astype(labels.dtype.newbyteorder("<"))
    if len(starts) * (4 + labels.itemsize) >= labels.nbytes:
        return _CODE.pack(_ALL, len(labels)) + little.tobytes()
    lengths = np.diff(np.r_[starts, len(labels)]).astype("<u4")
    return _CODE.pack(_RUNS, len(starts)) + lengths.tobytes() + little[starts].tobytes()


def _unpack_labels(content: bytes, at: int, dtype: np.dtype, n_labels: int) -> tuple[np.ndarray, int]:
    code, n = _CODE.unpack_from(content, at)
    at += _CODE.size
    if code == _ALL:
        found, end = np.frombuffer(content, dtype, n, at), at + n * dtype.itemsize
    else:
        lengths = np.frombuffer(content, "<u4", n, at)
        if int(lengths.sum(dtype=np.int64)) != n_labels:
            raise ValueError("its labels are not complete")
        found, end = np.repeat(np.frombuffer(content, dtype, n, at + 4 * n), lengths), at + n * (4 + dtype.itemsize)
    return found.astype(dtype.newbyteorder("=")), end
