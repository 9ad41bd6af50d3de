"""Changes: their way back, their bytes, and the sums that tell states of a document apart."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from napari_pytc.errors import ProjectError
from napari_pytc.geometry import Box
from napari_pytc.labels.patches import LabelPatch
from napari_pytc.labels.segmentation import digest_of
from napari_pytc.proofreading.changes import Change, Move, Note, SegmentState
from napari_pytc.proofreading.digests import digest_of_notes, digest_of_pairs, digests_after, text_of

SHAPE = (4, 6, 8)
BOX = Box((1, 1, 2), (3, 5, 7))
LAST = 2**32 - 2
ids = st.sampled_from([1, 2, 3, 7, 1000, LAST])
states = st.none() | st.builds(SegmentState, st.booleans(), st.booleans(), st.integers(0, 255))
notes = st.builds(Note, ids, states, states)


@st.composite
def moves(draw: st.DrawFn) -> Move:
    supervoxels = draw(st.lists(ids, min_size=1, max_size=4, unique=True))
    before, after = (
        draw(st.lists(st.integers(0, 9), min_size=len(supervoxels), max_size=len(supervoxels))) for _ in "ab"
    )
    return Move(*(np.array(values, np.uint32) for values in (supervoxels, before, after)))


@st.composite
def patches(draw: st.DrawFn) -> LabelPatch:
    rng = np.random.default_rng(draw(st.integers(0, 999)))
    before = rng.integers(0, 4, BOX.shape).astype(np.uint32)
    after = before.copy()
    after[rng.random(BOX.shape) < 0.4] = draw(ids)
    after[0, 0, 0] = before[0, 0, 0] + 1
    patch = LabelPatch.between(BOX, before, after)
    assert patch is not None
    return patch


@st.composite
def changes(draw: st.DrawFn) -> Change:
    first = draw(st.integers(0, LAST - 5))
    return Change(
        edit={"kind": "test", "n": 3},
        title="Try",
        box=BOX,
        segments=(1, 2),
        patches=tuple(draw(st.lists(patches(), max_size=2))),
        moves=tuple(draw(st.lists(moves(), max_size=2))),
        notes=tuple(draw(st.lists(notes, max_size=3))),
        next_id=(first, first + draw(st.integers(0, 5))),
    )


def read(data: bytes, change: Change) -> Change:
    return Change.from_bytes(data, change.edit, change.title, change.box, change.segments, change.target)


@given(changes())
def test_a_change_comes_back_from_its_bytes(change: Change) -> None:
    again = read(change.to_bytes(), change)
    assert again.notes == change.notes
    assert again.next_id == change.next_id
    assert len(again.moves) == len(change.moves)
    for ours, theirs in zip(again.moves, change.moves, strict=True):
        for name in ("supervoxels", "before", "after"):
            np.testing.assert_array_equal(getattr(ours, name), getattr(theirs, name))
            assert getattr(ours, name).dtype == np.uint32
    for one, other in zip(again.patches, change.patches, strict=True):
        assert one.to_bytes() == other.to_bytes()
    assert (again.edit, again.title, again.box, again.segments) == (change.edit, "Try", BOX, (1, 2))


@given(changes())
def test_there_and_back_is_nothing(change: Change) -> None:
    back = change.inverse()
    assert back.inverse().to_bytes() == change.to_bytes()
    assert back.next_id == change.next_id[::-1]
    labels = np.random.default_rng(0).integers(0, 4, SHAPE).astype(np.uint32)
    labels[BOX.slices] = 0
    if change.patches:  # one that begins where the first patch does
        change.patches[0].inverse().apply_to(labels, (0, 0, 0))
    expected = labels.copy()
    for one in change.patches[:1]:
        one.apply_to(labels, (0, 0, 0))
    for one in back.patches[-1:]:
        one.apply_to(labels, (0, 0, 0))
    np.testing.assert_array_equal(labels, expected)


@settings(max_examples=30)
@given(changes(), st.data())
def test_any_damaged_byte_is_noticed(change: Change, data: st.DataObject) -> None:
    whole = change.to_bytes()
    at = data.draw(st.integers(0, len(whole) - 1))
    damaged = bytearray(whole)
    damaged[at] ^= 1 << data.draw(st.integers(0, 7))
    with pytest.raises(ProjectError, match="The change 'Try' in the journal is damaged"):
        read(bytes(damaged), change)


@settings(max_examples=30)
@given(changes(), st.data())
def test_bytes_that_are_cut_off_are_noticed(change: Change, data: st.DataObject) -> None:
    whole = change.to_bytes()
    with pytest.raises(ProjectError, match="is damaged"):
        read(whole[: data.draw(st.integers(0, len(whole) - 1))], change)


def test_voxels_are_counted_over_all_patches() -> None:
    before = np.zeros(BOX.shape, np.uint32)
    patch = LabelPatch.between(BOX, before, before + np.uint32(3))
    assert patch is not None
    change = Change({"kind": "test"}, "Try", BOX, patches=(patch, patch.inverse()))
    assert change.n_voxels == 2 * BOX.size


@given(st.dictionaries(ids, st.integers(0, 9)), st.integers(0, 9))
def test_a_digest_of_pairs_knows_no_order_and_no_zeros(pairs: dict[int, int], seed: int) -> None:
    order = np.random.default_rng(seed).permutation(len(pairs))
    found = digest_of_pairs(np.array([*pairs], np.uint32), np.array([*pairs.values()], np.uint32))
    keys, values = np.array([*pairs], np.uint32)[order], np.array([*pairs.values()], np.uint32)[order]
    assert digest_of_pairs(keys, values) == found
    assert digest_of_pairs(keys[values > 0], values[values > 0]) == found
    parts = sum(digest_of_pairs(keys[k : k + 1], values[k : k + 1]) for k in range(len(keys)))
    assert parts % 2**64 == found


def test_a_digest_of_pairs_tells_pairs_apart() -> None:
    pairs = itertools.product(range(1, 30), range(1, 30))
    assert len({digest_of_pairs(np.array([k]), np.array([v])) for k, v in pairs}) == 29 * 29


def test_notes_are_told_apart_by_segment_and_every_field() -> None:
    found = {
        digest_of_notes([(segment, SegmentState(locked, deleted, class_id))])
        for segment in (1, 2, LAST)
        for locked in (False, True)
        for deleted in (False, True)
        for class_id in (0, 1, 255)
    }
    assert len(found) == 3 * 2 * 2 * 3
    assert digest_of_notes([(1, None)]) == digest_of_notes([]) == 0


@settings(max_examples=30)
@given(st.integers(0, 999), st.lists(st.tuples(ids, st.integers(0, 9)), max_size=5, unique_by=lambda pair: pair[0]))
def test_digests_after_a_change_are_those_of_the_new_state(seed: int, moved: list[tuple[int, int]]) -> None:
    rng = np.random.default_rng(seed)
    labels = rng.integers(0, 5, SHAPE).astype(np.uint32)
    new = labels.copy()
    new[BOX.slices] = rng.integers(0, 5, BOX.shape)
    patch = LabelPatch.between(BOX, labels[BOX.slices], new[BOX.slices])
    keys = np.array([key for key, _ in moved], np.uint32)
    after = np.array([value for _, value in moved], np.uint32)
    before = rng.integers(0, 9, len(moved)).astype(np.uint32)
    state, other = SegmentState(locked=True), SegmentState(class_id=4)
    change = Change(
        {"kind": "test"},
        "Try",
        BOX,
        patches=() if patch is None else (patch,),
        moves=(Move(keys, before, after),),
        notes=(Note(3, state, other), Note(5, None, state)),
    )
    start = (digest_of(labels, (0, 0, 0), SHAPE), digest_of_pairs(keys, before), digest_of_notes([(3, state)]))
    expected = (
        digest_of(new, (0, 0, 0), SHAPE),
        digest_of_pairs(keys, after),
        digest_of_notes([(3, other), (5, state)]),
    )
    found = digests_after(start, change, SHAPE)
    assert found == expected
    assert digests_after(found, change.inverse(), SHAPE) == start


def test_the_text_of_digests_tells_each_of_them_and_the_record() -> None:
    texts = {text_of(digests, "a") for digests in itertools.product((0, 1, 2**64 - 1), repeat=3)}
    assert len(texts) == 27
    assert text_of((1, 2, 3), "a") != text_of((1, 2, 3), "b")
    assert all(len(text) == 32 for text in texts)
