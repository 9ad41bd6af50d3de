"""A U-Net that looks at one section after the other, with its neighbours as further channels."""

from __future__ import annotations

from typing import ClassVar, Literal

from napari_pytc.geometry import Shape, VoxelSpace
from napari_pytc.plans.networks.base import NetworkSettings
from napari_pytc.settings import setting

_PATCH_PIXELS = 192
"""Length of a patch in the network's own pixels."""


class SectionUNetNetwork(NetworkSettings):
    """A 2D U-Net with batch norm: every section with the sections before and behind it as channels.

    Large context at low cost, and few weights to fit: for organelles, for thick or misaligned sections, and for little
    training data.
    """

    builds: ClassVar[str] = "napari_pytc.learning.networks.section_unet_module:build_section_unet"
    when: ClassVar[str] = "Organelles, thick or misaligned sections, few labels."
    kind: Literal["section_unet"] = "section_unet"
    channels: tuple[int, ...] = setting(
        (32, 64, 128, 256), "Channels", "Feature maps of each level; the number of levels is the length.", min_length=2
    )
    context_sections: int = setting(
        2, "Context", "How many sections before and behind a section the network sees.", "sections", ge=0, le=16
    )
    pixel_nm: float = setting(
        10.0,
        "Pixel",
        "About how wide the pixels are that the network works on, in whole voxels; what is large is found sooner in "
        "wide ones.",
        "nm",
        ge=0,
        le=1000,
    )
    dropout: float = setting(0.0, "Dropout", "Share of the deepest feature maps that each step leaves out.", ge=0, lt=1)

    smoothing_nm: float = setting(
        0.0,
        "Smoothing",
        "Standard deviation of a Gaussian over a prediction's logits, across sections too: sections that are looked at "
        "one by one disagree at the borders of objects. Not while training.",
        "nm",
        ge=0,
        le=1000,
    )

    def fold(self, space: VoxelSpace) -> tuple[int, int]:
        """Voxels along y and x that make a pixel of the network."""
        _, y, x = (max(1, round(self.pixel_nm / size)) for size in space.voxel_size_nm)
        return y, x

    @property
    def training_margin(self) -> Shape:
        """The sections of a patch that are context alone."""
        return self.context_sections, 0, 0

    def window_multiple(self, space: VoxelSpace) -> Shape:
        """See `NetworkSettings`."""
        stride = 2 ** (len(self.channels) - 1)
        y, x = self.fold(space)
        return 1, stride * y, stride * x

    def patch_shape(self, space: VoxelSpace) -> Shape:
        """A section of 192 pixels each way, and its context."""
        _, y, x = self.window_multiple(space)
        n_deepest = max(1, round(_PATCH_PIXELS / 2 ** (len(self.channels) - 1)))
        return 2 * self.context_sections + 1, n_deepest * y, n_deepest * x
