"""Curves follow data and theme, are drawn seldom, and leave nothing behind."""

from __future__ import annotations

import gc
import subprocess
import sys
from collections.abc import Iterator

import numpy as np
import pytest
from pytestqt.qtbot import QtBot
from qtpy.QtCore import QEvent, QTimer
from qtpy.QtGui import QColor
from qtpy.QtWidgets import QApplication

from napari_pytc.ui.tasks.background import Background
from napari_pytc.ui.widgets.curves import CurvesPlot
from napari_pytc.ui.widgets.series import Series, series_of_run, thinned
from tests.support.display import needs_display

pytestmark = needs_display

CURVES = {
    "loss": [(step, 1 / step) for step in range(1, 400)],
    "dice": [(100, 0.5), (200, 0.6)],
    "dice/membrane": [(100, 0.4), (200, 0.7)],
    "seconds": [(1, 2.0)],
}


@pytest.fixture
def plot(qtbot: QtBot) -> Iterator[CurvesPlot]:
    background = Background()
    widget = CurvesPlot(background)
    qtbot.addWidget(widget)
    widget.resize(320, 260)
    yield widget
    background.close()


def shown(plot: CurvesPlot, qtbot: QtBot) -> CurvesPlot:
    plot.show()
    qtbot.waitUntil(lambda: plot.is_ready)
    return plot


def test_a_run_gives_its_loss_and_its_scores_in_the_classes_colours() -> None:
    series = series_of_run(CURVES, {"membrane": "#e6194b"}, "a", dashed=True)
    assert [(one.name, one.plot, one.colour) for one in series] == [
        ("a loss", "loss", None),
        ("a mean", "score", None),
        ("a membrane", "score", "#e6194b"),
    ]
    assert all(one.dashed for one in series)
    assert series[1].points == ((100, 0.5), (200, 0.6))


def test_long_curves_are_thinned_and_keep_their_end() -> None:
    steps, values = thinned([(step, float(step)) for step in range(10_001)], most=100)
    assert 50 < len(steps) <= 100
    assert steps[-1] == values[-1] == 10_000
    assert sorted(steps) == steps
    assert thinned([(1, float("nan")), (2, 0.5), (3, float("inf"))]) == ([2], [0.5])
    assert thinned([]) == ([], [])


@pytest.mark.slow
def test_nothing_is_imported_before_the_plot_is_shown() -> None:
    code = (
        "import sys\nimport napari_pytc.ui.widgets.curves, napari_pytc.ui.panels.train.models\n"
        "import napari_pytc.ui.panels.train.panel\n"
        "print(sorted({'pyqtgraph', 'torch', 'monai', 'omegaconf'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.stdout.strip() == "[]", done.stdout + done.stderr


def test_curves_are_drawn_with_names_below(plot: CurvesPlot, qtbot: QtBot) -> None:
    plot.show_series(series_of_run(CURVES, {"membrane": "#e6194b"}))
    shown(plot, qtbot)
    (loss,) = plot.canvas.loss.curves
    np.testing.assert_allclose(loss.getData()[1], [value for _, value in CURVES["loss"]])
    mean, membrane = plot.canvas.score.curves
    assert membrane.opts["pen"].color() == QColor("#e6194b")
    assert list(mean.getData()[0]) == [100, 200]
    assert "membrane" in plot.legend.text()
    assert "loss" not in plot.legend.text()
    low, high = plot.canvas.score.view.viewRange()[0]
    assert low <= 1
    assert high >= 399


def test_many_names_do_not_squeeze_the_curves(plot: CurvesPlot, qtbot: QtBot) -> None:
    shown(plot, qtbot)
    heights = []
    for n_classes in (1, 20):
        points = [(1, 0.5), (2, 0.6)]
        plot.show_series([Series(f"a long name {number}", points, "score") for number in range(n_classes)])
        plot.redraw()
        plot.resize(320, plot.heightForWidth(320))
        QApplication.processEvents()
        heights.append((plot.canvas.height(), plot.height()))
    assert heights[0][0] == heights[1][0]
    assert heights[0][1] + 60 < heights[1][1]


def test_many_changes_are_one_drawing(plot: CurvesPlot, qtbot: QtBot, monkeypatch: pytest.MonkeyPatch) -> None:
    shown(plot, qtbot)
    drawn: list[int] = []
    draw = plot.canvas.draw

    def count(series: list[Series], *colours: QColor) -> None:
        drawn.append(len(series))
        draw(series, *colours)

    monkeypatch.setattr(plot.canvas, "draw", count)
    for length in range(2, 200):
        plot.show_series([Series("loss", CURVES["loss"][:length], "loss"), Series("mean", CURVES["dice"], "score")])
    assert drawn == []
    qtbot.waitUntil(lambda: bool(drawn))
    assert drawn == [2]
    assert len(plot.canvas.loss.curves[0].getData()[0]) == 199
    plot.show_series([])
    qtbot.waitUntil(lambda: len(drawn) == 2)
    assert plot.canvas.loss.curves == plot.canvas.score.curves == []
    assert plot.legend.text() == ""


def test_a_hidden_plot_has_no_timer_and_catches_up(plot: CurvesPlot, qtbot: QtBot) -> None:
    shown(plot, qtbot)
    plot.show_series([Series("loss", [(1, 1.0)], "loss")])
    plot.hide()
    plot.show_series([Series("loss", [(1, 1.0), (2, 0.5)], "loss")])
    assert not any(timer.isActive() for timer in plot.findChildren(QTimer))
    plot.show()
    assert list(plot.canvas.loss.curves[0].getData()[1]) == [1.0, 0.5]


def test_colours_follow_the_theme(plot: CurvesPlot, qtbot: QtBot) -> None:
    plot.show_series(series_of_run(CURVES, {}))
    shown(plot, qtbot)
    for text, background in (("#f0f1f2", "#262930"), ("#3b3a39", "#efebe9")):
        plot.setStyleSheet(f"QWidget {{ color: {text}; background-color: {background}; }}")

        def is_drawn(text: str = text, background: str = background) -> bool:
            axis = plot.canvas.loss.left.textPen().color()
            return axis == QColor(text) and plot.canvas.backgroundBrush().color() == QColor(background)

        qtbot.waitUntil(is_drawn)
        assert plot.canvas.score.curves[0].opts["pen"].color() == QColor(text)


@pytest.mark.slow
def test_no_window_of_pyqtgraph_outlives_the_plot(qtbot: QtBot) -> None:
    background = Background()
    before = set(QApplication.topLevelWidgets())
    plot = CurvesPlot(background)
    plot.show_series(series_of_run(CURVES, {}))
    shown(plot, qtbot)
    plot.close()
    plot.deleteLater()
    QApplication.sendPostedEvents(plot, QEvent.Type.DeferredDelete)
    del plot
    gc.collect()
    background.close()
    assert set(QApplication.topLevelWidgets()) <= before


def test_mean_iou_and_accuracy_are_scores() -> None:
    curves = {"mean_iou": ((1, 0.5),), "accuracy": ((1, 0.7),), "mean_accuracy": ((1, 0.6),), "gradient": ((1, 3.0),)}
    found = series_of_run(curves, {}, "a")
    assert [(one.name, one.plot) for one in found] == [
        ("a mean IoU", "score"),
        ("a accuracy", "score"),
        ("a mean accuracy", "score"),
    ]
