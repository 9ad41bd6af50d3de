"""The walls between the rooms: who may import whom, what stays out of the window's process, how long a file may be."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import pytest

import napari_pytc

PACKAGE = Path(napari_pytc.__file__).parent
REPOSITORY = Path(__file__).parents[1]
FILES = sorted(PACKAGE.rglob("*.py"))
MAX_LINES = 400
TORCH = ("torch", "monai", "lightning", "pytorch_lightning")
QT = ("qtpy", "PyQt5", "PyQt6", "PySide2", "PySide6", "napari", "magicgui", "superqt", "pyqtgraph")


def python(code: str) -> str:
    """Standard output of code run in an interpreter of its own."""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def modules_of(room: str) -> list[str]:
    """Every module of a room by its dotted name."""
    paths = [path.relative_to(PACKAGE.parent).with_suffix("") for path in (PACKAGE / room).rglob("*.py")]
    return sorted(".".join(path.parts).removesuffix(".__init__") for path in paths)


def test_imports_keep_to_the_contracts() -> None:
    done = subprocess.run(
        [
            sys.executable,
            "-c",
            "from importlinter.cli import lint_imports_command; lint_imports_command()",
            "--no-cache",
        ],
        cwd=REPOSITORY,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize("room", ["session", "ui"])
def test_the_window_never_imports_torch(room: str) -> None:
    loaded = python(
        f"import importlib, sys\nfor name in {modules_of(room)}: importlib.import_module(name)\n"
        f"print(sorted(set({TORCH}) & set(sys.modules)))"
    )
    assert loaded == "[]"


def test_session_works_where_qt_and_napari_are_not_installed() -> None:
    python(
        "import importlib, importlib.abc, sys\n"
        "class Uninstalled(importlib.abc.MetaPathFinder):\n"
        "    def find_spec(self, name, path=None, target=None):\n"
        f"        if name.split('.')[0] in {QT}:\n"
        "            raise ModuleNotFoundError(f'No module named {name!r}', name=name)\n"
        "sys.meta_path.insert(0, Uninstalled())\n"
        f"for name in {modules_of('session')}: importlib.import_module(name)\n"
    )


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.relative_to(PACKAGE).as_posix())
def test_a_file_is_about_one_thing_and_does_not_print(path: Path) -> None:
    text = path.read_text(encoding="utf-8")
    assert len(text.splitlines()) <= MAX_LINES
    calls = [node for node in ast.walk(ast.parse(text)) if isinstance(node, ast.Call)]
    assert not [node.lineno for node in calls if isinstance(node.func, ast.Name) and node.func.id == "print"]


def test_the_manifest_at_the_top_is_the_packages() -> None:
    top = REPOSITORY / "napari.yaml"
    if top.read_text(encoding="utf-8").strip() == "src/napari_pytc/napari.yaml":
        pytest.skip("git wrote the link as a text file, as it does on Windows without developer mode")
    assert top.read_bytes() == (PACKAGE / "napari.yaml").read_bytes()
