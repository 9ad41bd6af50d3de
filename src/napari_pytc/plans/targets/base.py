"""What all kinds of targets have in common."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Self

from napari_pytc.errors import InvalidInput
from napari_pytc.geometry import Shape, VoxelSpace
from napari_pytc.settings import Settings
from napari_pytc.volumes.roles import ChannelRole


class Target(Settings):
    """Base of the kinds of targets: which channels a network has, and from what they are learnt."""

    @property
    def learns_classes(self) -> bool:
        """Whether strokes of classes are learnt from."""
        return False

    @property
    def learns_objects(self) -> bool:
        """Whether labels of single objects are learnt from."""
        return True

    @property
    def class_names(self) -> tuple[str, ...]:
        """Names of the semantic classes that the target itself says; none where it takes those of the project."""
        return ()

    def roles(self, classes: Sequence[str], space: VoxelSpace) -> tuple[ChannelRole, ...]:
        """The role of each channel of the network, in order.

        Parameters
        ----------
        classes : sequence of str
            Names of the project's classes.
        space : VoxelSpace
            Voxel size of the network.
        """
        raise NotImplementedError(f"{type(self).__name__} has no channels")

    def kept(self, classes: Sequence[str], space: VoxelSpace) -> tuple[int, ...]:
        """Numbers of the channels that a prediction has; by default all."""
        return tuple(range(len(self.roles(classes, space))))

    def predicted_roles(self, classes: Sequence[str], space: VoxelSpace) -> tuple[ChannelRole, ...]:
        """The role of each channel of a prediction."""
        roles = self.roles(classes, space)
        return tuple(roles[channel] for channel in self.kept(classes, space))

    def of_classes(self, classes: Sequence[str]) -> Self:
        """The target with the names of the classes that it learns, so that its channels are known without a project."""
        return self

    @property
    def uses_dice_weight(self) -> bool:
        """Whether a channel has the Dice loss whose share a plan says, where no losses are named."""
        return True

    def notes(self) -> list[str]:
        """What is to be told of settings of the target that have no effect."""
        return []

    def least_patch(self, space: VoxelSpace) -> Shape:
        """The smallest patch (z, y, x) in which every channel can be learnt somewhere."""
        return (1, 1, 1)

    def check_patch(self, shape: Shape) -> None:
        """Refuse channels that a patch of this shape (z, y, x) cannot teach."""


def shape_beyond(offsets: Sequence[Shape]) -> Shape:
    """The smallest patch that holds a voxel together with its partner, for each of these offsets."""
    z, y, x = (1 + max((abs(offset[axis]) for offset in offsets), default=0) for axis in range(3))
    return (z, y, x)


def refuse_far_offset(offset: Sequence[int], shape: Shape) -> None:
    """Refuse an affinity whose partner never lies in a patch.

    Raises
    ------
    InvalidInput
        If the offset is as long as the patch or longer.
    """
    if any(abs(step) >= length for step, length in zip(offset, shape, strict=True)):
        raise InvalidInput(
            f"The offset {list(offset)} of an affinity leads out of every training patch of "
            f"{' x '.join(map(str, shape))} voxels, so that it could not be learnt.",
            "Choose a shorter offset, or a larger patch_shape.",
        )
