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
from napari_pytc.cli.boundary import install_excepthook, run_guarded
from napari_pytc.cli.commands import (
    annotate,
    apply,
    classes,
    demo,
    doctor,
    evaluate,
    export,
    info,
    learn,
    networks,
    project,
    proofread,
    pytc,
    retrain,
    segment,
    segmentation,
    tune,
    view,
    volumes,
)
from napari_pytc.cli.options import refuse_repeated
from napari_pytc.cli.output import Output

DEBUG_VARIABLE = "NAPARI_PYTC_DEBUG"


class Commands(TyperGroup):
    """The group of all commands, run within the boundary that makes exit codes."""

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
        debug = _remove_option(words, "--debug") or bool(os.environ.get(DEBUG_VARIABLE))
        called = [word for word in words[:1] if word in self.commands]
        output = Output(_has_option(words, "--json"), debug, " ".join(["napari-pytc", *called]))
        if standalone_mode and args is None:
            install_excepthook(output)
            _quieten_libraries(debug)

        def run() -> Any:
            for word in called:
                refuse_repeated(self.commands[word].params, _options(words))
            try:
                with self.make_context("napari-pytc", words, obj=output, **extra) as context:
                    return self.invoke(context)
            except typer.Exit as end:
                return end.exit_code

        code = run_guarded(output, run)
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
        output.print(f"napari-pytc {__version__}")
        raise typer.Exit
    if context.invoked_subcommand is None:
        output.print(context.get_help())
        raise typer.Exit


for _commands in (
    project,
    volumes,
    classes,
    annotate,
    apply,
    learn,
    networks,
    pytc,
    segment,
    tune,
    segmentation,
    proofread,
    retrain,
    export,
    evaluate,
    view,
    info,
    doctor,
    demo,
):
    _commands.register(app)


def main() -> None:
    """Run the command line and leave with its exit code."""
    app()


def _options(words: Sequence[str]) -> Sequence[str]:
    """The words before ``--``, after which everything is an argument."""
    return words[: words.index("--")] if "--" in words else words


def _has_option(words: Sequence[str], option: str) -> bool:
    return option in _options(words)


def _remove_option(words: list[str], option: str) -> bool:
    """Remove an option from anywhere in the arguments, and return whether it was there."""
    is_there = _has_option(words, option)
    if is_there:
        words.remove(option)
    return is_there


def _quieten_libraries(debug: bool) -> None:
    """Keep libraries' warnings and logs, which users cannot act on, away from the progress."""
    if debug:
        return
    warnings.simplefilter("ignore")
    # Not logger by logger: Lightning sets the levels of its own when it is imported, which is later.
    logging.disable(logging.WARNING)


if __name__ == "__main__":
    main()
