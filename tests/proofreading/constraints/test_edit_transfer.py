from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from napari_pytc.errors import InvalidEdit
from napari_pytc.geometry import Box
from napari_pytc.proofreading.constraints.edit_constraints import EditConstraints, anchor_constraints
from napari_pytc.proofreading.constraints.edit_transfer import Transfer, TransferredEdit, TransferReport, transfer
from napari_pytc.proofreading.document import LabelDocument
from napari_pytc.proofreading.edits import SwitchSegmentation, parse_edit
from napari_pytc.proofreading.journal.journal import Journal
from tests.support.random_edits import folder_in_memory, random_step
from tests.support.segmentations import FolderDocuments, SegmentedTissue, make_project, make_segmentation

SHAPE = (12, 48, 48)
WHOLE = Box.of_shape(SHAPE)


class Two:
    """A segmentation with a journal, and another one of the same cells with other supervoxels."""

    def __init__(self, folder: Path, n_cells: int = 10, **other: Any) -> None:
        self.made: SegmentedTissue = make_project(folder, shape=SHAPE, n_cells=n_cells, membranes=True)
        options = {"thickness": 5, "width": 17} | other
        make_segmentation(folder / "segments" / "second", SHAPE, n_cells, membranes=True, **options)
        self.documents = FolderDocuments(folder, self.made.boundary)
        self.journal = Journal(folder / "journal.sqlite", self.documents)
        self.journal.apply(SwitchSegmentation(after="first"))

    @property
    def old(self) -> LabelDocument:
        return self.journal.document_of("first")

    def edit(self, kind: str, **values: Any) -> None:
        self.journal.apply(parse_edit({"kind": kind, **values}))

    def constraints(self) -> list[EditConstraints]:
        return anchor_constraints(self.old, self.journal.edits_of("first", latest_first=True))

    def transfer(self) -> tuple[LabelDocument, Transfer]:
        new = self.documents.open("second")
        return new, transfer(self.old, self.constraints(), new)

    def deep(self, cell: int) -> tuple[int, int, int]:
        from scipy import ndimage

        depth = ndimage.distance_transform_edt(np.pad(self.made.tissue.cells == cell, 1))[1:-1, 1:-1, 1:-1]
        z, y, x = np.unravel_index(depth.argmax(), depth.shape)
        return (int(z), int(y), int(x))

    def cells(self) -> list[int]:
        """Cells, the largest first."""
        counts = np.bincount(self.made.tissue.cells[self.made.supervoxels > 0])
        return np.argsort(-counts[1:], kind="stable")[:6].__add__(1).tolist()


@pytest.fixture
def two(tmp_path: Path) -> Any:
    two = Two(tmp_path)
    yield two
    two.journal.close()


def outcomes(found: Transfer) -> list[str]:
    return [edit.outcome for edit in found.edits]


def test_a_merge_is_made_again_between_the_same_places(two: Two) -> None:
    a, b = (two.deep(cell) for cell in two.cells()[:2])
    two.edit("merge", points=[a, b])
    new, found = two.transfer()
    assert outcomes(found) == ["carried"]
    assert new.segment_at(a) == new.segment_at(b) > 0
    assert found.edits[0].title.startswith("Merge ")
    assert two.old.segment_at(found.edits[0].place) == two.old.segment_at(a)


def test_what_holds_already_takes_no_edit(tmp_path: Path) -> None:
    two = Two(tmp_path, merged=True)  # where pairs of cells are one segment
    new = two.documents.open("second")
    pair = next(
        (a, b)
        for a in two.cells()
        for b in two.cells()
        if a < b and new.segment_at(two.deep(a)) == new.segment_at(two.deep(b))
    )
    two.edit("merge", points=[two.deep(cell) for cell in pair])
    _, found = two.transfer()
    assert (outcomes(found), found.changes) == (["holds"], [])
    two.journal.close()


def test_a_split_is_made_again_between_the_same_seeds(tmp_path: Path) -> None:
    two = Two(tmp_path, merged=True)
    new = two.documents.open("second")
    a, b = next(
        (a, b)
        for a in two.cells()
        for b in two.cells()
        if a < b and new.segment_at(two.deep(a)) == new.segment_at(two.deep(b))
    )
    first, second = two.deep(a), two.deep(b)
    two.edit("merge", points=[first, second])
    two.edit("split", seeds={"1": [first], "2": [second]})
    new, found = two.transfer()
    assert outcomes(found) == ["holds", "carried"]  # the merge was taken back by the split: nothing to ask
    assert 0 < new.segment_at(first) != new.segment_at(second) > 0
    two.journal.close()


def test_a_split_that_a_merge_took_back_is_not_made(two: Two) -> None:
    cell = two.cells()[0]
    z, y, x = two.deep(cell)
    two.edit("split", seeds={"1": [(z, y, x - 2)], "2": [(z, y, x + 2)]})
    two.edit("merge", points=[(z, y, x - 2), (z, y, x + 2)])
    new, found = two.transfer()
    assert outcomes(found) == ["holds", "holds"]
    assert new.segment_at((z, y, x - 2)) == new.segment_at((z, y, x + 2))


def test_a_line_cuts_again(two: Two) -> None:
    z, y, x = two.deep(two.cells()[0])
    segment = int(two.old.segment_at((z, y, x)))
    two.edit("split_line", segment=segment, line=[(z, y, max(0, x - 20)), (z, y, min(x + 20, 47))])
    new, found = two.transfer()
    assert outcomes(found) == ["carried"]
    assert new.segment_at((z, y - 2, x)) != new.segment_at((z, y + 2, x))


def test_paint_and_erasure_are_voxel_by_voxel(two: Two) -> None:
    z, y, x = two.deep(two.cells()[0])
    segment = int(two.old.segment_at((z, y, x)))
    ball = np.zeros((3, 9, 9), bool)
    ball[:, 2:7, 2:7] = True
    box = Box.at((max(0, z - 1), max(0, y - 4), max(0, x - 4)), ball.shape)
    from napari_pytc.proofreading.edits import Paint

    two.journal.apply(Paint.of(box, ball, 0))
    inside = np.zeros_like(ball)
    inside[1, 4, 2:7] = True
    two.journal.apply(Paint.of(box, inside, segment))
    new, found = two.transfer()
    assert outcomes(found) == ["carried", "holds"]  # what was painted is not erased first
    old_zero = two.old.segments(box) == 0
    np.testing.assert_array_equal((new.segments(box) == 0)[ball], old_zero[ball])
    assert new.segment_at((box.start[0] + 1, box.start[1] + 4, box.start[2] + 2)) > 0


def test_a_new_segment_is_one_of_its_own(two: Two) -> None:
    from napari_pytc.proofreading.edits import NewSegment

    z, y, x = two.deep(two.cells()[0])
    box = Box.at((z, y - 2, x - 2), (1, 4, 4))
    two.journal.apply(NewSegment.of(box, np.ones(box.shape, bool)))
    new, found = two.transfer()
    assert outcomes(found) == ["carried"]
    (segment,) = np.unique(new.segments(box)).tolist()
    assert new.size(segment) == box.size
    assert outcomes(transfer(two.old, two.constraints(), new)) == ["holds"]


def test_deleted_and_locked(two: Two) -> None:
    one, other = (int(two.old.segment_at(two.deep(cell))) for cell in two.cells()[:2])
    two.edit("delete", segments=[one])
    two.edit("lock", segments=[other])
    new, found = two.transfer()
    assert outcomes(found) == ["carried", "carried"]
    assert not new.segments(WHOLE)[two.old.owners(two.old.supervoxels(WHOLE)) == one].any()
    assert new.is_locked(new.segment_at(two.deep(two.cells()[1])))


def test_what_a_larger_segment_took_in_is_not_deleted_and_reported(tmp_path: Path) -> None:
    two = Two(tmp_path, merged=True)
    new = two.documents.open("second")
    small = min(
        two.cells(), key=lambda c: int((two.made.tissue.cells == c).sum()) / new.size(new.segment_at(two.deep(c)))
    )
    two.edit("delete", segments=[int(two.old.segment_at(two.deep(small)))])
    new, found = two.transfer()
    assert outcomes(found) == ["lost"]
    assert "larger segment" in found.edits[0].reason
    assert new.segment_at(two.deep(small)) > 0
    two.journal.close()


def test_a_lock_whose_outline_changed_is_reported(tmp_path: Path) -> None:
    two = Two(tmp_path, merged=True)
    two.edit("lock", segments=[int(two.old.segment_at(two.deep(two.cells()[0])))])
    _, found = two.transfer()
    assert outcomes(found) == ["lost"]
    assert "lock it again" in found.edits[0].reason
    two.journal.close()


def test_what_is_background_now_is_reported(two: Two) -> None:
    a, b = (two.deep(cell) for cell in two.cells()[:2])
    two.edit("merge", points=[a, b])
    constraints = two.constraints()
    new = two.documents.open("second")
    new.apply(parse_edit({"kind": "delete", "segments": [int(new.segment_at(a))]}).plan(new))
    found = transfer(two.old, constraints, new)
    assert outcomes(found) == ["lost"]
    assert found.edits[0].reason


def test_a_merge_is_not_parted_by_a_later_cut(tmp_path: Path) -> None:
    two = Two(tmp_path, merged=True)
    for first, second in zip(two.cells()[:4:2], two.cells()[1:4:2], strict=True):
        two.edit("merge", points=[two.deep(first), two.deep(second)])
    _, found = two.transfer()
    assert "lost" not in outcomes(found)
    two.journal.close()


def test_the_list_is_kept_beside_the_segmentation(two: Two, tmp_path: Path) -> None:
    two.edit("lock", segments=[int(two.old.segment_at(two.deep(two.cells()[0])))])
    constraints = two.constraints()[0]
    edits = (
        TransferredEdit(constraints=constraints, outcome="lost", reason="Why."),
        TransferredEdit(constraints=constraints, outcome="holds"),
    )
    carried = TransferReport(former="first", edits=edits)
    carried.save(tmp_path)
    again = TransferReport.load(tmp_path)
    assert again == carried
    assert (again.count("lost"), again.lost[0].reason, again.holding) == (1, "Why.", [constraints])
    assert TransferReport.load(tmp_path / "nowhere") is None
    (tmp_path / "carried.json").write_text("{")
    assert TransferReport.load(tmp_path) is None


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(6))
def test_random_edits_hold_or_are_reported(seed: int) -> None:
    """Whatever was done: what is reason to hold does, by places; a second transfer has nothing to do."""
    with folder_in_memory() as folder:
        two = Two(folder, n_cells=8, seed=0)
        labels = folder / "labels.npy"
        np.save(labels, np.pad(np.full((2, 4, 5), 3, np.uint8), 1))
        rng = np.random.default_rng(seed)
        for _ in range(40):
            change = random_step(two.journal, rng, labels)
            assert change.title
        new, found = two.transfer()
        n_edits = len(list(two.journal.edits_of("first")))
        assert len(found.edits) == n_edits
        for edit in found.edits:
            check(two.old, new, edit)
        fresh = two.documents.open("second")
        for change in found.changes:  # as a journal makes them
            fresh.apply(change)
        np.testing.assert_array_equal(fresh.segments(WHOLE), new.segments(WHOLE))
        assert fresh.checksum() == new.present_checksum()
        again = transfer(two.old, two.constraints(), new)
        assert outcomes(again).count("lost") <= outcomes(found).count("lost")
        assert not again.changes or "lost" in outcomes(found)
        two.journal.close()


def check(old: LabelDocument, new: LabelDocument, edit: TransferredEdit) -> None:
    """Look at the places themselves."""
    if edit.outcome == "lost":
        assert edit.reason.endswith("."), edit
        return
    constraints = edit.constraints
    for a, b in constraints.links:
        if owner(old, a) == owner(old, b) > 0:
            assert owner(new, a) == owner(new, b) > 0, edit
    groups = [{owner(new, point) for point in side} for side in constraints.sides]
    former = [{owner(old, point) for point in side} for side in constraints.sides]
    for i in range(len(groups)):
        for j in range(i):
            if not former[i] & former[j]:
                assert not (groups[i] & groups[j]) - {0}, edit
    for point in constraints.locked:
        if old.is_locked(owner(old, point)):
            assert new.is_locked(owner(new, point)), edit
            same = old.segments(WHOLE) == owner(old, point), new.segments(WHOLE) == owner(new, point)
            np.testing.assert_array_equal(*same)
    from napari_pytc.proofreading.edits.base import unpack_mask

    for text, mask in constraints.voxels:
        box = Box.parse(text)
        chosen = unpack_mask(mask, box.shape)
        before, after = old.owners(old.supervoxels(box))[chosen], new.owners(new.supervoxels(box))[chosen]
        locked = [s for s in np.unique(after).tolist() if s and new.is_locked(s)]
        free = ~np.isin(after, locked)
        np.testing.assert_array_equal((before == 0)[free], (after == 0)[free])
        for one in np.unique(before[free & (before > 0)]).tolist():
            assert len(np.unique(after[free & (before == one)])) == 1, edit


def owner(document: LabelDocument, point: tuple[int, int, int]) -> int:
    return int(document.owners(np.array([document.supervoxel_at(point)], np.uint32))[0])


def test_giving_up_leaves_the_former_one_alone(two: Two) -> None:
    two.edit("merge", points=[two.deep(cell) for cell in two.cells()[:2]])
    before = two.old.checksum()

    def stop() -> None:
        raise InvalidEdit("Stopped.")

    with pytest.raises(InvalidEdit, match="Stopped"):
        transfer(two.old, two.constraints(), two.documents.open("second"), check=stop)
    assert two.old.checksum() == before
