"""The report of a project from the command line."""

from __future__ import annotations

from pathlib import Path

from tests.cli.conftest import Command, is_one_error


def test_a_report_of_a_whole_project(cli: Command, segmented: Path, tmp_path: Path) -> None:
    target = tmp_path / "out.html"
    ended = cli("report", segmented, target, "--json")
    assert ended.code == 0, ended.out
    document = ended.document
    assert document["page"] == str(target)
    assert [one["state"] for one in document["predictions"]] == ["finished"]
    (segmentation,) = document["segmentations"]
    text = target.read_text(encoding="utf-8")
    assert len(text.encode()) == document["bytes"]
    assert segmentation["checksum"][:12] in text
    for title in ("Raw", "Strokes", "Prediction: the most probable class", "Segments"):
        assert f"<figcaption>{title}</figcaption>" in text
    assert "--decoder" in text
    assert is_one_error(cli("report", segmented, target), "already")
    assert "open it in any browser" in cli("report", segmented, target, "--overwrite").out


def test_no_project_is_no_report(cli: Command, tmp_path: Path) -> None:
    assert is_one_error(cli("report", tmp_path / "none.pytc", tmp_path / "out.html"))
