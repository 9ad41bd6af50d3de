"""Several volumes on the command line: add, volumes, remove, restore, --volume, --all, and the classes for all."""

from __future__ import annotations

import json
from pathlib import Path

import h5py
import numpy as np
import pytest
from typer.testing import CliRunner

from napari_pytc.cli.main import app
from tests.cli.conftest import TINY, Command, is_one_error

FAST = ("device=cpu", "precision=float32")


@pytest.fixture
def second(tmp_path: Path, tissue_file: Path) -> Path:
    """The first sections of the tissue, darker, with a dataset of strokes."""
    path = tmp_path / "second.h5"
    with h5py.File(tissue_file) as source, h5py.File(path, "w") as file:
        for name in ("raw", "strokes"):
            file[name] = source[name][:8] // (2 if name == "raw" else 1)
            file[name].attrs["voxel_size_nm"] = source[name].attrs["voxel_size_nm"]
    return path


def add(cli: Command, project: Path, second: Path, *options: object) -> dict[str, object]:
    ended = cli("add", project, "--image", f"{second}:raw", *options, "--json")
    assert ended.code == 0, ended.out
    return dict(ended.document)


def test_a_volume_is_added_listed_renamed_removed_and_restored(cli: Command, project: Path, second: Path) -> None:
    added = add(cli, project, second)
    assert added["volumes"] == ["tissue", "second"]
    assert added["volume"]["shape"] == [8, 40, 44]  # type: ignore[index]
    listed = cli("volumes", project, "--json").document
    assert [(one["id"], one["name"], one["dtype"]) for one in listed["volumes"]] == [
        ("v1", "tissue", "uint8"),
        ("v2", "second", "uint8"),
    ]
    first, other = listed["volumes"]
    assert sum(first["annotated"].values()) > 0
    assert sum(other["annotated"].values()) == 0
    assert (len(first["held_out"]), other["held_out"], other["notes"], other["image_problem"]) == (1, [], [], "")
    assert other["voxel_size_nm"] == first["voxel_size_nm"]
    assert cli("rename-volume", project, "second", "dark", "--json").document["name"] == "dark"
    assert "dark" in cli("volumes", project).out

    removed = cli("remove", project, "dark", "--yes", "--json").document
    assert Path(removed["folder"]).is_dir()
    assert removed["name"] == "dark"
    listed = cli("volumes", project, "--json").document
    assert [one["name"] for one in listed["volumes"]] == ["tissue"]
    assert [one["name"] for one in listed["removed"]] == ["dark"]
    assert "napari-pytc restore" in cli("volumes", project).out
    assert cli("restore", project, "dark", "--json").document["volume"]["name"] == "dark"
    assert is_one_error(cli("restore", project, "dark"), "no volume 'dark'", "in it: none")


def test_a_removal_asks_and_says_where_the_volume_is(cli: Command, project: Path, second: Path) -> None:
    add(cli, project, second)
    for words, sentence in (([], "Nobody answered"), (["--json"], "nobody is asked")):
        ended = CliRunner().invoke(app, ["remove", str(project), "second", *words])
        assert ended.exit_code == 1
        assert sentence in ended.output
    ended = CliRunner().invoke(app, ["remove", str(project), "second"], input="n\n")
    assert "Nothing was removed" in ended.output
    assert len(cli("volumes", project, "--json").document["volumes"]) == 2
    ended = CliRunner().invoke(app, ["remove", str(project), "second"], input="y\n")
    assert ended.exit_code == 0
    assert str(project / "trash" / "removed" / "v2") in ended.stdout.replace("\n", "")
    assert is_one_error(cli("remove", project, "tissue", "--yes"), "only volume")


def test_a_volume_is_named_where_there_are_several(cli: Command, project: Path, second: Path, tmp_path: Path) -> None:
    add(cli, project, second)
    edits = tmp_path / "edits.json"
    edits.write_text('[{"kind": "merge", "segments": [1, 2]}]')
    for words in (
        ("annotate", project, f"{second}:strokes"),
        ("hold-out", project, "0:1,0:2,0:2"),
        ("relink", project, "--image", second),
        ("predict", project, *FAST),
        ("segment", project),
        ("segmentation", project, "use", "x"),
        ("proofread", project, edits),
        ("history", project),
        ("replay", project),
        ("export", project, tmp_path / "out.tif"),
        ("report", project, tmp_path / "out.html"),
    ):
        assert is_one_error(cli(*words), "2 volumes: tissue, second", "--volume"), words
        assert "second" in cli(*words, "--json").document["error"]
        assert is_one_error(cli(*words, "--volume", "third"), "no volume 'third'", "tissue, second"), words


def test_strokes_boxes_and_history_are_those_of_the_volume(cli: Command, project: Path, second: Path) -> None:
    add(cli, project, second, "--name", "dark one")
    before = cli("history", project, "--volume", "tissue", "--json").document["entries"]
    assert cli("annotate", project, f"{second}:strokes", "--volume", "dark one", "--json").code == 0
    held = cli("hold-out", project, "6:8,0:40,0:44", "--volume", "v2", "--json").document
    assert (held["volume"], held["held_out"]) == ("dark one", ["6:8,0:40,0:44"])
    assert len(cli("history", project, "--volume", "dark one", "--json").document["entries"]) == 1
    assert cli("history", project, "--volume", "tissue", "--json").document["entries"] == before
    listed = {one["name"]: one for one in cli("volumes", project, "--json").document["volumes"]}
    assert sum(listed["dark one"]["annotated"].values()) > 0
    assert listed["tissue"]["held_out"] != listed["dark one"]["held_out"]
    told = cli("info", project, "--json").document
    assert [one["name"] for one in told["volumes"]] == ["tissue", "dark one"]
    assert cli("info", project, "--volume", "dark one", "--json").document["shape"] == [8, 40, 44]
    assert "dark one" in cli("info", project).out


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (("--name", "tissue"), ("'tissue' already",)),
        (("--name", "a,b"), ("without commas",)),
        (("--name", " "), ("without commas",)),
        (("--voxel-size", "4"), ("voxel size", "Z,Y,X")),
    ],
)
def test_a_wrong_addition_is_told(
    cli: Command, project: Path, second: Path, options: tuple[str, ...], words: tuple[str, ...]
) -> None:
    ended = cli("add", project, "--image", f"{second}:raw", *options)
    assert ended.code == 1
    assert all(word.lower() in ended.err.lower() for word in words)
    assert len(cli("volumes", project, "--json").document["volumes"]) == 1


def test_the_same_image_is_told_and_added_anyway(cli: Command, project: Path, tissue_file: Path) -> None:
    words = ("add", project, "--image", f"{tissue_file}:raw")
    assert is_one_error(cli(*words), "has this image already, as the volume tissue", "--anyway")
    assert cli(*words, "--anyway", "--json").document["volumes"] == ["tissue", "tissue-2"]


def test_an_image_that_moved_is_told_and_relinked(cli: Command, project: Path, second: Path) -> None:
    add(cli, project, second)
    moved = second.rename(second.with_name("moved.h5"))
    listed = cli("volumes", project, "--json").document["volumes"]
    assert [bool(one["image_problem"]) for one in listed] == [False, True]
    assert "second cannot be read" in cli("volumes", project).out
    relinked = cli("relink", project, "--image", f"{moved}:raw", "--volume", "second", "--json").document
    assert relinked["volume"] == "second"
    assert not any(one["image_problem"] for one in cli("volumes", project, "--json").document["volumes"])


def test_notes_of_the_reader_are_kept(cli: Command, project: Path, tmp_path: Path) -> None:
    path = tmp_path / "half.npy"
    np.save(path, np.zeros((4, 8, 8), np.float16))
    ended = cli("add", project, "--image", path, "--voxel-size", "40,8,8", "--json")
    notes = ended.document["volume"]["notes"]
    assert any("float16" in note for note in notes)
    assert cli("volumes", project, "--json").document["volumes"][1]["notes"] == notes
    assert json.loads((project / "project.json").read_text())["volumes"][1]["notes"] == notes


def test_classes_are_added_and_renamed_for_all_volumes(cli: Command, project: Path, second: Path) -> None:
    add(cli, project, second)
    added = cli("add-class", project, "vesicle", "--colour", "#010203", "--json").document
    assert [(c["id"], c["name"]) for c in added["classes"]] == [(1, "membrane"), (2, "inside"), (3, "vesicle")]
    assert added["classes"][2]["colour"] == "#010203"
    renamed = cli("rename-class", project, "2", "cytosol", "--json").document
    assert [c["name"] for c in renamed["classes"]] == ["membrane", "cytosol", "vesicle"]
    assert all(
        list(one["annotated"]) == ["membrane", "cytosol", "vesicle"]
        for one in cli("volumes", project, "--json").document["volumes"]
    )
    assert is_one_error(cli("add-class", project, "cytosol"), "already")
    assert is_one_error(cli("add-class", project, "x", "--colour", "red"), "#rrggbb")
    assert is_one_error(cli("rename-class", project, "nobody", "x"), "no class 'nobody'", "1 membrane")


def test_options_that_exclude_one_another_are_told(cli: Command, project: Path) -> None:
    assert is_one_error(cli("predict", project, "--all", "--box", "0:1,0:2,0:2"), "--all takes no")
    assert is_one_error(cli("segment", project, "--all", "--volume", "tissue"), "--all takes no")
    assert is_one_error(cli("predict", "--all", "--model", "m"), "go with a project")
    assert is_one_error(cli("train", project, "--volume", "tissue"), "--corrections", "--volumes A,B")
    assert is_one_error(cli("train", project, "--volumes", "tissue,,"), "commas between them")


@pytest.mark.slow
def test_one_model_learns_from_all_and_is_applied_to_all(cli: Command, project: Path, second: Path) -> None:
    add(cli, project, second)
    assert cli("annotate", project, f"{second}:strokes", "--volume", "second", "--json").code == 0
    alone = cli("train", project, "--recipe", "instant", *TINY, "--volumes", "second", "--json").document
    assert alone["volumes"] == ["second"]
    trained = cli("train", project, "--recipe", "instant", *TINY, "steps=40", "--json").document
    assert trained["volumes"] == ["tissue", "second"]

    predicted = cli("predict", project, "--all", *FAST, "--json").document
    assert [one["volume"] for one in predicted["volumes"]] == ["tissue", "second"]
    assert ["/volumes/v1/" in one["output"] for one in predicted["volumes"]] == [True, False]
    segmented = cli("segment", project, "--all", "threshold=0.9", "smallest_um3=0.00001", "--json").document
    assert all(one["n_segments"] > 0 for one in segmented["volumes"])
    listed = cli("volumes", project, "--json").document["volumes"]
    assert [len(one["predictions"]) for one in listed] == [1, 1]
    assert [one["segmentations"][0]["active"] for one in listed] == [True, True]
    runs = {one["segmentation"] for one in segmented["volumes"]}
    assert len(runs) == 2


@pytest.mark.slow
def test_one_that_fails_does_not_stop_the_others(cli: Command, trained: Path, second: Path) -> None:
    add(cli, trained, second)
    assert cli("add", trained, "--image", f"{second}:strokes", "--name", "third", "--json").code == 0
    second_of_all = second.rename(second.with_name("gone.h5"))
    ended = cli("predict", trained, "--all", *FAST, "--json")
    assert ended.code == 1
    first, *others = ended.document["volumes"]
    assert first["output"]
    assert all("error" in one and "relink" in one["hint"] for one in others)
    told = cli("predict", trained, "--all", *FAST)
    assert told.code == 1
    assert "2 of 3 failed" in told.out
    second_of_all.rename(second)
    assert cli("predict", trained, "--all", *FAST, "--json").code == 0
