"""The segmentations of a volume, and which one is current."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from psygnal import Signal

from napari_pytc.errors import ProjectError, PytcError
from napari_pytc.labels.segmentation import read_record
from napari_pytc.session.project.volume_state import VolumeState
from napari_pytc.session.proofreading.proofreader import Proofreader
from napari_pytc.session.records import SegmentationInfo
from napari_pytc.session.runs.active_jobs import ActiveJobs
from napari_pytc.session.runs.segmentation_runs import SegmentationFolders

if TYPE_CHECKING:
    from napari_pytc.decoding.jobs import ImportSegmentationJob, SegmentJob


class Segmentations:
    """The segmentations of a volume; the current one is under the `Proofreader`.

    Parameters
    ----------
    folders : SegmentationFolders
        Folders of the segmentations, complete or not.
    """

    changed = Signal()
    """A segmentation was made, deleted or became current.

    Emitted by the thread that did it: connect with ``thread="main"``.
    """

    def __init__(
        self, state: VolumeState, folders: SegmentationFolders, proofreader: Proofreader, active: ActiveJobs
    ) -> None:
        self.folders = folders
        self._state, self._proofreader, self._active = state, proofreader, active
        proofreader.switched.connect(self._on_switched)

    def records(self) -> list[SegmentationInfo]:
        """The volume's complete segmentations, the oldest first; any thread. Damaged ones have a `problem`."""
        current = self._proofreader.segmentation
        found = []
        for place in self._state.folder.segments.iterdir() if self._state.folder.segments.is_dir() else ():
            if place.name.startswith(".") or not (place / "segmentation.json").is_file():
                continue
            found.append(_info(place, place.name == current, self._state.id))
        return sorted(found, key=lambda info: (info.created, info.id))

    def resolve(self, id: str | None = None) -> Path:
        """The folder of a segmentation named by its id or the beginning of one; by default the current one.

        Raises
        ------
        ProjectError
            If there is none, or several.
        """
        known = self.records()
        if id is None:
            chosen = [info.folder for info in known if info.active]
            if not chosen:
                raise ProjectError(
                    f"{self._state.owner} has no segmentation yet." if not known else "No segmentation is current.",
                    f"Make one: napari-pytc segment PROJECT{self._state.option}."
                    if not known
                    else "Activate one in the panel Segment.",
                )
            return chosen[0]
        found = [info.folder for info in known if info.id == id]
        found = found or [info.folder for info in known if info.id.startswith(id)]
        if len(found) == 1:
            return found[0]
        listed = ", ".join(info.id for info in known) or "none"
        raise ProjectError(
            f"{'Several segmentations begin with' if found else f'{self._state.owner} has no segmentation'} {id!r}; "
            f"there are: {listed}.",
            "Give the id of one of them.",
        )

    def unfinished(self) -> list[SegmentJob | ImportSegmentationJob]:
        """Segmentations that were cancelled or cut short, the latest first; run one again to go on with it."""
        return self.folders.unfinished(self._active.subjects(self._state.id))

    def activate(self, id: str) -> None:
        """Make a segmentation current, as an entry of the journal; edits of the former stay and come back by undo."""
        self._state.check_changeable()
        place = self.resolve(id)
        read_record(place)
        self._proofreader.switch(place.name)

    def regroup(self, id: str, settings: dict[str, Any]) -> SegmentationInfo:
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
        from napari_pytc.decoding.describe import checked_decoder
        from napari_pytc.decoding.regrouping import check_decoded, check_repartition, repartition

        self._state.check_changeable()
        place = self.resolve(id)
        if self._proofreader.has_edits(place.name):
            raise ProjectError(
                f"The segmentation {place.name} has edits, which another grouping would make void.",
                "Segment again with these settings: it becomes a segmentation of its own.",
            )
        record = read_record(place)
        check_decoded(record)
        decoder = checked_decoder(record.decoder | settings if "kind" not in settings else settings)
        check_repartition(record, decoder)
        self._proofreader.reopen(lambda: repartition(place, decoder))
        self.changed.emit()
        return _info(place, self._proofreader.segmentation == place.name, self._state.id)

    def delete(self, id: str) -> None:
        """Delete a segmentation with its edits; where it is the current one, none is afterwards.

        `empty_trash` frees the disk space.
        """
        self._state.check_writable()
        place = self.resolve(id)
        self._active.check_unused(place, "segmentation")
        if self._proofreader.segmentation == place.name:
            self._proofreader.switch(None)
        self.folders.discard(place.name)
        self.changed.emit()

    def discard(self, job: SegmentJob | ImportSegmentationJob) -> None:
        """Give up an unfinished segmentation, or delete a preview. `empty_trash` frees the disk space."""
        self._state.check_changeable()
        self._active.check_unused(job.output, "segmentation")
        if self._state.folder.previews in job.output.parents:
            self._state.project.folder.discard(job.output)
        else:
            self.folders.discard(job.output.name)

    def take_in(self, id: str, is_current: bool = True) -> None:
        """Take in a segmentation that was just finished, and make it the current one; any thread."""
        self.folders.end(id)
        if not self._state.project.is_closed:
            if is_current:
                self._proofreader.switch(id)
            else:
                self.changed.emit()

    def _on_switched(self, segmentation: str | None) -> None:
        self.changed.emit()


def _info(place: Path, active: bool, volume: str) -> SegmentationInfo:
    known: dict[str, Any] = {"id": place.name, "folder": place, "active": active, "volume": volume}
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
        notes=record.notes,
    )


def _name_of(prediction: str) -> str:
    """The id of a prediction that lies in a project, or its path."""
    path = Path(prediction)
    return path.stem if path.parent.name == "predictions" else prediction
