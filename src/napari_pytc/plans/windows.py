"""Settings of predictions in overlapping windows."""

from __future__ import annotations

from typing import Literal

from napari_pytc.geometry import Shape
from napari_pytc.plans.networks import NetworkLimits
from napari_pytc.settings import Settings, setting

Blending = Literal["gaussian", "bump", "constant"]
Average = Literal["probabilities", "logits"]


class WindowSettings(Settings):
    """How a network without a finite halo predicts: in windows that overlap and are blended."""

    shape: Shape | None = setting(
        None, "Window shape", "Window (z, y, x); by default the patch that the network was trained on.", "voxels"
    )
    overlap: float = setting(
        0.5,
        "Overlap",
        "Share of a window's length that it has in common with the next one. More is slower and smoother.",
        ge=0,
        le=0.9,
    )
    blending: Blending = setting(
        "gaussian",
        "Blending",
        "Weight of a window's voxels where windows overlap. gaussian and bump: the middle counts most; constant: all "
        "alike.",
    )
    average: Average = setting(
        "probabilities",
        "Average of",
        "What is averaged where windows overlap, and over flips. logits: the outputs of the network, before their "
        "activation, as in PyTorch Connectomics; a window that is sure of itself counts more.",
    )
    batch_size: int = setting(
        4, "Windows at a time", "Windows that the network computes together; fewer need less memory.", ge=1
    )


class Windows(Settings):
    """The windows of a prediction, every setting decided.

    Parameters
    ----------
    shape : Shape
        Window (z, y, x) in voxels of the network.
    overlap : float
        Share of a window's length that it has in common with the next one.
    blending : str
        Weights of a window's voxels.
    average : str
        What is averaged.
    batch_size : int
        Windows that the network computes together.
    """

    shape: Shape
    overlap: float = 0.5
    blending: Blending = "gaussian"
    average: Average = "probabilities"
    batch_size: int = 4

    @classmethod
    def of(cls, settings: WindowSettings, trained: Shape) -> Windows:
        """The windows of a network that was trained on patches of a shape."""
        return cls(
            shape=settings.shape or trained,
            overlap=settings.overlap,
            blending=settings.blending,
            average=settings.average,
            batch_size=settings.batch_size,
        )

    def __str__(self) -> str:
        blending = f"{self.blending} blending" + (" of logits" if self.average == "logits" else "")
        return f"{' x '.join(map(str, self.shape))} voxels, overlap {self.overlap:g}, {blending}"


Tiling = NetworkLimits | Windows
"""How a network predicts volumes: in exact tiles with these limits, or in these windows."""
