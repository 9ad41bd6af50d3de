"""Folders, zip archives and URLs of chunked arrays as tensorstore key-value stores, and the JSON files in them."""

from __future__ import annotations

import json
import re
import zipfile
from pathlib import Path
from typing import Any

import tensorstore as ts

from napari_pytc.errors import VolumeError
from napari_pytc.files import plain_path

# Prefixes by which Neuroglancer and CloudVolume name the format; the store itself identifies it too.
_FORMATS = ("precomputed://", "zarr://", "zarr2://", "zarr3://", "n5://")
_ARCHIVES = (".zip", ".ozx")
_ANSWER_S = 30.0
_LARGEST_JSON = 256 * 2**20
_RETRIES = {"max_retries": 3, "initial_delay": "200ms", "max_delay": "2s"}
# By default a server that does not answer is asked 32 times, with up to 32 s between.
REQUESTS = {f"{kind}_request_retries": _RETRIES for kind in ("http", "gcs", "s3")}
"""Resources of a tensorstore context by which a server that fails is given up within seconds."""


def is_url(text: str) -> bool:
    """Whether a place is a URL, not a path; ``C:/data`` is a path."""
    scheme, separator, _ = text.partition("://")
    return bool(separator) and len(scheme) > 1 and scheme.replace("+", "").isalnum()


def plain_url(url: str) -> str:
    """The URL or path without the name of a format in front and slashes behind."""
    for prefix in _FORMATS:
        url = url.removeprefix(prefix)
    return url.removeprefix("file://").rstrip("/") or "/"


def is_archive(url: str) -> bool:
    """Whether a place is a zip archive: a file, or a URL that ends like one."""
    place = plain_url(url)
    return place.lower().endswith(_ARCHIVES) if is_url(place) else Path(place).is_file()


def kvstore_spec(url: str, inside: str = "") -> dict[str, Any] | str:
    """Tensorstore's specification of the place ``url/inside``.

    Raises
    ------
    VolumeError
        If `inside` leaves the container.
    """
    place, inside = plain_url(url), inside_path(inside, url)
    if is_archive(place):
        base = place if is_url(place) else {"driver": "file", "path": plain_path(place).as_posix()}
        return {"driver": "zip", "base": base, "path": f"{inside}/" if inside else ""}
    if is_url(place):
        return "/".join(part for part in (place, inside) if part) + "/"
    path = plain_path(place).as_posix().rstrip("/")
    return {"driver": "file", "path": "/".join(part for part in (path, inside) if part) + "/"}


def inside_path(path: str, url: str) -> str:
    """A path inside a container in its shortest form; `VolumeError` if it leads out of the container."""
    parts = [part for part in path.replace("\\", "/").split("/") if part not in ("", ".")]
    if ".." in parts:
        raise VolumeError(
            f"{path!r} leads out of {plain_url(url)}; arrays of a container lie inside it.",
            "Open the other container by its own path, or have the metadata written again.",
        )
    return "/".join(parts)


def tensorstore_reason(error: Exception) -> str:
    """The reason in an error of tensorstore: no JSON of its specification, no page of a server, no full stop."""
    if isinstance(error, TimeoutError):
        return "no answer within the time allowed"
    text = str(error)
    if code := re.search(r"\[HTTP code (\d+)\]", text):
        return _server_reason(int(code.group(1)))
    text = re.split(r" \[\w+='|\n|<!?\w", text)[0]
    text = re.sub(r"^[A-Z_]+: ", "", text)
    text = re.sub(r"All \d+ retry attempts failed: |CURL error ", "", text)
    return text.strip().rstrip(".: ") or type(error).__name__


def _server_reason(code: int) -> str:
    meanings = {
        401: "asks for credentials",
        403: "refuses access",
        404: "has nothing there",
        429: "is asked too often",
    }
    meaning = meanings.get(code, "failed" if code >= 500 else "answered")
    return f"the server {meaning} (HTTP {code})"


def is_refused(error: Exception) -> bool:
    """Whether a server answered 401 or 403, as object stores do for what is not there where listing is forbidden."""
    return str(error).startswith("PERMISSION_DENIED") and bool(re.search(r"\[HTTP code 40[13]\]", str(error)))


class MetadataStore:
    """Reads the JSON files of a container, local or remote, each once.

    Attributes
    ----------
    folder : Path, optional
        The container, where it is a folder on this machine.
    n_refused : int
        How many files a server refused; they count as not there.
    """

    def __init__(self, url: str) -> None:
        self.url = plain_url(url)
        if not is_url(self.url) and ".." in Path(self.url).parts:
            self.url = plain_path(self.url).as_posix()
        self._is_archive = is_archive(self.url)
        self.folder = None if is_url(self.url) or self._is_archive else Path(self.url)
        self.n_refused = 0
        self._read: dict[str, dict[str, Any]] = {}
        self._files: dict[str, int] | None = None
        try:
            self._store = ts.KvStore.open(kvstore_spec(url), context=ts.Context(REQUESTS)).result(_ANSWER_S)
        except (ValueError, OSError) as error:
            raise VolumeError(
                f"{url} cannot be opened: {tensorstore_reason(error)}.", "Check the address and the network."
            ) from error

    def json(self, *parts: str) -> dict[str, Any]:
        """The object in a file, empty where there is no such file.

        Raises
        ------
        VolumeError
            If the file is no JSON object or the store cannot be reached.
        """
        key = inside_path("/".join(parts), self.url)
        if key not in self._read:
            self._read[key] = self._load(key)
        return self._read[key]

    def _load(self, key: str) -> dict[str, Any]:
        self._refuse_huge(key)
        try:
            answer = self._store.read(key).result(_ANSWER_S)
        except (ValueError, OSError) as error:
            if self.folder is not None and not (self.folder / key).is_file():
                return {}
            if is_refused(error):
                self.n_refused += 1
                return {}
            hint = "Check access and the network." if is_url(self.url) else "Check that it is complete."
            raise VolumeError(f"{self.url}/{key} cannot be read: {tensorstore_reason(error)}.", hint) from error
        if answer.state != "value":
            return {}
        try:
            content = json.loads(answer.value)
        except (ValueError, RecursionError) as error:
            # Some servers answer with a page, and 200, for what is not there.
            if is_url(self.url) and answer.value.lstrip()[:1] == b"<":
                return {}
            raise VolumeError(
                f"{self.url}/{key} is damaged: {error}.", "Copy the folder again or restore the file."
            ) from error
        return content if isinstance(content, dict) else {}

    def _refuse_huge(self, key: str) -> None:
        if self._is_archive:
            size = self._archived().get(key, 0)
        else:
            file = None if self.folder is None else self.folder / key
            size = file.stat().st_size if file is not None and file.is_file() else 0
        if size > _LARGEST_JSON:
            raise VolumeError(
                f"{self.url}/{key} has {size} bytes; metadata has a few thousand.", "Check the container."
            )

    def children(self, group: str) -> list[str]:
        """Paths of the nodes just inside a group.

        Of a folder and a zip archive all, of a URL those that its consolidated metadata names. A link to a folder
        around itself is left out.
        """
        if self.folder is not None:
            folder = self.folder / group
            if not folder.is_dir():
                return []
            around = {folder.resolve(), *folder.resolve().parents}
            inner = [c.name for c in folder.iterdir() if c.is_dir() and not (c.is_symlink() and c.resolve() in around)]
            return [_joined(group, name) for name in sorted(inner)]
        if self._is_archive:
            prefix = f"{group}/" if group else ""
            below = {f.removeprefix(prefix) for f in self._archived() if f.startswith(prefix)}
            return [_joined(group, name) for name in sorted({f.split("/")[0] for f in below if "/" in f})]
        metadata = self.json(group, "zarr.json").get("consolidated_metadata") or {}
        names = [*metadata.get("metadata", {})]
        names += [n.rpartition("/")[0] for n in self.json(group, ".zmetadata").get("metadata", {})]
        return [_joined(group, name) for name in sorted({name.split("/")[0] for name in names if name})]

    def _archived(self) -> dict[str, int]:
        """Files in a zip archive and their bytes, which are 0 where the archive is remote."""
        if self._files is None:
            try:
                if is_url(self.url):
                    self._files = {key.decode("utf-8", "replace"): 0 for key in self._store.list().result(_ANSWER_S)}
                else:
                    with zipfile.ZipFile(self.url) as archive:
                        self._files = {entry.filename: entry.file_size for entry in archive.infolist()}
            except (ValueError, OSError, zipfile.BadZipFile) as error:
                raise VolumeError(
                    f"{self.url} is not a whole zip archive: {tensorstore_reason(error)}.", "Copy or download it again."
                ) from error
        return self._files


def _joined(group: str, name: str) -> str:
    return "/".join(part for part in (group, name) if part)
