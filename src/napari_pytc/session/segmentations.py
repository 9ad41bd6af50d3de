"""Segmentations of a project: how they are made, which one is current, and the objects to learn from."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from psygnal import Signal

from napari_pytc.geometry import Box
from napari_pytc.session.core import SessionCore
from napari_pytc.session.records import PredictionRecord, SegmentationInfo

if TYPE_CHECKING:
    from napari_pytc.annotations.importing import LabelReader, Report
    from napari_pytc.decoding.base import AnyDecoder
    from napari_pytc.decoding.jobs import SegmentJob
    from napari_pytc.session.proofreading import Proofreader


class Segmenting(SessionCore):
    """The part of a session that makes segmentations and chooses among them."""

    segmentations_changed = Signal()
    """One came, went or became current; emitted by the thread that did it: connect with ``thread="main"``."""
    objects_changed = Signal(Box)
    """Objects to learn from were added."""

    def proofreader(self) -> Proofreader:
        """The current segmentation and the journal; opened when first asked for, one a session, any thread."""

    def segment_job(
        self,
        decoder: AnyDecoder | str | None = None,
        prediction: str | Path | PredictionRecord | None = None,
        boundary_class: str | None = None,
        mask_class: str | None = None,
        mask_prediction: str | Path | PredictionRecord | None = None,
        box: Box | None = None,
        workers: int = 1,
        settings: dict[str, Any] | None = None,
    ) -> SegmentJob:
        """Describe a segmentation of a prediction, by default the newest one that is finished.

        The same work that was cut short is gone on with. When the job finishes its result becomes current.

        Parameters
        ----------
        decoder : AnyDecoder or str, optional
            Settings, or the name of a kind with `settings`; by default what the prediction's model names, else what
            fits the prediction.
        boundary_class : str, optional
            Class of the prediction that stands for boundaries, where it has neither affinities nor a boundary.
        mask_class : str, optional
            Class inside of which there are objects at all; of `mask_prediction`, by default the same prediction.
        """

    def preview_job(self, box: Box, **choices: Any) -> SegmentJob:
        """Describe a segmentation of a small box into ``segments/.preview``; parameters as in `segment_job`.

        `run` starts it without recording it, and nothing becomes current. Each has a folder of its own (the job's
        `output`); it is swept away when the project is opened next, or by `discard_preview`.
        """

    def discard_preview(self, folder: Path) -> None:
        """Delete a preview; any thread."""

    def segmentations(self) -> list[SegmentationInfo]:
        """The project's complete segmentations, the oldest first; any thread."""

    def activate_segmentation(self, id: str) -> None:
        """Make a segmentation current, as an entry of the journal; edits of the former stay and come back by undo."""

    def delete_segmentation(self, id: str) -> None:
        """Delete a segmentation with its edits. `empty_trash` gives the disk its room back."""

    def annotate_objects(
        self,
        labels: np.ndarray | LabelReader,
        offset: Sequence[int] = (0, 0, 0),
        dense: bool = False,
        report: Report | None = None,
    ) -> dict[str, int]:
        """Add objects to learn from, block by block: every id is an object.

        Parameters
        ----------
        labels : ndarray or VolumeSource
            Integers: 0 = not annotated, or with `dense` 0 = no object is here.

        Returns
        -------
        dict
            ``{"objects": number of ids, "voxels": ..., "background": ...}`` of what was added.
        """
