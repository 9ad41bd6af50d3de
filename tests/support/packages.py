"""Packages that are installed for a test: modules on the path, and a distribution with entry points."""

from __future__ import annotations

import importlib
import re
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from napari_pytc.settings import TaggedSettings


@contextmanager
def installed(
    folder: Path, family: type[TaggedSettings], files: Mapping[str, str], entries: Mapping[str, str]
) -> Iterator[None]:
    """A package that brings kinds of a family; afterwards the family is as before.

    Parameters
    ----------
    files : mapping
        Text of each module by its path, as ``"my_package/settings.py"``.
    entries : mapping
        Module of each entry point, by its name.
    """
    for path, text in files.items():
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        (folder / path).write_text(text)
    about = folder / "my_package-1.0.dist-info"
    about.mkdir()
    (about / "METADATA").write_text("Metadata-Version: 2.1\nName: my-package\nVersion: 1.0\n")
    lines = [f"{name} = {module}" for name, module in entries.items()]
    (about / "entry_points.txt").write_text("\n".join([f"[{family.entry_point_group}]", *lines, ""]))
    kinds, modules = dict(family.variants()), set(sys.modules)
    _forget(family)
    sys.path.insert(0, str(folder))
    importlib.invalidate_caches()
    try:
        yield
    finally:
        sys.path.remove(str(folder))
        importlib.invalidate_caches()
        family.kinds.clear()
        family.kinds.update(kinds)
        own = {Path(path).parts[0].removesuffix(".py") for path in files}
        for name in set(sys.modules) - modules:
            if name.split(".")[0] in own:
                del sys.modules[name]
        _forget(family)


def losses_of_page(text: str) -> tuple[dict[str, str], dict[str, str]]:
    """Modules and entry points of the loss of one's own that a page describes."""
    files = re.findall(r"```python\n# (\S+)\n(.*?)```", text, re.DOTALL)
    entries = re.findall(r'```toml\n.*?"napari_pytc.losses"\]\n(\w+) = "(\S+)"\n```', text)
    return dict(files), dict(entries)


def _forget(family: type[TaggedSettings]) -> None:
    """Let the family look for other packages again."""
    TaggedSettings._loaded.discard(family.entry_point_group)
    TaggedSettings._unloadable.pop(family.entry_point_group, None)
    TaggedSettings._conflicts.pop(family.entry_point_group, None)
