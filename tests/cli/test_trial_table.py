"""The table of a tuning's trials: alive above the bar, and at its end."""

from __future__ import annotations

from io import StringIO
from pathlib import Path

import pytest
from rich.console import Console, RenderableType

from napari_pytc.cli.progress import ProgressBar
from napari_pytc.cli.trial_table import LiveTrials, command_words, trials_table
from napari_pytc.decoding import AgglomerationDecoder
from napari_pytc.jobs.events import Progressed
from napari_pytc.tuning.records import TunedTrial, TuningRecord, write_record


def record_of(scores: list[float | None]) -> TuningRecord:
    trials = [
        TunedTrial(
            number=number,
            score=score,
            scores={"voi": score, "voi_split": 0.25, "voi_merge": None},
            decoder=AgglomerationDecoder(threshold=0.5 + number / 100).model_dump(mode="json"),
            seconds=0.0123,
            problem="" if score is not None else "No seeds.",
        )
        for number, score in enumerate(scores)
    ]
    return TuningRecord(
        id="t", created="now", prediction="p", truth="truth.h5", boxes=("0:1,0:1,0:1",), score="voi", seed=0,
        tuned={"agglomeration": ("threshold", "smallest_um3")}, trials=tuple(trials),
    )  # fmt: skip


def shown(what: RenderableType) -> str:
    console = Console(file=StringIO(), width=140)
    console.print(what)
    return console.file.getvalue()  # type: ignore[attr-defined, no-any-return]


def test_the_best_is_on_top_and_the_default_is_always_there() -> None:
    text = shown(trials_table(record_of([9.0, 2.0, None, 1.0, 3.0]), most=2))
    assert len([line for line in text.splitlines() if "agglomeration" in line]) == 3
    assert text.index("1.000") < text.index("2.000") < text.index("9.000")
    assert "0 (default)" in text
    assert "3.000" not in text
    assert "threshold=0.53 smallest_um3=0.0005" in text
    assert "0.0123" in text


def test_the_live_table_follows_its_file(tmp_path: Path) -> None:
    path = tmp_path / "t.json"
    live = LiveTrials(path)
    assert shown(live).strip() == ""
    write_record(path, record_of([]))
    assert shown(live).strip() == ""
    write_record(path, record_of([2.0, 1.5]))
    assert "1.500" in shown(live)
    path.write_text("{")
    assert "1.500" in shown(live), "a file that is being replaced leaves what was read before"


def test_the_table_is_drawn_above_the_bar() -> None:
    console = Console(file=StringIO(), force_terminal=True, width=100)
    bar = ProgressBar(console, "tune", above="the trials so far")
    bar.draw(Progressed(job="j", done=1, total=4, note="trial 1"))
    bar._progress.refresh()
    bar.close()
    text = console.file.getvalue()  # type: ignore[attr-defined]
    assert "the trials so far" in text
    assert text.index("the trials so far") < text.index("trial 1")


@pytest.mark.parametrize(
    ("value", "word"), [(True, "fill=true"), (0.00001, "fill=1e-05"), (3, "fill=3"), ("auto", "fill=auto")]
)
def test_settings_are_words_that_the_command_line_reads(value: object, word: str) -> None:
    from napari_pytc.cli.options import read_settings

    assert command_words({"fill": value}, ["fill", "gone"]) == [word]
    assert read_settings([word]) == {"fill": value}
