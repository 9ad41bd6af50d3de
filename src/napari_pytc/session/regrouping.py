"""Regrouping: a new segmentation of the same supervoxels, which costs only its tables."""

from __future__ import annotations

import os
import shutil
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from napari_pytc.files import put_in_place, sync_folder, temporary_beside, write_text_durably
from napari_pytc.labels.segmentation import RECORD, Segmentation, count_segments
from napari_pytc.session.project.folder import disk_errors
from napari_pytc.session.project.ids import new_id, plain
from napari_pytc.session.segmentations import Segmentations

if TYPE_CHECKING:
    from napari_pytc.decoding.base import DecoderSettings

_TABLES = "segments.npy"
_OF_EDITS = shutil.ignore_patterns("edits*", "state*", RECORD, _TABLES)


def regroup(segmentations: Segmentations, id: str, decoder: DecoderSettings) -> str:
    """Group the supervoxels of a segmentation anew, as a new segmentation that becomes current; any thread.

    The old one keeps its edits, and undo brings it back. What both have in common lies on the disk once: the files are
    linked, where the file system can do that.

    Returns
    -------
    str
        The new segmentation's id.

    Raises
    ------
    InvalidInput
        If the decoder does not group supervoxels, or the segmentation was made by one that does not.
    ProjectError
        If the disk refuses.
    """
    from napari_pytc.decoding.regrouping import check_repartition, group_again

    began = time.perf_counter()
    source = Segmentation.open(segmentations.resolve(id))
    check_repartition(source.record, decoder)
    segments, notes = group_again(source, decoder)
    place = source.folder.parent
    now = datetime.now(UTC)
    name = new_id(f"{now:%Y%m%d-%H%M}-{plain(decoder.kind)}", lambda name: (place / name).exists())
    aside = temporary_beside(place / name)
    record = source.record.model_copy(
        update={
            "id": name,
            "created": now,
            "decoder": decoder.model_dump(mode="json"),
            "n_segments": count_segments(segments),
            "notes": notes,
            "seconds": round(time.perf_counter() - began, 3),
        }
    )
    try:
        with disk_errors(place / name, "The segmentation"):
            shutil.copytree(source.folder, aside, copy_function=_link, ignore=_OF_EDITS)
            np.save(aside / _TABLES, segments)
            write_text_durably(aside / RECORD, record.model_dump_json(indent=1))
            sync_folder(aside)
            put_in_place(aside, place / name)
    finally:
        shutil.rmtree(aside, ignore_errors=True)
    segmentations.take_in(name)
    return name


def _link(source: str, target: str) -> str:
    """Link a file: supervoxels and their graph are never rewritten, so both segmentations can share it."""
    try:
        os.link(source, target)
    except OSError:
        shutil.copy2(source, target)
    return str(Path(target))
