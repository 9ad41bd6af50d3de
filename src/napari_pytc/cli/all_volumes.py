"""One command on all volumes of a project: what fails at one does not stop the others."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rich.console import Group

from napari_pytc.cli.boundary import FAILED, OK, Interrupted, describe_error
from napari_pytc.cli.output import Output, Reply, table
from napari_pytc.cli.sessions import open_project
from napari_pytc.errors import PytcError

if TYPE_CHECKING:
    from napari_pytc.session.session import Session


def at_all_volumes(
    output: Output,
    project: Path,
    title: str,
    work: Callable[[Session], dict[str, Any]],
    columns: Sequence[tuple[str, str]],
) -> Reply:
    """Do something at each volume of a project, one after the other.

    Parameters
    ----------
    title : str
        Title of the table.
    work : callable
        Called with the session at each volume; returns its result. Ctrl+C in it ends the whole command.
    columns : sequence of (str, str)
        Heading and key of the results that are shown.

    Returns
    -------
    Reply
        The results in ``volumes``, with ``error`` and ``hint`` of those that failed; the exit code is 1 where one did.
    """
    documents: list[dict[str, Any]] = []
    with closing(open_project(project)) as session:
        records = session.volumes.records()
        for number, record in enumerate(records, start=1):
            output.print(f"{record.name} ({number} of {len(records)})")
            document: dict[str, Any] = {"id": record.id, "volume": record.name}
            try:
                document |= work(session.at(record.id))
            except Interrupted:
                raise
            except (PytcError, OSError) as error:
                message, hint = describe_error(error) or (str(error), "")
                document |= {"error": message, "hint": hint}
                output.warn(f"{record.name}: {message} {hint}".strip())
            documents.append(document)
    failed = [one for one in documents if "error" in one]
    rows = [
        (one["volume"], "failed" if "error" in one else "done", *(one.get(key) for _, key in columns))
        for one in documents
    ]
    parts: list[Any] = [table(title, ("volume", "", *(heading for heading, _ in columns)), rows)]
    parts += [f"{one['volume']}: {one['error']} {one['hint']}".strip() for one in failed]
    if failed:
        parts.append(f"{len(failed)} of {len(documents)} failed; the same command does those again.")
    return Reply({"project": str(project), "volumes": documents}, Group(*parts), FAILED if failed else OK)
