"""Identity of a training, by which a checkpoint is recognised as one of the same work."""

from __future__ import annotations

import hashlib
import json
from typing import Any

from napari_pytc.learning.data.training_data import TrainingData
from napari_pytc.plans.model_folder import ModelInfo
from napari_pytc.plans.plan import TrainPlan


def training_fingerprint(plan: TrainPlan, data: TrainingData, parent: ModelInfo | None) -> str:
    """Hash of all that a checkpoint depends on; one of another hash is not resumed.

    Settings that came later are left out where they change nothing, so that checkpoints of older versions are resumed.
    """
    settings = plan.identity(len(data.volumes), exclude=("device", "precision", "checkpoint_every", "decoder"))
    if plan.target.kind == "classes":
        del settings["target"]
    if not any(volume.corrections for volume in data.volumes):
        del settings["corrections_share"]
    if not plan.distil_weight:
        del settings["distil_weight"]
    first, *others = data.volumes
    work: dict[str, Any] = {
        "plan": settings,
        "classes": data.classes,
        "held_out": [str(box) for box in first.held_out],
        "shape": first.source.shape,
        "voxel_size_nm": data.space.voxel_size_nm,
        "parent": None if parent is None else parent.id,
    }
    if data.n_inputs > 1:
        work["n_inputs"] = data.n_inputs
    if others:
        work["others"] = [[str(volume.digest), *(str(box) for box in volume.held_out)] for volume in others]
    return hashlib.sha256(json.dumps(work, sort_keys=True).encode()).hexdigest()[:16]
