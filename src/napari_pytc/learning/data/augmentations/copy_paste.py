"""Objects of a training patch copied to other places of it (Ghiasi et al. 2021, arXiv:2012.07177).

Labels may be sparse. An object is copied only where everything beside it is annotated, since a stroke within an object
is not the object. A copy brings its border along, two pixels of image around it.

::

    labels   1 1 1 1 1 1 1        labels   1 1 1 1 1 1 1
             1 2 2 1 1 0 0                 1 2 2 1 1 1 1      the border is background where it is known to be,
             1 2 2 1 1 0 0                 1 2 2 1 1 3 3      and not annotated where it is of another object
             1 1 1 1 1 0 0                 1 1 1 1 1 3 3
"""

from __future__ import annotations

from dataclasses import dataclass

import cc3d
import numpy as np
from scipy import ndimage

_MOST_COPIES = 3
_TRIES = 8
_BORDER = 2
_LEAST_VOXELS = 8
_MOST_OF_PATCH = 0.125


@dataclass(frozen=True)
class _WholeObject:
    """An object of a patch, with its border.

    Parameters
    ----------
    start : tuple of int
        The corner (z, y, x) of its box in the patch.
    body, border : ndarray
        (z, y, x) bool within the box: its voxels, and those around it that are copied along.
    label : int
        Its label in the patch.
    """

    start: tuple[int, int, int]
    body: np.ndarray
    border: np.ndarray
    label: int


def copy_paste(
    image: np.ndarray, labels: np.ndarray, rng: np.random.Generator, n_classes: int | None, next_number: int
) -> tuple[np.ndarray, np.ndarray]:
    """A patch (c, z, y, x) and its labels (z, y, x), with one to three objects copied where none is, mirrored or not.

    Parameters
    ----------
    n_classes : int, optional
        Where labels are classes: 1 to so many are annotated ones, whatever is beyond is not sure. Else labels are
        numbers of objects: 0 is not annotated, 1 no object, -1 something else.
    next_number : int
        The number of the first copy, where labels are of objects; that of the next one is one more.
    """
    found = _whole_objects(labels, n_classes)
    if not found:
        return image, labels
    image, labels, number = image.copy(), labels.copy(), next_number
    before_image, before = image.copy(), labels.copy()
    for _ in range(int(rng.integers(1, _MOST_COPIES + 1))):
        one = found[int(rng.integers(len(found)))]
        label = one.label if n_classes is not None else number
        if _paste(one, before_image, before, image, labels, rng, n_classes, label):
            number += 1
    return image, labels


def _whole_objects(labels: np.ndarray, n_classes: int | None) -> list[_WholeObject]:
    """The objects all around which is annotated, away from the border of the patch in the plane.

    Of classes the commonest one is what the objects lie in, and no object.
    """
    if n_classes is None:
        annotated, candidates = labels != 0, np.where(labels > 1, labels, 0)
    else:
        annotated = (labels >= 1) & (labels <= n_classes)
        counts = np.bincount(labels[annotated].ravel(), minlength=n_classes + 1)
        candidates = np.where(annotated & (labels != counts.argmax()), labels, 0)
    if not candidates.any():
        return []
    bodies = cc3d.connected_components(candidates.astype(np.int32), connectivity=26)
    sizes = np.bincount(bodies.ravel())
    found = []
    for number, region in enumerate(ndimage.find_objects(bodies), 1):
        if region is None or not _LEAST_VOXELS <= sizes[number] <= _MOST_OF_PATCH * labels.size:
            continue
        if any(part.start < _BORDER or part.stop > n - _BORDER for part, n in _in_plane(region, labels.shape)):
            continue
        one = _with_border(bodies, labels, annotated, region, number)
        if one is not None:
            found.append(one)
    return found


def _in_plane(region: tuple[slice, ...], shape: tuple[int, ...]) -> list[tuple[slice, int]]:
    return list(zip(region[1:], shape[1:], strict=True))


def _with_border(
    bodies: np.ndarray, labels: np.ndarray, annotated: np.ndarray, region: tuple[slice, ...], number: int
) -> _WholeObject | None:
    """A body with its border; None where something beside it is not annotated."""
    low = [max(0, part.start - margin) for part, margin in zip(region, (1, _BORDER, _BORDER), strict=True)]
    high = [
        min(n, part.stop + margin) for part, margin, n in zip(region, (1, _BORDER, _BORDER), labels.shape, strict=True)
    ]
    box = tuple(slice(a, b) for a, b in zip(low, high, strict=True))
    body = bodies[box] == number
    beside = ndimage.binary_dilation(body, ndimage.generate_binary_structure(3, 3)) & ~body
    if not annotated[box][beside].all():
        return None
    in_plane = np.zeros((3, 3, 3), bool)
    in_plane[1] = True
    border = ndimage.binary_dilation(body, in_plane, iterations=_BORDER) & ~body
    label = int(labels[box][body][0])
    return _WholeObject((low[0], low[1], low[2]), body, border, label)


def _paste(
    one: _WholeObject,
    image_of: np.ndarray,
    labels_of: np.ndarray,
    image: np.ndarray,
    labels: np.ndarray,
    rng: np.random.Generator,
    n_classes: int | None,
    label: int,
) -> bool:
    """Paste a copy where it covers no object; False where no such place was found."""
    source = tuple(slice(a, a + n) for a, n in zip(one.start, one.body.shape, strict=True))
    mirrored = tuple(slice(None, None, -1 if rng.random() < 0.5 else 1) for _ in range(2))
    turned = (slice(None), *mirrored)
    body, border = one.body[turned], one.border[turned]
    for _ in range(_TRIES):
        start = _place(one, labels.shape, rng)
        box = tuple(slice(a, a + n) for a, n in zip(start, body.shape, strict=True))
        covered = labels[box][body | border]
        is_free = (covered != one.label) if n_classes is not None else ((covered >= 0) & (covered <= 1))
        if is_free.all():
            break
    else:
        return False
    pixels, beside = image_of[:, *source][:, *turned], labels_of[source][turned]
    image[:, *box] = np.where(body | border, pixels, image[:, *box])
    if n_classes is None:  # what else is beside it was cut off: only background is known to be right there
        beside = np.where(beside == 1, beside, 0)
    pasted = np.where(border, beside, labels[box])
    labels[box] = np.where(body, label, pasted)
    return True


def _place(one: _WholeObject, shape: tuple[int, ...], rng: np.random.Generator) -> tuple[int, int, int]:
    """A corner anywhere in the plane, and in other sections only where the object ends within the patch."""
    depth, height, width = one.body.shape
    has_ends = not (one.body[0].any() or one.body[-1].any())
    z = int(rng.integers(0, shape[0] - depth + 1)) if has_ends else one.start[0]
    return z, int(rng.integers(0, shape[1] - height + 1)), int(rng.integers(0, shape[2] - width + 1))
