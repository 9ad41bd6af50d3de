"""The baselines of the field on real tissue, as their authors' tools give them."""

from __future__ import annotations

import numpy as np
import pytest

from napari_pytc.geometry import Box
from napari_pytc.metrics import evaluate_instances
from napari_pytc.volumes.opening import open_volume
from tests.support.real_data import real_data

SCORED = Box((110, 0, 0), (170, 250, 250))


@pytest.mark.parametrize(
    ("system", "voi_split", "voi_merge", "arand"),
    [("gala_supervoxels", 1.656, 0.319, 0.180), ("ffn_segmentation", 0.619, 0.760, 0.081)],
)
def test_known_figures_on_the_medulla(system: str, voi_split: float, voi_merge: float, arand: float):
    path = real_data("medulla.h5")
    scores = evaluate_instances(open_volume(f"{path}:{system}"), open_volume(f"{path}:neurons"), box=SCORED)
    expected = {"voi_split": voi_split, "voi_merge": voi_merge, "arand": arand}
    assert {name: np.round(scores[name], 3) for name in expected} == pytest.approx(expected, abs=6e-4)
