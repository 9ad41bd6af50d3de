"""Features of the strokes' voxels."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from napari_pytc.geometry import Box
from tests.support.live import (
    LiveProject,
    live_tissue,
    make_labelled_features,
)


@pytest.mark.slow
def test_cached_features_equal_those_of_all_strokes_at_once(tmp_path: Path) -> None:
    project = LiveProject(tmp_path)
    labelled, split = make_labelled_features(project, project.tissue.raw)
    labelled.gather(split.chunks.values())
    project.paint(seed=1)
    project.store.write(Box((0, 0, 0), (2, 64, 64)), np.zeros((2, 64, 64), np.uint8))
    split.refresh()

    found = labelled.gather(split.chunks.values())

    fresh, _ = make_labelled_features(project, project.tissue.raw)
    for a, b in zip(found, fresh.gather(split.chunks.values()), strict=True):
        assert torch.equal(a.classes, b.classes)
        assert torch.allclose(a.features, b.features, atol=1e-4)


def test_held_out_voxels_are_no_training_data(tmp_path: Path) -> None:
    project = LiveProject(tmp_path)
    held_out = Box((0, 0, 0), (6, 64, 30))
    noise = np.random.default_rng(0).integers(0, 255, (6, 64, 30), np.uint8)
    changed = project.tissue.raw.copy()
    changed[held_out.slices] = noise

    training = []
    for raw in (project.tissue.raw, changed):
        labelled, split = make_labelled_features(project, raw, (held_out,))
        examples, validation = labelled.gather(split.chunks.values())
        training.append(examples)
        assert split.has_held_out_strokes
        assert not len(validation)  # the model in view must not be trained on held-out strokes

    assert torch.equal(training[0].features, training[1].features)
    n_inside = np.count_nonzero(project.store.read(held_out))
    assert n_inside
    assert len(training[0]) == np.count_nonzero(project.store.read(project.whole)) - n_inside


def test_a_dense_annotation_is_sampled(tmp_path: Path) -> None:
    project = LiveProject(tmp_path, n_strokes=0, tissue=live_tissue(shape=(12, 64, 64)))
    project.store.write(project.whole, project.tissue.classes)
    labelled, split = make_labelled_features(project, project.tissue.raw)

    training, _ = labelled.gather(split.chunks.values())

    counts = torch.bincount(training.classes, minlength=3)[1:]
    assert (counts < 21_500).all()
    assert counts.min() > 5000
