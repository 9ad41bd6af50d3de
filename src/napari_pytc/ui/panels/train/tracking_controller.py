"""The trackers that record trainings of the window, as chosen and remembered."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from qtpy.QtCore import QObject, Signal

if TYPE_CHECKING:
    from napari_pytc.plans.tracking import TrackerSettings
    from napari_pytc.session.tracking_choice import TrackingChoice, TrackingMemory
    from napari_pytc.ui.workspace import Workspace


class TrackingController(QObject):
    """Reads the choice in the helper thread, hands it to the launcher, and remembers what is changed.

    Parameters
    ----------
    workspace : Workspace
        Its launcher starts trainings with the trackers.
    memory : TrackingMemory, optional
        Where the choice is remembered; by default in the user's state folder.
    """

    changed = Signal()
    """Another choice, or it was read: `choice` and `models`."""

    def __init__(
        self, workspace: Workspace, parent: QObject | None = None, memory: TrackingMemory | None = None
    ) -> None:
        super().__init__(parent)
        self._workspace, self._memory = workspace, memory
        self.models: dict[str, type[TrackerSettings]] = {}
        """All trackers by kind; none before they were read."""
        self.choice: TrackingChoice | None = None
        """None before it was read."""
        self.problem = ""
        """What is wrong with the settings that are shown, as a sentence; empty if nothing."""
        workspace.background.run(self._read, self._take, receiver=self)

    @property
    def kinds_on(self) -> list[str]:
        """The trackers that record, by the names that the command line has for them."""
        if self.choice is None:
            return []
        return [kind for kind, model in self.models.items() if kind in self.choice.on and model.is_installed()]

    def switch(self, kind: str, on: bool) -> None:
        """Let a tracker record the next trainings, or no more."""
        if self.choice is not None:
            others = [one for one in self.choice.on if one != kind]
            self._set(self.choice.model_copy(update={"on": (*others, *([kind] if on else []))}))

    def set_settings(self, settings: TrackerSettings) -> None:
        """Change the settings of a tracker."""
        if self.choice is not None:
            known = {**self.choice.settings, settings.kind: settings.model_dump(mode="json", exclude={"kind"})}
            self._set(self.choice.model_copy(update={"settings": known}))

    def set_folder(self, folder: Path | None) -> None:
        """Write there; None: in the project."""
        if self.choice is not None:
            self._set(self.choice.model_copy(update={"folder": folder}))

    def set_problem(self, problem: str) -> None:
        """Say what is wrong with the settings that are shown."""
        if problem != self.problem:
            self.problem = problem
            self.changed.emit()

    # ---- private

    def _read(self) -> tuple[TrackingMemory, TrackingChoice, dict[str, type[TrackerSettings]]]:
        from napari_pytc.plans.tracking import TrackerSettings
        from napari_pytc.session.tracking_choice import TrackingMemory

        memory = self._memory or TrackingMemory()
        return memory, memory.read(), TrackerSettings.variants()

    def _take(self, found: tuple[TrackingMemory, TrackingChoice, dict[str, type[TrackerSettings]]]) -> None:
        self._memory, self.choice, self.models = found
        self._workspace.launcher.tracking = self.choice.tracking()
        self.changed.emit()

    def _set(self, choice: TrackingChoice) -> None:
        if choice == self.choice or self._memory is None:
            return
        self.choice = choice
        self._workspace.launcher.tracking = choice.tracking()
        memory = self._memory
        self._workspace.background.run(lambda: memory.write(choice))
        self.changed.emit()
