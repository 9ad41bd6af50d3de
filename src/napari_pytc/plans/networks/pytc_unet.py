"""U-Nets and feature pyramid of the first PyTorch Connectomics (Lin et al. 2021), with their blocks."""

from __future__ import annotations

from typing import ClassVar, Literal, Self

from pydantic import model_validator

from napari_pytc.geometry import Shape, VoxelSpace
from napari_pytc.plans.networks.base import (
    MOST_EXACT_LEVELS,
    NetworkSettings,
    above_one_voxel,
    patch_of_budget,
    total_stride,
)
from napari_pytc.settings import setting

NormName = Literal["batch", "instance", "group", "none"]
ActivationName = Literal["elu", "relu", "leaky_relu", "gelu", "silu", "none"]
PaddingName = Literal["replicate", "zeros", "reflect", "circular"]
_N_VOXELS = 131_072


_NON_LOCAL = setting(
    False,
    "Non-local block",
    "Let every voxel of the deepest level see all others, and every level see the deepest (unet_plus of PyTorch "
    "Connectomics).",
)


class _Levels(NetworkSettings):
    """What all kinds have in common: levels of convolutions with a norm and an activation."""

    n_groups: ClassVar[int] = 8
    """Of a group norm."""
    squeezed_by: ClassVar[int] = 4
    """Channels of an image over those that squeeze-excitation has."""
    channels: tuple[int, ...] = setting(
        (28, 36, 48, 64, 80),
        "Channels",
        "Feature maps of each level; the number of levels is the length.",
        min_length=2,
    )
    norm: NormName = setting("batch", "Norm", "Norm after each convolution; group: eight groups.")
    activation: ActivationName = setting("elu", "Activation", "The function after each convolution.")
    padding: PaddingName = setting("replicate", "Padding", "What convolutions see beyond the edge of the image.")
    dropout: float = setting(
        0.0, "Dropout", "Share of the feature maps that each step leaves out, after each level.", ge=0, lt=1
    )
    deep_supervision: bool = setting(False, "Deep supervision", "Give each coarser level a loss of its own.")
    checkpointing: bool = setting(
        False,
        "Recompute activations",
        "Keep only what goes into each level, and compute the rest again for the gradients: less memory, a third more "
        "time.",
    )

    @model_validator(mode="after")
    def _check_groups(self) -> Self:
        if self.norm == "group" and any(n % self.n_groups for n in self.channels):
            raise ValueError(f"channels must be multiples of {self.n_groups} for the norm group, got {self.channels}")
        return self

    def _check_non_local(self, is_non_local: bool) -> None:
        if is_non_local and self.norm not in ("batch", "group"):
            raise ValueError(f"a non-local block has a norm with weights, batch or group, got norm={self.norm}")

    def isotropic_levels(self, space: VoxelSpace) -> tuple[bool, ...]:
        """For each level whether z is taken like y and x."""
        raise NotImplementedError

    def level_strides(self, space: VoxelSpace) -> list[Shape]:
        """Strides between the levels."""
        return [(2, 2, 2) if one else (1, 2, 2) for one in self.isotropic_levels(space)[1:]]

    def window_multiple(self, space: VoxelSpace) -> Shape:
        """Factor by which the deepest level is coarser."""
        return total_stride(self.level_strides(space))

    def patch_shape(self, space: VoxelSpace) -> Shape:
        """About 130,000 voxels, and more than one voxel of the deepest level."""
        kernels: list[Shape] = [(3 if one else 1, 3, 3) for one in self.isotropic_levels(space)]
        stride = self.window_multiple(space)
        return above_one_voxel(patch_of_budget(kernels, stride, space.anisotropy, _N_VOXELS), stride)


class _LevelsOfVoxels(_Levels):
    """Levels of which the deep ones are isotropic."""

    isotropic: tuple[bool, ...] | Literal["voxels"] = setting(
        "voxels",
        "Isotropic levels",
        "For each level whether its convolutions and its stride take z like y and x. voxels: from the level on at "
        "which sections are no thicker than voxels are wide.",
    )

    @model_validator(mode="after")
    def _check_levels(self) -> Self:
        if not isinstance(self.isotropic, str) and len(self.isotropic) != len(self.channels):
            raise ValueError(
                f"isotropic has one entry for each of the {len(self.channels)} levels, got {len(self.isotropic)}"
            )
        return self

    def isotropic_levels(self, space: VoxelSpace) -> tuple[bool, ...]:
        """For each level whether z is taken like y and x."""
        if not isinstance(self.isotropic, str):
            return self.isotropic
        thickness, found = space.anisotropy, []
        for level in range(len(self.channels)):
            is_isotropic = thickness < 2
            found.append(is_isotropic)
            if level and not is_isotropic:
                thickness /= 2
        return tuple(found)


class UNet3DNetwork(_LevelsOfVoxels):
    """The U-Net of PyTorch Connectomics 1.0: residual, dense and squeeze-excitation blocks, sums at the skips."""

    builds: ClassVar[str] = "napari_pytc.learning.networks.pytc_unet_module:build_unet_3d"
    when: ClassVar[str] = "Models of PyTorch Connectomics 1.0."
    kind: Literal["unet_3d"] = "unet_3d"
    block: Literal["residual", "residual_pa", "residual_se", "residual_se_pa", "dense", "plain"] = setting(
        "residual",
        "Block",
        "residual: two convolutions and their input; pa: with norm and activation before them; se: with "
        "squeeze-excitation (Hu et al. 2018), which looks at the whole image; dense: each convolution sees all before "
        "it (Huang et al. 2017).",
    )
    pooling: bool = setting(
        True,
        "Pooling",
        "Go down by the maximum, so that tiles can be exact. Without it by strides, as the checkpoints of PyTorch "
        "Connectomics are by default: then interpolation depends on the size of the image.",
    )

    non_local: bool = _NON_LOCAL

    added_later: ClassVar[frozenset[str]] = frozenset({"non_local"})

    @model_validator(mode="after")
    def _check_block(self) -> Self:
        self._check_non_local(self.non_local)
        return self

    def tiles(self) -> Literal["exact", "windows"]:
        """Exact with pooling and up to four levels, where neither norm nor block is over the whole image."""
        is_local = self.pooling and self.norm in ("batch", "none") and "se" not in self.block.split("_")
        is_local = is_local and not self.non_local
        is_local = is_local and len(self.channels) <= MOST_EXACT_LEVELS
        return "exact" if is_local else "windows"


class UNet2DNetwork(_Levels):
    """The 2D U-Net of PyTorch Connectomics 1.0, section by section."""

    builds: ClassVar[str] = "napari_pytc.learning.networks.pytc_unet_module:build_unet_2d"
    when: ClassVar[str] = "Models of sections of PyTorch Connectomics 1.0."
    n_groups: ClassVar[int] = 16
    squeezed_by: ClassVar[int] = 16
    kind: Literal["unet_2d"] = "unet_2d"
    channels: tuple[int, ...] = setting(
        (32, 64, 128, 256, 512),
        "Channels",
        "Feature maps of each level; the number of levels is the length.",
        min_length=2,
    )
    norm: NormName = setting("group", "Norm", "Norm after each convolution; group: sixteen groups.")
    activation: ActivationName = setting("leaky_relu", "Activation", "The function after each convolution.")
    block: Literal["residual", "residual_se"] = setting(
        "residual", "Block", "residual: two convolutions and their input; se: with squeeze-excitation (Hu et al. 2018)."
    )
    pooling: bool = setting(False, "Pooling", "Go down by the maximum; otherwise by strides.")
    non_local: bool = _NON_LOCAL

    @model_validator(mode="after")
    def _check_block(self) -> Self:
        self._check_non_local(self.non_local)
        return self

    def isotropic_levels(self, space: VoxelSpace) -> tuple[bool, ...]:
        """None: sections are seen one at a time."""
        return (False,) * len(self.channels)

    def tiles(self) -> Literal["exact", "windows"]:
        """Windows: norms, blocks or the interpolation depend on the size of the image."""
        return "windows"


class FPN3DNetwork(_LevelsOfVoxels):
    """The feature pyramid of PyTorch Connectomics 1.0 (Lin et al. 2017) on a residual network."""

    builds: ClassVar[str] = "napari_pytc.learning.networks.pytc_unet_module:build_fpn_3d"
    when: ClassVar[str] = "Models of PyTorch Connectomics 1.0."
    kind: Literal["fpn_3d"] = "fpn_3d"
    block: Literal["residual", "residual_se"] = setting(
        "residual", "Block", "residual: two convolutions and their input; se: with squeeze-excitation (Hu et al. 2018)."
    )
    blocks: tuple[int, ...] = setting(
        (2,), "Blocks", "Blocks of each level but the finest: one number, or one a level.", min_length=1
    )

    @model_validator(mode="after")
    def _check_blocks(self) -> Self:
        if len(self.blocks) not in (1, len(self.channels) - 1) or min(self.blocks) < 1:
            raise ValueError(
                f"blocks has one number of at least 1, or one for each of the {len(self.channels) - 1} levels but the "
                f"finest, got {self.blocks}"
            )
        return self

    def level_blocks(self) -> tuple[int, ...]:
        """Blocks of each level but the finest."""
        return self.blocks * (len(self.channels) - 1) if len(self.blocks) == 1 else self.blocks

    def tiles(self) -> Literal["exact", "windows"]:
        """Windows: interpolation depends on the size of the image."""
        return "windows"
