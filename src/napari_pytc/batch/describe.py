"""Description of a batch: model, inputs, outputs and settings, checked before anything runs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from napari_pytc.batch.inputs import check_outputs, find_inputs, output_names, without_outputs
from napari_pytc.batch.jobs import ApplyJob, BatchInput, Format, What
from napari_pytc.decoding.describe import check_model_decoder
from napari_pytc.errors import InvalidInput
from napari_pytc.files import plain_path
from napari_pytc.plans.model_folder import read_model_info
from napari_pytc.plans.plan import PredictPlan
from napari_pytc.plans.prediction_defaults import plan_with_defaults
from napari_pytc.plans.recipe_checks import explain
from napari_pytc.volumes.spec import ReadOptions


def describe_apply(
    model: str | Path,
    words: Sequence[str],
    folder: str | Path,
    what: What = "classes",
    format: Format = "tif",
    decoder: str | None = None,
    settings: Mapping[str, Any] | None = None,
    sections: bool = False,
    options: ReadOptions | None = None,
    overwrite: bool = False,
    workers: int = 1,
    include_results: bool = False,
) -> ApplyJob:
    """Describe a job that applies a model to files.

    Parameters
    ----------
    model : Path
        Folder of the model.
    words : sequence of str
        Files, folders or patterns; see `find_inputs`.
    folder : Path
        Folder of the outputs.
    decoder : str, optional
        Kind of decoder, for segments; by default what the model's recipe names, else one that fits.
    settings : mapping
        Settings of the prediction (device, flips ...) and of the decoder to change.
    sections : bool
        Whether a folder of images is one volume of numbered sections.
    include_results : bool
        Whether files that a batch wrote are inputs too.

    Raises
    ------
    InvalidInput
        If an input names nothing, an output would replace an input, a setting is unknown, or the model has no classes
        to write.
    ModelError
        If there is no such model.
    """
    place = plain_path(model)
    info = read_model_info(place)
    if what == "classes" and not info.plan.target.learns_classes:
        raise InvalidInput(
            f"The model {info.id} predicts single objects, so it has no classes to write.",
            "Write segments or probabilities instead: --what segments.",
        )
    plan, own = _split_settings(dict(settings or {}))
    plan, of_model = plan_with_defaults(plan, info.prediction)
    if what != "segments" and (decoder is not None or own):
        given = f"the decoder {decoder}" if decoder is not None else f"the setting {next(iter(own))}"
        raise InvalidInput(f"Only segments are decoded, got {given} for {what}.", "Say --what segments.")
    if what == "segments":
        check_model_decoder(info, decoder, own)
    found = find_inputs(words, sections)
    if not include_results:
        found = without_outputs(found)
    names, notes = output_names(found.paths, what, f".{format}")
    check_outputs(plain_path(folder), found.paths, names)
    inputs = tuple(BatchInput(path=path, output=name) for path, name in zip(found.paths, names, strict=True))
    return ApplyJob(
        model=place,
        inputs=inputs,
        folder=plain_path(folder),
        what=what,
        plan=plan,
        options=options or ReadOptions(),
        decoder=decoder,
        settings=own,
        overwrite=overwrite,
        workers=workers,
        notes=(*found.notes, *notes, *of_model),
    )


def _split_settings(values: dict[str, Any]) -> tuple[PredictPlan, dict[str, Any]]:
    """The settings of the prediction, and those that are left for the decoder."""
    of_plan = {name: values.pop(name) for name in PredictPlan.model_fields if name in values}
    try:
        return PredictPlan.model_validate(of_plan), values
    except ValidationError as error:
        raise InvalidInput(*explain(error, "the settings of predict")) from error
