"""report --truth."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.cli.conftest import Command, is_one_error


@pytest.mark.slow
def test_a_report_scores_the_segmentation_with_a_truth(cli: Command, segmented: Path, tmp_path: Path) -> None:
    assert cli("export", segmented, tmp_path / "truth.h5", "--what", "segments", "--json").code == 0
    assert cli("export", segmented, tmp_path / "truth.swc", "--what", "skeletons", "--json").code == 0
    page = tmp_path / "report.html"
    document = cli("report", segmented, page, "--truth", tmp_path / "truth.h5", "--json").document
    against = document["against_truth"]
    assert (against["instances"]["arand"], against["skeletons"]["nerl"]) == (0, 1)
    text = page.read_text(encoding="utf-8")
    for words in ("Segmentation against the truth", "adapted Rand error", "<td>1.000</td>"):
        assert words in text
    by_file = cli("report", segmented, page, "--truth", tmp_path / "truth.swc", "--overwrite", "--json").document
    assert by_file["against_truth"]["skeletons"]["nerl"] == 1
    assert "instances" not in by_file["against_truth"]
    assert is_one_error(cli("report", segmented, tmp_path / "b.html", "--truth", tmp_path / "no.swc"), "no.swc")
    assert not (tmp_path / "b.html").exists()
    assert "against the truth" not in _page(cli, segmented, tmp_path / "c.html")


def _page(cli: Command, project: Path, path: Path) -> str:
    assert cli("report", project, path, "--json").code == 0
    return path.read_text(encoding="utf-8")
