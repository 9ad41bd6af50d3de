"""Folders and URLs of chunked arrays as tensorstore key-value stores, and the small JSON files in them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import tensorstore as ts

from napari_pytc.errors import VolumeError

# Prefixes by which Neuroglancer and CloudVolume name the format; the store itself tells it too.
_FORMATS = ("precomputed://", "zarr://", "zarr2://", "zarr3://", "n5://")


def is_url(text: str) -> bool:
    """Whether a place is a URL, not a path; ``C:/data`` is a path."""
    scheme, separator, _ = text.partition("://")
    return bool(separator) and len(scheme) > 1 and scheme.replace("+", "").isalnum()


def plain_url(url: str) -> str:
    """The URL or path without the name of a format in front and slashes behind."""
    for prefix in _FORMATS:
        url = url.removeprefix(prefix)
    return url.removeprefix("file://").rstrip("/") or "/"


def kvstore_spec(url: str, inside: str = "") -> dict[str, Any] | str:
    """What tensorstore calls the place ``url/inside``."""
    place = "/".join(part for part in (plain_url(url), inside.strip("/")) if part) + "/"
    if is_url(place):
        return place
    return {"driver": "file", "path": Path(place).absolute().as_posix().rstrip("/") + "/"}


class MetadataStore:
    """Reads the JSON files of a container, local or remote, each once."""

    def __init__(self, url: str) -> None:
        self.url = plain_url(url)
        self.folder = None if is_url(self.url) else Path(self.url)
        self._read: dict[str, dict[str, Any]] = {}
        try:
            self._store = ts.KvStore.open(kvstore_spec(url)).result()
        except (ValueError, OSError) as error:
            raise VolumeError(f"{url} cannot be opened: {error}.", "Check the address and the network.") from error

    def json(self, *parts: str) -> dict[str, Any]:
        """The object in a file, empty where there is no such file.

        Raises
        ------
        VolumeError
            If the file is no JSON object or the store cannot be reached.
        """
        key = "/".join(part.strip("/") for part in parts if part.strip("/"))
        if key not in self._read:
            self._read[key] = self._load(key)
        return self._read[key]

    def _load(self, key: str) -> dict[str, Any]:
        try:
            answer = self._store.read(key).result()
        except (ValueError, OSError) as error:
            if self.folder is not None and not (self.folder / key).is_file():
                return {}
            raise VolumeError(f"{self.url}/{key} cannot be read: {error}.", "Check access and the network.") from error
        if answer.state != "value":
            return {}
        try:
            content = json.loads(answer.value)
        except ValueError as error:
            raise VolumeError(
                f"{self.url}/{key} is damaged: {error}.", "Copy the folder again or restore the file."
            ) from error
        return content if isinstance(content, dict) else {}

    def children(self, group: str) -> list[str]:
        """Paths of the nodes just inside a group: of a folder all, of a URL those its consolidated metadata names."""
        if self.folder is not None:
            folder = self.folder / group
            if not folder.is_dir():
                return []
            return sorted("/".join(p for p in (group, c.name) if p) for c in folder.iterdir() if c.is_dir())
        metadata = self.json(group, "zarr.json").get("consolidated_metadata") or {}
        names = [*metadata.get("metadata", {})]
        names += [n.rpartition("/")[0] for n in self.json(group, ".zmetadata").get("metadata", {})]
        below = sorted({name.split("/")[0] for name in names if name})
        return ["/".join(p for p in (group, name) if p) for name in below]
