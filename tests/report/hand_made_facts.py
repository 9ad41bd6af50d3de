"""Facts of projects, made by hand."""

from __future__ import annotations

from typing import Any

MODEL = {
    "id": "m1", "recipe": "mine", "parent": None, "is_in_use": True, "problem": "", "interval": [0.7, 0.9],
    "scores": {"mean": 0.8, "dice": {"membrane": 0.75, "inside": None}, "n_voxels": 12}, "comparisons": [],
    "steps": 1500, "seconds": 61.2, "precision": "float32", "versions": {"torch": "2.5"},
    "plan": {
        "network": {"kind": "unet"}, "target": {"kind": "classes"}, "dice_weight": 1.0, "ema_decay": 0.0,
        "learning_rate": 0.001, "guess_weight": 0.0,
    },
}  # fmt: skip
SEGMENTATION = {
    "id": "s1", "active": True, "prediction": "p1", "decoder": {"kind": "watershed"}, "n_supervoxels": 12000,
    "n_segments": 7, "problem": "", "checksum": "0123456789abcdef",
}  # fmt: skip


def facts(**changes: Any) -> dict[str, Any]:
    """A project in which nothing was done yet."""
    return {
        "project": "a.pytc",
        "made": "2025-01-02T03:04:05+00:00",
        "volume": "raw",
        "volumes": ["raw"],
        "created": "2024-12-31T23:59:00+00:00",
        "image": {
            "where": "raw.h5 main", "argument": "raw.h5:main",
            "shape": [12, 48, 40], "dtype": "uint8", "voxel_size_nm": [40, 10, 10],
            "size_um": [0.48, 0.48, 0.4], "digest": "f" * 64, "channels": ["channel 0"], "options": {},
        },
        "classes": [{"name": "membrane", "colour": "#ff0000", "n_taught": 12345, "n_scored": 0}],
        "held_out": [],
        "objects": {"n": 0, "n_voxels": 0, "n_background": 0},
        "effort": {
            "n_strokes": 0, "n_imports": 0, "n_edits": 0, "n_taken_back": 0, "minutes_painting": 0.0,
            "minutes_proofreading": 0.0, "first": None, "last": None,
        },
        "edits": [], "models": [], "predictions": [], "segmentations": [], "runs": [],
        "versions": {"Python": "3.12", "napari-pytc": "0.2.0"},
        **changes,
    }  # fmt: skip
