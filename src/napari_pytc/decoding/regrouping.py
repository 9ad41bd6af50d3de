"""Grouping the supervoxels of a finished segmentation anew, with other settings; no voxel changes."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from napari_pytc.decoding.base import DecoderSettings
from napari_pytc.decoding.notes import DecodingNotes, is_on_grouping, unused_sizes
from napari_pytc.errors import InvalidInput
from napari_pytc.labels.segmentation import IMPORTED, Segmentation, SegmentationRecord, replace_segments


def repartition(folder: Path, decoder: DecoderSettings) -> SegmentationRecord:
    """Group the supervoxels of a segmentation without edits anew, with other settings; returns its record.

    Raises
    ------
    InvalidInput
        If the decoder is not one that groups supervoxels, or groups others than those.
    """
    segmentation = Segmentation.open(folder)
    check_repartition(segmentation.record, decoder)
    segments, notes = group_again(segmentation, decoder)
    return replace_segments(folder, segments, decoder.model_dump(mode="json"), notes)


def group_again(segmentation: Segmentation, decoder: DecoderSettings) -> tuple[np.ndarray, tuple[str, ...]]:
    """The segments that a decoder makes of a segmentation's supervoxels; changes nothing.

    Returns
    -------
    segments : ndarray of uint32, shape (n + 1,)
        The segment of each supervoxel.
    notes : tuple of str
        The segmentation's notes, those on the sizes of segments renewed. Notes on what is no part of a supervoxel stay:
        grouping does not bring it back.
    """
    shape = segmentation.shape if segmentation.record.box is None else segmentation.record.box.shape
    graph, sizes, space = segmentation.graph, segmentation.sizes, segmentation.space
    fitted = decoder.fitted(shape, space)
    groups = fitted.group(graph, sizes, space)
    segments = np.asarray(fitted.join_small(groups, graph, sizes, space), np.uint32)
    kept = [note for note in segmentation.record.notes if not is_on_grouping(note)]
    joined = DecodingNotes(decoder, shape, space).on_joined(groups, segments)
    return segments, (*kept, *unused_sizes(_changed(decoder), shape[0]), *joined)


def check_decoded(record: SegmentationRecord) -> None:
    """Raise `InvalidInput` if a segmentation was imported, so that no decoder made its supervoxels."""
    if record.decoder.get("kind") == IMPORTED:
        raise InvalidInput(
            f"The segmentation {record.id} was imported from another program: its supervoxels are the parts of the "
            "file's ids, which no threshold groups.",
            "Merge and split its segments (the Proofread panel, napari-pytc proofread), or segment a prediction.",
        )


def check_repartition(record: SegmentationRecord, decoder: DecoderSettings) -> None:
    """Raise `InvalidInput` if a segmentation's supervoxels are not those of a decoder that groups them."""
    check_decoded(record)
    before = record.decoder.get("kind", "")
    if decoder.slider is None or getattr(DecoderSettings.variants().get(before), "slider", None) is None:
        raise InvalidInput(
            f"Only the supervoxels of agglomeration and multicut can be grouped again, got those of "
            f"{before or 'an unknown decoder'} and {decoder.kind}.",
            "Segment again.",
        )


def _changed(decoder: DecoderSettings) -> dict[str, object]:
    """The settings that differ from their defaults."""
    fields = type(decoder).model_fields
    return {name: value for name, value in decoder if value != fields[name].default}
