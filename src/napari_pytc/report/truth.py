"""Scores of the current segmentation against a truth, for the report."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from napari_pytc.annotations.importing import source_notes
from napari_pytc.annotations.label_pair import comparable, pair_labels
from napari_pytc.geometry import Box
from napari_pytc.labels.segments_view import SegmentsView
from napari_pytc.metrics import evaluate_instances, evaluate_skeletons
from napari_pytc.session.session import Session
from napari_pytc.skeletons.swc import read_skeletons, swc_files
from napari_pytc.skeletons.teasar import skeletonise_segments
from napari_pytc.skeletons.units import SUFFIX
from napari_pytc.volumes.opening import open_labels


def compare_with_truth(
    session: Session, truth: str, on_progress: Callable[[int, int], object] = lambda done, total: None
) -> dict[str, Any]:
    """Judge the current segmentation, with the edits that are on the disk.

    Parameters
    ----------
    truth : str
        Labels of true objects, as a path with a dataset after a colon where it needs one; an SWC file, or a folder of
        them.
    on_progress : callable
        Called with the number of steps done and their total, anew for each of the comparisons.

    Returns
    -------
    dict
        ``truth``, ``segmentation``, ``skeletons`` as of `evaluate_skeletons`, and of labels ``instances`` as of
        `evaluate_instances`; ``notes`` are those on the files.

    Raises
    ------
    PytcError
        If there is no segmentation, the truth cannot be read, or the two cannot be compared.
    """

    def report(done: int, total: int) -> None:
        on_progress(done, total)

    folder = session.segmentations.resolve(None)
    view = SegmentsView.open(folder)
    found: dict[str, Any] = {"truth": truth, "segmentation": folder.name}
    path = Path(truth).expanduser()
    if path.suffix.lower() == SUFFIX or (path.is_dir() and swc_files(path)):
        skeletons, notes = read_skeletons(path, view.space)
        whole = Box.of_shape(view.shape)
        of_skeletons = evaluate_skeletons(comparable(view), skeletons, view.space, whole, report=report)
        return found | {"skeletons": of_skeletons, "notes": notes}
    labels = open_labels(truth)
    pair = pair_labels(view, labels, classes=False)
    space = labels.space if labels.space.known else view.space
    instances = evaluate_instances(pair.predicted, pair.truth, None, pair.box, report)
    made = list(skeletonise_segments(pair.truth, space, pair.box, report=report))
    of_skeletons = evaluate_skeletons(pair.predicted, made, space, pair.box, report=report)
    notes = list(dict.fromkeys([*source_notes(labels), *pair.notes]))
    return found | {"instances": instances, "skeletons": of_skeletons, "notes": notes}
