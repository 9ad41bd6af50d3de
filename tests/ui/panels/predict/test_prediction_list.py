"""The list of predictions."""

from __future__ import annotations

from pathlib import Path

import pytest
from pytestqt.qtbot import QtBot

from napari_pytc.session.records import PredictionRecord
from napari_pytc.ui.panels.predict.prediction_list import PredictionList


@pytest.mark.parametrize(
    ("stamp", "line"),
    [
        ('{"turns": true}', "Test-time augmentation: 4 copies (turned), mean"),
        ('{"rotations": 3}', "Test-time augmentation of another version"),
    ],
)
def test_copies_are_told_also_where_another_version_made_them(qtbot: QtBot, stamp: str, line: str) -> None:
    record = PredictionRecord(
        id="p", volume="v1", model="m1", folder=Path("p.zarr"), box=None, flips=False, created="2026-01-01T10:00:00",
        state="finished", tta=stamp,
    )  # fmt: skip
    found = PredictionList()
    qtbot.addWidget(found)
    found.show_predictions([record], None, set(), "")
    assert line in found.tree.topLevelItem(0).toolTip(0).splitlines()
