"""Description of a tuning: which decoders, which of their settings, and where today's defaults come from."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from pydantic import ValidationError

from napari_pytc.decoding.base import DecoderSettings
from napari_pytc.decoding.describe import checked_decoder, choose_decoder
from napari_pytc.decoding.evidence import EvidenceReader, MaskSettings
from napari_pytc.errors import InvalidInput
from napari_pytc.geometry import Box
from napari_pytc.plans.recipe_checks import explain
from napari_pytc.tuning.jobs import TuneJob
from napari_pytc.tuning.scores import ScoreName
from napari_pytc.tuning.search_space import DecoderSpace, space_of
from napari_pytc.tuning.truth import AnyTruth

_RANGE = re.compile(r"^(?P<name>\w+)=(?P<low>[-+.\deE]+):(?P<high>[-+.\deE]+)$")
_N_DIGITS = 10


@dataclass(frozen=True)
class TuneRequest:
    """What a user wants tuned, and how.

    Parameters
    ----------
    decoders : sequence of str
        Kinds of decoders; by default the one that a segmentation would take.
    fixed : mapping
        Settings that are not tried, with their values.
    ranges : mapping
        Lowest and highest number of settings.
    score : str
        What is improved; auto: what suits the truth.
    trials, timeout_s, seed
        As of `TuneJob`.
    box : Box, optional
        Score here only.
    """

    decoders: Sequence[str] = ()
    fixed: Mapping[str, Any] = field(default_factory=dict)
    ranges: Mapping[str, tuple[float, float]] = field(default_factory=dict)
    score: ScoreName | Literal["auto"] = "auto"
    trials: int = 40
    timeout_s: float | None = None
    seed: int = 0
    box: Box | None = None


def split_words(words: Sequence[str]) -> tuple[list[str], dict[str, tuple[float, float]]]:
    """The words that fix a setting, ``name=value``, and the ranges, ``name=low:high``.

    Raises
    ------
    InvalidInput
        If a range is of no numbers, or a setting has two.
    """
    fixed, ranges = [], dict[str, tuple[float, float]]()
    for word in words:
        found = _RANGE.match(word)
        if found is None:
            fixed.append(word)
            continue
        name = found["name"]
        try:
            low, high = float(found["low"]), float(found["high"])
        except ValueError as error:
            raise InvalidInput(f"A range is two numbers, name=low:high, got {word!r}.") from error
        if name in ranges:
            raise InvalidInput(f"The setting {name} has two ranges.", "Give it one.")
        ranges[name] = (low, high)
    return fixed, ranges


def describe_tuning(
    prediction: Path,
    folder: Path,
    truth: AnyTruth,
    request: TuneRequest,
    model: Path | None = None,
    boundary_class: str | None = None,
    mask: MaskSettings | None = None,
    **fields: Any,
) -> TuneJob:
    """Describe a tuning; everything that can be wrong with it and needs no voxel is found here.

    Parameters
    ----------
    folder : Path
        Where the record and the study will lie; their names tell studies of other work apart.
    model : Path, optional
        Folder of the prediction's model.
    fields : dict
        Other fields of `TuneJob`: predicted, voxel_size_nm, stamp, truth_name, notes.

    Raises
    ------
    InvalidInput
        If a decoder, a setting or a range does not fit.
    """
    default, spaces, notes = _decoders(prediction, request, model, boundary_class)
    first = choose_decoder(prediction, spaces[0].kind, {}, model, boundary_class)
    draft = {
        "prediction": prediction,
        "boundary_class": boundary_class if boundary_class is not None else first.boundary_class,
        "mask": mask,
        "truth": truth,
        "box": request.box,
        "default": default,
        "spaces": spaces,
        "score": request.score,
        "seed": request.seed,
        "trials": request.trials,
        "timeout_s": request.timeout_s,
        "output": folder / "draft.json",
    }
    notes = (*notes, *fields.pop("notes", ()))
    try:
        job = TuneJob(**draft, notes=notes, **fields)
    except ValidationError as error:
        raise InvalidInput(*explain(error, "the tuning")) from error
    kind = job.reader().kind
    for decoder in (default, *(space.decoder({}) for space in spaces)):
        decoder.check(kind)
    name = "-".join([*(space.kind for space in spaces[:2]), job.work_digest()[:_N_DIGITS]])
    return job.model_copy(update={"output": folder / f"{name}.json"})


def _decoders(
    prediction: Path, request: TuneRequest, model: Path | None, boundary_class: str | None
) -> tuple[DecoderSettings, tuple[DecoderSpace, ...], tuple[str, ...]]:
    """Today's default decoder, those that are tried, and notes."""
    is_flat = _is_flat(prediction)
    fixed, ranges = dict(request.fixed), dict(request.ranges)
    both = sorted(set(fixed) & set(ranges))
    if both:
        raise InvalidInput(f"The setting {both[0]} is fixed and has a range.", "Give it one of them.")
    needed = {name: fixed[name] for name in ("object_class",) if name in fixed}
    kinds: list[str | None] = list(dict.fromkeys(request.decoders)) or [None]
    chosen = [choose_decoder(prediction, kind, needed, model, boundary_class) for kind in kinds]
    evidence = EvidenceReader.open(prediction, boundary_class or chosen[0].boundary_class).kind
    spaces, used = [], set[str]()
    for one in chosen:
        known = type(checked_decoder(one.content | needed)).model_fields
        own = {name: value for name, value in fixed.items() if name in known or len(chosen) == 1}
        of_it = {name: ends for name, ends in ranges.items() if name in known or len(chosen) == 1}
        used |= {*own, *of_it}
        decoder = checked_decoder(one.content | own)
        useless = decoder.without_effect(evidence) - set(of_it)
        spaces.append(space_of(decoder, is_flat, (*own, *sorted(useless)), of_it))
    unknown = sorted({*fixed, *ranges} - used)
    if unknown:
        raise InvalidInput(
            f"None of the decoders {', '.join(space.kind for space in spaces)} has a setting {unknown[0]!r}.",
            "See the page Settings of the documentation for the names.",
        )
    empty = [space.kind for space in spaces if not space.tuned]
    if len(empty) == len(spaces):
        raise InvalidInput("There is nothing to try: every setting is fixed.", "Fix fewer, or give one a range.")
    try:
        default = choose_decoder(prediction, None, needed, model, boundary_class)
        return checked_decoder(default.content | needed), tuple(spaces), default.notes
    except InvalidInput:  # a segmentation would ask for more: what is named is then the default
        first = checked_decoder(chosen[0].content | needed)
        return first, tuple(spaces), chosen[0].notes


def _is_flat(prediction: Path) -> bool:
    from napari_pytc.volumes.zarr_output import open_ome_zarr

    return open_ome_zarr(prediction).shape[0] == 1


def settings_to_give(prediction: Path, settings: Mapping[str, Any], model: Path | None = None) -> dict[str, Any]:
    """The settings of a decoder that a segmentation of its kind does not take by itself.

    Parameters
    ----------
    settings : mapping
        All settings, with the kind.
    model : Path, optional
        Folder of the prediction's model.
    """
    base = checked_decoder(choose_decoder(prediction, str(settings["kind"]), {}, model).content)
    usual = base.model_dump(mode="json")
    return {name: value for name, value in settings.items() if value != usual.get(name)}
