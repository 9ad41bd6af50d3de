"""The residual symmetric U-Net of Lee et al. 2017, as PyTorch Connectomics has it."""

from __future__ import annotations

from typing import ClassVar, Literal, Self

from pydantic import model_validator

from napari_pytc.geometry import Shape, VoxelSpace
from napari_pytc.plans.networks.base import (
    MOST_EXACT_LEVELS,
    NetworkSettings,
    above_one_voxel,
    patch_of_budget,
    strides_and_kernels,
    total_stride,
)
from napari_pytc.settings import setting


class RSUNetNetwork(NetworkSettings):
    """The residual symmetric U-Net of Lee et al. 2017: sums at the skips, made for affinities of thick sections."""

    builds: ClassVar[str] = "napari_pytc.learning.networks.rsunet_module:build_rsunet"
    when: ClassVar[str] = "Affinities of thick sections."
    kind: Literal["rsunet"] = "rsunet"
    channels: tuple[int, ...] = setting(
        (16, 32, 64, 128), "Channels", "Feature maps of each level; the number of levels is the length.", min_length=2
    )
    kernel_size: Literal[1, 3, 5, 7] = setting(3, "Kernel", "Width of the convolutions.", "voxels")
    flat_levels: int = setting(
        0, "Flat levels", "How many of the finest levels have convolutions within sections alone.", ge=0
    )
    strides: tuple[Shape, ...] | Literal["sections", "isotropic", "voxels"] = setting(
        "sections",
        "Strides",
        "sections: 1, 2, 2 between all levels, as published; isotropic: 2, 2, 2; voxels: thick sections are not halved "
        "before voxels are as long as thick; or a stride (z, y, x) for each step down.",
    )
    norm: Literal["batch", "group", "instance", "none"] = setting(
        "batch",
        "Norm",
        "With batch or none, and up to four levels, a volume is predicted in exact tiles, else in windows.",
    )
    groups: int = setting(8, "Groups", "Groups of the group norm, fewer where the channels cannot be divided.", ge=1)
    activation: Literal["relu", "leakyrelu", "prelu", "elu"] = setting(
        "relu", "Activation", "The function before each convolution; elu in the paper."
    )
    deep_supervision: bool = setting(False, "Deep supervision", "Give up to four coarser levels a loss of their own.")
    dropout: float = setting(
        0.0, "Dropout", "Share of the feature maps that each step leaves out, after each block.", ge=0, lt=1
    )
    checkpointing: bool = setting(
        False,
        "Recompute activations",
        "Keep only what goes into each level, and compute the rest again for the gradients: less memory, a third more "
        "time.",
    )

    @model_validator(mode="after")
    def _check(self) -> Self:
        n_steps = len(self.channels) - 1
        if not isinstance(self.strides, str):
            if len(self.strides) != n_steps:
                raise ValueError(
                    f"strides has one entry for each of the {n_steps} steps between the levels, got {len(self.strides)}"
                )
            if any(n < 1 for stride in self.strides for n in stride):
                raise ValueError(f"strides must be at least 1, got {self.strides}")
        return self

    def tiles(self) -> Literal["exact", "windows"]:
        """Exact where no norm is over the image, with up to four levels."""
        is_near = len(self.channels) <= MOST_EXACT_LEVELS
        return "exact" if self.norm in ("batch", "none") and is_near else "windows"

    def level_strides(self, space: VoxelSpace) -> list[Shape]:
        """Strides between the levels."""
        n_steps = len(self.channels) - 1
        if self.strides == "voxels":
            return strides_and_kernels(space, n_steps + 1)[0][1:]
        if isinstance(self.strides, str):
            return [(1, 2, 2) if self.strides == "sections" else (2, 2, 2)] * n_steps
        return list(self.strides)

    def kernels(self) -> list[Shape]:
        """Kernels of the levels."""
        k = self.kernel_size
        return [(1 if level < self.flat_levels else k, k, k) for level in range(len(self.channels))]

    def window_multiple(self, space: VoxelSpace) -> Shape:
        """Factor by which the deepest level is coarser."""
        return total_stride(self.level_strides(space))

    def patch_shape(self, space: VoxelSpace) -> Shape:
        """About 130,000 voxels, and more than one voxel of the deepest level."""
        stride = self.window_multiple(space)
        return above_one_voxel(patch_of_budget(self.kernels(), stride, space.anisotropy, 131_072), stride)
