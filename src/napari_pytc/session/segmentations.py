"""Segmentations of a project: how they are made, and which one is current."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from psygnal import Signal

from napari_pytc.errors import ProjectError, PytcError
from napari_pytc.labels.segmentation import read_record
from napari_pytc.session.core import SessionCore
from napari_pytc.session.opening import OpenedProject
from napari_pytc.session.records import SegmentationInfo
from napari_pytc.session.segment_jobs import SegmentationFolders, checked_decoder

if TYPE_CHECKING:
    from napari_pytc.decoding.jobs import SegmentJob


class Segmenting(SessionCore):
    """The part of a session that keeps segmentations."""

    segmentations_changed = Signal()
    """One came, went or became current; emitted by the thread that did it: connect with ``thread="main"``."""

    def __init__(self, opened: OpenedProject) -> None:
        super().__init__(opened)
        self.segmentation_folders = SegmentationFolders(self._folder)
        self._proofreader.switched.connect(self._on_switched)

    def segmentations(self) -> list[SegmentationInfo]:
        """The project's complete segmentations, the oldest first; any thread. Damaged ones have a `problem`."""
        current = self._proofreader.segmentation
        found = []
        for place in self._folder.segments.iterdir() if self._folder.segments.is_dir() else ():
            if place.name.startswith(".") or not (place / "segmentation.json").is_file():
                continue
            found.append(_info(place, place.name == current))
        return sorted(found, key=lambda info: (info.created, info.id))

    def segmentation_folder(self, id: str | None = None) -> Path:
        """The folder of a segmentation named by its id or the beginning of one; by default the current one.

        Raises
        ------
        ProjectError
            If there is none, or several.
        """
        known = self.segmentations()
        if id is None:
            chosen = [info.folder for info in known if info.active]
            if not chosen:
                raise ProjectError(
                    "The project has no segmentation yet." if not known else "No segmentation is current.",
                    "Make one: napari-pytc segment PROJECT." if not known else "Activate one in the panel Segment.",
                )
            return chosen[0]
        found = [info.folder for info in known if info.id == id]
        found = found or [info.folder for info in known if info.id.startswith(id)]
        if len(found) == 1:
            return found[0]
        listed = ", ".join(info.id for info in known) or "none"
        raise ProjectError(
            f"{'Several segmentations begin with' if found else 'The project has no segmentation'} {id!r}; there are: "
            f"{listed}.",
            "Give the id of one of them.",
        )

    def activate_segmentation(self, id: str) -> None:
        """Make a segmentation current, as an entry of the journal; edits of the former stay and come back by undo."""
        self._check_changeable()
        place = self.segmentation_folder(id)
        read_record(place)
        self._proofreader.switch(place.name)

    def regroup_segmentation(self, id: str, settings: dict[str, Any]) -> SegmentationInfo:
        """Group the supervoxels of a segmentation anew, which touches no voxel; any thread.

        Parameters
        ----------
        settings : dict
            Settings of its decoder to change, such as the threshold of an agglomeration; or another decoder's with its
            ``kind``.

        Raises
        ------
        ProjectError
            If it has edits, which are of the segments it has now.
        InvalidInput
            If its supervoxels were not made to be grouped, or a setting is wrong.
        """
        from napari_pytc.decoding.blockwise import check_repartition, repartition

        self._check_changeable()
        place = self.segmentation_folder(id)
        if self._proofreader.has_edits(place.name):
            raise ProjectError(
                f"The segmentation {place.name} has edits, which another grouping would make void.",
                "Segment again with these settings: it becomes a segmentation of its own.",
            )
        record = read_record(place)
        decoder = checked_decoder(record.decoder | settings if "kind" not in settings else settings)
        check_repartition(record, decoder)
        self._proofreader.reopen(lambda: repartition(place, decoder))
        self.segmentations_changed.emit()
        return _info(place, self._proofreader.segmentation == place.name)

    def delete_segmentation(self, id: str) -> None:
        """Delete a segmentation with its edits; where it is the current one, none is afterwards.

        `empty_trash` gives the disk its room back.
        """
        self.check_writable()
        place = self.segmentation_folder(id)
        self._check_unused(place, "segmentation")
        if self._proofreader.segmentation == place.name:
            self._proofreader.switch(None)
        self.segmentation_folders.discard(place.name)
        self.segmentations_changed.emit()

    def discard_segmentation(self, job: SegmentJob) -> None:
        """Give up an unfinished segmentation, or delete a preview. `empty_trash` gives the disk its room back."""
        self._check_changeable()
        self._check_unused(job.output, "segmentation")
        if self._folder.previews in job.output.parents:
            self._folder.discard(job.output)
        else:
            self.segmentation_folders.discard(job.output.name)

    def take_segmentation(self, id: str, is_current: bool = True) -> None:
        """Take in a segmentation that was just finished, and make it the current one; any thread."""
        self.segmentation_folders.end(id)
        if not self._is_closed:
            if is_current:
                self._proofreader.switch(id)
            else:
                self.segmentations_changed.emit()

    def flush_edits(self) -> None:
        """Write all edits where other processes find them; any thread. Nothing to do where there are none."""
        self._proofreader.flush()

    def _check_unused(self, folder: Path, what: str) -> None:
        """Raise while a job needs a folder."""
        raise NotImplementedError

    def _on_switched(self, segmentation: str | None) -> None:
        self.segmentations_changed.emit()


def _info(place: Path, active: bool) -> SegmentationInfo:
    known: dict[str, Any] = {"id": place.name, "folder": place, "active": active}
    try:
        record = read_record(place)
    except PytcError as error:
        return SegmentationInfo(**known, problem=str(error))
    return SegmentationInfo(
        **known,
        created=record.created.isoformat(timespec="seconds"),
        box=record.box,
        decoder=record.decoder,
        prediction=_name_of(record.prediction),
        n_supervoxels=record.n_supervoxels,
        n_segments=record.n_segments,
        seconds=record.seconds,
    )


def _name_of(prediction: str) -> str:
    """The id of a prediction that lies in a project, or its path."""
    path = Path(prediction)
    return path.stem if path.parent.name == "predictions" else prediction
