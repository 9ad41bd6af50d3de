"""Boundaries against their definition, voxel by voxel; affinities in both conventions of PyTC."""

from __future__ import annotations

from itertools import product

import numpy as np
import pytest

from napari_pytc.geometry import VoxelSpace
from napari_pytc.learning.data.targets.encoding import IGNORED, ONE, ZERO, LabelledPatch
from napari_pytc.learning.data.targets.pairs import affinity, boundary
from napari_pytc.plans.targets.channel_kinds import AffinityChannel
from napari_pytc.volumes.roles import BoundaryRole
from tests.support.learning import space

SHAPE = (4, 7, 8)


def random_labels(seed: int = 0, lowest: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).choice([lowest, 0, 1, 1, 2, 2, 2, 3, 3], SHAPE).astype(np.int32)


def expected_boundary(labels: np.ndarray, role: BoundaryRole, voxel: tuple[int, ...]) -> int:
    own = labels[voxel]
    if own == 0:
        return IGNORED
    is_sure = True
    n, reach = role.thickness, range(-role.thickness, role.thickness + 1)
    for step in product([0] if role.per_section else reach, reach, reach):
        if not 0 < sum(map(abs, step)) <= n:
            continue
        at = tuple(np.add(voxel, step))
        there = labels[at] if all(0 <= a < length for a, length in zip(at, labels.shape, strict=True)) else 0
        is_border = own != there and there != 0 and max(own, there) > 1
        if role.edge_mode == "seg-no-bg":
            is_border &= min(own, there) > 1
        if role.mode == "inner":
            is_border &= own > 1
        if role.mode == "outer":
            is_border &= own == 1 or min(own, there) > 1
        if is_border:
            return ONE
        is_sure &= there != 0
    if own == 1 and (role.mode == "inner" or role.edge_mode == "seg-no-bg"):
        return ZERO
    return ZERO if is_sure else IGNORED


@pytest.mark.parametrize("mode", ["thick", "inner", "outer"])
@pytest.mark.parametrize("edge_mode", ["seg-all", "seg-no-bg", "all"])
@pytest.mark.parametrize(("thickness", "per_section"), [(1, False), (2, False), (2, True)])
def test_boundaries_are_those_of_the_definition(mode, edge_mode, thickness, per_section) -> None:
    role = BoundaryRole(mode=mode, edge_mode=edge_mode, thickness=thickness, per_section=per_section)
    labels = random_labels()
    found = boundary(LabelledPatch(labels, space()), role)
    for voxel in np.ndindex(labels.shape):
        assert found[voxel] == expected_boundary(labels, role, voxel), (voxel, role)


def test_modes_of_a_row() -> None:
    row = np.broadcast_to(np.array([1, 1, 2, 2, 3, 3, 1, 1], np.int32), (3, 3, 8)).copy()
    patch = LabelledPatch(row, space())

    def shown(**settings: str) -> str:
        return "".join(str(int(v == ONE)) for v in boundary(patch, BoundaryRole(**settings))[1, 1])

    assert shown() == "01111110"
    assert shown(mode="inner") == "00111100"
    assert shown(mode="outer") == "01011010"
    assert shown(edge_mode="seg-no-bg") == "00011000"


def test_what_is_something_else_is_no_border_between_objects() -> None:
    row = np.broadcast_to(np.array([2, 2, -1, -1], np.int32), (3, 3, 4)).copy()
    patch = LabelledPatch(row, space())
    assert boundary(patch, BoundaryRole())[1, 1, 1] == ONE
    assert boundary(patch, BoundaryRole(edge_mode="seg-no-bg"))[1, 1, 1] == IGNORED
    assert boundary(patch, BoundaryRole(mode="inner"))[1, 1, 1] == ONE
    assert boundary(patch, BoundaryRole(mode="outer"))[1, 1, 1] == IGNORED


@pytest.mark.parametrize("offset", [(1, 0, 0), (0, 2, 0), (1, 0, 3)])
def test_affinities_of_deepem_lie_at_the_later_voxel_and_those_of_banis_at_the_earlier(offset) -> None:
    labels = np.maximum(random_labels(), 1)
    patch = LabelledPatch(labels, VoxelSpace((30.0, 4.0, 4.0)))
    conventions = {name: AffinityChannel(offset=offset, convention=name) for name in ("deepem", "banis", "partner")}
    found = {name: affinity(patch, one.to_partner) for name, one in conventions.items()}
    np.testing.assert_array_equal(found["banis"], found["partner"])
    n_pairs = 0
    for early in np.ndindex(labels.shape):
        late = tuple(np.add(early, offset))
        if all(a < length for a, length in zip(late, labels.shape, strict=True)):
            is_one = labels[early] == labels[late] > 1
            assert found["deepem"][late] == found["banis"][early] == (ONE if is_one else ZERO)
            n_pairs += 1
    assert (found["deepem"] != IGNORED).sum() == (found["banis"] != IGNORED).sum() == n_pairs
