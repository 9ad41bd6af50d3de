"""From what a user writes to a volume: ``PATH[:DATASET]`` or a URL."""

from __future__ import annotations

from pathlib import Path

from napari_pytc.errors import VolumeError
from napari_pytc.volumes.chunked import ChunkedVolume, choose_array
from napari_pytc.volumes.hdf5 import Hdf5Volume, choose_dataset
from napari_pytc.volumes.kvstore import is_url, plain_url
from napari_pytc.volumes.npy import NpyVolume
from napari_pytc.volumes.sections import SectionsVolume, choose_suffix
from napari_pytc.volumes.source import VolumeSource
from napari_pytc.volumes.spec import ChunkedSpec, Hdf5Spec, NpySpec, SectionsSpec, TiffSpec, VolumeSpec
from napari_pytc.volumes.tiff import TiffVolume

_MAGIC = {
    b"\x89HDF\r\n\x1a\n": "hdf5",
    b"II*\x00": "tiff", b"MM\x00*": "tiff", b"II+\x00": "tiff", b"MM\x00+": "tiff",
    b"\x93NUMPY": "npy",
    b"\x89PNG\r\n\x1a\n": "sections", b"\xff\xd8\xff": "sections",
}  # fmt: skip
_SUFFIXES = {
    ".h5": "hdf5", ".hdf5": "hdf5", ".hdf": "hdf5", ".he5": "hdf5",
    ".tif": "tiff", ".tiff": "tiff", ".btf": "tiff",
    ".npy": "npy",
    ".png": "sections", ".jpg": "sections", ".jpeg": "sections",
}  # fmt: skip
_NAMES = {"hdf5": "an HDF5 file", "tiff": "a TIFF", "npy": "a .npy file", "sections": "a PNG or JPEG image"}
_CONTAINER_FILES = ("zarr.json", ".zgroup", ".zattrs", ".zarray", "attributes.json", "info")
_CONTAINER_SUFFIXES = (".zarr", ".n5", ".precomputed")
_READABLE = "TIFF, HDF5, Zarr, OME-Zarr, N5, Neuroglancer precomputed, .npy, or a folder of numbered sections"


def split_dataset(text: str) -> tuple[str, str | None]:
    """Split ``PATH[:DATASET]``; the colons of a drive letter, a scheme and a port are no separators.

    Examples
    --------
    >>> split_dataset("C:/data/a.h5:volumes/raw")
    ('C:/data/a.h5', 'volumes/raw')
    >>> split_dataset("https://host:8080/a.zarr:0")
    ('https://host:8080/a.zarr', '0')
    """
    if is_url(text):
        # The last :// is the real scheme: precomputed://gs://bucket/volume.
        start = text.rindex("://") + 3
        slash = text.find("/", start)
        start = len(text) if slash < 0 else slash
    else:
        start = 2 if len(text) > 1 and text[1] == ":" and text[0].isalpha() and text[2:3] in ("\\", "/", "") else 0
        if Path(text).exists():
            return text, None
    splits = [i for i, letter in enumerate(text) if letter == ":" and i >= start and i > 0]
    if not splits:
        return text, None
    # A name on disk may hold a colon itself: the longest path that exists wins.
    at = next((i for i in reversed(splits) if Path(text[:i]).exists()), splits[-1]) if not is_url(text) else splits[-1]
    return text[:at], text[at + 1 :] or None


def open_volume(
    where: str | Path, *, voxel_size_nm: tuple[float, float, float] | None = None, channel: int | None = None
) -> VolumeSource:
    """Open an image or label volume without reading its voxels.

    Parameters
    ----------
    where : str or Path
        ``PATH[:DATASET]`` or a URL: a file, a folder of sections, or a chunked container; behind the colon a dataset of
        an HDF5 file, an array or level of a container, or the number of a series of a TIFF.
    voxel_size_nm : tuple of float, optional
        Replaces what the file says (z, y, x).
    channel : int, optional
        Which channel, where there are several.

    Raises
    ------
    VolumeError
        If there is no such file, it is damaged, of another kind, or does not say which of its arrays is meant.
    """
    path, dataset = split_dataset(str(where))
    asked = {"voxel_size_nm": voxel_size_nm, "channel": channel}
    kind, place = kind_of(path), local_path(path)
    if kind == "chunked":
        spec, found = choose_array(path if place is None else str(place), dataset)
        return ChunkedVolume(spec.model_copy(update=asked), found)
    assert place is not None
    if kind == "hdf5":
        return Hdf5Volume(Hdf5Spec(path=place, dataset=(dataset or choose_dataset(place)).strip("/"), **asked))
    if kind == "tiff":
        return TiffVolume(TiffSpec(path=place, series=_series(path, dataset), **asked))
    if dataset is not None and kind != "sections":
        raise VolumeError(f"{path} has no datasets inside, got {dataset!r}.", "Leave out what is behind the colon.")
    if kind == "npy":
        return NpyVolume(NpySpec(path=place, **asked))
    return SectionsVolume(SectionsSpec(path=place, suffix=choose_suffix(place, dataset), **asked))


def open_spec(spec: VolumeSpec) -> VolumeSource:
    """Open what a spec describes, as the process that made it had it open."""
    match spec:
        case Hdf5Spec():
            return Hdf5Volume(spec)
        case TiffSpec():
            return TiffVolume(spec)
        case SectionsSpec():
            return SectionsVolume(spec)
        case NpySpec():
            return NpyVolume(spec)
        case ChunkedSpec():
            if (place := local_path(spec.url)) is not None and not place.exists():
                raise VolumeError(f"There is no folder {place}.", "Tell the project where the image moved to.")
            return ChunkedVolume(spec)


def local_path(path: str) -> Path | None:
    """The absolute path of a place on this machine's disks, none for a URL."""
    plain = plain_url(path) if is_url(path) else path
    return None if is_url(plain) else Path(plain).expanduser().absolute()


def kind_of(path: str) -> str:
    """The kind of spec that opens a path: by its first bytes or the files in it, not by its name.

    Raises
    ------
    VolumeError
        If there is nothing, or nothing that can be read.
    """
    place = local_path(path)
    if place is None:
        return "chunked"
    if not place.exists():
        raise VolumeError(
            f"There is no file or folder {path}.", "Check the path; a dataset inside a file is written PATH:DATASET."
        )
    if place.is_dir():
        if place.suffix.lower() in _CONTAINER_SUFFIXES or any((place / name).is_file() for name in _CONTAINER_FILES):
            return "chunked"
        return "sections"
    expected = _SUFFIXES.get(place.suffix.lower())
    try:
        with open(place, "rb") as file:
            head = file.read(16)
    except OSError as error:
        raise VolumeError(f"{path} cannot be read: {error.strerror}.", "Check its permissions.") from error
    kind = next((kind for magic, kind in _MAGIC.items() if head.startswith(magic)), None)
    # An HDF5 file may begin with a block of the user's; its name decides then, and h5py looks further.
    if kind is None and expected == "hdf5" and head.strip(b"\0"):
        return "hdf5"
    if kind is not None:
        return kind
    if expected is not None:
        state = "empty" if not head else "damaged or of another kind"
        raise VolumeError(f"{path} is named like {_NAMES[expected]} but is {state}.", "Copy or download it again.")
    raise VolumeError(f"{path} is of no kind that can be opened.", f"Open {_READABLE}.")


def _series(path: str, dataset: str | None) -> int:
    if dataset is None:
        return 0
    if not dataset.isdigit():
        raise VolumeError(f"Behind the colon of a TIFF stands the number of a series, got {dataset!r} for {path}.")
    return int(dataset)
