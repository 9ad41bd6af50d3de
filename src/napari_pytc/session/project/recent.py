"""The projects that were opened lately, remembered between sessions."""

from __future__ import annotations

import json
from contextlib import suppress
from pathlib import Path

from platformdirs import user_state_path

from napari_pytc.files import plain_path, write_text_durably

MOST = 12


class RecentProjects:
    """Folders of projects, the newest first, in a small JSON file of the user's.

    The list is not essential: a damaged file counts as an empty one, and one that cannot be written is ignored.

    Parameters
    ----------
    path : Path, optional
        The file; by default in the user's state folder.
    """

    def __init__(self, path: Path | None = None) -> None:
        self._path = path if path is not None else user_state_path("napari-pytc") / "recent.json"

    def add(self, folder: Path) -> None:
        """Put a folder first."""
        place = plain_path(folder)
        self._write([place, *(known for known in self._read() if known != place)])

    def forget(self, folder: Path) -> None:
        """Take a folder out of the list; the project itself stays."""
        place = plain_path(folder)
        self._write([known for known in self._read() if known != place])

    def folders(self) -> list[Path]:
        """Projects of the list that exist now, at most 12."""
        return [folder for folder in self._read() if _exists(folder)][:MOST]

    def _read(self) -> list[Path]:
        try:
            content = json.loads(self._path.read_text(encoding="utf-8"))
        except (OSError, ValueError, RecursionError):
            return []
        known = content if isinstance(content, list) else []
        return list(dict.fromkeys(Path(name) for name in known if isinstance(name, str) and name))

    def _write(self, folders: list[Path]) -> None:
        text = json.dumps([str(folder) for folder in folders[:MOST]], indent=1)
        with suppress(OSError, ValueError):
            self._path.parent.mkdir(parents=True, exist_ok=True)
            write_text_durably(self._path, text)


def _exists(folder: Path) -> bool:
    try:
        return (folder / "project.json").is_file()
    except (OSError, ValueError):  # a drive that is gone, a name that cannot be
        return False
