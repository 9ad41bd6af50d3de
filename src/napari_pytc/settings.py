"""The base of all settings, and the words that forms, command line and documentation show for a field."""

from __future__ import annotations

from typing import Any

from pydantic import BaseModel, ConfigDict, Field


class Settings(BaseModel):
    """Base of all settings: frozen, and unknown names are errors."""

    model_config = ConfigDict(frozen=True, extra="forbid")


def setting(default: Any, title: str, description: str, unit: str = "", **bounds: Any) -> Any:
    """A field whose title, description, unit and bounds are shown to people."""
    extra: dict[str, Any] | None = {"unit": unit} if unit else None
    return Field(default, title=title, description=description, json_schema_extra=extra, **bounds)
