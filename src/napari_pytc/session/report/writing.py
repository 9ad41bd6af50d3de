"""The report as a file."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from napari_pytc.durable import write_text_durably
from napari_pytc.errors import InvalidInput, ProjectError
from napari_pytc.session.report.facts import gather
from napari_pytc.session.report.page import page
from napari_pytc.session.report.pictures import pictures

if TYPE_CHECKING:
    from napari_pytc.session.session import Session


def write_report(
    session: Session,
    path: str | Path,
    overwrite: bool = False,
    report: Callable[[int, int], None] = lambda done, total: None,
) -> dict[str, Any]:
    """Write a page about a project that needs no other file; any thread.

    Parameters
    ----------
    path : Path
        An ``.html`` file; its folder must be there.
    report : callable
        Called with the number of steps done and their total.

    Returns
    -------
    dict
        The facts of the page, as `gather` finds them.

    Raises
    ------
    InvalidInput
        If the name is no page's, or something is there already.
    ProjectError
        If the disk refuses.
    """
    target = Path(path).expanduser().absolute()
    if target.suffix.lower() not in (".html", ".htm"):
        raise InvalidInput(
            f"A report is a page that ends in .html, got {target.name}.", "Name it for example report.html."
        )
    if not target.parent.is_dir():
        raise InvalidInput(f"The folder of the report does not exist: {target.parent}.", "Make it, or choose another.")
    if target.is_dir() or (target.exists() and not overwrite):
        raise InvalidInput(f"There is already something at {target}.", "Choose another name, or add --overwrite.")
    facts = gather(session)
    report(1, 3)
    found, shown = pictures(session)
    report(2, 3)
    try:
        write_text_durably(target, page(facts, found, shown))
    except OSError as error:
        reason = error.strerror or str(error)
        raise ProjectError(
            f"The report {target} cannot be written: {reason}.", "Free space on the disk or choose another folder."
        ) from error
    report(3, 3)
    return facts
