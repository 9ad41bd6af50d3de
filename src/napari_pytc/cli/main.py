"""The command line: ``napari-pytc``."""

from __future__ import annotations

import logging
import os
import sys
import warnings
from collections.abc import Sequence
from typing import Annotated, Any

import typer
from typer.core import TyperGroup

from napari_pytc import __version__
from napari_pytc.cli import demo, doctor, export, info, learn, project, proofread, report, retrain, segment
from napari_pytc.cli.boundary import guarded, install_excepthook
from napari_pytc.cli.output import Output

DEBUG_VARIABLE = "NAPARI_PYTC_DEBUG"


class Commands(TyperGroup):
    """The group of all commands, inside the boundary that turns their ends into exit codes."""

    def main(  # type: ignore[override]
        self,
        args: Sequence[str] | None = None,
        prog_name: str | None = None,
        complete_var: str | None = None,
        standalone_mode: bool = True,
        **extra: Any,
    ) -> Any:
        """Run the command line, as the entry point and Typer's test runner call it."""
        words = list(sys.argv[1:] if args is None else args)
        debug = _take(words, "--debug") or bool(os.environ.get(DEBUG_VARIABLE))
        called = [word for word in words[:1] if word in self.commands]
        output = Output(_says(words, "--json"), debug, " ".join(["napari-pytc", *called]))
        if standalone_mode and args is None:
            install_excepthook(output)
            _quieten_libraries(debug)

        def run() -> Any:
            try:
                with self.make_context("napari-pytc", words, obj=output, **extra) as context:
                    return self.invoke(context)
            except typer.Exit as end:
                return end.exit_code

        code = guarded(output, run)
        if standalone_mode:
            sys.exit(code)
        return code


app = typer.Typer(
    name="napari-pytc",
    cls=Commands,
    add_completion=False,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
    epilog="With --debug anywhere, an error shows its trace.",
)


@app.callback(invoke_without_command=True)
def start(
    context: typer.Context,
    version: Annotated[bool, typer.Option("--version", help="Print the version.")] = False,
) -> None:
    """Segment volumetric microscopy: paint a little, train, predict, make objects, proofread, export.

    A project is a folder NAME.pytc that holds strokes, models, predictions, segments and every edit of them; the image
    stays where it is.
    """
    output: Output = context.obj
    if version:
        output.say(f"napari-pytc {__version__}")
        raise typer.Exit
    if context.invoked_subcommand is None:
        output.say(context.get_help())
        raise typer.Exit


for _commands in (project, learn, segment, proofread, retrain, export, report, info, doctor, demo):
    _commands.register(app)


def main() -> None:
    """Run the command line and leave with its exit code."""
    app()


def _options(words: Sequence[str]) -> Sequence[str]:
    """The words before ``--``, after which everything is an argument."""
    return words[: words.index("--")] if "--" in words else words


def _says(words: Sequence[str], option: str) -> bool:
    return option in _options(words)


def _take(words: list[str], option: str) -> bool:
    """Remove an option from wherever it stands; whether it was there."""
    there = _says(words, option)
    if there:
        words.remove(option)
    return there


def _quieten_libraries(debug: bool) -> None:
    """Keep libraries' warnings and logs, which users cannot act on, away from the progress."""
    if debug:
        return
    warnings.simplefilter("ignore")
    # Not logger by logger: Lightning sets the levels of its own when it is imported, which is later.
    logging.disable(logging.WARNING)


if __name__ == "__main__":
    main()
