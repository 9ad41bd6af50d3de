"""How to read a volume, told to the commands that name one: axes, channel, time point, missing sections; and notes."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import tifffile

from tests.cli.conftest import Command, is_one_error
from tests.volumes.files import image, write_sections

SIZE = ("--voxel-size", "40,4,4")
STACK = image(shape=(6, 16, 24))


@pytest.fixture
def folders(tmp_path: Path) -> tuple[Path, Path]:
    """Sections and labels of them, both without number 2."""
    raw = write_sections(tmp_path / "raw", STACK, ".png")
    labels = write_sections(tmp_path / "labels", STACK % 2 + 1, ".png")
    for folder in (raw, labels):
        (folder / "section_2.png").unlink()
    return raw, labels


def test_gaps_keep_their_places_in_images_and_labels(cli: Command, folders: tuple[Path, Path], tmp_path: Path) -> None:
    raw, labels = folders
    blank = ("--missing-sections", "blank")
    made = cli("new", tmp_path / "a.pytc", "--image", raw, "--classes", "a,b", *SIZE, *blank, "--json").document
    assert made["shape"] == [6, 16, 24]
    assert made["notes"] == ["1 of 6 sections are missing: section 2; they are read as blank."]
    added = cli("annotate", tmp_path / "a.pytc", labels, *blank, "--json").document
    assert added["total"] == 5 * 16 * 24
    assert any("section 2" in note for note in added["notes"])
    told = cli("info", tmp_path / "a.pytc").out
    assert "1 of 6 sections are missing" in " ".join(told.split())
    assert is_one_error(cli("info", raw, "--missing-sections", "black"), "--missing-sections cannot be 'black'")


def test_closed_gaps_are_told(cli: Command, folders: tuple[Path, Path]) -> None:
    document = cli("info", folders[0], "--json").document
    assert document["shape"] == [5, 16, 24]
    assert "the gap is closed" in document["notes"][0]
    assert "Note: 1 of 6 sections are missing" in " ".join(cli("info", folders[0]).out.split())


def test_frames_are_sections_where_the_user_says_so(cli: Command, tmp_path: Path) -> None:
    tifffile.imwrite(tmp_path / "a.tif", STACK, imagej=True, metadata={"axes": "TYX"})
    words = ("new", tmp_path / "a.pytc", "--image", tmp_path / "a.tif", "--classes", "a", *SIZE)
    assert is_one_error(cli(*words), "has 6 time points, and one must be picked", "--axes zyx")
    made = cli(*words, "--axes", "zyx", "--json").document
    assert made["shape"] == [6, 16, 24]
    assert made["notes"] == ["Axes are read as zyx, as asked; the file says tyx."]
    one = cli(*words, "--time", "3", "--overwrite", "--json").document
    assert one["shape"] == [1, 16, 24]


def test_channels_of_images_and_labels(cli: Command, tmp_path: Path) -> None:
    np.save(tmp_path / "a.npy", np.stack([STACK, STACK % 2 + 1]))
    words = ("new", tmp_path / "a.pytc", "--image", tmp_path / "a.npy", "--classes", "a,b", *SIZE)
    assert is_one_error(cli(*words), "2 channels, and one must be picked", "--channel")
    assert cli(*words, "--channel", 0, "--json").code == 0
    added = cli("annotate", tmp_path / "a.pytc", tmp_path / "a.npy", "--channel", 1, "--json").document
    assert added["total"] == STACK.size
    assert any("taken as c, z, y, x" in note for note in added["notes"])
    same = ("evaluate", tmp_path / "a.npy", tmp_path / "a.npy", "--channel", 1, "--truth-channel", 1, "--json")
    assert set(cli(*same).document["dice"].values()) == {1.0}


def test_a_series_of_a_folder_is_named(cli: Command, folders: tuple[Path, Path], tmp_path: Path) -> None:
    raw, labels = folders
    for path in labels.iterdir():
        path.rename(raw / path.name.replace("section", "mask"))
    words = ("new", tmp_path / "a.pytc", "--classes", "a,b", *SIZE, "--json", "--image")
    assert cli(*words, raw).code == 1
    assert is_one_error(cli("new", tmp_path / "a.pytc", "--classes", "a", "--image", raw), "2 series", f"{raw}:mask_*")
    made = cli(*words, f"{raw}:section_*").document
    assert made["shape"] == [5, 16, 24]
    assert any("5 other files are left out: mask_0.png" in note for note in made["notes"])


def test_options_that_would_do_nothing_are_refused(cli: Command, folders: tuple[Path, Path], tmp_path: Path) -> None:
    raw, _ = folders
    project = tmp_path / "a.pytc"
    assert cli("new", project, "--image", raw, "--classes", "a,b", *SIZE).code == 0
    assert is_one_error(cli("info", project, "--axes", "zyx", "--time", 0), "--axes, --time are for a volume's file")
    assert is_one_error(cli("info", raw, "--volume", "raw"), "--volume is for a project")
    assert is_one_error(cli("predict", project, "--channel", 1), "--channel is for --image", "new")
    for action, subject in (("list", ()), ("use", ("s1",)), ("delete", ("s1",))):
        ended = cli("segmentation", project, action, *subject, "--gap", 0, "--map", "1=2")
        assert is_one_error(ended, "--gap, --map are for `segmentation PROJECT import LABELS`", action)
    assert cli("segmentation", project).code == 0


def test_several_channels_are_told_and_kept(cli: Command, tmp_path: Path) -> None:
    data = np.stack([STACK, 255 - STACK, STACK // 2])
    metadata = {"axes": "CZYX", "Channel": {"Name": ["DAPI", "GFP", "blank"]}}
    tifffile.imwrite(tmp_path / "a.ome.tif", data, metadata=metadata, photometric="minisblack")
    words = ("--image", tmp_path / "a.ome.tif", "--classes", "a,b", *SIZE)
    assert is_one_error(
        cli("new", tmp_path / "p.pytc", *words), "has 3 channels, and one must be picked", "0,1, or all"
    )
    made = cli("new", tmp_path / "p.pytc", *words, "--channel", "0,1", "--json").document
    expected = [{"number": 0, "name": "DAPI"}, {"number": 1, "name": "GFP"}]
    assert made["channels"] == expected
    assert made["notes"] == ["Channels read: 0 (DAPI), 1 (GFP); left out: 2 (blank)."]
    added = cli("add", tmp_path / "p.pytc", "--image", tmp_path / "a.ome.tif", *SIZE, "--channel", "all", "--json")
    assert [one["number"] for one in added.document["volume"]["channels"]] == [0, 1, 2]
    listed = cli("volumes", tmp_path / "p.pytc", "--json").document["volumes"]
    assert listed[0]["channels"] == expected
    assert "channels 0 DAPI, 1 GFP" in " ".join(cli("volumes", tmp_path / "p.pytc").out.split())
    assert "channels 0 DAPI, 1 GFP" in " ".join(cli("info", tmp_path / "p.pytc").out.split())
    out = tmp_path / "a.zarr"
    assert cli("export", tmp_path / "p.pytc", out, "--what", "image", "--volume", "v1", "--json").document["shape"] == [
        2, 6, 16, 24
    ]  # fmt: skip
    one = ("export", tmp_path / "p.pytc", tmp_path / "b.tif", "--volume", "v1", "--channel", "1")
    assert cli(*one, "--what", "image", "--json").document["shape"] == [6, 16, 24]
    assert is_one_error(cli(*one, "--what", "segments"), "--channel goes with --what image")


def test_info_tells_the_channels_of_a_file(cli: Command, tmp_path: Path) -> None:
    data = np.stack([STACK, 255 - STACK])
    metadata = {"axes": "CZYX", "Channel": {"Name": ["DAPI", "GFP"]}}
    tifffile.imwrite(tmp_path / "a.ome.tif", data, metadata=metadata, photometric="minisblack")
    found = cli("info", tmp_path / "a.ome.tif", "--channel", "1,0", "--json").document
    assert (found["n_channels"], found["channel_names"], found["channels"]) == (2, ["DAPI", "GFP"], [1, 0])
    assert "2 channels (0 DAPI, 1 GFP)" in " ".join(cli("info", tmp_path / "a.ome.tif").out.split())
    rgb = tmp_path / "rgb.tif"
    tifffile.imwrite(rgb, np.zeros((3, 8, 8, 3), np.uint8), photometric="rgb")
    mixed = cli("info", rgb, "--json").document
    assert (mixed["channel_names"], mixed["channels"]) == (["red", "green", "blue"], None)


@pytest.mark.parametrize(
    ("given", "message"),
    [("0,0", "names each channel once, got '0,0'"), ("-1", "a number from 0"), ("a,b", "a number from 0"),
     ("", "a number from 0"), ("0,7", "has 1 channel, so there is no channel 7")],
)  # fmt: skip
def test_channels_that_cannot_be_are_one_error(cli: Command, tmp_path: Path, given: str, message: str) -> None:
    tifffile.imwrite(tmp_path / "a.tif", STACK, photometric="minisblack")
    words = ("new", tmp_path / "p.pytc", "--image", tmp_path / "a.tif", "--classes", "a", *SIZE)
    assert is_one_error(cli(*words, f"--channel={given}"), message)
    assert not (tmp_path / "p.pytc").exists()
