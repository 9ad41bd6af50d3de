from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from napari_pytc.decoding import (
    AffinityComponentsDecoder,
    AgglomerationDecoder,
    ComponentsDecoder,
    MutexWatershedDecoder,
)
from napari_pytc.decoding.base import DecoderSettings
from napari_pytc.decoding.blocks.reuse import keep_ids
from napari_pytc.decoding.jobs import SegmentJob
from napari_pytc.errors import InvalidInput
from napari_pytc.geometry import Box, Shape, TileGrid, VoxelSpace
from napari_pytc.jobs.context import JobCancelled
from napari_pytc.labels.segmentation import Segmentation, digest_of
from napari_pytc.labels.segments_view import SegmentsView
from napari_pytc.proofreading.document import LabelDocument
from napari_pytc.proofreading.edits import parse_edit
from napari_pytc.volumes.channels import ClassRole
from napari_pytc.volumes.roles import AffinityRole
from tests.support.contexts import RecordingContext
from tests.support.decoder_contract import labels_of
from tests.support.evidence import prediction_of, write_prediction
from tests.support.tissue import MEMBRANE, make_tissue

SHAPE: Shape = (12, 30, 32)
WHOLE = Box.of_shape(SHAPE)
SPACE = VoxelSpace((200.0, 40.0, 40.0))  # a few voxels are all that a decoder looks around a block
CHANGED = Box((0, 0, 0), (3, 8, 8))
BLOCKS: list[Shape] = [(6, 15, 16), (4, 10, 11), (12, 30, 8), SHAPE]


@pytest.fixture(scope="module")
def cells() -> np.ndarray:
    tissue = make_tissue(SHAPE, 9, seed=1)
    return np.where(tissue.classes == MEMBRANE, 0, tissue.cells)


@pytest.fixture(scope="module")
def predictions(cells: np.ndarray, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """One prediction, and one that differs in `CHANGED`."""
    folder, space = tmp_path_factory.mktemp("previous"), SPACE
    other = cells.copy()
    other[CHANGED.slices] = 0
    what = ("near", "far")
    return prediction_of(folder / "first", cells, space, what), prediction_of(folder / "second", other, space, what)


def segment(prediction: Path, output: Path, ctx: RecordingContext | None = None, **options: Any) -> dict[str, Any]:
    decoder: DecoderSettings = options.pop("decoder", AgglomerationDecoder(smallest_um3=0))
    job = SegmentJob(prediction=prediction, decoder=decoder, output=output, **options)
    return job.run(ctx or RecordingContext())


def supervoxels(folder: Path) -> np.ndarray:
    return SegmentsView.open(folder).supervoxels(WHOLE)


def edit(folder: Path, *edits: dict[str, Any]) -> LabelDocument:
    document = LabelDocument(Segmentation.open(folder))
    for one in edits:
        document.apply(parse_edit(one).plan(document))
    document.flush(1)
    return document


def split_of(folder: Path) -> dict[str, Any]:
    """A split of the largest supervoxel through its voxels."""
    labels = supervoxels(folder)
    places = np.argwhere(labels == np.bincount(labels[labels > 0]).argmax()).tolist()
    return {"kind": "split", "seeds": {"1": places[:1], "2": places[-1:]}}


def is_one_to_one(first: np.ndarray, second: np.ndarray) -> bool:
    pairs = np.unique(np.stack([first.ravel(), second.ravel()], axis=1), axis=0)
    return all(len(np.unique(pairs[:, k])) == len(pairs) for k in (0, 1))


@pytest.mark.slow
@pytest.mark.parametrize("block", BLOCKS)
@pytest.mark.parametrize("decoder", [AgglomerationDecoder(smallest_um3=0), MutexWatershedDecoder(smallest_um3=0)])
def test_without_a_change_all_supervoxels_are_those_of_before(
    predictions: tuple[Path, Path], tmp_path: Path, block: Shape, decoder: DecoderSettings
) -> None:
    segment(predictions[0], tmp_path / "old", decoder=decoder, block_shape=(6, 15, 16))
    edit(tmp_path / "old", split_of(tmp_path / "old"))
    options = {"decoder": decoder, "block_shape": block, "reuse": tmp_path / "old"}
    result = segment(predictions[0], tmp_path / "new", **options)
    assert result["n_reused"] == result["n_blocks"] == len(TileGrid(WHOLE, block))
    assert is_one_to_one(supervoxels(tmp_path / "old"), supervoxels(tmp_path / "new"))


@pytest.mark.slow
@pytest.mark.parametrize("block", BLOCKS[:3])
def test_where_nothing_changed_supervoxels_are_those_of_before(
    predictions: tuple[Path, Path], tmp_path: Path, block: Shape
) -> None:
    decoder = AgglomerationDecoder(smallest_um3=0)
    segment(predictions[0], tmp_path / "old", decoder=decoder, block_shape=(6, 15, 16))
    edit(tmp_path / "old", split_of(tmp_path / "old"))
    options = {"decoder": decoder, "block_shape": block, "reuse": tmp_path / "old", "changed": (CHANGED,)}
    result = segment(predictions[1], tmp_path / "new", **options)
    grid = TileGrid(WHOLE, block, decoder.halo(Segmentation.open(tmp_path / "old").space))
    kept = [tile.write for tile in grid if not tile.read.overlaps(CHANGED)]
    assert 0 < result["n_reused"] == len(kept) < len(grid)
    old, new = supervoxels(tmp_path / "old"), supervoxels(tmp_path / "new")
    anew = np.ones(SHAPE, bool)
    for box in kept:
        anew[box.slices] = False
    touched = np.isin(old, np.unique(old[anew]))
    assert (~touched).any()
    assert is_one_to_one(np.where(touched, 0, old), np.where(touched, 0, new))
    for box in kept:  # of the others, no piece has grown together with another
        pairs = np.unique(np.stack([old[box.slices].ravel(), new[box.slices].ravel()], axis=1), axis=0)
        assert len(np.unique(pairs[:, 1])) == len(pairs)
    assert not (new[CHANGED.slices] == old[CHANGED.slices]).all()


@pytest.mark.slow
@pytest.mark.parametrize("block", [(3, 4, 5), (9, 11, 3), (4, 6, 12)])
@pytest.mark.parametrize("connectivity", [6, 26])
def test_components_come_out_as_if_everything_were_decoded(tmp_path: Path, block: Shape, connectivity: int) -> None:
    rng = np.random.default_rng(connectivity)
    values = rng.random((9, 11, 12)) * 0.75
    other, changed = values.copy(), Box((2, 3, 4), (5, 6, 9))
    other[changed.slices] = rng.random(changed.shape)
    decoder = ComponentsDecoder(object_class="axon", connectivity=connectivity, smallest_um3=0)
    for name, array in (("p", values), ("q", other)):
        write_prediction(tmp_path / name, array[None], [ClassRole(name="axon")], VoxelSpace((10, 10, 10)))
    segment(tmp_path / "p", tmp_path / "old", decoder=decoder, block_shape=block)
    options = {"decoder": decoder, "block_shape": block, "reuse": tmp_path / "old", "changed": (changed,)}
    result = segment(tmp_path / "q", tmp_path / "reused", **options)
    segment(tmp_path / "q", tmp_path / "fresh", decoder=decoder)
    assert 0 < result["n_reused"] < result["n_blocks"]
    np.testing.assert_array_equal(labels_of(tmp_path / "reused"), labels_of(tmp_path / "fresh"))


def affinities_of(folder: Path, values: np.ndarray) -> Path:
    roles = [AffinityRole(offset=offset) for offset in ((1, 0, 0), (0, 1, 0), (0, 0, 1))]
    return write_prediction(folder, values, roles, VoxelSpace((10, 10, 10)))


def reused_and_fresh(
    folder: Path, old: np.ndarray, new: np.ndarray, block: Shape, changed: Box
) -> tuple[np.ndarray, np.ndarray, dict[str, Any]]:
    """Labels of new affinities, decoded by reuse of what old ones gave, and from scratch."""
    decoder = AffinityComponentsDecoder(smallest_um3=0, smallest_um2=0)
    first, second = affinities_of(folder / "p", old), affinities_of(folder / "q", new)
    segment(first, folder / "old", decoder=decoder, block_shape=block)
    options = {"decoder": decoder, "block_shape": block, "reuse": folder / "old", "changed": (changed,)}
    result = segment(second, folder / "reused", **options)
    segment(second, folder / "fresh", decoder=decoder)
    return labels_of(folder / "reused"), labels_of(folder / "fresh"), result


@pytest.mark.parametrize("leak", [(2, 4), (7, 8)])
def test_neurites_that_touch_fall_apart_where_a_leak_between_them_is_gone(
    tmp_path: Path, leak: tuple[int, int]
) -> None:
    """They touch in all blocks, of which only the first is decoded anew."""
    new = np.full((3, 2, 4, 32), 0.9)
    new[1, :, 1] = 0.1
    old = new.copy()
    old[1, :, 1, slice(*leak)] = 0.9
    reused, fresh, result = reused_and_fresh(tmp_path, old, new, (2, 4, 8), Box((0, 0, 0), (2, 4, 8)))
    assert result["n_reused"] == 2
    assert len(np.unique(fresh)) == 2
    np.testing.assert_array_equal(reused, fresh)


@pytest.mark.slow
@settings(max_examples=8)
@given(
    st.tuples(st.integers(2, 5), st.integers(2, 6), st.integers(2, 7)),
    st.integers(0, 10**6),
    st.sampled_from([0.35, 0.5, 0.65]),
    st.data(),
)
def test_affinity_components_come_out_as_if_everything_were_decoded(
    block: Shape, seed: int, share: float, data: st.DataObject
) -> None:
    shape = (5, 8, 13)
    starts = [data.draw(st.integers(0, n - 1)) for n in shape]
    stops = [data.draw(st.integers(start + 1, min(n, start + 4))) for start, n in zip(starts, shape, strict=True)]
    changed = Box((starts[0], starts[1], starts[2]), (stops[0], stops[1], stops[2]))
    rng = np.random.default_rng(seed)
    old = np.where(rng.random((3, *shape)) < share, 0.9, 0.1)
    new = old.copy()
    new[(slice(None), *changed.slices)] = np.where(rng.random((3, *changed.shape)) < share, 0.9, 0.1)
    with tempfile.TemporaryDirectory() as folder:
        reused, fresh, _ = reused_and_fresh(Path(folder), old, new, block, changed)
    np.testing.assert_array_equal(reused, fresh)


def lock_some(folder: Path) -> LabelDocument:
    """Merge two segments that touch, paint a corner onto them, and lock them and another one."""
    graph = Segmentation.open(folder).graph
    document = LabelDocument(Segmentation.open(folder))
    pairs = document.owners(graph.edges)
    a, b = pairs[pairs[:, 0] != pairs[:, 1]][0].tolist()
    other = int(np.setdiff1d(document.segment_ids(), [a, b])[-1])
    edit(folder, {"kind": "merge", "segments": [a, b]})
    kept = int(LabelDocument(Segmentation.open(folder)).segment_ids()[0])
    merged = a if LabelDocument(Segmentation.open(folder)).exists(a) else b
    assert kept
    return edit(folder, {"kind": "lock", "segments": [merged, other]})


@pytest.mark.slow
@pytest.mark.parametrize("block", BLOCKS)
@pytest.mark.parametrize("reuses", [True, False])
def test_locked_segments_keep_every_voxel_and_their_ids(
    predictions: tuple[Path, Path], tmp_path: Path, block: Shape, reuses: bool
) -> None:
    segment(predictions[0], tmp_path / "old", block_shape=(6, 15, 16))
    document = lock_some(tmp_path / "old")
    clashing = {"reuse": tmp_path / "old", "changed": (CHANGED,)} if reuses else {}
    segment(predictions[1], tmp_path / "new", block_shape=block, keep=tmp_path / "old", **clashing)
    before, after = document.segments(WHOLE), labels_of(tmp_path / "new")
    locked = [s for s in document.noted_segments() if document.is_locked(s)]
    assert len(locked) == 2
    for one in locked:
        np.testing.assert_array_equal(before == one, after == one)
    new = Segmentation.open(tmp_path / "new")
    where = np.isin(before, locked)
    assert is_one_to_one(
        np.where(where, document.supervoxels(WHOLE), 0), np.where(where, new.supervoxels.read(WHOLE), 0)
    )
    labels = new.supervoxels.read(WHOLE)
    np.testing.assert_array_equal(new.sizes[1:], np.bincount(labels.ravel(), minlength=len(new.sizes))[1:])
    assert int(new.record.checksum, 16) == digest_of(labels, (0, 0, 0), SHAPE)
    assert LabelDocument(new).exists(locked[0])


def test_fixed_ids_are_given_to_nobody_else() -> None:
    segments = np.array([0, 1, 1, 3, 4, 4], np.uint32)
    fixed = np.array([0, 0, 0, 1, 900, 900], np.uint32)
    assert keep_ids(segments, fixed).tolist() == [0, 901, 901, 1, 900, 900]


@pytest.mark.slow
def test_cancelled_at_any_check_and_gone_on_with(predictions: tuple[Path, Path], tmp_path: Path) -> None:
    segment(predictions[0], tmp_path / "old", block_shape=(6, 15, 16))
    lock_some(tmp_path / "old")
    clashing = {"reuse": tmp_path / "old", "changed": (CHANGED,), "keep": tmp_path / "old", "block_shape": (6, 15, 16)}
    whole = RecordingContext()
    segment(predictions[1], tmp_path / "whole", whole, **clashing)
    for n in range(0, whole.n_checks, 9):
        with pytest.raises(JobCancelled):
            segment(predictions[1], tmp_path / f"cut {n}", RecordingContext(cancel_after=n), **clashing)
        segment(predictions[1], tmp_path / f"cut {n}", **clashing)
        np.testing.assert_array_equal(labels_of(tmp_path / f"cut {n}"), labels_of(tmp_path / "whole"))


@pytest.mark.slow
def test_more_edits_of_the_previous_one_start_over(predictions: tuple[Path, Path], tmp_path: Path) -> None:
    segment(predictions[0], tmp_path / "old")
    clashing = {"reuse": tmp_path / "old", "block_shape": (6, 15, 16)}
    with pytest.raises(JobCancelled):
        segment(predictions[0], tmp_path / "new", RecordingContext(cancel_after=12), **clashing)
    edit(tmp_path / "old", split_of(tmp_path / "old"))
    segment(predictions[0], tmp_path / "new", **clashing)
    assert is_one_to_one(supervoxels(tmp_path / "old"), supervoxels(tmp_path / "new"))


def test_what_does_not_fit_is_refused(predictions: tuple[Path, Path], tmp_path: Path, cells: np.ndarray) -> None:
    segment(predictions[0], tmp_path / "part", box=Box((0, 0, 0), (6, 30, 32)))
    with pytest.raises(InvalidInput, match="has voxels of"):
        segment(predictions[0], tmp_path / "new", reuse=tmp_path / "part")
    small = prediction_of(tmp_path / "small", cells[:6], SPACE)
    for name in ("reuse", "keep"):
        with pytest.raises(InvalidInput, match="as large as the prediction"):
            segment(small, tmp_path / "new", **{name: tmp_path / "part"})
