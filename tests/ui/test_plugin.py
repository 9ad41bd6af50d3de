"""The plugin where napari meets it: docks, palette, menus, keys, files, and what is left when the window is closed."""

from __future__ import annotations

import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest
from napari._app_model import get_app_model
from napari.utils.key_bindings import coerce_keybinding
from napari.utils.shortcuts import default_shortcuts
from npe2 import PluginManager, PluginManifest
from pytestqt.qtbot import QtBot
from qtpy.compat import isalive
from qtpy.QtCore import QMimeData, QPointF, Qt, QTimer, QUrl
from qtpy.QtGui import QCloseEvent, QDropEvent
from qtpy.QtWidgets import QTabWidget

import napari_pytc
from napari_pytc.session.session import Session
from napari_pytc.ui import samples, workspaces
from napari_pytc.ui.commands import COMMANDS
from napari_pytc.ui.panels.data import sample_project
from napari_pytc.ui.panels.data.panel import DataPanel
from napari_pytc.ui.panels.train.panel import TrainPanel
from napari_pytc.ui.plugin import show_workspace
from napari_pytc.ui.widgets.notice import Notice
from napari_pytc.ui.workspace_widget import WorkspaceWidget
from napari_pytc.ui.workspaces import controllers_for, has_workspace
from tests.session.conftest import write_image
from tests.support.display import needs_display
from tests.support.mouse import drag
from tests.support.tissue import make_tissue
from tests.support.waiting import PATIENCE_S

pytestmark = [needs_display, pytest.mark.filterwarnings("ignore::DeprecationWarning")]

WIDGETS = ("Workspace", "Data", "Train", "Predict", "Segment", "Proofread", "Export", "Jobs")


class NoRunner:
    """A runner that nothing is asked of."""

    is_warm = False

    def unfinished(self) -> list[Any]:
        return []

    def close(self) -> None:
        pass


@pytest.fixture
def no_worker(monkeypatch: pytest.MonkeyPatch) -> None:
    """Windows of this test hire nobody: most are about the window."""
    monkeypatch.setattr(workspaces, "start_worker", NoRunner)


@pytest.fixture
def manifest(npe2pm: PluginManager) -> PluginManifest:
    """Our manifest, and no other plugin's, as napari finds it."""
    found = PluginManifest.from_file(Path(napari_pytc.__file__).with_name("napari.yaml"))
    npe2pm.register(found)
    return found


@pytest.fixture
def open_window(make_napari_viewer: Callable[..., Any], manifest: PluginManifest) -> Iterator[Callable[[], Any]]:
    made: list[Any] = []

    def make() -> Any:
        made.append(make_napari_viewer(show=True))
        return made[-1]

    yield make
    for viewer in made:
        if has_workspace(viewer):
            controllers_for(viewer).workspace.shutdown()


@pytest.fixture
def viewer(no_worker: None, open_window: Callable[[], Any]) -> Any:
    return open_window()


@pytest.fixture
def project(tmp_path: Path) -> Path:
    write_image(tmp_path / "raw.h5", make_tissue((12, 48, 40), anisotropy=4.0).raw)
    folder = tmp_path / "fly.pytc"
    Session.create(folder, tmp_path / "raw.h5", ["membrane", "inside"], voxel_size_nm=(40, 10, 10)).close()
    return folder


def press(bot: QtBot, viewer: Any, keys: str) -> None:
    """Press keys as the canvas would tell of them."""
    canvas = viewer.window._qt_viewer.canvas.native
    canvas.setFocus()
    key = getattr(Qt.Key, f"Key_{keys[-1]}")
    bot.keyClick(canvas, key, Qt.KeyboardModifier.ShiftModifier)
    bot.keyRelease(canvas, Qt.Key.Key_Shift)  # else napari takes it to be held when files are dropped


# ---- widgets


@pytest.mark.parametrize("name", WIDGETS)
def test_each_widget_opens_as_a_dock(viewer: Any, qtbot: QtBot, name: str) -> None:
    dock, widget = viewer.window.add_plugin_dock_widget("napari-pytc", name)
    qtbot.waitUntil(widget.isVisible)
    assert dock.name == f"{name} (napari-pytc)"
    assert controllers_for(viewer).workspace.session is None


def test_panels_of_a_viewer_share_a_workspace(viewer: Any, qtbot: QtBot, project: Path) -> None:
    _, data = viewer.window.add_plugin_dock_widget("napari-pytc", "Data")
    _, train = viewer.window.add_plugin_dock_widget("napari-pytc", "Train")
    whole = show_workspace(viewer)
    workspace = controllers_for(viewer).workspace
    assert whole.workspace is workspace
    workspace.open_project(project)
    qtbot.waitUntil(lambda: workspace.session is not None)
    panels = [data.findChild(DataPanel), whole.panel("Data")]
    assert [panel.project.title.text() for panel in panels] == ["fly"] * 2
    trains: list[Any] = [train.findChild(TrainPanel), whole.panel("Train")]
    assert [panel.empty.isHidden() for panel in trains] == [True] * 2


def test_two_viewers_have_two(no_worker: None, open_window: Callable[[], Any], qtbot: QtBot, project: Path) -> None:
    first, second = open_window(), open_window()
    show_workspace(first)
    show_workspace(second)
    controllers_for(first).workspace.open_project(project)
    qtbot.waitUntil(lambda: controllers_for(first).workspace.session is not None)
    assert controllers_for(second).workspace.session is None
    assert len(first.layers) == 2
    assert len(second.layers) == 0
    controllers_for(first).workspace.shutdown()
    controllers_for(second).workspace.open_project(project)
    qtbot.waitUntil(lambda: controllers_for(second).workspace.session is not None)
    session = controllers_for(second).workspace.session
    assert session is not None
    assert not session.project.read_only


def test_the_workspace_is_there_once_and_comes_back(viewer: Any, qtbot: QtBot) -> None:
    widget = show_workspace(viewer)
    assert show_workspace(viewer) is widget
    dock = viewer.window._wrapped_dock_widgets["Workspace (napari-pytc)"]
    dock.hide()
    assert show_workspace(viewer) is widget
    assert widget.isVisible()
    tabs = widget.findChild(QTabWidget)
    titles = ["Data", "Train", "Predict", "Segment", "Proofread", "Export", "Jobs"]
    assert [tabs.tabText(index) for index in range(tabs.count())] == titles


# ---- commands and keys


def test_commands_are_in_the_palette_and_in_the_menu(viewer: Any) -> None:
    app = get_app_model()
    palette = {item.command.id: item.command.title for item in app.menus.get_menu(app.menus.COMMAND_PALETTE_ID)}
    for command in COMMANDS:
        assert palette[f"napari-pytc.{command.name}"] == f"{command.title} (PyTC)"
    segment = [item.command.id for item in app.menus.get_menu("napari/layers/segment")]
    for name in ("train", "predict_view", "predict_all"):
        assert f"napari-pytc.{name}" in segment


def test_keys_are_bound_on_the_viewer(viewer: Any) -> None:
    bound = [coerce_keybinding(command.keys) for command in COMMANDS if command.keys]
    assert len(set(bound)) == len(bound)
    napari_has = {coerce_keybinding(key) for keys in default_shortcuts.values() for key in keys}
    assert not napari_has & set(bound)  # also of layers: theirs would go first
    assert not set(bound) & set(viewer.keymap)
    controllers_for(viewer)
    assert set(bound) <= set(viewer.keymap)


@pytest.mark.parametrize("name", [command.name for command in COMMANDS])
def test_a_command_without_a_project_opens_the_workspace_and_says_what_is_missing(
    viewer: Any, qtbot: QtBot, name: str
) -> None:
    assert not has_workspace(viewer)
    get_app_model().commands.execute_command(f"napari-pytc.{name}").result(timeout=PATIENCE_S)
    widget = viewer.window._qt_window.findChild(WorkspaceWidget)
    assert widget is not None
    notice = widget.findChild(Notice)
    qtbot.waitUntil(notice.isVisible)
    expected = "Nothing runs that could be cancelled." if name == "cancel_jobs" else "No project is open."
    assert notice.text == expected


def test_keys_work_on_the_canvas(viewer: Any, qtbot: QtBot, project: Path) -> None:
    workspace = show_workspace(viewer).workspace
    workspace.open_project(project)
    qtbot.waitUntil(lambda: workspace.layers is not None)
    layers, session = workspace.layers, workspace.session
    assert layers is not None
    assert session is not None
    viewer.layers.selection.active = layers.image
    press(qtbot, viewer, "Shift-S")
    assert viewer.layers.selection.active is layers.strokes
    assert layers.strokes.mode == "paint"
    press(qtbot, viewer, "Shift-B")
    box = viewer.layers.selection.active
    assert (box.name, box.mode) == ("Box", "add_rectangle")
    errors: list[Any] = []
    workspace.failed.connect(errors.append)
    press(qtbot, viewer, "Shift-H")
    assert [error.message for error in errors] == ["No box is drawn."]
    press(qtbot, viewer, "Shift-W")
    qtbot.waitUntil(lambda: len(errors) == 2)
    assert errors[1].message == "The project has no model yet."


def test_a_held_out_box_is_as_deep_by_key_as_by_button(viewer: Any, qtbot: QtBot, project: Path) -> None:
    widget = show_workspace(viewer)
    workspace, panel = widget.workspace, widget.panel("Data")
    workspace.open_project(project)
    qtbot.waitUntil(lambda: workspace.layers is not None)
    layers, session = workspace.layers, workspace.session
    assert layers is not None
    assert session is not None
    assert isinstance(panel, DataPanel)
    viewer.dims.set_current_step(0, 5)
    layers.start_drawing_box()
    drag(viewer, layers.image, [(5, 10, 10), (5, 15, 20), (5, 20, 30)])
    panel.project.held_out.depth_box.setValue(4)
    press(qtbot, viewer, "Shift-H")
    (box,) = session.held_out.boxes
    assert box.shape[0] == 4
    assert box.start[0] <= 5 < box.stop[0]


# ---- files and samples


def test_opening_and_dropping_a_project_folder(viewer: Any, qtbot: QtBot, project: Path) -> None:
    viewer.open(str(project), plugin="napari-pytc")
    workspace = controllers_for(viewer).workspace
    qtbot.waitUntil(lambda: workspace.layers is not None)
    assert [layer.name for layer in viewer.layers] == ["fly", "Strokes"]
    workspace.close_project()
    assert not viewer.layers

    data = QMimeData()
    data.setUrls([QUrl.fromLocalFile(str(project))])
    action, button, none = Qt.DropAction.CopyAction, Qt.MouseButton.LeftButton, Qt.KeyboardModifier.NoModifier
    viewer.window._qt_viewer.dropEvent(QDropEvent(QPointF(5, 5), action, data, button, none))
    qtbot.waitUntil(lambda: workspace.layers is not None)
    assert show_workspace(viewer).isVisible()


def test_the_sample_of_the_menu_opens_ready_to_paint(
    viewer: Any, qtbot: QtBot, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(samples, "default_folder", lambda: tmp_path / "samples")
    viewer.open_sample("napari-pytc", "ready_to_paint")
    workspace = controllers_for(viewer).workspace
    qtbot.waitUntil(lambda: workspace.layers is not None)
    layers = workspace.layers
    assert layers is not None
    assert viewer.layers.selection.active is layers.strokes
    assert layers.strokes.mode == "paint"
    assert (tmp_path / "samples" / sample_project.PROJECT / "project.json").is_file()
    viewer.open_sample("napari-pytc", "ready_to_paint")  # a second time it is the same project
    qtbot.waitUntil(lambda: not workspace.busy)
    assert workspace.layers is layers
    assert {layer.name for layer in viewer.layers} == {"medulla", "Strokes"}


# ---- the end


def test_closing_the_window_leaves_no_process_thread_or_timer(
    open_window: Callable[[], Any], qtbot: QtBot, project: Path
) -> None:
    threads_before = set(threading.enumerate())
    viewer = open_window()
    widget = show_workspace(viewer)
    workspace = widget.workspace
    workspace.open_project(project)
    qtbot.waitUntil(lambda: workspace.layers is not None)
    qtbot.waitUntil(lambda: workspace.worker.is_warm)
    pid = workspace.worker.runner.worker_pid  # type: ignore[union-attr]
    assert psutil.pid_exists(pid)
    timers = [timer for owner in (workspace, widget) for timer in owner.findChildren(QTimer)]
    assert timers
    viewer.close()
    assert workspace.session is None
    qtbot.waitUntil(lambda: not psutil.pid_exists(pid))

    def ours() -> list[str]:
        new = set(threading.enumerate()) - threads_before
        return [thread.name for thread in new if thread.name.startswith("napari-pytc")]

    qtbot.waitUntil(lambda: ours() == [])
    assert not any(isalive(timer) and timer.isActive() for timer in timers)
    with Session.open(project) as after:
        assert not after.project.read_only


def test_a_close_that_the_user_took_back_shuts_nothing_down(
    viewer: Any, qtbot: QtBot, project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    workspace = show_workspace(viewer).workspace
    workspace.open_project(project)
    qtbot.waitUntil(lambda: workspace.layers is not None)
    window = viewer.window._qt_window

    def keep(self: Any, event: QCloseEvent) -> None:
        event.ignore()

    with monkeypatch.context() as patch:
        patch.setattr(type(window), "closeEvent", keep)  # as after "Cancel" in the question whether to close
        assert not window.close()
    assert window.isVisible()
    assert workspace.session is not None
    assert viewer.layers
    viewer.close()
    assert workspace.session is None


@pytest.mark.slow
def test_torch_is_not_imported_by_the_window() -> None:
    code = (
        "import sys\n"
        "import napari_pytc.ui.workspace_widget, napari_pytc.ui.menu_commands\n"
        "import napari_pytc.ui.demo\n"
        "napari_pytc.ui.controllers.load_panels()\n"
        "print(sorted({'torch', 'monai', 'lightning'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.stdout.strip() == "[]", done.stdout + done.stderr
