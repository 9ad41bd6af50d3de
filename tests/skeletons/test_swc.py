from __future__ import annotations

import io
from pathlib import Path

import numpy as np
import pytest

from napari_pytc.errors import InvalidInput
from napari_pytc.geometry import VoxelSpace
from napari_pytc.skeletons.skeleton import Skeleton
from napari_pytc.skeletons.swc import read_skeletons, swc_files, write_swc

SPACE = VoxelSpace((40.0, 8.0, 8.0), (400.0, 0.0, 80.0))


def made() -> list[Skeleton]:
    fork = Skeleton(
        17,
        np.array([[400.0, 0, 80], [400, 0, 88], [440, 0, 96], [400, 8, 88], [800, 80, 80]]),
        np.array([[1, 0], [1, 2], [3, 1]]),
        np.array([1.0, 2, 3, 4, 5]),
    )
    line = Skeleton(900, np.array([[480.0, 8, 88], [480, 16, 96]]), np.array([[0, 1]]), np.array([8.0, 8]))
    return [fork, line]


def text_of(unit: str = "nm", space: VoxelSpace = SPACE) -> str:
    file = io.StringIO()
    assert write_swc(made(), file, space, unit, "this program") == 2  # type: ignore[arg-type]
    return file.getvalue()


def lines_of(skeleton: Skeleton) -> list[tuple[tuple[float, ...], ...]]:
    """Its edges by the places of their ends."""
    return sorted(tuple(sorted(map(tuple, np.round(ends, 3).tolist()))) for ends in skeleton.nodes_nm[skeleton.edges])


def test_the_head_says_unit_and_voxel_size_and_parents_come_first() -> None:
    text = text_of()
    assert text.splitlines()[:5] == [
        "# SWC written by this program",
        "# unit: nm",
        "# voxel size z y x (nm): 40 8 8",
        "# origin z y x (nm): 400 0 80",
        "# columns: number type x y z radius parent",
    ]
    rows = [line.split() for line in text.splitlines() if not line.startswith("#")]
    assert [int(row[0]) for row in rows] == list(range(1, 8))
    assert all(int(row[6]) < int(row[0]) for row in rows)
    assert sum(row[6] == "-1" for row in rows) == 3
    assert "voxel size: not known" in text_of("voxels", VoxelSpace.unknown())


@pytest.mark.parametrize("unit", ["nm", "um", "voxels"])
def test_what_was_written_is_read_back(unit: str, tmp_path: Path) -> None:
    (tmp_path / "all.swc").write_text(text_of(unit), encoding="utf-8")
    found, notes = read_skeletons(tmp_path / "all.swc", SPACE)
    assert notes == []
    assert [one.segment for one in found] == [17, 900]
    for one, same in zip(found, made(), strict=True):
        assert lines_of(one) == lines_of(same)
        assert sorted(np.round(one.radii_nm, 3)) == sorted(same.radii_nm)


def test_files_of_other_programs_are_named_by_their_numbers(tmp_path: Path) -> None:
    (tmp_path / "neuron-12.swc").write_text("# from elsewhere\n5 2 0.1 0 0.4 1 -1\n2 2 0.2 0 0.4 1 5\n\n")
    (tmp_path / "other.swc").write_text("1 0 0 0 0 0 -1\n2 0 0 0 1 0 -1\n")
    found, notes = read_skeletons(tmp_path, SPACE)
    assert [one.segment for one in found] == [1, 12]
    assert found[1].nodes_nm.tolist() == [[400, 0, 100], [400, 0, 200]]
    assert "neuron-12.swc and 1 more say no unit: micrometres" in notes[0]
    assert "other.swc names no segment" in notes[1]
    assert "other.swc has 2 roots" in notes[2]
    found, notes = read_skeletons(tmp_path / "neuron-12.swc", SPACE, "voxels")
    assert found[0].nodes_nm[1].tolist() == pytest.approx([0.4 * 40 + 400, 0, 0.2 * 8 + 80])
    assert notes == []


ROOT = "1 0 0 0 0 1 -1\n"


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ("", "no node"),
        ("# unit: nm\n", "no node"),
        ("1 0 0 0 0 1\n", "7 columns, got 6 .line 1"),
        ("<html> a b c d e f\n", "columns are numbers"),
        ("1 0 nan 0 0 1 -1\n", "finite numbers"),
        ("1.5 0 0 0 0 1 -1\n", "finite numbers"),
        (ROOT + "2 0 0 0 0 1 9\n", "parent 9 is no other node.*line 2"),
        (ROOT + "2 0 0 0 0 1 2\n", "parent 2 is no other node"),
        ("1 0 0 0 0 1 -1\n2 0 0 0 0 1 1e30\n", "numbers below 2.63.*line 2"),
        (f"{2**63} 0 0 0 0 1 -1\n", "numbers below 2.63.*line 1"),
        (f"# segment: {2**63}\n" + ROOT, "numbers below 2.63"),
        (f"# segment: {'9' * 5000}\n" + ROOT, "numbers below 2.63"),
        (ROOT + ROOT, "two nodes of number 1"),
        ("1 0 0 0 0 1 2\n2 0 0 0 0 1 1\n", "circle"),
        ("# segment: 1\n" + ROOT + "# segment: 2\n2 0 0 0 0 1 1\n", "edge leaves the skeleton of segment 2"),
        (ROOT + "# segment: 1\n2 0 0 0 0 1 -1\n", "before the line of the first segment"),
        ("# segment: 1\n" + ROOT + "# segment: 1\n2 0 0 0 0 1 -1\n", "different segments"),
        ("# unit: parsec\n" + ROOT, "unit of a.swc must be nm, um or voxels, got 'parsec'"),
    ],
)
def test_what_is_broken_is_refused_in_a_sentence(text: str, fault: str, tmp_path: Path) -> None:
    (tmp_path / "a.swc").write_text(text)
    with pytest.raises(InvalidInput, match=fault):
        read_skeletons(tmp_path / "a.swc", SPACE)


def test_what_is_missing_or_without_a_scale_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InvalidInput, match="cannot be read"):
        read_skeletons(tmp_path / "none.swc", SPACE)
    with pytest.raises(InvalidInput, match="holds no skeletons"):
        read_skeletons(tmp_path, SPACE)
    (tmp_path / "a.swc").write_text("# unit: nanometers\n" + ROOT)
    assert read_skeletons(tmp_path / "a.swc", SPACE)[1] == []
    with pytest.raises(InvalidInput, match="in nm, but the voxel size"):
        read_skeletons(tmp_path / "a.swc", VoxelSpace.unknown())


def test_a_byte_order_mark_and_capitals_are_read(tmp_path: Path) -> None:
    (tmp_path / "a1.SWC").write_bytes(b"\xef\xbb\xbf1 0 0 0 0 1 -1\n")
    (tmp_path / "b2.swc").write_bytes(b"\xef\xbb\xbf# unit: nm\n1 0 0 0 0 1 -1\n")
    assert [one.segment for one in read_skeletons(tmp_path, SPACE)[0]] == [1, 2]
    assert swc_files(tmp_path / "a1.SWC") == []


def test_the_number_of_a_name_is_below_the_largest(tmp_path: Path) -> None:
    path = tmp_path / f"a{2**63}.swc"
    path.write_text(ROOT)
    with pytest.raises(InvalidInput, match=r"the name of a9223372036854775808\.swc says"):
        read_skeletons(path, SPACE)
