"""Folders of trained models, each complete in itself.

::

    models/<id>/
        weights.safetensors   the averaged weights of the best step
        plan.json             the recipe, with every setting (`TrainPlan`)
        normalisation.json    how intensities were scaled (`ImageNormalisation`): an object, or a list, one a channel
        provenance.json       id, name, date, classes, parent, voxel size, versions, effort
        scores.json           scores on the held-out boxes (`napari_pytc.plans.model_scores`)
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any, TypeVar

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from napari_pytc.errors import ModelError, PytcError
from napari_pytc.files import atomic_write, write_text_durably
from napari_pytc.geometry import Shape
from napari_pytc.plans.networks import NetworkLimits
from napari_pytc.plans.normalisation import ImageNormalisation
from napari_pytc.plans.plan import TrainPlan
from napari_pytc.plans.prediction_defaults import PredictionDefaults

_Model = TypeVar("_Model", bound=BaseModel)

SCHEMA_VERSION = 1
"""Version of the files in a model folder that this program writes; newer ones are refused."""
_UNKNOWN_NM = (1.0, 1.0, 1.0)
WEIGHTS, PLAN, NORMALISATION, PROVENANCE, SCORES = (
    "weights.safetensors",
    "plan.json",
    "normalisation.json",
    "provenance.json",
    "scores.json",
)


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds")


def library_versions() -> dict[str, str]:
    """Versions of this package and of those that decide what a network computes."""
    found = {}
    for name in ("napari-pytc", "torch", "monai", "lightning", "numpy"):
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            continue
    return found


class TrainedVolume(BaseModel):
    """A volume that a model learnt from.

    Its normalisation left held-out boxes out; a prediction of the same image uses it, so that it is normalised as in
    the training.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str = ""
    digest: str = Field(description="Digest of the image's fingerprint.")
    voxel_size_nm: tuple[float, float, float] = Field(description="As the network saw it, resampled or not.")
    normalisation: ImageNormalisation


class ModelOrigin(BaseModel):
    """The checkpoint of another program that a model was imported from.

    Statistics of the volumes that it learnt from are not known: volumes are normalised by their own.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    file: str
    sha256: str
    config: str = Field(description="Name of its configuration.")
    config_hash: str = Field("", description="As the checkpoint has it.")
    weights: str = Field(description="Moving average, or last.")


class ModelInfo(BaseModel):
    """Description of a trained model besides its weights.

    `classes` are the names in the order of the output channels; `scores` holds ``{"dice": {class: ...}, "iou":
    {class: ...}, "mean": ...}`` of the held-out boxes and is empty where nothing was held out.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    schema_version: int = SCHEMA_VERSION
    id: str = Field(min_length=1)
    name: str
    created: str = Field(default_factory=_now, description="ISO 8601 date and time, UTC.")
    recipe: str
    classes: tuple[str, ...] = Field(min_length=1)
    parent: str | None = Field(None, description="Id of the model this one was fine-tuned from.")
    voxel_size_nm: tuple[float, float, float]
    is_voxel_size_known: bool = Field(True, description="Without, volumes are not resampled to it.")
    limits: NetworkLimits | None = Field(None, description="Halo and alignment that tiles need, in voxels.")
    window_shape: Shape | None = Field(
        None, description="The training patch of a network that predicts in overlapping windows."
    )
    n_inputs: int = Field(1, ge=1, description="Channels of the image.")
    input_names: tuple[str, ...] = Field((), description="Names of the image's channels, where they are known.")
    versions: dict[str, str] = Field(default_factory=library_versions)
    seconds: float = 0.0
    steps: int = 0
    boundary_class: str | None = Field(
        None, description="The class that keeps objects apart, where the training was told one."
    )
    n_annotated: dict[str, int] = Field({}, description="Annotated voxels of each class at the end of training.")
    precision: str = Field("float32", description="Precision of the training.")
    volumes: tuple[TrainedVolume, ...] = Field((), description="Volumes of the training; none before version 0.3.")
    prediction: PredictionDefaults | None = Field(
        None,
        exclude_if=lambda prediction: prediction is None,
        description="How it predicts where nothing else is said; of an imported model, as its configuration has it.",
    )
    origin: ModelOrigin | None = Field(
        None, exclude_if=lambda origin: origin is None, description="Where it comes from, if it was imported."
    )
    plan: TrainPlan
    scores: dict[str, Any] = {}

    @model_validator(mode="before")
    @classmethod
    def _accept_unknown_voxel_size(cls, content: Any) -> Any:
        """Up to version 0.2 a voxel size that was not known was written as 1 nm, or not at all."""
        if not isinstance(content, dict) or "is_voxel_size_known" in content:
            return content
        size = content.get("voxel_size_nm", _UNKNOWN_NM)
        is_known = not isinstance(size, list | tuple) or tuple(size) != _UNKNOWN_NM
        return {**content, "voxel_size_nm": size, "is_voxel_size_known": is_known}

    @property
    def known_voxel_size_nm(self) -> tuple[float, float, float] | None:
        """The voxel size that the network learnt; None where it is not known."""
        return self.voxel_size_nm if self.is_voxel_size_known else None

    @property
    def tiling(self) -> str:
        """How it predicts, for people: "exact tiles", or "overlapping windows of 32 x 96 x 96"."""
        if self.plan.network.tiles() == "exact":
            return "exact tiles"
        of = "" if self.window_shape is None else f" of {' x '.join(map(str, self.window_shape))}"
        return f"overlapping windows{of}"


def weights_path(folder: Path | str) -> Path:
    """Path of the weights in a model folder."""
    return Path(folder) / WEIGHTS


def write_model_folder(
    folder: Path | str, info: ModelInfo, normalisation: ImageNormalisation, weights_writer: Callable[[Path], None]
) -> None:
    """Write a model so that its folder is there completely or not at all.

    Parameters
    ----------
    folder : Path
        Folder in which the model appears; a model that is there already is replaced as a whole.
    info : ModelInfo
        Description of the model, its plan and scores included.
    normalisation : ImageNormalisation
        Scaling of its intensities.
    weights_writer : callable
        Gets the path of the weights file to write (safetensors).
    """
    Path(folder).parent.mkdir(parents=True, exist_ok=True)
    with atomic_write(Path(folder)) as aside:
        aside.mkdir()
        weights_writer(aside / WEIGHTS)
        provenance = info.model_dump_json(indent=2, exclude={"plan", "scores"})
        (aside / PROVENANCE).write_text(provenance, encoding="utf-8")
        (aside / PLAN).write_text(info.plan.model_dump_json(indent=2), encoding="utf-8")
        (aside / NORMALISATION).write_text(normalisation.model_dump_json(indent=2), encoding="utf-8")
        scores = json.loads(info.model_dump_json(include={"scores"}))["scores"]
        (aside / SCORES).write_text(json.dumps(scores, indent=2), encoding="utf-8")


def read_model_info(folder: Path | str) -> ModelInfo:
    """Read the description of a model folder.

    Raises
    ------
    ModelError
        If a file is missing or unreadable, or the folder was written by a newer version.
    """
    folder = Path(folder)
    provenance = _read_json(folder, PROVENANCE)
    _check_schema(folder, provenance)
    if not weights_path(folder).is_file():
        raise ModelError(f"Model folder {folder} has no {WEIGHTS}.", "Copy the whole folder again.")
    plan, scores = _read_json(folder, PLAN), _read_json(folder, SCORES)
    return _validated(ModelInfo, {**provenance, "plan": plan, "scores": scores}, folder, PROVENANCE)


def rename_model(folder: Path | str, name: str) -> None:
    """Give a model another name for people, in one step; its id, by which it is found, stays."""
    provenance = {**_read_json(Path(folder), PROVENANCE), "name": name}
    write_text_durably(Path(folder) / PROVENANCE, json.dumps(provenance, indent=2))


def copy_model(folder: Path | str, destination: Path | str) -> Path:
    """Copy a model, completely or not at all, to a folder of that name, or into a folder that is there already.

    Raises
    ------
    ModelError
        If the model is damaged, something is in the way, or the disk refuses.
    """
    source, target = Path(folder), Path(destination).absolute()
    read_model_info(source)
    read_normalisation(source)
    if target.is_dir():
        target /= source.name
    if target.exists():
        raise ModelError(f"There is already something at {target}.", "Choose another folder.")
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        with atomic_write(target) as aside:
            aside.mkdir()
            for name in (WEIGHTS, PLAN, NORMALISATION, PROVENANCE, SCORES):
                shutil.copyfile(source / name, aside / name)
    except OSError as error:
        raise ModelError(
            f"The model could not be copied to {target}: {error.strerror or error}.",
            "Free space on the disk or choose another folder.",
        ) from error
    return target


def read_normalisation(folder: Path | str) -> ImageNormalisation:
    """Read the normalisation of a model; errors as in `read_model_info`."""
    folder = Path(folder)
    return _validated(ImageNormalisation, _read_json(folder, NORMALISATION, (dict, list)), folder, NORMALISATION)


def _check_schema(folder: Path, provenance: dict[str, Any]) -> None:
    schema = provenance.get("schema_version")
    if not isinstance(schema, int) or schema < 1:
        raise ModelError(
            f"{folder / PROVENANCE} has no schema version, so {folder} is not a model of napari-pytc.",
            "Name a folder models/<id> of a project.",
        )
    if schema > SCHEMA_VERSION:
        raise ModelError(
            f"Model {folder} has format {schema}, written by a newer napari-pytc; this one reads up to format "
            f"{SCHEMA_VERSION}.",
            "Update with: pip install --upgrade napari-pytc.",
        )


def _read_json(folder: Path, name: str, kinds: tuple[type, ...] = (dict,)) -> Any:
    path = folder / name
    if not folder.is_dir():
        raise ModelError(
            f"There is no model folder {folder}.", "`napari-pytc models PROJECT` lists a project's models."
        )
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise ModelError(
            f"{folder} is not a complete model folder: it has no {name}.",
            "A model folder holds weights.safetensors, plan.json, normalisation.json, provenance.json and scores.json.",
        ) from error
    except (OSError, ValueError) as error:
        raise ModelError(f"{path} cannot be read: {error}.", "Copy the model again or train a new one.") from error
    if not isinstance(content, kinds):
        raise ModelError(f"{path} must hold a JSON object, got {type(content).__name__}.", "Copy the model again.")
    return content


def _validated(model: type[_Model], content: Any, folder: Path, name: str) -> _Model:
    try:
        return model.model_validate(content)
    except PytcError as error:  # an architecture that is not installed here
        raise ModelError(f"Model folder {folder} cannot be used: {error.message}", error.hint) from error
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        where = ".".join(str(part) for part in first["loc"]) or name
        raise ModelError(
            f"Model folder {folder} is damaged: {where}: {first['msg']}.", "Copy the model again or train a new one."
        ) from error
