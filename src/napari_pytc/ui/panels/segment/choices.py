"""Settings of a segmentation, and the facts of a prediction that decide which settings are offered."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

from napari_pytc.errors import InvalidInput, PytcError

if TYPE_CHECKING:
    from napari_pytc.decoding.base import DecoderSettings
    from napari_pytc.decoding.evidence import EvidenceKind
    from napari_pytc.session.records import PredictionRecord
    from napari_pytc.session.session import Session

MaskMode = Literal["inside", "not_through"]
PREFERRED = (
    "agglomeration",
    "watershed",
    "bcd_watershed",
    "mutex_watershed",
    "affinity_components",
    "components",
    "multicut",
)
"""Decoders in the order in which they are offered where the model's recipe names none and they fit."""


@dataclass(frozen=True)
class MaskChoice:
    """A class of a prediction that restricts where objects are."""

    prediction: str
    name: str
    mode: MaskMode = "inside"


@dataclass(frozen=True)
class SegmentChoices:
    """All settings of a segmentation but its box.

    Parameters
    ----------
    prediction : str
        Id of the prediction.
    boundary_class : str, optional
        The class that stands for the boundary; by default one that is called so.
    """

    prediction: str
    decoder: DecoderSettings
    boundary_class: str | None = None
    mask: MaskChoice | None = None

    def arguments(self) -> dict[str, Any]:
        """The settings as arguments of `Jobs.segment_job`."""
        found: dict[str, Any] = {
            "decoder": self.decoder,
            "prediction": self.prediction,
            "boundary_class": self.boundary_class,
        }
        if self.mask is not None:
            found |= {
                "mask_prediction": self.mask.prediction,
                "mask_class": self.mask.name,
                "mask_mode": self.mask.mode,
            }
        return found

    def supervoxels(self) -> tuple[Any, ...]:
        """The settings that supervoxels depend on; two that agree in them only group supervoxels differently."""
        slider = self.decoder.slider
        rest = self.decoder.model_dump(exclude=set() if slider is None else {slider})
        return (self.prediction, self.boundary_class, self.mask, repr(rest))


@dataclass(frozen=True)
class PredictionFacts:
    """Facts of a prediction, read from its files.

    Parameters
    ----------
    kind : EvidenceKind
        Boundaries, affinities, distances, classes.
    decoders : tuple of (str, str)
        The kinds of decoders, those that fit first, each with why it does not fit; empty where it does.
    first : DecoderSettings
        The decoder to begin with: that of the model's recipe, else one that fits.
    is_flat : bool
        Whether the prediction is a single section.
    """

    prediction: PredictionRecord
    kind: EvidenceKind
    decoders: tuple[tuple[str, str], ...]
    first: DecoderSettings
    is_flat: bool = False


def read_facts(session: Session, prediction: PredictionRecord) -> PredictionFacts:
    """Read the facts of a prediction and its model; reads the disk, so not in the window's thread.

    Raises
    ------
    PytcError
        If the prediction cannot be read.
    """
    from napari_pytc.decoding.base import DecoderSettings
    from napari_pytc.decoding.describe import checked_decoder, choose_decoder, recipe_decoder
    from napari_pytc.decoding.evidence import EvidenceReader

    reader = EvidenceReader.open(prediction.folder)
    kind = reader.kind
    variants = DecoderSettings.variants()
    why_not = {name: misfit(model.model_validate({}), kind) for name, model in variants.items()}
    order = [name for name in PREFERRED if name in variants] + [name for name in variants if name not in PREFERRED]
    decoders = sorted(((name, why_not[name]) for name in order), key=lambda found: bool(found[1]))
    model = session.folder / "models" / prediction.model
    first = recipe_decoder(prediction.folder, model)
    if first is None or misfit(first, kind):
        try:
            first = checked_decoder(choose_decoder(prediction.folder, model=model).content)
        except PytcError:  # the user has to choose a class
            first = None
    if first is None or misfit(first, kind):
        first = variants[decoders[0][0]].model_validate({})
    return PredictionFacts(prediction, kind, tuple(decoders), first, reader.shape[0] == 1)


def misfit(decoder: DecoderSettings, kind: EvidenceKind) -> str:
    """Reason why a decoder cannot decode a prediction of this kind; empty if it can once a class is chosen.

    Where a prediction has classes but none is called like a boundary, the user picks the class in the panel: that is
    no misfit.
    """
    names = ("", *kind.object_names)
    reason = ""
    for name in names:
        for boundary in (None, *kind.class_names):
            try:
                decoder.model_copy(update={"object_class": name}).check(_with_boundary(kind, boundary))
            except InvalidInput as error:
                reason = reason or error.message
            else:
                return ""
    return reason


def _with_boundary(kind: EvidenceKind, name: str | None) -> EvidenceKind:
    from dataclasses import replace

    return kind if name is None else replace(kind, boundary_class=name)
