"""Controller of the Segment panel: segment a prediction, try settings, use and delete segmentations."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Final, Literal

from qtpy.QtCore import QObject, Signal

from napari_pytc.errors import PytcError
from napari_pytc.geometry import Box
from napari_pytc.ui.panels.segment.choices import PredictionFacts, SegmentChoices, read_facts
from napari_pytc.ui.panels.segment.preview import SegmentPreview
from napari_pytc.ui.panels.segment.regrouping import Regrouping
from napari_pytc.ui.panels.segment.tuning_controller import TuningController
from napari_pytc.ui.tasks.job_board import JobModel
from napari_pytc.ui.widgets.record_text import preferred_prediction

if TYPE_CHECKING:
    from napari_pytc.decoding.base import DecoderSettings
    from napari_pytc.decoding.jobs import ImportSegmentationJob, SegmentJob
    from napari_pytc.session.records import PredictionRecord, SegmentationInfo
    from napari_pytc.ui.panels.segment.import_dialog import ImportChoices
    from napari_pytc.ui.workspace import Workspace
    from napari_pytc.volumes.inspection import VolumeInfo

Scope = Literal["all", "box"]

_IMPORT: Final = "import_segmentation"
_Segmentations = tuple["list[SegmentationInfo]", "list[SegmentJob | ImportSegmentationJob]"]
_Facts = tuple[dict[str, PredictionFacts], dict[str, PytcError], "dict[str, type[DecoderSettings]]"]


class SegmentController(QObject):
    """Predictions, their facts, and segmentations of the project that is open.

    Parameters
    ----------
    workspace : Workspace
        The workspace of the project; also the Qt parent.

    Attributes
    ----------
    preview : SegmentPreview
        The live preview of settings on the box in view.
    regrouping : Regrouping
        Another grouping of the current segmentation. The canvas shows one of the two at a time.
    tuning : TuningController
        Trials of other settings on held-out truth.
    """

    predictions_changed = Signal()
    """Predictions are others."""
    facts_changed = Signal()
    """The facts of predictions were read, or another prediction is chosen."""
    segmentations_changed = Signal()
    """Segmentations are others, or may be changed now, or not any more."""
    jobs_changed = Signal()
    """A segmentation began or is over."""

    def __init__(self, workspace: Workspace) -> None:
        super().__init__(workspace)
        self.workspace = workspace
        self.preview = SegmentPreview(workspace, self)
        self.regrouping = Regrouping(workspace, self)
        self.tuning = TuningController(workspace, self)
        self.predictions: list[PredictionRecord] = []
        """The newest first."""
        self.prediction: PredictionRecord | None = None
        """The one to segment."""
        self.facts: dict[str, PredictionFacts] = {}
        """Facts of predictions by id."""
        self.problems: dict[str, PytcError] = {}
        """Errors of predictions that cannot be read, by id."""
        self.decoders: dict[str, type[DecoderSettings]] = {}
        """All decoders by kind."""
        self.segmentations: list[SegmentationInfo] = []
        """The oldest first."""
        self.unfinished: list[SegmentJob | ImportSegmentationJob] = []
        """Segmentations that were cancelled or cut short."""
        self._picked = ""
        self._generation = 0
        self.preview.switched_on.connect(self.regrouping.drop)
        self.regrouping.began.connect(lambda: self.preview.switch(False))
        workspace.session_changed.connect(self._on_session_changed)
        workspace.predictions_changed.connect(self.refresh)
        workspace.worker.changed.connect(self.refresh)
        workspace.segmentations_changed.connect(self.read_segmentations)
        workspace.segments.document_changed.connect(self.read_segmentations)
        workspace.jobs.added.connect(self._on_job_added)
        workspace.jobs.ended.connect(self._on_job_ended)
        self.refresh()

    # ---- predictions

    def refresh(self) -> None:
        """Read predictions and segmentations again."""
        session = self.workspace.session
        self.predictions = [] if session is None else list(reversed(session.predictions.records()))
        index = preferred_prediction(self.predictions, self._picked)
        self.prediction = self.predictions[index] if index >= 0 else None
        self.predictions_changed.emit()
        self.read_segmentations()
        self._read_facts(self.predictions)

    def choose(self, prediction: PredictionRecord | None) -> None:
        """Segment another prediction."""
        self.prediction = prediction
        self.facts_changed.emit()

    def pick(self, prediction: PredictionRecord | None) -> None:
        """Segment a prediction by the user's choice, also when newer ones come."""
        self._picked = "" if prediction is None else prediction.id
        self.choose(prediction)

    @property
    def chosen_index(self) -> int:
        """Index of the chosen prediction in `predictions`; -1 for none."""
        return -1 if self.prediction is None else self.predictions.index(self.prediction)

    @property
    def chosen_facts(self) -> PredictionFacts | None:
        """Facts of the chosen prediction; None before they were read."""
        return None if self.prediction is None else self.facts.get(self.prediction.id)

    @property
    def chosen_problem(self) -> PytcError | None:
        """Error of the chosen prediction; None if it can be read."""
        return None if self.prediction is None else self.problems.get(self.prediction.id)

    # ---- segmenting

    @property
    def is_segmenting(self) -> bool:
        """Whether a segmentation runs, or an import of one."""
        return bool(self.running or self.importing)

    @property
    def running(self) -> list[JobModel]:
        """Segmentations that run."""
        return [job for job in self.workspace.jobs.running if job.kind == "segment"]

    @property
    def importing(self) -> list[JobModel]:
        """Imports of segmentations that run."""
        return [job for job in self.workspace.jobs.running if job.kind == _IMPORT]

    @property
    def why_no_import(self) -> str:
        """Reason why no segmentation can be imported, as the rest of a sentence; empty if it can."""
        if self.workspace.locked_reason:
            return self.workspace.locked_reason
        if self.workspace.layers is None:
            return "the project's image was not found."
        return "a segmentation runs already." if self.is_segmenting else ""

    def import_segmentation(self, choices: ImportChoices) -> None:
        """Import labels of another program, which become the current segmentation."""
        self.preview.switch(False)
        self.workspace.launcher.start(
            _IMPORT,
            f"Import {choices.name}",
            lambda session: session.jobs.import_segmentation_job(**choices.arguments()),
        )

    def check_import(
        self,
        choices: ImportChoices,
        then: Callable[[], object],
        on_error: Callable[[PytcError], object],
        receiver: QObject,
    ) -> None:
        """Look in the helper thread whether the labels can be read and lie in the image, then call one of the two."""
        session = self.workspace.session
        if session is None:
            return

        def work() -> None:
            from napari_pytc.volumes.opening import open_labels

            labels = open_labels(choices.labels, choices.options)
            choices.transform().place(labels, session.strokes.store.shape, session.strokes.store.space)

        self.workspace.background.run(work, lambda result: then(), on_error, receiver=receiver)

    def describe_file(self, path: str, then: Callable[[VolumeInfo], object], receiver: QObject) -> None:
        """Look at a file in the helper thread, then call `then` with what is in it."""
        from napari_pytc.volumes.inspection import describe_volume

        self.workspace.background.run(
            lambda: describe_volume(path), then, self.workspace.failed.emit, receiver=receiver
        )

    def region(self, scope: Scope) -> Box | None:
        """The part of the volume to segment; None where it is not known."""
        session = self.workspace.session
        if session is None:
            return None
        return Box.of_shape(session.strokes.store.shape) if scope == "all" else self.workspace.drawn_box.find()

    def why_not(self, scope: Scope, problem: str) -> str:
        """Reason why nothing can be segmented, as the rest of a sentence; empty if it can.

        Parameters
        ----------
        problem : str
            Problem with the settings.
        """
        if self.workspace.locked_reason:
            return self.workspace.locked_reason
        if self.workspace.layers is None:
            return "the project's image was not found."
        if self.prediction is None:
            return "there is no prediction yet; make one first."
        if self.chosen_problem is not None:
            return "this prediction cannot be read."
        if problem:
            return problem
        if self.region(scope) is None:
            return "no box is drawn: press Draw, then drag a rectangle on the canvas."
        return "a segmentation runs already." if self.is_segmenting else ""

    def segment(self, choices: SegmentChoices, scope: Scope) -> None:
        """Segment a box or everything; a segmentation with the same settings that was cut short is resumed."""
        self.preview.switch(False)
        box = self.region("box") if scope == "box" else None
        self.workspace.launcher.start(
            "segment",
            f"Segment {_region_name(box)}",
            lambda session: session.jobs.segment_job(box=box, **choices.arguments()),
        )

    def resume(self) -> None:
        """Resume the segmentation that was cancelled or cut short; its finished blocks are kept."""
        if self.unfinished:
            job = self.unfinished[0]
            self.preview.switch(False)
            title = "Import labels" if job.kind == _IMPORT else f"Segment {_region_name(job.box)}"
            self.workspace.launcher.start(job.kind, f"{title} (resumed)", lambda session: job)

    def n_voxels(self, job: JobModel) -> int | None:
        """Number of voxels that a job segments; None if it is not known yet."""
        session, box = self.workspace.session, getattr(job.spec, "box", None)
        if box is None and session is not None and job.spec is not None:
            return Box.of_shape(session.strokes.store.shape).size
        return None if box is None else box.size

    def hide_trials(self, panel: object) -> None:
        """Remove trials from the canvas when the last panel is hidden."""
        self.preview.remove_watcher(panel)
        if not self.preview.is_watched:
            self.regrouping.drop()

    # ---- segmentations

    @property
    def locked_reason(self) -> str:
        """Reason why no segmentation can be used or deleted; empty if they can."""
        return self.workspace.locked_reason or ("a segmentation runs." if self.is_segmenting else "")

    @property
    def decoder_titles(self) -> dict[str, str]:
        """Names of decoders by kind."""
        return {kind: model.title for kind, model in self.decoders.items()} | {"imported": "Imported"}

    @property
    def unfinished_text(self) -> str:
        """The segmentation that can be resumed, in words; empty if there is none."""
        if not self.unfinished:
            return ""
        job = self.unfinished[0]
        if job.kind == _IMPORT:
            return "An import of labels was cut short; its finished blocks are kept."
        title = self.decoder_titles.get(job.decoder.kind, job.decoder.kind)
        return f"{title} of {job.prediction.stem} was cut short; its finished blocks are kept."

    def activate(self, segmentation: SegmentationInfo) -> None:
        """Make a segmentation the current one, off the window's thread."""
        session = self.workspace.session
        if session is not None:
            self.workspace.segments.do(lambda proofreader: session.segmentations.activate(segmentation.id))

    def delete(self, segmentation: SegmentationInfo) -> None:
        """Delete a segmentation and its edits from the disk."""
        session = self.workspace.session
        if session is not None:
            self.workspace.attempt(lambda: session.segmentations.delete(segmentation.id))
            self.workspace.background.run(session.project.empty_trash)

    def read_segmentations(self) -> None:
        """Read the list of segmentations in the helper thread; `segmentations_changed` is emitted when that is done."""
        session = self.workspace.session
        if session is None:
            self.segmentations, self.unfinished = [], []
            self.segmentations_changed.emit()
            return

        def read() -> _Segmentations:
            return session.segmentations.records(), session.segmentations.unfinished()

        def on_result(found: _Segmentations) -> None:
            if session is self.workspace.session:
                self.segmentations, self.unfinished = found
                self.segmentations_changed.emit()

        self.workspace.background.run(read, on_result, self.workspace.failed.emit, receiver=self)

    # ---- private

    def _read_facts(self, records: Sequence[PredictionRecord]) -> None:
        """Read the facts of predictions in the helper thread; an answer that was overtaken is dropped."""
        self._generation += 1
        generation, session = self._generation, self.workspace.session
        if session is None or not records:
            self.facts, self.problems = {}, {}
            self.facts_changed.emit()
            return

        def read() -> _Facts:
            from napari_pytc.decoding.base import DecoderSettings

            facts, problems = {}, {}
            for record in records:
                try:
                    facts[record.id] = read_facts(session, record)
                except PytcError as error:
                    problems[record.id] = error
            return facts, problems, DecoderSettings.variants()

        def on_result(found: _Facts) -> None:
            if generation == self._generation:
                self.facts, self.problems, self.decoders = found
                self.facts_changed.emit()

        self.workspace.background.run(read, on_result, self.workspace.failed.emit, receiver=self)

    def _on_session_changed(self) -> None:
        self._picked = ""
        self.refresh()

    def _on_job_added(self, job: JobModel) -> None:
        if job.kind in ("segment", _IMPORT):
            self.jobs_changed.emit()

    def _on_job_ended(self, job: JobModel) -> None:
        if job.kind in ("segment", _IMPORT):
            self.read_segmentations()
            self.jobs_changed.emit()


def _region_name(box: Box | None) -> str:
    return "the volume" if box is None else "the box"
