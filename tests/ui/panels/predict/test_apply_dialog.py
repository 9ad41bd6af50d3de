"""A model applied to other files from the Predict panel."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tifffile
from pytestqt.qtbot import QtBot
from qtpy.QtWidgets import QFileDialog, QLabel

from napari_pytc.batch.inputs import STATE
from napari_pytc.batch.jobs import ApplyJob, BatchInput
from napari_pytc.errors import InvalidInput, PytcError
from napari_pytc.jobs.events import Finished
from napari_pytc.plans.plan import PredictPlan
from napari_pytc.plans.prediction_defaults import PredictionDefaults
from napari_pytc.plans.test_time import TtaSettings
from napari_pytc.plans.windows import WindowSettings
from napari_pytc.ui.panels.predict.apply_dialog import ApplyChoices, ApplyDialog
from napari_pytc.ui.panels.predict.controller import PredictController
from napari_pytc.ui.panels.predict.panel import PredictPanel
from napari_pytc.ui.widgets.layout import order_tabs
from napari_pytc.volumes.spec import ReadOptions
from tests.session.models import make_model
from tests.support.workspaces import FakeWorkspace, model

JOB = ApplyJob(model=Path("/m"), inputs=(BatchInput(path="a.tif", output="a_classes.tif"),), folder=Path("/out"))


class Check:
    """What describes the job: keeps what it was asked, and answers with the job or an error."""

    def __init__(self) -> None:
        self.asked: list[ApplyChoices] = []
        self.error: PytcError | None = None

    def __call__(
        self, choices: ApplyChoices, then: Callable[[Any], object], on_error: Callable[[PytcError], object]
    ) -> None:
        self.asked.append(choices)
        if self.error is None:
            then(JOB)
        else:
            on_error(self.error)


def test_channels_and_how_to_read_the_files(dialog: ApplyDialog, check: Check, tmp_path: Path, qtbot: QtBot) -> None:
    data = np.zeros((3, 4, 20, 20), np.uint8)
    tifffile.imwrite(tmp_path / "a.tif", data, metadata={"axes": "CZYX"}, photometric="minisblack")
    folder = make_model(tmp_path / "m2")
    dialog.add_inputs([str(tmp_path / "a.tif")])
    dialog.channels.setText("a")
    with pytest.raises(InvalidInput, match="several with commas, or all") as caught:
        replace(dialog.choices, model=folder).describe()
    check.error = caught.value
    dialog.apply_button.click()
    assert "“Channel” is a number from 0" in dialog.notice.text
    dialog.channels.setText("0,2")
    dialog.reading.form.set_value(ReadOptions(time=1))
    dialog.reading.form.changed.emit()
    check.error = None
    dialog.apply_button.click()
    job = replace(check.asked[-1], model=folder).describe()
    assert (job.options.channel, job.options.time) == ((0, 2), 1)
    assert replace(check.asked[-1], model=folder, channels="").describe().options.channel is None


@pytest.fixture
def check() -> Check:
    return Check()


@pytest.fixture
def dialog(qtbot: QtBot, check: Check) -> ApplyDialog:
    dialog = ApplyDialog([model("m2", active=True), model("m1")], check)
    qtbot.addWidget(dialog)
    return dialog


@pytest.fixture
def panel(workspace: FakeWorkspace, qtbot: QtBot, tmp_path: Path) -> PredictPanel:
    panel = PredictPanel(PredictController(workspace))  # type: ignore[arg-type]
    qtbot.addWidget(panel)
    panel.show()
    session = workspace.open(tmp_path / "a.pytc")
    session.model_records = [model("m1", active=True)]
    workspace.models_changed.emit()
    return panel


def test_the_choices_are_those_of_the_job(dialog: ApplyDialog, check: Check) -> None:
    assert not dialog.apply_button.isEnabled()
    dialog.add_inputs(["/data/a.tif", "/data/b.tif", "/data/a.tif"])
    assert dialog.folder.text() == "/data/napari-pytc-results"
    dialog.what.setCurrentIndex(2)
    dialog.format.setCurrentIndex(1)
    for box in (dialog.sections, dialog.overwrite):
        box.setChecked(True)
    dialog.apply_button.click()
    first = model("m2", active=True).folder
    assert check.asked == [
        ApplyChoices(first, ("/data/a.tif", "/data/b.tif"), "/data/napari-pytc-results", "segments", "h5", True, True)
    ]
    assert dialog.job == JOB


def test_the_scores_of_the_chosen_model_stand_below_it(qtbot: QtBot, check: Check) -> None:
    scored = model("m1").model_copy(update={"scores": {"mean": 0.9, "dice": {"a": 0.9}, "n_voxels": 12}})
    dialog = ApplyDialog([model("m2", active=True), scored], check)
    qtbot.addWidget(dialog)
    dialog.model.setCurrentIndex(1)
    assert dialog.model.currentText() == "m1 · Dice 0.90"
    assert "Dice <b>0.900</b>" in [label.text() for label in dialog.scores.findChildren(QLabel)]


def test_a_model_of_windows_takes_their_settings(qtbot: QtBot, check: Check, tmp_path: Path) -> None:
    of_windows = model("m1").model_copy(update={"tiling": "overlapping windows of 16 x 32 x 32"})
    dialog = ApplyDialog([model("m2", active=True), of_windows], check)
    qtbot.addWidget(dialog)
    dialog.show()
    dialog.add_inputs(["/data/a.tif"])
    assert not dialog.windows.isVisible()
    assert dialog.choices.windows is None
    dialog.model.setCurrentIndex(1)
    assert dialog.windows.isVisible()
    assert dialog.windows.form is not None
    chosen = WindowSettings(overlap=0.25, average="logits", shape=(8, 16, 16))
    dialog.windows.form.set_value(chosen)
    dialog.apply_button.click()
    (asked,) = check.asked
    assert asked.windows == chosen
    (tmp_path / "a.npy").write_bytes(b"\x93NUMPY")
    described = replace(asked, model=make_model(tmp_path / "m"), inputs=(str(tmp_path / "a.npy"),)).describe()
    assert described.plan == PredictPlan(windows=chosen)
    dialog.model.setCurrentIndex(0)
    assert not dialog.windows.isVisible()
    assert dialog.choices.windows is None


def test_copies_and_what_a_model_brings_along_are_those_of_the_job(qtbot: QtBot, check: Check, tmp_path: Path) -> None:
    brought = PredictionDefaults(flips=True, tta=TtaSettings(combine="min"))
    imported = model("m1").model_copy(update={"prediction": brought.model_dump(mode="json")})
    dialog = ApplyDialog([model("m2", active=True), imported], check)
    qtbot.addWidget(dialog)
    dialog.show()
    dialog.add_inputs(["/data/a.tif"])
    assert dialog.choices.tta is None
    dialog.model.setCurrentIndex(1)
    assert dialog.choices.tta == TtaSettings(flips="all", combine="min")
    assert dialog.copies.form is not None
    dialog.copies.form.set_value(TtaSettings(scales=(0.75, 1)))
    dialog.apply_button.click()
    (asked,) = check.asked
    (tmp_path / "a.npy").write_bytes(b"\x93NUMPY")
    described = replace(asked, model=make_model(tmp_path / "m"), inputs=(str(tmp_path / "a.npy"),)).describe()
    assert described.plan.copies == TtaSettings(scales=(0.75, 1))


def test_the_tab_key_walks_through_the_fields_that_scroll(dialog: ApplyDialog) -> None:
    dialog.show()
    order_tabs(dialog)
    fields = [dialog.model, dialog.files, dialog.sections, dialog.what, dialog.folder, dialog.overwrite]
    wanted = [*fields, dialog.apply_button]
    walked: list[object] = []
    at = dialog.model
    for _ in range(200):
        if at in wanted and at not in walked:
            walked.append(at)
        at = at.nextInFocusChain()
    assert [wanted.index(one) for one in walked] == list(range(len(wanted)))


def test_results_of_earlier_runs_are_left_out_until_they_are_wanted(
    dialog: ApplyDialog, check: Check, tmp_path: Path
) -> None:
    (tmp_path / STATE).mkdir()
    (tmp_path / STATE / "a.npy.json").write_text("{}")
    np.save(tmp_path / "a.npy", np.zeros((2, 3, 4), np.uint8))
    dialog.add_inputs([str(tmp_path / "a.npy")])
    folder = make_model(tmp_path / "m")
    with pytest.raises(InvalidInput, match="nothing to apply") as caught:
        replace(dialog.choices, model=folder).describe()
    check.error = caught.value
    dialog.apply_button.click()
    assert "“Also results of earlier runs”" in dialog.notice._hint.text()
    dialog.include_results.setChecked(True)
    job = replace(dialog.choices, model=folder).describe()
    assert [item.path for item in job.inputs] == [str(tmp_path / "a.npy")]


def test_files_and_folders_are_picked_and_removed(dialog: ApplyDialog, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(QFileDialog, "getOpenFileNames", lambda *a: (["/d/a.tif", "/d/b.tif"], ""))
    monkeypatch.setattr(QFileDialog, "getExistingDirectory", lambda *a: "/d/stacks")
    dialog._pick_files()
    dialog._pick_folder()
    dialog._choose_folder()
    assert dialog.choices.inputs == ("/d/a.tif", "/d/b.tif", "/d/stacks")
    assert dialog.folder.text() == "/d/stacks"
    dialog.files.item(1).setSelected(True)  # type: ignore[union-attr]
    dialog.remove_button.click()
    assert dialog.choices.inputs == ("/d/a.tif", "/d/stacks")


def test_what_does_not_fit_is_explained_in_the_dialog(dialog: ApplyDialog, check: Check) -> None:
    check.error = PytcError("There is no file a.tif.", "Check the path.")
    dialog.add_inputs(["a.tif"])
    dialog.apply_button.click()
    assert dialog.job is None
    assert dialog.notice.text == "There is no file a.tif."
    assert dialog.apply_button.isEnabled()


def test_the_choices_describe_a_job(tmp_path: Path) -> None:
    folder = make_model(tmp_path / "m")
    (tmp_path / "a.npy").write_bytes(b"\x93NUMPY")
    job = ApplyChoices(
        folder, (str(tmp_path / "a.npy"),), str(tmp_path / "out"), tta=TtaSettings(turns=True)
    ).describe()
    assert (job.model, job.what, job.plan.copies) == (folder, "classes", TtaSettings(turns=True))
    assert [item.output for item in job.inputs] == ["a_classes.tif"]


def test_the_panel_starts_the_batch_and_shows_what_became_of_it(
    panel: PredictPanel, workspace: FakeWorkspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ApplyDialog, "exec", lambda self: setattr(self, "job", JOB) or True)
    panel.other_button.click()
    assert workspace.calls[-1] == ("apply", "Apply to 1 file", JOB)
    _, sink = workspace.start("apply", "Apply to 1 file", JOB)
    (row,) = panel.rows.rows
    result = {"rows": [{}, {}], "n_done": 1, "n_done_before": 0, "n_failed": 1, "folder": "/out"}
    sink(Finished(job="j1", result=result))
    workspace.jobs.drain()
    assert "1 of 2 files in /out" in row.status.text()
    assert "1 failed" in row.status.text()


def test_without_a_model_there_is_nothing_to_apply(panel: PredictPanel, workspace: FakeWorkspace) -> None:
    assert workspace.session is not None
    workspace.session.model_records = []
    workspace.models_changed.emit()
    assert not panel.other_button.isEnabled()
    assert "no model yet" in panel.other_button.toolTip()
