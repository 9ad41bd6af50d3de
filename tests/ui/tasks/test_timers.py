"""Tests of timers and of calls that come in bursts."""

from __future__ import annotations

from pytestqt.qtbot import QtBot
from qtpy.QtCore import QObject

from napari_pytc.ui.tasks.timers import single_shot, throttler


def test_the_first_call_is_made_at_once_and_a_burst_as_one(qtbot: QtBot) -> None:
    calls: list[int] = []
    parent = QObject()
    throttle = throttler(parent, 30, lambda: calls.append(1))
    throttle.throttle()
    assert len(calls) == 1
    for _ in range(5):
        throttle.throttle()
    assert len(calls) == 1
    qtbot.waitUntil(lambda: len(calls) == 2)


def test_what_was_asked_for_can_be_cancelled(qtbot: QtBot) -> None:
    calls: list[int] = []
    parent = QObject()
    throttle = throttler(parent, 30, lambda: calls.append(1))
    throttle.throttle()
    throttle.throttle()
    throttle.cancel()
    qtbot.wait(60)
    assert calls == [1]


def test_a_timer_calls_once_for_each_start(qtbot: QtBot) -> None:
    calls: list[int] = []
    parent = QObject()
    timer = single_shot(parent, 1, lambda: calls.append(1))
    assert not calls
    timer.start()
    qtbot.waitUntil(lambda: calls == [1])
    qtbot.wait(20)
    assert calls == [1]
    timer.start()
    qtbot.waitUntil(lambda: calls == [1, 1])
