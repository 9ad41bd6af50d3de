"""Nothing is painted by mistake in a held-out box, and truth gets there on purpose."""

from __future__ import annotations

import numpy as np
import pytest

from napari_pytc.errors import InvalidInput
from napari_pytc.geometry import Box
from napari_pytc.session.session import Session

HELD = Box((8, 0, 0), (12, 48, 40))
ACROSS = Box((7, 0, 0), (9, 1, 5))


@pytest.fixture
def refused(session: Session) -> list[Box]:
    session.held_out.add(HELD)
    heard: list[Box] = []
    session.strokes.refused.connect(heard.append)
    return heard


def test_what_is_painted_in_a_held_out_box_is_left_out(session: Session, refused: list[Box]) -> None:
    session.strokes.paint(ACROSS, 2)
    assert np.array_equal(session.strokes.store.read(ACROSS), [[[2] * 5], [[0] * 5]])
    assert refused == [HELD]
    session.strokes.paint(Box((10, 0, 0), (11, 2, 2)), np.full((1, 2, 2), 1, np.uint8), np.eye(2, dtype=bool)[None])
    assert session.strokes.counts() == {"membrane": 0, "inside": 5}
    assert refused == [HELD, HELD]


def test_truth_is_not_erased_by_mistake(session: Session, refused: list[Box]) -> None:
    session.strokes.add(np.full((2, 3, 3), 2, np.uint8), offset=(7, 0, 0))
    session.strokes.paint(ACROSS, 0, np.ones(ACROSS.shape, bool))
    assert session.strokes.counts() == {"membrane": 0, "inside": 15}
    assert refused == [HELD]


def test_painting_beside_it_is_nothing_to_tell(session: Session, refused: list[Box]) -> None:
    session.strokes.paint(Box((0, 0, 0), (1, 1, 3)), 1)
    one_side = np.zeros(ACROSS.shape, np.uint8)
    one_side[0] = 1
    session.strokes.paint(ACROSS, one_side)
    assert session.strokes.counts() == {"membrane": 8, "inside": 0}
    assert refused == []


def test_truth_is_imported_and_painted_on_purpose(session: Session, refused: list[Box]) -> None:
    changes: list[tuple[Box, ...]] = []
    session.held_out.protection_changed.connect(lambda: changes.append(session.held_out.protected))
    session.strokes.add(np.full((1, 2, 2), 1, np.uint8), offset=(9, 0, 0))
    session.held_out.allow_painting(HELD)
    session.strokes.paint(ACROSS, 2)
    session.held_out.allow_painting(HELD, False)
    session.strokes.paint(Box((11, 0, 0), (12, 1, 1)), 1)
    assert session.strokes.counts() == {"membrane": 4, "inside": 10}
    assert refused == [HELD]
    assert changes == [(), (HELD,)]


def test_truth_painted_before_a_box_is_held_out_stays(session: Session) -> None:
    session.strokes.paint(ACROSS, 1)
    session.held_out.add(HELD)
    assert session.strokes.counts() == {"membrane": 10, "inside": 0}


def test_only_held_out_boxes_hold_truth_and_only_until_they_are_given_back(session: Session) -> None:
    with pytest.raises(InvalidInput, match="not held out"):
        session.held_out.allow_painting(HELD)
    session.held_out.add(HELD)
    session.held_out.allow_painting(HELD)
    session.held_out.release(HELD)
    session.held_out.add(HELD)
    assert session.held_out.protected == (HELD,)
    session.close()
    with Session.open(session.folder) as again:
        assert again.held_out.protected == (HELD,)


def test_undo_takes_back_painting_in_a_held_out_box(session: Session) -> None:
    session.held_out.add(HELD)
    session.held_out.allow_painting(HELD)
    session.strokes.paint(ACROSS, 2)
    session.held_out.allow_painting(HELD, False)
    session.proofreader.undo()
    assert session.strokes.counts() == {"membrane": 0, "inside": 0}
    session.proofreader.redo()
    assert session.strokes.counts() == {"membrane": 0, "inside": 10}


def test_labels_of_a_wrong_shape_are_refused_as_ever(session: Session, refused: list[Box]) -> None:
    with pytest.raises(InvalidInput, match="must have shape"):
        session.strokes.paint(ACROSS, np.ones((1, 1, 1), np.uint8))
    assert refused == []
