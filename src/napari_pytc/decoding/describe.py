"""Description of a segmentation: the decoder that a prediction asks for, and the job."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from napari_pytc.decoding.base import DecoderSettings
from napari_pytc.decoding.evidence import EvidenceKind, EvidenceReader
from napari_pytc.decoding.jobs import SegmentJob
from napari_pytc.decoding.notes import unused_sizes
from napari_pytc.errors import InvalidInput, ModelError, PytcError
from napari_pytc.geometry import VoxelSpace
from napari_pytc.plans.model_folder import ModelInfo, read_model_info
from napari_pytc.plans.recipe_checks import explain
from napari_pytc.plans.targets import FOREGROUND
from napari_pytc.volumes.channels import ChannelRole, PredictionRecipe, recipe_of
from napari_pytc.volumes.zarr_output import open_ome_zarr

_NO_OBJECTS = ("background", "outside", "nothing", "void")


@dataclass(frozen=True)
class ChosenDecoder:
    """A decoder with its settings, as JSON, and the notes on what was assumed."""

    content: dict[str, Any]
    boundary_class: str | None = None
    notes: tuple[str, ...] = ()


def describe_segmentation(
    prediction: Path,
    output: Path,
    decoder: DecoderSettings | dict[str, Any] | str | None = None,
    settings: Mapping[str, Any] | None = None,
    model: Path | None = None,
    **fields: Any,
) -> SegmentJob:
    """Describe a job that decodes a prediction; everything that can be wrong with it is found here.

    Parameters
    ----------
    decoder : DecoderSettings, dict or str, optional
        Settings, or a kind; by default that of the model's recipe, else one that fits the prediction.
    settings : mapping
        Settings to change, of whichever decoder that is; keys may not be dotted.
    model : Path, optional
        Folder of the model, for predictions that do not carry its recipe.
    fields : dict
        Other fields of `SegmentJob`.

    Raises
    ------
    InvalidInput
        If a setting, a class or the decoder does not fit.
    """
    changes = dict(settings or {})
    chosen = choose_decoder(prediction, decoder, changes, model, fields.get("boundary_class"))
    content = chosen.content | changes
    if fields.get("boundary_class") is None:
        fields["boundary_class"] = chosen.boundary_class
    try:
        job = SegmentJob(prediction=prediction, output=output, decoder=checked_decoder(content), **fields)
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        where = ".".join(str(part) for part in first["loc"])
        raise InvalidInput(f"A segmentation has no such option: {where}: {first['msg']}.") from error
    reader = job.reader()
    depth = (reader.shape if job.box is None else job.box.shape)[0]
    return job.model_copy(update={"notes": (*chosen.notes, *unused_sizes(changes, depth))})


def choose_decoder(
    prediction: Path,
    decoder: DecoderSettings | dict[str, Any] | str | None = None,
    settings: Mapping[str, Any] | None = None,
    model: Path | None = None,
    boundary_class: str | None = None,
) -> ChosenDecoder:
    """The decoder of a prediction: the given one, else that of its model's recipe, else one that fits, with a note.

    Parameters
    ----------
    settings : mapping
        Settings that will be changed; a class of objects among them decides which decoder fits.
    boundary_class : str, optional
        The class that stands for the boundary, where the user names it.

    Raises
    ------
    InvalidInput
        If no decoder fits, so that the user has to say more.
    """
    recipe = read_recipe(prediction, model)
    known = PredictionRecipe() if recipe is None else recipe
    if isinstance(decoder, DecoderSettings):
        return ChosenDecoder(decoder.model_dump(mode="json"), known.boundary_class)
    if isinstance(decoder, dict):
        return ChosenDecoder(dict(decoder), known.boundary_class)
    if decoder is not None:
        own = known.decoder if known.decoder.get("kind") == decoder else {}
        return ChosenDecoder({"kind": decoder, **own}, known.boundary_class)
    if known.decoder:
        return ChosenDecoder(dict(known.decoder), known.boundary_class)
    kind = EvidenceReader.open(prediction, boundary_class or known.boundary_class).kind
    content, reason = _fitting(kind, settings or {})
    why = (
        "the recipe of its model names none"
        if recipe is not None
        else "it does not carry its model's recipe, and the model is not here"
    )
    title = DecoderSettings.variants()[content["kind"]].title
    note = f"The decoder {title} was chosen for the prediction {prediction.stem}, because {reason}: {why}."
    return ChosenDecoder(content, known.boundary_class, (note,))


def check_model_decoder(info: ModelInfo, decoder: str | None, settings: Mapping[str, Any]) -> None:
    """Check that a model's predictions can be decoded so, before there is one.

    Parameters
    ----------
    decoder : str, optional
        Kind of decoder; by default that of the model's recipe, else one that fits its channels.
    settings : mapping
        Settings of the decoder to change.

    Raises
    ------
    InvalidInput
        If there is no such decoder or setting, or none fits.
    """
    own = info.plan.decoder
    if decoder is not None:
        content = {"kind": decoder, **(own if own.get("kind") == decoder else {})}
    elif own:
        content = dict(own)
    else:
        roles = info.plan.target.predicted_roles(info.classes, VoxelSpace(info.voxel_size_nm))
        content, _ = _fitting(EvidenceKind.of_roles(roles, info.boundary_class), settings)
    checked_decoder(content | dict(settings))


def decoder_of_channels(
    roles: Sequence[ChannelRole], own: Mapping[str, Any], boundary_class: str | None = None
) -> DecoderSettings:
    """The decoder of predictions with these channels: that of their model's recipe, else one that fits.

    Parameters
    ----------
    own : mapping
        The decoder of the recipe, as JSON; empty where it names none.

    Raises
    ------
    InvalidInput
        If none fits.
    """
    kind = EvidenceKind.of_roles(roles, boundary_class)
    decoder = checked_decoder(dict(own) or _fitting(kind, {})[0])
    decoder.check(kind)
    return decoder


def read_recipe(prediction: Path, model: Path | None = None) -> PredictionRecipe | None:
    """What a prediction carries of its model's recipe, else what the model's folder says; None where neither does.

    Raises
    ------
    VolumeError
        If the prediction cannot be read.
    """
    carried = recipe_of(open_ome_zarr(prediction).attributes)
    if carried is not None or model is None:
        return carried
    try:
        info = read_model_info(model)
    except ModelError:  # the model is gone or damaged: its predictions can be segmented all the same
        return None
    return PredictionRecipe(decoder=info.plan.decoder, classes=info.classes, boundary_class=info.boundary_class)


def recipe_decoder(prediction: Path, model: Path | None = None) -> DecoderSettings | None:
    """The decoder that the recipe of a prediction's model names; None for none, and for one of another version."""
    try:
        recipe = read_recipe(prediction, model)
        return checked_decoder(recipe.decoder) if recipe is not None and recipe.decoder else None
    except PytcError:
        return None


def checked_decoder(content: dict[str, Any]) -> DecoderSettings:
    """A decoder from its JSON, with its ``kind``; a wrong setting is an `InvalidInput`."""
    try:
        found = DecoderSettings.parse(content)
        assert isinstance(found, DecoderSettings)
        return found
    except ValidationError as error:
        raise InvalidInput(*explain(error, f"the decoder {content.get('kind')}")) from error


def _fitting(kind: EvidenceKind, settings: Mapping[str, Any]) -> tuple[dict[str, Any], str]:
    """The default decoder, and why: objects of a foreground, segments between boundaries, or objects of a class."""
    if FOREGROUND in kind.object_names and not kind.near_axes and "object_class" not in settings:
        # Agglomeration would make objects of the background as well.
        return {"kind": "watershed", "object_class": FOREGROUND}, f"the prediction has {kind}"
    if kind.has_boundary_map:
        shown = f"the class {kind.boundary_class} stands for the boundary" if _is_of_classes(kind) else None
        return {"kind": "agglomeration"}, shown or f"the prediction has {kind}"
    if "object_class" in settings:
        return {"kind": "components"}, "a class of objects is given and none stands for the boundary"
    objects = [name for name in kind.object_names if name.lower() not in _NO_OBJECTS]
    if len(objects) != 1:
        raise InvalidInput(
            f"The prediction has {kind}; say which of them to segment into objects, or which is the boundary.",
            f"For example: object_class={objects[0] if objects else 'NAME'}, or --boundary-class NAME.",
        )
    return {"kind": "components", "object_class": objects[0]}, f"{objects[0]} is the only class of objects"


def _is_of_classes(kind: EvidenceKind) -> bool:
    return not (kind.boundary or kind.near_axes or kind.distance)
