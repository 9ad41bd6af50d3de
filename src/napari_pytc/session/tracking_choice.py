"""The trackers that a user chose in the window, remembered between sessions."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path
from typing import Any

from platformdirs import user_state_path
from pydantic import Field, ValidationError

from napari_pytc.errors import PytcError
from napari_pytc.files import write_text_durably
from napari_pytc.plans.tracking import TrackerSettings, Tracking, read_tracking
from napari_pytc.settings import Settings


class TrackingChoice(Settings):
    """Which trackers record trainings, and the settings of all, also of those that are off."""

    on: tuple[str, ...] = Field((), description="Kinds of the trackers that record.")
    settings: dict[str, dict[str, Any]] = Field(default_factory=dict, description="Settings of trackers by kind.")
    folder: Path | None = Field(None, description="Where they write; None: in the project.")

    def settings_of(self, model: type[TrackerSettings]) -> TrackerSettings:
        """The settings of a tracker; its defaults where none are remembered or they are not valid any more."""
        kind = str(model.model_fields["kind"].default)
        try:
            return model.model_validate({**self.settings.get(kind, {}), "kind": kind})
        except (ValidationError, PytcError):
            return model()  # type: ignore[call-arg, unused-ignore]

    def tracking(self) -> Tracking | None:
        """The trackers that are on and installed; None where there are none."""
        known = TrackerSettings.variants()
        chosen = [known[kind] for kind in self.on if kind in known and known[kind].is_installed()]
        if not chosen:
            return None
        values = [self.settings_of(model) for model in chosen]
        return read_tracking([(one.kind, one.model_dump(exclude={"kind"})) for one in values], self.folder)


class TrackingMemory:
    """The choice in a small JSON file of the user's.

    It is not essential: a damaged file counts as none, and one that cannot be written is ignored.

    Parameters
    ----------
    path : Path, optional
        The file; by default in the user's state folder.
    """

    def __init__(self, path: Path | None = None) -> None:
        self._path = path if path is not None else user_state_path("napari-pytc") / "tracking.json"

    def read(self) -> TrackingChoice:
        """The choice; nothing is on where there is none."""
        try:
            return TrackingChoice.model_validate_json(self._path.read_text(encoding="utf-8"))
        except (OSError, ValueError):
            return TrackingChoice()

    def write(self, choice: TrackingChoice) -> None:
        """Remember a choice."""
        with suppress(OSError, ValueError):
            self._path.parent.mkdir(parents=True, exist_ok=True)
            write_text_durably(self._path, choice.model_dump_json(indent=1))
