"""Features of annotated voxels: those of the whole image, at the right voxels, computed once."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from napari_pytc.caching import ByteBoundedCache
from napari_pytc.geometry import Box
from napari_pytc.jobs.context import JobCancelled
from napari_pytc.learning.data import voxel_features
from napari_pytc.learning.data.training_image import TrainingImage
from napari_pytc.learning.data.volume_data import VolumeData
from napari_pytc.learning.data.voxel_features import FeatureCache, annotated_features
from napari_pytc.plans.networks import FilterBankNetwork
from tests.support.contexts import RecordingContext
from tests.support.images import one_channel
from tests.support.learning import HELD_OUT, tiny_plan, training_data

SETTINGS = FilterBankNetwork(sigmas=(0.7, 1.6), hidden=(8,), dimensions="3d")
PLAN = tiny_plan(network=SETTINGS)
NORMALISATION = one_channel(mean=120, std=50, low=-1e6, high=1e6)


def features_of(
    data: VolumeData, cache: FeatureCache | None = None, ctx: RecordingContext | None = None, network=None
) -> tuple[torch.Tensor, torch.Tensor]:
    network = network or SETTINGS.build(2, data.space)
    image = TrainingImage(data.source, NORMALISATION, data.held_out)
    cache = ByteBoundedCache(2**20) if cache is None else cache
    return annotated_features(network, PLAN, data, image, ctx or RecordingContext(), cache)


def rows(features: torch.Tensor, labels: torch.Tensor) -> np.ndarray:
    """Sorted, because the order of voxels is nobody's business."""
    table = torch.cat([labels[:, None].float(), features], dim=1).numpy()
    return table[np.lexsort(table.T[::-1].round(3))]


def test_they_are_those_of_the_whole_image_at_the_annotated_voxels() -> None:
    data = training_data()
    found, labels = features_of(data)
    annotated = data.labels(Box.of_shape(data.source.shape))
    image = TrainingImage(data.source, NORMALISATION, data.held_out).read(Box.of_shape(data.source.shape))
    whole = SETTINGS.build(2, data.space).features(torch.from_numpy(image)[None])[0]
    where = np.argwhere(annotated)
    expected = whole[:, *torch.from_numpy(where).T].T
    assert found.shape == expected.shape
    expected_labels = torch.from_numpy(annotated[tuple(where.T)].astype(np.int64))
    assert np.allclose(rows(found, labels), rows(expected, expected_labels), atol=2e-4)


def test_what_is_held_out_is_neither_seen_nor_learnt_from() -> None:
    a = training_data()
    raw, labels = a.source.array[0].copy(), a.annotations.labels.copy()
    raw[HELD_OUT.slices] = 255
    labels[HELD_OUT.slices] = 2
    b = training_data(raw=raw, labels=labels)
    for one, other in zip(features_of(a), features_of(b), strict=True):
        assert torch.equal(one, other)


class CountingNetwork:
    """A filter bank that counts the boxes it is given."""

    def __init__(self) -> None:
        self.network = SETTINGS.build(2, training_data().space)
        self.limits = self.network.limits
        self.boxes: list[Box] = []

    def features(self, image: torch.Tensor, inner: Box) -> torch.Tensor:
        self.boxes.append(inner)
        return self.network.features(image, inner)


def test_places_that_did_not_change_are_not_computed_again() -> None:
    data, cache, network = training_data(), ByteBoundedCache(2**20), CountingNetwork()
    first = features_of(data, cache, network=network)
    n = len(network.boxes)
    again = features_of(data, cache, network=network)
    assert len(network.boxes) == n > 1
    assert all(torch.equal(a, b) for a, b in zip(first, again, strict=True))
    data.annotations.paint(Box((7, 40, 40), (8, 41, 44)), 2)
    del data.__dict__["chunks"]
    more = features_of(data, cache, network=network)
    assert n < len(network.boxes) < 2 * n
    assert len(more[0]) > len(first[0])


def test_a_class_painted_over_another_is_the_new_class() -> None:
    data, cache = training_data(), ByteBoundedCache(2**20)
    _, before = features_of(data, cache)
    data.annotations.labels[data.annotations.labels == 1] = 2
    del data.__dict__["chunks"]
    found, labels = features_of(data, cache)
    assert len(labels) == len(before)
    assert (labels == 2).all()
    assert torch.isfinite(found).all()


def test_a_dense_annotation_is_thinned_out(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(voxel_features, "_MOST_PER_CLASS", 200)
    dense = np.full((8, 48, 48), 2, np.uint8)
    dense[:, :3] = 1
    dense[0, 0, :20] = 1
    data = training_data(labels=dense, held_out=[])
    found, labels = features_of(data)
    counts = torch.bincount(labels).tolist()
    assert counts[0] == 0
    assert all(130 < n < 270 for n in counts[1:])
    assert torch.equal(found, features_of(data)[0])


def test_it_can_be_cancelled() -> None:
    with pytest.raises(JobCancelled):
        features_of(training_data(), ctx=RecordingContext(cancel_after=1))
