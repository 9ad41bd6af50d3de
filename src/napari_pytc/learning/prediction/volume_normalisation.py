"""The normalisation of a volume at prediction."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import Any, Literal

from pydantic import ValidationError

from napari_pytc.errors import ModelError, VolumeError
from napari_pytc.learning.prediction.image_statistics import MANY_BLOCKS, channels_in_sentences
from napari_pytc.learning.prediction.model import TrainedModel
from napari_pytc.plans.normalisation import ImageNormalisation, Normalisation, NormalisationSettings
from napari_pytc.volumes.resampling import stored_dtype
from napari_pytc.volumes.source import ImageSource, VolumeSource
from napari_pytc.volumes.statistics import IntensityStatistics, padding_note, sample_statistics

Setting = Literal["own", "training"]

_ALIKE = 0.1
"""Relative difference of mean and spread up to which an older model's normalisation counts as the volume's own."""
_FAR = 1.0
"""Standard deviations by which brightness, or the usual range, may differ from those of the training."""
_MUCH_CONTRAST = 2.0
_CHANNELS = "channels"


@dataclass(frozen=True)
class VolumeNormalisation:
    """A normalisation, the setting by which it was chosen, and notes for the user."""

    setting: Setting
    normalisation: ImageNormalisation
    notes: tuple[str, ...] = ()

    @property
    def attributes(self) -> dict[str, Any]:
        """JSON for the attributes of a prediction, from which `stored_normalisation` reads it."""
        written = self.normalisation.model_dump(mode="json")
        values = written if isinstance(written, dict) else {_CHANNELS: written}
        return {"setting": self.setting, "notes": list(self.notes), **values}


def stored_normalisation(content: Any) -> VolumeNormalisation | None:
    """The normalisation that the attributes of a prediction hold; None where there is none."""
    if not isinstance(content, dict) or content.get("setting") not in ("own", "training"):
        return None
    values = {name: value for name, value in content.items() if name not in ("setting", "notes")}
    try:
        found = ImageNormalisation.model_validate(values.get(_CHANNELS, values))
    except ValidationError as error:
        raise VolumeError("The normalisation of the prediction cannot be read.", "Predict again.") from error
    return VolumeNormalisation(content["setting"], found, tuple(str(note) for note in content.get("notes", ())))


def choose_normalisation(
    setting: Setting, model: TrainedModel, volume: ImageSource, digest: str
) -> VolumeNormalisation:
    """The normalisation of a volume for a model, a channel on its own.

    An image that the model learnt from is normalised as in its training. Statistics are always of the whole volume, so
    that a box of it is predicted as in a prediction of everything.

    Parameters
    ----------
    setting : str
        ``"own"`` for the volume's own statistics, ``"training"`` for those of the training.
    volume : ImageSource
        As the network sees it, resampled or not.
    digest : str
        Digest of its image's fingerprint.
    """
    known, training = model.normalisation_of(digest), model.normalisation
    if known is not None:
        return VolumeNormalisation(setting, known)
    titles = channels_in_sentences(volume, "the volume")
    parts = list(zip(volume.channels, training.channels, titles, strict=True))
    if model.info.origin is not None:
        return _of_imported(setting, model, parts)
    unlearnt = model.unlearnt_channels
    if setting == "training":
        notes = [
            _unlearnt_note(of_training, title) if number in unlearnt else _training_note(channel, of_training, title)
            for number, (channel, of_training, title) in enumerate(parts)
        ]
        return VolumeNormalisation(setting, training, tuple(note for note in notes if note))
    # Older models did not note their volumes, and counted padding.
    if not model.info.volumes and all(_are_alike(sample_statistics(channel), one) for channel, one, _ in parts):
        return VolumeNormalisation(setting, training)
    settings = model.info.plan.normalisation
    found = [
        (of_training, (_unlearnt_note(of_training, title),))
        if number in unlearnt
        else _own_normalisation(channel, of_training, settings, title)
        for number, (channel, of_training, title) in enumerate(parts)
    ]
    own = ImageNormalisation.of([normalisation for normalisation, _ in found])
    return VolumeNormalisation(setting, own, tuple(note for _, notes in found for note in notes))


def _of_imported(
    setting: Setting, model: TrainedModel, parts: list[tuple[VolumeSource, Normalisation, str]]
) -> VolumeNormalisation:
    """The volume's own: nobody knows the statistics of the training, with which it could be compared."""
    settings = model.info.plan.normalisation
    if setting == "training":
        raise ModelError(
            f"The model {model.info.name} was imported: the intensities that it was trained on are not known.",
            "Leave normalisation=own.",
        )
    found = [_own_normalisation(channel, None, settings, title) for channel, _, title in parts]
    own = ImageNormalisation.of([normalisation for normalisation, _ in found])
    return VolumeNormalisation(setting, own, tuple(note for _, notes in found for note in notes))


def _own_normalisation(
    channel: VolumeSource, training: Normalisation | None, settings: NormalisationSettings, title: str
) -> tuple[Normalisation, tuple[str, ...]]:
    """The normalisation of a channel by its own statistics, and notes for the user."""
    sample = partial(sample_statistics, channel, skip_padding=True, percentiles=settings.percentiles)
    statistics = sample()
    if statistics.minimum == statistics.maximum:  # mostly padding
        statistics = sample(n_blocks=MANY_BLOCKS)
    try:
        own = Normalisation.from_statistics(statistics, settings, stored_dtype(channel))
    except ModelError:
        if training is None:
            raise
        note = (
            f"{_image(title)} is {statistics.mean:g} wherever it was sampled, so that it has no statistics of its own; "
            "it is normalised by those of the training."
        )
        return training, (note,)
    notes = [padding_note(statistics, title)]
    if training is not None and not training.is_of_constant:
        notes.append(_distribution_note(own, training, title))
    return own, tuple(note for note in notes if note)


def _unlearnt_note(training: Normalisation, title: str) -> str:
    return (
        f"{_image(title)} is left out: it was {training.mean:g} everywhere in the training, so that the network learnt "
        "nothing from it. It is 0 for the network, as it was there."
    )


def _image(title: str) -> str:
    """The beginning of a sentence on a channel, or on the image that is the only one."""
    return "The image" if title == "the volume" else f"{title[0].upper()}{title[1:]}"


def _are_alike(statistics: IntensityStatistics, normalisation: Normalisation) -> bool:
    """Whether intensities are those that a normalisation was made for."""
    shift = abs(statistics.mean - normalisation.mean) / normalisation.std
    return shift <= _ALIKE and abs(statistics.std / normalisation.std - 1) <= _ALIKE


def _training_note(channel: VolumeSource, normalisation: Normalisation, title: str) -> str:
    """A note where intensities differ so much from those of the training that the model cannot be trusted; else ""."""
    if normalisation.is_of_constant:
        return (
            f"{_image(title)} was {normalisation.mean:g} everywhere in the volume of the training whose statistics are "
            "taken, so that it is 0 for the network here, which learnt it from other volumes: normalise the volume by "
            "its own statistics (normalisation=own)."
        )
    statistics = sample_statistics(channel, skip_padding=True)
    shift = abs(statistics.mean - normalisation.mean) / normalisation.std
    contrast = statistics.std / normalisation.std
    if shift <= _FAR and 1 / _MUCH_CONTRAST <= contrast <= _MUCH_CONTRAST:
        return ""
    where = "" if title == "the volume" else f" of {title}"
    return (
        f"The intensities{where} are {statistics.mean:.4g} +- {statistics.std:.4g}, those of the training were "
        f"{normalisation.mean:.4g} +- {normalisation.std:.4g}: the model cannot be trusted here unless the volume is "
        "normalised by its own statistics (normalisation=own)."
    )


def _distribution_note(own: Normalisation, training: Normalisation, title: str) -> str:
    """A note where the usual intensities lie otherwise around their mean than in the training; else ""."""
    ranges = [_usual_range(one) for one in (own, training)]
    if all(abs(a - b) <= _FAR for a, b in zip(*ranges, strict=True)):
        return ""
    texts = [f"{low:+.1f} to {high:+.1f}" for low, high in ranges]
    where = "" if title == "the volume" else f" of {title}"
    return (
        f"The intensities{where} are distributed otherwise than in the training (from {texts[0]} standard deviations "
        f"around the mean, there {texts[1]}): the image may be of another kind. Look at a part of the prediction "
        "before you trust it."
    )


def _usual_range(normalisation: Normalisation) -> tuple[float, float]:
    """The usual range in standard deviations around the mean."""
    low, high = normalisation.usual_range
    return (low - normalisation.mean) / normalisation.std, (high - normalisation.mean) / normalisation.std
