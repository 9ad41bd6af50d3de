"""How a model predicts where nothing else is said: settings that an imported model brings along."""

from __future__ import annotations

from typing import Any

from napari_pytc.plans.plan import PredictPlan
from napari_pytc.plans.test_time import TtaSettings
from napari_pytc.plans.windows import WindowSettings
from napari_pytc.settings import Settings, setting


class PredictionDefaults(Settings):
    """Settings of predictions that a model brings along: they are taken where a user says nothing else."""

    flips: bool = setting(False, "Average over flips", "As of a prediction.")
    tta: TtaSettings = setting(TtaSettings(), "Test-time augmentation", "As of a prediction.")
    windows: WindowSettings = setting(WindowSettings(), "Windows", "As of a prediction.")

    @property
    def plan(self) -> PredictPlan:
        """A prediction with these settings."""
        return PredictPlan(flips=self.flips, tta=self.tta, windows=self.windows)


def plan_with_defaults(plan: PredictPlan, defaults: PredictionDefaults | None) -> tuple[PredictPlan, tuple[str, ...]]:
    """A plan in which settings that were not given are the model's, and a note that names them.

    What was given is what the plan was made with: also a value that is the usual one.

    Parameters
    ----------
    defaults : PredictionDefaults, optional
        Those of the model; most models have none.
    """
    if defaults is None:
        return plan, ()
    taken: dict[str, Any] = {}
    changes: dict[str, Any] = {}
    given_flips = "flips" in plan.model_fields_set or "flips" in plan.tta.model_fields_set
    if not given_flips and defaults.flips:
        taken["flips"] = changes["flips"] = True
    for name in ("tta", "windows"):
        own, usual = getattr(plan, name), getattr(defaults, name)
        names = [one for one in usual.changed_names if one not in own.model_fields_set]
        if name == "tta" and given_flips:
            names = [one for one in names if one != "flips"]
        if names:
            new = {one: getattr(usual, one) for one in names}
            changes[name] = own.model_copy(update=new)
            taken |= {f"{name}.{one}": value for one, value in new.items()}
    if not taken:
        return plan, ()
    listed = ", ".join(f"{name}={_text(value)}" for name, value in taken.items())
    note = f"The model brings settings of its predictions along: {listed}. Give others to overrule them."
    return plan.model_copy(update=changes), (note,)


def _text(value: Any) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, tuple):
        return f"[{', '.join(_text(one) for one in value)}]"
    if isinstance(value, Settings):
        return "{" + ", ".join(f"{name}: {_text(one)}" for name, one in value) + "}"
    return f"{value:g}" if isinstance(value, float) else str(value)
