"""MONAI's BasicUNet (Falk et al. 2019): five levels, strides of two along every axis."""

from __future__ import annotations

from typing import ClassVar, Literal

from napari_pytc.errors import InvalidInput
from napari_pytc.geometry import Shape, VoxelSpace
from napari_pytc.plans.networks.base import NetworkSettings, group_note, groups_of, patch_of_budget
from napari_pytc.settings import setting

STRIDE = 16
"""Four halvings."""


class MonaiBasicUNetNetwork(NetworkSettings):
    """MONAI's BasicUNet: a plain U-Net of five levels that halves every axis, whatever the voxel size."""

    builds: ClassVar[str] = "napari_pytc.learning.networks.monai_basic_unet_module:build_basic_unet"
    when: ClassVar[str] = "Recipes of PyTorch Connectomics."
    kind: Literal["monai_basic_unet3d"] = "monai_basic_unet3d"
    channels: tuple[int, int, int, int, int, int] = setting(
        (32, 32, 64, 128, 256, 32), "Channels", "Feature maps of the five levels, then of the last convolutions."
    )
    norm: Literal["batch", "instance", "group"] = setting(
        "instance",
        "Normalisation of layers",
        "With batch a volume is predicted in exact tiles, with instance and group in overlapping windows.",
    )
    activation: Literal["leakyrelu", "relu", "prelu", "elu", "gelu", "swish"] = setting(
        "leakyrelu", "Activation", "The function after each norm; leakyrelu with a slope of 0.1, as in MONAI."
    )
    dropout: float = setting(0.0, "Dropout", "Share of the feature maps that each step leaves out.", ge=0, lt=1)
    upsample: Literal["deconv", "pixelshuffle", "nontrainable"] = setting(
        "deconv", "Upsampling", "How a level becomes finer: learnt, by sub-voxels, or interpolated."
    )

    def tiles(self) -> Literal["exact", "windows"]:
        """Exact with batch norm alone."""
        return "exact" if self.norm == "batch" else "windows"

    @property
    def n_groups(self) -> int:
        """Groups of the norm ``group``: eight, or as many as divide the channels of all layers."""
        return groups_of(self.channels)

    def notes(self, n_outputs: int) -> list[str]:
        """See `NetworkSettings`."""
        return group_note(self.channels) if self.norm == "group" else []

    def window_multiple(self, space: VoxelSpace) -> Shape:
        """The total stride."""
        return (STRIDE, STRIDE, STRIDE)

    def check_patch(self, patch: Shape) -> None:
        """Instance norm needs two voxels at least, also at the deepest level."""
        if self.norm == "instance" and max(patch) <= STRIDE:
            raise InvalidInput(
                f"The deepest level of {self.kind} sees a single voxel of a patch of {' x '.join(map(str, patch))}; "
                "instance norm needs two.",
                f"Set patch_shape to more than {STRIDE} voxels along an axis, or network.norm=batch.",
            )

    def patch_shape(self, space: VoxelSpace) -> Shape:
        """About 130,000 voxels."""
        return patch_of_budget([(3, 3, 3)], self.window_multiple(space), space.anisotropy, 131_072)
