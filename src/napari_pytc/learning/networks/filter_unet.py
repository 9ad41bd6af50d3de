"""A U-Net on the features of a filter bank, added to the filter bank's own perceptron."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from napari_pytc.geometry import Shape, VoxelSpace
from napari_pytc.learning.networks.base import NetworkSettings, patch_of_budget, total_stride
from napari_pytc.learning.networks.filters import FilterBankNetwork, starter_setting
from napari_pytc.learning.networks.unet import UNetNetwork
from napari_pytc.settings import setting

if TYPE_CHECKING:
    from torch import nn

_SLAB = 8.0
"""How much wider than thick a patch is for a flat U-Net."""


class FilterUNetNetwork(NetworkSettings):
    """A filter bank whose fixed features go to a perceptron and to a U-Net; their logits are added.

    The perceptron is good after a few dozen steps, so that the U-Net learns from there what takes context.
    """

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

    def _seen(self, space: VoxelSpace) -> VoxelSpace:
        """The voxels as the U-Net takes them: very thick ones, where it is to stay within a section."""
        z, y, x = space.voxel_size_nm
        return VoxelSpace((max(z, 100 * min(y, x)), y, x), space.origin_nm) if self.flat else space

    def _unet(self) -> UNetNetwork:
        return UNetNetwork(channels=self.channels, residual_units=self.residual_units)

    def build(self, n_classes: int, space: VoxelSpace) -> nn.Module:
        """The network with random weights."""
        from napari_pytc.learning.networks.filter_bank import FilterBank
        from napari_pytc.learning.networks.residual_unet import ResidualUNet

        bank = FilterBankNetwork(sigmas=self.sigmas, hidden=self.hidden, starter=self.starter).build(n_classes, space)
        assert isinstance(bank, FilterBank)
        return ResidualUNet(bank, self._unet().build(n_classes, self._seen(space), in_channels=bank.n_features))

    def patch_shape(self, space: VoxelSpace) -> Shape:
        """About 37,000 voxels: small patches, many strokes."""
        strides, kernel = self._unet().strides(space)
        # Slabs where the U-Net is flat: single sections would cost the filters in all directions too much around them.
        anisotropy = max(space.anisotropy, _SLAB) if self.flat else space.anisotropy
        return patch_of_budget([kernel], total_stride(strides), anisotropy, 36_864)
