from __future__ import annotations

from pathlib import Path

import h5py
import numpy as np
import pytest

from napari_pytc.geometry import Box
from napari_pytc.labels.segments_view import SegmentsView
from tests.cli.conftest import SHAPE, Command, is_one_error

WHOLE = Box.of_shape(SHAPE)


@pytest.fixture
def cells(tissue_file: Path) -> np.ndarray:
    with h5py.File(tissue_file) as file:
        return np.asarray(file["cells"][...])


def test_a_segmentation_is_imported_listed_and_proofread(
    cli: Command, project: Path, tissue_file: Path, cells: np.ndarray, tmp_path: Path
) -> None:
    ended = cli("segmentation", project, "import", f"{tissue_file}:cells", "--workers", "2", "--json")
    assert ended.code == 0, ended.err
    document = ended.document
    n = len(np.unique(cells[cells > 0]))
    assert document["n_segments"] == n
    assert document["n_contacts"] > 0
    assert any("dark ridges" in note for note in document["notes"])
    assert "Note: " in ended.err
    (listed,) = cli("segmentation", project, "--json").document["segmentations"]
    assert (listed["id"], listed["active"], listed["n_segments"]) == (document["segmentation"], True, n)
    assert listed["notes"] == document["notes"]
    edits = tmp_path / "edits.json"
    edits.write_text('[{"kind": "merge", "segments": [1, 2]}]', encoding="utf-8")
    assert cli("proofread", project, edits).code == 0
    assert len(SegmentsView.open(document["folder"]).segment_ids()) == n - 1
    assert "imported" in cli("segmentation", project).out


def test_it_lies_where_its_file_says_and_values_are_left_out(
    cli: Command, project: Path, tissue_file: Path, cells: np.ndarray, tmp_path: Path
) -> None:
    with h5py.File(tissue_file) as file:
        size = np.asarray(file["cells"].attrs["voxel_size_nm"])
    box = Box((2, 5, 6), (9, 30, 40))
    crop = cells[box.slices].astype(np.uint64)
    crop[0], crop[1] = 2**64 - 1, 200
    with h5py.File(tmp_path / "crop.h5", "w") as file:
        file["ids"] = crop
        file["ids"].attrs["resolution"] = size
        file["ids"].attrs["offset"] = np.array(box.start) * size
    words = ("segmentation", project, "import", f"{tmp_path / 'crop.h5'}:ids")
    document = cli(*words, "--ignore-value", "200", "--json").document
    assert document["box"] == str(box)
    view = SegmentsView.open(document["folder"])
    assert view.original_ids is not None
    shown = view.original_ids.lookup(view.read(WHOLE))
    np.testing.assert_array_equal(shown[box.slices][2:], crop[2:])
    assert not shown[: box.start[0] + 2].any()
    assert any("2^64-1" in note for note in document["notes"])
    moved = cli(*words, "--offset", "0,0,0", "--json").document
    assert moved["box"] == "0:7,0:25,0:34"
    assert any("as the offset says" in note for note in moved["notes"])
    assert any(
        "200 is no object" in note for note in cli(*words, "--map", "200=background", "--json").document["notes"]
    )


def test_a_boundary_map_scores_contacts_and_a_gap_bridges_background(
    cli: Command, project: Path, tissue_file: Path, cells: np.ndarray, tmp_path: Path
) -> None:
    with h5py.File(tissue_file) as file:
        membrane = np.asarray(file["classes"][...]) == 1
    np.save(tmp_path / "apart.npy", np.where(membrane, 0, cells).astype(np.uint16))
    np.save(tmp_path / "membrane.npy", membrane.astype(np.float32))
    words = ("segmentation", project, "import", tmp_path / "apart.npy", "--boundaries", tmp_path / "membrane.npy")
    apart = cli(*words, "--json").document
    bridged = cli(*words, "--gap", "0.05", "--json").document
    assert bridged["n_contacts"] > apart["n_contacts"]
    assert not any("dark ridges" in note for note in bridged["notes"])


def test_another_one_is_used_and_deleted(cli: Command, project: Path, tissue_file: Path) -> None:
    first = cli("segmentation", project, "import", f"{tissue_file}:cells", "--json").document["segmentation"]
    second = cli("segmentation", project, "import", f"{tissue_file}:classes", "--json").document["segmentation"]
    assert first != second
    assert cli("segmentation", project, "use", first, "--json").document["current"] == first
    assert cli("segmentation", project, "delete", second, "--json").document["deleted"] == second
    (left,) = cli("segmentation", project, "list", "--json").document["segmentations"]
    assert left["id"] == first


def test_it_explains_what_is_wrong(cli: Command, project: Path, tissue_file: Path, tmp_path: Path) -> None:
    assert is_one_error(cli("segmentation", project, "import"), "LABELS")
    assert is_one_error(cli("segmentation", project, "list", "x"), "nothing else")
    assert is_one_error(cli("segmentation", project, "use", "x"), "no segmentation 'x'")
    assert is_one_error(cli("segmentation", project, "import", tmp_path / "gone.tif"), "no file")
    assert is_one_error(cli("segmentation", project, "import", f"{tissue_file}:cells", "--map", "1=mito"), "1=mito")
    np.save(tmp_path / "small.npy", np.ones((2, 3, 4), np.uint8))
    words = ("segmentation", project, "import", f"{tissue_file}:cells", "--boundaries", tmp_path / "small.npy")
    assert is_one_error(cli(*words), "boundary map")
    assert "no segmentation yet" in cli("segmentation", project).out


def test_of_several_volumes_one_is_named(cli: Command, project: Path, tissue_file: Path, tmp_path: Path) -> None:
    with h5py.File(tissue_file) as source, h5py.File(tmp_path / "second.h5", "w") as file:
        file["raw"] = 255 - source["raw"][...]
        file["raw"].attrs["voxel_size_nm"] = source["raw"].attrs["voxel_size_nm"]
    added = cli("add", project, "--image", f"{tmp_path / 'second.h5'}:raw", "--name", "second", "--json")
    assert added.code == 0, added.err
    words = ("segmentation", project, "import", f"{tissue_file}:cells")
    assert is_one_error(cli(*words), "second", "--volume")
    assert cli(*words, "--volume", "second", "--json").document["volume"] == "second"
    (listed,) = cli("segmentation", project, "--json").document["segmentations"]
    assert listed["volume"] == "second"
    first = next(n for n in (v["name"] for v in cli("volumes", project, "--json").document["volumes"]) if n != "second")
    assert cli("segmentation", project, "--volume", first, "--json").document["segmentations"] == []
