"""The fields of a settings model as forms need them: units, limits, initial values, tooltips."""

from __future__ import annotations

from typing import Any, Literal, get_args, get_origin

import annotated_types
from pydantic.fields import FieldInfo

from napari_pytc.geometry import Shape
from napari_pytc.settings import Settings


def editable_fields(model: type[Settings]) -> list[str]:
    """Names of the fields that have more than one possible value and are no mapping, for which there is no editor."""
    return [
        name
        for name, field in model.model_fields.items()
        if not _is_constant(field.annotation) and not _is_mapping(field.annotation)
    ]


def kept_fields(model: type[Settings]) -> list[str]:
    """Names of the fields that a form keeps as they are."""
    return [name for name, field in model.model_fields.items() if _is_mapping(field.annotation)]


def unit_of(field: FieldInfo) -> str:
    """The unit of a number; empty if it has none."""
    extra = field.json_schema_extra
    return str(extra.get("unit", "")) if isinstance(extra, dict) else ""


def bounds_of(field: FieldInfo, whole: bool) -> tuple[float | None, float | None]:
    """Lowest and highest value that an editor offers; the model still has the last word on open bounds."""
    low: Any = None
    high: Any = None
    for rule in field.metadata:
        if isinstance(rule, annotated_types.Ge):
            low = rule.ge
        elif isinstance(rule, annotated_types.Gt):
            low = rule.gt + 1 if whole else rule.gt  # type: ignore[operator]
        elif isinstance(rule, annotated_types.Le):
            high = rule.le
        elif isinstance(rule, annotated_types.Lt):
            high = rule.lt - 1 if whole else rule.lt  # type: ignore[operator]
    return low, high


def start_of(kind: Any) -> Any:
    """Initial value of an optional field."""
    if kind == Shape:
        return (16, 128, 128)
    return 1 if kind in (int, float) else kind()


def tooltip_of(field: FieldInfo, dotted: str) -> str:
    """Description of a field, its unit, and its name in recipes and on the command line."""
    unit = unit_of(field)
    about = (field.description or "").rstrip()
    return f"{about}{f' In {unit}.' if unit else ''}\n\n{dotted}"


def _is_constant(annotation: Any) -> bool:
    return get_origin(annotation) is Literal and len(get_args(annotation)) == 1


def _is_mapping(annotation: Any) -> bool:
    return annotation is dict or get_origin(annotation) is dict
