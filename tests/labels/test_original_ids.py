from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from napari_pytc.errors import InvalidInput, VolumeError
from napari_pytc.labels.original_ids import FILE, OriginalIds
from napari_pytc.labels.segments_view import SegmentsView
from tests.support.hand_made import write_segmentation

TABLE = np.array([0, 17, 2**40, 5], np.uint64)


def test_segments_get_their_ids_back_and_new_ones_get_ids_that_were_free() -> None:
    ids = OriginalIds(TABLE)
    found = ids.lookup(np.array([[0, 1], [2, 3], [4, 7]], np.uint32))
    assert found.dtype == np.uint64
    assert found.tolist() == [[0, 17], [2**40, 5], [2**40 + 1, 2**40 + 4]]
    assert ids.is_new(np.array([3, 4])).tolist() == [False, True]
    assert ids.lookup(np.zeros((0, 2), np.uint32)).shape == (0, 2)


def test_new_ids_fit_where_the_highest_id_is_taken() -> None:
    ids = OriginalIds(np.array([0, 2**64 - 1, 9, 2**33], np.uint64))
    new = ids.lookup(np.array([4, 2**32 - 1], np.uint32)).tolist()
    assert new[0] == 10
    assert new[1] < 2**33


@pytest.mark.parametrize("table", [[1, 2], [0, 3, 3], [], [[0, 1]]])
def test_a_table_that_says_two_things_is_refused(table: list[int]) -> None:
    with pytest.raises(InvalidInput, match="begins with 0"):
        OriginalIds(np.array(table, np.uint64))


def test_the_table_lives_in_the_folder_of_a_segmentation(tmp_path: Path) -> None:
    write_segmentation(tmp_path / "first", np.array([[[1, 2, 3]]]))
    assert SegmentsView.open(tmp_path / "first").original_ids is None
    OriginalIds(TABLE).save(tmp_path / "first")
    found = SegmentsView.open(tmp_path / "first").original_ids
    assert found is not None
    assert found.table.tolist() == TABLE.tolist()
    (tmp_path / "first" / FILE).write_bytes(b"half")
    with pytest.raises(VolumeError, match="original ids"):
        SegmentsView.open(tmp_path / "first").original_ids  # noqa: B018
