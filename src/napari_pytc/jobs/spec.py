"""Jobs as frozen values: one JSON format for window, worker, project file and command line."""

from __future__ import annotations

from importlib import import_module
from importlib.metadata import entry_points
from typing import Any, ClassVar

from pydantic import BaseModel, ConfigDict

from napari_pytc.errors import InvalidInput
from napari_pytc.jobs.context import JobContext


class JobSpec(BaseModel):
    """Everything a job needs to run in any process.

    A subclass gives ``kind: Literal["..."] = "..."``, its settings as fields, and `run`. The module that defines it is
    named in the entry-point group ``napari_pytc.jobs``, so that the worker finds it from the kind alone.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    kind: str
    kinds: ClassVar[dict[str, type[JobSpec]]] = {}

    @classmethod
    def __pydantic_init_subclass__(cls, **kwargs: Any) -> None:
        super().__pydantic_init_subclass__(**kwargs)
        kind = cls.model_fields["kind"].default
        if isinstance(kind, str):
            JobSpec.kinds[kind] = cls

    def run(self, ctx: JobContext) -> dict[str, Any]:
        """Do the work, opening its own data.

        Returns
        -------
        dict
            What becomes `Finished.result`: JSON values only; bulk data stays on disk.
        """
        raise NotImplementedError(f"{type(self).__name__} does not say what to do")


def parse_job(data: dict[str, Any]) -> JobSpec:
    """A job from its JSON form."""
    kind = data.get("kind")
    if kind not in JobSpec.kinds:
        for entry in entry_points(group="napari_pytc.jobs"):
            import_module(entry.value)
    if kind not in JobSpec.kinds:
        known = ", ".join(sorted(JobSpec.kinds)) or "none"
        raise InvalidInput(f"No kind of job is called {kind!r}; known: {known}.")
    return JobSpec.kinds[kind].model_validate(data)
