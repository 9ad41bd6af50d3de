"""What every architecture offers: settings that build a network, and what the network asks of its tiles."""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import cache
from importlib.metadata import entry_points
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Literal

from pydantic import SerializeAsAny
from pydantic.functional_validators import BeforeValidator

from napari_pytc.errors import InvalidInput
from napari_pytc.geometry import Shape, VoxelSpace
from napari_pytc.settings import Settings

if TYPE_CHECKING:
    from torch import nn


class NetworkLimits(Settings):
    """What a network needs for a prediction in tiles to equal one in a single piece.

    Parameters
    ----------
    halo : Shape
        Context in voxels on each side of what is kept (z, y, x).
    alignment : Shape
        Tiles start, and have lengths, at multiples of this.
    """

    halo: Shape
    alignment: Shape


class NetworkSettings(Settings):
    """Base of an architecture's settings.

    A new architecture is one module: a subclass with ``kind: Literal["..."] = "..."`` and `build`, imported by
    `napari_pytc.learning.networks` or named in the entry-point group ``napari_pytc.networks``. The module imports torch
    inside `build` only, so that forms and command line stay quick.
    """

    kind: str
    kinds: ClassVar[dict[str, type[NetworkSettings]]] = {}
    learns_from: ClassVar[Literal["patches", "voxels"]] = "patches"

    @classmethod
    def __pydantic_init_subclass__(cls, **kwargs: Any) -> None:
        super().__pydantic_init_subclass__(**kwargs)
        kind = cls.model_fields["kind"].default
        if isinstance(kind, str):
            NetworkSettings.kinds[kind] = cls

    @staticmethod
    def variants() -> dict[str, type[NetworkSettings]]:
        """All architectures that are installed, by kind."""
        _load_others()
        return dict(NetworkSettings.kinds)

    def build(self, n_classes: int, space: VoxelSpace) -> nn.Module:
        """The network with random weights: normalised (b, 1, z, y, x) to logits (b, n_classes, z, y, x)."""
        raise NotImplementedError(f"{type(self).__name__} does not say how to build")

    def patch_shape(self, space: VoxelSpace) -> Shape:
        """The training patch that suits network and voxel size."""
        raise NotImplementedError(f"{type(self).__name__} does not say how large a patch should be")


@cache
def _load_others() -> None:
    """Import the architectures of other packages, once: looking for them reads the metadata of all packages."""
    for entry in entry_points(group="napari_pytc.networks"):
        entry.load()


def parse_network(value: Any) -> Any:
    """Turn a mapping with a `kind` into that architecture's settings."""
    if not isinstance(value, dict):
        return value
    kind = value.get("kind")
    if kind not in NetworkSettings.kinds:
        _load_others()
    if kind not in NetworkSettings.kinds:
        raise InvalidInput(f"No network is called {kind!r}.", f"Known are {', '.join(sorted(NetworkSettings.kinds))}.")
    return NetworkSettings.kinds[kind].model_validate(value)


AnyNetwork = Annotated[SerializeAsAny[NetworkSettings], BeforeValidator(parse_network)]


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
    """How much coarser the deepest level is than the input."""
    z, y, x = (math.prod(stride[axis] for stride in strides) for axis in range(3))
    return (z, y, x)


def patch_of_budget(kernels: Sequence[Shape], stride: Shape, anisotropy: float, n_voxels: int) -> Shape:
    """A patch of about `n_voxels` that is as deep as the network looks, and a multiple of its stride.

    Strokes are drawn in sections, so a patch is kept flatter than it is wide; a network that never looks across
    sections gets a single one.
    """
    depth = (
        1 if all(kernel[0] == 1 for kernel in kernels) else max(1.0, (n_voxels / 4 / max(anisotropy, 1.0)) ** (1 / 3))
    )
    side = (n_voxels / depth) ** 0.5
    z, y, x = (max(s, round(length / s) * s) for length, s in zip((depth, side, side), stride, strict=True))
    return (z, y, x)
