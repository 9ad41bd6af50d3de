"""How a workspace starts jobs: on strokes that are on the disk, by a worker that is there."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from qtpy.QtCore import QObject, Signal

from napari_pytc.errors import InvalidInput, ProjectError, PytcError
from napari_pytc.ui.background import Background, readable
from napari_pytc.ui.bridge import JobBoard, JobView
from napari_pytc.ui.hiring import Hiring

if TYPE_CHECKING:
    from napari_pytc.exporting.jobs import What
    from napari_pytc.jobs.runners.base import JobRunner
    from napari_pytc.jobs.spec import JobSpec
    from napari_pytc.learning.config import PredictPlan, TrainPlan
    from napari_pytc.learning.jobs import TrainJob
    from napari_pytc.session.records import PredictionRecord
    from napari_pytc.session.session import Session
    from napari_pytc.ui.current_segments import CurrentSegments
    from napari_pytc.ui.layers import ProjectLayers

Scope = Literal["view", "box", "all"]


class JobStarter(QObject):
    """The part of a `Workspace` that starts jobs.

    Parameters
    ----------
    hire : callable
        Makes the runner; called in a helper thread, because starting a process takes a while.
    """

    failed = Signal(object)
    """A `PytcError` of something the user asked for, to be shown."""
    runner_changed = Signal()
    """The worker was hired or could not be."""

    segments: CurrentSegments

    def __init__(self, hire: Callable[[], JobRunner], parent: QObject | None = None) -> None:
        super().__init__(parent)
        self.jobs = JobBoard(self)
        self.background = Background(self)
        self.session: Session | None = None
        self.layers: ProjectLayers | None = None
        self.plan: TrainPlan | None = None
        """What the Train panel is set to; None before it was looked at, and while its settings are wrong."""
        self.plan_problem = ""
        """What is wrong with them."""
        self.parent_model: str | None = None
        self.worker = Hiring(hire, self.background, self)
        self.worker.changed.connect(self.runner_changed)
        self.worker.failed.connect(self.failed)
        self._closed = False
        self.give_way: Callable[[Callable[[], object]], object] = lambda then: then()
        """Called before a job starts: live learning, which has the worker to itself, ends and then calls back."""

    # ---- the worker

    def warm_up(self) -> None:
        """Start the worker, so that torch is loaded by the time it is needed; returns at once."""
        if not self._closed:
            self.worker.begin()

    @property
    def is_warm(self) -> bool:
        """Whether a job would start at once."""
        return self.worker.is_warm

    @property
    def is_changeable(self) -> bool:
        """Whether there is a project that this window may change."""
        return self.session is not None and not self.session.read_only

    def require_layers(self) -> ProjectLayers:
        """The layers of the project that is open; a `ProjectError` says what is missing."""
        if self.layers is not None:
            return self.layers
        if self.session is None:
            raise ProjectError("No project is open.", "Open or make one in the Data panel.")
        raise ProjectError(f"The image of {self.session.folder.name} was not found.", "Choose it in the Data panel.")

    def attempt(self, change: Callable[[], Any]) -> Any:
        """Call something of the session; an error of the user's is shown by `failed` and None returned."""
        try:
            return change()
        except PytcError as error:
            self.failed.emit(error)
            return None

    # ---- jobs

    def train(self, plan: TrainPlan, parent: str | None = None) -> None:
        """Train on the strokes as they are on the canvas; one training at a time."""
        self._start_training(f"Train {plan.recipe}", lambda session: session.train_job(plan, parent))

    def train_now(self) -> None:
        """Train with the settings of the Train panel; with `instant` where nobody chose any."""
        if self.plan is not None:
            self.train(self.plan, self.parent_model)
            return
        if self.plan_problem:
            self.failed.emit(InvalidInput(self.plan_problem, "Mend the settings in the Train panel."))
            return
        from napari_pytc.learning.recipes import load_recipe

        self.background.run(lambda: load_recipe("instant"), self.train, self.failed.emit)

    def go_on_training(self, job: TrainJob) -> None:
        """Go on with a training that was paused, cancelled or cut short."""
        self._start_training(f"Train {job.plan.recipe} (resumed)", lambda session: job)

    def predict(self, scope: Scope = "all", model: str | None = None, plan: PredictPlan | None = None) -> None:
        """Predict what is in view, in the drawn box, or everything from the view outwards."""

        def describe(session: Session) -> JobSpec:
            from napari_pytc.ui.drawn_box import drawn_box

            layers = self.require_layers()
            if scope == "view":
                return session.view_job(layers.view_box(), model, plan)
            box = drawn_box(self) if scope == "box" else None
            return session.predict_job(plan, model, box, layers.focus(), layers.view_box())

        what = {"view": "the view", "box": "the box", "all": "the volume"}[scope]
        self.start_job("predict", f"Predict {what}", describe)

    def go_on_predicting(self, prediction: PredictionRecord) -> None:
        """Go on with a prediction that was cancelled or cut short; its finished tiles are kept."""

        def describe(session: Session) -> JobSpec:
            from napari_pytc.learning.config import PredictPlan

            plan, layers = PredictPlan(flips=prediction.flips), self.require_layers()
            return session.predict_job(plan, prediction.model, prediction.box, layers.focus(), layers.view_box())

        self.start_job("predict", f"Predict with {prediction.model} (resumed)", describe)

    def delete_prediction(self, prediction: str) -> None:
        """Delete a prediction from the disk, and from the canvas if it is shown."""
        session = self.session
        if session is None:
            return
        layers = self.layers
        shown = None if layers is None else layers.predictions.folder
        if layers is not None and any(r.id == prediction and r.folder == shown for r in session.predictions()):
            layers.show_prediction(None)
        self.attempt(lambda: session.delete_prediction(prediction))
        self.background.run(session.empty_trash)

    def export(self, what: What, path: Path, prediction: str | None = None, **options: Any) -> None:
        """Export a prediction, or segments as they are now, to a file."""

        def start(flushed: object = None) -> None:
            self.start_job(
                "export", f"Export {path.name}", lambda session: session.export_job(what, path, prediction, **options)
            )

        if what in ("segments", "table"):
            self.segments.do(lambda proofreader: proofreader.flush(), start, self.failed.emit)
        else:
            start()

    def start_job(self, kind: str, title: str, describe: Callable[[Session], JobSpec]) -> JobView | None:
        """Start a job once the strokes are on the disk and the worker is there; `describe` is called then.

        Returns
        -------
        JobView or None
            What became of it so far; None where it was refused at once.
        """
        layers, session = self.attempt(self.require_layers), self.session
        if session is None or layers is None:
            return None
        if session.read_only and kind != "export":
            hint = "Close it in the other program, then press “Open for editing” in the Data panel."
            self.failed.emit(ProjectError(session.read_only_reason, hint))
            return None
        view, sink = self.jobs.open(kind, title)

        def refuse(error: PytcError) -> None:
            self.jobs.withdraw(view, error.message, error.hint)
            self.failed.emit(error)

        def run() -> None:
            if view.cancel_requested:  # before a runner had it
                return
            runner = self.worker.runner
            if self.session is not session or runner is None:
                refuse(ProjectError("The project was closed before the job began."))
                return
            try:
                view.spec = describe(session)
                view.handle = session.run(view.spec, runner, sink)
            except (PytcError, OSError) as error:
                refuse(readable(error))

        def begin() -> None:
            self.worker.when_hired(run, refuse)

        layers.flush(begin if kind == "live" else lambda: self.give_way(begin), refuse)
        return view

    # ---- what follows is ours

    def _start_training(self, title: str, describe: Callable[[Session], JobSpec]) -> None:
        if any(job.kind == "train" for job in self.jobs.running):
            hint = "Let it end, or pause or cancel it in the Train panel."
            self.failed.emit(ProjectError("A training runs already.", hint))
        else:
            self.start_job("train", title, describe)
