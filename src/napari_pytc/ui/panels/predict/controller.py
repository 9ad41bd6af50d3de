"""Controller of the Predict panel: predict with a model, resume, show and delete predictions."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from qtpy.QtCore import QObject, Signal

from napari_pytc.geometry import Box
from napari_pytc.ui.job_launcher import Scope
from napari_pytc.ui.panels.predict.apply_dialog import ApplyChoices
from napari_pytc.ui.tasks.job_board import JobModel
from napari_pytc.ui.workspace import Workspace

if TYPE_CHECKING:
    from napari_pytc.batch.jobs import ApplyJob
    from napari_pytc.errors import PytcError
    from napari_pytc.plans.test_time import TtaSettings
    from napari_pytc.plans.windows import WindowSettings
    from napari_pytc.session.records import ClassInfo, ModelRecord, PredictionRecord

_NO_BOX = "no box is drawn: press Draw, then drag a rectangle on the canvas."


@dataclass(frozen=True)
class Legend:
    """The channels of the prediction on the canvas, and the number of the one whose probability is seen, if any."""

    channels: Sequence[ClassInfo] = ()
    shown: int | None = None


class PredictController(QObject):
    """Models, regions and predictions of the project that is open.

    Parameters
    ----------
    workspace : Workspace
        The workspace of the project; also the Qt parent.
    """

    changed = Signal()
    """Project, models or worker are others."""
    predictions_changed = Signal()
    """Predictions came or went, began to be written, or another one is on the canvas."""

    def __init__(self, workspace: Workspace) -> None:
        super().__init__(workspace)
        self.workspace = workspace
        self.jobs = workspace.jobs
        self._begun: set[JobModel] = set()
        for signal in (workspace.session_changed, workspace.models_changed, workspace.worker.changed):
            signal.connect(self.changed)
        for signal in (workspace.predictions_changed, workspace.classes_changed):
            signal.connect(self.predictions_changed)
        self.jobs.produced.connect(self._on_produced)
        self.jobs.ended.connect(self._on_ended)

    # ---- models and predictions

    @property
    def has_project(self) -> bool:
        """Whether a project is open."""
        return self.workspace.session is not None

    def models(self) -> list[ModelRecord]:
        """The models that can predict, the one in use first, then the newest."""
        session = self.workspace.session
        sound = [] if session is None else [model for model in reversed(session.models.records()) if not model.problem]
        return sorted(sound, key=lambda model: not model.active)

    def predictions(self) -> list[PredictionRecord]:
        """All predictions, the newest first."""
        session = self.workspace.session
        return [] if session is None else list(reversed(session.predictions.records()))

    @property
    def shown(self) -> Path | None:
        """Folder of the prediction on the canvas."""
        layers = self.workspace.layers
        return None if layers is None else layers.predictions.folder

    @property
    def running(self) -> set[Path | None]:
        """Folders of the predictions that jobs write just now."""
        return {job.output for job in self.jobs.running if job.kind == "predict"}

    @property
    def locked_reason(self) -> str:
        """Reason why predictions cannot be changed; empty if they can."""
        return self.workspace.locked_reason

    def region(self, scope: Scope) -> Box | None:
        """The box that would be predicted; None where it is not known."""
        session, layers = self.workspace.session, self.workspace.layers
        if session is None or layers is None:
            return None
        if scope == "box":
            return self.workspace.drawn_box.find()
        return layers.view_box() if scope == "view" else Box.of_shape(session.strokes.store.shape)

    def why_not(self, scope: Scope) -> str:
        """Reason why nothing can be predicted there, as the rest of a sentence; empty if it can."""
        if self.locked_reason:
            return self.locked_reason
        if self.workspace.layers is None:
            return "the project's image was not found."
        if not self.models():
            return "there is no model yet; train one first."
        return _NO_BOX if self.region(scope) is None else ""

    @property
    def why_not_apply(self) -> str:
        """Reason why no model can be applied to other files, as the rest of a sentence; empty if one can."""
        if self.locked_reason:
            return self.locked_reason
        return "" if self.models() else "there is no model yet; train one first."

    def check_apply(
        self,
        choices: ApplyChoices,
        then: Callable[[ApplyJob], object],
        on_error: Callable[[PytcError], object],
        receiver: QObject,
    ) -> None:
        """Describe a batch in the helper thread, then call `then` with its job, or `on_error`."""
        self.workspace.background.run(choices.describe, then, on_error, receiver=receiver)

    @property
    def channels(self) -> str:
        """The channels of the project's image as they are typed; empty where it has one."""
        session = self.workspace.session
        return "" if session is None else ",".join(map(str, session.image.several_channels))

    def apply(self, job: ApplyJob) -> None:
        """Apply a model to other files; each becomes a file of its own."""
        n = len(job.inputs)
        self.workspace.launcher.start("apply", f"Apply to {n} file{'s' * (n != 1)}", lambda session: job)

    def legend(self) -> Legend:
        """The channels of the prediction on the canvas."""
        layers = self.workspace.layers
        if self.workspace.session is None or layers is None:
            return Legend()
        return Legend(layers.predictions.legend, layers.predictions.channel)

    def n_voxels(self, job: JobModel) -> int | None:
        """Number of voxels that a job predicts; None if it is not known yet."""
        session, box = self.workspace.session, getattr(job.spec, "box", None)
        if box is None and session is not None and job.spec is not None:
            return Box.of_shape(session.strokes.store.shape).size
        return None if box is None else box.size

    # ---- buttons

    def predict(
        self,
        scope: Scope,
        model: str | None,
        tta: TtaSettings | None = None,
        windows: WindowSettings | None = None,
    ) -> None:
        """Predict with a model, the one in use where it is None.

        Parameters
        ----------
        tta, windows : settings, optional
            By default those that the model brings along, else the usual ones.
        """
        from napari_pytc.plans.plan import PredictPlan

        given: dict[str, Any] = {} if tta is None else {"flips": False, "tta": tta}
        if windows is not None:
            given["windows"] = windows
        self.workspace.launcher.predict(scope, model, PredictPlan(**given))

    def resume(self, prediction: PredictionRecord) -> None:
        """Predict the missing part of a prediction with the same model."""
        self.workspace.launcher.resume_prediction(prediction)

    def show(self, prediction: PredictionRecord | None) -> None:
        """Show a prediction on the canvas, or none."""
        if self.workspace.layers is not None:
            self.workspace.layers.show_prediction(prediction)
            self.predictions_changed.emit()

    def show_probability(self, channel: int | None) -> None:
        """Show the probability of a channel on the canvas, or of none."""
        if self.workspace.layers is not None:
            self.workspace.layers.predictions.show_channel(channel)

    def delete(self, prediction: PredictionRecord) -> None:
        """Delete a prediction from the disk, and from the canvas if it is shown."""
        session, layers = self.workspace.session, self.workspace.layers
        if session is None:
            return
        if layers is not None and layers.predictions.folder == prediction.folder:
            layers.show_prediction(None)
        self.workspace.attempt(lambda: session.predictions.delete(prediction.id))
        self.workspace.background.run(session.project.empty_trash)

    # ---- private

    def _on_produced(self, job: JobModel, boxes: list[Box]) -> None:
        if job.kind == "predict" and job not in self._begun:
            self._begun.add(job)
            self.predictions_changed.emit()

    def _on_ended(self, job: JobModel) -> None:
        self._begun.discard(job)
        if job.kind == "predict":
            self.predictions_changed.emit()
