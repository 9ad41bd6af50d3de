"""Messages of live learning, and what an inbox makes of them."""

from __future__ import annotations

import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from napari_pytc.geometry import Box
from napari_pytc.jobs.context import JobMessage
from napari_pytc.plans import live_messages
from napari_pytc.plans.live_messages import (
    Inbox,
    LiveRequest,
    LiveView,
    annotations_message,
    painting_message,
    stop_message,
    suggest_message,
    view_message,
)
from tests.support.contexts import RecordingContext

VOLUME = Box.of_shape((10, 20, 30))
INSIDE, ACROSS, OUTSIDE = Box((1, 2, 3), (4, 5, 6)), Box((8, 8, 8), (12, 12, 12)), Box((10, 0, 0), (12, 5, 5))


def read(*messages: JobMessage) -> tuple[Inbox, RecordingContext]:
    """An inbox after messages that have travelled as JSON."""
    ctx = RecordingContext()
    inbox = Inbox(ctx, VOLUME)
    for message in messages:
        ctx.send(JobMessage.model_validate_json(message.model_dump_json()))
    inbox.read_messages()
    return inbox, ctx


def test_nothing_was_said_yet() -> None:
    inbox, _ = read()
    assert (inbox.view, inbox.request, inbox.stop, inbox.is_stroke_coming) == (None, None, False, False)
    assert inbox.pop_request() is None


def test_the_view_is_cut_to_the_volume() -> None:
    assert read(view_message(INSIDE, 3))[0].view == LiveView(INSIDE, 3)
    assert read(view_message(ACROSS, 3))[0].view == LiveView(Box((8, 8, 8), (10, 12, 12)), 3)


def test_a_view_outside_of_the_volume_counts_as_not_said() -> None:
    inbox, ctx = read(view_message(INSIDE, 1), view_message(OUTSIDE, 2))
    assert inbox.view == LiveView(INSIDE, 1)
    assert ctx.warnings == []


@settings(max_examples=30)
@given(st.lists(st.integers(0, 5), min_size=1, max_size=8))
def test_of_views_that_overtake_one_another_the_newest_stays(generations: list[int]) -> None:
    messages = [view_message(Box.at((n % 9, 0, 0), (1, 2, 2)), g) for n, g in enumerate(generations)]
    view = read(*messages)[0].view
    assert view is not None
    assert view.generation == max(generations)
    last = max(n for n, g in enumerate(generations) if g == max(generations))
    assert view.box.start[0] == last % 9


@pytest.mark.parametrize(
    ("message", "wanted"),
    [
        (suggest_message(3), LiveRequest(3, VOLUME)),
        (suggest_message(3, INSIDE), LiveRequest(3, INSIDE)),
        (suggest_message(3, ACROSS), LiveRequest(3, Box((8, 8, 8), (10, 12, 12)))),
        (suggest_message(0), LiveRequest(1, VOLUME)),
        (suggest_message(3, OUTSIDE), None),
    ],
)
def test_suggestions_are_wanted_once(message: JobMessage, wanted: LiveRequest | None) -> None:
    inbox, _ = read(message)
    assert inbox.pop_request() == wanted
    assert inbox.pop_request() is None


def test_the_newest_request_replaces_an_older_one() -> None:
    assert read(suggest_message(3), suggest_message(5, INSIDE))[0].pop_request() == LiveRequest(5, INSIDE)


def test_stop_stays() -> None:
    inbox, _ = read(stop_message(), view_message(INSIDE, 1))
    assert inbox.stop
    inbox.read_messages()
    assert inbox.stop


def test_a_stroke_is_awaited_until_it_is_on_the_disk_or_takes_too_long(monkeypatch: pytest.MonkeyPatch) -> None:
    now = [100.0]
    monkeypatch.setattr(live_messages.time, "monotonic", lambda: now[0])
    inbox, ctx = read(painting_message())
    assert inbox.is_stroke_coming
    ctx.send(annotations_message(7, INSIDE))
    inbox.read_messages()
    assert not inbox.is_stroke_coming
    ctx.send(painting_message())
    inbox.read_messages()
    now[0] += live_messages._LONGEST_STROKE_S + 0.1
    assert not inbox.is_stroke_coming


@pytest.mark.parametrize(
    ("topic", "content"),
    [
        ("sing", {}),
        ("view", {}),
        ("view", {"box": {"start": [0, 0, 0], "stop": [1, 1, 1]}}),
        ("view", {"box": {"start": [0, 0], "stop": [1, 1]}, "generation": 1}),
        ("view", {"box": "everywhere", "generation": 1}),
        ("view", {"box": 5, "generation": 1}),
        ("view", {"box": {"start": [0, 0, 0], "stop": [1, 1, 1]}, "generation": "new"}),
        ("suggest", {}),
        ("suggest", {"n": None}),
    ],
)
def test_what_is_not_understood_is_warned_of_and_changes_nothing(topic: str, content: dict[str, object]) -> None:
    inbox, ctx = read(view_message(INSIDE, 1), JobMessage(topic=topic, content=content), stop_message())
    assert len(ctx.warnings) == 1
    assert repr(topic) in ctx.warnings[0]
    assert inbox.view == LiveView(INSIDE, 1)
    assert inbox.request is None
    assert inbox.stop  # what came after it was heard


def test_a_box_may_be_written_as_text() -> None:
    message = JobMessage(topic="view", content={"box": str(INSIDE), "generation": 2})
    assert read(message)[0].view == LiveView(INSIDE, 2)


@pytest.mark.parametrize(
    "message",
    [
        painting_message(),
        annotations_message(3),
        annotations_message(3, INSIDE),
        view_message(ACROSS, 1),
        stop_message(),
    ],
)
def test_messages_are_plain_json(message: JobMessage) -> None:
    assert JobMessage.model_validate(json.loads(message.model_dump_json())) == message
