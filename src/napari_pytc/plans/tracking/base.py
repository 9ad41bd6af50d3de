"""Base of the settings of trackers, and the trackers of a training."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import Annotated, Any, ClassVar

from pydantic import BeforeValidator, Field, SerializeAsAny, ValidationError, field_validator

from napari_pytc.errors import InvalidInput
from napari_pytc.plans.recipe_checks import explain
from napari_pytc.settings import Settings, TaggedSettings, setting


class TrackerSettings(TaggedSettings):
    """Base of a tracker's settings.

    A new tracker is a subclass with ``kind: Literal["..."] = "..."``, `builds`, `title` and `package`, imported by
    `napari_pytc.plans.tracking` or named in the entry-point group ``napari_pytc.trackers``. Its module imports neither
    torch nor the tracker's package.
    """

    noun: ClassVar[str] = "tracker"
    entry_point_group: ClassVar[str] = "napari_pytc.trackers"
    builds: ClassVar[str]
    """The function that opens the tracker, ``"package.module:function"``: it takes these settings and a
    `napari_pytc.learning.tracking.tracker.TrackedTraining` and returns a `Tracker`."""
    title: ClassVar[str]
    """Its name for people."""
    package: ClassVar[str]
    """The package that must be installed."""
    install: ClassVar[str] = "pip install 'napari-pytc[loggers]'"
    """The command that installs the package."""
    about: ClassVar[str] = ""
    """What it writes and sends, as a sentence for the window."""
    not_remembered: ClassVar[tuple[str, ...]] = ()
    """Settings that the window does not offer, since it keeps them for all trainings to come."""
    pictures: bool = setting(
        True, "Pictures", "Also record pictures of a few patches with image, prediction and truth at validations."
    )

    @property
    def longest_wait_s(self) -> float:
        """How long the end of a training waits for it at most, in seconds."""
        return 30.0

    @classmethod
    def is_installed(cls) -> bool:
        """Whether its package can be imported; nothing is imported."""
        try:
            return find_spec(cls.package) is not None
        except (ImportError, ValueError):
            return False


AnyTracker = Annotated[SerializeAsAny[TrackerSettings], BeforeValidator(TrackerSettings.parse)]


class Tracking(Settings):
    """The trackers that a training is recorded by. They change nothing of the model."""

    trackers: tuple[AnyTracker, ...] = Field((), description="Each kind once; none: nothing is recorded.")
    folder: Path | None = setting(
        None,
        "Folder",
        "Where trackers write, a folder for each training; by default the folder tracking of the project.",
    )

    @field_validator("trackers")
    @classmethod
    def _check_kinds(cls, trackers: tuple[TrackerSettings, ...]) -> tuple[TrackerSettings, ...]:
        kinds = [one.kind for one in trackers]
        twice = sorted({kind for kind in kinds if kinds.count(kind) > 1})
        if twice:
            raise InvalidInput(f"The tracker {twice[0]!r} is named twice.", "Name each tracker once.")
        return trackers

    def folder_of(self, run_folder: Path) -> Path:
        """Where the trackers of a training write.

        Parameters
        ----------
        run_folder : Path
            Of the training; the default is beside the folder of all runs.
        """
        return (self.folder or run_folder.parent.parent / "tracking") / run_folder.name


def read_tracking(trackers: Sequence[tuple[str, Mapping[str, Any]]], folder: Path | None) -> Tracking:
    """Trackers by name with their settings, as the command line and the window have them.

    Raises
    ------
    InvalidInput
        If there is no such tracker, one is named twice, or a setting is wrong.
    """
    found = []
    for kind, values in trackers:
        try:
            found.append(TrackerSettings.parse({**values, "kind": kind}))
        except ValidationError as error:
            model = TrackerSettings.variants()[kind]
            raise InvalidInput(*explain(error, f"the settings of the tracker {kind}", model, dict(values))) from error
    try:
        return Tracking(trackers=tuple(found), folder=folder)
    except ValidationError as error:
        raise InvalidInput(*explain(error, "the trackers", Tracking, {})) from error
