"""The state of an open project that all its volumes share: description, lock, database and clock."""

from __future__ import annotations

import threading
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

from filelock import FileLock

from napari_pytc.errors import InvalidInput, ProjectError
from napari_pytc.session.project.database import Database
from napari_pytc.session.project.description import Project
from napari_pytc.session.project.folder import ProjectFolder


def utc_now() -> datetime:
    """The present, with its time zone."""
    return datetime.now(UTC)


class ProjectState:
    """An open project: its folder, its description, and whether it may be changed.

    Parameters
    ----------
    lock : FileLock, optional
        The writer's lock; None if the project may only be read, for the `reason` given.
    clock : callable
        The present, for ids and records.
    """

    def __init__(
        self,
        folder: ProjectFolder,
        description: Project,
        lock: FileLock | None,
        reason: str,
        database: Database,
        clock: Callable[[], datetime] = utc_now,
    ) -> None:
        self.folder, self.database, self.clock = folder, database, clock
        self._description, self._lock, self._reason = description, lock, reason
        self._thread = threading.get_ident()
        self._is_closed = False

    @property
    def description(self) -> Project:
        """The content of project.json; a new value after each change."""
        return self._description

    @property
    def is_closed(self) -> bool:
        """Whether the project was closed."""
        return self._is_closed

    @property
    def read_only(self) -> bool:
        """Whether this process may not change the project."""
        return self._lock is None

    @property
    def read_only_reason(self) -> str:
        """The reason why the project is read-only; empty if it is not."""
        return f"{self.folder.path.name} is open for reading only: {self._reason}." if self.read_only else ""

    def check_writable(self) -> None:
        """Raise unless the project may be changed, here and by this thread."""
        if threading.get_ident() != self._thread:
            raise RuntimeError("A session is changed only by the thread that opened it.")
        self.check_changeable()

    def check_changeable(self) -> None:
        """Raise unless the project may be changed here; any thread."""
        if self._is_closed:
            raise ProjectError(f"The project {self.folder.path} is closed.", "Open it again.")
        if self.read_only:
            raise ProjectError(self.read_only_reason, "Close it in the other program, then open it again.")
        if not self.folder.description.is_file():  # else a half-made project would appear in its place
            raise ProjectError(
                f"The project folder {self.folder.path} is gone.", "Put it back where it was, or close the project."
            )

    def check_label(self, highest: int) -> None:
        """Raise unless the highest label of a stroke is that of a class."""
        n_classes = len(self._description.classes)
        if highest > n_classes:
            raise InvalidInput(
                f"A stroke has label {highest}, but there are {n_classes} classes.", "Add the class first."
            )

    def save(self, **changes: Any) -> None:
        """Change fields of project.json."""
        description = self._description.model_copy(update=changes)
        self.folder.save(description)
        self._description = self.folder.placed(description)

    def save_volume(self, id: str, **changes: Any) -> None:
        """Change fields of the record of a volume in project.json."""
        self._description.volume(id)
        changed = [
            record.model_copy(update=changes) if record.id == id else record for record in self._description.volumes
        ]
        self.save(volumes=tuple(changed))

    def empty_trash(self) -> None:
        """Free the disk space of deleted things; any thread, takes as long as the disk needs."""
        if not self.read_only and not self._is_closed:
            self.folder.empty_trash()

    def begin_close(self) -> None:
        """Refuse further changes."""
        self._is_closed = True

    def release(self) -> None:
        """Release database and lock, after all else is written."""
        self.database.close()
        if self._lock is not None:
            self._lock.release()
