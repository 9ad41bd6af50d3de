"""Opening of volumes from ``PATH[:DATASET]``, a URL or a spec."""

from __future__ import annotations

from pathlib import Path

from napari_pytc.errors import VolumeError
from napari_pytc.files import plain_path
from napari_pytc.volumes.base import existing_file
from napari_pytc.volumes.formats.bigdataviewer import BigDataViewerVolume
from napari_pytc.volumes.formats.chunked.array_choice import choose_array
from napari_pytc.volumes.formats.chunked.volume import ChunkedVolume
from napari_pytc.volumes.formats.chunked.webknossos import PROPERTIES
from napari_pytc.volumes.formats.hdf5 import Hdf5Volume, choose_dataset
from napari_pytc.volumes.formats.mrc import SUFFIXES as MRC_SUFFIXES
from napari_pytc.volumes.formats.mrc import MrcVolume
from napari_pytc.volumes.formats.nifti import NiftiVolume
from napari_pytc.volumes.formats.npy import NpyVolume
from napari_pytc.volumes.formats.sections.volume import SectionsVolume, choose_sections
from napari_pytc.volumes.formats.tiff.volume import TiffVolume
from napari_pytc.volumes.kvstore import is_url, plain_url
from napari_pytc.volumes.source import VolumeSource
from napari_pytc.volumes.spec import (
    BigDataViewerSpec,
    ChunkedSpec,
    Hdf5Spec,
    MrcSpec,
    NiftiSpec,
    NpySpec,
    ReadOptions,
    SectionsSpec,
    TiffSpec,
    VolumeSpec,
)

_MAGIC = {
    b"\x89HDF\r\n\x1a\n": "hdf5",
    b"II*\x00": "tiff", b"MM\x00*": "tiff", b"II+\x00": "tiff", b"MM\x00+": "tiff",
    b"\x93NUMPY": "npy",
    b"PK\x03\x04": "chunked",
    b"\x89PNG\r\n\x1a\n": "sections", b"\xff\xd8\xff": "sections",
}  # fmt: skip
_SUFFIXES = {
    ".h5": "hdf5", ".hdf5": "hdf5", ".hdf": "hdf5", ".he5": "hdf5",
    ".tif": "tiff", ".tiff": "tiff", ".btf": "tiff", ".lsm": "tiff", ".stk": "tiff",
    ".npy": "npy",
    ".zip": "chunked", ".ozx": "chunked",
    ".xml": "bigdataviewer",
    ".nii": "nifti", ".nii.gz": "nifti",
    **dict.fromkeys(MRC_SUFFIXES, "mrc"),
    ".png": "sections", ".jpg": "sections", ".jpeg": "sections",
}  # fmt: skip
_NAMES = {
    "hdf5": "an HDF5 file", "tiff": "a TIFF", "npy": "a .npy file", "sections": "a PNG or JPEG image",
    "chunked": "a zip archive", "bigdataviewer": "an XML of BigDataViewer",
    "nifti": "a NIfTI file", "mrc": "an MRC file",
}  # fmt: skip
_CONTAINER_FILES = ("zarr.json", ".zgroup", ".zattrs", ".zarray", "attributes.json", "info", PROPERTIES)
_GZIP = b"\x1f\x8b"
_CONTAINER_SUFFIXES = (".zarr", ".n5", ".precomputed")
_READABLE = (
    "TIFF, HDF5, Zarr, OME-Zarr (also zipped), N5, Neuroglancer precomputed, WEBKNOSSOS, BigDataViewer, MRC, NIfTI, "
    ".npy, or a folder of numbered sections"
)


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


def open_volume(where: str | Path, options: ReadOptions | None = None) -> VolumeSource:
    """Open an image or label volume without reading its voxels.

    Parameters
    ----------
    where : str or Path
        ``PATH[:DATASET]`` or a URL: a file, a folder of sections, or a chunked container; behind the colon a dataset of
        an HDF5 file, an array or level of a container, the number of an image of a TIFF, or a suffix or pattern of the
        names of sections.
    options : ReadOptions, optional
        Voxel size, channel, axes and so on, where the file says nothing or something wrong.

    Raises
    ------
    VolumeError
        If there is no such file, it is damaged, of another kind, or does not single out one of its arrays.
    """
    path, dataset = split_dataset(str(where))
    asked = (options or ReadOptions()).read_options.model_dump()
    kind, place = kind_of(path), local_path(path)
    if kind == "chunked":
        spec, found = choose_array(path if place is None else str(place), dataset)
        return ChunkedVolume(spec.model_copy(update=asked), found)
    assert place is not None
    if kind == "hdf5":
        name, chosen = (dataset.strip("/"), ()) if dataset else choose_dataset(place)
        return Hdf5Volume(Hdf5Spec(path=place, dataset=name, **asked), chosen)
    if kind == "tiff":
        return TiffVolume(TiffSpec(path=place, series=_series(path, dataset), **asked))
    if kind == "bigdataviewer":
        return BigDataViewerVolume(BigDataViewerSpec(path=place, setup=dataset or "", **asked))
    if dataset is not None and kind != "sections":
        raise VolumeError(f"{path} has no datasets inside, got {dataset!r}.", "Leave out what is behind the colon.")
    if kind == "npy":
        return NpyVolume(NpySpec(path=place, **asked))
    if kind == "mrc":
        return MrcVolume(MrcSpec(path=place, **asked))
    if kind == "nifti":
        return NiftiVolume(NiftiSpec(path=place, **asked))
    suffix, pattern = choose_sections(place, dataset)
    return SectionsVolume(SectionsSpec(path=place, suffix=suffix, pattern=pattern, **asked))


def open_labels(where: str | Path, options: ReadOptions | None = None) -> VolumeSource:
    """Open a volume of labels: indices of a palette are its labels, and colours are not mixed.

    Parameters and errors as of `open_volume`.
    """
    return open_volume(where, (options or ReadOptions()).model_copy(update={"labels": True}))


def open_spec(spec: VolumeSpec) -> VolumeSource:
    """Open the volume of a spec, in any process."""
    match spec:
        case Hdf5Spec():
            return Hdf5Volume(spec)
        case TiffSpec():
            return TiffVolume(spec)
        case SectionsSpec():
            return SectionsVolume(spec)
        case NpySpec():
            return NpyVolume(spec)
        case BigDataViewerSpec():
            return BigDataViewerVolume(spec)
        case MrcSpec():
            return MrcVolume(spec)
        case NiftiSpec():
            return NiftiVolume(spec)
        case ChunkedSpec():
            if (place := local_path(spec.url)) is not None and not place.exists():
                raise VolumeError(f"There is no file or folder {place}.", "Tell the project where the image moved to.")
            return ChunkedVolume(spec)


def file_patterns() -> tuple[str, ...]:
    """Patterns of the names of files that can be opened, for dialogs."""
    return tuple(f"*{suffix}" for suffix in _SUFFIXES)


def local_path(path: str) -> Path | None:
    """The absolute path of a place on this machine's disks, none for a URL."""
    plain = plain_url(path) if is_url(path) else path
    return None if is_url(plain) else plain_path(plain)


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
        is_container = place.suffix.lower() in _CONTAINER_SUFFIXES or _has_metadata(place)
        return "chunked" if is_container or _holds_containers(place) else "sections"
    existing_file(place)
    expected = next((kind for suffix, kind in _SUFFIXES.items() if place.name.lower().endswith(suffix)), None)
    try:
        with open(place, "rb") as file:
            head = file.read(512)
    except OSError as error:
        raise VolumeError(f"{path} cannot be read: {error.strerror}.", "Check its permissions.") from error
    kind = _kind_by_head(head)
    if kind is not None:
        return kind
    # An HDF5 file may begin with a block of the user's, an older MRC file says nothing, NIfTI may be compressed: the
    # name decides then, and the library looks further.
    if expected == "hdf5" and head.strip(b"\0"):
        return "hdf5"
    if (expected == "mrc" and len(head) == 512) or (expected == "nifti" and head.startswith(_GZIP)):
        return expected
    if expected == "bigdataviewer" and head.removeprefix(b"\xef\xbb\xbf").lstrip().startswith(b"<"):
        return expected
    if head.startswith(_GZIP):
        raise VolumeError(f"{path} is compressed as a whole with gzip.", "Unpack it first, for example with gunzip.")
    if expected is not None:
        state = "empty" if not head else "damaged or of another kind"
        raise VolumeError(f"{path} is named like {_NAMES[expected]} but is {state}.", "Copy or download it again.")
    raise VolumeError(f"{path} is of no kind that can be opened.", f"Open {_READABLE}.")


def _has_metadata(folder: Path) -> bool:
    return any((folder / name).is_file() for name in _CONTAINER_FILES)


def _holds_containers(folder: Path) -> bool:
    """Whether a folder without images of its own has containers in it."""
    try:
        entries = list(folder.iterdir())
    except OSError:
        return False
    images = {suffix for suffix, kind in _SUFFIXES.items() if kind in ("sections", "tiff")}
    if any(entry.suffix.lower() in images for entry in entries):
        return False
    return any(entry.is_dir() and _has_metadata(entry) for entry in entries)


def _kind_by_head(head: bytes) -> str | None:
    """The kind that the first 512 bytes of a file show."""
    for magic, kind in _MAGIC.items():
        if head.startswith(magic):
            return kind
    if head[208:212] == b"MAP ":
        return "mrc"
    if head[344:348] in (b"n+1\0", b"ni1\0") or head[4:8] in (b"n+2\0", b"ni2\0"):
        return "nifti"
    return "bigdataviewer" if b"<SpimData" in head else None


def _series(path: str, dataset: str | None) -> int | None:
    if dataset is None:
        return None
    if not dataset.isdigit():
        raise VolumeError(f"Behind the colon of a TIFF stands the number of a series, got {dataset!r} for {path}.")
    return int(dataset)
