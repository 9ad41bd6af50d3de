"""Replies as text for people and as one JSON document."""

from __future__ import annotations

import io
import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest
from rich.console import Console

from napari_pytc.cli.output import Output, Reply, bytes_text, shape_text, table, voxel_text
from napari_pytc.cli.sessions import models_table, score_rows, scores_text
from napari_pytc.geometry import Box
from napari_pytc.jobs.events import Progressed


def shown(renderable: object) -> list[str]:
    """The lines of a renderable, without spaces at their ends."""
    console = Console(width=200, file=io.StringIO())
    console.print(renderable)
    return [line.rstrip() for line in console.file.getvalue().splitlines() if line.strip()]  # type: ignore[attr-defined]


def test_json_has_values_of_numpy_paths_and_boxes_and_no_nan(capsys: pytest.CaptureFixture[str]) -> None:
    document = {
        "path": Path("a") / "b",
        "box": Box((0, 0, 0), (1, 2, 3)),
        "n": np.int64(3),
        "share": np.float32(0.5),
        "none": None,
        "bad": [float("nan"), float("inf")],
        1: (True, "text"),
    }
    Output(as_json=True).answer(Reply(document, "for people"))
    assert json.loads(capsys.readouterr().out) == {
        "path": str(Path("a") / "b"), "box": "0:1,0:2,0:3", "n": 3, "share": 0.5, "none": None,
        "bad": [None, None], "1": [True, "text"],
    }  # fmt: skip


def test_people_get_the_text_and_no_json(capsys: pytest.CaptureFixture[str]) -> None:
    output = Output()
    output.answer(Reply({"a": 1}, "for [bold]people[/bold]"))
    output.answer(Reply({"a": 1}))
    output.warn("memory is low")
    streams = capsys.readouterr()
    assert streams.out == "for [bold]people[/bold]\n"
    assert streams.err == "Note: memory is low\n"


def test_an_error_is_one_line_with_a_hint_and_json_where_that_was_asked_for(
    capsys: pytest.CaptureFixture[str],
) -> None:
    Output(command="napari-pytc train").error("It\nfailed.")
    assert capsys.readouterr().err == "Error: It failed.\nHint: `napari-pytc train --help` shows what it takes.\n"
    Output(as_json=True).error("It failed.", "Try\nagain.")
    assert json.loads(capsys.readouterr().out) == {"error": "It failed.", "hint": "Try again."}


@pytest.mark.parametrize(
    ("n_bytes", "text"),
    [(0, "0 B"), (999, "999 B"), (1000, "1.0 kB"), (2_340_000, "2.3 MB"), (5e9, "5.0 GB"), (7.2e15, "7200.0 TB")],
)
def test_sizes_are_in_powers_of_a_thousand(n_bytes: float, text: str) -> None:
    assert bytes_text(n_bytes) == text


def test_shapes_and_voxel_sizes_are_read_by_people() -> None:
    assert shape_text((12, 48, 40)) == "12 x 48 x 40"
    assert voxel_text((40, 10, 9.5)) == "40 x 10 x 9.5 nm"
    assert voxel_text(None) == "not known"


def test_a_table_has_numbers_to_the_right_and_a_dash_for_nothing() -> None:
    made = table("Classes", ("name", "Dice"), [("[a]", 0.12345), ("b", None)])
    assert [column.justify for column in made.columns] == ["left", "right"]
    lines = shown(made)
    assert any("[a]" in line and line.split("│")[2].strip() == "0.123" for line in lines)
    assert any(line.split("│")[2].strip() == "-" for line in lines if "│ b" in line)


def test_scores_are_those_of_classes_that_have_one() -> None:
    scores = {"dice": {"membrane": 0.5, "inside": None}, "iou": {"membrane": 0.25}}
    assert scores_text(scores) == "membrane 0.500"
    assert score_rows(scores) == [("membrane", 0.5, 0.25), ("inside", None, None)]
    several = {**scores, "volumes": {"a": {"dice": {"membrane": 0.4}, "iou": {"membrane": 0.2}}}}
    assert score_rows(several) == [*score_rows(scores), ("a: membrane", 0.4, 0.2)]
    assert (scores_text({}), score_rows({})) == ("-", [])


def model(**changes: object) -> dict[str, object]:
    usual = {
        "id": "m1", "name": "m1", "active": False, "created": "2025-01-02T03:04:05+00:00", "recipe": "fast",
        "parent": None, "problem": "", "tiling": "exact tiles",
        "scores": {"mean": 0.8, "dice": {"membrane": 0.8}, "interval": [0.7, 0.9]},
    }  # fmt: skip
    return usual | changes


def test_the_table_of_models_leaves_out_columns_that_say_nothing() -> None:
    header = " ".join(shown(models_table([model(active=True)])))
    for word in ("*", "m1", "2025-01-02 03:04", "fast", "membrane 0.800", "0.700-0.900"):
        assert word in header
    for absent in ("parent", "gain", "name"):
        assert absent not in header
    text = " ".join(shown(models_table([model(), model(id="m2", parent="m1", name="mine", problem="damaged")])))
    for word in ("parent", "name", "mine", "damaged"):
        assert word in text


def test_the_table_of_models_has_the_scores_of_objects_where_there_are_some() -> None:
    scores = {"mean": 0.8, "dice": {"membrane": 0.8}, "mean_iou": 0.7}
    objects = {"average_precision_50": 0.612, "voi_split": 0.25, "voi_merge": 0.5}
    others = model(id="m2", scores={**scores, "objects": objects}, same_truth_as_active="other")
    text = " ".join(shown(models_table([model(scores=scores, same_truth_as_active="same"), others])))
    for word in ("mean IoU", "0.700", "AP 0.5", "0.612", "VOI", "0.750", "same truth", "no"):
        assert word in text
    assert "NERL" not in text
    plain = " ".join(shown(models_table([model(scores=scores, same_truth_as_active="same")])))
    assert "same truth" not in plain


def test_with_json_what_is_printed_for_people_goes_to_the_other_stream(capsys: pytest.CaptureFixture[str]) -> None:
    output = Output(as_json=True)
    output.print("a table")
    output.warn("a doubt")
    out, err = capsys.readouterr()
    assert out == ""
    assert err == "a table\nNote: a doubt\n"


def test_an_error_without_a_hint_names_the_help(capsys: pytest.CaptureFixture[str]) -> None:
    Output(command="napari-pytc train").error("It cannot work.")
    assert capsys.readouterr().err.splitlines()[1] == "Hint: `napari-pytc train --help` shows what it takes."


def test_long_errors_are_not_folded(capsys: pytest.CaptureFixture[str]) -> None:
    Output().error("x" * 500 + ".", "y" * 500)
    assert [len(line) for line in capsys.readouterr().err.splitlines()] == [len("Error: ") + 501, len("Hint: ") + 500]


def test_markup_in_names_is_shown_as_it_is() -> None:
    assert any("[red]x[/red]" in line for line in shown(table("", ("name",), [("[red]x[/red]",)])))


def test_pieces_of_work_that_is_no_job_are_shown_as_progress(monkeypatch: pytest.MonkeyPatch) -> None:
    events: list[Progressed] = []

    @contextmanager
    def progress(title: str, limit_s: float | None = None) -> Iterator[Callable[[Progressed], None]]:
        yield events.append

    output = Output()
    monkeypatch.setattr(output, "progress", progress)
    with output.counting("compare") as report:
        report(1, 4)
        report(4, 4)
    assert [(event.job, event.done, event.total) for event in events] == [("compare", 1, 4), ("compare", 4, 4)]
