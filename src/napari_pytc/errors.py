"""Errors for users: a sentence on the expected and the actual value, and a hint at a remedy."""

from __future__ import annotations

from collections.abc import Iterable


class PytcError(Exception):
    """Base of the errors that are shown to users.

    Parameters
    ----------
    message : str
        The expected and the actual value, in one sentence.
    hint : str
        Hint at a remedy; empty when there is none.
    """

    def __init__(self, message: str, hint: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint

    def __str__(self) -> str:
        return f"{self.message} {self.hint}".rstrip()

    def __reduce__(self) -> tuple[object, ...]:
        return (type(self), (self.message, self.hint))


class InvalidInput(PytcError):
    """An argument, a setting or a combination of them that cannot work."""


class VolumeError(PytcError):
    """A volume that cannot be opened, read or written as requested."""


class ProjectError(PytcError):
    """A project folder that cannot be made, opened or changed."""


class ModelError(PytcError):
    """A model that cannot be built, loaded or trained."""


class OutOfMemory(PytcError):
    """Not enough memory, even after all fallbacks."""


class WorkerDied(PytcError):
    """The worker process ended before its job did."""


class InvalidEdit(PytcError):
    """An edit of segments or strokes that is refused; nothing was changed."""


def listed(segments: Iterable[int], most: int = 4) -> str:
    """Segments in a title: the first few, and the number of the others."""
    ids = list(segments)
    shown = ", ".join(map(str, ids[:most]))
    return shown if len(ids) <= most else f"{shown} and {len(ids) - most} more"
