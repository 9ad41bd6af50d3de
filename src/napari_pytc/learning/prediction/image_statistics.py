"""The normalisation of an image by the statistics of its channels outside of held-out boxes."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

from napari_pytc.errors import ModelError
from napari_pytc.geometry import Box
from napari_pytc.plans.normalisation import ImageNormalisation, Normalisation, NormalisationSettings, is_constant
from napari_pytc.volumes.image import channel_titles
from napari_pytc.volumes.resampling import stored_dtype
from napari_pytc.volumes.source import ImageSource, VolumeSource
from napari_pytc.volumes.statistics import IntensityStatistics, padding_note, sample_statistics

MANY_BLOCKS = 1024
"""Blocks that are looked at where a usual sample of a channel is of one value: mostly padding, or sparse tissue."""


def volume_normalisation(
    image: ImageSource,
    hidden: Sequence[Box],
    painted: Sequence[Box],
    settings: NormalisationSettings,
    title: str = "the volume",
) -> tuple[ImageNormalisation, list[str]]:
    """The normalisation of an image by its intensities outside of hidden boxes, and notes for the user.

    A channel that is the same wherever it was sampled is 0 for the network, where another one is not.

    Parameters
    ----------
    hidden : sequence of Box
        Boxes that are not looked at.
    painted : sequence of Box
        Where labels to learn from are: a channel that is mostly padding is sampled there.
    settings : NormalisationSettings
        How intensities are scaled.
    title : str
        The volume in a sentence.

    Raises
    ------
    VolumeError
        If the hidden boxes leave no voxel.
    ModelError
        If a channel holds no finite number, or all are constant.
    """
    titles = channels_in_sentences(image, title)
    each = [_statistics(channel, hidden, painted, settings) for channel in image.channels]
    are_constant = [is_constant(statistics) for statistics in each]
    found, notes = [], []
    for channel, where, statistics, is_flat in zip(image.channels, titles, each, are_constant, strict=True):
        if is_flat and not all(are_constant):
            found.append(Normalisation.of_constant(statistics.mean))
            notes.append(
                f"{where[0].upper()}{where[1:]} is {statistics.mean:g} wherever it was sampled: nothing is learnt from "
                "it, and it is 0 for the network."
            )
            continue
        normalisation, further = _channel_normalisation(channel, statistics, settings, where)
        found.append(normalisation)
        notes += further
    return ImageNormalisation.of(found), notes


def input_names(image: ImageSource) -> tuple[str, ...]:
    """Names of an image's channels, for a model of several; none where there is one."""
    return channel_titles(image) if image.n_channels > 1 else ()


def channels_in_sentences(image: ImageSource, title: str) -> list[str]:
    """Each channel in a sentence: "the volume", where there is one, else "the channel 'DAPI' of the volume"."""
    if image.n_channels == 1:
        return [title]
    return [f"the channel {name!r} of {title}" for name in channel_titles(image)]


def _statistics(
    channel: VolumeSource, hidden: Sequence[Box], painted: Sequence[Box], settings: NormalisationSettings
) -> IntensityStatistics:
    sample = partial(sample_statistics, channel, exclude=hidden, skip_padding=True, percentiles=settings.percentiles)
    statistics = sample()
    if statistics.minimum == statistics.maximum and painted:  # mostly padding: tissue is where the labels are
        statistics = sample(blocks=painted)
    if statistics.minimum == statistics.maximum:
        statistics = sample(n_blocks=MANY_BLOCKS)
    return statistics


def _channel_normalisation(
    channel: VolumeSource, statistics: IntensityStatistics, settings: NormalisationSettings, where: str
) -> tuple[Normalisation, list[str]]:
    notes = []
    if statistics.n_nonfinite:
        image = "The image" if where == "the volume" else f"The image of {where}"
        notes.append(f"{image} holds voxels that are not finite numbers; they count as the mean intensity.")
    if sentence := padding_note(statistics, where):
        notes.append(sentence)
    try:
        return Normalisation.from_statistics(statistics, settings, stored_dtype(channel)), notes
    except ModelError as error:
        if where.startswith("the channel"):
            raise ModelError(f"{where[0].upper()}{where[1:]}: {error.message}", error.hint) from error
        raise
