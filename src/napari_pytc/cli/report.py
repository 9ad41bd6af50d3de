"""The command that writes a page about a project: report."""

from __future__ import annotations

from contextlib import closing
from pathlib import Path
from typing import Annotated

import typer

from napari_pytc.cli.options import AsJson, ProjectFolder, output_of
from napari_pytc.cli.output import Answer, bytes_text
from napari_pytc.cli.sessions import open_session


def register(app: typer.Typer) -> None:
    """Add the command of this file."""
    app.command("report", rich_help_panel="Project")(report)


def report(
    context: typer.Context,
    project: ProjectFolder,
    page: Annotated[Path, typer.Argument(metavar="OUT.html", help="The page to write.")],
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace a page that is there already.")] = False,
    as_json: AsJson = False,
) -> Answer:
    """Write a page that stands alone: data, effort, models with scores, edits, pictures, methods, versions."""
    from napari_pytc.session.report import write_report

    with closing(open_session(project, read_only=True)) as session, output_of(context).counting("report") as counted:
        facts = write_report(session, page, overwrite, counted)
    text = f"Wrote {page}, {bytes_text(page.stat().st_size)}: open it in any browser, it needs no other file."
    return Answer({**facts, "page": str(page), "bytes": page.stat().st_size}, text)
