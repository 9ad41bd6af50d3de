"""The jobs of a project that wait or run, and checks against changing what they use."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from napari_pytc.errors import ProjectError
from napari_pytc.jobs.spec import JobSpec


class ActiveJobs:
    """The jobs of a project that wait or run, by what they make: ids of models, predictions and segmentations, files.

    Any thread: a job ends in the thread that delivers its events.
    """

    def __init__(self) -> None:
        self._jobs: dict[tuple[str, str], JobSpec] = {}
        self.reserved: set[str] = set()
        """Ids of models and segmentations that were promised to jobs which have not begun."""

    def subjects(self, volume: str = "") -> set[str]:
        """Ids and file names of all that the jobs of a volume make; of models and files without one."""
        return {subject for of, subject in list(self._jobs) if of == volume}

    def add(self, subject: str, job: JobSpec, volume: str = "") -> None:
        """Note that a job waits or runs."""
        self._jobs[volume, subject] = job

    def remove(self, subject: str, volume: str = "") -> None:
        """Note that the job is over."""
        self._jobs.pop((volume, subject), None)

    def check_free(self, subject: str, message: str, volume: str = "") -> None:
        """Raise with a message where a job makes this already."""
        if (volume, subject) in self._jobs:
            raise ProjectError(message, "Wait for it to end, or cancel it.")

    def check_unused(self, folder: Path, what: str) -> None:
        """Raise while a job needs a model, a prediction, a segmentation, checkpoints, or something in a volume."""
        if any(_names_path(job.model_dump(), folder) for job in list(self._jobs.values())):
            raise ProjectError(f"A job needs this {what}.", "Wait for it to end, or cancel it, then delete it.")

    def check_no_training(self) -> None:
        """Raise while a training waits or runs."""
        if any(job.kind == "train" for job in list(self._jobs.values())):
            raise ProjectError("A training is running.", "Wait for it to end, or cancel it, then do this again.")


def _names_path(content: Any, path: Path) -> bool:
    """Whether the content of a spec holds a path, or one in that folder, at any depth."""
    if isinstance(content, dict):
        return any(_names_path(value, path) for value in content.values())
    if isinstance(content, tuple | list):
        return any(_names_path(value, path) for value in content)
    return isinstance(content, Path) and (content == path or path in content.parents)
