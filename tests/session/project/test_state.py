from __future__ import annotations

import threading

import pytest

from napari_pytc.errors import InvalidInput, ProjectError
from napari_pytc.geometry import Box
from napari_pytc.session.project.folder import ProjectFolder
from napari_pytc.session.project.volume_state import VolumeState
from napari_pytc.session.session import Session


def call_in_thread(work: object) -> BaseException | None:
    raised: list[BaseException] = []

    def run() -> None:
        try:
            work()  # type: ignore[operator]
        except BaseException as error:
            raised.append(error)

    thread = threading.Thread(target=run)
    thread.start()
    thread.join()
    return raised[0] if raised else None


def test_only_the_thread_of_the_session_may_write_but_any_may_change(session: Session) -> None:
    state = session.project
    state.check_writable()
    assert isinstance(call_in_thread(state.check_writable), RuntimeError)
    assert call_in_thread(state.check_changeable) is None


def test_a_closed_project_refuses_changes_and_keeps_its_trash(session: Session) -> None:
    state = session.project
    trash = state.folder.trash / "thing"
    trash.mkdir(parents=True)
    session.close()
    assert state.is_closed
    with pytest.raises(ProjectError, match="is closed"):
        state.check_changeable()
    state.empty_trash()  # another program may have the project now
    assert trash.is_dir()


def test_a_reader_is_refused_with_the_reason(session: Session) -> None:
    with Session.open(session.folder) as second:
        assert second.project.read_only
        assert second.project.read_only_reason
        with pytest.raises(ProjectError, match="open for reading only"):
            second.project.check_changeable()
    assert (session.project.read_only, session.project.read_only_reason) == (False, "")


def test_a_folder_that_is_gone_is_not_made_anew(session: Session) -> None:
    session.folder.rename(session.folder.with_name("moved.pytc"))
    with pytest.raises(ProjectError, match="is gone"):
        session.project.check_changeable()
    assert not session.folder.exists()


def test_a_change_is_saved_before_it_is_seen(session: Session, monkeypatch: pytest.MonkeyPatch) -> None:
    before = session.project.description
    monkeypatch.setattr(ProjectFolder, "save", lambda folder, project: (_ for _ in ()).throw(ProjectError("Full.")))
    with pytest.raises(ProjectError):
        session.held_out.add(Box((0, 0, 0), (1, 1, 1)))
    assert session.project.description is before
    monkeypatch.undo()
    session.held_out.add(Box((0, 0, 0), (1, 1, 1)))
    assert ProjectFolder(session.folder).load().volumes[0].held_out == session.held_out.boxes


def test_boxes_and_labels_are_checked_against_the_volume(session: Session) -> None:
    state = VolumeState(session.project, "v1")
    state.check_box(Box.of_shape(state.shape))
    for box in (Box((0, 0, 0), (0, 1, 1)), Box((-1, 0, 0), (1, 1, 1)), Box((0, 0, 0), (99, 1, 1))):
        with pytest.raises(InvalidInput, match="must lie within the volume"):
            state.check_box(box)
    state.project.check_label(2)
    with pytest.raises(InvalidInput, match="label 3, but there are 2 classes"):
        state.project.check_label(3)
