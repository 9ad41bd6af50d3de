from __future__ import annotations

import json
import signal
import sys
from typing import Any, Literal

import pytest
from pydantic import BaseModel, Field

from napari_pytc.cli.boundary import describe_error, install_excepthook, run_guarded
from napari_pytc.cli.output import Output, Reply
from napari_pytc.cli.running import run_alone
from napari_pytc.errors import InvalidInput
from napari_pytc.jobs.context import JobContext
from napari_pytc.jobs.spec import JobSpec
from tests.cli.conftest import Command, is_one_error


class Interrupts(JobSpec):
    """Is interrupted so many times, and notices a cancel only after that."""

    kind: Literal["test-interrupted"] = "test-interrupted"
    times: int

    def run(self, ctx: JobContext) -> dict[str, Any]:
        for _ in range(self.times):
            signal.raise_signal(signal.SIGINT)
        while True:
            ctx.check()


class Prints(JobSpec):
    """Prints, as some library might."""

    kind: Literal["test-prints"] = "test-prints"
    fails: bool = False

    def run(self, ctx: JobContext) -> dict[str, Any]:
        sys.stdout.write("a library's chatter\n")
        ctx.warn("a small doubt")
        ctx.metric("loss", 1, 0.5)
        ctx.report(1, 2, "working")
        if self.fails:
            raise InvalidInput("It cannot work.", "Do something else.")
        return {"done": True}


class Setting(BaseModel):
    steps: int = Field(ge=1)


def test_the_first_interrupt_cancels_and_says_what_is_kept(capsys: pytest.CaptureFixture[str]):
    output, before = Output(), signal.getsignal(signal.SIGINT)
    code = run_guarded(output, lambda: run_alone(output, Interrupts(times=1), "wait", "All tiles are kept."))
    assert code == 130
    assert "Error: Stopped.\nHint: All tiles are kept.\n" in capsys.readouterr().err
    assert signal.getsignal(signal.SIGINT) == before


def test_the_second_interrupt_breaks_off(capsys: pytest.CaptureFixture[str]):
    output, before = Output(as_json=True), signal.getsignal(signal.SIGINT)
    code = run_guarded(output, lambda: run_alone(output, Interrupts(times=2), "wait", "All tiles are kept."))
    assert code == 130
    assert json.loads(capsys.readouterr().out) == {"error": "Stopped at once.", "hint": "All tiles are kept."}
    assert signal.getsignal(signal.SIGINT) == before


def test_stdout_is_one_document_whatever_libraries_print(capsys: pytest.CaptureFixture[str]):
    output = Output(as_json=True)
    assert (
        run_guarded(output, lambda: Reply({**run_alone(output, Prints(), "print", ""), "nothing": float("nan")})) == 0
    )
    out, err = capsys.readouterr()
    assert json.loads(out) == {"done": True, "nothing": None}
    assert "chatter" in err
    assert "Note: a small doubt" in err


def test_a_failed_job_is_one_line_and_a_hint(capsys: pytest.CaptureFixture[str]):
    output = Output()
    assert run_guarded(output, lambda: run_alone(output, Prints(fails=True), "print", "")) == 1
    assert capsys.readouterr().err.endswith("Error: It cannot work.\nHint: Do something else.\n")


def test_an_error_without_a_hint_points_at_the_help(cli: Command, capsys: pytest.CaptureFixture[str]):
    Output(command="napari-pytc train").error("No.")
    assert "Hint: `napari-pytc train --help`" in capsys.readouterr().err
    assert "`napari-pytc hold-out --help`" in cli("hold-out", "a.pytc", "0:1", "--json").document["hint"]


def test_a_long_error_stays_one_line(capsys: pytest.CaptureFixture[str]):
    Output().error("word " * 100 + "\nend", "and " * 100)
    assert len(capsys.readouterr().err.splitlines()) == 2


def test_errors_of_settings_name_the_setting():
    with pytest.raises(ValueError, match="steps") as caught:
        Setting(steps=0)
    message, _ = describe_error(caught.value) or ("", "")
    assert "'steps'" in message
    assert "greater than or equal to 1" in message
    assert "got 0" in message


@pytest.mark.parametrize(
    ("error", "told"),
    [
        (PermissionError(13, "Permission denied", "a.tif"), "a.tif: Permission denied."),
        (OSError(28, "No space left on device"), "No space left on device."),
        (MemoryError(), "memory"),
    ],
)
def test_errors_of_the_system_are_reported(error: Exception, told: str):
    message, hint = describe_error(error) or ("", "")
    assert told in message
    assert hint


def test_what_nobody_foresaw_is_not_swallowed(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch):
    def broken() -> None:
        raise ValueError("a bug")

    output = Output()
    with pytest.raises(ValueError, match="a bug"):
        run_guarded(output, broken)
    monkeypatch.setattr(sys, "excepthook", sys.excepthook)
    install_excepthook(output)
    try:
        broken()
    except ValueError as error:
        sys.excepthook(type(error), error, error.__traceback__)
    told = capsys.readouterr().err
    assert told.startswith("Error: napari-pytc met an error that it should have foreseen: ValueError: a bug.")
    assert "--debug" in told
    assert "Traceback" not in told


def test_usage_errors_are_one_line_and_exit_2(cli: Command):
    assert is_one_error(cli("trian"), "train", code=2)
    assert is_one_error(cli("new", "a.pytc"), "--image", code=2)
    ended = cli("train", "a.pytc", "--steps", "many", "--json")
    assert ended.code == 2
    assert "--steps" in ended.document["error"]


def test_help_and_version(cli: Command):
    for words in (("--help",), ("train", "-h"), ()):
        ended = cli(*words)
        assert ended.code == 0
        assert "Usage" in ended.out
    assert cli("--version").out.startswith("napari-pytc ")


def test_debug_shows_the_trace(cli: Command):
    ended = cli("info", "missing.tif", "--debug")
    assert ended.code == 1
    assert "Traceback" in ended.err
    assert "Error: " in ended.err
