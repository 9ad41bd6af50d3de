"""Settings of Weights & Biases."""

from __future__ import annotations

import re
from typing import Any, ClassVar, Literal

from pydantic import field_validator

from napari_pytc.errors import InvalidInput
from napari_pytc.plans.tracking.base import TrackerSettings
from napari_pytc.settings import setting

_UNFIT = re.compile(r"[/\\#?%:]")


class WandbSettings(TrackerSettings):
    """Weights & Biases: sent to its server where you are logged in, else kept in files to send later."""

    builds: ClassVar[str] = "napari_pytc.learning.tracking.wandb_tracker:open_wandb"
    title: ClassVar[str] = "Weights & Biases"
    package: ClassVar[str] = "wandb"
    about: ClassVar[str] = (
        "Sends curves, settings, names of volumes and classes, and pictures of patches to the server where you are "
        "logged in (wandb login); else it writes files on this machine."
    )
    not_remembered: ClassVar[tuple[str, ...]] = ("name", "patience_s")
    kind: Literal["wandb"] = "wandb"
    project: str = setting("napari-pytc", "Project", "Project of Weights & Biases.", min_length=1, max_length=128)
    entity: str | None = setting(None, "Team", "Team or user (entity); by default yours.", min_length=1)
    name: str | None = setting(
        None, "Name", "Name of the run; by default that of the training.", min_length=1, max_length=128
    )
    tags: tuple[str, ...] = setting((), "Tags", "Words by which runs are found again.")
    mode: Literal["auto", "offline"] = setting(
        "auto", "Mode", "auto: send where you are logged in, else offline. offline: only write files."
    )
    patience_s: float = setting(
        30.0, "Patience", "How long the server is waited for, at the start and at the end.", "s", gt=0, le=600
    )

    @property
    def longest_wait_s(self) -> float:
        """For the start, which may not be over yet, a second start without the server, and the end."""
        return 3 * self.patience_s + 30.0

    @field_validator("tags", mode="before")
    @classmethod
    def _accept_one_tag(cls, value: Any) -> Any:
        return (value,) if isinstance(value, str) else value

    @field_validator("tags")
    @classmethod
    def _check_tags(cls, tags: tuple[str, ...]) -> tuple[str, ...]:
        wrong = [tag for tag in tags if not 1 <= len(tag) <= 64]
        if wrong:
            raise InvalidInput(f"A tag has 1 to 64 letters, got {wrong[0]!r}.", "For example tags=[mitochondria].")
        return tags

    @field_validator("project")
    @classmethod
    def _check_project(cls, project: str) -> str:
        if _UNFIT.search(project):
            raise InvalidInput(
                rf"The name of a project of Weights & Biases has none of /\#?%:, got {project!r}.",
                "The team is a setting of its own: entity=TEAM.",
            )
        return project
