"""Files and folders that are complete or not there at all."""

from __future__ import annotations

import errno
import os
from collections.abc import Callable
from pathlib import Path

import pytest

from napari_pytc.files import (
    atomic_write,
    is_access_problem,
    plain_path,
    put_in_place,
    sync_file,
    sync_folder,
    temporary_beside,
    wait_for_all,
    write_text_durably,
)


def make_file(path: Path, content: str) -> None:
    path.write_text(content)


def make_folder(path: Path, content: str) -> None:
    (path / "inner").mkdir(parents=True)
    (path / "content").write_text(content)


def content_of(path: Path) -> str:
    return (path / "content" if path.is_dir() else path).read_text()


KINDS = [make_file, make_folder]


def test_a_text_takes_the_place_of_another(tmp_path: Path):
    path = tmp_path / "note.json"
    write_text_durably(path, "old\n")
    write_text_durably(path, "neu: \u00e4\n")
    assert path.read_bytes() == "neu: \u00e4\n".encode()
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize("make", KINDS)
def test_nothing_is_there_before_the_block_ends(tmp_path: Path, make: Callable[[Path, str], None]):
    path = tmp_path / "out"
    with atomic_write(path) as aside:
        assert aside.name == path.name
        make(aside, "new")
        (aside.parent / "scratch").write_text("what a library leaves")
        assert not path.exists()
    assert content_of(path) == "new"
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize("old", KINDS)
@pytest.mark.parametrize("new", KINDS)
def test_each_kind_replaces_each_kind(tmp_path: Path, old: Callable[..., None], new: Callable[..., None]):
    path = tmp_path / "out"
    old(path, "old")
    with atomic_write(path) as aside:
        new(aside, "new")
    assert content_of(path) == "new"
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize("make", KINDS)
@pytest.mark.parametrize("error", [OSError(errno.ENOSPC, "No space left"), KeyboardInterrupt()])
def test_an_error_in_the_block_leaves_the_old(tmp_path: Path, make: Callable[..., None], error: BaseException):
    path = tmp_path / "out"
    make(path, "old")

    def write() -> None:
        with atomic_write(path) as aside:
            make(aside, "new")
            raise error

    with pytest.raises(type(error)):
        write()
    assert content_of(path) == "old"
    assert list(tmp_path.iterdir()) == [path]


def test_a_block_that_writes_nothing_is_an_error_and_leaves_the_old(tmp_path: Path):
    path = tmp_path / "out"
    make_file(path, "old")
    with pytest.raises(FileNotFoundError), atomic_write(path):
        pass
    assert content_of(path) == "old"


@pytest.mark.parametrize("make", KINDS)
def test_a_disk_that_cannot_sync_leaves_the_old(
    tmp_path: Path, make: Callable[..., None], monkeypatch: pytest.MonkeyPatch
):
    def fail(_: int) -> None:
        raise OSError(errno.EIO, "Input/output error")

    path = tmp_path / "out"
    make(path, "old")
    monkeypatch.setattr(os, "fsync", fail)
    with pytest.raises(OSError, match="Input/output"), atomic_write(path) as aside:
        make(aside, "new")
    assert content_of(path) == "old"
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize("make", KINDS)
def test_the_old_comes_back_where_the_new_cannot_take_its_place(
    tmp_path: Path, make: Callable[..., None], monkeypatch: pytest.MonkeyPatch
):
    path, replace = tmp_path / "out", os.replace
    make(path, "old")

    def fail(source: Path, target: Path) -> None:
        if Path(source).parent != tmp_path:  # the old one may step aside, and back
            raise OSError(errno.EIO, "Input/output error")
        replace(source, target)

    monkeypatch.setattr(os, "replace", fail)
    with pytest.raises(OSError, match="Input/output"), atomic_write(path) as aside:
        make_folder(aside, "new")
    assert content_of(path) == "old"
    assert list(tmp_path.iterdir()) == [path]


def test_an_old_folder_that_cannot_come_back_is_not_deleted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    path, replace = tmp_path / "out", os.replace
    make_folder(path, "old")

    def only_step_aside(source: Path, target: Path) -> None:
        if source != path:
            raise OSError(errno.EIO, "Input/output error")
        replace(source, target)

    monkeypatch.setattr(os, "replace", only_step_aside)
    with pytest.raises(OSError, match="Input/output"), atomic_write(path) as aside:
        make_folder(aside, "new")
    (kept,) = tmp_path.iterdir()
    assert content_of(kept) == "old"


def test_a_folder_built_elsewhere_is_put_in_place(tmp_path: Path):
    built, path = tmp_path / "built", tmp_path / "out"
    make_folder(built, "new")
    put_in_place(built, path)
    assert content_of(path) == "new"
    assert not built.exists()


class Write:
    """A write of tensorstore's that ends with an error, or none."""

    def __init__(self, error: Exception | None = None) -> None:
        self.error = error
        self.is_awaited = False

    def exception(self) -> Exception | None:
        self.is_awaited = True
        return self.error


def test_all_writes_are_awaited_before_the_first_error_is_raised():
    writes = [Write(), Write(OSError("first")), Write(OSError("second")), Write()]
    with pytest.raises(OSError, match="first"):
        wait_for_all(writes)
    assert all(write.is_awaited for write in writes)


def test_writes_that_end_well_raise_nothing():
    wait_for_all([])
    wait_for_all([Write(), Write()])


def test_temporary_names_lie_beside_the_file_hidden_and_are_never_the_same(tmp_path: Path):
    found = {temporary_beside(tmp_path / "model.json") for _ in range(50)}
    assert len(found) == 50
    for path in found:
        assert path.parent == tmp_path
        assert path.name.startswith(".model.json.")


@pytest.mark.skipif(os.name == "nt", reason="Windows syncs no folders")
def test_a_file_system_that_syncs_no_folders_is_no_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    refused: list[int] = []

    def refuse(handle: int) -> None:
        refused.append(handle)
        raise OSError(errno.EINVAL, "Invalid argument")

    monkeypatch.setattr(os, "fsync", refuse)
    sync_folder(tmp_path)
    assert len(refused) == 1


def test_syncing_a_file_changes_nothing_of_it(tmp_path: Path):
    make_file(tmp_path / "a", "text")
    sync_file(tmp_path / "a")
    assert content_of(tmp_path / "a") == "text"
    with pytest.raises(FileNotFoundError):
        sync_file(tmp_path / "absent")


@pytest.mark.skipif(os.name == "nt", reason="Windows has shares behind two slashes")
def test_a_plain_path_has_neither_dots_nor_two_slashes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    (tmp_path / "sub").mkdir()
    monkeypatch.chdir(tmp_path / "sub")
    for text in (
        "../a.pytc",
        "./../a.pytc",
        f"/{tmp_path}/a.pytc",
        f"{tmp_path}/sub/../a.pytc",
        f"//{tmp_path}/a.pytc",
    ):
        assert plain_path(text) == tmp_path / "a.pytc", text
    assert plain_path("a") == tmp_path / "sub" / "a"
    assert plain_path("/") == Path("/")


@pytest.mark.skipif(os.name == "nt", reason="Windows takes .. as it is written")
def test_dots_lead_out_of_what_a_link_points_to_and_other_links_keep_their_names(tmp_path: Path):
    (tmp_path / "disk" / "data").mkdir(parents=True)
    (tmp_path / "link").symlink_to(tmp_path / "disk" / "data")
    assert plain_path(tmp_path / "link" / "a.h5") == tmp_path / "link" / "a.h5"
    assert plain_path(tmp_path / "link" / ".." / "a.h5") == tmp_path / "disk" / "a.h5"


def test_what_cannot_be_reached_is_told_from_what_is_damaged():
    assert is_access_problem(PermissionError(errno.EACCES, "denied"))
    assert is_access_problem(ValueError("PERMISSION_DENIED: Error opening ..."))
    assert not is_access_problem(ValueError("DATA_LOSS: Error decoding chunk"))
    assert not is_access_problem(KeyError("attributes"))
