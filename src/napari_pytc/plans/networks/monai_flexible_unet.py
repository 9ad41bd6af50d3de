"""MONAI's FlexibleUNet: a U-Net whose way down is a ResNet (He et al. 2016) or an EfficientNet (Tan and Le 2019)."""

from __future__ import annotations

from typing import ClassVar, Literal

from napari_pytc.geometry import Shape, VoxelSpace
from napari_pytc.plans.networks.base import NetworkSettings, above_one_voxel, patch_of_budget
from napari_pytc.settings import setting

Backbone = Literal[
    "resnet10",
    "resnet18",
    "resnet34",
    "resnet50",
    "resnet101",
    "resnet152",
    "resnet200",
    "efficientnet-b0",
    "efficientnet-b1",
    "efficientnet-b2",
    "efficientnet-b3",
    "efficientnet-b4",
    "efficientnet-b5",
    "efficientnet-b6",
    "efficientnet-b7",
    "efficientnet-b8",
]
STRIDE = 32


class MonaiFlexibleUNetNetwork(NetworkSettings):
    """A U-Net with a ResNet or EfficientNet as backbone, in 3D or section by section; weights begin at random."""

    builds: ClassVar[str] = "napari_pytc.learning.networks.monai_flexible_unet_module:build_flexible_unet"
    when: ClassVar[str] = "ResNet and EfficientNet backbones, in 3D or section by section."
    kind: Literal["monai_flexible_unet"] = "monai_flexible_unet"
    backbone: Backbone = setting(
        "resnet18", "Backbone", "Network on the way down. EfficientNets have squeeze-excitation blocks."
    )
    dimensions: Literal["2d", "3d"] = setting(
        "2d", "Dimensions", "2d: section by section, with convolutions within sections; 3d: in the volume."
    )
    decoder_channels: tuple[int, int, int, int, int] = setting(
        (256, 128, 64, 32, 16), "Decoder channels", "Feature maps of the five levels on the way up."
    )
    upsample: Literal["nontrainable", "deconv", "pixelshuffle"] = setting(
        "nontrainable", "Upsampling", "How a level becomes finer: interpolated, learnt, or by sub-voxels."
    )
    dropout: float = setting(0.0, "Dropout", "Share of the features that each step leaves out.", ge=0, lt=1)
    checkpointing: bool = setting(
        False,
        "Recompute activations",
        "Keep only what goes into each block, and compute the rest again for the gradients: less memory, a third more "
        "time.",
    )

    def tiles(self) -> Literal["exact", "windows"]:
        """Exact with a ResNet section by section; squeeze-excitation looks at the whole image."""
        return "exact" if self.backbone.startswith("resnet") and self.dimensions == "2d" else "windows"

    def window_multiple(self, space: VoxelSpace) -> Shape:
        """Five halvings, none across sections in 2D."""
        return (1 if self.dimensions == "2d" else STRIDE, STRIDE, STRIDE)

    def patch_shape(self, space: VoxelSpace) -> Shape:
        """About 130,000 voxels, and more than one voxel of the deepest level; single sections in 2D."""
        stride = self.window_multiple(space)
        return above_one_voxel(patch_of_budget([stride], stride, space.anisotropy, 131_072), stride)
