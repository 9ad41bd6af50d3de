"""The instant model: fixed multi-scale Gaussian derivative features and a small perceptron."""

from __future__ import annotations

from typing import Any, ClassVar, Literal

from napari_pytc.geometry import Shape, VoxelSpace
from napari_pytc.plans.networks.base import NetworkSettings
from napari_pytc.settings import setting


def starter_setting() -> Any:
    """The field that all networks with a filter bank have; off by default, as in models from before there were any."""
    return setting(
        False,
        "Starter features",
        "Beside the filters, features that a small network learnt on electron micrographs of brain tissue, to see "
        "membranes from the first strokes on. Models of images of another kind do without. Of an image with several "
        "channels they see the first.",
    )


class FilterBankNetwork(NetworkSettings):
    """Fixed multi-scale Gaussian derivative features and a small perceptron, trained on annotated voxels alone."""

    builds: ClassVar[str] = "napari_pytc.learning.networks.filter_bank:build_filter_bank"
    needs_zscores: ClassVar[bool] = True
    when: ClassVar[str] = "A few strokes and seconds of training."
    kind: Literal["filter_bank"] = "filter_bank"
    learns_from: ClassVar[Literal["patches", "voxels"]] = "voxels"

    sigmas: tuple[float, ...] = setting(
        (0.7, 1.2, 2.0, 3.5, 6.0, 12.0), "Scales", "Standard deviations of the Gaussians, in in-plane voxels.", "voxels"
    )
    hidden: tuple[int, ...] = setting((64, 32), "Hidden units", "Widths of the perceptron's hidden layers.")
    dimensions: Literal["auto", "2d", "3d"] = setting(
        "auto", "Dimensions", "Features section by section (2d) or in the volume (3d); auto follows the anisotropy."
    )

    starter: bool = starter_setting()

    def dims(self, space: VoxelSpace) -> Literal["2d", "3d"]:
        """2D where a section is over three times as thick as a voxel is wide, else 3D."""
        if self.dimensions == "auto":
            return "2d" if space.anisotropy > 3 else "3d"
        return self.dimensions

    def patch_shape(self, space: VoxelSpace) -> Shape:
        """A single voxel: its features already hold the surroundings."""
        return (1, 1, 1)
