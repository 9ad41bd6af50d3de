"""Making and reading a project in a helper thread, and taking it over in the window's."""

from __future__ import annotations

import shutil
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest

from napari_pytc.errors import InvalidInput, ProjectError, VolumeError
from napari_pytc.geometry import Box
from napari_pytc.session.opening import NewProject, make_project, read_project
from napari_pytc.session.project.recent import RecentProjects
from napari_pytc.session.records import ClassSpec
from napari_pytc.session.session import Session
from napari_pytc.volumes.spec import ReadOptions
from tests.support.painting import box_writer
from tests.support.tissue import Tissue

CLASSES = (ClassSpec(name="membrane"), ClassSpec(name="inside"))


def test_a_project_read_in_another_thread_is_adopted_at_once(session: Session):
    session.strokes.paint(Box((0, 0, 0), (1, 1, 4)), 1)
    session.close()
    with ThreadPoolExecutor(1) as pool:
        opened = pool.submit(read_project, session.folder).result()
    assert opened.image is not None
    with Session(opened) as adopted:
        assert adopted.strokes.counts() == {"membrane": 4, "inside": 0}
        assert adopted.image.source is opened.image
        adopted.held_out.add(Box((0, 0, 0), (1, 1, 1)))
        with pytest.raises(RuntimeError, match="thread"), ThreadPoolExecutor(1) as pool:
            pool.submit(adopted.held_out.add, Box((0, 0, 0), (2, 1, 1))).result()


def test_a_project_that_nobody_takes_over_is_released(session: Session):
    session.close()
    opened = read_project(session.folder)
    assert read_project(session.folder).reason
    opened.release()
    opened.release()
    with Session.open(session.folder) as again:
        assert not again.project.read_only


def test_an_image_that_moved_is_a_problem_and_no_error(session: Session, image: Path):
    session.close()
    image.rename(image.with_name("moved.h5"))
    opened = read_project(session.folder)
    assert opened.image is None
    assert isinstance(opened.problem, VolumeError)
    with Session(opened) as adopted:
        adopted.image.relink(image.with_name("moved.h5"))
        assert adopted.image.check().shape == (12, 48, 40)


def test_a_layer_becomes_a_project_that_can_be_moved(tmp_path: Path, tissue: Tissue):
    folder = tmp_path / "layer.pytc"
    make_project(NewProject(folder, None, CLASSES, ReadOptions(voxel_size_nm=(40.0, 10.0, 10.0)), array=tissue.raw))
    shutil.move(folder, tmp_path / "moved.pytc")
    with Session(read_project(tmp_path / "moved.pytc")) as session:
        whole = Box.of_shape(session.image.source.shape)
        assert np.array_equal(session.image.source.channels[0].read(whole), tissue.raw)
        session.classes.add("third")
        assert session.image.spec.url == str(tmp_path / "moved.pytc" / "volumes" / "v1" / "image.zarr")


@pytest.mark.parametrize(
    ("array", "size", "message"),
    [(np.zeros((4, 4)), None, "voxels"), (np.zeros((2, 2, 2, 2, 2)), (1, 1, 1), "axes"), (None, (1, 1, 1), "one of")],
)
def test_a_wrong_layer_leaves_nothing_behind(tmp_path: Path, array, size, message: str):
    with pytest.raises(InvalidInput, match=message):
        make_project(NewProject(tmp_path / "a.pytc", None, CLASSES, ReadOptions(voxel_size_nm=size), array=array))
    assert list(tmp_path.iterdir()) == []


def test_strokes_are_written_from_a_thread(session: Session):
    write, box = box_writer(session.strokes), Box((0, 0, 0), (1, 2, 2))
    thread = threading.Thread(target=write, args=(box, np.full(box.shape, 2, np.uint8)))
    thread.start()
    thread.join()
    assert session.strokes.counts() == {"membrane": 0, "inside": 4}
    with pytest.raises(InvalidInput, match="label 3"):
        write(box, np.full(box.shape, 3, np.uint8))
    session.close()
    with pytest.raises(ProjectError, match="closed"):
        write(box, np.full(box.shape, 1, np.uint8))
    with Session.open(session.folder, read_only=True) as again:
        assert again.strokes.counts()["inside"] == 4
        with pytest.raises(ProjectError, match="reading only"):
            box_writer(again.strokes)


def test_an_image_is_read_again_only_when_its_file_changed(session: Session, monkeypatch: pytest.MonkeyPatch):
    first = session.image.check()

    def fail(*args: object) -> None:
        raise AssertionError("the image was read again")

    monkeypatch.setattr("napari_pytc.session.project.image.open_image", fail)
    assert session.image.check() is first


def test_recent_projects_are_remembered(tmp_path: Path, session: Session):
    file = tmp_path / "state" / "recent.json"
    recent = RecentProjects(file)
    assert recent.folders() == []
    others = [tmp_path / f"{k}.pytc" for k in range(14)]
    for other in others:
        other.mkdir()
        (other / "project.json").write_text("{}")
        recent.add(other)
    recent.add(session.folder)
    assert RecentProjects(file).folders() == [session.folder, *others[:2:-1]]
    recent.forget(session.folder)
    shutil.rmtree(others[-1])
    assert recent.folders() == others[-2:2:-1]


@pytest.mark.parametrize("content", [b"", b"\xff\x00", b'{"a": 1}', b'[1, null, "", "\\u0000"]'])
def test_a_damaged_list_of_recent_projects_is_an_empty_one(tmp_path: Path, session: Session, content: bytes):
    file = tmp_path / "recent.json"
    file.write_bytes(content)
    recent = RecentProjects(file)
    assert recent.folders() == []
    recent.add(session.folder)
    assert recent.folders() == [session.folder]


def test_a_list_that_cannot_be_written_stops_nobody(tmp_path: Path):
    (tmp_path / "file").write_text("")
    recent = RecentProjects(tmp_path / "file" / "recent.json")
    recent.add(tmp_path)
    assert recent.folders() == []
