"""MONAI's residual U-Net (Kerfoot et al. 2018) with all of its settings, as PyTorch Connectomics has it."""

from __future__ import annotations

from typing import ClassVar, Literal

from napari_pytc.geometry import Shape, VoxelSpace
from napari_pytc.plans.networks.base import (
    MOST_EXACT_LEVELS,
    NetworkSettings,
    above_one_voxel,
    group_note,
    groups_of,
    level_strides,
    patch_of_budget,
    total_stride,
)
from napari_pytc.settings import setting


class MonaiUNetNetwork(NetworkSettings):
    """MONAI's residual U-Net with five levels and two convolutions a block, as in PyTorch Connectomics."""

    builds: ClassVar[str] = "napari_pytc.learning.networks.monai_unet_module:build_monai_unet"
    when: ClassVar[str] = "Recipes of PyTorch Connectomics."
    kind: Literal["monai_unet"] = "monai_unet"
    channels: tuple[int, ...] = setting(
        (32, 64, 128, 256, 512),
        "Channels",
        "Feature maps of each level; the number of levels is the length.",
        min_length=2,
    )
    residual_units: int = setting(
        2, "Residual units", "Convolutions in each residual block; 0: plain blocks.", ge=0, le=4
    )
    kernel_size: Literal[1, 3, 5, 7] = setting(3, "Kernel", "Width of the convolutions.", "voxels")
    dimensions: Literal["3d", "2d"] = setting(
        "3d", "Dimensions", "3d: in the volume; 2d: section by section, with convolutions within sections."
    )
    strides: Literal["isotropic", "voxels"] = setting(
        "isotropic",
        "Strides",
        "isotropic: every level halves all axes; voxels: thick sections are not halved before voxels are as long as "
        "thick.",
    )
    norm: Literal["batch", "instance", "group"] = setting(
        "batch",
        "Norm",
        "With batch, up to four levels or 2d a volume is predicted in exact tiles, else in overlapping windows.",
    )
    activation: Literal["prelu", "relu", "leakyrelu", "elu", "gelu", "swish"] = setting(
        "prelu", "Activation", "The function after each convolution."
    )
    dropout: float = setting(0.0, "Dropout", "Share of the features that each step leaves out.", ge=0, lt=1)
    checkpointing: bool = setting(
        False,
        "Recompute activations",
        "Keep only what goes into each block, and compute the rest again for the gradients: less memory, a third more "
        "time.",
    )

    def tiles(self) -> Literal["exact", "windows"]:
        """Exact with batch norm, section by section or with up to four levels."""
        is_near = self.dimensions == "2d" or len(self.channels) <= MOST_EXACT_LEVELS
        return "exact" if self.norm == "batch" and is_near else "windows"

    def level_strides(self, space: VoxelSpace) -> list[Shape]:
        """Strides between the levels."""
        return level_strides(space, len(self.channels), self.strides, self.dimensions)

    def n_groups(self, n_outputs: int) -> int:
        """Groups of the norm ``group``: eight, or as many as divide the channels of all layers."""
        return groups_of((*self.channels, n_outputs))

    def notes(self, n_outputs: int) -> list[str]:
        """See `NetworkSettings`."""
        return group_note((*self.channels, n_outputs)) if self.norm == "group" else []

    def window_multiple(self, space: VoxelSpace) -> Shape:
        """Factor by which the deepest level is coarser."""
        return total_stride(self.level_strides(space))

    def patch_shape(self, space: VoxelSpace) -> Shape:
        """About 130,000 voxels, and more than one voxel of the deepest level."""
        stride = self.window_multiple(space)
        kernel = (1 if self.dimensions == "2d" else 3, 3, 3)
        return above_one_voxel(patch_of_budget([kernel], stride, space.anisotropy, 131_072), stride)
