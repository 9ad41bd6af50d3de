"""MedNeXt (Roy et al. 2023): a U-Net of ConvNeXt blocks, in its published sizes and with all numbers of one's own."""

from __future__ import annotations

from typing import Any, ClassVar, Literal, NamedTuple, Self

from pydantic import field_validator, model_validator

from napari_pytc.errors import InvalidInput
from napari_pytc.geometry import Shape, VoxelSpace
from napari_pytc.plans.networks.base import (
    NetworkSettings,
    above_one_voxel,
    level_strides,
    patch_of_budget,
    total_stride,
)
from napari_pytc.settings import Settings, setting

Size = Literal["S", "B", "M", "L"]
Kernel = Literal[3, 5, 7]
_N_LEVELS = 5
_PATCH_VOXELS = 65_536
_PUBLISHED_CHANNELS = 32


class TaskHead(Settings):
    """A head for some of the target's channels: blocks at full resolution, and a projection to the channels."""

    name: str = setting(..., "Name", "What it predicts.", min_length=1)
    channels: int = setting(
        1, "Channels", "How many of the target's channels it predicts; heads take them in their order.", ge=1
    )
    blocks: int = setting(0, "Blocks", "Blocks of its own before the projection.", ge=0)
    features: int | None = setting(
        None, "Features", "Feature maps of its blocks; by default those of the network's finest level.", ge=1
    )


class MedNeXtDesign(NamedTuple):
    """The numbers that make a MedNeXt.

    Parameters
    ----------
    channels : int
        Feature maps of the finest level; each deeper one has twice as many.
    expansion : tuple of int
        By how much the blocks widen them, a number a stage: down the levels, the deepest, and up again.
    blocks : tuple of int
        Blocks of each stage, in the same order.
    """

    channels: int
    expansion: tuple[int, ...]
    blocks: tuple[int, ...]
    kernel_size: int
    strides: list[Shape]
    deep_supervision: bool
    grn: bool
    checkpointing: bool
    residual: bool = True
    upkern: bool = True
    residual_resampling: bool = True
    norm: Literal["group", "layer"] = "group"
    is_2d: bool = False
    heads: tuple[TaskHead, ...] = ()


PUBLISHED: dict[Size, tuple[tuple[int, ...], tuple[int, ...]]] = {
    "S": ((2,) * 9, (2,) * 9),
    "B": ((2, 3, 4, 4, 4, 4, 4, 3, 2), (2,) * 9),
    "M": ((2, 3, 4, 4, 4, 4, 4, 3, 2), (3, 4, 4, 4, 4, 4, 4, 4, 3)),
    "L": ((3, 4, 8, 8, 8, 8, 8, 4, 3), (3, 4, 8, 8, 8, 8, 8, 4, 3)),
}
"""Expansion and blocks of each stage, after table 1 of the paper and its published code; 32 channels each."""


class _MedNeXt(NetworkSettings):
    """What both kinds have in common."""

    builds: ClassVar[str] = "napari_pytc.learning.networks.mednext_module:build_mednext"

    def tiles(self) -> Literal["exact", "windows"]:
        """Windows: its norms are over the whole image."""
        return "windows"

    heads: tuple[TaskHead, ...] = setting(
        (),
        "Heads",
        "Heads of their own for the target's channels, in order, as PyTC has them for several tasks; by default one "
        "projection for all channels. They go without deep supervision.",
    )

    added_later: ClassVar[frozenset[str]] = frozenset({"heads"})

    def design(self, space: VoxelSpace) -> MedNeXtDesign:
        """The numbers of the network on voxels of a size."""
        raise NotImplementedError

    def check_outputs(self, n_outputs: int) -> None:
        """Refuse heads that have not as many channels as are learnt."""
        n_channels = sum(head.channels for head in self.heads)
        if self.heads and n_channels != n_outputs:
            raise InvalidInput(
                f"The heads of the network {self.kind} have {n_channels} channels together, but the target has "
                f"{n_outputs}.",
                "Give network.heads as many channels as the target has.",
            )

    def _check_heads(self, n_features: int, deep_supervision: bool) -> None:
        names = [head.name for head in self.heads]
        if len(set(names)) < len(names):
            raise ValueError(f"heads have different names, got {', '.join(names)}")
        if self.heads and deep_supervision:
            raise ValueError("heads go without deep supervision: set network.deep_supervision=false")
        wide = next((head for head in self.heads if (head.features or 0) > n_features), None)
        if wide is not None:
            raise ValueError(f"the head {wide.name} has at most {n_features} features, as the finest level")

    def window_multiple(self, space: VoxelSpace) -> Shape:
        """Factor by which the deepest level is coarser."""
        return total_stride(self.design(space).strides)

    def patch_shape(self, space: VoxelSpace) -> Shape:
        """About 65,000 voxels, and more than one voxel of the deepest level."""
        design = self.design(space)
        kernel = (1 if design.is_2d else design.kernel_size, design.kernel_size, design.kernel_size)
        stride = total_stride(design.strides)
        return above_one_voxel(patch_of_budget([kernel], stride, space.anisotropy, _PATCH_VOXELS), stride)


class MedNeXtNetwork(_MedNeXt):
    """MedNeXt in a published size: a large U-Net of depth-wise convolutions with few weights, for dense labels."""

    when: ClassVar[str] = "Dense labels and a GPU; equal to the published network (Roy et al. 2023)."
    kind: Literal["mednext"] = "mednext"
    size: Size = setting(
        "S", "Size", "Small, base, medium or large: 5.6, 10.5, 17.6 or 61.8 million weights with kernels of 3."
    )
    kernel_size: Kernel = setting(
        3,
        "Kernel",
        "Width of the convolutions: 3, 5 or 7. Train with 3 first, then start a training with 5 from that model: its "
        "kernels are enlarged (UpKern).",
        "voxels",
    )
    strides: Literal["isotropic", "voxels"] = setting(
        "isotropic",
        "Strides",
        "isotropic: every level halves all axes, as published; voxels: thick sections are not halved before voxels are "
        "as long as thick.",
    )
    deep_supervision: bool = setting(True, "Deep supervision", "Give each coarser level a loss of its own.")
    grn: bool = setting(
        False,
        "Response norm",
        "Global response normalisation in the blocks (Woo et al. 2023); not in the paper's sizes.",
    )
    upkern: bool = setting(
        True,
        "Enlarge kernels",
        "Where a training starts from a model with smaller kernels, interpolate them (UpKern); otherwise they are "
        "learnt anew.",
    )
    checkpointing: Literal["auto", "on", "off"] = setting(
        "auto",
        "Recompute activations",
        "Keep only what goes into each block, and compute the rest again for the gradients: less memory, a third more "
        "time. auto: for the sizes M and L, as published.",
    )

    @field_validator("checkpointing", mode="before")
    @classmethod
    def _accept_yes_and_no(cls, value: Any) -> Any:
        """YAML reads on and off as true and false."""
        return {True: "on", False: "off"}[value] if isinstance(value, bool) else value

    @model_validator(mode="after")
    def _check(self) -> Self:
        self._check_heads(_PUBLISHED_CHANNELS, self.deep_supervision)
        return self

    def design(self, space: VoxelSpace) -> MedNeXtDesign:
        """The published numbers."""
        expansion, blocks = PUBLISHED[self.size]
        return MedNeXtDesign(
            channels=_PUBLISHED_CHANNELS,
            expansion=expansion,
            blocks=blocks,
            kernel_size=self.kernel_size,
            strides=level_strides(space, _N_LEVELS, self.strides),
            deep_supervision=self.deep_supervision,
            grn=self.grn,
            upkern=self.upkern,
            checkpointing=self.checkpointing == "on" or (self.checkpointing == "auto" and self.size in "ML"),
            heads=self.heads,
        )


class MedNeXtCustomNetwork(_MedNeXt):
    """MedNeXt with all numbers settable."""

    when: ClassVar[str] = "A MedNeXt of your own widths, depths and kernels."
    kind: Literal["mednext_custom"] = "mednext_custom"
    channels: int = setting(
        32, "Channels", "Feature maps of the finest level; each deeper one has twice as many.", ge=1
    )
    blocks: tuple[int, ...] = setting(
        (2,) * 9,
        "Blocks",
        "Blocks of each stage: down the levels, the deepest one, and up again. Nine make five levels, as published; "
        "five make three.",
        min_length=3,
    )
    expansion: tuple[int, ...] = setting(
        (4,), "Expansion", "By how much the blocks widen the features: one number, or one a stage.", min_length=1
    )
    kernel_size: Kernel = setting(3, "Kernel", "Width of the convolutions: 3, 5 or 7.", "voxels")
    dimensions: Literal["3d", "2d"] = setting(
        "3d", "Dimensions", "3d: in the volume; 2d: section by section, with convolutions within sections."
    )
    strides: Literal["isotropic", "voxels"] = setting(
        "isotropic",
        "Strides",
        "isotropic: every level halves all axes, as published; voxels: thick sections are not halved before voxels are "
        "as long as thick.",
    )
    norm: Literal["group", "layer"] = setting(
        "group", "Norm", "group: of each channel over the image, as published; layer: over the channels of each voxel."
    )
    residual: bool = setting(True, "Residual blocks", "Add each block's input to its output.")
    residual_resampling: bool = setting(
        True, "Residual resampling", "Add a strided copy to what goes down or up a level."
    )
    deep_supervision: bool = setting(True, "Deep supervision", "Give each coarser level a loss of its own.")
    grn: bool = setting(False, "Response norm", "Global response normalisation in the blocks (Woo et al. 2023).")
    upkern: bool = setting(
        True,
        "Enlarge kernels",
        "Where a training starts from a model with smaller kernels, interpolate them (UpKern); otherwise they are "
        "learnt anew.",
    )
    checkpointing: bool = setting(
        False,
        "Recompute activations",
        "Keep only what goes into each block, and compute the rest again for the gradients: less memory, a third more "
        "time.",
    )

    @model_validator(mode="after")
    def _check_stages(self) -> Self:
        if len(self.blocks) % 2 == 0:
            raise ValueError(
                f"blocks has a number for each stage down, the deepest and each stage up: an odd length, got "
                f"{len(self.blocks)}"
            )
        if len(self.expansion) not in (1, len(self.blocks)):
            raise ValueError(
                f"expansion has one number, or one for each of the {len(self.blocks)} stages of blocks, got "
                f"{len(self.expansion)}"
            )
        if min(self.blocks) < 1 or min(self.expansion) < 1:
            raise ValueError("each stage has at least one block and an expansion of at least 1")
        self._check_heads(self.channels, self.deep_supervision)
        return self

    def design(self, space: VoxelSpace) -> MedNeXtDesign:
        """The numbers as they are set."""
        n_levels = len(self.blocks) // 2 + 1
        return MedNeXtDesign(
            channels=self.channels,
            expansion=self.expansion * len(self.blocks) if len(self.expansion) == 1 else self.expansion,
            blocks=self.blocks,
            kernel_size=self.kernel_size,
            strides=level_strides(space, n_levels, self.strides, self.dimensions),
            deep_supervision=self.deep_supervision,
            grn=self.grn,
            upkern=self.upkern,
            checkpointing=self.checkpointing,
            residual=self.residual,
            residual_resampling=self.residual_resampling,
            norm=self.norm,
            is_2d=self.dimensions == "2d",
            heads=self.heads,
        )
