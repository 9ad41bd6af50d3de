"""Evidence for decoders: boundaries, affinities, distances and classes of a prediction's voxels."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

import numpy as np

from napari_pytc.decoding.channel_use import ChannelUse
from napari_pytc.errors import InvalidInput, VolumeError
from napari_pytc.geometry import Box, Shape, VoxelSpace
from napari_pytc.settings import Settings, setting
from napari_pytc.volumes.channels import roles_of
from napari_pytc.volumes.roles import AffinityRole, ChannelRole
from napari_pytc.volumes.zarr_output import ChunkedArray, open_ome_zarr

BOUNDARY_NAMES = ("membrane", "boundar", "border", "edge", "cell wall")
"""A class with one of these in its name stands for the boundary where nothing else does."""

MaskMode = Literal["inside", "not_through"]
"""Objects lie only inside of the class, or never reach through it."""


class MaskSettings(Settings):
    """A semantic class of a prediction that restricts decoding."""

    prediction: Path = setting(..., "Prediction", "The prediction with the class that restricts.")
    name: str = setting(..., "Class", "The class that restricts.")
    mode: MaskMode = setting(
        "inside", "Restriction", "Objects lie only inside of the class, or never reach through it."
    )


@dataclass(frozen=True)
class EvidenceKind:
    """Kinds of channels of a prediction, known before a voxel is read."""

    boundary: bool = False
    distance: bool = False
    offsets: tuple[Shape, ...] = ()
    class_names: tuple[str, ...] = ()
    boundary_class: str | None = None
    mask_names: tuple[str, ...] = ()
    """What objects can be restricted to besides classes, as the foreground."""
    unused: tuple[str, ...] = ()
    """Titles of channels that no decoder uses."""

    @classmethod
    def of_roles(cls, roles: Sequence[ChannelRole], boundary_class: str | None = None) -> EvidenceKind:
        """The kinds of channels that have these roles.

        Parameters
        ----------
        boundary_class : str, optional
            The class that stands for the boundary; one that is called membrane or alike by default.
        """
        use = ChannelUse.of(roles)
        names, masks, unused = (
            tuple(roles[channel].title for channel in channels) for channels in (use.classes, use.masks, use.unused)
        )
        return cls(
            boundary=use.boundary is not None,
            distance=use.has_distance,
            offsets=tuple(role.offset for role in roles if isinstance(role, AffinityRole)),
            class_names=names,
            boundary_class=boundary_class_of(names, boundary_class),
            mask_names=masks,
            unused=unused,
        )

    @property
    def object_names(self) -> tuple[str, ...]:
        """Everything that objects can be restricted to."""
        return (*self.class_names, *self.mask_names)

    @property
    def near_axes(self) -> tuple[int, ...]:
        """Axes along which there are affinities of face neighbours."""
        return tuple(axis for axis in range(3) if _near_channel(self.offsets, axis) is not None)

    @property
    def has_boundary_map(self) -> bool:
        """Whether any channel shows where objects end."""
        return bool(self.boundary or self.near_axes or self.distance or self.boundary_class)

    def __str__(self) -> str:
        parts = ["a boundary"] * self.boundary + ["distances"] * self.distance
        parts += [f"{len(self.offsets)} affinities"] if self.offsets else []
        parts += [f"the classes {', '.join(self.class_names)}"] if self.class_names else []
        parts += [f"a map of {name}" for name in self.mask_names]
        if not parts and self.unused:
            return f"only {', '.join(self.unused)}, which no decoder uses"
        return " and ".join(parts) or "no channels"


@dataclass(frozen=True, eq=False)
class Evidence:
    """Channels of a prediction in a box, by their meaning.

    Parameters
    ----------
    boundary : ndarray of float32, shape (z, y, x), optional
        Probability that a voxel touches another object or the background.
    affinities : ndarray of float32, shape (c, z, y, x), optional
        Probability that a voxel and the one at ``voxel + offsets[c]`` belong to one object.
    offsets : sequence of tuple of int
        One (z, y, x) a channel of the affinities.
    distance : ndarray of float32, shape (z, y, x), optional
        Signed distance to the boundary as part of its reach, -1 to 1, positive inside.
    foreground : ndarray of float32, shape (z, y, x), optional
        Probability that a voxel may belong to an object at all; everywhere by default.
    classes : ndarray of float32, shape (k, z, y, x), optional
        Probabilities of the semantic classes.
    predicted : ndarray of bool, shape (z, y, x), optional
        Mask of the voxels that a network has seen; all by default. The others are background.
    class_names : tuple of str
        Names of the classes.
    boundary_class : str, optional
        The class that stands for the boundary where there is none; one that is called membrane or alike by default.
    barrier : ndarray of float32, shape (z, y, x), optional
        Probability of what no object reaches through.
    masks : ndarray of float32, shape (m, z, y, x), optional
        Probabilities of what objects can be restricted to besides classes.
    mask_names : tuple of str
        Names of the masks.
    unused : tuple of str
        Titles of channels that are left out.
    goes_on : tuple of (bool, bool)
        Along z, y, x: whether what is decoded goes on before the box's first voxel and beyond its last.
    """

    boundary: np.ndarray | None = None
    affinities: np.ndarray | None = None
    offsets: Sequence[Shape] = ()
    distance: np.ndarray | None = None
    foreground: np.ndarray | None = None
    classes: np.ndarray | None = None
    predicted: np.ndarray | None = None
    class_names: tuple[str, ...] = ()
    boundary_class: str | None = None
    barrier: np.ndarray | None = None
    masks: np.ndarray | None = None
    mask_names: tuple[str, ...] = ()
    unused: tuple[str, ...] = ()
    goes_on: tuple[tuple[bool, bool], ...] = ((False, False),) * 3

    @classmethod
    def of_channels(
        cls, stored: np.ndarray, roles: Sequence[ChannelRole], boundary_class: str | None = None
    ) -> Evidence:
        """The evidence of channels as a prediction stores them.

        Parameters
        ----------
        stored : ndarray, shape (c, z, y, x)
            Integers that fill their type's range, or probabilities; where all channels are 0 nothing is predicted.
        roles : sequence of ChannelRole
            One a channel.
        """
        values, use, kind = _unit(stored), ChannelUse.of(roles), EvidenceKind.of_roles(roles, boundary_class)
        return cls(
            boundary=None if use.boundary is None else values[use.boundary],
            affinities=_channels(values, use.affinities),
            offsets=kind.offsets,
            distance=use.distances(values),
            classes=_channels(values, use.classes),
            predicted=np.any(stored, axis=0),
            class_names=kind.class_names,
            boundary_class=boundary_class,
            masks=_channels(values, use.masks),
            mask_names=kind.mask_names,
            unused=kind.unused,
        )

    def __post_init__(self) -> None:
        n_affinities = 0 if self.affinities is None else len(self.affinities)
        n_classes = 0 if self.classes is None else len(self.classes)
        shapes = {array.shape[-3:] for array in self._arrays()}
        if len(shapes) != 1 or n_affinities != len(self.offsets) or n_classes != len(self.class_names):
            raise InvalidInput(
                f"Evidence is arrays of one shape (z, y, x), an offset for each affinity and a name for each class, "
                f"got shapes {sorted(shapes)}, {n_affinities} affinities with {len(self.offsets)} offsets and "
                f"{n_classes} classes with {len(self.class_names)} names."
            )

    @property
    def shape(self) -> Shape:
        """Lengths along z, y, x."""
        z, y, x = next(array.shape[-3:] for array in self._arrays())
        return (z, y, x)

    @property
    def kind(self) -> EvidenceKind:
        """The kinds of channels that are there."""
        return EvidenceKind(
            boundary=self.boundary is not None,
            distance=self.distance is not None,
            offsets=tuple((z, y, x) for z, y, x in self.offsets),
            class_names=self.class_names,
            boundary_class=boundary_class_of(self.class_names, self.boundary_class),
            mask_names=self.mask_names,
            unused=self.unused,
        )

    def region(self) -> np.ndarray:
        """Voxels in which objects may lie: bool (z, y, x)."""
        allowed = np.ones(self.shape, bool) if self.predicted is None else self.predicted.copy()
        if self.foreground is not None:
            allowed &= self.foreground >= 0.5
        return allowed

    def boundary_map(self) -> np.ndarray:
        """Probability of a boundary, float32 (z, y, x): from the boundary, else affinities, distance or a class.

        Raises
        ------
        InvalidInput
            If no channel shows where objects end.
        """
        found = self._own_boundary()
        if self.barrier is not None:
            found = np.maximum(found, self.barrier)
        return found.astype(np.float32, copy=False)

    def class_map(self, name: str) -> np.ndarray:
        """Probability of a class, float32 (z, y, x).

        Raises
        ------
        InvalidInput
            If there is no such class.
        """
        if self.masks is not None and name in self.mask_names:
            return np.asarray(self.masks[self.mask_names.index(name)])
        if self.classes is None or name not in self.class_names:
            raise InvalidInput(
                f"The prediction has no class called {name!r}; it has {self.kind}.", "Choose one of its classes."
            )
        return np.asarray(self.classes[self.class_names.index(name)])

    def object_map(self, name: str = "") -> np.ndarray:
        """Probability of lying inside an object, float32 (z, y, x): that of a class, or of no boundary."""
        if name:
            found = self.class_map(name)
        elif self.distance is not None and self.boundary is None and not self.kind.near_axes:
            found = (self.distance + 1) / 2
        else:
            return np.asarray(1 - self.boundary_map())
        return found if self.barrier is None else found * (1 - self.barrier)

    def open_ends(self) -> np.ndarray:
        """Voxels at those ends of the box beyond which what is decoded goes on: bool (z, y, x)."""
        found = np.zeros(self.shape, bool)
        for axis, (before, beyond) in enumerate(self.goes_on):
            if before:
                found[_along(axis, slice(0, 1))] = True
            if beyond:
                found[_along(axis, slice(-1, None))] = True
        return found

    def nearest(self) -> np.ndarray | None:
        """Affinities of face neighbours, float32 (3, z, y, x), at ``[axis, voxel]`` between it and the next.

        None where there are none for any axis; an axis without its own gets values from the boundary. Faces at the far
        end, which have no other side, are 0.
        """
        axes = self.kind.near_axes
        if self.affinities is None or not axes:
            return None
        free = np.zeros((3, *self.shape), np.float32)
        join = None if len(axes) == 3 else 1 - self.boundary_map()
        for axis in range(3):
            near, far = _along(axis, slice(0, -1)), _along(axis, slice(1, None))
            if axis not in axes and join is not None:
                free[axis][near] = (join[near] + join[far]) / 2
                continue
            channel, step = _near_channel(self.offsets, axis) or (0, 1)
            free[axis][near] = self.affinities[channel][near if step > 0 else far]
        return free if self.barrier is None else not_through(free, self.barrier)

    def join(self) -> np.ndarray:
        """Probability of belonging to the neighbours' object, as `contact_edges` takes it."""
        near = self.nearest()
        return np.asarray(1 - self.boundary_map()) if near is None else near

    def _own_boundary(self) -> np.ndarray:
        if self.boundary is not None:
            return self.boundary
        if self.affinities is not None and self.kind.near_axes:
            return np.asarray(1 - self._weakest_affinity())
        if self.distance is not None:
            return np.clip(0.5 - self.distance / 2, 0, 1)
        name = boundary_class_of(self.class_names, self.boundary_class)
        if name is None:
            raise InvalidInput(
                f"A boundary is needed, but the prediction has {self.kind}.",
                "Choose the class that stands for the boundary, or train for boundaries or affinities.",
            )
        return self.class_map(name)

    def _weakest_affinity(self) -> np.ndarray:
        """The lowest affinity over the faces of each voxel: a boundary is where any of them is cut."""
        assert self.affinities is not None
        weakest = np.ones(self.shape, np.float32)
        for axis in self.kind.near_axes:
            near, far = _along(axis, slice(0, -1)), _along(axis, slice(1, None))
            channel, step = _near_channel(self.offsets, axis) or (0, 1)
            faces = self.affinities[channel][near if step > 0 else far]
            for side in (near, far):
                np.minimum(weakest[side], faces, out=weakest[side])
        return weakest

    def _arrays(self) -> list[np.ndarray]:
        arrays = (self.boundary, self.affinities, self.distance, self.foreground, self.classes, self.predicted)
        return [array for array in (*arrays, self.barrier, self.masks) if array is not None]


class EvidenceReader:
    """Reads boxes of a prediction on disk as `Evidence`; safe to use from several threads.

    Use `open`.
    """

    def __init__(
        self,
        prediction: ChunkedArray,
        roles: Sequence[ChannelRole],
        boundary_class: str | None,
        mask: MaskSettings | None,
    ) -> None:
        self._prediction, self._roles, self._boundary_class = prediction, tuple(roles), boundary_class
        self._mask = mask
        self._mask_source: tuple[ChunkedArray, int] | None = None if mask is None else _open_mask(mask, prediction)
        self.shape: Shape = prediction.shape
        self.space: VoxelSpace = prediction.space

    @classmethod
    def open(
        cls, prediction: str | Path, boundary_class: str | None = None, mask: MaskSettings | None = None
    ) -> EvidenceReader:
        """Open a prediction.

        Parameters
        ----------
        prediction : Path
            The OME-Zarr (c, z, y, x).
        boundary_class : str, optional
            The class that stands for the boundary.
        mask : MaskSettings, optional
            The mask that restricts the objects.

        Raises
        ------
        VolumeError
            If it is no prediction, or the mask's shape is another.
        InvalidInput
            If there is no class of that name.
        """
        array = _open_prediction(Path(prediction))
        reader = cls(array, roles_of(array.attributes, array.channels), boundary_class, mask)
        names = reader.kind.class_names
        if boundary_class is not None and boundary_class not in names:
            raise InvalidInput(
                f"The prediction has no class called {boundary_class!r}; it has {reader.kind}.",
                "Choose one of its classes.",
            )
        return reader

    @property
    def kind(self) -> EvidenceKind:
        """The kinds of channels that can be read."""
        return EvidenceKind.of_roles(self._roles, self._boundary_class)

    def read(self, box: Box) -> Evidence:
        """The evidence of a box within the volume."""
        found = Evidence.of_channels(self._prediction.read(box), self._roles, self._boundary_class)
        mask = self._read_mask(box)
        inside = self._mask is not None and self._mask.mode == "inside"
        return replace(found, foreground=mask if inside else None, barrier=None if inside else mask)

    def _read_mask(self, box: Box) -> np.ndarray | None:
        if self._mask_source is None:
            return None
        source, channel = self._mask_source
        return np.asarray(_unit(source.read(box)[channel]))


def not_through(faces: np.ndarray, barrier: np.ndarray) -> np.ndarray:
    """Affinities of faces (3, z, y, x), lowered where either voxel is probably a barrier between objects."""
    for axis in range(3):
        near, far = _along(axis, slice(0, -1)), _along(axis, slice(1, None))
        faces[axis][near] *= 1 - np.maximum(barrier[near], barrier[far])
    return faces


def boundary_class_of(names: Sequence[str], chosen: str | None = None) -> str | None:
    """The class that stands for the boundary: the chosen one, or the first that is called so."""
    if chosen is not None:
        return chosen
    return next((name for name in names if any(word in name.lower() for word in BOUNDARY_NAMES)), None)


def _open_prediction(path: Path) -> ChunkedArray:
    array = open_ome_zarr(path)
    if not array.channels:
        raise VolumeError(
            f"A prediction has axes c, z, y, x, but {path} has no channels.", "Choose a Zarr that predict wrote."
        )
    return array


def _open_mask(mask: MaskSettings, prediction: ChunkedArray) -> tuple[ChunkedArray, int]:
    array = _open_prediction(mask.prediction)
    if array.shape != prediction.shape:
        raise VolumeError(
            f"What restricts must be as large as the prediction {prediction.shape}, got {array.shape}.",
            "Predict both on one image.",
        )
    roles = roles_of(array.attributes, array.channels)
    use = ChannelUse.of(roles)
    names = [role.title if n in (*use.classes, *use.masks) else "" for n, role in enumerate(roles)]
    if mask.name not in names:
        raise InvalidInput(
            f"The prediction {mask.prediction.name} has no class called {mask.name!r}; it has "
            f"{', '.join(filter(None, names)) or 'none'}.",
            "Choose one of its classes.",
        )
    return array, names.index(mask.name)


def _unit(raw: np.ndarray) -> np.ndarray:
    """Stored values as float32; integers fill their type's range."""
    scale = np.float32(1 / np.iinfo(raw.dtype).max if raw.dtype.kind in "iu" else 1)
    return raw.astype(np.float32) * scale


def _channels(values: np.ndarray, which: Sequence[int]) -> np.ndarray | None:
    """Some channels of an array; a view where they follow one another."""
    if not which:
        return None
    if list(which) == list(range(which[0], which[-1] + 1)):
        return values[which[0] : which[-1] + 1]
    return values[list(which)]


def _near_channel(offsets: Sequence[Shape], axis: int) -> tuple[int, int] | None:
    """The channel of the face neighbour along an axis, and whether it is the next (1) or the one before (-1)."""
    for channel, offset in enumerate(offsets):
        if abs(offset[axis]) == 1 and sum(abs(step) for step in offset) == 1:
            return channel, offset[axis]
    return None


def _along(axis: int, part: slice) -> tuple[slice, ...]:
    return tuple(part if a == axis else slice(None) for a in range(3))
