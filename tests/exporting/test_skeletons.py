from __future__ import annotations

import csv
from pathlib import Path

import numpy as np
import pytest

from napari_pytc.errors import InvalidInput, VolumeError
from napari_pytc.exporting.jobs import ExportJob
from napari_pytc.exporting.table import COLUMNS, SKELETON_COLUMNS
from napari_pytc.geometry import Box, VoxelSpace
from napari_pytc.jobs.context import JobCancelled
from napari_pytc.labels.original_ids import OriginalIds
from napari_pytc.labels.segmentation import Segmentation
from napari_pytc.skeletons.swc import read_skeletons
from tests.support.faults import StepContext
from tests.support.segmentations import SegmentedTissue, make_segmentation

SHAPE = (6, 40, 50)


@pytest.fixture
def segmented(tmp_path: Path) -> SegmentedTissue:
    return make_segmentation(tmp_path / "segments" / "first", SHAPE, n_cells=6)


def job_of(segmented: SegmentedTissue, output: Path, **options: object) -> ExportJob:
    return ExportJob(segmentation=segmented.segmentation.folder, what="skeletons", output=output, **options)


def ids_of(labels: np.ndarray) -> list[int]:
    return np.unique(labels[labels > 0]).tolist()


def test_one_file_has_the_skeletons_of_all_segments(segmented: SegmentedTissue, tmp_path: Path) -> None:
    ctx = StepContext()
    result = job_of(segmented, tmp_path / "all.swc").run(ctx)
    space = segmented.segmentation.space
    found, notes = read_skeletons(tmp_path / "all.swc", space)
    assert notes == []
    assert [one.segment for one in found] == ids_of(segmented.segments)
    for one in found:
        voxels = np.rint((one.nodes_nm - space.origin_nm) / space.voxel_size_nm).astype(int)
        assert (segmented.segments[tuple(voxels.T)] == one.segment).all()
    assert result["skeletons"] == len(found)
    assert result["nodes"] == sum(one.n_nodes for one in found)
    assert result["path_length_nm"] == pytest.approx(sum(one.length_nm for one in found), rel=1e-6)
    assert (result["format"], result["unit"]) == ("SWC", "nm")
    assert result["voxel_size_nm"] == list(space.voxel_size_nm)
    assert ctx.reports[-1][0] == ctx.reports[-1][1]
    head = (tmp_path / "all.swc").read_text(encoding="utf-8").splitlines()
    assert head[0].startswith("# SWC written by napari-pytc")
    assert head[1] == "# unit: nm"


def test_a_folder_has_a_file_for_each_and_is_replaced_when_asked(segmented: SegmentedTissue, tmp_path: Path) -> None:
    ids = ids_of(segmented.segments)
    wanted = tuple(ids[:2])
    result = job_of(segmented, tmp_path / "swc", segments=wanted, unit="um").run(StepContext())
    assert (result["format"], result["unit"], result["skeletons"]) == ("SWC series", "um", 2)
    assert sorted(int(path.stem) for path in (tmp_path / "swc").glob("*.swc")) == sorted(wanted)
    found, notes = read_skeletons(tmp_path / "swc", segmented.segmentation.space)
    assert ([one.segment for one in found], notes) == (list(wanted), [])
    with pytest.raises(VolumeError, match="already something"):
        job_of(segmented, tmp_path / "swc").run(StepContext())
    job_of(segmented, tmp_path / "swc", overwrite=True, format="swc-series").run(StepContext())
    assert len(list((tmp_path / "swc").glob("*.swc"))) == len(ids)


def test_a_box_cuts_segments_and_those_outside_are_told(segmented: SegmentedTissue, tmp_path: Path) -> None:
    box = Box((0, 0, 0), (6, 8, 8))
    result = job_of(segmented, tmp_path / "a.swc", box=box).run(StepContext())
    inside = ids_of(segmented.segments[box.slices])
    found, _ = read_skeletons(tmp_path / "a.swc", segmented.segmentation.space)
    assert [one.segment for one in found] == inside
    n_outside = len(ids_of(segmented.segments)) - len(inside)
    assert result["notes"] == [f"{n_outside} segments have no voxel in the box, so they have no skeleton."]


def test_ids_are_those_of_the_imported_file(segmented: SegmentedTissue, tmp_path: Path) -> None:
    table = np.arange(int(segmented.segments.max()) + 1, dtype=np.uint64) * np.uint64(2**40)
    OriginalIds(table).save(segmented.segmentation.folder)
    segment = ids_of(segmented.segments)[0]
    job_of(segmented, tmp_path / "swc", segments=(segment * 2**40,)).run(StepContext())
    assert [path.name for path in (tmp_path / "swc").glob("*.swc")] == [f"{segment * 2**40}.swc"]
    job_of(segmented, tmp_path / "shown.swc", segments=(segment,), ids="shown").run(StepContext())
    assert f"# segment: {segment}\n" in (tmp_path / "shown.swc").read_text(encoding="utf-8")


def test_a_table_has_lengths_and_points_of_skeletons(segmented: SegmentedTissue, tmp_path: Path) -> None:
    job_of(segmented, tmp_path / "a.swc", teasar_constant_nm=50).run(StepContext())
    found, _ = read_skeletons(tmp_path / "a.swc", segmented.segmentation.space)
    ExportJob(
        segmentation=segmented.segmentation.folder,
        what="table",
        output=tmp_path / "a.csv",
        skeletons=True,
        teasar_constant_nm=50,
    ).run(StepContext())
    with (tmp_path / "a.csv").open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    assert tuple(rows[0]) == (*COLUMNS, *SKELETON_COLUMNS)
    assert [int(row["id"]) for row in rows] == [one.segment for one in found]
    for row, one in zip(rows, found, strict=True):
        assert float(row["path_length_um"]) == pytest.approx(one.length_nm / 1000, rel=1e-5)
        assert (int(row["branch_points"]), int(row["end_points"])) == (one.n_branch_points, one.n_end_points)


def test_without_a_voxel_size_skeletons_are_in_voxels(
    segmented: SegmentedTissue, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Segmentation, "space", VoxelSpace.unknown())
    result = job_of(segmented, tmp_path / "a.swc").run(StepContext())
    assert (result["unit"], result["path_length_nm"]) == ("voxels", None)
    assert result["notes"] == ["The voxel size is not known: skeletons are in voxels."]
    with pytest.raises(InvalidInput, match="cannot be written in nm"):
        job_of(segmented, tmp_path / "b.swc", unit="nm").run(StepContext())


@pytest.mark.parametrize(
    ("name", "options", "fault"),
    [
        ("a.csv", {}, r"ends in \.swc"),
        ("a.swc", {"format": "tif"}, "swc or swc-series"),
        ("a.swc", {"format": "swc-series"}, "named like one file"),
        ("a.swc", {"segments": (1, 999_999)}, "999999, but there is no such segment"),
        ("a.swc", {"dtype": "uint16"}, "An SWC file has no option dtype"),
        ("a.swc", {"skeletons": True}, "An SWC file has no option skeletons"),
        ("a.swc", {"box": Box((0, 0, 0), (9, 9, 9))}, "box to export"),
    ],
)
def test_what_skeletons_cannot_be_is_refused(
    segmented: SegmentedTissue, tmp_path: Path, name: str, options: dict, fault: str
) -> None:
    with pytest.raises(InvalidInput, match=fault):
        job_of(segmented, tmp_path / name, **options).run(StepContext())
    assert not (tmp_path / name).exists()


@pytest.mark.parametrize("option", [{"unit": "nm"}, {"segments": (1,)}, {"skeletons": True}, {"teasar_scale": 2.0}])
def test_options_of_skeletons_are_refused_elsewhere(segmented: SegmentedTissue, tmp_path: Path, option: dict) -> None:
    def run(what: str, name: str) -> None:
        ExportJob(segmentation=segmented.segmentation.folder, what=what, output=tmp_path / name, **option).run(
            StepContext()
        )

    with pytest.raises(InvalidInput, match="HDF5 has no option"):
        run("segments", "a.h5")
    if "skeletons" not in option:
        with pytest.raises(InvalidInput, match="has no option"):
            run("table", "a.csv")


@pytest.mark.parametrize("name", ["a.swc", "folder"])
def test_a_cancel_leaves_nothing(segmented: SegmentedTissue, tmp_path: Path, name: str) -> None:
    before = sorted(tmp_path.iterdir())
    with pytest.raises(JobCancelled):
        job_of(segmented, tmp_path / name).run(StepContext(fail_at=3))
    assert sorted(tmp_path.iterdir()) == before
