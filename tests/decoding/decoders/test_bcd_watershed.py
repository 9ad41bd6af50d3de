"""The watershed with two thresholds against its definition, voxel by voxel."""

from __future__ import annotations

import heapq
import itertools
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import ndimage

from napari_pytc.decoding import BcdWatershedDecoder
from napari_pytc.decoding.base import in_order
from napari_pytc.decoding.evidence import Evidence, EvidenceKind
from napari_pytc.decoding.jobs import SegmentJob
from napari_pytc.errors import InvalidInput
from napari_pytc.geometry import VoxelSpace
from napari_pytc.labels.segmentation import Segmentation
from napari_pytc.volumes.roles import BoundaryRole, ForegroundRole, InstanceDistanceRole
from tests.support.contexts import RecordingContext
from tests.support.decoder_contract import disagreement, labels_of
from tests.support.evidence import write_prediction

SPACE = VoxelSpace((10, 10, 10))
FACES = [step for step in itertools.product((-1, 0, 1), repeat=3) if sum(map(abs, step)) == 1]
ANYWHERE = [step for step in itertools.product((-1, 0, 1), repeat=3) if any(step)]


def neighbours(voxel: tuple[int, ...], shape: tuple[int, ...], steps: list[tuple[int, ...]]) -> list[tuple[int, ...]]:
    found = [tuple(v + s for v, s in zip(voxel, step, strict=True)) for step in steps]
    return [one for one in found if all(0 <= v < n for v, n in zip(one, shape, strict=True))]


def seeds_of(mask: np.ndarray, smallest: int) -> np.ndarray:
    """Voxels that hang together over faces, edges or corners, without those of too few voxels."""
    labels, n = np.zeros(mask.shape, int), 0
    for start in zip(*np.nonzero(mask), strict=True):
        if labels[start]:
            continue
        n += 1
        todo, members = [start], []
        labels[start] = n
        while todo:
            voxel = todo.pop()
            members.append(voxel)
            for other in neighbours(voxel, mask.shape, ANYWHERE):
                if mask[other] and not labels[other]:
                    labels[other] = n
                    todo.append(other)
        if len(members) < smallest:
            for voxel in members:
                labels[voxel] = -1
    return np.where(labels > 0, labels, 0)


def flooded(depth: np.ndarray, seeds: np.ndarray, region: np.ndarray) -> np.ndarray:
    """Meyer's flooding over faces: the deepest voxel on the rim of any object is taken next."""
    labels, order = seeds.copy(), itertools.count()
    heap = [(-depth[voxel], next(order), voxel) for voxel in zip(*np.nonzero(seeds), strict=True)]
    heapq.heapify(heap)
    while heap:
        _, _, voxel = heapq.heappop(heap)
        for other in neighbours(voxel, depth.shape, FACES):
            if region[other] and not labels[other]:
                labels[other] = labels[voxel]
                heapq.heappush(heap, (-depth[other], next(order), other))
    return labels


@given(
    st.tuples(*[st.integers(1, 6)] * 3),
    st.integers(0, 99),
    st.tuples(st.floats(0.05, 1), st.floats(0.05, 1)),
    st.tuples(st.floats(0, 1), st.floats(0, 1.1)),
    st.tuples(st.floats(0, 1), st.floats(0, 1)),
    st.integers(0, 4),
)
def test_it_is_the_published_rule(
    shape: tuple[int, int, int],
    seed: int,
    binary: tuple[float, float],
    contour: tuple[float, float],
    distance: tuple[float, float],
    smallest: int,
) -> None:
    rng = np.random.default_rng(seed)
    maps = {name: rng.random(shape).astype(np.float32) for name in ("mask", "boundary", "distance")}
    region = (maps["mask"] > binary[1]) & (maps["distance"] > distance[1])
    if contour[1] <= 1:
        region &= maps["boundary"] < contour[1]
    sure = region & (maps["mask"] > binary[0]) & (maps["boundary"] < contour[0]) & (maps["distance"] > distance[0])
    expected = flooded(maps["distance"], seeds_of(sure, smallest), region)
    evidence = Evidence(
        boundary=maps["boundary"], distance=maps["distance"], masks=maps["mask"][None], mask_names=("foreground",)
    )
    decoder = BcdWatershedDecoder(
        seed_foreground=binary[0], foreground=binary[1], seed_contour=contour[0], contour=contour[1],
        seed_distance=distance[0], distance=distance[1], smallest_seed=smallest, smallest_um3=0, smallest_um2=0,
    )  # fmt: skip
    np.testing.assert_array_equal(decoder.decode(evidence, SPACE).labels, in_order(expected))


def two_balls() -> tuple[np.ndarray, np.ndarray]:
    """Two balls that touch, and the distance inside of them, positive."""
    z, y, x = np.mgrid[:12, :12, :22]
    inside = np.minimum((z - 6) ** 2 + (y - 6) ** 2 + (x - 6) ** 2, (z - 6) ** 2 + (y - 6) ** 2 + (x - 15) ** 2) <= 25
    near, far = (ndimage.distance_transform_edt(inside & side) / 5 for side in (x <= 10, x > 10))
    return inside, np.where(inside, np.clip(np.maximum(near, far), 0, 1), -1).astype(np.float32)


def evidence_of(*names: str) -> Evidence:
    inside, distance = two_balls()
    rim = inside & (distance < 0.35)
    return Evidence(
        masks=inside[None].astype(np.float32) * 0.95 if "foreground" in names else None,
        mask_names=("foreground",) if "foreground" in names else (),
        boundary=rim.astype(np.float32) if "contour" in names else None,
        distance=distance if "distance" in names else None,
    )


@pytest.mark.parametrize(
    "names",
    [
        ("foreground", "contour", "distance"),
        ("foreground", "distance"),
        ("foreground", "contour"),
        ("contour", "distance"),
        ("distance",),
    ],
)
@pytest.mark.parametrize("flooding", ["predicted", "measured"])
def test_two_that_touch_are_two_with_what_channels_there_are(names: tuple[str, ...], flooding: str) -> None:
    inside, _ = two_balls()
    decoder = BcdWatershedDecoder(seed_distance=0.7, smallest_seed=3, smallest_um3=0, flooding=flooding)  # type: ignore[arg-type]
    labels = decoder.decode(evidence_of(*names), SPACE).labels
    assert len(np.unique(labels[labels > 0])) == 2
    assert labels[6, 6, 6] != labels[6, 6, 15]
    assert np.count_nonzero(labels) > 0.9 * np.count_nonzero(inside)
    missing = decoder.assumptions(evidence_of(*names).kind)
    assert bool(missing) == (len(names) < 3)
    for name in {"foreground", "contour", "distance"} - set(names):
        assert f"no {name}" in missing[0]


def test_without_a_foreground_a_class_can_stand_for_it() -> None:
    inside, distance = two_balls()
    classes = np.stack([~inside, inside]).astype(np.float32)
    evidence = Evidence(distance=distance, classes=classes, class_names=("background", "mitochondrion"))
    decoder = BcdWatershedDecoder(object_class="mitochondrion", seed_distance=0.7, smallest_seed=3, smallest_um3=0)
    assert decoder.decode(evidence, SPACE).labels.max() == 2


def test_small_seeds_start_no_object_and_others_grow_over_them() -> None:
    distance = np.array([[[0.1, 0.9, 0.9, 0.9, 0.2, 0.8, 0.3]]], np.float32)
    evidence = Evidence(distance=distance)
    decoder = BcdWatershedDecoder(smallest_seed=2, smallest_um2=0)
    assert decoder.decode(evidence, SPACE).labels[0, 0].tolist() == [1] * 7
    decoder = decoder.model_copy(update={"smallest_seed": 1})
    assert decoder.decode(evidence, SPACE).labels[0, 0].tolist() == [1, 1, 1, 1, 1, 2, 2]


def test_what_no_seed_reaches_is_background() -> None:
    distance = np.array([[[0.9, 0.4, -0.5, 0.4, 0.4]]], np.float32)
    decoder = BcdWatershedDecoder(smallest_seed=0, smallest_um2=0)
    assert decoder.decode(Evidence(distance=distance), SPACE).labels[0, 0].tolist() == [1, 1, 0, 0, 0]


@pytest.mark.parametrize("block", [(12, 12, 4), (5, 12, 22), (4, 5, 6)])
def test_in_blocks_an_object_needs_its_seed_only_once(tmp_path: Path, block: tuple[int, int, int]) -> None:
    """A long object whose only seed lies in its first block is one object, and a faint one without a seed is none."""
    shape = (12, 12, 80)
    distance = np.full(shape, -1.0)
    distance[2:10, 2:6, 2:78] = 0.3
    distance[4:8, 3:5, 3:8] = 0.9
    distance[2:10, 8:11, 2:78] = 0.3  # beside it, without a seed
    inside = distance > 0
    channels = np.stack([inside, ~inside, (distance + 1) / 2]).astype(np.float32)
    roles = [ForegroundRole(), BoundaryRole(), InstanceDistanceRole()]
    path = write_prediction(tmp_path / "prediction", channels, roles, SPACE)
    decoder = BcdWatershedDecoder(smallest_seed=10, smallest_um3=0)
    job = SegmentJob(prediction=path, decoder=decoder, output=tmp_path / "blocks", block_shape=block)
    job.run(RecordingContext())
    labels = labels_of(tmp_path / "blocks")
    assert len(np.unique(labels)) == 2
    assert (labels[2:10, 2:6, 2:78] == 1).all()
    assert not labels[:, 8:].any()


def predicted(folder: Path, distance: np.ndarray) -> Path:
    """Foreground, contour and distance, where all that is deeper than 0 is inside."""
    inside = distance > 0
    channels = np.stack([inside, ~inside, (distance + 1) / 2]).astype(np.float32)
    return write_prediction(
        folder / "prediction", channels, [ForegroundRole(), BoundaryRole(), InstanceDistanceRole()], SPACE
    )


@pytest.mark.parametrize("block", [(12, 12, 40), (12, 12, 30)])
def test_tails_far_from_their_seeds_are_not_lost(tmp_path: Path, block: tuple[int, int, int]) -> None:
    """To the blocks behind the first, which see no seed, the tails of two objects that touch are one piece."""
    distance = np.full((12, 12, 120), -1.0)
    distance[2:10, 2:10, 2:118] = 0.3
    for y in (2, 8):
        distance[4:8, y : y + 2, 3:8] = 0.9
    decoder = BcdWatershedDecoder(smallest_seed=10, smallest_um3=0)
    path = predicted(tmp_path, distance)
    result = SegmentJob(prediction=path, decoder=decoder, output=tmp_path / "s", block_shape=block).run(
        RecordingContext()
    )
    labels = labels_of(tmp_path / "s")
    np.testing.assert_array_equal(labels > 0, distance > 0)
    assert len(np.unique(labels)) == 3
    assert result["notes"] == []


def test_a_missing_seed_is_not_told_as_a_small_size(tmp_path: Path) -> None:
    distance = np.full((12, 12, 80), -1.0)
    distance[4:8, 1:5, 2:78] = 0.3
    distance[5:7, 2:4, 3:8] = 0.9
    distance[:3, 7:11, 2:78] = distance[8:, 7:11, 2:78] = 0.3  # without seeds
    decoder = BcdWatershedDecoder(smallest_seed=10, smallest_um3=0)
    job = SegmentJob(
        prediction=predicted(tmp_path, distance), decoder=decoder, output=tmp_path / "s", block_shape=(12, 12, 40)
    )
    (note,) = job.run(RecordingContext())["notes"]
    assert "objects hold no seed that is large enough" in note
    assert len(np.unique(labels_of(tmp_path / "s"))) == 2


def test_blocks_give_the_objects_of_the_whole(tmp_path: Path) -> None:
    inside, distance = two_balls()
    channels = np.stack([inside * 0.95, (inside & (distance < 0.35)) * 1.0, (distance + 1) / 2])
    roles = [ForegroundRole(), BoundaryRole(), InstanceDistanceRole()]
    path = write_prediction(tmp_path / "prediction", channels, roles, SPACE)
    decoder = BcdWatershedDecoder(seed_distance=0.7, smallest_seed=3, smallest_um3=0)
    for name, block in (("whole", (12, 12, 22)), ("blocks", (5, 6, 7))):
        job = SegmentJob(prediction=path, decoder=decoder, output=tmp_path / name, block_shape=block)
        job.run(RecordingContext())
    assert disagreement(labels_of(tmp_path / "blocks"), labels_of(tmp_path / "whole")) == 0
    assert Segmentation.open(tmp_path / "blocks").record.notes == ()


def test_what_it_needs_is_told() -> None:
    with pytest.raises(InvalidInput, match="needs a foreground, a class of objects or distances"):
        BcdWatershedDecoder().check(EvidenceKind(boundary=True))
    with pytest.raises(InvalidInput, match="no class called 'axon'"):
        BcdWatershedDecoder(object_class="axon").check(EvidenceKind(distance=True))


def test_thresholds_of_missing_channels_have_no_effect() -> None:
    assert BcdWatershedDecoder().without_effect(EvidenceKind(distance=True)) == {
        "seed_foreground", "foreground", "seed_contour", "contour",
    }  # fmt: skip
    of_two = EvidenceKind(boundary=True, mask_names=("foreground",))
    assert BcdWatershedDecoder().without_effect(of_two) == {"seed_distance", "distance", "flooding"}
    kind = EvidenceKind(distance=True, boundary=True, mask_names=("foreground",))
    assert BcdWatershedDecoder().without_effect(kind) == frozenset()
