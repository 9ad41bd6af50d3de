"""Boxes in which trials are scored: how much memory they take, what of a prediction and its truth lies in them."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import psutil

from napari_pytc.decoding.base import DecoderSettings
from napari_pytc.decoding.evidence import Evidence, EvidenceReader
from napari_pytc.errors import InvalidInput, OutOfMemory
from napari_pytc.geometry import Box, Shape
from napari_pytc.geometry.box import hull_of
from napari_pytc.tuning.truth import TruthReader

_WORKING_BYTES = 160
"""Largest memory of decoding and counting a voxel, without its evidence: measured with the decoders of this package."""
_FREE_SHARE = 0.7
"""Part of the free memory that a tuning takes at most."""
_MOST_UNPREDICTED = 0.01


@dataclass(frozen=True, eq=False)
class TruthRegion:
    """A box in which trials are scored.

    ::

        +------- read -------+     what is decoded: the box and its context, as far as the prediction goes
        |  +---- box ----+   |
        |  | truth known |   |     what is scored
        |  +-------------+   |
        +--------------------+

    Parameters
    ----------
    box, read : Box
        In voxels of the prediction.
    truth : ndarray, shape ``box.shape``
        Ids of objects; 0 for none.
    known : ndarray of bool, optional
        Mask of the voxels that are compared; all by default.
    """

    box: Box
    read: Box
    truth: np.ndarray
    known: np.ndarray | None

    @property
    def n_known(self) -> int:
        """Number of voxels that are compared."""
        return self.box.size if self.known is None else int(np.count_nonzero(self.known))


class EvidenceStore:
    """Evidence of the regions, read once where all of it fits into memory.

    Parameters
    ----------
    reader : EvidenceReader
        The prediction.
    most_bytes : float
        Memory for what is kept.
    """

    def __init__(self, reader: EvidenceReader, most_bytes: float) -> None:
        self._reader, self._left = reader, most_bytes
        self._kept: dict[Box, Evidence] = {}

    def read(self, box: Box) -> Evidence:
        """The evidence of a box."""
        if box in self._kept:
            return self._kept[box]
        evidence, n_bytes = self._reader.read(box), box.size * evidence_bytes(self._reader)
        if n_bytes <= self._left:
            self._left -= n_bytes
            self._kept[box] = evidence
        return evidence


def evidence_bytes(reader: EvidenceReader) -> int:
    """Bytes that the evidence of a voxel takes: float32 channels, and which voxels were predicted."""
    kind = reader.kind
    n_channels = sum((kind.boundary, kind.distance, len(kind.offsets), len(kind.object_names), len(kind.unused)))
    return 4 * (n_channels + 1) + 1


def memory_budget() -> float:
    """Bytes that a tuning may take now."""
    return _FREE_SHARE * psutil.virtual_memory().available


def scored_boxes(truth: TruthReader, shape: Shape, predicted: Box | None, box: Box | None) -> list[Box]:
    """The boxes that truth, prediction and the user's box have in common.

    Raises
    ------
    InvalidInput
        If they have no voxel in common.
    """
    limits = Box.of_shape(shape) if predicted is None else predicted.intersect(Box.of_shape(shape))
    found = [place.intersect(limits) for place in truth.boxes]
    if all(place.is_empty for place in found):
        raise InvalidInput(
            f"Truth and prediction must have voxels in common, but the truth lies in "
            f"{', '.join(map(str, truth.boxes))} and the prediction in {limits}.",
            "Predict there, or say with --offset Z,Y,X where the truth begins.",
        )
    found = [place if box is None else place.intersect(box) for place in found if not place.is_empty]
    if all(place.is_empty for place in found):
        raise InvalidInput(
            f"The box {box} holds no voxel with truth and a prediction.", f"Choose one within {hull_of(truth.boxes)}."
        )
    return [place for place in found if not place.is_empty]


def check_memory(
    boxes: Sequence[Box], decoders: Sequence[DecoderSettings], reader: EvidenceReader, budget: float
) -> None:
    """Refuse boxes that cannot be decoded in one piece.

    Raises
    ------
    OutOfMemory
        With the memory that is needed and that is free, and a box that would fit.
    """
    reads = [(context_of(box, decoders, reader), box) for box in boxes]
    per_voxel = evidence_bytes(reader) * 2 + _WORKING_BYTES
    largest, box = max(reads, key=lambda pair: pair[0].size)
    needed = largest.size * per_voxel + 9 * sum(box.size for box in boxes)
    if needed <= budget:
        return
    share = budget / needed / 2
    smaller = [max(1, int(n * share ** (1 / 3))) for n in box.shape]
    start = [int(middle - n / 2) for middle, n in zip(box.centre, smaller, strict=True)]
    raise OutOfMemory(
        f"The truth in {box} needs {_gigabytes(needed)} to be decoded in one piece, and a tuning may take "
        f"{_gigabytes(budget)} of the memory that is free now.",
        f"Hold out a smaller box, or tune on a part of it, for example --box {Box.at(start, smaller)}.",
    )


def context_of(box: Box, decoders: Sequence[DecoderSettings], reader: EvidenceReader) -> Box:
    """A box with the context that any of the decoders looks at, as far as the prediction goes."""
    halos = [decoder.halo(reader.space) for decoder in decoders]
    margin = [max(halo[axis] for halo in halos) for axis in range(3)]
    return box.grow(margin).intersect(Box.of_shape(reader.shape))


def read_regions(
    boxes: Sequence[Box], decoders: Sequence[DecoderSettings], reader: EvidenceReader, truth: TruthReader
) -> list[TruthRegion]:
    """Read the truth, each box cut to where something of it is known.

    Raises
    ------
    InvalidInput
        If nothing is known.
    """
    regions = []
    for box in boxes:
        ids, known = truth.read(box)
        if known is not None:
            if not known.any():
                continue
            hull = _hull(known)
            ids, known = ids[hull.slices], known[hull.slices]
            box = hull.shift(box.start)
            known = None if known.all() else np.ascontiguousarray(known)
        regions.append(TruthRegion(box, context_of(box, decoders, reader), np.ascontiguousarray(ids), known))
    if not regions:
        raise InvalidInput(
            f"There is nothing to compare: no voxel of the truth is known in {', '.join(map(str, boxes))}.",
            "Label objects there, or choose another box.",
        )
    return regions


def truth_digest(regions: Sequence[TruthRegion]) -> str:
    """Digest of all that trials are compared with: every voxel of the truth, and which of them are known."""
    digest = hashlib.sha256()
    for region in regions:
        digest.update(f"{region.box} {region.truth.dtype} {region.known is None}".encode())
        for part in (region.truth, region.known):
            if part is not None:
                digest.update(np.ascontiguousarray(part).data)
    return digest.hexdigest()


def truth_notes(regions: Sequence[TruthRegion]) -> list[str]:
    """What may surprise of the truth: voxels that are left out, and a single object.

    Raises
    ------
    InvalidInput
        If there is no object at all.
    """
    notes = []
    n_voxels, n_known = sum(region.box.size for region in regions), sum(region.n_known for region in regions)
    if n_known < n_voxels:
        notes.append(f"{n_known} of {n_voxels} voxels of the truth are labelled and compared; all others are left out.")
    n_objects = sum(_n_objects(region) for region in regions)
    if not n_objects:
        raise InvalidInput(
            f"The truth holds no object in {', '.join(str(region.box) for region in regions)}: every voxel of it is 0 "
            "or left out.",
            "Give every object an id from 1, or choose another box.",
        )
    if n_objects == 1:
        notes.append(
            "The truth is a single object: nothing in it shows where two objects are to be kept apart, and settings "
            "that merge everything score best. Label its neighbours, too."
        )
    return notes


def prediction_notes(regions: Sequence[TruthRegion], evidence: EvidenceStore) -> list[str]:
    """A note on voxels of the truth that no network has seen.

    Raises
    ------
    InvalidInput
        If these are all.
    """
    n_known = n_predicted = 0
    for region in regions:
        predicted = evidence.read(region.read).predicted
        n_known += region.n_known
        if predicted is None:
            n_predicted += region.n_known
            continue
        inner = predicted[region.box.relative_to(region.read.start).slices]
        n_predicted += int(np.count_nonzero(inner if region.known is None else inner & region.known))
    if not n_predicted:
        raise InvalidInput(
            f"Truth and prediction must have voxels in common, but nothing was predicted in "
            f"{', '.join(str(region.box) for region in regions)}, where the truth lies.",
            "Predict there first.",
        )
    n_missing = n_known - n_predicted
    if n_missing <= _MOST_UNPREDICTED * n_known:
        return []
    return [f"{n_missing / n_known:.0%} of the voxels of the truth were not predicted and count as background."]


def background_share(regions: Sequence[TruthRegion]) -> float:
    """Part of the known voxels in which there is no object."""
    n_background = sum(
        int(np.count_nonzero((region.truth == 0) if region.known is None else (region.truth == 0) & region.known))
        for region in regions
    )
    return n_background / sum(region.n_known for region in regions)


def _n_objects(region: TruthRegion) -> int:
    return int(np.count_nonzero(np.unique(region.truth)))


def _hull(mask: np.ndarray) -> Box:
    """The smallest box around the voxels of a mask."""
    lines = [np.flatnonzero(mask.any(axis=tuple(other for other in range(3) if other != axis))) for axis in range(3)]
    start, stop = ([int(line[end]) + add for line in lines] for end, add in ((0, 0), (-1, 1)))
    return Box((start[0], start[1], start[2]), (stop[0], stop[1], stop[2]))


def _gigabytes(n_bytes: float) -> str:
    return f"{n_bytes / 1e9:.1f} GB"
