"""Effort of people, from entries of a journal."""

from __future__ import annotations

from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from napari_pytc.geometry import Box
from napari_pytc.proofreading.journal.journal_file import Entry
from napari_pytc.report.effort import active_minutes, edits_by_kind, effort_of


def entry(id: int, **changes: Any) -> Entry:
    usual: dict[str, Any] = {
        "id": id, "title": "Merge 1 and 2", "kind": "merge", "time": 10.0 * id, "box": Box((0, 0, 0), (1, 1, 1)),
        "segments": (1, 2), "n_voxels": 100, "is_undone": False, "checkpoint": "", "target": "segments",
        "segmentation": "s1", "sealed": "",
    }  # fmt: skip
    return Entry(**(usual | changes))


STROKE = {"kind": "scribble", "title": "Stroke of membrane", "target": "annotations"}


def test_strokes_imports_and_edits_are_counted_apart() -> None:
    found = effort_of(
        [
            entry(1, **STROKE),
            entry(2, **STROKE, is_undone=True),
            entry(3, **{**STROKE, "title": "Import of labels.h5"}),
            entry(4, **{**STROKE, "target": "objects"}),
            entry(5),
            entry(6, is_undone=True),
            entry(7, kind="switch"),
        ]
    )
    counts = {key: found[key] for key in ("n_strokes", "n_imports", "n_edits", "n_taken_back")}
    assert counts == {"n_strokes": 2, "n_imports": 1, "n_edits": 1, "n_taken_back": 2}
    assert (found["first"], found["last"]) == ("1970-01-01T00:00:10+00:00", "1970-01-01T00:01:10+00:00")
    assert found["minutes_painting"] * 60 == 5 + 30  # imports took no painting
    assert found["minutes_proofreading"] * 60 == 5 + 10


def test_a_journal_without_entries_has_no_dates() -> None:
    found = effort_of([])
    assert found["first"] is found["last"] is None
    assert found["minutes_painting"] == found["minutes_proofreading"] == 0


def test_kinds_of_edits_are_sorted_by_how_many_are_in_effect() -> None:
    rows = edits_by_kind([entry(1), entry(2, kind="split"), entry(3, kind="split"), entry(4, is_undone=True)])
    assert rows == [
        {"kind": "split", "n": 2, "n_taken_back": 0, "n_voxels": 200},
        {"kind": "merge", "n": 1, "n_taken_back": 1, "n_voxels": 100},
    ]


@given(st.lists(st.floats(0, 1e6), max_size=20))
def test_minutes_lie_between_the_first_act_and_the_whole_time(times: list[float]) -> None:
    minutes = active_minutes(times)
    if not times:
        assert minutes == 0
        return
    assert minutes >= 5 / 60
    assert minutes <= (max(times) - min(times) + 5 * len(times)) / 60 + 1e-9
    assert minutes == active_minutes(sorted(times, reverse=True))
