"""What every decoder offers: settings that turn evidence into supervoxels, and a graph of them into segments."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cache
from importlib.metadata import entry_points
from typing import Annotated, Any, ClassVar, Literal

import numpy as np
from pydantic import SerializeAsAny
from pydantic.functional_validators import BeforeValidator

from napari_pytc.decoding.evidence import Evidence, EvidenceKind, not_through
from napari_pytc.decoding.straddling import with_straddling
from napari_pytc.errors import InvalidInput
from napari_pytc.geometry import Shape, VoxelSpace
from napari_pytc.labels.region_graph import RegionGraph, contact_edges
from napari_pytc.settings import Settings, setting

ASSUMED_VOXEL_NM = 10.0
"""What stands for the edge of a voxel whose size nobody knows, so that settings in micrometres mean something."""

Joining = Literal["touching", "matching"]
"""Which pieces on both sides of a block's face are one: all that touch, or those that are mostly the same where the
blocks overlap."""


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


class DecoderSettings(Settings):
    """Base of a decoder's settings.

    A new decoder is one module: a subclass with ``kind: Literal["..."] = "..."``, `supervoxels`, `halo`, and
    `partition` where supervoxels are grouped afterwards, imported by `napari_pytc.decoding` or named in the entry-point
    group ``napari_pytc.decoders``.
    """

    kind: str
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

    kinds: ClassVar[dict[str, type[DecoderSettings]]] = {}
    title: ClassVar[str] = ""
    slider: ClassVar[str | None] = None
    """The setting that moves without new supervoxels, from few to many merges."""
    joining: ClassVar[Joining] = "matching"

    @classmethod
    def __pydantic_init_subclass__(cls, **kwargs: Any) -> None:
        super().__pydantic_init_subclass__(**kwargs)
        kind = cls.model_fields["kind"].default
        if isinstance(kind, str):
            DecoderSettings.kinds[kind] = cls

    @staticmethod
    def variants() -> dict[str, type[DecoderSettings]]:
        """All decoders that are installed, by kind."""
        _load_others()
        return dict(DecoderSettings.kinds)

    def check(self, kind: EvidenceKind) -> None:
        """Raise `InvalidInput` if a prediction of this kind cannot be decoded so."""
        if self.object_class and self.object_class not in kind.class_names:
            raise InvalidInput(
                f"The prediction has no class called {self.object_class!r}; it has {kind}.",
                "Choose one of its classes.",
            )
        if not self.object_class and not kind.has_boundary_map:
            raise InvalidInput(
                f"{self.title} needs boundaries, affinities, distances or a class to decode, but the prediction has "
                f"{kind}.",
                "Choose the class whose objects are wanted, or the class that stands for the boundary.",
            )

    def halo(self, space: VoxelSpace) -> Shape:
        """Voxels around a block that its supervoxels depend on, as far as they matter."""
        raise NotImplementedError(f"{type(self).__name__} does not say how far it looks")

    def supervoxels(self, evidence: Evidence, space: VoxelSpace) -> np.ndarray:
        """Supervoxels of an array, uint32 (z, y, x), any ids from 1; the same for the same evidence, always."""
        raise NotImplementedError(f"{type(self).__name__} does not say how to decode")

    def kept(self, sizes: np.ndarray, graph: RegionGraph, space: VoxelSpace) -> np.ndarray:
        """Which supervoxels stay: bool (n + 1,); the others become background."""
        keep = np.asarray(sizes) >= voxels_of_um3(self.smallest_um3, space)
        keep[0] = False
        return keep

    def partition(self, graph: RegionGraph, sizes: np.ndarray, space: VoxelSpace) -> np.ndarray:
        """The segment of each supervoxel, uint32 (n + 1,); touches no voxel.

        Parameters
        ----------
        sizes : ndarray of uint64, shape (n + 1,)
            Voxels of each supervoxel.
        """
        return np.arange(len(sizes), dtype=np.uint32)

    def decode(self, evidence: Evidence, space: VoxelSpace) -> Decoding:
        """Instances of an array in one piece.

        Raises
        ------
        InvalidInput
            If the evidence is of a kind that cannot be decoded so.
        """
        self.check(evidence.kind)
        raw = in_order(self.supervoxels(evidence, space))
        join = contact_join(evidence)
        graph = contact_edges(raw, join)
        sizes = np.bincount(raw.ravel(), minlength=1).astype(np.uint64)
        keep = self.kept(sizes, graph, space)
        labels = in_order(np.where(keep[raw], raw, 0))
        if not keep[1:].all():
            graph, sizes = contact_edges(labels, join), np.bincount(labels.ravel(), minlength=1).astype(np.uint64)
        segments = self.partition(graph, sizes, space)
        return Decoding(labels, segments, graph, most_probable(class_sums(labels, evidence, len(sizes))))


def contact_join(evidence: Evidence) -> np.ndarray | None:
    """What scores contacts, None where nothing tells where objects end."""
    if not evidence.kind.has_boundary_map:
        return None
    near = replace(evidence, barrier=None).nearest()
    if near is None or evidence.affinities is None:
        return evidence.join()
    joined = with_straddling(near, evidence.affinities, evidence.offsets)
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
    """The voxel size to reckon with, also where it is not known."""
    return space.voxel_size_nm if space.known else (ASSUMED_VOXEL_NM,) * 3


def voxels_of_um3(volume_um3: float, space: VoxelSpace) -> float:
    """A volume in voxels."""
    z, y, x = size_nm(space)
    return volume_um3 * 1e9 / (z * y * x)


@cache
def _load_others() -> None:
    """Import the decoders of other packages, once: looking for them reads the metadata of all packages."""
    for entry in entry_points(group="napari_pytc.decoders"):
        entry.load()


def parse_decoder(value: Any) -> Any:
    """Turn a mapping with a `kind`, or the name of one, into that decoder's settings."""
    if isinstance(value, str):
        value = {"kind": value}
    if not isinstance(value, dict):
        return value
    kind = value.get("kind")
    if kind not in DecoderSettings.kinds:
        _load_others()
    if kind not in DecoderSettings.kinds:
        raise InvalidInput(f"No decoder is called {kind!r}.", f"Known are {', '.join(sorted(DecoderSettings.kinds))}.")
    return DecoderSettings.kinds[kind].model_validate(value)


AnyDecoder = Annotated[SerializeAsAny[DecoderSettings], BeforeValidator(parse_decoder)]
