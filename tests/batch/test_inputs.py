"""Which volumes words stand for, and how their outputs are called."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import tifffile

from napari_pytc.batch.inputs import STATE, check_outputs, find_inputs, output_names, without_outputs
from napari_pytc.errors import InvalidInput
from napari_pytc.geometry import VoxelSpace
from napari_pytc.volumes.zarr_output import create_ome_zarr


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """A folder with two stacks, an array, a Zarr, a text and a hidden file; a folder of sections in it."""
    folder = tmp_path / "data"
    (folder / "sections").mkdir(parents=True)
    for name in ("b.tif", "a.tif", "sections/s_0.tif", "sections/s_1.tif"):
        tifffile.imwrite(
            folder / name, np.zeros((4, 5) if "/" in name else (3, 4, 5), np.uint8), photometric="minisblack"
        )
    np.save(folder / "c.npy", np.zeros((3, 4, 5), np.uint8))
    create_ome_zarr(folder / "d.zarr", (3, 4, 5), np.uint8, VoxelSpace())
    (folder / "readme.txt").write_text("what is in it")
    (folder / ".hidden.tif").write_bytes(b"")
    return folder


def names(paths: tuple[str, ...], folder: Path) -> list[str]:
    return [str(Path(path).relative_to(folder)) for path in paths]


def test_a_folder_is_all_volumes_in_it(data: Path) -> None:
    found = find_inputs([str(data)])
    assert names(found.paths, data) == ["a.tif", "b.tif", "c.npy", "d.zarr"]
    assert any("readme.txt" in note and "sections" in note for note in found.notes)
    assert any("--sections" in note for note in found.notes)


def test_containers_files_and_sections_are_one_volume_each(data: Path) -> None:
    assert names(find_inputs([str(data / "d.zarr"), str(data / "a.tif")]).paths, data) == ["d.zarr", "a.tif"]
    assert names(find_inputs([str(data / "sections")]).paths, data) == ["sections/s_0.tif", "sections/s_1.tif"]
    assert names(find_inputs([str(data / "sections")], sections=True).paths, data) == ["sections"]
    assert find_inputs(["https://host/a.zarr"]).paths == ("https://host/a.zarr",)


def test_patterns_match_and_their_dataset_is_that_of_each_file(data: Path) -> None:
    assert names(find_inputs([f"{data}/?.tif"]).paths, data) == ["a.tif", "b.tif"]
    assert names(find_inputs([f"{data}/**/*.tif"]).paths, data) == [
        "a.tif",
        "b.tif",
        "sections/s_0.tif",
        "sections/s_1.tif",
    ]
    assert names(find_inputs([f"{data}/*.tif:0"]).paths, data) == ["a.tif:0", "b.tif:0"]


def test_what_is_named_twice_is_done_once_and_told(data: Path) -> None:
    found = find_inputs([str(data / "a.tif"), f"{data}/*.tif"])
    assert names(found.paths, data) == ["a.tif", "b.tif"]
    assert "more than once" in found.notes[0]


def test_what_names_nothing_is_refused(data: Path, tmp_path: Path) -> None:
    with pytest.raises(InvalidInput, match="No file or folder matches"):
        find_inputs([f"{data}/*.mrc"])
    with pytest.raises(InvalidInput, match="no file or folder"):
        find_inputs([str(data / "gone.tif")])
    (tmp_path / "empty").mkdir()
    with pytest.raises(InvalidInput, match="holds no file"):
        find_inputs([str(tmp_path / "empty")])


@pytest.mark.parametrize(("paths", "expected", "n_notes"), [
    (["/d/cells.ome.tif", "/d/a b.nii.gz"], ["cells_classes.tif", "a-b_classes.tif"], 0),
    (["/a/1.tif", "/b/1.tif", "/b/2.tif"], ["a-1_classes.tif", "b-1_classes.tif", "2_classes.tif"], 1),
    (["/a/x.h5:raw", "/a/x.h5:em/raw"], ["x-raw_classes.tif", "x-em-raw_classes.tif"], 1),
    (["/a/x.h5", "/a/x.tif"], ["x-1_classes.tif", "x-2_classes.tif"], 1),
    (["/a/X.tif", "/b/x.tif"], ["a-X_classes.tif", "b-x_classes.tif"], 1),
])  # fmt: skip
def test_outputs_have_different_names_and_it_is_told(paths: list[str], expected: list[str], n_notes: int) -> None:
    found, notes = output_names(paths, "classes", ".tif")
    assert found == expected
    assert len(notes) == n_notes
    assert all("would have the same name" in note for note in notes)


def test_a_made_up_name_that_is_taken_is_changed_again() -> None:
    found, _ = output_names(["/a/1.tif", "/b/1.tif", "/c/a-1.tif"], "classes", ".tif")
    assert len(set(found)) == 3


def test_results_of_an_earlier_run_are_no_inputs(data: Path) -> None:
    (data / STATE).mkdir()
    for name in ("b.tif", "d.zarr"):
        (data / STATE / f"{name}.json").write_text("{}")
    for words in ([str(data)], [str(data / "a.tif"), str(data / "b.tif"), str(data / "c.npy"), f"{data}/*.zarr"]):
        found = without_outputs(find_inputs(words))
        assert names(found.paths, data) == ["a.tif", "c.npy"]
        assert any("results of apply themselves: b.tif, d.zarr. --include-results" in note for note in found.notes)
    with pytest.raises(InvalidInput, match="nothing to apply the model to") as caught:
        without_outputs(find_inputs([f"{data / 'b.tif'}:0"]))
    assert "--include-results" in caught.value.hint
    url = find_inputs(["https://host/a.zarr"])
    assert without_outputs(url) is url


def test_no_output_replaces_an_input(data: Path) -> None:
    paths = [str(data / "a.tif"), f"{data / 'c.npy'}:0"]
    check_outputs(data, paths, ["a_classes.tif", "c_classes.tif"])
    with pytest.raises(InvalidInput, match=r"The output of .*a\.tif would be .*c\.npy, which is one of the inputs"):
        check_outputs(data, paths, ["c.npy", "c_classes.tif"])
    for inside in (data / "d.zarr", data / "d.zarr" / "results"):
        with pytest.raises(InvalidInput, match=r"d\.zarr is one of the inputs as a whole"):
            check_outputs(inside, [str(data / "d.zarr")], ["d_classes.tif"])
