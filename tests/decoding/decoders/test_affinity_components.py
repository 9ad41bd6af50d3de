"""Affinity components against a union of pairs, and in blocks against the whole."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from napari_pytc.decoding import AffinityComponentsDecoder
from napari_pytc.decoding.base import in_order
from napari_pytc.decoding.evidence import Evidence, EvidenceKind
from napari_pytc.decoding.jobs import SegmentJob
from napari_pytc.errors import InvalidInput
from napari_pytc.geometry import VoxelSpace
from napari_pytc.labels.segmentation import Segmentation
from napari_pytc.volumes.roles import AffinityRole
from tests.support.contexts import RecordingContext
from tests.support.decoder_contract import labels_of
from tests.support.evidence import write_prediction

SPACE = VoxelSpace((10, 10, 10))
shapes = st.tuples(*[st.integers(1, 5)] * 3)


def united(affinities: np.ndarray, signs: tuple[int, int, int], threshold: float) -> np.ndarray:
    """The published rule, voxel by voxel: an edge above the threshold makes its two voxels one."""
    shape = affinities.shape[1:]
    parent = {voxel: voxel for voxel in np.ndindex(shape)}
    joined = set()

    def root(voxel: tuple[int, ...]) -> tuple[int, ...]:
        while parent[voxel] != voxel:
            voxel = parent[voxel]
        return voxel

    for axis, sign in enumerate(signs):
        for voxel in np.ndindex(shape):
            other = tuple(v + sign * (a == axis) for a, v in enumerate(voxel))
            if other in parent and affinities[(axis, *voxel)] > threshold:
                parent[root(voxel)] = root(other)
                joined |= {voxel, other}
    names = {one: number for number, one in enumerate(np.ndindex(shape), 1)}
    found = [names[root(voxel)] if voxel in joined else 0 for voxel in np.ndindex(shape)]
    return np.array(found).reshape(shape)


@given(shapes, st.integers(0, 99), st.tuples(*[st.sampled_from([-1, 1])] * 3), st.floats(0, 1))
def test_they_are_what_edges_above_the_threshold_connect(
    shape: tuple[int, int, int], seed: int, signs: tuple[int, int, int], threshold: float
) -> None:
    affinities = np.random.default_rng(seed).random((3, *shape)).astype(np.float32)
    offsets = [tuple(sign * (a == axis) for a in range(3)) for axis, sign in enumerate(signs)]
    evidence = Evidence(affinities=affinities, offsets=offsets)  # type: ignore[arg-type]
    decoder = AffinityComponentsDecoder(threshold=threshold, smallest_um3=0, smallest_um2=0)
    expected = united(affinities, signs, threshold)
    np.testing.assert_array_equal(decoder.decode(evidence, SPACE).labels, in_order(expected))


@pytest.mark.parametrize("sign", [1, -1])
@pytest.mark.parametrize("block", [(1, 1, 1), (3, 2, 5), (8, 7, 2), (2, 9, 9)])
def test_blocks_of_any_shape_give_the_whole(tmp_path: Path, sign: int, block: tuple[int, int, int]) -> None:
    rng = np.random.default_rng(3)
    affinities = rng.random((3, 6, 7, 9))
    roles = [AffinityRole(offset=(sign, 0, 0)), AffinityRole(offset=(0, sign, 0)), AffinityRole(offset=(0, 0, sign))]
    path = write_prediction(tmp_path / "prediction", affinities, roles, SPACE)
    decoder = AffinityComponentsDecoder(threshold=0.62, smallest_um3=0)
    for name, shape in (("whole", (6, 7, 9)), ("blocks", block)):
        job = SegmentJob(prediction=path, decoder=decoder, output=tmp_path / name, block_shape=shape)
        job.run(RecordingContext())
    whole, blocks = (Segmentation.open(tmp_path / name) for name in ("whole", "blocks"))
    np.testing.assert_array_equal(labels_of(blocks.folder), labels_of(whole.folder))
    assert whole.record.n_segments > 5
    np.testing.assert_array_equal(blocks.graph.edges, whole.graph.edges)
    np.testing.assert_array_equal(blocks.graph.contacts, whole.graph.contacts)


def test_touching_objects_stay_apart_where_their_affinity_is_low() -> None:
    faces = np.full((3, 1, 1, 6), 0.9, np.float32)
    faces[2, 0, 0, 2] = 0.1
    evidence = Evidence(affinities=faces, offsets=((1, 0, 0), (0, 1, 0), (0, 0, 1)))
    decoding = AffinityComponentsDecoder(smallest_um2=0).decode(evidence, SPACE)
    assert decoding.labels[0, 0].tolist() == [1, 1, 1, 2, 2, 2]
    assert decoding.graph.edges.tolist() == [[1, 2]]


def test_longer_affinities_are_not_used() -> None:
    near = np.zeros((3, 1, 1, 6), np.float32)
    affinities = np.concatenate([near, np.ones((1, 1, 1, 6), np.float32)])
    evidence = Evidence(affinities=affinities, offsets=((1, 0, 0), (0, 1, 0), (0, 0, 1), (0, 0, 3)))
    assert not AffinityComponentsDecoder(smallest_um2=0).decode(evidence, SPACE).labels.any()


def test_without_affinities_along_z_sections_stay_apart_and_it_is_told() -> None:
    evidence = Evidence(affinities=np.ones((2, 3, 2, 2), np.float32), offsets=((0, 1, 0), (0, 0, 1)))
    decoder = AffinityComponentsDecoder(smallest_um3=0)
    labels = decoder.decode(evidence, SPACE).labels
    assert labels[:, 0, 0].tolist() == [1, 2, 3]
    assert "each section has objects of its own" in decoder.assumptions(evidence.kind)[0]
    assert decoder.assumptions(EvidenceKind(offsets=((-1, 0, 0),))) == []


def test_objects_of_a_class_lie_in_it() -> None:
    affinities = np.ones((3, 1, 1, 5), np.float32)
    classes = np.array([[[[1, 1, 0, 1, 1]]]], np.float32)
    evidence = Evidence(
        affinities=affinities,
        offsets=((1, 0, 0), (0, 1, 0), (0, 0, 1)),
        classes=classes,
        class_names=("axon",),
    )
    found = AffinityComponentsDecoder(object_class="axon", smallest_um2=0).decode(evidence, SPACE).labels
    assert found[0, 0].tolist() == [1, 1, 0, 2, 2]


def test_a_boundary_alone_is_refused() -> None:
    with pytest.raises(InvalidInput, match="affinities of neighbours along y and x, but the prediction has a boundary"):
        AffinityComponentsDecoder().check(EvidenceKind(boundary=True))
