"""Fingerprints of images, by which a project recognises its own."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Iterator

from pydantic import BaseModel, ConfigDict

from napari_pytc.errors import VolumeError
from napari_pytc.geometry import Box, Shape
from napari_pytc.volumes.source import ImageSource, VolumeSource

_BLOCK: Shape = (1, 64, 64)
_N_BLOCKS = 8


class Fingerprint(BaseModel):
    """Shape, type and a digest of a few small blocks of an image; takes milliseconds, whatever the size.

    A change between the blocks is not seen; another image, a cut one or a filtered one is.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    shape: Shape
    dtype: str
    n_bytes: int
    digest: str

    def check(self, source: VolumeSource | ImageSource) -> None:
        """Raise `VolumeError` if the image is not the one this was taken of."""
        expected = f"{' x '.join(map(str, self.shape))} voxels of {self.dtype}"
        hint = "Put the old image back, or make a new project for this one."
        if (source.shape, source.dtype.name) != (self.shape, self.dtype):
            got = f"{' x '.join(map(str, source.shape))} of {source.dtype.name}"
            raise VolumeError(f"The image changed: it had {expected} and now has {got}.", hint)
        if fingerprint(source).digest != self.digest:
            raise VolumeError(f"The image changed: it still has {expected}, but other values.", hint)


def fingerprint(source: VolumeSource | ImageSource) -> Fingerprint:
    """The fingerprint of an image, of all its channels, or of labels; reads eight small blocks, among them both ends.

    An image of one channel has the fingerprint of its volume.
    """
    digest, n_channels = hashlib.sha256(), 1
    for box in _blocks(source.shape):
        block = source.read(box)
        n_channels = block.size // math.prod(box.shape)
        digest.update(block.tobytes())
    n_bytes = n_channels * math.prod(source.shape) * source.dtype.itemsize
    return Fingerprint(shape=source.shape, dtype=source.dtype.name, n_bytes=n_bytes, digest=digest.hexdigest())


def _blocks(shape: Shape) -> Iterator[Box]:
    """Boxes along the diagonal from the first voxel to the last."""
    block = [min(b, n) for b, n in zip(_BLOCK, shape, strict=True)]
    for i in range(_N_BLOCKS):
        yield Box.at([(n - b) * i // (_N_BLOCKS - 1) for n, b in zip(shape, block, strict=True)], block)


def check_image(source: VolumeSource | ImageSource, digest: str | None, what: str = "image") -> str:
    """The digest of an image or of labels; `VolumeError` if another one was expected."""
    found = fingerprint(source).digest
    if digest is not None and found != digest:
        hint = "Open the project again to see how." if what == "image" else "Import it again."
        raise VolumeError(f"The {what} changed since the job was described.", hint)
    return found
