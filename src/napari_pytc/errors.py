"""The errors a user can meet: one sentence of what was expected and what came, and a hint at what to do."""

from __future__ import annotations


class PytcError(Exception):
    """An error that is the user's to read.

    Parameters
    ----------
    message : str
        What was expected and what came, in one sentence.
    hint : str
        What to do about it; empty when there is nothing to do.
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
    """A volume that cannot be opened, read or written as asked."""


class ProjectError(PytcError):
    """A project folder that cannot be made, opened or changed."""


class ModelError(PytcError):
    """A model that cannot be built, loaded or trained."""


class OutOfMemory(PytcError):
    """No rung of the out-of-memory ladder was low enough."""


class WorkerDied(PytcError):
    """The worker process ended before its job did."""


class InvalidEdit(PytcError):
    """An edit of segments or strokes that is refused; nothing was changed."""
