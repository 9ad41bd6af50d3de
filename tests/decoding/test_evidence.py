from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from napari_pytc.decoding.evidence import Evidence, EvidenceReader, MaskSettings
from napari_pytc.errors import InvalidInput, VolumeError
from napari_pytc.geometry import Box, VoxelSpace
from napari_pytc.volumes.channels import AffinityRole, ChannelRole, ClassRole, DistanceRole
from napari_pytc.volumes.zarr_output import create_ome_zarr
from tests.support.evidence import write_prediction

SHAPE = (3, 4, 5)
SPACE = VoxelSpace((30, 10, 10))
WHOLE = Box.of_shape(SHAPE)


def classes(tmp_path: Path, names: tuple[str, ...], seed: int = 0, shape: tuple[int, int, int] = SHAPE) -> Path:
    values = np.random.default_rng(seed).random((len(names), *shape))
    roles = [ClassRole(name=name) for name in names]
    return write_prediction(tmp_path / f"{'-'.join(names)}{seed}", values, roles, SPACE)


def test_classes_are_read_and_the_membrane_is_the_boundary(tmp_path: Path) -> None:
    reader = EvidenceReader.open(classes(tmp_path, ("inside", "Membrane")))
    assert reader.shape == SHAPE
    assert reader.space == SPACE
    assert reader.kind.boundary_class == "Membrane"
    box = Box((1, 0, 2), (3, 4, 5))
    evidence = reader.read(box)
    assert evidence.shape == box.shape
    np.testing.assert_allclose(evidence.boundary_map(), reader.read(WHOLE).boundary_map()[box.slices])
    np.testing.assert_allclose(evidence.object_map(), 1 - evidence.class_map("Membrane"))
    assert evidence.join().shape == box.shape
    chosen = EvidenceReader.open(classes(tmp_path, ("inside", "Membrane"), 1), "inside").read(WHOLE)
    np.testing.assert_array_equal(chosen.boundary_map(), chosen.class_map("inside"))


def test_affinities_of_either_direction_are_the_same_faces(tmp_path: Path) -> None:
    faces = np.random.default_rng(0).random((3, *SHAPE)).astype(np.float32)
    forward = Evidence(affinities=faces, offsets=((1, 0, 0), (0, 1, 0), (0, 0, 1)))
    backward = np.stack([np.roll(faces[axis], 1, axis) for axis in range(3)])
    other = Evidence(affinities=backward[::-1].copy(), offsets=((0, 0, -1), (0, -1, 0), (-1, 0, 0)))
    a, b = forward.nearest(), other.nearest()
    assert a is not None
    assert b is not None
    np.testing.assert_array_equal(a, b)
    np.testing.assert_array_equal(forward.boundary_map(), other.boundary_map())
    assert forward.kind.near_axes == other.kind.near_axes == (0, 1, 2)


def test_a_cut_face_is_a_boundary_on_both_sides() -> None:
    faces = np.ones((3, *SHAPE), np.float32)
    faces[2, 1, 2, 2] = 0.1
    boundary = Evidence(affinities=faces, offsets=((1, 0, 0), (0, 1, 0), (0, 0, 1))).boundary_map()
    np.testing.assert_allclose(boundary[1, 2, 1:5], [0, 0.9, 0.9, 0], atol=1e-6)


def test_an_axis_without_affinities_gets_what_the_boundary_says() -> None:
    faces = np.full((2, *SHAPE), 0.8, np.float32)
    near = Evidence(affinities=faces, offsets=((0, 1, 0), (0, 0, 1))).nearest()
    assert near is not None
    np.testing.assert_allclose(near[0][:-1], 0.8, atol=1e-6)


def test_distance_is_read_as_signed(tmp_path: Path) -> None:
    stored = np.linspace(0, 1, 60).reshape(1, *SHAPE)
    path = write_prediction(tmp_path / "d", stored, [DistanceRole(reach_nm=100)], SPACE)
    evidence = EvidenceReader.open(path).read(WHOLE)
    assert evidence.distance is not None
    np.testing.assert_allclose(evidence.distance, 2 * stored[0] - 1, atol=0.01)
    np.testing.assert_allclose(evidence.boundary_map(), 1 - stored[0], atol=0.01)
    np.testing.assert_allclose(evidence.object_map(), stored[0], atol=0.01)


def test_what_was_not_predicted_is_known(tmp_path: Path) -> None:
    values = np.full((2, *SHAPE), 0.5)
    roles: list[ChannelRole] = [AffinityRole(offset=(1, 0, 0)), AffinityRole(offset=(0, 1, 0))]
    path = write_prediction(tmp_path / "p", values, roles, SPACE, unpredicted=Box((0, 0, 0), (1, 4, 5)))
    region = EvidenceReader.open(path).read(WHOLE).region()
    assert not region[0].any()
    assert region[1:].all()


def test_a_mask_restricts(tmp_path: Path) -> None:
    path, other = classes(tmp_path, ("a", "membrane")), classes(tmp_path, ("glia", "x"), seed=5)
    glia = EvidenceReader.open(other).read(WHOLE).class_map("glia")
    inside = EvidenceReader.open(path, mask=MaskSettings(prediction=other, name="glia")).read(WHOLE)
    np.testing.assert_array_equal(inside.region(), glia >= 0.5)
    mask = MaskSettings(prediction=other, name="glia", mode="not_through")
    through = EvidenceReader.open(path, mask=mask).read(WHOLE)
    assert through.region().all()
    np.testing.assert_array_equal(through.boundary_map(), np.maximum(through.class_map("membrane"), glia))
    np.testing.assert_allclose(through.object_map("a"), through.class_map("a") * (1 - glia))


def test_a_mask_weakens_affinities() -> None:
    faces, barrier = np.ones((3, *SHAPE), np.float32), np.zeros(SHAPE, np.float32)
    barrier[1] = 1
    near = Evidence(affinities=faces, offsets=((1, 0, 0), (0, 1, 0), (0, 0, 1)), barrier=barrier).nearest()
    assert near is not None
    assert not near[0].any()


def test_wrong_names_and_shapes_are_refused(tmp_path: Path) -> None:
    path = classes(tmp_path, ("a", "b"))
    with pytest.raises(InvalidInput, match="no class called 'c'; it has the classes a, b"):
        EvidenceReader.open(path, "c")
    with pytest.raises(InvalidInput, match="no class called 'c'"):
        EvidenceReader.open(path, mask=MaskSettings(prediction=path, name="c"))
    larger = classes(tmp_path, ("a", "b"), shape=(4, 4, 5), seed=1)
    with pytest.raises(VolumeError, match="as large as the prediction"):
        EvidenceReader.open(path, mask=MaskSettings(prediction=larger, name="a"))
    create_ome_zarr(tmp_path / "flat", SHAPE, np.uint8, SPACE)
    with pytest.raises(VolumeError, match="has no channels"):
        EvidenceReader.open(tmp_path / "flat")
    with pytest.raises(InvalidInput, match="A boundary is needed, but the prediction has the classes a, b"):
        EvidenceReader.open(path).read(WHOLE).boundary_map()
    with pytest.raises(InvalidInput, match="no class called 'z'"):
        EvidenceReader.open(path).read(WHOLE).class_map("z")
    with pytest.raises(InvalidInput, match="arrays of one shape"):
        Evidence(boundary=np.zeros(SHAPE), distance=np.zeros((1, 1, 1)))
