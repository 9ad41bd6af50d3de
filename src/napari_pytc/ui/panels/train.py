"""The Train panel: choose a recipe, press Train, watch."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from qtpy.QtGui import QShowEvent
from qtpy.QtWidgets import QVBoxLayout, QWidget

from napari_pytc.jobs.job import JobState
from napari_pytc.ui.bridge import JobView
from napari_pytc.ui.comparison import curves_of
from napari_pytc.ui.controls import main_button, order_tabs
from napari_pytc.ui.live.box import LiveBox
from napari_pytc.ui.models import ModelsList, short_date
from napari_pytc.ui.parts import MARGIN, EmptyState, allow, section, wrapped
from napari_pytc.ui.plots import CurvesPlot, series_of_run
from napari_pytc.ui.training.progress import TrainingProgress
from napari_pytc.ui.training.recipe import RecipeChooser
from napari_pytc.ui.training.scores import ClassTable, Scores
from napari_pytc.ui.training.verdict import VerdictNote

if TYPE_CHECKING:
    from napari_pytc.learning.jobs import TrainJob
    from napari_pytc.ui.workspace import Workspace

_TRAIN = "Train a model on what is painted outside of the held-out boxes. You can go on painting meanwhile."

_NO_OBJECTS = (
    "This recipe learns single objects, and none are marked yet: paint or import some in the Data panel, under Single "
    "objects."
)


class TrainPanel(QWidget):
    """Recipe and settings, one button, progress, curves, scores, models.

    Parameters
    ----------
    workspace : Workspace
        What all panels of a viewer share.
    """

    def __init__(self, workspace: Workspace, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._workspace = workspace
        self._job: JobView | None = None
        self._n_points = 0
        self._unfinished: list[TrainJob] = []
        self.empty = EmptyState(
            "No project is open. Open or make one in the Data panel, then come back to train.", "Data"
        )
        self.live = LiveBox(workspace)
        self.recipe = RecipeChooser(workspace)
        self.train_button = main_button("Train")
        self.train_button.setObjectName("trainButton")
        self.reason = wrapped()
        self.reason.setObjectName("trainReason")
        self.progress = TrainingProgress()
        self.verdict = VerdictNote(workspace)
        self.plot = CurvesPlot(workspace.background)
        self.plot.setObjectName("trainingCurves")
        self.classes = ClassTable()
        self.models = ModelsList(workspace)
        self._lay_out()
        self.train_button.clicked.connect(self.train)
        self.recipe.changed.connect(self._update_button)
        self.progress.pause.connect(self.pause)
        self.progress.cancel.connect(self.cancel)
        self.progress.resume.connect(self.resume)
        self.progress.dismiss.connect(self.dismiss)
        workspace.session_changed.connect(self._on_session)
        workspace.strokes_changed.connect(self._on_strokes)
        workspace.classes_changed.connect(self._on_strokes)
        workspace.models_changed.connect(self._on_models)
        workspace.jobs.added.connect(self._on_added)
        workspace.jobs.changed.connect(self._on_changed)
        workspace.jobs.ended.connect(self._on_ended)
        self._job = next((job for job in reversed(workspace.jobs.running) if job.kind == "train"), None)
        self._show_all()

    # ---- what the buttons do

    def train(self) -> None:
        """Start a training with what is chosen."""
        if not self._why_not():
            self._workspace.train(self.recipe.plan, self.recipe.parent_model)

    def pause(self) -> None:
        """Stop the training so that it can be gone on with."""
        if self._job is not None and not self._job.is_over:
            self._job.is_paused = True
            self.cancel()

    def cancel(self) -> None:
        """Stop the training."""
        if self._job is not None:
            self._job.cancel()
            self._show_progress()

    def resume(self) -> None:
        """Go on with the training that was stopped."""
        job = self._resumable()
        if job is not None and not self._is_training():
            self._workspace.go_on_training(job)

    def dismiss(self) -> None:
        """Give up the training that was stopped, and tell no more of it."""
        job, session = self._resumable(), self._workspace.session
        if job is not None and session is not None:
            self._workspace.attempt(lambda: session.discard_training(job))
            self._workspace.background.run(session.empty_trash)
        self._job = None
        self._read_unfinished()
        self._show_progress()

    def showEvent(self, event: QShowEvent | None) -> None:
        """Get what draws curves as soon as the panel is seen, before a training needs the time."""
        super().showEvent(event)
        self.plot.prepare()

    # ---- what follows is ours

    def _lay_out(self) -> None:
        how, inside = section("How to train")
        inside.addWidget(self.recipe)
        # Below the button, so that this is seen without scrolling also where all settings are unfolded.
        settings, form = section("Settings")
        form.addWidget(self.recipe.settings)
        self._painted, table = section("Classes")
        table.addWidget(self.classes)
        models, tree = section("Models")
        tree.addWidget(self.models)
        self._parts = QWidget()
        parts = QVBoxLayout(self._parts)
        parts.setContentsMargins(0, 0, 0, 0)
        for widget in (
            self.live,
            how,
            self.train_button,
            self.reason,
            self.progress,
            self.verdict,
            self.plot,
            settings,
            self._painted,
            models,
        ):
            parts.addWidget(widget)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(MARGIN, MARGIN, MARGIN, MARGIN)
        layout.addWidget(self.empty)
        layout.addWidget(self._parts)
        layout.addStretch(1)
        order_tabs(self)
        self.recipe.built.connect(lambda: order_tabs(self))

    def _on_session(self) -> None:
        self._job = None
        self._show_all()

    def _on_strokes(self) -> None:
        self._show_classes()
        self._update_button()

    def _on_models(self) -> None:
        self._read_unfinished()
        self._show_classes()
        self._show_curves()

    def _on_added(self, job: JobView) -> None:
        if job.kind == "train":
            self._job, self._n_points = job, 0
            self._show_progress()
            self._show_curves()
            self._update_button()

    def _on_changed(self, job: JobView) -> None:
        if job is self._job:
            self._show_progress()
            n_points = sum(map(len, job.curves.values()))
            if n_points != self._n_points:
                self._n_points = n_points
                self._show_curves()
                self._show_classes()

    def _on_ended(self, job: JobView) -> None:
        if job is self._job:
            self._read_unfinished()
            self._show_progress()
            self._show_classes()
        if job.kind == "train":
            self._update_button()

    def _show_all(self) -> None:
        is_open = self._workspace.session is not None
        self.empty.setVisible(not is_open)
        self._parts.setVisible(is_open)
        self._read_unfinished()
        self._show_progress()
        self._show_curves()
        self._show_classes()
        self._update_button()

    def _read_unfinished(self) -> None:
        session = self._workspace.session
        self._unfinished = [] if session is None or session.read_only else session.unfinished_trainings()

    def _resumable(self) -> TrainJob | None:
        """The training that Resume goes on with."""
        if self._job is None:
            return self._unfinished[0] if self._unfinished else None
        spec: Any = self._job.spec
        if spec is None:
            return None
        kept = next((job for job in self._unfinished if job.run_folder == spec.run_folder), None)
        # One that was stopped before its first checkpoint begins again; one that failed would only fail again.
        return spec if kept is None and self._job.state is JobState.CANCELLED else kept

    def _is_training(self) -> bool:
        return any(job.kind == "train" for job in self._workspace.jobs.running)

    def _show_progress(self) -> None:
        if self._job is not None:
            self.progress.show_job(self._job, self._resumable() is not None)
        elif self._unfinished:
            job = self._unfinished[0]
            self.progress.show_unfinished(job, _begun(job), len(self._unfinished) - 1)
        else:
            self.progress.show_nothing()

    def _show_curves(self) -> None:
        """Those of the training shown, else of the active model."""
        session = self._workspace.session
        curves: Any = {}
        if self._job is not None:
            curves = self._job.curves
        elif session is not None:
            active = next((model.id for model in session.models() if model.active), None)
            curves = {} if active is None else curves_of(session, active)
        colours = {} if session is None else {one.name: one.colour for one in session.classes}
        series = series_of_run(curves, colours)
        self.plot.setVisible(any(len(one.points) > 1 for one in series))
        self.plot.show_series(series)

    def _show_classes(self) -> None:
        session = self._workspace.session
        if session is not None:
            self.classes.show_classes(session.classes, session.annotated_voxels(), self._scores())

    def _scores(self) -> Scores:
        """Of the training shown as far as it is, else of the active model."""
        job, session = self._job, self._workspace.session
        if job is not None:
            told = job.result.get("scores") or {}
            if told.get("dice"):
                return Scores(str(job.result.get("model", "")), told["dice"], told.get("iou"))
            dice = {
                name.removeprefix("dice/"): points[-1][1]
                for name, points in job.curves.items()
                if name.startswith("dice/") and points
            }
            if dice:
                return Scores("this training so far" if not job.is_over else "this training", dice)
        active = None if session is None else next((model for model in session.models() if model.active), None)
        if active is None or not active.scores.get("dice"):
            return Scores()
        return Scores(active.name, active.scores["dice"], active.scores.get("iou"))

    def _why_not(self) -> str:
        """Why no training can start now; empty if one can."""
        session = self._workspace.session
        if session is None:
            return "No project is open: open or make one in the Data panel."
        if session.read_only:
            return session.read_only_reason
        if self._workspace.layers is None:
            return "The project's image was not found: choose it in the Data panel."
        if self._is_training():
            return "A training runs already: let it end, or pause or cancel it."
        if self._learns_objects:
            return "" if session.objects_revision else _NO_OBJECTS
        painted = [name for name, n_voxels in session.annotated_voxels().items() if n_voxels]
        if len(painted) < 2:
            return "Paint strokes of at least two classes first; " + (
                f"so far only {painted[0]} has some." if painted else "there are none yet."
            )
        return self.recipe.problem

    @property
    def _learns_objects(self) -> bool:
        return not self.recipe.problem and self.recipe.plan.target.kind != "classes"

    def _update_button(self) -> None:
        reason = self._why_not()
        allow(self.train_button, reason, _TRAIN)
        self.reason.setText(reason)
        self.reason.setVisible(bool(reason) and not self._is_training())
        self._painted.setVisible(not self._learns_objects)


def _begun(job: TrainJob) -> str:
    """When a training began, as its folder's name says."""
    date, clock = [*job.run_folder.name.split("-"), "", ""][:2]
    if len(date) == 8 and len(clock) == 4:
        return short_date(f"{date}T{clock}+00:00") or job.run_folder.name
    return job.run_folder.name
