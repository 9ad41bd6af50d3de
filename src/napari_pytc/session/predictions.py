"""The predictions of a volume."""

from __future__ import annotations

import hashlib
import os
import re
from contextlib import suppress
from pathlib import Path
from typing import Any

from psygnal import Signal
from pydantic import ValidationError

from napari_pytc.errors import InvalidInput, ProjectError, PytcError
from napari_pytc.files import plain_path
from napari_pytc.geometry import Box
from napari_pytc.plans.plan import PredictPlan
from napari_pytc.plans.test_time import TtaSettings
from napari_pytc.plans.windows import WindowSettings
from napari_pytc.session.project.ids import new_id, plain
from napari_pytc.session.project.volume_state import VolumeState
from napari_pytc.session.records import PredictionRecord
from napari_pytc.session.runs.active_jobs import ActiveJobs

_VARIANTS = ("training-intensities", "not-resampled")
"""Parts of the ids of predictions with other settings than usual: of the normalisation, and of resampling."""
_WINDOWS = "windows_"
_WINDOWS_PART = re.compile(
    _WINDOWS + r"(?P<shape>patch|\d+x\d+x\d+)_(?P<overlap>[0-9p]+(?:e-\d+)?)_(?P<blending>[a-z]+)(?P<logits>_logits)?"
)
"""The part for other windows than usual: shape, overlap with p for the point, blending, and logits if averaged."""
_KIND = "predict"


class Predictions:
    """The predictions of a volume, kept in the project's database and the volume's folder.

    `updated` is emitted by the thread that delivers a job's events: connect with ``thread="main"``.
    """

    changed = Signal()
    """A prediction was deleted."""
    updated = Signal(PredictionRecord)
    """A job that wrote to this prediction is over."""

    def __init__(self, state: VolumeState, active: ActiveJobs) -> None:
        self._state, self._active = state, active

    def records(self) -> list[PredictionRecord]:
        """Predictions whose folder exists, the oldest first."""
        known = self._known()
        return [record for record, _ in known if record.folder.is_dir()]

    def resolve(self, prediction: str | Path | PredictionRecord | None = None) -> Path:
        """The folder of a prediction named by its id, the beginning of one, or a path; by default the newest finished.

        Raises
        ------
        ProjectError
            If there is none, or several.
        """
        if isinstance(prediction, PredictionRecord):
            return prediction.folder
        records = self.records()
        if prediction is None:
            chosen = [r for r in records if r.state == "finished"] or records
            if not chosen:
                raise ProjectError(
                    f"{self._state.owner} has no prediction yet.",
                    f"Make one: napari-pytc predict PROJECT{self._state.option}.",
                )
            return chosen[-1].folder
        name = str(prediction)
        found = [r.folder for r in records if r.id == name] or [r.folder for r in records if r.id.startswith(name)]
        if len(found) == 1:
            return found[0]
        path = plain_path(prediction)
        if not found and path.is_dir():
            return path
        listed = ", ".join(r.id for r in records) or "none"
        raise ProjectError(
            f"{'Several predictions begin with' if found else f'{self._state.owner} has no prediction'} {name!r}; "
            f"there are: {listed}.",
            "Give the id of one of them.",
        )

    def newest_of(self, model: str) -> Path:
        """The folder of the newest prediction of a model, a finished one where there is one.

        Parameters
        ----------
        model : str
            Id of the model.

        Raises
        ------
        ProjectError
            If it made none.
        """
        records = [record for record in self.records() if record.model == model]
        if not records:
            raise ProjectError(
                f"{self._state.owner} has no prediction of model {model!r}.",
                f"Make one: napari-pytc predict {self._state.project.folder.path}{self._state.option} --model {model}.",
            )
        return ([record for record in records if record.state == "finished"] or records)[-1].folder

    def delete(self, id: str) -> None:
        """Delete a prediction. `empty_trash` frees the disk space."""
        self._state.check_writable()
        for record in self.records():
            if record.id == id:
                self._active.check_unused(record.folder, "prediction")
                self._state.project.folder.discard(record.folder)
                self._state.project.database.forget_prediction(self._state.id, id)
                self.changed.emit()
                return
        raise ProjectError(f"{self._state.owner} has no prediction {id!r}.", "Choose one of those that are listed.")

    def find_or_make(
        self, model: str, box: Box | None, plan: PredictPlan, output: Path | None = None
    ) -> PredictionRecord:
        """Return the record of the same work if there is one, else a new one."""
        flips, tta, variant = plan.has_all_flips, plan.copies.stamp, _variant(plan)
        image, folder, known = self._state.image_digest, self._state.folder.predictions, self._known()
        for record, of in known:
            same = (record.model, record.box, record.flips, record.tta, of) == (model, box, flips, tta, image)
            is_meant = record.folder == output if output else _variant_of(record.id) == variant
            if same and is_meant:
                return record
        if output is None:
            taken = {record.id for record, _ in known}
            of_copies = [*(["flips"] if flips else []), *([_copies_part(plan)] if tta else [])]
            stem = "-".join([model, *variant, *of_copies, *([plain(str(box))] if box else [])])
            name = new_id(stem, lambda name: name in taken or (folder / f"{name}.zarr").exists())
            output = folder / f"{name}.zarr"
        created = self._state.project.clock().isoformat(timespec="seconds")
        return PredictionRecord(
            id=output.stem,
            volume=self._state.id,
            model=model,
            folder=output,
            box=box,
            flips=flips,
            tta=tta,
            created=created,
            state="running",
        )

    def plan_of(self, record: PredictionRecord) -> tuple[PredictPlan, tuple[str, ...]]:
        """The settings of a prediction, to go on with it, and notes on what is not known of them.

        They are those of the job that wrote to it last; where the project does not know it, those in its id.
        """
        spec = self._state.project.database.specs(_KIND, (self._state.id,)).get(record.id, {})
        try:
            return PredictPlan.model_validate(spec["plan"]), ()
        except (KeyError, ValidationError, PytcError):  # a record without its run, or of a version with other settings
            return _plan_of_id(record), (
                f"The project does not hold the settings of the prediction {record.id}: what its name does not tell, "
                "as device, precision and tiles, is as by default.",
            )

    def stamp(self, folder: Path) -> str:
        """Text that differs after a prediction was continued; one that is none of the project's, after any change."""
        state = next((record.state for record in self.records() if record.folder == folder), None)
        if state is None:
            return _stamp_of_files(folder)
        runs = [run for run in self._state.project.database.runs() if run.volume == self._state.id]
        ends = [run.ended for run in runs if run.subject == folder.stem and run.kind == _KIND]
        return f"{state} {max((end for end in ends if end is not None), default=0.0)}"

    def take_in(self, id: str) -> None:
        """Announce a prediction that a job wrote to; any thread."""
        for record in self.records():
            if record.id == id:
                self.updated.emit(record)

    def _known(self) -> list[tuple[PredictionRecord, str]]:
        return self._state.project.database.predictions(self._state.id, self._state.folder.predictions)


def _stamp_of_files(folder: Path) -> str:
    """Where a folder lies, when a file in it was last changed, and how many there are of how many bytes."""
    last, n_files, n_bytes = 0, 0, 0
    for place, _, names in os.walk(folder):
        for path in (place, *(os.path.join(place, name) for name in names)):
            with suppress(FileNotFoundError):  # replaced meanwhile: the time of its folder tells
                status = os.stat(path)
                last = max(last, status.st_mtime_ns)
                n_bytes += status.st_size
        n_files += len(names)
    return f"{folder.resolve()} {last} {n_files} {n_bytes}"


def _plan_of_id(record: PredictionRecord) -> PredictPlan:
    """The settings that tell a prediction from others, as its record and its id have them."""
    variant = _variant_of(record.id)
    windows = WindowSettings()
    found = _WINDOWS_PART.search(record.id)
    if found is not None:
        shape = found["shape"]
        windows = WindowSettings.model_validate(
            {
                "shape": [int(n) for n in shape.split("x")] if shape != "patch" else None,
                "overlap": float(found["overlap"].replace("p", ".")),
                "blending": found["blending"],
                "average": "logits" if found["logits"] else "probabilities",
            }
        )
    of_training, not_resampled = (name in variant for name in _VARIANTS)
    return PredictPlan(
        **_copies_of(record),
        normalisation="training" if of_training else "own",
        resample=not not_resampled,
        windows=windows,
    )


def _copies_of(record: PredictionRecord) -> dict[str, Any]:
    """Test-time augmentation as settings of a plan: all flips as they are usually written."""
    if not record.tta:
        return {"flips": record.flips}
    try:
        return {"flips": False, "tta": TtaSettings.of_stamp(record.tta, record.flips)}
    except InvalidInput as error:
        raise ProjectError(
            f"The prediction {record.id} has test-time augmentation of another version of napari-pytc: {record.tta}.",
            "Go on with it in the version that made it, or predict anew.",
        ) from error


def _copies_part(plan: PredictPlan) -> str:
    """The part of an id for test-time augmentation: the number of copies, and what tells it from others as short."""
    digest = hashlib.sha256(plan.copies.stamp.encode()).hexdigest()[:6]
    return f"copies_{plan.copies.n_copies}_{digest}"


def _variant(plan: PredictPlan) -> list[str]:
    """The parts of a prediction's id that tell it from one with the usual settings."""
    used = (plan.normalisation == "training", not plan.resample)
    found = [name for name, is_used in zip(_VARIANTS, used, strict=True) if is_used]
    windows = plan.windows
    if windows != WindowSettings(batch_size=windows.batch_size):
        shape = "patch" if windows.shape is None else "x".join(map(str, windows.shape))
        overlap = f"{windows.overlap:g}".replace(".", "p")
        logits = "_logits" if windows.average == "logits" else ""
        found.append(f"{_WINDOWS}{shape}_{overlap}_{windows.blending}{logits}")
    return found


def _variant_of(id: str) -> list[str]:
    """The same parts of the id of a prediction that is there."""
    windows = _WINDOWS_PART.search(id)
    return [*(name for name in _VARIANTS if name in id), *([windows.group()] if windows else [])]
