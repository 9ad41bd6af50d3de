"""A U-Net on the features of a filter bank, added to the filter bank's own perceptron."""

from __future__ import annotations

from typing import ClassVar, Literal

from napari_pytc.geometry import Shape, VoxelSpace
from napari_pytc.plans.networks.base import NetworkSettings, patch_of_budget, total_stride
from napari_pytc.plans.networks.filter_bank_settings import FilterBankNetwork, starter_setting
from napari_pytc.plans.networks.unet import UNetNetwork
from napari_pytc.settings import setting

_SLAB = 8.0
"""Ratio of width to thickness of a patch for a flat U-Net."""


class FilterUNetNetwork(NetworkSettings):
    """A filter bank whose fixed features go to a perceptron and to a U-Net; their logits are added.

    The perceptron is good after a few dozen steps, so that the U-Net learns from there what takes context.
    """

    builds: ClassVar[str] = "napari_pytc.learning.networks.filter_unet_module:build_filter_unet"
    needs_zscores: ClassVar[bool] = True
    when: ClassVar[str] = "A few strokes and minutes of training, on a CPU too."
    kind: Literal["filter_unet"] = "filter_unet"
    sigmas: tuple[float, ...] = setting(
        (0.7, 1.2, 2.0, 3.5, 6.0, 12.0), "Scales", "Standard deviations of the Gaussians, in in-plane voxels.", "voxels"
    )
    hidden: tuple[int, ...] = setting((64, 32), "Hidden units", "Widths of the perceptron's hidden layers.")
    channels: tuple[int, ...] = setting(
        (16, 32, 64), "Channels", "Feature maps of each level of the U-Net.", min_length=2
    )
    residual_units: int = setting(1, "Residual units", "Convolutions in each residual block.", ge=0, le=4)
    starter: bool = starter_setting()
    flat: bool = setting(
        False,
        "Flat U-Net",
        "The U-Net looks within sections, the filters before it in all directions: on isotropic voxels a section alone "
        "is then predicted many times as fast.",
    )

    def unet_space(self, space: VoxelSpace) -> VoxelSpace:
        """The voxels as the U-Net takes them: very thick ones, where it is to stay within a section."""
        z, y, x = space.voxel_size_nm
        return VoxelSpace((max(z, 100 * min(y, x)), y, x), space.origin_nm) if self.flat else space

    def bank(self) -> FilterBankNetwork:
        """Settings of the filter bank and its perceptron."""
        return FilterBankNetwork(sigmas=self.sigmas, hidden=self.hidden, starter=self.starter)

    def unet(self) -> UNetNetwork:
        """Settings of the U-Net on its features."""
        return UNetNetwork(channels=self.channels, residual_units=self.residual_units)

    def teacher_settings(self) -> list[str]:
        """The starter: whether the teacher's features are this network's."""
        return [f"network.starter={str(self.starter).lower()}"]

    def window_multiple(self, space: VoxelSpace) -> Shape:
        """See `NetworkSettings`."""
        return self.unet().window_multiple(self.unet_space(space))

    def patch_shape(self, space: VoxelSpace) -> Shape:
        """About 37,000 voxels: small patches, many strokes."""
        strides, kernel = self.unet().strides(space)
        # Slabs where the U-Net is flat: single sections would cost the filters in all directions too much around them.
        anisotropy = max(space.anisotropy, _SLAB) if self.flat else space.anisotropy
        return patch_of_budget([kernel], total_stride(strides), anisotropy, 36_864)
