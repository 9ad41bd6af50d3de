"""Events and commands as lines of JSON: they come back as they were, and what is none is refused."""

from __future__ import annotations

import json
import math

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import BaseModel, ValidationError

from napari_pytc.geometry import Box
from napari_pytc.jobs.context import JobMessage
from napari_pytc.jobs.events import (
    EVENTS,
    TERMINAL,
    Cancelled,
    Failed,
    Finished,
    Measured,
    Produced,
    Progressed,
    Started,
    Warned,
)
from napari_pytc.jobs.runners.protocol import ANSWERS, COMMANDS, Cancel, Ready, Run, Send, WorkerSetup

ALL = [
    Started(job="a"),
    Progressed(job="a", done=1, total=2, note="tiles"),
    Measured(job="a", name="loss", step=3, value=0.25),
    Produced(job="a", kind="prediction", box=Box((0, 1, 2), (3, 4, 5))),
    Warned(job="a", message="a doubt: \u00b5m\nsecond line"),
    Finished(job="a", result={"n": 1, "folder": "models/m", "list": [1, 2.5, None], "nested": {"x": True}}),
    Failed(job="a", message="it broke", hint="mend it", log="Traceback\n  line"),
    Cancelled(job="a"),
]
COMMANDS_SENT = [
    Run(job="a", spec={"kind": "train", "plan": {"steps": 3}}),
    Cancel(job="a"),
    Send(job="a", message=JobMessage(topic="view", content={"box": [0, 1], "generation": 3})),
]


@pytest.mark.parametrize("event", ALL, ids=lambda event: event.event)
def test_an_event_comes_back_from_one_line(event: BaseModel) -> None:
    line = event.model_dump_json()
    assert "\n" not in line
    for reader in (EVENTS, ANSWERS):
        again = reader.validate_json(line)
        assert type(again) is type(event)
        assert again == event


@pytest.mark.parametrize("command", COMMANDS_SENT, ids=lambda command: command.do)
def test_a_command_comes_back_from_one_line(command: BaseModel) -> None:
    line = command.model_dump_json()
    assert "\n" not in line
    again = COMMANDS.validate_json(line)
    assert type(again) is type(command)
    assert again == command


def test_the_worker_says_when_it_is_ready_and_the_job_does_not() -> None:
    assert ANSWERS.validate_json(Ready().model_dump_json()) == Ready()
    with pytest.raises(ValidationError, match="ready"):
        EVENTS.validate_json(Ready().model_dump_json())


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
def test_a_curve_may_leave_the_numbers(value: float) -> None:
    event = Measured(job="a", name="loss", step=0, value=value)
    line = event.model_dump_json()
    json.loads(line, parse_constant=pytest.fail)
    again = EVENTS.validate_json(line)
    assert isinstance(again, Measured)
    assert math.isnan(again.value) if math.isnan(value) else again.value == value


@pytest.mark.slow
@given(st.floats(allow_nan=False), st.integers(-(2**53), 2**53), st.text())
def test_numbers_and_names_are_kept_to_the_last_bit(value: float, step: int, name: str) -> None:
    event = Measured(job="a", name=name, step=step, value=value)
    assert EVENTS.validate_json(event.model_dump_json()) == event


@pytest.mark.parametrize(
    "line",
    [
        "",
        "{",
        "[]",
        "{}",
        '{"event": "exploded", "job": "a"}',
        '{"event": "started"}',
        '{"event": "progressed", "job": "a", "done": 1}',
        '{"event": "measured", "job": "a", "name": "loss", "step": "many", "value": 1}',
        '{"event": "cancelled", "job": "a", "reason": "none"}',
    ],
)
def test_what_is_no_event_is_refused(line: str) -> None:
    with pytest.raises(ValidationError):
        EVENTS.validate_json(line)


@pytest.mark.parametrize(
    "line", ['{"do": "explode", "job": "a"}', '{"do": "run", "job": "a"}', '{"do": "send", "job": "a", "message": {}}']
)
def test_what_is_no_command_is_refused(line: str) -> None:
    with pytest.raises(ValidationError):
        COMMANDS.validate_json(line)


def test_events_are_frozen_and_in_the_order_of_time() -> None:
    first, second = Started(job="a"), Started(job="a")
    assert first.time <= second.time
    with pytest.raises(ValidationError, match="frozen"):
        first.job = "b"  # type: ignore[misc]


def test_three_events_end_a_job() -> None:
    assert [isinstance(event, TERMINAL) for event in ALL] == [False] * 5 + [True] * 3


def test_the_setup_of_a_worker_travels_as_its_argument() -> None:
    setup = WorkerSetup(imports=("a.b",), preload=("torch", "c"), grace_s=0.5)
    assert WorkerSetup.model_validate_json(setup.model_dump_json()) == setup
    assert WorkerSetup() == WorkerSetup(imports=(), preload=(), grace_s=5.0)
