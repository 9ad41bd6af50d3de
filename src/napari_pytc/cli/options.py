"""Options and arguments that several commands share, and the parsing of their text."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from napari_pytc.errors import InvalidInput

if TYPE_CHECKING:
    from napari_pytc.cli.output import Output
    from napari_pytc.geometry import Box
    from napari_pytc.plans.tracking import Tracking
    from napari_pytc.volumes.spec import ChannelChoice, ReadOptions

# Read by `main.Commands` before the command line is parsed, so that errors of parsing are JSON too.
AsJson = Annotated[bool, typer.Option("--json", help="Print one JSON document on stdout; progress goes to stderr.")]
ProjectFolder = Annotated[Path, typer.Argument(metavar="PROJECT", help="Folder of the project, NAME.pytc.")]
VolumeName = Annotated[
    str | None,
    typer.Option("--volume", metavar="NAME", help="Name or id of the volume; needed where the project has several."),
]
NewVolumeName = Annotated[
    str | None,
    typer.Option("--name", metavar="NAME", help="Name of the volume; by default that of the image's file."),
]
BoundaryClass = Annotated[
    str | None,
    typer.Option(metavar="NAME", help="Class that stands for the boundary, where no channel of its own does."),
]
MaskClass = Annotated[
    str | None, typer.Option(metavar="NAME", help="Class that restricts the objects, for example cytoplasm.")
]
MaskPrediction = Annotated[
    str | None, typer.Option(metavar="ID|FOLDER", help="The prediction with that class; by default the same.")
]
MaskMode = Annotated[
    Literal["inside", "not_through"],
    typer.Option(help="Objects lie only inside of the class, or never reach through it."),
]
AllVolumes = Annotated[
    bool, typer.Option("--all", help="All volumes of the project, one after the other; one that fails stops no other.")
]
VoxelSize = Annotated[
    str | None,
    typer.Option("--voxel-size", metavar="Z,Y,X", help="Voxel size in nm; by default what the image file says."),
]
Channel = Annotated[
    int | None, typer.Option("--channel", metavar="N", min=0, help="Which channel, from 0, where there are several.")
]
Channels = Annotated[
    str | None,
    typer.Option(
        "--channel",
        metavar="N|N,N,...|all",
        help="Which channel, from 0, where there are several; or several of them, or all.",
    ),
]
Axes = Annotated[
    str | None,
    typer.Option(
        "--axes",
        metavar="LETTERS",
        help="What the file's axes are, slowest first, as zyx, tzyx or xyz; by default what it says.",
    ),
]
Time = Annotated[
    int | None, typer.Option("--time", metavar="N", min=0, help="Which time point, from 0, where there are several.")
]
MissingSections = Annotated[
    str,
    typer.Option(
        "--missing-sections",
        metavar="note|blank",
        help="Where numbered sections are missing: close the gap and say so, or put blank ones there.",
    ),
]
BoxText = Annotated[
    str | None, typer.Option("--box", metavar="Z0:Z1,Y0:Y1,X0:X1", help="Only these voxels; by default all.")
]
TeasarScale = Annotated[
    float | None,
    typer.Option(
        "--teasar-scale",
        metavar="NUMBER",
        min=0,
        help="A path of a skeleton covers so many times its distance to the border (by default 1.5), plus "
        "--teasar-constant: larger, fewer branches.",
    ),
]
TeasarConstant = Annotated[
    float | None,
    typer.Option(
        "--teasar-constant",
        metavar="NM",
        min=0,
        help="In nm, by default 300 (in voxels, by default 10, where the voxel size is not known).",
    ),
]
Settings = Annotated[
    list[str] | None,
    typer.Argument(metavar="KEY=VALUE", help="Settings to change, for example learning_rate=0.001."),
]

READ_OPTIONS = ("voxel_size", "channel", "axes", "time", "missing_sections")
"""The parameters that `read_options` takes."""


def refuse_given(context: typer.Context, names: Sequence[str], reason: str, hint: str = "") -> None:
    """Refuse options that would do nothing in what a command was asked to do.

    Parameters
    ----------
    names : sequence of str
        Parameters of the command; those that were typed are refused.
    reason : str
        What the options are for, as the rest of a sentence that begins with them.

    Raises
    ------
    InvalidInput
        If any of them was given.
    """
    options = {parameter.name: parameter.opts[0] for parameter in context.command.params}
    given = [options[name] for name in names if _was_typed(context, name)]
    if given:
        raise InvalidInput(f"{', '.join(given)} {'is' if len(given) == 1 else 'are'} {reason}", hint)


def refuse_repeated(parameters: Sequence[Any], words: Sequence[str]) -> None:
    """Refuse an option of one value that is given several times: the last alone would count.

    Parameters
    ----------
    parameters : sequence
        Those of the command.
    words : sequence of str
        The command line.

    Raises
    ------
    InvalidInput
        With the option and all its values.
    """
    for parameter in parameters:
        if parameter.param_type_name != "option" or parameter.multiple or parameter.is_flag:
            continue
        values = list(_values_of(parameter.opts, words))
        if len(values) > 1:
            from napari_pytc.volumes.layout import FILES_OF_ONE_CHANNEL

            raise InvalidInput(
                f"{parameter.opts[0]} takes one value, got {len(values)}: {', '.join(values)}.",
                f"{FILES_OF_ONE_CHANNEL} `napari-pytc add` adds another volume."
                if parameter.opts[0] == "--image"
                else "Give it once.",
            )


def _values_of(names: Sequence[str], words: Sequence[str]) -> Iterator[str]:
    for place, word in enumerate(words):
        name, is_joined, value = word.partition("=")
        if name in names:
            yield value if is_joined else "".join(words[place + 1 : place + 2])


def _was_typed(context: typer.Context, name: str) -> bool:
    source = context.get_parameter_source(name)
    return source is not None and source.name == "COMMANDLINE"


Track = Annotated[
    list[str] | None,
    typer.Option(
        "--track",
        metavar="TRACKER",
        help="Record the training by tensorboard or wandb, also by both: --track tensorboard --track wandb. Settings "
        "follow the name: --track 'wandb project=mito tags=[first] pictures=false'. Nothing is sent without this.",
    ),
]
TrackFolder = Annotated[
    Path | None,
    typer.Option(
        "--track-folder", metavar="FOLDER", help="Where trackers write; by default the folder tracking of the project."
    ),
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


def read_options(
    voxel_size: str | None = None,
    channel: int | str | None = None,
    axes: str | None = None,
    time: int | None = None,
    missing_sections: str = "note",
) -> ReadOptions:
    """How to read a volume, from the command line."""
    from pydantic import ValidationError

    from napari_pytc.volumes.spec import ReadOptions

    channels = read_channels(channel) if isinstance(channel, str) else channel
    given = {"channel": channels, "axes": axes, "time": time, "missing_sections": missing_sections}
    try:
        return ReadOptions.model_validate({"voxel_size_nm": read_voxel_size(voxel_size), **given})
    except ValidationError as error:
        first = error.errors()[0]
        name, reason = str(first["loc"][0]), first["msg"].removeprefix("Value error, ")
        raise InvalidInput(f"--{name.replace('_', '-')} cannot be {_as_typed(given[name])}: {reason}.") from error


def _as_typed(value: Any) -> str:
    return ",".join(map(str, value)) if isinstance(value, tuple) else repr(value)


def read_channels(text: str) -> ChannelChoice:
    """Channels of an image from the command line: a number, several with commas, or all."""
    from napari_pytc.volumes.spec import parse_channels

    if not text.strip():
        raise InvalidInput("--channel is a number from 0, several with commas, or all; got nothing.")
    return parse_channels(text)


def read_triple(text: str, what: str) -> tuple[int, int, int]:
    """Three whole numbers Z,Y,X."""
    try:
        z, y, x = (int(part) for part in text.split(","))
    except ValueError as error:
        raise InvalidInput(f"{what} is written Z,Y,X in voxels, for example 0,128,128; got {text!r}.") from error
    return z, y, x


def read_ids(text: str, what: str) -> tuple[int, ...]:
    """Ids of segments with commas between them."""
    words = [word.strip() for word in text.split(",")]
    if not all(word.isdecimal() and int(word) for word in words):
        raise InvalidInput(f"{what} are ids from 1 with commas between them, got {text!r}.", "For example: 3,17.")
    return tuple(map(int, words))


def read_settings(words: Sequence[str]) -> dict[str, Any]:
    """Settings from ``key=value`` words; values are YAML, keys may be dotted."""
    from omegaconf import OmegaConf
    from omegaconf.errors import OmegaConfBaseException
    from yaml import YAMLError

    from napari_pytc.plans.interpolations import refuse_growth
    from napari_pytc.plans.recipe_checks import refuse_resolvers

    for word in words:
        if "=" not in word or word.startswith("="):
            raise InvalidInput(f"A setting is changed with key=value, got {word!r}.", "For example: device=cpu.")
    try:
        written = OmegaConf.from_dotlist(list(words))
        unresolved = OmegaConf.to_container(written, resolve=False)
        refuse_resolvers(unresolved, "A setting")
        refuse_growth(unresolved, "A setting")
        values = OmegaConf.to_container(written, resolve=True)
    except (OmegaConfBaseException, YAMLError, ValueError) as error:
        raise InvalidInput(f"The settings cannot be read: {str(error).splitlines()[0]}.") from error
    return {str(key): value for key, value in dict(values or {}).items()}


def read_trackers(trackers: Sequence[str] | None, folder: Path | None) -> Tracking | None:
    """Trackers from the command line, each its name and perhaps ``key=value`` words; None where none is named."""
    import shlex

    from napari_pytc.files import plain_path
    from napari_pytc.plans.tracking import read_tracking

    if not trackers:
        if folder is not None:
            raise InvalidInput(
                "--track-folder says where trackers write, but none is named.", "Add --track tensorboard."
            )
        return None
    found = []
    for text in trackers:
        try:
            name, *settings = shlex.split(text)
        except ValueError as error:  # no name at all, or a quote that does not end
            raise InvalidInput(
                f"A tracker is a name and perhaps settings, got {text!r}.",
                "For example: --track tensorboard, or --track 'wandb project=mito'.",
            ) from error
        found.append((name, read_settings(settings)))
    return read_tracking(found, None if folder is None else plain_path(folder))


def read_names(text: str, what: str) -> list[str]:
    """Names with commas between them."""
    names = [name.strip() for name in text.split(",")]
    if not all(names):
        raise InvalidInput(f"{what} are names with commas between them, got {text!r}.", "For example: A,B.")
    return names


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
