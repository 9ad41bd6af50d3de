"""Fixtures of the window's tests: waiting that no busy machine cuts short."""

from __future__ import annotations

from typing import Any

import pytest
from pytestqt.qtbot import QtBot

from napari_pytc.ui.canvas import section_cache
from napari_pytc.ui.canvas.predictions import prediction_layers, uncertainty_layer
from napari_pytc.ui.canvas.segments import segment_layers
from tests.support.waiting import PATIENCE_S

PATIENCE_MS = int(1000 * PATIENCE_S)


class PatientBot(QtBot):
    """Waits for what must come as long as a busy machine may need."""

    def waitUntil(self, callback: Any, *, timeout: int = PATIENCE_MS) -> None:
        __tracebackhide__ = True
        super().waitUntil(callback, timeout=timeout)

    def waitSignal(self, signal: Any, *, timeout: int = PATIENCE_MS, **options: Any) -> Any:
        return super().waitSignal(signal, timeout=timeout, **options)

    def waitSignals(self, signals: Any, *, timeout: int = PATIENCE_MS, **options: Any) -> Any:
        return super().waitSignals(signals, timeout=timeout, **options)

    def waitExposed(self, widget: Any, *, timeout: int = PATIENCE_MS) -> Any:
        return super().waitExposed(widget, timeout=timeout)


@pytest.fixture
def qtbot(qapp: Any, request: pytest.FixtureRequest) -> QtBot:
    return PatientBot(request)


@pytest.fixture(autouse=True)
def sections_are_waited_for(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without a window nobody is kept waiting: what a test reads of a layer is all there, however busy the machine."""
    if "make_napari_viewer" not in request.fixturenames:
        monkeypatch.setattr(section_cache, "PATIENCE_S", PATIENCE_S)
        for module in (prediction_layers, uncertainty_layer, segment_layers):
            monkeypatch.setattr(module, "_PATIENCE_S", PATIENCE_S)
