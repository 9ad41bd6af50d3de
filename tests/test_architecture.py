"""The walls between the rooms: who may import whom, what stays out of the window's process."""

from __future__ import annotations

import ast
import subprocess
import sys
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import pytest

import napari_pytc

PACKAGE = Path(napari_pytc.__file__).parent
REPOSITORY = Path(__file__).parents[1]
FILES = sorted(PACKAGE.rglob("*.py"))
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


def module_name(path: Path) -> str:
    """Dotted name of a file of the package."""
    parts = path.relative_to(PACKAGE.parent).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def imported(path: Path, text: str, known: set[str]) -> set[str]:
    """Modules of the package that a file imports anywhere: on top, in functions, for type checkers alone."""
    name = module_name(path)
    package = name if path.name == "__init__.py" else name.rpartition(".")[0]
    found: set[str] = set()
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            above = package.split(".")[: len(package.split(".")) - node.level + 1] if node.level else []
            base = ".".join([*above, *([node.module] if node.module else [])])
            found |= {f"{base}.{alias.name}" if f"{base}.{alias.name}" in known else base for alias in node.names}
    return (found & known) - {name}


@pytest.mark.slow
def test_no_files_import_one_another_in_a_circle() -> None:
    known = {module_name(path) for path in FILES}
    graph = {module_name(path): imported(path, path.read_text(encoding="utf-8"), known) for path in FILES}
    try:
        TopologicalSorter(graph).prepare()
    except CycleError as error:
        pytest.fail("These files import one another: " + " <- ".join(error.args[1]))


@pytest.mark.parametrize(
    "text",
    [
        "from napari_pytc.geometry import box",
        "import napari_pytc.geometry.box",
        "def later():\n    from napari_pytc.geometry.box import Box",
        "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    from napari_pytc.geometry.box import Box",
        "from . import box",
        "from .box import Box",
    ],
)
def test_every_way_of_importing_counts(text: str) -> None:
    known = {"napari_pytc.geometry", "napari_pytc.geometry.box"}
    assert imported(PACKAGE / "geometry" / "tiles.py", text, known) == {"napari_pytc.geometry.box"}


@pytest.mark.slow
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


@pytest.mark.slow
@pytest.mark.parametrize("room", ["plans", "pytc", "session", "ui", "cli", "report"])
def test_the_window_never_imports_torch(room: str) -> None:
    loaded = python(
        f"import importlib, sys\nfor name in {modules_of(room)}: importlib.import_module(name)\n"
        f"print(sorted(set({TORCH}) & set(sys.modules)))"
    )
    assert loaded == "[]"


@pytest.mark.slow
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


def test_a_name_of_a_public_class_stands_once() -> None:
    places: dict[str, list[str]] = {}
    for path in FILES:
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.ClassDef) and not node.name.startswith("_"):
                places.setdefault(node.name, []).append(path.relative_to(PACKAGE).as_posix())
    assert {name: found for name, found in places.items() if len(found) > 1} == {}


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.relative_to(PACKAGE).as_posix())
def test_a_file_does_not_print(path: Path) -> None:
    text = path.read_text(encoding="utf-8")
    calls = [node for node in ast.walk(ast.parse(text)) if isinstance(node, ast.Call)]
    assert not [node.lineno for node in calls if isinstance(node.func, ast.Name) and node.func.id == "print"]


def test_the_manifest_at_the_top_is_the_packages() -> None:
    top = REPOSITORY / "napari.yaml"
    if top.read_text(encoding="utf-8").strip() == "src/napari_pytc/napari.yaml":
        pytest.skip("git wrote the link as a text file, as it does on Windows without developer mode")
    assert top.read_bytes() == (PACKAGE / "napari.yaml").read_bytes()
