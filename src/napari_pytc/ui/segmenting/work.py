"""What the Segment panel's buttons do."""

from __future__ import annotations

from typing import TYPE_CHECKING

from napari_pytc.errors import PytcError
from napari_pytc.ui.segmenting.choices import SegmentChoices

if TYPE_CHECKING:
    from napari_pytc.decoding.base import DecoderSettings
    from napari_pytc.decoding.jobs import SegmentJob
    from napari_pytc.geometry import Box
    from napari_pytc.session.records import SegmentationInfo
    from napari_pytc.session.session import Session
    from napari_pytc.ui.workspace import Workspace


def segment(workspace: Workspace, choices: SegmentChoices, box: Box | None) -> None:
    """Segment a box or everything; one that was cut short is gone on with."""
    where = "the volume" if box is None else "the box"
    workspace.start_job(
        "segment", f"Segment {where}", lambda session: session.segment_job(box=box, **choices.arguments())
    )


def go_on(workspace: Workspace, job: SegmentJob) -> None:
    """Go on with a segmentation that was cancelled or cut short; its finished blocks are kept."""
    where = "the volume" if job.box is None else "the box"
    workspace.start_job("segment", f"Segment {where} (resumed)", lambda session: job)


def activate(workspace: Workspace, segmentation: str) -> None:
    """Make a segmentation the current one, off the window's thread."""
    session = workspace.session
    if session is not None:
        workspace.segments.do(lambda proofreader: session.activate_segmentation(segmentation))


def keep_regrouped(workspace: Workspace, decoder: DecoderSettings) -> None:
    """Group the current segmentation's supervoxels anew, as a new segmentation, off the window's thread."""
    session, document = workspace.session, workspace.segments.document
    if session is None or document is None:
        return
    from napari_pytc.session.regrouping import regroup

    workspace.segments.do(lambda proofreader: regroup(session, document.id, decoder))


def delete(workspace: Workspace, info: SegmentationInfo) -> None:
    """Delete a segmentation from the disk."""
    session = workspace.session
    if session is None:
        return
    workspace.attempt(lambda: session.delete_segmentation(info.id))
    workspace.background.run(session.empty_trash)


def look_up(session: Session) -> tuple[list[SegmentationInfo], list[SegmentJob]]:
    """The segmentations of a project and those that are not finished; asks the disk, so not in the window's thread."""
    return session.segmentations(), session.unfinished_segmentations()


def discard(session: Session, job: SegmentJob) -> None:
    """Delete a preview from the disk; any thread. Nothing is said where that fails: it is swept away later."""
    try:
        session.discard_segmentation(job)
    except PytcError:
        return
    session.empty_trash()
