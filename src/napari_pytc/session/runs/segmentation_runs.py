"""Folders of segmentations, and notes of those that are not finished."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
from collections.abc import Collection
from contextlib import suppress
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pydantic import TypeAdapter, ValidationError

from napari_pytc.errors import PytcError
from napari_pytc.files import write_text_durably
from napari_pytc.session.project.description import FIRST_VOLUME
from napari_pytc.session.project.folder import disk_errors
from napari_pytc.session.project.ids import new_id, plain
from napari_pytc.session.project.volume_state import VolumeState

if TYPE_CHECKING:
    from napari_pytc.decoding.jobs import ImportSegmentationJob, SegmentJob

_NOTE = "segment.json"


class SegmentationFolders:
    """The folders of a volume's segmentations, and notes of those that were begun.

    ::

        volumes/<volume>/segments/<id>/            a segmentation; complete when its record is there
        volumes/<volume>/segments/.preview/<id>/   previews, swept away when the project is opened next
        runs/<id>/segment.json                     the job of one that is not finished, and the id of its volume

    No two unfinished segmentations of a project have the same id.
    """

    def __init__(self, state: VolumeState, reserved: set[str]) -> None:
        self._state, self._reserved = state, reserved
        self._folder, self._runs = state.folder, state.project.folder.runs

    def place(self, id: str) -> Path:
        """Folder of a segmentation."""
        return self._folder.segments / id

    def new_preview(self) -> Path:
        """A folder for a preview."""
        name = new_id("preview", lambda name: name in self._reserved)
        self._reserved.add(name)
        return self._folder.previews / name

    def place_for(
        self, job: SegmentJob | ImportSegmentationJob, stamp: str, now: datetime, busy: Collection[str], used: set[str]
    ) -> Path:
        """The folder of the same work where it was begun and not finished, else a new folder.

        Parameters
        ----------
        stamp : str
            Text that differs after the prediction was continued.
        busy : collection of str
            Ids that a job works on.
        used : set of str
            Ids that were ever used: the journal may refer to a segmentation that was deleted.
        """
        for name, note in self._begun(busy):
            if _is_same_work(note, job, stamp):
                return self.place(name)
        stem = f"{now:%Y%m%d-%H%M}-{plain(job.stem)}"
        name = new_id(stem, lambda name: name in used or self._is_taken(name))
        self._reserved.add(name)
        return self.place(name)

    def begin(self, job: SegmentJob | ImportSegmentationJob, stamp: str) -> None:
        """Note which work a folder is for."""
        place = self._runs / job.output.name
        with disk_errors(place, "The run folder"):
            place.mkdir(parents=True, exist_ok=True)
            note = {"stamp": stamp, "volume": self._state.id, "job": job.model_dump(mode="json")}
            write_text_durably(place / _NOTE, json.dumps(note))

    def end(self, id: str) -> None:
        """Move the note of a finished segmentation into its folder."""
        with suppress(OSError):  # it is finished without, too
            os.replace(self._runs / id / _NOTE, self.place(id) / _NOTE)
        shutil.rmtree(self._runs / id, ignore_errors=True)

    def job_of(self, id: str) -> dict[str, Any]:
        """The job that made a segmentation, as JSON; empty where that is not known."""
        return noted_job(self.place(id))

    def unfinished(self, busy: Collection[str]) -> list[SegmentJob | ImportSegmentationJob]:
        """Segmentations that were begun, are not finished and can be resumed, the latest first."""
        from napari_pytc.decoding.jobs import AnySegmentJob, SegmentJob

        found: list[SegmentJob | ImportSegmentationJob] = []
        for name, note in self._begun(busy):
            try:
                job: SegmentJob | ImportSegmentationJob = TypeAdapter(AnySegmentJob).validate_python(note.get("job"))
            except (ValidationError, PytcError):  # of another version, or damaged
                continue
            if not isinstance(job, SegmentJob):
                found.append(job.model_copy(update={"output": self.place(name), "image": self._state.record.spec}))
                continue
            prediction = job.prediction
            if not prediction.is_dir():  # the project was moved
                prediction = self._folder.predictions / prediction.name
            if prediction.is_dir():
                found.append(job.model_copy(update={"output": self.place(name), "prediction": prediction}))
        return found

    def discard(self, id: str) -> None:
        """Delete a segmentation, complete or not."""
        self._state.project.folder.discard(self.place(id))
        self._state.project.folder.discard(self._runs / id)

    def _begun(self, busy: Collection[str]) -> list[tuple[str, dict[str, Any]]]:
        found = []
        for path in self._runs.glob(f"*/{_NOTE}"):
            name = path.parent.name
            if name in busy or (self.place(name) / "segmentation.json").exists():
                continue
            try:
                note = json.loads(path.read_text(encoding="utf-8"))
                # A note of version 0.1 has no volume.
                if note.get("volume", FIRST_VOLUME) == self._state.id:
                    found.append((path.stat().st_mtime, name, note))
            except (OSError, ValueError, AttributeError):
                continue
        return [(name, note) for _, name, note in sorted(found, key=lambda one: one[:2], reverse=True)]

    def _is_taken(self, name: str) -> bool:
        project = self._state.project
        places = [project.folder.volume(record.id).segments / name for record in project.description.volumes]
        return name in self._reserved or any(place.exists() for place in (*places, self._runs / name))


def _is_same_work(note: dict[str, Any], job: SegmentJob | ImportSegmentationJob, stamp: str) -> bool:
    """Whether a note is of the same job and state of the prediction; settings that came since have their defaults."""
    from napari_pytc.decoding.jobs import AnySegmentJob

    noted: dict[str, Any] = note.get("job") or {}
    try:
        was: SegmentJob | ImportSegmentationJob = TypeAdapter(AnySegmentJob).validate_python(noted)
    except (ValidationError, PytcError):  # of another version, or damaged
        return False
    if "stamp" in note:
        return bool(note["stamp"] == stamp and was.work() == job.work())
    return bool(was.work() == job.work() and note.get("work") == _work_of_0_1(noted, stamp))


def _work_of_0_1(job: dict[str, Any], stamp: str) -> str:
    """The digest that version 0.1 noted of a job and the state of its prediction."""
    elsewhere = ("output", "workers", "prediction", "mask_prediction")
    content = {name: value for name, value in job.items() if name not in elsewhere}
    names = [Path(job.get(name) or "").name for name in ("prediction", "mask_prediction")]
    return hashlib.sha256(json.dumps([content, names, stamp], sort_keys=True).encode()).hexdigest()


def noted_job(folder: Path) -> dict[str, Any]:
    """The job that made the segmentation in a folder, as JSON; empty where that is not known."""
    try:
        job = json.loads((folder / _NOTE).read_text(encoding="utf-8"))["job"]
    except (OSError, ValueError, KeyError, TypeError):
        return {}
    return job if isinstance(job, dict) else {}
