"""MONAI's transformers: UNETR (Hatamizadeh et al. 2022) and Swin UNETR (Hatamizadeh et al. 2021)."""

from __future__ import annotations

from typing import ClassVar, Literal, Self

from pydantic import model_validator

from napari_pytc.geometry import Shape, VoxelSpace
from napari_pytc.plans.networks.base import NetworkSettings, above_one_voxel, patch_of_budget
from napari_pytc.settings import setting

UNETR_STRIDE = 16
SWIN_STRIDE = 32


class MonaiUNETRNetwork(NetworkSettings):
    """MONAI's UNETR: a vision transformer on blocks of 16 voxels, and convolutions that bring it to every voxel."""

    builds: ClassVar[str] = "napari_pytc.learning.networks.monai_transformers_module:build_unetr"
    when: ClassVar[str] = "A transformer, for many labels and a large GPU."
    kind: Literal["monai_unetr"] = "monai_unetr"
    image_shape: Shape | None = setting(
        None,
        "Image shape",
        "Shape (z, y, x) for which positions are learnt, multiples of 16; other shapes get interpolated ones. By "
        "default the shape of the patch.",
        "voxels",
    )
    feature_size: int = setting(16, "Features", "Feature maps of the finest level.", ge=1)
    hidden_size: int = setting(768, "Hidden size", "Features of the transformer, a multiple of the heads.", ge=1)
    mlp_size: int = setting(3072, "Perceptron", "Width of the perceptrons in the transformer.", ge=1)
    heads: int = setting(12, "Heads", "Heads of the attention.", ge=1)
    norm: Literal["instance", "batch"] = setting("instance", "Norm", "Norm of the convolutions.")
    dropout: float = setting(
        0.0, "Dropout", "Share of the transformer's features that each step leaves out.", ge=0, lt=1
    )
    checkpointing: bool = setting(
        False,
        "Recompute activations",
        "Keep only what goes into each block, and compute the rest again for the gradients: less memory, a third more "
        "time.",
    )

    @model_validator(mode="after")
    def _check(self) -> Self:
        if self.hidden_size % self.heads:
            raise ValueError(f"hidden_size must be a multiple of heads ({self.heads}), got {self.hidden_size}")
        if self.image_shape is not None and any(n < 1 or n % UNETR_STRIDE for n in self.image_shape):
            raise ValueError(f"image_shape must be multiples of {UNETR_STRIDE}, got {self.image_shape}")
        return self

    def tiles(self) -> Literal["exact", "windows"]:
        """Windows: attention is over the whole image."""
        return "windows"

    def window_multiple(self, space: VoxelSpace) -> Shape:
        """The transformer's blocks."""
        return (UNETR_STRIDE,) * 3

    def positions(self, space: VoxelSpace) -> Shape:
        """Blocks along z, y, x for which positions are learnt."""
        z, y, x = (n // UNETR_STRIDE for n in self.image_shape or self.patch_shape(space))
        return (z, y, x)

    def patch_shape(self, space: VoxelSpace) -> Shape:
        """The image shape; by default about 130,000 voxels."""
        stride = self.window_multiple(space)
        default = above_one_voxel(patch_of_budget([stride], stride, space.anisotropy, 131_072), stride)
        return self.image_shape or default


class MonaiSwinUNETRNetwork(NetworkSettings):
    """MONAI's Swin UNETR: attention within shifted windows on five levels, and convolutions that put them together."""

    builds: ClassVar[str] = "napari_pytc.learning.networks.monai_transformers_module:build_swin_unetr"
    when: ClassVar[str] = "A transformer with local attention, for many labels and a large GPU."
    kind: Literal["monai_swin_unetr"] = "monai_swin_unetr"
    feature_size: int = setting(
        48, "Features", "Feature maps of the finest level, a multiple of 12.", ge=12, multiple_of=12
    )
    depths: tuple[int, int, int, int] = setting((2, 2, 2, 2), "Depths", "Transformer blocks of each level.")
    heads: tuple[int, int, int, int] = setting((3, 6, 12, 24), "Heads", "Heads of the attention of each level.")
    window: int = setting(7, "Attention window", "Width of the windows of the attention, in blocks of a level.", ge=2)
    use_v2: bool = setting(
        False, "Version 2", "A residual convolution before each level (He et al. 2023, SwinUNETR-V2)."
    )
    norm: Literal["instance", "batch"] = setting("instance", "Norm", "Norm of the convolutions.")
    dropout: float = setting(0.0, "Dropout", "Share of the features that each step leaves out.", ge=0, lt=1)
    attention_dropout: float = setting(
        0.0, "Attention dropout", "Share of the attention that each step leaves out.", ge=0, lt=1
    )
    path_dropout: float = setting(0.0, "Path dropout", "Probability that a step leaves a block out.", ge=0, lt=1)
    checkpointing: bool = setting(
        False,
        "Recompute activations",
        "Keep only what goes into each transformer block, and compute the rest again for the gradients: less memory, "
        "more time.",
    )

    @model_validator(mode="after")
    def _check(self) -> Self:
        for level, n_heads in enumerate(self.heads):
            if n_heads < 1 or self.feature_size * 2**level % n_heads:
                raise ValueError(
                    f"the {self.feature_size * 2**level} features of level {level + 1} must be a multiple of its "
                    f"heads, got {n_heads}"
                )
        if min(self.depths) < 1:
            raise ValueError(f"depths must be at least 1, got {self.depths}")
        return self

    def tiles(self) -> Literal["exact", "windows"]:
        """Windows: attention depends on where the image begins, and the norms are over all of it."""
        return "windows"

    def window_multiple(self, space: VoxelSpace) -> Shape:
        """Five halvings."""
        return (SWIN_STRIDE,) * 3

    def patch_shape(self, space: VoxelSpace) -> Shape:
        """About 130,000 voxels, and more than one voxel of the deepest level."""
        stride = self.window_multiple(space)
        return above_one_voxel(patch_of_budget([stride], stride, space.anisotropy, 131_072), stride)
