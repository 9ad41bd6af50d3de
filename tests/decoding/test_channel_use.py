"""Which channels of a prediction decoders use: those of a target of channels decode as those of instances do."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from napari_pytc.decoding.channel_use import ChannelUse
from napari_pytc.decoding.decoders.agglomeration import AgglomerationDecoder
from napari_pytc.decoding.decoders.components import ComponentsDecoder
from napari_pytc.decoding.decoders.mutex_watershed import MutexWatershedDecoder
from napari_pytc.decoding.decoders.watershed import WatershedDecoder
from napari_pytc.decoding.describe import choose_decoder
from napari_pytc.decoding.evidence import EvidenceReader, MaskSettings
from napari_pytc.decoding.notes import unused_channels
from napari_pytc.errors import InvalidInput
from napari_pytc.geometry import Box, VoxelSpace
from napari_pytc.learning.data.targets.encoding import LabelledPatch, decoded
from napari_pytc.learning.data.targets.make import object_targets
from napari_pytc.metrics.partitions import ContingencyTable
from napari_pytc.volumes.roles import (
    AffinityRole,
    BoundaryRole,
    ChannelRole,
    ClassRole,
    DescriptorRole,
    DistanceLevelRole,
    DistanceRole,
    FlowRole,
    ForegroundRole,
    InstanceDistanceRole,
    PolarityRole,
    SemanticDistanceRole,
    SkeletonDistanceRole,
)
from tests.support.evidence import write_prediction

SPACE = VoxelSpace((10.0, 10.0, 10.0))
NEAR = [AffinityRole(offset=offset) for offset in ((-1, 0, 0), (0, -1, 0), (0, 0, -1))]
FAR = [AffinityRole(offset=offset) for offset in ((-3, 0, 0), (0, -3, 0), (0, 0, -3))]
FLOWS: list[ChannelRole] = [FlowRole(axis=axis) for axis in (0, 1, 2)]
BCD = [ForegroundRole(), BoundaryRole(), InstanceDistanceRole()]


def objects() -> np.ndarray:
    """Two touching boxes and a third by itself, in background (1)."""
    labels = np.ones((14, 24, 36), np.int32)
    labels[3:11, 4:18, 3:12] = 2
    labels[3:11, 4:18, 12:20] = 3
    labels[4:11, 6:20, 24:33] = 4
    return labels


def prediction(tmp_path: Path, roles: list[ChannelRole]) -> EvidenceReader:
    """What a perfect network would predict."""
    values = decoded(object_targets(LabelledPatch(objects(), SPACE, counts_cut=True), roles)).clip(0, 1)
    return EvidenceReader.open(write_prediction(tmp_path / "prediction", values, roles, SPACE))


def error(found: np.ndarray, truth: np.ndarray) -> float:
    table = ContingencyTable()
    table.add(found, truth)
    return table.adapted_rand_error()


def read(reader: EvidenceReader):
    return reader.read(Box.of_shape(reader.shape))


@pytest.mark.parametrize(
    "distance",
    [
        InstanceDistanceRole(),
        SkeletonDistanceRole(),
        DistanceRole(reach_nm=60),
        SemanticDistanceRole(inside_nm=30, outside_nm=30),
    ],
    ids=lambda role: role.role,
)
def test_foreground_boundary_and_distance_are_decoded_by_the_watershed(tmp_path: Path, distance: ChannelRole) -> None:
    reader = prediction(tmp_path, [ForegroundRole(), BoundaryRole(), distance])
    assert reader.kind.mask_names == ("foreground",)
    assert reader.kind.boundary
    assert reader.kind.distance
    assert not reader.kind.unused
    decoder = WatershedDecoder(object_class="foreground", smallest_um3=0.0, smoothing_um=0.0, seed_distance_um=0.05)
    found = decoder.decode(read(reader), SPACE).labels
    truth = np.where(objects() > 1, objects(), 0)
    assert len(np.unique(found)) == 4
    assert error(found, truth) < 0.1
    assert choose_decoder(tmp_path / "prediction").content == {"kind": "watershed", "object_class": "foreground"}


def test_affinities_are_decoded_whatever_their_activation(tmp_path: Path) -> None:
    scaled = [AffinityRole(offset=role.offset, activation="scaled_sigmoid") for role in (*NEAR, *FAR)]
    reader = prediction(tmp_path, [*scaled, ForegroundRole()])
    truth = np.where(objects() > 1, objects(), 0)
    for decoder in (AgglomerationDecoder(smallest_um3=0.0), MutexWatershedDecoder(smallest_um3=0.0)):
        found = decoder.model_copy(update={"object_class": "foreground"}).decode(read(reader), SPACE).labels
        assert error(found, truth) < 0.1


@pytest.mark.parametrize("role", [InstanceDistanceRole(), SemanticDistanceRole(inside_nm=30, outside_nm=30)])
def test_a_distance_alone_has_components(tmp_path: Path, role: ChannelRole) -> None:
    found = ComponentsDecoder(smallest_um3=0.0).decode(read(prediction(tmp_path, [role])), SPACE).labels
    np.testing.assert_array_equal(found > 0, objects() > 1)


def test_classes_are_not_mixed_with_the_foreground(tmp_path: Path) -> None:
    labels = objects()
    values = np.stack([labels == 2, (labels != 2), labels > 1, labels == 1]).astype(np.float32)
    roles = [ClassRole(name="a", activation="softmax"), ClassRole(name="b", activation="softmax"), ForegroundRole()]
    reader = EvidenceReader.open(write_prediction(tmp_path / "p", values[:3], roles, SPACE))
    assert reader.kind.class_names == ("a", "b")
    assert reader.kind.object_names == ("a", "b", "foreground")
    found = ComponentsDecoder(object_class="foreground", smallest_um3=0.0).decode(read(reader), SPACE)
    assert found.classes.max() <= 2
    mask = MaskSettings(prediction=tmp_path / "p", name="foreground")
    restricted = EvidenceReader.open(tmp_path / "p", mask=mask)
    assert read(restricted).region().sum() == (labels > 1).sum()


def test_what_no_decoder_uses_is_refused_in_one_sentence_and_told_beside_others(tmp_path: Path) -> None:
    descriptors = [DescriptorRole(component=component, sigma_nm=30) for component in (0, 9)]
    reader = prediction(tmp_path, [*FLOWS, *descriptors])
    for decoder in (AgglomerationDecoder(), WatershedDecoder(), ComponentsDecoder(), MutexWatershedDecoder()):
        with pytest.raises(InvalidInput) as caught:
            decoder.decode(read(reader), SPACE)
        assert "only flow z, flow y, flow x, lsd offset z, lsd size, which no decoder uses" in str(caught.value)
    beside = EvidenceReader.open(
        write_prediction(tmp_path / "beside", np.ones((4, 4, 5, 6), np.float32), [*FLOWS, ForegroundRole()], SPACE)
    )
    assert unused_channels(beside.kind.unused) == [
        "Of the prediction flow z, flow y, flow x are left out: no decoder uses them."
    ]
    assert unused_channels(()) == []


def test_a_distance_in_levels_is_decoded_as_the_distance(tmp_path: Path) -> None:
    (tmp_path / "levels").mkdir()
    levels = [DistanceLevelRole(of="instance", level=level, n_levels=10) for level in range(11)]
    of_levels, of_number = prediction(tmp_path / "levels", levels), prediction(tmp_path, [InstanceDistanceRole()])
    assert of_levels.kind.distance
    assert of_levels.kind.unused == ()
    found, exact = read(of_levels).distance, read(of_number).distance
    assert found is not None
    assert exact is not None
    assert np.abs(found - exact).max() <= 0.5 / 10 + 0.01
    both = ChannelUse.of([*levels, InstanceDistanceRole()])
    assert (both.distance, both.levels, both.unused) == (11, (), tuple(range(11)))


def test_of_several_channels_of_a_kind_one_is_used() -> None:
    between = BoundaryRole(edge_mode="seg-no-bg")
    use = ChannelUse.of(
        [between, BoundaryRole(), SkeletonDistanceRole(), InstanceDistanceRole(), PolarityRole(side="pre")]
    )
    assert (use.boundary, use.distance, use.masks, use.unused) == (1, 3, (4,), (0, 2))
    assert ChannelUse.of([between]).boundary == 0
