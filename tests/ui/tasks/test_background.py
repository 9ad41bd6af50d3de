"""Work in the helper thread comes back to the window's thread, in order, and ends with the window."""

from __future__ import annotations

import errno
import logging
import threading
from collections.abc import Iterator

import pytest
from pytestqt.qtbot import QtBot
from qtpy.QtCore import QCoreApplication, QEvent, QObject

from napari_pytc.errors import ProjectError, PytcError
from napari_pytc.ui.tasks.background import Background, readable
from tests.support.waiting import PATIENCE_S


@pytest.fixture
def background(qtbot: QtBot) -> Iterator[Background]:
    background = Background()
    yield background
    background.close()


def fail(error: Exception) -> None:
    raise error


def test_work_is_done_elsewhere_and_handed_over_here_in_order(background: Background, qtbot: QtBot) -> None:
    threads: list[int] = []
    handed: list[tuple[int, int]] = []

    def work(n: int) -> int:
        threads.append(threading.get_ident())
        return n

    for n in range(20):
        background.run(lambda n=n: work(n), lambda found: handed.append((found, threading.get_ident())))  # type: ignore[misc]
    qtbot.waitUntil(lambda: len(handed) == 20)
    assert [n for n, _ in handed] == list(range(20))
    assert {thread for _, thread in handed} == {threading.get_ident()}
    assert len(set(threads)) == 1
    assert threading.get_ident() not in threads


def test_an_error_of_ours_is_handed_over_as_it_is(background: Background, qtbot: QtBot) -> None:
    errors: list[PytcError] = []
    error = ProjectError("It is locked.", "Close it.")
    background.run(lambda: fail(error), on_error=errors.append)
    qtbot.waitUntil(lambda: bool(errors))
    assert errors == [error]


def test_a_bug_is_logged_and_reported_in_a_sentence(
    background: Background, qtbot: QtBot, caplog: pytest.LogCaptureFixture
) -> None:
    errors: list[PytcError] = []
    with caplog.at_level(logging.ERROR):
        background.run(lambda: fail(KeyError("x")), on_error=errors.append)
        qtbot.waitUntil(lambda: bool(errors))
    assert "KeyError" in errors[0].message
    assert errors[0].hint
    assert "Traceback" in caplog.text


def test_a_refusal_of_the_disk_is_no_bug(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.ERROR):
        error = readable(OSError(errno.ENOSPC, "No space left on device", "/data/a.zarr"))
    assert "/data/a.zarr: No space left on device" in error.message
    assert not caplog.records


def test_an_error_does_not_stop_what_comes_after(background: Background, qtbot: QtBot) -> None:
    found: list[int] = []
    background.run(lambda: fail(ProjectError("no")))
    background.run(lambda: 1, found.append)
    qtbot.waitUntil(lambda: found == [1])


def test_work_may_ask_for_more_work(background: Background, qtbot: QtBot) -> None:
    found: list[int] = []
    background.run(lambda: 1, lambda one: background.run(lambda: one + 1, found.append))
    qtbot.waitUntil(lambda: found == [2])


def test_close_waits_hands_nothing_over_and_lets_go_of_what_came_too_late(qtbot: QtBot) -> None:
    background = Background()
    begun, go = threading.Event(), threading.Event()
    done: list[str] = []
    handed: list[str] = []
    dropped: list[str] = []

    def slow() -> str:
        begun.set()
        assert go.wait(PATIENCE_S)
        done.append("slow")
        return "a lock"

    background.run(slow, handed.append, discard=dropped.append)
    background.run(lambda: done.append("never"))
    assert begun.wait(PATIENCE_S)
    threading.Timer(0.05, go.set).start()
    background.close()
    background.close()
    assert done == ["slow"]
    assert dropped == ["a lock"]
    background.run(lambda: done.append("after"))
    qtbot.wait(50)
    assert (handed, done) == ([], ["slow"])


def test_what_was_done_but_not_yet_handed_over_is_let_go_of(qtbot: QtBot) -> None:
    background, ready = Background(), threading.Event()
    handed: list[str] = []
    dropped: list[str] = []
    background.run(lambda: "a process", handed.append, discard=dropped.append)
    background.run(ready.set)
    assert ready.wait(PATIENCE_S)
    background.close()
    qtbot.wait(50)
    assert (handed, dropped) == ([], ["a process"])


def test_an_object_deleted_meanwhile_does_not_break_the_thread(qtbot: QtBot, caplog: pytest.LogCaptureFixture) -> None:
    background, go, over = Background(), threading.Event(), threading.Event()
    background.run(lambda: go.wait(PATIENCE_S))
    background.run(over.set)
    background.deleteLater()
    QCoreApplication.sendPostedEvents(background, QEvent.Type.DeferredDelete)
    go.set()
    assert over.wait(PATIENCE_S)
    background.close()
    assert not caplog.records


def test_nothing_is_handed_to_a_panel_that_was_deleted(background: Background, qtbot: QtBot) -> None:
    panel, go = QObject(), threading.Event()
    handed: list[int] = []
    dropped: list[int] = []

    def work() -> int:
        assert go.wait(PATIENCE_S)
        return 1

    background.run(work, handed.append, discard=dropped.append, receiver=panel)
    background.run(lambda: fail(ProjectError("no")), on_error=lambda error: handed.append(2), receiver=panel)
    panel.deleteLater()
    QCoreApplication.sendPostedEvents(panel, QEvent.Type.DeferredDelete)
    background.run(lambda: 3, handed.append)
    go.set()
    qtbot.waitUntil(lambda: handed == [3])
    assert dropped == [1]
