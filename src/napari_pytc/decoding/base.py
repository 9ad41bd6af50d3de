"""Base of the decoders: settings that turn evidence into supervoxels, and their graph into segments."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Annotated, ClassVar, Literal, Self

import numpy as np
from pydantic import SerializeAsAny
from pydantic.functional_validators import BeforeValidator

from napari_pytc.decoding.evidence import Evidence, EvidenceKind, not_through
from napari_pytc.decoding.long_range import with_long_range
from napari_pytc.decoding.tuned_range import TunedRange
from napari_pytc.errors import InvalidInput
from napari_pytc.geometry import Shape, VoxelSpace
from napari_pytc.labels.region_graph import RegionGraph, contact_edges
from napari_pytc.settings import TaggedSettings, setting

ASSUMED_VOXEL_NM = 10.0
"""Assumed edge of a voxel of unknown size, so that settings in micrometres mean something."""

Stitching = Literal["touching", "joined", "matching"]
"""Rule for joining pieces across a block's face: all that touch, those that `DecoderSettings.joined_faces` joins, or
those that are mostly the same where the blocks overlap."""


@dataclass(frozen=True, eq=False)
class Decoding:
    """Instances of an array.

    Parameters
    ----------
    supervoxels : ndarray of uint32, shape (z, y, x)
        Ids from 1 to n in order of their first voxels; 0 is background.
    segments : ndarray of uint32, shape (n + 1,)
        The segment of each supervoxel: the smallest id of the supervoxels in it.
    graph : RegionGraph
        The contacts between supervoxels.
    classes : ndarray of uint8, shape (n + 1,)
        The most probable semantic class of each supervoxel, from 1; 0 where the prediction has none.
    """

    supervoxels: np.ndarray
    segments: np.ndarray
    graph: RegionGraph
    classes: np.ndarray

    @property
    def labels(self) -> np.ndarray:
        """The segment of each voxel."""
        return self.segments[self.supervoxels]


class DecoderSettings(TaggedSettings):
    """Base of a decoder's settings.

    A new decoder is one module: a subclass with ``kind: Literal["..."] = "..."``, `supervoxels`, `halo`, and `group`
    where supervoxels are grouped afterwards, imported by `napari_pytc.decoding` or named in the entry-point group
    ``napari_pytc.decoders``.
    """

    object_class: str = setting(
        "", "Class", "Decode the objects of this semantic class only; all that is not boundary if it is empty."
    )
    smallest_um3: float = setting(
        0.0,
        "Smallest object",
        "Smaller objects are dropped, or join a neighbour where there is one to join.",
        "µm³",
        ge=0,
    )
    smallest_um2: float = setting(
        0.0,
        "Smallest object",
        "The same for a single section, where an object has an area and no volume.",
        "µm²",
        ge=0,
    )

    noun: ClassVar[str] = "decoder"
    entry_point_group: ClassVar[str] = "napari_pytc.decoders"
    title: ClassVar[str] = ""
    slider: ClassVar[str | None] = None
    """The setting that changes without new supervoxels, from few to many merges."""
    stitching: ClassVar[Stitching] = "matching"
    tuned: ClassVar[Mapping[str, TunedRange]] = {}
    """The settings that a tuning tries, by name; of two smallest sizes the one that counts."""

    def check_class(self, kind: EvidenceKind) -> None:
        """Raise `InvalidInput` if a prediction of this kind does not have the class whose objects are wanted."""
        if self.object_class and self.object_class not in kind.object_names:
            raise InvalidInput(
                f"The prediction has no class called {self.object_class!r}; it has {kind}.",
                "Choose one of its classes.",
            )

    def check(self, kind: EvidenceKind) -> None:
        """Raise `InvalidInput` if a prediction of this kind cannot be decoded so."""
        self.check_class(kind)
        if not self.object_class and not kind.has_boundary_map:
            raise InvalidInput(
                f"{self.title} needs boundaries, affinities, distances or a class to decode, but the prediction has "
                f"{kind}.",
                "Choose the class whose objects are wanted, or the class that stands for the boundary.",
            )

    def assumptions(self, kind: EvidenceKind) -> list[str]:
        """Notes on what the decoder does without in a prediction of this kind."""
        return []

    def without_effect(self, kind: EvidenceKind) -> frozenset[str]:
        """Names of settings that change nothing for predictions of this kind, so that no tuning tries them."""
        return frozenset()

    def fitted(self, shape: Shape, space: VoxelSpace) -> Self:
        """The settings for what is decoded: of a single section `smallest_um2` counts, as so thick a volume.

        Parameters
        ----------
        shape : tuple of int
            Lengths of what is decoded, z, y, x.
        """
        if shape[0] != 1:
            return self
        return self.model_copy(update={"smallest_um3": self.smallest_um2 * size_nm(space)[0] / 1e3})

    def smallest_text(self, shape: Shape, space: VoxelSpace) -> str:
        """The smallest size that counts for what is decoded, for people: the setting, its value and unit, and voxels.

        Parameters
        ----------
        shape : tuple of int
            Lengths of what is decoded, z, y, x; the settings are not `fitted` to it.
        """
        name, unit = ("smallest_um2", "µm²") if shape[0] == 1 else ("smallest_um3", "µm³")
        n_voxels = math.ceil(voxels_of_um3(self.fitted(shape, space).smallest_um3, space))
        return f"{name}={getattr(self, name):g} {unit} ({n_voxels} voxels)"

    def halo(self, space: VoxelSpace) -> Shape:
        """Voxels around a block that its supervoxels depend on, as far as they matter."""
        raise NotImplementedError(f"{type(self).__name__} has no halo")

    def supervoxels(self, evidence: Evidence, space: VoxelSpace) -> np.ndarray:
        """Supervoxels of an array, uint32 (z, y, x), any ids from 1; the same for the same evidence, always."""
        raise NotImplementedError(f"{type(self).__name__} has no supervoxels")

    @property
    def needs_histograms(self) -> bool:
        """Whether `group` needs the scores of all faces of a contact, and not their mean alone."""
        return False

    @property
    def piece_connectivity(self) -> int:
        """Neighbours (6, 18 or 26) by which voxels of one supervoxel hang together."""
        return 26 if self.stitching == "matching" else 6

    def joined_faces(self, evidence: Evidence) -> np.ndarray:
        """Faces across which supervoxels are one: bool (3, z, y, x), at ``[axis, voxel]`` between it and the next.

        For decoders that are stitched as "joined"; it depends on the two voxels alone.
        """
        raise NotImplementedError(f"{type(self).__name__} joins no faces")

    def seed_voxels(self, evidence: Evidence) -> np.ndarray | None:
        """Voxels of which an object needs some, wherever in it: bool (z, y, x); None where it needs none."""
        return None

    def well_seeded(self, n_seed_voxels: np.ndarray) -> np.ndarray:
        """Mask of the supervoxels with enough voxels of `seed_voxels`, bool (n + 1,)."""
        return np.asarray(n_seed_voxels > 0)

    def large_enough(self, sizes: np.ndarray, graph: RegionGraph, space: VoxelSpace) -> np.ndarray:
        """Mask of the supervoxels that stay: bool (n + 1,); the others become background."""
        keep = np.asarray(sizes) >= voxels_of_um3(self.smallest_um3, space)
        keep[0] = False
        return keep

    def dropped(self, evidence: Evidence, supervoxels: np.ndarray, space: VoxelSpace) -> np.ndarray | None:
        """Voxels of objects that `supervoxels` left out by their size, bool (z, y, x); None where it keeps all.

        Parameters
        ----------
        supervoxels : ndarray of uint32, shape (z, y, x)
            What `supervoxels` made of the evidence.
        """
        return None

    def group(self, graph: RegionGraph, sizes: np.ndarray, space: VoxelSpace) -> np.ndarray:
        """The segment of each supervoxel before small ones join a neighbour, uint32 (n + 1,).

        Parameters
        ----------
        sizes : ndarray of uint64, shape (n + 1,)
            Voxels of each supervoxel.
        """
        return np.arange(len(sizes), dtype=np.uint32)

    def join_small(self, segments: np.ndarray, graph: RegionGraph, sizes: np.ndarray, space: VoxelSpace) -> np.ndarray:
        """The segment of each supervoxel after segments that are too small joined a neighbour, where they do."""
        return segments

    def partition(self, graph: RegionGraph, sizes: np.ndarray, space: VoxelSpace) -> np.ndarray:
        """The segment of each supervoxel, uint32 (n + 1,), by `group` and `join_small`; touches no voxel."""
        return self.join_small(self.group(graph, sizes, space), graph, sizes, space)

    def decode(self, evidence: Evidence, space: VoxelSpace) -> Decoding:
        """Instances of an array in one piece.

        Raises
        ------
        InvalidInput
            If the evidence is of a kind that cannot be decoded so.
        """
        self.check(evidence.kind)
        fitted = self.fitted(evidence.shape, space)
        raw = in_order(fitted.supervoxels(evidence, space))
        join = contact_join(evidence)
        graph = contact_edges(raw, join, histograms=self.needs_histograms)
        sizes = np.bincount(raw.ravel(), minlength=1).astype(np.uint64)
        keep = fitted.large_enough(sizes, graph, space)
        seeds = fitted.seed_voxels(evidence)
        if seeds is not None:
            keep &= fitted.well_seeded(np.bincount(raw[seeds], minlength=len(sizes)))
        labels = in_order(np.where(keep[raw], raw, 0))
        if not keep[1:].all():
            graph = contact_edges(labels, join, histograms=self.needs_histograms)
            sizes = np.bincount(labels.ravel(), minlength=1).astype(np.uint64)
        segments = fitted.partition(graph, sizes, space)
        return Decoding(labels, segments, graph, most_probable(class_sums(labels, evidence, len(sizes))))


def contact_join(evidence: Evidence) -> np.ndarray | None:
    """Probabilities that score contacts; None where the evidence has no boundaries."""
    if not evidence.kind.has_boundary_map:
        return None
    near = replace(evidence, barrier=None).nearest()
    if near is None or evidence.affinities is None:
        return evidence.join()
    joined = with_long_range(near, evidence.affinities, evidence.offsets)
    return joined if evidence.barrier is None else not_through(joined, evidence.barrier)


def in_order(labels: np.ndarray) -> np.ndarray:
    """The same labels as uint32 from 1 in order of their first voxels; 0 stays."""
    found, first, inverse = np.unique(labels, return_index=True, return_inverse=True)
    first = np.where(found == 0, -1, first)
    rank = np.empty(len(found), np.uint32)
    rank[np.argsort(first, kind="stable")] = np.arange(len(found), dtype=np.uint32) + np.uint32(found[0] != 0)
    return np.asarray(rank[inverse.reshape(labels.shape)])


def class_sums(labels: np.ndarray, evidence: Evidence, n: int) -> np.ndarray:
    """Sum of each class's probability over each of n labels: float64 (n, k)."""
    flat = labels.ravel()
    maps = () if evidence.classes is None else evidence.classes
    sums = [np.bincount(flat, weights=channel.ravel(), minlength=n) for channel in maps]
    return np.stack(sums, axis=1) if sums else np.zeros((n, 0))


def most_probable(sums: np.ndarray) -> np.ndarray:
    """The class with the largest sum, from 1, uint8; 0 for the background and where there are no classes."""
    if not sums.shape[1]:
        return np.zeros(len(sums), np.uint8)
    classes = (np.argmax(sums, axis=1) + 1).astype(np.uint8)
    classes[0] = 0
    return classes


def size_nm(space: VoxelSpace) -> tuple[float, float, float]:
    """The voxel size, an assumed one where it is not known."""
    return space.voxel_size_nm if space.known else (ASSUMED_VOXEL_NM,) * 3


def voxels_of_um3(volume_um3: float, space: VoxelSpace) -> float:
    """A volume in voxels."""
    z, y, x = size_nm(space)
    return volume_um3 * 1e9 / (z * y * x)


AnyDecoder = Annotated[SerializeAsAny[DecoderSettings], BeforeValidator(DecoderSettings.parse)]
"""Settings of any decoder, told apart by their `kind`; also of other packages."""
