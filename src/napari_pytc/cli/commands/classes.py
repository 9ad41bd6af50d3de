"""Commands for the classes of a project: add-class, rename-class."""

from __future__ import annotations

from contextlib import closing
from typing import TYPE_CHECKING, Annotated

import typer

from napari_pytc.cli.options import AsJson, ProjectFolder
from napari_pytc.cli.output import Reply, table
from napari_pytc.cli.sessions import open_project
from napari_pytc.errors import InvalidInput

if TYPE_CHECKING:
    from napari_pytc.session.session import Session


def register(app: typer.Typer) -> None:
    """Add the commands of this file."""
    app.command("add-class", rich_help_panel="Project")(add_class)
    app.command("rename-class", rich_help_panel="Project")(rename_class)


def add_class(
    context: typer.Context,
    project: ProjectFolder,
    name: Annotated[str, typer.Argument(metavar="NAME", help="Name of the new class; it is the last one.")],
    colour: Annotated[
        str | None, typer.Option(metavar="#RRGGBB", help="Its colour; by default the next one of the palette.")
    ] = None,
    as_json: AsJson = False,
) -> Reply:
    """Add a class to a project, in all its volumes."""
    from pydantic import ValidationError

    from napari_pytc.session.records import ClassSpec

    try:
        spec = ClassSpec(name=name.strip(), colour=colour)
    except ValidationError as error:
        raise InvalidInput(
            f"A class has a name and a colour #rrggbb, got {name!r} and {colour!r}.", "For example: --colour '#e6194b'."
        ) from error
    with closing(open_project(project)) as session:
        session.classes.add(spec)
        return _reply(str(project), session)


def rename_class(
    context: typer.Context,
    project: ProjectFolder,
    name: Annotated[str, typer.Argument(metavar="CLASS", help="Name or number of the class.")],
    new_name: Annotated[str, typer.Argument(metavar="NEW", help="Its new name.")],
    as_json: AsJson = False,
) -> Reply:
    """Give a class another name; its strokes stay. Models keep the names that they were trained with."""
    with closing(open_project(project)) as session:
        records = session.classes.records()
        found = [c.id for c in records if c.name == name] or [c.id for c in records if str(c.id) == name]
        if not found:
            listed = ", ".join(f"{c.id} {c.name}" for c in records)
            raise InvalidInput(f"The project has no class {name!r}; its classes: {listed}.", "Give one of them.")
        session.classes.rename(found[0], new_name)
        return _reply(str(project), session)


def _reply(project: str, session: Session) -> Reply:
    records = session.classes.records()
    document = {"project": project, "classes": [{"id": c.id, "name": c.name, "colour": c.colour} for c in records]}
    return Reply(document, table("Classes", ("id", "name", "colour"), [(c.id, c.name, c.colour) for c in records]))
