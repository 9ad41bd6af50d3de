from __future__ import annotations

from pathlib import Path

import h5py
import numpy as np

from tests.cli.conftest import SHAPE, Command, is_one_error


def test_annotate_counts_by_class(cli: Command, project: Path, tissue_file: Path):
    with h5py.File(tissue_file) as file:
        classes = file["classes"][...]
    ended = cli("annotate", project, f"{tissue_file}:classes", "--json")
    assert ended.code == 0
    assert ended.document["annotated"] == {"membrane": (classes == 1).sum(), "inside": (classes == 2).sum()}
    assert ended.document["total"] == classes.size


def test_annotate_puts_labels_at_an_offset(cli: Command, project: Path, tmp_path: Path):
    np.save(tmp_path / "labels.npy", np.full((1, 2, 3), 2, np.uint8))
    before = cli("info", project, "--json").document["annotated"]
    ended = cli("annotate", project, tmp_path / "labels.npy", "--offset", "11,38,41", "--json")
    assert ended.document["total"] == 6
    assert cli("info", project, "--json").document["annotated"]["inside"] >= before["inside"]
    beyond = cli("annotate", project, tmp_path / "labels.npy", "--offset", "12,0,0", "--json")
    assert beyond.code == 1
    assert beyond.document["error"]


def test_annotate_refuses_a_class_beyond_the_list(cli: Command, project: Path, tmp_path: Path):
    np.save(tmp_path / "labels.npy", np.full((1, 2, 3), 7, np.uint8))
    assert is_one_error(cli("annotate", project, tmp_path / "labels.npy"), "7")


def test_annotate_refuses_an_offset_it_cannot_read(cli: Command, project: Path, tissue_file: Path):
    ended = cli("annotate", project, f"{tissue_file}:classes", "--offset", "1,2", "--json")
    assert ended.code == 1
    assert "Z,Y,X" in ended.document["error"]


def write_labels(path: Path, labels: np.ndarray, **attributes: object) -> str:
    """Labels in an HDF5 file, with voxels of 10 nm and what else is given."""
    with h5py.File(path, "w") as file:
        file["labels"] = labels
        for name, value in ({"resolution": [10.0, 10.0, 10.0], "unit": "nm"} | attributes).items():
            file["labels"].attrs[name] = value
    return f"{path}:labels"


def test_labels_lie_where_their_file_says(cli: Command, project: Path, tmp_path: Path):
    labels = write_labels(tmp_path / "a.h5", np.full((2, 3, 4), 2, np.uint64), offset=[40.0, 50.0, 60.0])
    ended = cli("annotate", project, labels, "--json")
    assert (ended.document["box"], ended.document["notes"]) == ("4:6,5:8,6:10", [])
    told = cli("annotate", project, labels, "--offset", "1,1,1", "--json").document
    assert told["box"] == "1:3,1:4,1:5"
    assert "begin at voxel 4,5,6" in told["notes"][0]
    objects = cli("annotate", project, labels, "--instances", "--json").document
    assert objects["box"] == "4:6,5:8,6:10"


def test_labels_of_another_voxel_size_are_resampled_only_on_request(cli: Command, project: Path, tmp_path: Path):
    coarse = np.ones(tuple(n // 2 for n in SHAPE), np.uint8)
    labels = write_labels(tmp_path / "a.h5", coarse, resolution=[20.0, 20.0, 20.0])
    assert is_one_error(cli("annotate", project, labels), "20 x 20 x 20 nm", "10 x 10 x 10 nm", "--resample")
    ended = cli("annotate", project, labels, "--resample", "--json").document
    assert ended["annotated"]["membrane"] == coarse.size * 8
    assert "nearest" in ended["notes"][0]
    same = cli("annotate", project, labels, "--voxel-size", "10,10,10", "--offset", "0,0,0", "--json").document
    assert same["total"] == coarse.size


def test_values_are_mapped_and_ignored(cli: Command, project: Path, tmp_path: Path):
    labels = np.zeros((2, 3, 4), np.uint8)
    labels[0], labels[1, 0] = 255, 7
    where = write_labels(tmp_path / "a.h5", labels)
    assert is_one_error(cli("annotate", project, where), "values 7, 255", "--map 7=membrane")
    words = ("--map", "0=membrane,255=inside", "--ignore-value", "7", "--offset", "0,0,0")
    ended = cli("annotate", project, where, *words, "--json").document
    assert ended["annotated"] == {"membrane": 8, "inside": 12}
    assert ended["notes"] == ["4 voxels of the value 7 left out, as it is ignored."]
    assert is_one_error(cli("annotate", project, where, "--map", "255=mito"), "no class 'mito'", "1 membrane, 2 inside")
    assert is_one_error(cli("annotate", project, where, "--dense"), "no class 'background'")


def test_a_second_file_of_objects_gets_new_ids(cli: Command, project: Path, tmp_path: Path):
    first = write_labels(tmp_path / "a.h5", np.array([[[1, 0, 2]]], np.uint8))
    second = write_labels(tmp_path / "b.h5", np.array([[[1, 0, 1]]], np.uint8), offset=[10.0, 0.0, 0.0])
    assert cli("annotate", project, first, "--instances", "--json").document["original_ids"] == {}
    ended = cli("annotate", project, second, "--instances", "--json").document
    assert ended["original_ids"] == {"3": 1}
    assert ended["notes"][0] == "One id in 2 separate parts: --components makes an object of each."
    assert "the 1 object of the labels became 3" in ended["notes"][1]
    parts = cli("annotate", project, second, "--instances", "--components", "--json").document
    assert parts["objects"] == 2
    again = cli("annotate", project, second, "--instances", "--json").document
    assert again["original_ids"] == {"3": 1}
    shown = cli("annotate", project, second, "--instances", "--keep-ids").out
    assert "Note: 1 object of the labels has an id that the project has already" in " ".join(shown.split())
    assert is_one_error(cli("annotate", project, first, "--components"), "--instances")
    assert is_one_error(cli("annotate", project, first, "--instances", "--components", "--keep-ids"), "not both")


def test_a_mask_of_bool_is_0_and_1(cli: Command, project: Path, tmp_path: Path):
    mask = np.zeros(SHAPE, bool)
    mask[2, :3] = True
    ended = cli("annotate", project, write_labels(tmp_path / "a.h5", mask), "--json").document
    assert ended["annotated"] == {"membrane": int(mask.sum()), "inside": 0}
    ended = cli("annotate", project, write_labels(tmp_path / "a.h5", mask), "--instances", "--dense", "--json").document
    assert (ended["objects"], ended["background"]) == (1, int((~mask).sum()))


def test_the_channel_of_labels_can_be_named(cli: Command, project: Path, tmp_path: Path):
    labels = np.zeros((2, *SHAPE), np.uint8)
    labels[1] = 1
    np.save(tmp_path / "a.npy", labels)
    assert is_one_error(cli("annotate", project, tmp_path / "a.npy"), "channel")
    ended = cli("annotate", project, tmp_path / "a.npy", "--channel", "1", "--json").document
    assert ended["annotated"]["membrane"] == labels[1].size
