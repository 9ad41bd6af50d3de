from __future__ import annotations

import json
import shutil
import sqlite3
import subprocess
import sys
from pathlib import Path

import h5py
import numpy as np
import pytest

from napari_pytc.errors import InvalidInput, ProjectError, PytcError, VolumeError
from napari_pytc.geometry import Box
from napari_pytc.session.records import ClassSpec
from napari_pytc.session.session import Session
from tests.session.conftest import write_image
from tests.support.tissue import Tissue


def files_of(folder: Path) -> dict[str, bytes]:
    return {str(p.relative_to(folder)): p.read_bytes() for p in sorted(folder.rglob("*")) if p.is_file()}


def without_lock(files: dict[str, bytes]) -> dict[str, bytes]:
    return {name: content for name, content in files.items() if name != "project.lock"}


def test_reopening_restores_all(session: Session, tissue: Tissue):
    session.held_out.add(Box((8, 0, 0), (12, 48, 40)))
    session.strokes.add(tissue.classes[:2], offset=(3, 0, 0))
    added = session.classes.add(ClassSpec(name="vesicle", colour="#010203"))
    session.close()
    with Session.open(session.folder) as again:
        assert not again.project.read_only
        assert [(c.id, c.name) for c in again.classes.records()] == [(1, "membrane"), (2, "inside"), (3, "vesicle")]
        assert again.classes.records()[2] == added
        assert len({c.colour for c in again.classes.records()}) == 3
        assert again.held_out.boxes == (Box((8, 0, 0), (12, 48, 40)),)
        assert again.image.space.voxel_size_nm == (40.0, 10.0, 10.0)
        assert again.image.volume.voxel_size_source == "user"
        assert np.array_equal(again.strokes.store.read(Box((3, 0, 0), (5, 48, 40))), tissue.classes[:2])
        assert np.array_equal(again.image.source.channels[0].read(Box.of_shape(tissue.raw.shape)), tissue.raw)
        assert again.models.records() == []
        assert again.predictions.records() == []


def test_an_unknown_voxel_size_is_refused(tmp_path: Path, image: Path):
    with h5py.File(image, "r+") as file:
        del file["main"].attrs["voxel_size_nm"]
    with pytest.raises(InvalidInput, match="how large its voxels are") as caught:
        Session.create(tmp_path / "b.pytc", image, ["a", "b"])
    assert "--voxel-size" in caught.value.hint
    assert not (tmp_path / "b.pytc").exists()


def test_a_voxel_size_comes_from_the_file_unless_given(tmp_path: Path, image: Path):
    with h5py.File(image, "r+") as file:
        file["main"].attrs["voxel_size_nm"] = (30.0, 8.0, 8.0)
    with Session.create(tmp_path / "b.pytc", image, ["a"]) as session:
        assert (session.image.volume.voxel_size_source, session.image.space.voxel_size_nm) == (
            "file",
            (30.0, 8.0, 8.0),
        )
    with Session.open(tmp_path / "b.pytc") as again:
        assert again.image.space.voxel_size_nm == (30.0, 8.0, 8.0)
    with Session.create(tmp_path / "c.pytc", image, ["a"], voxel_size_nm=(9, 9, 9)) as session:
        assert (session.image.volume.voxel_size_source, session.image.space.voxel_size_nm) == (
            "user",
            (9.0, 9.0, 9.0),
        )


@pytest.mark.parametrize("classes", [[], ["a", "a"], ["a", " "]])
def test_classes_need_different_names(tmp_path: Path, image: Path, classes: list[str]):
    with pytest.raises(InvalidInput, match="different"):
        Session.create(tmp_path / "b.pytc", image, classes)
    assert not (tmp_path / "b.pytc").exists()


def test_a_project_that_could_not_be_made_leaves_nothing(tmp_path: Path, image: Path, monkeypatch: pytest.MonkeyPatch):
    with pytest.raises(PytcError):
        Session.create(tmp_path / "b.pytc", tmp_path / "missing.h5", ["a"])

    def fail(*args: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("napari_pytc.files.os.fsync", fail)
    with pytest.raises(ProjectError, match=r"disk is full: the last change of .*b\.pytc.volumes.v1.annotations"):
        Session.create(tmp_path / "b.pytc", image, ["a"])
    assert [p.name for p in tmp_path.iterdir()] == ["raw.h5"]


def test_only_a_project_is_overwritten_and_only_on_request(tmp_path: Path, image: Path, session: Session):
    before = session.folder
    session.close()
    with pytest.raises(ProjectError, match="already a project"):
        Session.create(before, image, ["a"])
    Session.create(before, image, ["a"], overwrite=True).close()
    with Session.open(before) as again:
        assert list(again.classes.names) == ["a"]
    thesis = tmp_path / "thesis"
    thesis.mkdir()
    (thesis / "chapter.txt").write_text("years of work")
    with pytest.raises(ProjectError, match="not a project"):
        Session.create(thesis, image, ["a"], overwrite=True)
    assert (thesis / "chapter.txt").read_text() == "years of work"


def test_an_open_project_is_not_overwritten(image: Path, session: Session):
    with pytest.raises(ProjectError, match="cannot be replaced"):
        Session.create(session.folder, image, ["a"], overwrite=True)
    assert session.classes.records()[0].name == "membrane"
    assert Session.open(session.folder, read_only=True).classes.names[0] == "membrane"


def test_a_newer_project_is_refused_and_left_as_it_is(session: Session):
    session.close()
    description = session.folder / "project.json"
    content = json.loads(description.read_text()) | {"schema_version": 7, "written_by": "9.1.0", "news": [1]}
    description.write_text(json.dumps(content))
    (session.folder / "project.lock").unlink(missing_ok=True)
    before = files_of(session.folder)
    with pytest.raises(ProjectError, match=r"format 7 and needs napari-pytc 9\.1\.0") as caught:
        Session.open(session.folder)
    assert "pip install --upgrade" in caught.value.hint
    assert files_of(session.folder) == before


def test_a_newer_database_is_refused_and_left_as_it_is(session: Session):
    session.close()
    with sqlite3.connect(session.folder / "project.sqlite") as connection:
        connection.execute("PRAGMA user_version = 99")
    connection.close()
    before = without_lock(files_of(session.folder))
    with pytest.raises(ProjectError, match="database format 99"):
        Session.open(session.folder)
    assert without_lock(files_of(session.folder)) == before


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("{", "damaged"),
        ("[]", "schema_version"),
        ("{}", "schema_version"),
        ('{"schema_version": 1}', "image"),
        ("\xff", ""),
    ],
)
def test_a_damaged_description_is_reported(session: Session, text: str, why: str):
    session.close()
    (session.folder / "project.json").write_bytes(text.encode("latin-1"))
    with pytest.raises(ProjectError, match="damaged") as caught:
        Session.open(session.folder)
    assert why in caught.value.message
    assert "strokes" in caught.value.hint


def test_a_damaged_database_is_reported(session: Session):
    session.close()
    (session.folder / "project.sqlite").write_bytes(b"not a database" * 100)
    with pytest.raises(ProjectError, match=r"database .* damaged"):
        Session.open(session.folder)
    (session.folder / "project.sqlite").unlink()
    with Session.open(session.folder) as again:
        assert again.jobs.runs() == []


def test_a_folder_that_is_no_project_is_reported(tmp_path: Path):
    with pytest.raises(ProjectError, match="does not exist"):
        Session.open(tmp_path / "nothing")
    with pytest.raises(ProjectError, match="not a project") as caught:
        Session.open(tmp_path)
    assert "napari-pytc new" in caught.value.hint
    assert list(tmp_path.iterdir()) == []


def test_a_write_cut_short_leaves_the_old_description(session: Session, monkeypatch: pytest.MonkeyPatch):
    session.held_out.add(Box((0, 0, 0), (1, 1, 1)))

    def fail(*args: object) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr("napari_pytc.files.os.replace", fail)
        with pytest.raises(ProjectError, match="No space left"):
            session.held_out.add(Box((2, 0, 0), (3, 1, 1)))
    assert session.held_out.boxes == (Box((0, 0, 0), (1, 1, 1)),)
    assert not list(session.folder.glob("*.tmp"))
    session.close()
    with Session.open(session.folder) as again:
        assert again.held_out.boxes == (Box((0, 0, 0), (1, 1, 1)),)


def test_a_second_session_is_read_only_with_a_reason(session: Session, tissue: Tissue):
    session.strokes.add(tissue.classes)
    with Session.open(session.folder) as second:
        assert second.project.read_only
        assert "another program" in second.project.read_only_reason
        assert second.strokes.counts() == session.strokes.counts()
        for change in (
            lambda: second.held_out.add(Box((0, 0, 0), (1, 1, 1))),
            lambda: second.held_out.release(Box((0, 0, 0), (1, 1, 1))),
            lambda: second.strokes.add(tissue.classes),
            lambda: second.strokes.paint(Box((0, 0, 0), (1, 1, 1)), 1),
            lambda: second.classes.add("c"),
            lambda: second.image.relink("raw.h5"),
        ):
            with pytest.raises(ProjectError, match="reading only") as caught:
                change()
            assert caught.value.hint
    assert not session.project.read_only
    session.close()
    with Session.open(session.folder) as third:
        assert not third.project.read_only


OTHER = """
import sys
from napari_pytc.errors import ProjectError
from napari_pytc.geometry import Box
from napari_pytc.session.records import ClassSpec
from napari_pytc.session.session import Session
session = Session.open(sys.argv[1])
print(session.project.read_only, flush=True)
try:
    session.strokes.paint(Box((0, 0, 0), (1, 1, 1)), 1)
    print("painted", flush=True)
except ProjectError as error:
    print(error.message, flush=True)
sys.stdin.read()
"""


@pytest.mark.slow
def test_two_processes_on_one_project(session: Session):
    def start() -> subprocess.Popen[str]:
        return subprocess.Popen([sys.executable, "-c", OTHER, str(session.folder)], stdin=-1, stdout=-1, text=True)

    with start() as other:
        assert other.stdout is not None
        assert other.stdout.readline() == "True\n"
        assert "reading only" in other.stdout.readline()
        other.communicate()
    session.close()
    with start() as other:
        assert other.stdout is not None
        assert other.stdout.readline() == "False\n"
        assert other.stdout.readline() == "painted\n"
        assert Session.open(session.folder).project.read_only
        other.kill()  # gives the lock up by itself
        other.communicate()
    with Session.open(session.folder) as again:
        assert not again.project.read_only
        assert again.strokes.counts() == {"membrane": 1, "inside": 0}


@pytest.mark.parametrize("fault", ["moved", "truncated", "other voxels", "other shape"])
def test_an_image_that_is_not_what_it_was(session: Session, image: Path, tissue: Tissue, fault: str):
    session.strokes.add(tissue.classes)
    session.close()
    if fault == "moved":
        image.rename(image.with_name("moved.h5"))
    elif fault == "truncated":
        image.write_bytes(image.read_bytes()[: image.stat().st_size // 2])
    elif fault == "other voxels":
        write_image(image, 255 - tissue.raw)
    else:
        write_image(image, tissue.raw[:-1])
    with Session.open(session.folder) as again:
        with pytest.raises(VolumeError) as caught:
            again.image.source  # noqa: B018
        assert f"napari-pytc relink {session.folder} --image PATH" in caught.value.hint
        assert sum(again.strokes.counts().values()) == tissue.classes.size
        write_image(image.with_name("right.h5"), tissue.raw)
        again.image.relink(f"{image.with_name('right.h5')}:main")
        assert np.array_equal(again.image.source.channels[0].read(Box((0, 0, 0), (1, 48, 40))), tissue.raw[:1])
    with Session.open(session.folder) as third:
        assert third.image.source.shape == tissue.raw.shape


def test_an_image_of_another_shape_is_not_linked(session: Session, image: Path, tissue: Tissue):
    write_image(image.with_name("other.h5"), tissue.raw[:, :40])
    before = (session.folder / "project.json").read_bytes()
    with pytest.raises(ProjectError, match="12 x 48 x 40 voxels, but"):
        session.image.relink(image.with_name("other.h5"))
    assert (session.folder / "project.json").read_bytes() == before


def test_a_copied_project_opens(session: Session, tmp_path: Path, tissue: Tissue):
    session.strokes.add(tissue.classes)
    session.close()
    shutil.copytree(session.folder, tmp_path / "elsewhere" / "copy.pytc")
    with Session.open(tmp_path / "elsewhere" / "copy.pytc") as copy:
        assert sum(copy.strokes.counts().values()) == tissue.classes.size
