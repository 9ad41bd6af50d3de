"""Work of which only the newest result counts."""

from __future__ import annotations

import threading
from collections.abc import Iterator

import pytest
from pytestqt.qtbot import QtBot

from napari_pytc.errors import ProjectError, PytcError
from napari_pytc.ui.tasks.latest import Latest


@pytest.fixture
def latest(qtbot: QtBot) -> Iterator[Latest]:
    latest = Latest()
    yield latest
    latest.close()


class Gate:
    """Work that waits until it is let go."""

    def __init__(self) -> None:
        self.is_open = threading.Event()

    def __call__(self) -> str:
        assert self.is_open.wait(60)
        return "first"


def test_of_the_calls_that_wait_the_newest_alone_is_made(latest: Latest, qtbot: QtBot) -> None:
    gate, made, told = Gate(), list[int](), list[object]()

    def work(n: int) -> int:
        made.append(n)
        return n

    latest.run(gate, told.append)
    for n in range(5):
        latest.run(lambda n=n: work(n), told.append)  # type: ignore[misc]
    gate.is_open.set()
    qtbot.waitUntil(lambda: len(told) == 2)
    assert told == ["first", 4]
    assert made == [4]


def test_a_call_that_is_dropped_is_not_made(latest: Latest, qtbot: QtBot) -> None:
    gate, told = Gate(), list[object]()
    latest.run(gate, told.append)
    latest.run(lambda: "waits", told.append)
    latest.drop()
    gate.is_open.set()
    qtbot.waitUntil(lambda: told == ["first"])
    latest.run(lambda: "later", told.append)
    qtbot.waitUntil(lambda: told == ["first", "later"])


def test_an_error_is_handed_over_and_the_next_call_is_made(latest: Latest, qtbot: QtBot) -> None:
    gate, told, errors = Gate(), list[object](), list[PytcError]()

    def fail() -> None:
        gate()
        raise ProjectError("It is locked.", "Close it.")

    latest.run(fail, told.append, errors.append)
    latest.run(lambda: "next", told.append)
    gate.is_open.set()
    qtbot.waitUntil(lambda: told == ["next"])
    assert [error.message for error in errors] == ["It is locked."]


def test_after_it_is_closed_nothing_is_made(latest: Latest) -> None:
    latest.close()
    latest.close()
    latest.run(lambda: pytest.fail("it was called"), lambda found: pytest.fail("it was told"))
