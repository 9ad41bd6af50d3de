"""The current segmentation in the window: opened aside, edited aside, followed in the window's thread."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import h5py
import pytest
from pytestqt.qtbot import QtBot

from napari_pytc.decoding.base import DecoderSettings
from napari_pytc.errors import PytcError
from napari_pytc.proofreading.changes import Change
from napari_pytc.session.regrouping import regroup
from napari_pytc.session.session import Session
from napari_pytc.ui.tasks.current_segments import CurrentSegments
from tests.session.test_segmentations import add_prediction, segment
from tests.support.tissue import make_tissue

SHAPE = (12, 48, 40)


@pytest.fixture
def session(tmp_path: Path) -> Iterator[Session]:
    tissue = make_tissue(SHAPE, anisotropy=4.0)
    with h5py.File(tmp_path / "raw.h5", "w") as file:
        file.create_dataset("main", data=tissue.raw)
    folder = tmp_path / "a.pytc"
    with Session.create(folder, tmp_path / "raw.h5", ["membrane", "inside"], voxel_size_nm=(40, 10, 10)) as session:
        add_prediction(session, tissue.cells)
        yield session


@pytest.fixture
def segments(qtbot: QtBot) -> Iterator[CurrentSegments]:
    found = CurrentSegments()
    yield found
    found.close()
    found.shutdown()


class Heard:
    """All signals, and by which thread."""

    def __init__(self, segments: CurrentSegments) -> None:
        self.names: list[str] = []
        self.changes: list[Change] = []
        self.errors: list[PytcError] = []
        self.threads: set[int] = set()
        for name in ("opened", "document_changed", "history_changed", "busy_changed"):
            getattr(segments, name).connect(lambda name=name: self.note(name))
        segments.edited.connect(self.changes.append)
        segments.edited.connect(lambda change: self.note("edited"))
        segments.failed.connect(self.errors.append)

    def note(self, name: str) -> None:
        self.names.append(name)
        self.threads.add(threading.get_ident())


def test_a_project_without_a_segmentation(qtbot: QtBot, segments: CurrentSegments, session: Session) -> None:
    heard = Heard(segments)
    assert segments.proofreader is None
    segments.do(lambda proofreader: proofreader.undo())
    assert "still being opened" in heard.errors.pop().message
    segments.open(session)
    qtbot.waitUntil(lambda: segments.proofreader is not None)
    assert segments.document is None
    assert heard.names[:2] == ["opened", "document_changed"]


def test_edits_are_made_aside_and_reported_in_the_windows_thread(
    qtbot: QtBot, segments: CurrentSegments, session: Session
) -> None:
    segment(session, decoder="agglomeration")
    heard = Heard(segments)
    segments.open(session)
    qtbot.waitUntil(lambda: segments.document is not None)
    assert segments.document is not None
    first = int(segments.document.segment_ids()[0])
    made: list[Any] = []

    def lock(proofreader: Any) -> int:
        proofreader.apply({"kind": "lock", "segments": [first]})
        return threading.get_ident()

    segments.do(lock, made.append)
    assert segments.is_busy
    qtbot.waitUntil(lambda: bool(made) and bool(heard.changes))
    assert not segments.is_busy
    assert made != [threading.get_ident()]
    assert heard.threads == {threading.get_ident()}
    assert heard.changes[0].segments == (first,)
    assert segments.document.is_locked(first)
    assert "history_changed" in heard.names
    refused: list[PytcError] = []
    segments.do(lambda p: p.apply({"kind": "delete", "segments": [first]}), on_error=refused.append)
    qtbot.waitUntil(lambda: bool(refused))
    assert "locked" in refused[0].message
    assert not heard.errors


def test_another_segmentation_becomes_current(qtbot: QtBot, segments: CurrentSegments, session: Session) -> None:
    job = segment(session, decoder="agglomeration")
    segments.open(session)
    qtbot.waitUntil(lambda: segments.document is not None)
    names: list[str] = []
    segments.document_changed.connect(lambda: names.append("" if segments.document is None else segments.document.id))
    segments.do(
        lambda proofreader: regroup(session.segmentations, job.output.name, DecoderSettings.parse("agglomeration"))
    )
    qtbot.waitUntil(lambda: bool(names))
    assert names[-1] not in ("", job.output.name)
    segments.do(lambda proofreader: proofreader.undo())
    qtbot.waitUntil(lambda: names[-1] == job.output.name)


def test_nothing_is_reported_of_a_project_that_was_closed(
    qtbot: QtBot, segments: CurrentSegments, session: Session
) -> None:
    segment(session, decoder="agglomeration")
    segments.open(session)
    qtbot.waitUntil(lambda: segments.document is not None)
    heard = Heard(segments)
    proofreader = segments.proofreader
    assert proofreader is not None
    segments.close()
    assert segments.document is None
    assert heard.names == ["opened", "document_changed"]
    document = proofreader.document
    assert document is not None
    proofreader.apply({"kind": "lock", "segments": [int(document.segment_ids()[0])]})
    qtbot.wait(50)
    assert not heard.changes
