"""Merge and split by one gesture: one colour joins, several cut."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING

from napari_pytc.errors import InvalidEdit
from napari_pytc.geometry import Voxel
from napari_pytc.proofreading.cuts.seeds import Seeds, segment_under, supervoxels_at
from napari_pytc.proofreading.edits import Merge
from napari_pytc.proofreading.edits.split import Split

if TYPE_CHECKING:
    from napari_pytc.proofreading.document import LabelDocument


def edit_of(document: LabelDocument, strokes: Mapping[int, Iterable[Voxel]]) -> Merge | Split:
    """The merge or split that strokes or clicks describe.

    Parameters
    ----------
    strokes : mapping
        Voxels (z, y, x) by colour, from 1. Of one colour: the segments they lie in become one. Of several: the one
        segment that all of them mark is cut; what lies elsewhere is left out.

    Raises
    ------
    InvalidEdit
        If they mean neither: why, in one sentence.
    """
    seeds = Seeds.of(strokes, document.shape)
    if not len(seeds):
        raise InvalidEdit("Nothing is marked.", "Click on segments or draw through them.")
    if len(seeds.used) == 1:
        return _merge(document, seeds)
    segment_under(document, seeds)
    marked = {colour: tuple(map(tuple, seeds.voxels[seeds.colours == colour].tolist())) for colour in seeds.used}
    return Split(seeds=marked)


def _merge(document: LabelDocument, seeds: Seeds) -> Merge:
    found = document.lookup(supervoxels_at(document, seeds.voxels)).tolist()
    segments = tuple(dict.fromkeys(segment for segment in found if segment))
    if not segments:
        raise InvalidEdit("There is no segment under the stroke.", "Draw it through segments.")
    if len(segments) == 1:
        raise InvalidEdit(
            f"The stroke lies in segment {segments[0]} alone.",
            "Draw it into another segment to join them, or add a second colour to cut it.",
        )
    return Merge(segments=segments)
