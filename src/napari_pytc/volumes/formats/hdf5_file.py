"""HDF5 files for reading: their datasets, links that lead out of them, and filters that are not installed."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import h5py

from napari_pytc.errors import VolumeError
from napari_pytc.volumes.base import existing_file
from napari_pytc.volumes.formats.extent import check_extent
from napari_pytc.volumes.optional_packages import optional_package

_MOST_LISTED = 12
_FILTERS = {
    4: "szip", 307: "bzip2", 32001: "Blosc", 32004: "LZ4", 32008: "bitshuffle", 32013: "ZFP", 32015: "Zstandard",
    32017: "SZ", 32018: "FCIDECOMP", 32019: "JPEG", 32024: "SZ3", 32026: "Blosc2",
}  # fmt: skip


def open_hdf5(path: Path, **options: Any) -> h5py.File:
    """The file for reading, or an error that describes what is wrong with it."""
    existing_file(path)
    try:
        # Locks cannot be had on some network file systems, and a reader does not need them there.
        return h5py.File(path, "r", locking="best-effort", **options)
    except OSError as error:
        text = str(error)
        if "truncated" in text:
            raise VolumeError(
                f"{path} is truncated: the file ends before its data does.", "Copy or download it again."
            ) from error
        if "lock" in text:
            raise VolumeError(f"{path} is being written by another program.", "Close it there first.") from error
        raise VolumeError(
            f"{path} is not an HDF5 file that can be read: {text}.", "Check that it was written to its end."
        ) from error


def datasets_of(file: h5py.File) -> dict[str, h5py.Dataset]:
    """All datasets by path: each once, and those of other files in the same folder that links name."""
    root = h5py.h5o.get_info(file.id)
    return dict(_walk(file, "", {(root.fileno, root.addr)}))


def _walk(group: h5py.Group, prefix: str, seen: set[tuple[Any, int]]) -> Iterator[tuple[str, h5py.Dataset]]:
    """Every object by its address, for a group may hold itself. Soft links lead to what is found elsewhere."""
    for name in group:
        link = group.get(name, getlink=True)
        if isinstance(link, h5py.SoftLink):
            continue
        if isinstance(link, h5py.ExternalLink) and not _is_beside(Path(group.file.filename), link.filename):
            continue
        try:
            item = group.get(name)
        except (OSError, RuntimeError):
            continue  # damaged; what else there is can still be read
        if item is None or isinstance(item, h5py.Datatype):
            continue
        info = h5py.h5o.get_info(item.id)
        if (info.fileno, info.addr) in seen:
            continue
        seen.add((info.fileno, info.addr))
        if isinstance(item, h5py.Dataset):
            yield prefix + name, item
        else:
            yield from _walk(item, f"{prefix}{name}/", seen)


def dataset_at(file: h5py.File, name: str, path: Path) -> h5py.Dataset:
    """A dataset whose voxels lie in this file, or in others of the same folder.

    Raises
    ------
    VolumeError
        If there is none, or it leads to files elsewhere.
    """
    parts = name.strip("/").split("/")
    item: Any = None
    try:
        for k in range(1, len(parts) + 1):
            link = file.get("/".join(parts[:k]), getlink=True)
            if isinstance(link, h5py.ExternalLink):
                _refuse_outside(path, name, link.filename)
        item = file.get(name)
    except (RuntimeError, OSError) as error:
        raise VolumeError(
            f"{path}:{name} cannot be opened: {error}.", "The links in the file lead nowhere; name another dataset."
        ) from error
    if not isinstance(item, h5py.Dataset):
        raise VolumeError(f"{path} has no dataset {name!r}.", f"It has {listing(datasets_of(file))}.")
    _refuse_outside(path, name, item.file.filename)
    for raw, _, _ in item.external or ():
        _refuse_outside(path, name, raw)
    if item.is_virtual:
        for source in item.virtual_sources():
            _refuse_outside(path, name, source.file_name)
    check_extent(item.shape or (), item.chunks or (), item.id.get_type().get_size(), f"{path}:{name}")
    return item


def dtype_name(dataset: h5py.Dataset) -> str:
    """Name of the type of a dataset, also where NumPy has none for it."""
    try:
        return str(dataset.dtype)
    except TypeError:
        return "of a type that NumPy lacks"


def attributes_of(item: h5py.Dataset | h5py.Group) -> dict[str, Any]:
    """The attributes of a dataset or group; those of types that cannot be read are left out."""
    found: dict[str, Any] = {}
    for name in item.attrs:
        try:
            found[name] = item.attrs[name]
        except (OSError, TypeError, ValueError, RuntimeError):
            continue
    return found


def _is_beside(path: Path, other: str) -> bool:
    """Whether another file lies in the folder of this one, or deeper."""
    if other in (".", ""):
        return True
    return (path.parent / other).resolve().is_relative_to(path.parent.resolve())


def _refuse_outside(path: Path, name: str, other: str) -> None:
    if not _is_beside(path, other):
        raise VolumeError(
            f"{path}:{name} is a link to {other}, outside of the folder of the file; such links are not followed.",
            "Open that file itself.",
        )


def other_files(dataset: h5py.Dataset, path: Path) -> list[str]:
    """Names of the other files that hold the voxels of a dataset."""
    names = [Path(dataset.file.filename).name] if Path(dataset.file.filename).resolve() != path.resolve() else []
    names += [raw for raw, _, _ in dataset.external or ()]
    if dataset.is_virtual:
        names += [s.file_name for s in dataset.virtual_sources() if s.file_name != "."]
    return list(dict.fromkeys(names))


def check_filters(dataset: h5py.Dataset, where: str) -> None:
    """Load the plugins that a dataset needs.

    Raises
    ------
    VolumeError
        If a filter is not installed; the message names it.
    """
    created = dataset.id.get_create_plist()
    for k in range(created.get_nfilters()):
        code, _, _, label = created.get_filter(k)
        if h5py.h5z.filter_avail(code):
            continue
        name = _FILTERS.get(code) or label.decode("utf-8", "replace").split(";")[0].strip() or "an unknown filter"
        # The package registers its filters with HDF5 when it is imported.
        optional_package("hdf5plugin", where, f"compressed with {name} (HDF5 filter {code})")
        if not h5py.h5z.filter_avail(code):
            raise VolumeError(
                f"{where} is compressed with {name} (HDF5 filter {code}), which needs a plugin that hdf5plugin lacks.",
                "Write it again with gzip, with the program that made it.",
            )


def listing(found: dict[str, h5py.Dataset]) -> str:
    """Datasets with shape and type, the first of many."""
    names = [f"{name} {tuple(d.shape or ())} {dtype_name(d)}" for name, d in found.items()]
    more = [f"and {len(names) - _MOST_LISTED} more"] if len(names) > _MOST_LISTED else []
    return ", ".join(names[:_MOST_LISTED] + more) or "none"
