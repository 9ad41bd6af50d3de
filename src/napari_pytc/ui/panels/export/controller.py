"""Controller of the Export panel: preview of a file, its export and display, and the report."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from qtpy.QtCore import QObject, QTimer, Signal

from napari_pytc.errors import PytcError
from napari_pytc.exporting.options import OF_SEGMENTS, What
from napari_pytc.geometry import Box
from napari_pytc.jobs.job import JobState
from napari_pytc.ui.canvas.arrays import FileArray
from napari_pytc.ui.canvas.viewer.port import LayerStyle
from napari_pytc.ui.panels.export.export_preview import ExportForecast, ExportRequest, forecast
from napari_pytc.ui.tasks.job_board import JobModel
from napari_pytc.ui.workspace import Workspace

if TYPE_CHECKING:
    from napari_pytc.session.records import PredictionRecord, SegmentationInfo
    from napari_pytc.volumes.source import ImageSource

Region = Literal["predicted", "drawn", "all"]

FORECASTING = "looking at what is exported and the disk."
_WAIT_MS = 200
"""Delay of the preview after the last key that was typed."""
_NO_BOX = "no box is drawn: press Draw, then drag a rectangle on the canvas."
_EXISTS = "there is a file of this name: tick Replace, or choose another name."


@dataclass(frozen=True)
class ExportChoices:
    """Settings in the fields of the panel.

    Parameters
    ----------
    record : PredictionRecord or SegmentationInfo, optional
        The record to write; None where there is none, and for the image.
    path : str
        As it was typed.
    region : "predicted", "drawn" or "all"
        Its own box, the drawn box, or the whole volume.
    options : dict
        Fields of `ExportJob` that the format uses.
    """

    what: What
    record: PredictionRecord | SegmentationInfo | None = None
    path: str = ""
    region: Region = "all"
    overwrite: bool = False
    options: dict[str, Any] = field(default_factory=dict)

    @property
    def is_of_segments(self) -> bool:
        """Whether a segmentation is meant, and no prediction."""
        return self.what in OF_SEGMENTS

    @property
    def is_missing(self) -> bool:
        """Whether there is nothing to write; the image is there in every project."""
        return self.record is None and self.what != "image"


def _itself(layer: Any) -> Any:
    return layer


class ExportController(QObject):
    """Predictions and segmentations of the project that is open, on their way to files.

    Parameters
    ----------
    workspace : Workspace
        The workspace of the project; also the Qt parent.
    """

    session_changed = Signal()
    predictions_changed = Signal()
    segmentations_found = Signal(list)
    """All `SegmentationInfo` of the project, the oldest first."""
    forecast_changed = Signal()
    """`request`, `forecast` or `reason` is another one."""
    written = Signal(object)
    """The `JobModel` of an export that is finished."""
    ended = Signal()
    """An export has ended, with or without success."""

    def __init__(self, workspace: Workspace) -> None:
        super().__init__(workspace)
        self.workspace = workspace
        self.jobs = workspace.jobs
        self.choices = ExportChoices("classes")
        self.forecast: ExportForecast | None = None
        """Preview of the export; None until it was read from the disk."""
        self._generation = 0
        self._timer = QTimer(self)
        self._timer.setSingleShot(True)
        self._timer.setInterval(_WAIT_MS)
        self._timer.timeout.connect(self.find_forecast)
        workspace.session_changed.connect(self.session_changed)
        workspace.predictions_changed.connect(self.predictions_changed)
        for signal in (workspace.segmentations_changed, workspace.segments.document_changed):
            signal.connect(self.find_segmentations)
        self.jobs.ended.connect(self._on_ended)

    # ---- predictions and segmentations

    @property
    def has_project(self) -> bool:
        """Whether a project is open."""
        return self.workspace.session is not None

    def predictions(self) -> list[PredictionRecord]:
        """All predictions, the oldest first."""
        session = self.workspace.session
        return [] if session is None else session.predictions.records()

    def channels(self) -> dict[int, str]:
        """What the channels of the image are called, by their numbers in the file; empty where it has one."""
        session = self.workspace.session
        return {} if session is None or self.workspace.layers is None else session.image.several_channels

    def find_segmentations(self) -> None:
        """Read the segmentations from the disk; `segmentations_found` brings them."""
        session, workspace = self.workspace.session, self.workspace

        def take(found: list[SegmentationInfo]) -> None:
            if session is workspace.session:
                self.segmentations_found.emit(found)

        if session is not None:
            workspace.background.run(session.segmentations.records, take, workspace.failed.emit, receiver=self)

    def suggested_path(self, what: What, record: PredictionRecord | SegmentationInfo | None, suffix: str) -> str:
        """A file beside the project, named after the data to write; empty where there is none."""
        session = self.workspace.session
        if session is None or (record is None and what != "image"):
            return ""
        name = f"{session.folder.stem}-image" if record is None else record.id
        return str(session.folder.parent / f"{name}{suffix}")

    @property
    def suggested_report(self) -> Path | None:
        """A page beside the project."""
        session = self.workspace.session
        return None if session is None else session.folder.parent / f"{session.folder.stem}-report.html"

    @property
    def running(self) -> list[JobModel]:
        """The exports that run or wait."""
        return [job for job in self.jobs.running if job.kind == "export"]

    # ---- the file to write

    def choose(self, choices: ExportChoices) -> None:
        """Set the choices, and preview their file soon."""
        self.choices = choices
        self.forecast = None
        self._generation += 1
        self._timer.start()
        self.forecast_changed.emit()

    @property
    def box(self) -> Box | None:
        """The box of the volume to write; None for all of it, and where no box is drawn."""
        choices = self.choices
        if choices.region == "predicted":
            return None if choices.record is None else choices.record.box
        return self.workspace.drawn_box.find() if choices.region == "drawn" else None

    @property
    def request(self) -> ExportRequest | None:
        """The export that the fields describe; None while something is missing."""
        choices, path, box = self.choices, self.choices.path.strip(), self.box
        if choices.is_missing or not path or (choices.region == "drawn" and box is None):
            return None
        options = {"box": box, "overwrite": choices.overwrite, **choices.options}
        name = None if choices.record is None else choices.record.id
        is_of_segments = choices.is_of_segments
        return ExportRequest(
            choices.what,
            Path(path).expanduser().absolute(),
            prediction=None if is_of_segments else name,
            segmentation=name if is_of_segments else None,
            options=options,
        )

    @property
    def reason(self) -> str:
        """Reason why it cannot be written now, as the rest of a sentence; empty if it can."""
        choices = self.choices
        if choices.is_missing:
            return "there is no segmentation yet." if choices.is_of_segments else "there is no prediction."
        if not choices.path.strip():
            return "no file is named."
        if choices.region == "drawn" and self.box is None:
            return _NO_BOX
        if self.forecast is None:
            return FORECASTING
        if self.forecast.exists and not choices.overwrite:
            return _EXISTS
        return self.forecast.reason

    def find_forecast(self) -> None:
        """Preview the export in the helper thread; `forecast_changed` is emitted once the preview is there."""
        request, session, generation = self.request, self.workspace.session, self._generation
        if request is None or session is None:
            return

        def take(found: ExportForecast) -> None:
            if generation == self._generation:
                self.forecast = found
                self.forecast_changed.emit()

        workspace = self.workspace
        workspace.background.run(lambda: forecast(session, request), take, workspace.failed.emit, receiver=self)

    # ---- buttons

    def export(self) -> None:
        """Start the export that the fields describe."""
        request = self.request
        if request is not None:
            launcher = self.workspace.launcher
            launcher.export(request.what, request.path, request.prediction, **request.arguments())

    def show_file(self, job: JobModel) -> None:
        """Open the file of an export as layers, read where napari shows it."""
        path, workspace = Path(job.result["output"]), self.workspace
        dataset, what = job.result.get("dataset", ""), getattr(job.spec, "what", "")
        where = f"{path}:{dataset}" if dataset else str(path)
        shape = job.result["shape"]

        def open_file() -> ImageSource:
            from napari_pytc.volumes.image import open_image
            from napari_pytc.volumes.spec import ReadOptions

            return open_image(where, ReadOptions(channel=None if len(shape) == 3 else "all"))

        def add(image: ImageSource) -> None:
            if what == "image":
                self._show_image(image, path.name)
            elif len(shape) == 3:
                style = LayerStyle(path.name, "export", opacity=0.5, by_id=what == "segments")
                workspace.viewer.add_labels(FileArray(image.channels[0]), image.space, style)
            else:
                for number, channel in enumerate(image.channels):
                    style = LayerStyle(
                        f"{path.name} [{number}]", "export", visible=number == 0, contrast_limits=(0.0, 255.0)
                    )
                    workspace.viewer.add_image(FileArray(channel), image.space, style)

        workspace.background.run(open_file, add, workspace.failed.emit)

    def _show_image(self, image: ImageSource, name: str) -> None:
        """Show an exported image, of several channels a layer each in its colour."""
        from napari_pytc.ui.canvas.contrast import find_contrast, widest
        from napari_pytc.volumes.channel_colours import channel_colour
        from napari_pytc.volumes.image import channel_titles

        viewer, n = self.workspace.viewer, image.n_channels
        for place, (channel, title) in enumerate(zip(image.channels, channel_titles(image), strict=True)):
            style = LayerStyle(
                f"{name}: {title}" if n > 1 else name,
                "export",
                channel_colour(place, n, title) if n > 1 else None,
                contrast_limits=widest(channel),
                blending="additive" if n > 1 else None,
            )
            layer = viewer.add_image(FileArray(channel), image.space, style)
            find_contrast(viewer, channel, partial(_itself, layer), self.workspace.background)

    def write_report(self, path: Path, then: Callable[[int | None], object], receiver: QObject) -> None:
        """Write a page about the project in the helper thread; one that is there is replaced.

        Parameters
        ----------
        then : callable
            Gets the bytes of the page, None where it could not be written; not called once another project is open.
        """
        session, workspace = self.workspace.session, self.workspace
        if session is None:
            return

        def work() -> int:
            from napari_pytc.report import write_report

            write_report(session, path, overwrite=True)
            return path.stat().st_size

        def end(n_bytes: int | None) -> None:
            if workspace.session is session:
                then(n_bytes)

        def fail(error: PytcError) -> None:
            end(None)
            workspace.failed.emit(error)

        workspace.background.run(work, end, fail, receiver=receiver)

    # ---- private

    def _on_ended(self, job: JobModel) -> None:
        if job.kind == "export":
            if job.state == JobState.FINISHED:
                self.written.emit(job)
            self.ended.emit()
