"""What the descriptions of jobs at a volume have in common."""

from __future__ import annotations

from typing import TYPE_CHECKING

from napari_pytc.session.models import Models
from napari_pytc.session.project.ids import model_stem, new_id
from napari_pytc.session.runs import training_runs
from napari_pytc.session.runs.active_jobs import ActiveJobs
from napari_pytc.session.volumes.open_volumes import VolumeParts
from napari_pytc.session.volumes.training_inputs import TrainingInputs

if TYPE_CHECKING:
    from napari_pytc.plans.specs import TrainJob


class VolumeJobs:
    """Base of the descriptions of jobs at a volume: the components of the project that they take."""

    def __init__(self, parts: VolumeParts, active: ActiveJobs, models: Models, inputs: TrainingInputs) -> None:
        self._volume, self._state, self._active = parts.state, parts.state.project, active
        self._proofreader, self._image = parts.proofreader, parts.image
        self._predictions, self._segmentations = parts.predictions, parts.segmentations
        self._models, self._inputs = models, inputs
        self._folder = parts.state.project.folder

    def _new_model(self, of: str) -> str:
        """A name for a model that is to be made, which no other one gets."""
        name = new_id(model_stem(of, self._state.clock()), self._is_taken)
        self._active.reserved.add(name)
        return name

    def _work_of(self, job: TrainJob) -> str:
        """Digest of what a training learns, by which an interrupted one is known again."""
        return training_runs.work_of(job, [self._inputs.revisions(inputs) for inputs in job.inputs])

    def _is_taken(self, name: str) -> bool:
        places = (self._folder.models / name, self._folder.runs / name)
        return name in self._active.reserved or any(place.exists() for place in places)
