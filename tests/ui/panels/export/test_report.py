"""The report from the Export panel: written in the helper thread, told, opened."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from qtpy.QtGui import QDesktopServices
from qtpy.QtWidgets import QFileDialog

from napari_pytc.ui.panels.export.controller import ExportController
from napari_pytc.ui.panels.export.report import ReportSection
from tests.ui.panels.data.test_panel import Window, opened, window  # noqa: F401 fixtures


@pytest.fixture
def section(opened: Window) -> ReportSection:  # noqa: F811
    made = ReportSection(ExportController(opened.workspace), opened.panel)
    made.show()
    return made


def choose(monkeypatch: pytest.MonkeyPatch, path: Path | str) -> None:
    monkeypatch.setattr(QFileDialog, "getSaveFileName", lambda *_: (str(path), ""))


def test_it_is_written_and_opened(
    section: ReportSection,
    opened: Window,  # noqa: F811
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
) -> None:
    shown: list[Any] = []
    monkeypatch.setattr(QDesktopServices, "openUrl", lambda url: shown.append(url.toLocalFile()))
    choose(monkeypatch, tmp_path / "mine")
    assert section.open_button.isHidden()
    section.button.click()
    assert not section.button.isEnabled()
    assert section.text.text() == "Writing the report …"
    opened.until(lambda: section.button.isEnabled())
    assert (tmp_path / "mine.html").read_text(encoding="utf-8").startswith("<!DOCTYPE html>")
    assert section.text.text().endswith("mine.html")
    section.open_button.click()
    assert shown == [str(tmp_path / "mine.html")]


def test_a_name_that_cannot_be_is_reported(
    section: ReportSection,
    opened: Window,  # noqa: F811
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
) -> None:
    choose(monkeypatch, tmp_path / "missing" / "out.html")
    section.button.click()
    opened.until(lambda: opened.errors)
    assert "does not exist" in opened.errors[0].message
    assert section.button.isEnabled()
    assert section.open_button.isHidden()


def test_no_name_is_no_report_and_no_project_no_button(
    section: ReportSection,
    opened: Window,  # noqa: F811
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    choose(monkeypatch, "")
    section.button.click()
    assert section.button.isEnabled()
    opened.workspace.close_project()
    assert section.isHidden()
