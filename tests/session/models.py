"""Model folders that look like trained ones."""

from __future__ import annotations

from pathlib import Path

from napari_pytc.plans.model_folder import ModelInfo, write_model_folder
from napari_pytc.plans.plan import TrainPlan
from tests.support.images import one_channel


def make_model(folder: Path, created: str = "2026-11-21T03:12:00+00:00", **changes: object) -> Path:
    plan = TrainPlan(recipe="fast")
    fields: dict[str, object] = {
        "id": folder.name,
        "name": folder.name,
        "created": created,
        "recipe": "fast",
        "classes": ("membrane", "inside"),
        "voxel_size_nm": (40.0, 10.0, 10.0),
        "plan": plan,
        "scores": {"dice": {"membrane": 0.8, "inside": 0.9}, "mean": 0.85},
        **changes,
    }
    info = ModelInfo.model_validate(fields)
    normalisation = one_channel(mean=100, std=20, low=10, high=200)

    def write_weights(path: Path) -> None:
        path.write_bytes(b"weights")

    write_model_folder(folder, info, normalisation, write_weights)
    return folder
