"""Controller of the models in the Train panel: use, rename, export, delete and compare them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from qtpy.QtCore import QObject, Signal

from napari_pytc.jobs.job import JobState
from napari_pytc.ui.tasks.job_board import JobModel
from napari_pytc.ui.widgets.record_text import short_date

if TYPE_CHECKING:
    from napari_pytc.pytc.translate import ImportedConfig
    from napari_pytc.session.records import ModelRecord
    from napari_pytc.session.session import Session
    from napari_pytc.ui.workspace import Workspace

_MARKS = {"better": "▲", "no different": "≈", "worse": "▼", "unknown": "?"}


@dataclass(frozen=True)
class Verdict:
    """Result of comparing the newest model with others, and the choices that follow from it.

    Parameters
    ----------
    mark : str
        One character.
    text : str
        The comparisons in words.
    state : str
        A sentence on the model that predicts.
    model : str
        Id of the newest model.
    former : str
        Id of the model that was in use before; empty where there is none.
    use_title, back_title : str
        Of the buttons that use the one or the other; empty where that is not offered.
    """

    mark: str
    text: str
    state: str
    model: str
    former: str
    use_title: str = ""
    back_title: str = ""


class ModelsController(QObject):
    """The models of the project that is open.

    Parameters
    ----------
    workspace : Workspace
        Its session has the models, its jobs make new ones.
    """

    changed = Signal()
    """Models are others, or another one is in use."""
    verdict_changed = Signal()

    def __init__(self, workspace: Workspace, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self.workspace = workspace
        self._newest = ""
        workspace.project_changed.connect(self._on_project_changed)
        workspace.models_changed.connect(self._on_models_changed)
        workspace.jobs.ended.connect(self._on_job_ended)

    @property
    def records(self) -> list[ModelRecord]:
        """All models, the oldest first."""
        session = self.workspace.session
        return [] if session is None else session.models.records()

    @property
    def active(self) -> ModelRecord | None:
        """The model that predicts by default."""
        return next((record for record in self.records if record.active), None)

    def why_not(self, name: str, selected: Sequence[ModelRecord]) -> str:
        """Reason why "activate", "rename", "compare", "export" or "delete" cannot be done; empty if it can."""
        session = self.workspace.session
        if session is None:
            return "no project is open."
        if session.project.read_only and name not in ("compare", "export"):
            return "the project is open for reading only."
        if name == "compare":
            if len(selected) != 2:
                return "select two models."
            return "one of them is damaged." if any(record.problem for record in selected) else ""
        if name == "delete":
            return "" if selected else "select a model."
        if len(selected) != 1:
            return "select one model."
        if selected[0].problem:
            return f"the model is damaged: {selected[0].problem}"
        return "it is active already." if name == "activate" and selected[0].active else ""

    def activate(self, model: str) -> None:
        """Predict with a model from now on."""
        self._change(lambda session: session.models.activate(model))

    def rename(self, model: str, name: str) -> None:
        """Give a model another name."""
        self._change(lambda session: session.models.rename(model, name))

    def export(self, model: str, destination: Path) -> None:
        """Copy a model's folder, off the window's thread."""
        session = self.workspace.session
        if session is not None:
            self.workspace.background.run(
                lambda: session.models.export(model, destination),
                lambda path: self.workspace.viewer.show_status(f"Copied the model to {path}."),
                self.workspace.failed.emit,
            )

    def why_not_import(self) -> str:
        """Reason why no model can be imported; empty if one can."""
        session = self.workspace.session
        if session is None:
            return "no project is open."
        return "the project is open for reading only." if session.project.read_only else ""

    def import_model(self, config: ImportedConfig, checkpoint: Path) -> None:
        """Make a model of a checkpoint of PyTorch Connectomics, in the worker."""
        title = f"Import {checkpoint.name}"
        self.workspace.launcher.start(
            "import_model", title, lambda session: session.jobs.import_model_job(config, checkpoint)
        )

    def delete(self, models: Sequence[str]) -> None:
        """Delete models for good."""
        session = self.workspace.session
        if session is not None:
            for model in models:
                self._delete(model)
            self.workspace.background.run(session.project.empty_trash)

    # ---- the newest model

    @property
    def verdict(self) -> Verdict | None:
        """Result of comparing the newest model with others; None where there is no other."""
        records = {record.id: record for record in self.records}
        record = records.get(self._newest)
        if record is None or not record.comparisons:
            return None
        names = model_names(records.values())
        refusal = record.refusal
        used = next((names[one.id] for one in records.values() if one.active), "")
        # Back to what was in use before, which is the last that was compared.
        former = next((one.baseline for one in reversed(record.comparisons) if one.baseline in records), "")
        if record.active:
            state = "The new model predicts from now on."
        elif refusal is not None:
            state = f"It is not put to use: “{used}” goes on predicting."
        else:
            state = f"“{used}” goes on predicting, as it was chosen."
        shown = record.comparisons if refusal is None else [refusal]
        return Verdict(
            mark=_MARKS[shown[0].verdict],
            text="\n".join(one.told(f"“{names.get(one.baseline, one.baseline)}”") for one in shown),
            state=state,
            model=record.id,
            former=former,
            use_title="" if record.active else "Use the new model" if refusal is None else "Use it all the same",
            back_title=f"Go back to {names[former]}" if record.active and former else "",
        )

    def show_verdict(self, model: str) -> None:
        """Show the verdict on a model by its id; empty for none."""
        self._newest = model
        self.verdict_changed.emit()

    # ---- private

    def _delete(self, model: str) -> None:
        self._change(lambda session: session.models.delete(model))

    def _change(self, change: Callable[[Session], Any]) -> None:
        session = self.workspace.session
        if session is not None:
            self.workspace.attempt(lambda: change(session))
            # Also after an error: lists show what is so.
            self.workspace.models_changed.emit()

    def _on_project_changed(self) -> None:
        self.changed.emit()
        self.show_verdict("")

    def _on_models_changed(self) -> None:
        self.changed.emit()
        self.verdict_changed.emit()

    def _on_job_ended(self, job: JobModel) -> None:
        if job.kind in ("train", "live") and job.state is JobState.FINISHED and job.result.get("model"):
            self.show_verdict(str(job.result["model"]))
        elif job.kind == "train":
            self.show_verdict("")


def short_name(record: ModelRecord) -> str:
    """The name of a model, without the date of a default name."""
    return record.name.split("-", 2)[-1] if record.name == record.id and record.created else record.name


def model_names(records: Collection[ModelRecord]) -> dict[str, str]:
    """Short names of models by id; those that are alike with the time of training."""
    names = {record.id: short_name(record) for record in records}
    n_alike = Counter(names.values())
    return {
        record.id: f"{names[record.id]} of {short_date(record.created)}"
        if n_alike[names[record.id]] > 1
        else names[record.id]
        for record in records
    }


def read_curves(session: Session, model: str) -> dict[str, list[tuple[int, float]]]:
    """Read the curves of the training that made a model; empty if the project has none."""
    runs = [run for run in session.jobs.runs() if run.kind == "train" and run.subject == model]
    curves: dict[str, list[tuple[int, float]]] = {}
    for run in runs:
        # A resumed training has several runs, whose steps go on.
        for point in session.jobs.metrics(run.id):
            curves.setdefault(point.name, []).append((point.step, point.value))
    return {name: sorted(points) for name, points in curves.items()}
