"""A volume as a network sees it: normalised, and on voxels of the size that the network learnt."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from napari_pytc.geometry import Box
from napari_pytc.plans.normalisation import ImageNormalisation
from napari_pytc.volumes.image import ImageSource
from napari_pytc.volumes.resampling import ResampledImage


class NetworkImage:
    """Reads a volume for a network, and brings what it predicts back to the volume's own voxels.

    Parameters
    ----------
    normalisation : ImageNormalisation
        Normalisation of the intensities.
    resampled : ResampledImage, optional
        The volume on the network's voxels, where its own are of another size. Probabilities are interpolated back.
    """

    def __init__(self, normalisation: ImageNormalisation, resampled: ResampledImage | None) -> None:
        self.normalisation, self.resampled = normalisation, resampled
        self.n_unknown = 0
        """Intensities that were read and are no finite numbers: each was replaced by the mean of its channel.

        Of a resampled volume they are counted on the network's voxels.
        """

    def whole(self, source: ImageSource) -> Box:
        """The volume in voxels of the network."""
        return Box.of_shape((self.resampled or source).shape)

    @property
    def factors(self) -> tuple[float, float, float]:
        """Voxels of the volume for one of the network, along each axis."""
        return (1.0, 1.0, 1.0) if self.resampled is None else self.resampled.grid.factors

    def seen(self, box: Box) -> Box:
        """The voxels of the network that a box of the volume's own voxels needs."""
        return box if self.resampled is None else self.resampled.grid.inverse.source_box(box)

    def read(self, source: ImageSource, box: Box, counted: Box) -> np.ndarray:
        """Normalised intensities (c, *box.shape) float32 of a box of the network's voxels.

        Parameters
        ----------
        counted : Box
            Where `n_unknown` is counted: boxes that are read overlap.
        """
        data = (self.resampled or source).read(box)
        part = box.intersect(counted)
        if data.dtype.kind == "f" and not part.is_empty:
            inside = data[(..., *part.relative_to(box.start).slices)]
            self.n_unknown += inside.size - int(np.count_nonzero(np.isfinite(inside)))
        return self.normalisation.apply(data)

    def on_own_voxels(self, probabilities: Tensor, seen: Box, box: Box) -> Tensor:
        """Probabilities of a box of the volume's own voxels, from those on the network's voxels in `seen`."""
        if self.resampled is None:
            return probabilities
        return torch.from_numpy(self.resampled.grid.inverse.interpolate(probabilities.numpy(), seen, box))
