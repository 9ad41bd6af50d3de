"""Opening of the volumes of a job, on voxels of about the same size."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from napari_pytc.annotations.paint_store import PaintStore
from napari_pytc.annotations.source import AnnotationSource
from napari_pytc.errors import PytcError
from napari_pytc.geometry import VoxelSpace
from napari_pytc.labels.store import LabelStore
from napari_pytc.learning.data.correction_labels import open_corrections
from napari_pytc.learning.data.objects import ObjectLabels, ObjectSource
from napari_pytc.learning.data.resampled_labels import ResampledAnnotations, ResampledLabels
from napari_pytc.learning.data.volume_data import VolumeData
from napari_pytc.volumes.fingerprint import check_image
from napari_pytc.volumes.image import open_image_spec
from napari_pytc.volumes.resampling import VoxelSize, differs, resampled, size_text

if TYPE_CHECKING:
    from napari_pytc.plans.specs import VolumeInputs


def choose_space(
    inputs: Sequence[VolumeInputs],
    wanted_nm: VoxelSize | None,
    learns_objects: bool = False,
    volume_balance: float = 0.0,
) -> VoxelSpace:
    """The voxel size that a network learns.

    A size that is wanted is met by a volume of about that size, whose own is taken. Else it is the one, of the volumes'
    own, at which they lose least detail by resampling: a volume loses the logarithm of how much coarser its voxels
    become along the worst axis, and counts as often as it is drawn; one without annotations does not count. Of several
    that are as good it is the first.

    ::

        40 x 4 x 4 and 10 x 10 x 10, annotated alike     10 x 10 x 10: log 2.5 of the first, else log 4 of the second
        40 x 4 x 4 and a little of 20 x 20 x 20          40 x 4 x 4

    Parameters
    ----------
    wanted_nm : tuple of float, optional
        The size that the plan or the parent model asks for.
    learns_objects : bool
        Whether labels of objects count, too; corrections always do.
    volume_balance : float
        Setting of the plan by which volumes are drawn.
    """
    known = [one for one in inputs if one.space.known] or list(inputs)
    if wanted_nm is not None:
        alike = [one for one in known if not differs(one.space.voxel_size_nm, wanted_nm)]
        return alike[0].space if alike else VoxelSpace(wanted_nm)
    if not any(differs(one.space.voxel_size_nm, known[0].space.voxel_size_nm) for one in known):
        return known[0].space
    counted = [(one, _n_annotated(one, learns_objects)) for one in known]
    learnt = [(one, n) for one, n in counted if n] or counted
    weights = [n ** (1 - volume_balance) for _, n in learnt]
    sizes = [one.space.voxel_size_nm for one, _ in learnt]

    def loss(candidate: VoxelSize) -> float:
        return sum(w * _lost_detail(size, candidate) for w, size in zip(weights, sizes, strict=True))

    return min((one for one, _ in learnt), key=lambda one: loss(one.space.voxel_size_nm)).space


def _lost_detail(size_nm: VoxelSize, seen_nm: VoxelSize) -> float:
    """Logarithm of how much coarser voxels become along the worst axis; 0 where none does."""
    return max(0.0, *(math.log(seen / own) for own, seen in zip(size_nm, seen_nm, strict=True)))


def open_volume_data(
    inputs: VolumeInputs,
    classes: tuple[str, ...],
    space: VoxelSpace,
    *,
    learns_objects: bool = False,
    boundary_class: str | None = None,
) -> VolumeData:
    """Open image and annotations of a volume; one of other voxels than `space` is resampled while it is read.

    Parameters
    ----------
    space : VoxelSpace
        Voxel size of the network.

    Raises
    ------
    VolumeError
        If the image is missing, damaged, or another one than `inputs` says; a name of the volume begins the sentence.
    """
    try:
        return _open(inputs, classes, space, learns_objects, boundary_class)
    except PytcError as error:
        if not inputs.name:
            raise
        raise type(error)(f"Volume {inputs.name!r}: {error.message}", error.hint) from error


def _open(
    inputs: VolumeInputs, classes: tuple[str, ...], space: VoxelSpace, learns_objects: bool, boundary_class: str | None
) -> VolumeData:
    source = open_image_spec(inputs.volume)
    digest = check_image(source, inputs.digest)
    image = (
        resampled(source, inputs.space.voxel_size_nm, space.voxel_size_nm)
        if inputs.space.known and space.known
        else None
    )
    grid = None if image is None else image.grid

    def resample(labels: ObjectSource) -> ObjectSource:
        return labels if grid is None else ResampledLabels(labels, grid)

    strokes: AnnotationSource = PaintStore.open(inputs.annotations, writable=False)
    held_out = inputs.held_out if grid is None else tuple(grid.seeing(box) for box in inputs.held_out)
    scored = None if grid is None else tuple(grid.within(box) for box in inputs.held_out)
    objects = None
    if learns_objects and inputs.objects is not None and inputs.objects.exists():
        labels = resample(LabelStore.open(inputs.objects, writable=False))
        objects = ObjectLabels(labels, held_out, scored=scored)
    return VolumeData(
        source if image is None else image,
        strokes if grid is None else ResampledAnnotations(strokes, grid),
        classes,
        held_out,
        image.space if image is not None else inputs.space if inputs.space.known else space,
        objects,
        () if inputs.corrections is None else open_corrections(inputs.corrections, held_out, resample),
        boundary_class,
        name=inputs.name,
        digest=digest,
        unresampled_held_out=None if image is None else inputs.held_out,
        scored=scored,
        notes=_notes(inputs, space, is_resampled=image is not None),
    )


def _notes(inputs: VolumeInputs, space: VoxelSpace, is_resampled: bool) -> tuple[str, ...]:
    volume = f"The volume {inputs.name!r}" if inputs.name else "The volume"
    if is_resampled:
        return (
            f"{volume} has voxels of {size_text(inputs.space.voxel_size_nm)} nm; it is resampled to "
            f"{size_text(space.voxel_size_nm)} nm while it is read.",
        )
    if space.known and not inputs.space.known:
        return (f"The voxel size of {volume[0].lower()}{volume[1:]} is not known; it counts as the network's.",)
    return ()


def _n_annotated(inputs: VolumeInputs, learns_objects: bool) -> int:
    """Voxels of a volume with a stroke, a correction, or the label of an object."""
    stores: list[AnnotationSource | ObjectSource] = [PaintStore.open(inputs.annotations, writable=False)]
    if learns_objects and inputs.objects is not None and inputs.objects.exists():
        stores.append(LabelStore.open(inputs.objects, writable=False))
    if inputs.corrections is not None:
        stores += [LabelStore.open(path, writable=False) for path in sorted(inputs.corrections.glob("*.zarr"))]
    return sum(int(np.count_nonzero(store.read(chunk.box))) for store in stores for chunk in store.chunks())
