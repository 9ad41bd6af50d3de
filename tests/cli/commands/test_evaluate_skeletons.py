"""evaluate --skeletons, and the commands of the page "Skeletons"."""

from __future__ import annotations

from pathlib import Path

import h5py
import numpy as np
import pytest

from tests.cli.conftest import Command, is_one_error

SIZE = (20.0, 10.0, 10.0)


@pytest.fixture
def tubes(tmp_path: Path) -> Path:
    """Two tubes along x, ids 4 and 9; `split` cuts the first in the middle, `merged` joins both."""
    truth = np.zeros((6, 30, 60), np.uint32)
    truth[2:5, 4:9, 2:58], truth[2:5, 20:25, 2:58] = 4, 9
    split, merged = truth.copy(), np.where(truth, 1, 0).astype(np.uint32)
    split[:, :12, 30:] = np.where(split[:, :12, 30:], 5, 0)
    with h5py.File(tmp_path / "tubes.h5", "w") as file:
        for name, data in (("truth", truth), ("split", split), ("merged", merged)):
            file[name] = data
            file[name].attrs["voxel_size_nm"] = SIZE
        file["unknown"] = truth
    return tmp_path / "tubes.h5"


def test_skeletons_of_true_labels(cli: Command, tubes: Path):
    same = cli("evaluate", f"{tubes}:truth", f"{tubes}:truth", "--skeletons", "--json").document
    assert (same["nerl"], same["unit"], same["voi_split"], same["voi_merge"]) == (1, "nm", 0, 0)
    assert same["erl"] == pytest.approx(550, rel=0.1)
    assert sorted(same["skeletons"]) == ["4", "9"]
    split = cli("evaluate", f"{tubes}:split", f"{tubes}:truth", "--skeletons", "--json").document
    assert split["nerl"] == pytest.approx((1 / 2 + 1) / 2, abs=0.02)
    assert (split["split_edges"], split["merging_segments"]) == (1, 0)
    merged = cli("evaluate", f"{tubes}:merged", f"{tubes}:truth", "--skeletons", "--json").document
    assert (merged["nerl"], merged["share"]["merged"], merged["merging_segments"]) == (0, 1, 1)
    assert merged["voi_merge"] == pytest.approx(1, abs=0.01)
    shown = cli("evaluate", f"{tubes}:split", f"{tubes}:truth", "--skeletons").out
    assert "normalised expected run length (NERL)" in shown
    assert "Note: " in shown
    one = cli("evaluate", f"{tubes}:merged", f"{tubes}:truth", "--skeletons", "--ignore", "9", "--json").document
    assert (one["nerl"], sorted(one["skeletons"])) == (1, ["4"])
    assert cli(
        "evaluate", f"{tubes}:merged", f"{tubes}:truth", "--skeletons", "--tolerated-nodes", "999", "--json"
    ).document["nerl"] == 1  # fmt: skip


def test_given_skeletons(cli: Command, tubes: Path, tmp_path: Path):
    folder = tmp_path / "skeletons"
    folder.mkdir()
    (folder / "4.swc").write_text("# unit: nm\n1 0 50 60 60 1 -1\n2 0 250 60 60 1 1\n3 0 350 60 60 1 2\n")
    (folder / "9.swc").write_text("# unit: nm\n1 0 50 220 60 1 -1\n2 0 150 220 60 1 1\n")
    words = ("evaluate", f"{tubes}:split", folder, "--skeletons")
    document = cli(*words, "--json").document
    assert document["length"] == 400
    assert document["erl"] == pytest.approx((300 * 200 * 200 / 300 + 100 * 100) / 400)
    assert document["nerl"] == pytest.approx(50_000 / 100_000)
    assert document["compared"]["box"] == "0:6,0:30,0:60"
    alone = cli("evaluate", f"{tubes}:unknown", folder / "9.swc", "--skeletons", "--voxel-size", "20,10,10", "--json")
    assert alone.document["nerl"] == 1
    assert is_one_error(cli("evaluate", f"{tubes}:unknown", folder, "--skeletons"), "voxel size", "--voxel-size")
    assert is_one_error(cli(*words, "--unit", "um"), "must lie in the volume", "--unit")
    assert is_one_error(cli(*words, "--teasar-scale", "2"), "--teasar-scale", "truth of labels")
    assert is_one_error(cli(*words, "--box", "0:7,0:1,0:1"), "0:6,0:30,0:60")
    (folder / "9.swc").write_text("1 0 50 220 60 1\n")
    assert is_one_error(cli(*words), "9.swc is no SWC file", "line 1")


def test_unknown_sizes_and_options_of_another_kind(cli: Command, tubes: Path):
    truth = f"{tubes}:truth"
    document = cli("evaluate", truth, f"{tubes}:unknown", "--skeletons", "--json").document
    assert document["unit"] == "nm"
    assert any("that of the prediction was taken" in note for note in document["notes"])
    document = cli("evaluate", f"{tubes}:unknown", f"{tubes}:unknown", "--skeletons", "--json").document
    assert (document["unit"], document["nerl"]) == ("voxels", 1)
    assert is_one_error(cli("evaluate", truth, truth, "--unit", "nm"), "--unit", "--skeletons")
    assert is_one_error(cli("evaluate", truth, truth, "--skeletons", "--unit", "nm"), "--unit", "volume")
    assert is_one_error(cli("evaluate", truth, truth, "--skeletons", "--instances"), "not both")
    assert is_one_error(cli("evaluate", truth, truth, "--skeletons", "--box", "0:1,0:30,0:60"), "no skeleton")
