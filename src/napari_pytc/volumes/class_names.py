"""Names of the classes in files of labels: attributes, descriptions, and what exports note beside their files."""

from __future__ import annotations

import json
import re
from typing import Any

from napari_pytc.errors import VolumeError
from napari_pytc.volumes.export_mark import read_mark
from napari_pytc.volumes.formats.hdf5_file import open_hdf5
from napari_pytc.volumes.formats.nifti import nifti_comments
from napari_pytc.volumes.formats.tiff.space import ome_description
from napari_pytc.volumes.formats.tiff.volume import open_tiff
from napari_pytc.volumes.kvstore import MetadataStore
from napari_pytc.volumes.spec import ChunkedSpec, Hdf5Spec, NiftiSpec, SectionsSpec, TiffSpec, VolumeSpec

_NUMBERED = re.compile(r"^(\d+) (.+)$")
_PROPERTIES = "segment_properties"


def read_class_names(spec: VolumeSpec) -> dict[int, str]:
    """Names that a file has for the values of its labels.

    This program's exports carry them, except MRC: HDF5, OME-Zarr and NIfTI in ``class_names``, whose first entry is the
    name of 1, as does a TIFF in its description (ImageJ: in its info, as lines such as ``1 membrane``), and folders of
    sections in ``export.json``. Of other programs, classes of OME-Zarr's ``image-label`` and labels of Neuroglancer's
    ``segment_properties`` are known.

    Returns
    -------
    dict
        The name of each value; empty where the file has none.
    """
    try:
        match spec:
            case Hdf5Spec():
                with open_hdf5(spec.path) as file:
                    return _numbered(file[spec.dataset].attrs.get("class_names"))
            case ChunkedSpec():
                return _chunked(spec)
            case TiffSpec():
                return _tiff(spec)
            case SectionsSpec():
                return _numbered(read_mark(spec.path).get("class_names"))
            case NiftiSpec():
                found = [json.loads(text) for text in nifti_comments(spec.path) if text.startswith("{")]
                return next((names for facts in found if (names := _numbered(facts.get("class_names")))), {})
    except (VolumeError, OSError, KeyError, ValueError, TypeError, AttributeError, IndexError):
        return {}  # names in another shape are no names
    return {}


def _numbered(names: Any) -> dict[int, str]:
    if names is None or isinstance(names, str | bytes):
        return {}
    texts = [name.decode() if isinstance(name, bytes) else str(name) for name in names]
    return dict(enumerate(texts, start=1))


def _chunked(spec: ChunkedSpec) -> dict[int, str]:
    store = MetadataStore(spec.url)
    if spec.driver == "neuroglancer_precomputed":
        return _precomputed(store)
    parent = spec.array.rpartition("/")[0]
    for path in (spec.array, parent):
        attributes = store.json(path, "zarr.json").get("attributes") or store.json(path, ".zattrs")
        own = (attributes.get("napari_pytc") or {}).get("attributes") or {}
        if names := _numbered(attributes.get("class_names") or own.get("class_names")):
            return names
        label = attributes.get("image-label") or (attributes.get("ome") or {}).get("image-label") or {}
        found = {
            int(one["label-value"]): str(one["class"]) for one in label.get("properties") or () if one.get("class")
        }
        if found:
            return found
    return {}


def _precomputed(store: MetadataStore) -> dict[int, str]:
    """Labels of ids in Neuroglancer's properties of segments."""
    inline = store.json(store.json("info").get(_PROPERTIES) or _PROPERTIES, "info").get("inline") or {}
    labels = next((one["values"] for one in inline.get("properties") or () if one.get("type") == "label"), ())
    return {int(number): str(name) for number, name in zip(inline.get("ids") or (), labels, strict=False)}


def _tiff(spec: TiffSpec) -> dict[int, str]:
    with open_tiff(spec.path) as tiff:
        if tiff.is_ome and tiff.ome_metadata:
            return _numbered(ome_description(tiff.ome_metadata).get("class_names"))
        if tiff.is_imagej:
            lines = str((tiff.imagej_metadata or {}).get("Info") or "").splitlines()
            found = [_NUMBERED.match(line.strip()) for line in lines]
            return {int(m.group(1)): m.group(2) for m in found if m} if found and all(found) else {}
        described = json.loads(tiff.pages.first.description)
        return _numbered(described.get("class_names")) if isinstance(described, dict) else {}
