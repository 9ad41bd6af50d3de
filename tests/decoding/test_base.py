"""What all decoders share: ids in order, classes of supervoxels, sizes in µm³, and what is checked beforehand."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from napari_pytc.decoding import ComponentsDecoder, MutexWatershedDecoder, WatershedDecoder
from napari_pytc.decoding.base import (
    ASSUMED_VOXEL_NM,
    DecoderSettings,
    class_sums,
    contact_join,
    in_order,
    most_probable,
    size_nm,
    voxels_of_um3,
)
from napari_pytc.decoding.evidence import Evidence, EvidenceKind
from napari_pytc.errors import InvalidInput
from napari_pytc.geometry import VoxelSpace

SHAPE = (2, 3, 4)
SPACE = VoxelSpace((40, 5, 5))
ids = st.sampled_from([0, 1, 2, 7, 2**31, 2**32 - 2])


@given(hnp.arrays(np.uint32, hnp.array_shapes(min_dims=1, max_dims=3, max_side=5), elements=ids))
def test_ids_count_from_1_in_the_order_of_their_first_voxels(labels: np.ndarray) -> None:
    found = in_order(labels)
    assert found.dtype == np.uint32
    assert found.shape == labels.shape
    order = dict.fromkeys(label for label in labels.ravel().tolist() if label)
    expected = {0: 0} | {label: n for n, label in enumerate(order, start=1)}
    np.testing.assert_array_equal(found, np.vectorize(expected.__getitem__)(labels))
    np.testing.assert_array_equal(in_order(found), found)


def test_class_sums_add_up_the_probabilities_over_each_label() -> None:
    labels = np.array([[[0, 1, 1, 3]]])
    classes = np.array([[[[0.5, 0.25, 0.5, 1.0]]], [[[0.5, 0.75, 0.5, 0.0]]]], np.float32)
    evidence = Evidence(classes=classes, class_names=("a", "b"))
    assert class_sums(labels, evidence, 5).tolist() == [[0.5, 0.5], [0.75, 1.25], [0, 0], [1, 0], [0, 0]]


def test_without_classes_there_is_nothing_to_add_up() -> None:
    evidence = Evidence(boundary=np.zeros(SHAPE, np.float32))
    sums = class_sums(np.ones(SHAPE, int), evidence, 2)
    assert sums.shape == (2, 0)
    assert most_probable(sums).tolist() == [0, 0]


def test_the_most_probable_class_counts_from_1_and_background_has_none() -> None:
    sums = np.array([[9.0, 1.0, 0.0], [0.0, 0.0, 2.0], [3.0, 2.0, 1.0]])
    found = most_probable(sums)
    assert found.dtype == np.uint8
    assert found.tolist() == [0, 3, 1]


@given(volume=st.floats(0, 100), size=st.tuples(*[st.floats(0.5, 500)] * 3))
def test_a_volume_is_that_of_so_many_voxels(volume: float, size: tuple[float, float, float]) -> None:
    voxels = voxels_of_um3(volume, VoxelSpace(size))
    assert voxels * np.prod(size) == pytest.approx(volume * 1e9)


def test_voxels_of_unknown_size_count_as_cubes_of_ten_nm() -> None:
    assert ASSUMED_VOXEL_NM == 10
    assert size_nm(VoxelSpace.unknown()) == (10, 10, 10)
    assert size_nm(SPACE) == (40, 5, 5)
    assert voxels_of_um3(0.001, VoxelSpace.unknown()) == 1000


def test_contacts_have_no_score_where_nothing_tells_where_objects_end() -> None:
    evidence = Evidence(classes=np.ones((1, *SHAPE), np.float32), class_names=("axon",))
    assert contact_join(evidence) is None


def test_contacts_are_scored_by_what_is_no_boundary() -> None:
    boundary = np.linspace(0, 1, 24, dtype=np.float32).reshape(SHAPE)
    join = contact_join(Evidence(boundary=boundary))
    np.testing.assert_allclose(join, 1 - boundary)


@pytest.mark.parametrize("barrier", [0.0, 0.25, 1.0])
def test_a_barrier_weakens_every_face_that_it_covers(barrier: float) -> None:
    faces = np.full((3, *SHAPE), 0.8, np.float32)
    offsets = ((1, 0, 0), (0, 1, 0), (0, 0, 1))
    free = contact_join(Evidence(affinities=faces, offsets=offsets))
    covered = Evidence(affinities=faces, offsets=offsets, barrier=np.full(SHAPE, barrier, np.float32))
    assert free is not None
    np.testing.assert_allclose(contact_join(covered), (1 - barrier) * free, rtol=1e-6)


@pytest.mark.parametrize(
    ("settings", "kind", "sentence"),
    [
        (
            WatershedDecoder(),
            EvidenceKind(),
            "Watershed needs boundaries, affinities, distances or a class to decode, but the prediction has no "
            "channels.",
        ),
        (
            ComponentsDecoder(),
            EvidenceKind(class_names=("axon", "glia")),
            "Components needs boundaries, affinities, distances or a class to decode, but the prediction has the "
            "classes axon, glia.",
        ),
        (
            ComponentsDecoder(object_class="nucleus"),
            EvidenceKind(boundary=True, class_names=("axon",)),
            "The prediction has no class called 'nucleus'; it has a boundary and the classes axon.",
        ),
        (
            MutexWatershedDecoder(),
            EvidenceKind(offsets=((1, 0, 0), (0, 1, 0), (0, 0, 1))),
            "The mutex watershed needs affinities of neighbours along z, y and x and of voxels farther away, but the "
            "prediction has 3 affinities.",
        ),
        (
            MutexWatershedDecoder(),
            EvidenceKind(offsets=((0, 1, 0), (0, 0, 1), (0, 0, 9)), distance=True),
            "The mutex watershed needs affinities of neighbours along z, y and x and of voxels farther away, but the "
            "prediction has distances and 3 affinities.",
        ),
    ],
)
def test_a_prediction_that_cannot_be_decoded_is_reported_before_any_voxel_is_read(
    settings: DecoderSettings, kind: EvidenceKind, sentence: str
) -> None:
    with pytest.raises(InvalidInput) as caught:
        settings.check(kind)
    assert caught.value.message == sentence
    assert caught.value.hint.endswith(".")


@pytest.mark.parametrize(
    ("settings", "kind"),
    [
        (WatershedDecoder(), EvidenceKind(distance=True)),
        (WatershedDecoder(), EvidenceKind(boundary_class="membrane", class_names=("membrane",))),
        (ComponentsDecoder(object_class="axon"), EvidenceKind(class_names=("axon",))),
        (ComponentsDecoder(), EvidenceKind(offsets=((0, 0, -1),))),
        (MutexWatershedDecoder(), EvidenceKind(offsets=((-1, 0, 0), (0, -1, 0), (0, 0, -1), (0, 4, 4)))),
    ],
)
def test_a_prediction_that_suits_passes(settings: DecoderSettings, kind: EvidenceKind) -> None:
    settings.check(kind)


def test_a_decoder_that_does_not_say_how_is_a_programmers_error() -> None:
    base = DecoderSettings(kind="none")
    with pytest.raises(NotImplementedError, match="has no halo"):
        base.halo(SPACE)
    with pytest.raises(NotImplementedError, match="has no supervoxels"):
        base.supervoxels(Evidence(boundary=np.zeros(SHAPE)), SPACE)


@pytest.mark.parametrize(
    ("kind", "text"),
    [
        (EvidenceKind(), "no channels"),
        (EvidenceKind(boundary=True, distance=True), "a boundary and distances"),
        (EvidenceKind(offsets=((1, 0, 0), (0, 1, 0))), "2 affinities"),
        (EvidenceKind(boundary=True, class_names=("a", "b")), "a boundary and the classes a, b"),
    ],
)
def test_a_kind_of_prediction_is_named_in_words(kind: EvidenceKind, text: str) -> None:
    assert str(kind) == text
