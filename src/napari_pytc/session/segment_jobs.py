"""Segmentations described as jobs: which prediction, which decoder, and which folder."""

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

from pydantic import ValidationError

from napari_pytc.durable import write_text_durably
from napari_pytc.errors import InvalidInput, ModelError, PytcError
from napari_pytc.learning.model_folder import read_model_info
from napari_pytc.session.library import new_id, plain
from napari_pytc.session.project import ProjectFolder, disk_errors

if TYPE_CHECKING:
    from napari_pytc.decoding.base import DecoderSettings
    from napari_pytc.decoding.evidence import EvidenceKind
    from napari_pytc.decoding.jobs import SegmentJob

_NOTE = "segment.json"
_NO_OBJECTS = ("background", "outside", "nothing", "void")


def describe_segmentation(
    prediction: Path,
    output: Path,
    decoder: DecoderSettings | dict[str, Any] | str | None,
    settings: dict[str, Any],
    plan: dict[str, Any],
    **fields: Any,
) -> SegmentJob:
    """A job that decodes a prediction; everything that can be wrong with it is found here.

    Parameters
    ----------
    decoder : DecoderSettings, dict or str, optional
        Settings, or a kind; by default that of `plan` (the model's), else one that fits the prediction.
    settings : dict
        Settings to change, of whichever decoder that is; keys may not be dotted.
    fields : dict
        Other fields of `SegmentJob`.

    Raises
    ------
    InvalidInput
        If a setting, a class or the decoder does not fit.
    """
    from napari_pytc.decoding.base import DecoderSettings
    from napari_pytc.decoding.evidence import EvidenceReader
    from napari_pytc.decoding.jobs import SegmentJob

    if isinstance(decoder, DecoderSettings):
        content = decoder.model_dump(mode="json")
    elif isinstance(decoder, dict):
        content = dict(decoder)
    elif decoder is not None:
        content = {"kind": decoder, **(plan if plan.get("kind") == decoder else {})}
    else:
        kind = EvidenceReader.open(prediction, fields.get("boundary_class")).kind
        content = dict(plan) or _fitting(kind, settings)
    content |= settings
    try:
        job = SegmentJob(prediction=prediction, output=output, decoder=checked_decoder(content), **fields)
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        where = ".".join(str(part) for part in first["loc"])
        raise InvalidInput(f"A segmentation has no such option: {where}: {first['msg']}.") from error
    job.reader()
    return job


def plan_decoder(model: Path) -> dict[str, Any]:
    """Kind and settings of the decoder that a model's recipe names; empty where it names none."""
    try:
        return dict(read_model_info(model).plan.decoder)
    except ModelError:  # the model is gone or damaged: its predictions can be segmented all the same
        return {}


def checked_decoder(content: dict[str, Any]) -> DecoderSettings:
    """A decoder from its JSON, with its ``kind``; a wrong setting is an `InvalidInput`."""
    from napari_pytc.decoding.base import DecoderSettings, parse_decoder

    try:
        found = parse_decoder(content)
        assert isinstance(found, DecoderSettings)
        return found
    except ValidationError as error:
        from napari_pytc.learning.recipes import explain

        raise InvalidInput(*explain(error, f"the decoder {content.get('kind')}")) from error


def _fitting(kind: EvidenceKind, settings: dict[str, Any]) -> dict[str, Any]:
    """Supervoxels and a graph to proofread on where something tells where objects end, else the objects of a class."""
    if kind.has_boundary_map:
        return {"kind": "agglomeration"}
    if "object_class" in settings:
        return {"kind": "components"}
    objects = [name for name in kind.class_names if name.lower() not in _NO_OBJECTS]
    if len(objects) != 1:
        raise InvalidInput(
            f"The prediction has {kind}; say which of them to segment into objects, or which is the boundary.",
            f"For example: object_class={objects[0] if objects else 'NAME'}, or --boundary-class NAME.",
        )
    return {"kind": "components", "object_class": objects[0]}


class SegmentationFolders:
    """The folders of a project's segmentations, and notes of those that were begun.

    ::

        segments/<id>/              a segmentation; complete when its record is there, with its segment.json
        segments/.preview/<id>/     decoded for a look, swept away when the project is opened next
        runs/<id>/segment.json      the job of one that is not finished, by which it is found again
    """

    def __init__(self, folder: ProjectFolder) -> None:
        self._folder = folder
        self._reserved: set[str] = set()

    def place(self, id: str) -> Path:
        """Where a segmentation lies."""
        return self._folder.segments / id

    def new_preview(self) -> Path:
        """A folder for a preview."""
        name = new_id("preview", lambda name: name in self._reserved)
        self._reserved.add(name)
        return self._folder.previews / name

    def place_for(self, job: SegmentJob, stamp: str, now: datetime, busy: Collection[str], used: set[str]) -> Path:
        """The folder of the same work where it was begun and not finished, else a new one.

        Parameters
        ----------
        stamp : str
            What differs when the prediction was gone on with.
        busy : collection of str
            Ids that a job works on.
        used : set of str
            Ids that were ever used: the journal may speak of a segmentation that was deleted.
        """
        work = self._work(job, stamp)
        for name, note in self._begun(busy):
            if note.get("work") == work:
                return self.place(name)
        stem = f"{now:%Y%m%d-%H%M}-{plain(job.decoder.kind)}"
        name = new_id(stem, lambda name: name in used or self._is_taken(name))
        self._reserved.add(name)
        return self.place(name)

    def begin(self, job: SegmentJob, stamp: str) -> None:
        """Note which work a folder is for."""
        place = self._folder.runs / job.output.name
        with disk_errors(place, "The run folder"):
            place.mkdir(parents=True, exist_ok=True)
            note = {"work": self._work(job, stamp), "job": job.model_dump(mode="json")}
            write_text_durably(place / _NOTE, json.dumps(note))

    def end(self, id: str) -> None:
        """Lay the note of a finished segmentation beside it, so that it tells of itself all there is to know."""
        with suppress(OSError):  # it is finished without, too
            os.replace(self._folder.runs / id / _NOTE, self.place(id) / _NOTE)
        shutil.rmtree(self._folder.runs / id, ignore_errors=True)

    def job_of(self, id: str) -> dict[str, Any]:
        """The job that made a segmentation, as JSON; empty where that is not known."""
        try:
            job = json.loads((self.place(id) / _NOTE).read_text(encoding="utf-8"))["job"]
        except (OSError, ValueError, KeyError, TypeError):
            return {}
        return job if isinstance(job, dict) else {}

    def unfinished(self, busy: Collection[str]) -> list[SegmentJob]:
        """What was begun, is not finished and can be gone on with, the latest first."""
        from napari_pytc.decoding.jobs import SegmentJob

        found = []
        for name, note in self._begun(busy):
            try:
                job = SegmentJob.model_validate(note.get("job"))
            except (ValidationError, PytcError):  # of another version, or damaged
                continue
            prediction = job.prediction
            if not prediction.is_dir():  # the project was moved
                prediction = self._folder.predictions / prediction.name
            if prediction.is_dir():
                found.append(job.model_copy(update={"output": self.place(name), "prediction": prediction}))
        return found

    def discard(self, id: str) -> None:
        """Delete a segmentation, complete or not."""
        self._folder.discard(self.place(id))
        self._folder.discard(self._folder.runs / id)

    def _begun(self, busy: Collection[str]) -> list[tuple[str, dict[str, Any]]]:
        found = []
        for path in self._folder.runs.glob(f"*/{_NOTE}"):
            name = path.parent.name
            if name in busy or (self.place(name) / "segmentation.json").exists():
                continue
            try:
                note = json.loads(path.read_text(encoding="utf-8"))
                found.append((path.stat().st_mtime, name, note))
            except (OSError, ValueError):
                continue
        return [(name, note) for _, name, note in sorted(found, key=lambda one: one[:2], reverse=True)]

    def _work(self, job: SegmentJob, stamp: str) -> str:
        """A digest of all that decides what comes out, not of where it lies or how many workers there are."""
        content = job.model_dump(mode="json", exclude={"output", "workers", "prediction", "mask_prediction"})
        names = [job.prediction.name, job.mask_prediction.name if job.mask_prediction else ""]
        return hashlib.sha256(json.dumps([content, names, stamp], sort_keys=True).encode()).hexdigest()

    def _is_taken(self, name: str) -> bool:
        return name in self._reserved or self.place(name).exists() or (self._folder.runs / name).exists()
