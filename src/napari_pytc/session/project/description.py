"""The content of project.json: the volumes of a project, its classes, and the model in use."""

from __future__ import annotations

import re
import shlex
from collections.abc import Collection
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

import napari_pytc
from napari_pytc.errors import InvalidInput, ProjectError
from napari_pytc.geometry import Box, Shape, VoxelSpace
from napari_pytc.session.project.ids import new_id
from napari_pytc.session.records import ClassInfo
from napari_pytc.volumes.fingerprint import Fingerprint
from napari_pytc.volumes.spec import ChunkedSpec, VolumeSpec

SCHEMA_VERSION: Literal[2] = 2
"""Version of project.json that this program writes; newer ones are refused, 1 is moved."""
FIRST_VOLUME = "v1"
"""Id of the volume that a project begins with."""
_ID = re.compile(r"v[1-9]\d*")
OWN_IMAGE = "image.zarr"
_SUFFIXES = (
    ".gz", ".zip", ".zarr", ".ome", ".n5", ".h5", ".hdf5", ".hdf", ".tif", ".tiff", ".npy", ".mrc", ".nii", ".xml",
)  # fmt: skip


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds")


class VolumeRecord(BaseModel):
    """One volume of a project: its image, voxel size, and held-out boxes.

    `id` is the name of its folder in ``volumes`` and never changes; `name` is for people. `notes` are sentences of the
    reader on what it assumed or left out.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    id: str = Field(pattern=r"^v[1-9]\d*$")
    name: str = Field(min_length=1)
    added: str = Field(default_factory=_now)
    spec: VolumeSpec
    fingerprint: Fingerprint
    voxel_size_nm: tuple[float, float, float]
    origin_nm: tuple[float, float, float] = (0.0, 0.0, 0.0)
    voxel_size_source: Literal["file", "user"]
    notes: tuple[str, ...] = ()
    held_out: tuple[Box, ...] = ()
    annotations: str = Field("annotations.zarr", pattern=r"^annotations(-\d+)?\.zarr$")

    @property
    def space(self) -> VoxelSpace:
        """Voxel size and origin."""
        return VoxelSpace(self.voxel_size_nm, self.origin_nm)

    @property
    def n_channels(self) -> int:
        """Number of channels that the image is used with."""
        return len(self.spec.channel) if isinstance(self.spec.channel, tuple) else 1

    @property
    def shape(self) -> Shape:
        """(z, y, x) of the image, in voxels."""
        z, y, x = self.fingerprint.shape
        return z, y, x


class Project(BaseModel):
    """The content of project.json."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    schema_version: Literal[2] = SCHEMA_VERSION
    written_by: str = napari_pytc.__version__
    created: str = Field(default_factory=_now)
    volumes: tuple[VolumeRecord, ...] = Field(min_length=1)
    next_volume: int = Field(2, ge=2, description="Number of the id of the next volume: no id is used twice.")
    classes: tuple[ClassInfo, ...] = Field(min_length=1)
    active_model: str | None = None
    is_moving: bool = Field(
        False, description="Folders of the first volume may still lie at the top, where schema 1 had them."
    )

    @model_validator(mode="after")
    def _check_volumes(self) -> Self:
        for what in ("id", "name"):
            values = [getattr(volume, what) for volume in self.volumes]
            if len(set(values)) != len(values):
                raise ValueError(f"two volumes have the same {what}")
        return self

    @property
    def class_names(self) -> tuple[str, ...]:
        """Names of the classes in the order of their labels."""
        return tuple(c.name for c in self.classes)

    def volume(self, id: str) -> VolumeRecord:
        """The record of a volume.

        Raises
        ------
        ProjectError
            If it was removed.
        """
        for record in self.volumes:
            if record.id == id:
                return record
        raise ProjectError("This volume was removed from the project.", "Choose another volume.")

    def option(self, record: VolumeRecord) -> str:
        """The option of a command that names a volume, with a space before; empty where it is the only one."""
        return f" --volume {quoted(record.name)}" if len(self.volumes) > 1 else ""

    def resolve(self, name: str) -> VolumeRecord:
        """The record of a volume by its name or id.

        Raises
        ------
        InvalidInput
            If there is none; the message lists all.
        """
        for record in (*(r for r in self.volumes if r.name == name), *(r for r in self.volumes if r.id == name)):
            return record
        raise InvalidInput(
            f"The project has no volume {name!r}; its volumes: {', '.join(r.name for r in self.volumes)}.",
            "Give the name of one of them.",
        )


def upgrade_schema_1(content: dict[str, Any], folder: Path) -> dict[str, Any]:
    """The content of a schema 1 project.json as schema 2, with folders that are still where schema 1 had them."""
    own = ("image_fingerprint", "voxel_size_nm", "origin_nm", "voxel_size_source", "held_out", "annotations")
    names = {"image_fingerprint": "fingerprint"}
    volume: dict[str, Any] = {names.get(name, name): content[name] for name in own if name in content}
    volume["id"], volume["added"] = FIRST_VOLUME, content.get("created", _now())
    if "image" not in content:
        raise ValueError("it has no image")
    volume["spec"] = content["image"]
    volume["name"] = default_name(_place(content["image"]), folder.stem)
    kept = {name: content[name] for name in content if name not in (*own, "image", "schema_version")}
    return {**kept, "schema_version": SCHEMA_VERSION, "volumes": [volume], "is_moving": True}


def quoted(name: str) -> str:
    """A volume's name as it is written on a command line."""
    return shlex.quote(name)


def volume_name(name: str, taken: Collection[str]) -> str:
    """A name that a user gave to a volume, checked.

    Raises
    ------
    InvalidInput
        If it is empty, has a comma, or is that of another volume.
    """
    name = name.strip()
    if not name or "," in name or "\n" in name:
        raise InvalidInput(
            f"A volume's name is a text without commas, got {name!r}.", "Commas separate volumes: --volumes A,B."
        )
    if _ID.fullmatch(name):
        raise InvalidInput(f"{name!r} looks like an id of a volume (v1, v2 ...).", "Choose another name.")
    if name in taken:
        raise InvalidInput(f"There is a volume {name!r} already.", "Choose another name.")
    return name


def free_name(spec: VolumeSpec, project: Path, taken: Collection[str], is_own: bool) -> str:
    """A name for a volume after its image's file, with a number where another volume has that name.

    Parameters
    ----------
    project : Path
        Folder of the project, after which a volume is named whose image lies in it (`is_own`).
    """
    place = spec.url if isinstance(spec, ChunkedSpec) else str(spec.path)
    return new_id(default_name("" if is_own else place, project.stem), lambda name: name in taken)


def default_name(place: str, fallback: str) -> str:
    """The name of a file or URL without its suffixes; `fallback` where nothing is left."""
    name = place.rstrip("/\\").replace("\\", "/").rsplit("/", 1)[-1].replace(",", "-").strip()
    if name == OWN_IMAGE:
        name = ""
    while (stem := Path(name).stem) and stem != name and Path(name).suffix.lower() in _SUFFIXES:
        name = stem
    name = name or fallback or "volume"
    return f"volume-{name}" if _ID.fullmatch(name) else name  # v2.tif: names and ids must not be mistaken


def _place(spec: Any) -> str:
    """The path or URL in the JSON of a spec."""
    return str(spec.get("url") or spec.get("path") or "") if isinstance(spec, dict) else ""
