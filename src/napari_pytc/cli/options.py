"""Options and arguments that several commands share, and how their text is read."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from napari_pytc.errors import InvalidInput

if TYPE_CHECKING:
    from napari_pytc.cli.output import Output
    from napari_pytc.geometry import Box

# Read by `main.Commands` before the command line is parsed, so that errors of parsing are JSON too.
AsJson = Annotated[bool, typer.Option("--json", help="Print one JSON document on stdout; progress goes to stderr.")]
ProjectFolder = Annotated[Path, typer.Argument(metavar="PROJECT", help="Folder of the project, NAME.pytc.")]
VoxelSize = Annotated[
    str | None,
    typer.Option("--voxel-size", metavar="Z,Y,X", help="Voxel size in nm; by default what the image file says."),
]
BoxText = Annotated[
    str | None, typer.Option("--box", metavar="Z0:Z1,Y0:Y1,X0:X1", help="Only these voxels; by default all.")
]
Settings = Annotated[
    list[str] | None,
    typer.Argument(metavar="KEY=VALUE", help="Settings to change, for example learning_rate=0.001."),
]


def output_of(context: typer.Context) -> Output:
    """The streams of the running command."""
    output: Output = context.obj
    return output


def read_box(text: str | None) -> Box | None:
    """A box from the command line; None where none was given."""
    from napari_pytc.geometry import Box

    return None if text is None else Box.parse(text)


def read_voxel_size(text: str | None) -> tuple[float, float, float] | None:
    """A voxel size in nm from the command line; None where none was given."""
    from napari_pytc.geometry import VoxelSpace

    return None if text is None else VoxelSpace.parse(text).voxel_size_nm


def read_triple(text: str, what: str) -> tuple[int, int, int]:
    """Three whole numbers Z,Y,X."""
    try:
        z, y, x = (int(part) for part in text.split(","))
    except ValueError as error:
        raise InvalidInput(f"{what} is written Z,Y,X in voxels, for example 0,128,128; got {text!r}.") from error
    return z, y, x


def read_settings(words: Sequence[str]) -> dict[str, Any]:
    """Settings from ``key=value`` words; values are YAML, keys may be dotted."""
    from omegaconf import OmegaConf
    from omegaconf.errors import OmegaConfBaseException
    from yaml import YAMLError

    for word in words:
        if "=" not in word or word.startswith("="):
            raise InvalidInput(f"A setting is changed with key=value, got {word!r}.", "For example: device=cpu.")
    try:
        values = OmegaConf.to_container(OmegaConf.from_dotlist(list(words)), resolve=True)
    except (OmegaConfBaseException, YAMLError, ValueError) as error:
        raise InvalidInput(f"The settings cannot be read: {str(error).splitlines()[0]}.") from error
    return {str(key): value for key, value in dict(values or {}).items()}


def read_classes(text: str) -> list[str]:
    """Names of classes from ``membrane,inside``, in order."""
    names = [name.strip() for name in text.split(",")]
    if not all(names):
        raise InvalidInput(
            f"Classes are names with commas between them, got {text!r}.", "For example: --classes membrane,inside."
        )
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise InvalidInput(f"Every class needs a name of its own, got {twice[0]!r} twice.")
    return names
