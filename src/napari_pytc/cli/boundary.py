"""The boundary where the end of a command becomes an exit code: a reply, a one-line error, or an interrupt."""

from __future__ import annotations

import os
import sys
import traceback
from collections.abc import Callable
from contextlib import nullcontext, redirect_stdout
from types import TracebackType
from typing import Any

import typer

from napari_pytc.cli.output import Output, Reply
from napari_pytc.errors import PytcError

# Typer publishes only this leaf of its usage errors, and its versions differ in where they keep the root.
UsageProblem: type[Exception] = typer.BadParameter.__mro__[2]

OK, FAILED, MISUSED, INTERRUPTED = 0, 1, 2, 130


class Interrupted(PytcError):
    """The user stopped the command; the message names the work that is kept."""


def run_guarded(output: Output, command: Callable[[], Any]) -> int:
    """Run a command, print its reply or error, and return the exit code.

    Parameters
    ----------
    output : Output
        The command's streams.
    command : callable
        Returns a `Reply`, an exit code, or nothing.

    Returns
    -------
    int
        The exit code: 0, 1 for an error, 2 for a command line that cannot be read, 130 after Ctrl+C.
    """
    try:
        # A library that prints must not spoil the JSON document.
        with redirect_stdout(sys.stderr) if output.as_json else nullcontext():
            answer = command()
        if isinstance(answer, Reply):
            output.answer(answer)
            return answer.exit_code
        return answer if isinstance(answer, int) else OK
    except BrokenPipeError:
        # The reader (`head`, a pager) has seen enough; the flush at exit must not fail again.
        sys.stdout = open(os.devnull, "w")  # noqa: SIM115
        return FAILED
    except KeyboardInterrupt:
        output.error("Stopped by Ctrl+C.", "Run the same command again to start over.")
        return INTERRUPTED
    except UsageProblem as error:
        _print_trace(output)
        output.error(*_usage(error))
        return MISUSED
    except (PytcError, OSError, ValueError, MemoryError) as error:
        sentences = describe_error(error)
        if sentences is None:
            raise
        _print_trace(output)
        output.error(*sentences)
        return INTERRUPTED if isinstance(error, Interrupted) else FAILED


def describe_error(error: Exception) -> tuple[str, str] | None:
    """An error's sentence and hint; None for one that only a programmer can read."""
    if isinstance(error, PytcError):
        return error.message, error.hint
    if isinstance(error, MemoryError):
        return "There is not enough memory for this.", "Close other programs, or give a smaller --box."
    if isinstance(error, OSError):
        reason = error.strerror or str(error) or type(error).__name__
        where = f"{error.filename}: " if error.filename else ""
        return f"{where}{reason}.", "Check that the path is right, may be written and has room on its disk."
    return _validation(error)


def install_excepthook(output: Output) -> None:
    """Print unforeseen errors as one line, too; a trace explains nothing to the user."""

    def report_unforeseen(kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
        if output.debug:
            traceback.print_exception(kind, error, trace, file=sys.stderr)
        output.error(
            f"napari-pytc met an error that it should have foreseen: {kind.__name__}: {error}".rstrip(": ") + ".",
            "Run the command again with --debug and report what it prints.",
        )

    sys.excepthook = report_unforeseen


def _print_trace(output: Output) -> None:
    if output.debug:
        traceback.print_exc(file=sys.stderr)


def _usage(error: Exception) -> tuple[str, str]:
    context = getattr(error, "ctx", None)
    path = getattr(context, "command_path", "napari-pytc")
    message = error.format_message() if hasattr(error, "format_message") else str(error)
    return message, f"`{path} --help` shows how the command is written."


def _validation(error: Exception) -> tuple[str, str] | None:
    """A pydantic error of settings as one sentence: which setting, what was expected, what came."""
    from pydantic import ValidationError

    if not isinstance(error, ValidationError):
        return None
    from napari_pytc.plans.recipe_checks import explain

    return explain(error, f"the settings of {error.title}")
