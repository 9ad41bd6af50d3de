from pathlib import Path

import numpy as np
import pytest

from napari_pytc.errors import InvalidEdit, ProjectError
from napari_pytc.proofreading.document import LabelDocument
from napari_pytc.proofreading.edits import Delete, Lock, Merge
from napari_pytc.proofreading.review.queue import ReviewQueue
from napari_pytc.proofreading.review.ranking import ErrorProbability, information, rank
from napari_pytc.proofreading.review.store import Decision, FileReviewStore, MemoryReviewStore
from tests.proofreading.merged import document_of
from tests.support.segmentations import make_segmentation


class Clock:
    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def document(tmp_path: Path) -> LabelDocument:
    """Cells cut into supervoxels, each a segment of its own: contacts within a cell score 0.6 and more."""
    made = make_segmentation(tmp_path / "cut", shape=(16, 48, 48), n_cells=8)
    segments = np.arange(len(made.segmentation.segments), dtype=np.uint32)
    np.save(tmp_path / "cut" / "segments.npy", segments)
    return LabelDocument(type(made.segmentation).open(tmp_path / "cut"), made.boundary)


def test_the_best_place_comes_first_and_stays_until_it_is_decided(document: LabelDocument) -> None:
    queue = ReviewQueue(document, MemoryReviewStore())
    item = queue.next()
    assert item is not None
    assert queue.next() == item
    values = rank(document).values
    assert (np.diff(values) <= 0).all()
    assert len(item.segments) == 2
    assert item.score is not None
    assert str(item.segments[0]) in item.text


def test_a_merge_is_an_edit_and_drops_out_once_it_is_applied(document: LabelDocument) -> None:
    queue = ReviewQueue(document, MemoryReviewStore())
    item = queue.next()
    assert item is not None
    edit = queue.accept("merge")
    assert edit == Merge(segments=item.segments)
    change = edit.plan(document)
    document.apply(change)
    after = queue.next()
    assert after is not None
    assert after.supervoxels != item.supervoxels
    assert queue.n_done == 1
    document.apply(change.inverse())
    seen = set()
    while (found := queue.next()) is not None:
        seen.add(found.supervoxels)
        queue.accept("leave")
    assert item.supervoxels in seen


def test_a_merge_that_was_refused_is_reviewed_again(document: LabelDocument) -> None:
    queue = ReviewQueue(document, MemoryReviewStore())
    item = queue.next()
    queue.accept("merge")
    assert queue.next() == item


def test_what_is_left_is_not_reviewed_again_also_after_a_restart(document: LabelDocument) -> None:
    queue = ReviewQueue(document)
    left = queue.next()
    assert left is not None
    assert queue.accept("leave") is None
    again = ReviewQueue(document)
    assert again.n_done == 1
    item = again.next()
    assert item is not None
    assert item.segments != left.segments
    assert item == queue.next()


def test_two_segments_that_are_left_stay_left_when_they_grow(document: LabelDocument) -> None:
    queue = ReviewQueue(document, MemoryReviewStore())
    item = queue.next()
    assert item is not None
    queue.accept("leave")
    a, b = item.segments
    third = next(int(v if u == a else u) for u, v in document.graph.edges.tolist() if a in (u, v) and b not in (u, v))
    document.apply(Merge(segments=(a, third)).plan(document))
    now = {document.owners(np.array([k], np.uint32))[0] for k in item.supervoxels}
    while (found := queue.next()) is not None:
        assert set(found.segments) != now
        queue.accept("leave")


def test_skipped_places_come_last(document: LabelDocument) -> None:
    queue = ReviewQueue(document, MemoryReviewStore())
    first = queue.next()
    queue.skip()
    second = queue.next()
    assert first is not None
    assert second is not None
    assert second.supervoxels != first.supervoxels
    assert queue.n_done == 0
    seen = None
    while (item := queue.next()) is not None:
        seen = item
        queue.accept("leave")
    assert seen is not None
    assert seen.supervoxels == first.supervoxels
    assert queue.progress == 1
    assert queue.seconds_left in (None, 0.0)
    with pytest.raises(InvalidEdit, match="Nothing is left"):
        queue.accept("leave")
    queue.skip()


def test_locked_and_deleted_segments_drop_out(document: LabelDocument) -> None:
    queue = ReviewQueue(document, MemoryReviewStore())
    item = queue.next()
    assert item is not None
    locked, deleted = item.segments
    document.apply(Lock(segments=(locked,)).plan(document))
    document.apply(Delete(segments=(deleted,)).plan(document))
    n = 0
    while (found := queue.next()) is not None:
        assert not {locked, deleted} & set(found.segments)
        queue.accept("leave")
        n += 1
    assert n


def test_the_rest_is_estimated_at_the_pace_of_the_last_answers(document: LabelDocument) -> None:
    clock = Clock()
    queue = ReviewQueue(document, MemoryReviewStore(), clock)
    assert queue.seconds_left is None
    for seconds in (2, 4, 1000, 3, 5):
        assert queue.next() is not None
        clock.now += seconds
        queue.accept("leave")
    assert queue.seconds_left == pytest.approx(3.5 * (queue.n_total - queue.n_done))


def test_small_pieces_inside_the_volume_are_orphans(tmp_path: Path) -> None:
    labels = np.ones((20, 30, 30), np.uint32)
    labels[:, :, 15:] = 2
    labels[8:11, 8:11, 8:11] = 3
    ranking = rank(document_of(tmp_path / "s", labels))
    kinds = {
        tuple(sorted(pair)): int(kind) for *pair, kind in zip(ranking.first, ranking.second, ranking.kinds, strict=True)
    }
    assert kinds[(1, 3)] == 1
    assert kinds[(1, 2)] == 0


def test_a_shape_that_fills_little_of_its_box_is_unusual(tmp_path: Path) -> None:
    labels = np.zeros((8, 80, 80), np.uint32)
    for k in range(60):
        y, x = divmod(k, 10)
        labels[:, 8 * y : 8 * y + 6 + k % 2, 8 * x : 8 * x + 6 + k % 3 % 2] = k + 1
    labels[:, 60:80, 0:2] = 61
    labels[:, 78:80, 0:80] = 61
    document = document_of(tmp_path / "s", labels)
    queue = ReviewQueue(document, MemoryReviewStore())
    item = queue.next()
    assert item is not None
    assert item.kind == "unusual shape"
    assert item.segments == (61,)
    with pytest.raises(InvalidEdit, match="looked at alone"):
        queue.accept("merge")
    queue.accept("leave")
    assert queue.next() is None


def test_answers_change_what_a_score_is_worth() -> None:
    chance = ErrorProbability()
    scores, shares = np.array([0.2, 0.5, 0.8]), np.array([0.3, 0.3, 0.3])
    before = chance.of(scores, shares)
    assert (np.diff(before) > 0).all()
    for _ in range(20):
        chance.learn(0.5, 0.3, False)
    after = chance.of(scores, shares)
    assert after[1] < before[1] / 2
    assert after[[0, 2]] == pytest.approx(before[[0, 2]], abs=0.02)


def test_a_merge_of_larger_parts_is_worth_more() -> None:
    assert information(np.array([100.0]), np.array([100.0])) > information(np.array([1000.0]), np.array([10.0]))


def test_an_empty_segmentation_has_nothing_to_review(tmp_path: Path) -> None:
    labels = np.zeros((4, 8, 8), np.uint32)
    labels[0, 0, 0] = 1
    queue = ReviewQueue(document_of(tmp_path / "s", labels), MemoryReviewStore())
    assert queue.next() is None
    assert queue.n_total == 0


def test_answers_survive_a_torn_line(tmp_path: Path) -> None:
    store = FileReviewStore(tmp_path / "review.jsonl")
    assert store.load() == []
    store.add(Decision(1, 2, "leave", 0.5))
    with (tmp_path / "review.jsonl").open("ab") as file:
        file.write(b'{"first": 3, "sec')
    store.add(Decision(4, 5, "skip"))
    assert store.load() == [Decision(1, 2, "leave", 0.5), Decision(4, 5, "skip")]


def test_a_disk_that_refuses_is_an_error(tmp_path: Path) -> None:
    store = FileReviewStore(tmp_path / "missing" / "review.jsonl")
    with pytest.raises(ProjectError, match="could not be read or written"):
        store.add(Decision(1, 2, "leave"))
