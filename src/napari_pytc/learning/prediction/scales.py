"""Predictions of a volume at several scales, and the last step of a combination of copies."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from napari_pytc.errors import InvalidInput
from napari_pytc.learning.prediction.copies import combine
from napari_pytc.plans.test_time import Combination, TtaSettings
from napari_pytc.volumes.resampling import ResampledImage, VoxelSize
from napari_pytc.volumes.roles import Role
from napari_pytc.volumes.source import ImageSource


class ScaleCombination:
    """Combines the predictions of a tile at several scales, on the volume's own voxels.

    Channels that mean something else on an image of another scale are those of scale 1. Channels of which one excludes
    the others add up to 1 again after a minimum or maximum.

    Parameters
    ----------
    modes : sequence of str
        How each channel of the prediction is combined; a single one is for all.
    is_scale_free : sequence of bool
        Whether each channel is taken from all scales.
    exclusive : sequence of int
        Positions of the channels that add up to 1.
    """

    def __init__(
        self,
        modes: Sequence[Combination] = ("mean",),
        is_scale_free: Sequence[bool] = (),
        exclusive: Sequence[int] = (),
    ) -> None:
        self._modes, self._is_scale_free = modes, is_scale_free
        uses_extremes = any(modes[channel % len(modes)] != "mean" for channel in exclusive)
        self._exclusive = list(exclusive) if uses_extremes else []

    @torch.inference_mode()
    def __call__(self, found: Sequence[Tensor]) -> Tensor:
        """The combination of predictions (k, z, y, x), that of scale 1 first."""
        total = found[0]
        for channel in range(len(total)) if len(found) > 1 else ():
            if self._is_scale_free[channel]:
                mode = self._modes[channel % len(self._modes)]
                total[channel] = combine(torch.stack([one[channel] for one in found])[:, None], None, (mode,))[0]
        if self._exclusive:
            # Where each copy is sure of another class, no class is in all of them, and all are as probable.
            sums = total[self._exclusive].sum(0)
            total[self._exclusive] = torch.where(
                sums > torch.finfo(sums.dtype).tiny, total[self._exclusive] / sums, 1 / len(self._exclusive)
            )
        return total


def scaled_images(
    source: ImageSource, tta: TtaSettings, own_nm: VoxelSize, network_nm: VoxelSize
) -> list[ResampledImage]:
    """The volume on voxels of the network's size, enlarged or made smaller in the plane by each other scale.

    Parameters
    ----------
    own_nm, network_nm : tuple of float
        Voxel sizes of the volume and of scale 1.
    """
    z, y, x = network_nm
    return [ResampledImage(source, own_nm, (z, y / scale, x / scale)) for scale in tta.other_scales]


def note_on_scales(roles: Sequence[Role], tta: TtaSettings) -> str:
    """A sentence on channels that are taken from scale 1 alone; empty where there is none.

    Raises
    ------
    InvalidInput
        If no channel is taken from other scales, so that these would be predicted for nothing.
    """
    if not tta.other_scales:
        return ""
    measured = [role.title for role in roles if not role.is_scale_free]
    if len(measured) == len(roles):
        raise InvalidInput(
            f"tta.scales has no effect on any channel of this model: {', '.join(measured)} mean something else on an "
            "image of another scale.",
            "Leave tta.scales out.",
        )
    if not measured:
        return ""
    return f"These channels depend on the size of voxels and come from scale 1 alone: {', '.join(measured)}."
