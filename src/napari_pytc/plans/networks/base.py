"""Settings of network architectures, and the limits of tiled predictions."""

from __future__ import annotations

import inspect
import math
from collections.abc import Callable, Sequence
from typing import Annotated, Any, ClassVar, Literal

from pydantic import SerializeAsAny
from pydantic.functional_validators import BeforeValidator

from napari_pytc.errors import InvalidInput, ModelError
from napari_pytc.geometry import Shape, VoxelSpace, whole_multiples
from napari_pytc.settings import Settings, TaggedSettings, resolve


class NetworkLimits(Settings):
    """Context and alignment with which a prediction in tiles equals one in a single piece.

    Parameters
    ----------
    halo : Shape
        Context in voxels on each side of what is kept (z, y, x).
    alignment : Shape
        Tiles start, and have lengths, at multiples of this.
    """

    halo: Shape
    alignment: Shape


class NetworkSettings(TaggedSettings):
    """Base of an architecture's settings.

    A new architecture is a subclass with ``kind: Literal["..."] = "..."``, `builds` and `patch_shape`, imported by
    `napari_pytc.plans.networks` or named in the entry-point group ``napari_pytc.networks``. Its module imports no
    torch, so that forms and command line stay quick.
    """

    noun: ClassVar[str] = "network"
    entry_point_group: ClassVar[str] = "napari_pytc.networks"
    learns_from: ClassVar[Literal["patches", "voxels"]] = "patches"
    needs_zscores: ClassVar[bool] = False
    """Whether it has fixed filters, made for intensities of mean 0 and standard deviation 1."""
    builds: ClassVar[str]
    """The function that makes the network, ``"package.module:function"``: it takes these settings, the number of
    classes, the `VoxelSpace` and the number of the image's channels, and returns a module with random weights from a
    normalised (b, n_inputs, z, y, x) to logits (b, n_classes, z, y, x)."""
    when: ClassVar[str] = ""
    """When to take it, as a sentence for the documentation."""
    added_later: ClassVar[frozenset[str]] = frozenset()
    """Settings that older versions do not have; where they are the defaults, trainings of before are the same work."""

    def build(self, n_classes: int, space: VoxelSpace, n_inputs: int = 1) -> Any:
        """The network with random weights, a `torch.nn.Module`; torch is imported now.

        Raises
        ------
        ModelError
            If an image has several channels and the function that makes the network takes none.
        """
        builder = resolve(self.builds)
        if _takes_inputs(builder):
            return builder(self, n_classes, space, n_inputs)
        if n_inputs != 1:
            raise ModelError(
                f"The network {getattr(self, 'kind', type(self).__name__)!r} reads images of one channel, got "
                f"{n_inputs}: its function {self.builds} takes no n_inputs.",
                "Choose another network or a single channel, or let the function take (settings, n_classes, space, "
                "n_inputs).",
            )
        return builder(self, n_classes, space)

    def tiles(self) -> Literal["exact", "windows"]:
        """How a network of these settings predicts a volume.

        ``"exact"``: in tiles with a halo, equal to one piece; its halo is finite. ``"windows"``: in overlapping windows
        that are blended, because an output depends on the whole patch (instance and group norm, attention).
        """
        return "exact"

    def window_multiple(self, space: VoxelSpace) -> Shape:
        """Multiples of which are the lengths of patches, of tiles and of windows."""
        return (1, 1, 1)

    def check_patch(self, patch: Shape) -> None:
        """Refuse a training patch that the network cannot learn from; its lengths fit the network's strides.

        Raises
        ------
        InvalidInput
            If it is too small.
        """

    def check_deepest_level(self, shape: Shape, space: VoxelSpace) -> None:
        """Refuse a patch shape that is asked for and is smaller than a voxel of the deepest level, or a single one.

        Raises
        ------
        InvalidInput
            With the least lengths.
        """
        multiple = self.window_multiple(space)
        rounded = whole_multiples(shape, multiple)  # a training takes patches of whole multiples
        is_smaller = self.tiles() == "windows" and any(n < m for n, m in zip(shape, multiple, strict=True))
        if max(multiple) > 1 and (is_smaller or math.prod(rounded) < 2 * math.prod(multiple)):
            least = above_one_voxel(multiple, multiple)
            raise InvalidInput(
                f"The deepest level of the network {self.kind} has voxels of {'x'.join(map(str, multiple))} and needs "
                f"several of them in a patch, got patch_shape {'x'.join(map(str, shape))}.",
                f"Take at least {'x'.join(map(str, least))}, fewer levels, or leave patch_shape to the network.",
            )

    def check_several_voxels(self, patch: Shape, alignment: Shape) -> None:
        """Refuse a patch that is a single voxel of the deepest level, of which a batch norm has no spread.

        Parameters
        ----------
        alignment : tuple of int
            Lengths of a voxel of the deepest level.

        Raises
        ------
        InvalidInput
            With the least lengths.
        """
        if self.learns_from == "patches" and max(alignment) > 1 and math.prod(patch) < 2 * math.prod(alignment):
            least = above_one_voxel(alignment, alignment)
            raise InvalidInput(
                f"A patch of {'x'.join(map(str, patch))} is a single voxel of the deepest level of the network "
                f"{getattr(self, 'kind', type(self).__name__)}, which needs several of them.",
                f"Take patch_shape {'x'.join(map(str, least))} or larger, or fewer levels.",
            )

    def check_outputs(self, n_outputs: int) -> None:
        """Refuse settings that do not fit the number of channels that are learnt.

        Raises
        ------
        InvalidInput
            With both numbers.
        """

    def notes(self, n_outputs: int) -> list[str]:
        """What is to be told of settings that cannot be as they are asked for, with so many channels predicted."""
        return []

    def teacher_settings(self) -> list[str]:
        """Settings, as ``network.name=value``, that the teacher of a network's pseudo-labels shares with it."""
        return []

    @property
    def training_margin(self) -> Shape:
        """Voxels on each side of a training patch, along z, y, x, that are context alone: nothing is learnt there."""
        return 0, 0, 0

    def patch_shape(self, space: VoxelSpace) -> Shape:
        """The training patch that suits network and voxel size."""
        raise NotImplementedError(f"{type(self).__name__} does not say how large a patch should be")


MOST_EXACT_LEVELS = 4
"""Networks in 3D with more levels look so far that exact tiles cost more than overlapping windows do."""


_MOST_GROUPS = 8


def groups_of(channels: Sequence[int]) -> int:
    """Groups of a group norm: eight, or as many as divide the channels of all layers."""
    return next(n for n in range(_MOST_GROUPS, 0, -1) if all(channel % n == 0 for channel in channels))


def group_note(channels: Sequence[int]) -> list[str]:
    """A sentence on a group norm of fewer than eight groups; none where there are eight."""
    n_groups = groups_of(channels)
    if n_groups == _MOST_GROUPS:
        return []
    groups = "a single group, over all channels" if n_groups == 1 else f"{n_groups} groups"
    return [
        f"network.norm=group has {groups} instead of {_MOST_GROUPS}, which do not divide the channels of all layers "
        f"({', '.join(map(str, channels))})."
    ]


def _takes_inputs(builder: Callable[..., Any]) -> bool:
    """Whether a builder takes the number of channels, which those of before version 0.4 do not."""
    parameters = inspect.signature(builder).parameters.values()
    positional = (inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD)
    n_positional = sum(one.kind in positional for one in parameters)
    return n_positional >= 4 or any(one.kind is inspect.Parameter.VAR_POSITIONAL for one in parameters)


AnyNetwork = Annotated[SerializeAsAny[NetworkSettings], BeforeValidator(NetworkSettings.parse)]
"""Settings of any network, told apart by their `kind`; also of other packages."""


def strides_and_kernels(space: VoxelSpace, n_levels: int) -> tuple[list[Shape], list[Shape]]:
    """Strides and kernels of each level such that the voxels of deeper levels become isotropic.

    An axis is halved only where its voxels are less than twice as long as the finest, and convolved over only where
    they are at most twice as long (the planning rule of nnU-Net, Isensee et al. 2021).

    Returns
    -------
    strides, kernels : list of Shape
        One entry a level; the first level has stride 1.
    """
    size = list(space.voxel_size_nm)
    strides: list[Shape] = [(1, 1, 1)]
    kernels: list[Shape] = [_kernel(size)]
    for _ in range(n_levels - 1):
        step = [2 if length < 2 * min(size) else 1 for length in size]
        size = [length * s for length, s in zip(size, step, strict=True)]
        strides.append((step[0], step[1], step[2]))
        kernels.append(_kernel(size))
    return strides, kernels


def _kernel(size: Sequence[float]) -> Shape:
    z, y, x = (3 if length <= 2 * min(size) else 1 for length in size)
    return (z, y, x)


def total_stride(strides: Sequence[Shape]) -> Shape:
    """Factor by which the deepest level is coarser than the input."""
    z, y, x = (math.prod(stride[axis] for stride in strides) for axis in range(3))
    return (z, y, x)


def patch_of_budget(kernels: Sequence[Shape], stride: Shape, anisotropy: float, n_voxels: int) -> Shape:
    """A patch of about `n_voxels` that is as deep as the network's context, and a multiple of its stride.

    Strokes are drawn in sections, so a patch is kept flatter than it is wide; a network without context across
    sections gets a single one.
    """
    depth = (
        1 if all(kernel[0] == 1 for kernel in kernels) else max(1.0, (n_voxels / 4 / max(anisotropy, 1.0)) ** (1 / 3))
    )
    side = (n_voxels / depth) ** 0.5
    z, y, x = (max(s, round(length / s) * s) for length, s in zip((depth, side, side), stride, strict=True))
    return (z, y, x)


def above_one_voxel(patch: Shape, stride: Shape) -> Shape:
    """The patch, no shorter in the plane than two voxels of the deepest level: norms of a single voxel are 0."""
    return (patch[0], max(patch[1], 2 * stride[1]), max(patch[2], 2 * stride[2]))


def level_strides(
    space: VoxelSpace, n_levels: int, which: Literal["isotropic", "voxels"], dimensions: Literal["2d", "3d"] = "3d"
) -> list[Shape]:
    """Strides between the levels: of two along each axis, or as the voxels ask for; none across sections in 2D."""
    if dimensions == "2d":
        return [(1, 2, 2)] * (n_levels - 1)
    if which == "isotropic":
        return [(2, 2, 2)] * (n_levels - 1)
    return strides_and_kernels(space, n_levels)[0][1:]
