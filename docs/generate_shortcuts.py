"""A hook of mkdocs: the page of keys is made from the bindings that the window registers.

python docs/generate_shortcuts.py     # prints the page
"""

from __future__ import annotations

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files

from napari_pytc.ui.canvas.paint.object_layer import BACKGROUND_KEY, NEW_KEY
from napari_pytc.ui.canvas.project_layers import CLASS_KEYS, ERASER_KEY
from napari_pytc.ui.commands import COMMANDS
from napari_pytc.ui.panels.proofread.tools import ACTIONS, TOOLS

_INTRODUCTION = """\
# Keys

They work while the canvas has the focus: click it once. All of the commands are also in the command palette
(`Ctrl-Shift-P`), where they end in "(PyTC)". Painting has napari's own keys as well: `[` and `]` change the size of the
brush, holding `Space` pans.
"""
_PAINTING = """
## On the project's layers

Number keys choose a class here; on other layers they are napari's own. `Control-Z` and `Control-Shift-Z` go through the
project's journal, which remembers every stroke and every edit, also after a restart.

| key | what it does |
|---|---|
"""
_PROOFREADING = """
## On the segments

These work while the layer Segments is the active one (`Shift-R`), and in the Proofread panel. See
[Proofreading](proofreading.md).

| key | what it does |
|---|---|
"""


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add the page of keys."""
    files.append(File.generated(config, "shortcuts.md", content=shortcuts_page()))
    return files


def shortcuts_page() -> str:
    """The page in Markdown."""
    lines = [_INTRODUCTION, "| key | command |", "|---|---|"]
    lines += [f"| `{command.keys}` | {command.title} |" for command in COMMANDS if command.keys]
    lines.append(_PAINTING.rstrip())
    lines += [f"| `{key}` | Paint class {key} |" for key in CLASS_KEYS]
    lines.append(f"| `{ERASER_KEY}` | Erase strokes |")
    lines.append(f"| `{NEW_KEY}` | On the layer Objects: paint an object that has no voxel yet |")
    lines.append(f"| `{BACKGROUND_KEY}` | On the layer Objects: paint where none is; `{ERASER_KEY}` erases |")
    lines.append(_PROOFREADING.rstrip())
    lines += [f"| `{found.key}` | **{found.title}.** {found.tip} |" for found in (*TOOLS, *ACTIONS)]
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    print(shortcuts_page())
