"""A model folder is complete or absent, explains itself, and is refused when it cannot be trusted."""

from __future__ import annotations

import errno
import json
import re
import shutil
from pathlib import Path

import numpy as np
import pytest

from napari_pytc.errors import ModelError
from napari_pytc.plans.model_folder import (
    ModelInfo,
    copy_model,
    read_model_info,
    read_normalisation,
    rename_model,
    weights_path,
    write_model_folder,
)
from napari_pytc.plans.normalisation import Normalisation
from napari_pytc.plans.plan import TrainPlan
from napari_pytc.volumes.statistics import IntensityStatistics
from tests.support.images import one_channel

FILES = {"weights.safetensors", "plan.json", "normalisation.json", "provenance.json", "scores.json"}
NORMALISATION = one_channel(mean=100, std=20, low=10, high=200)


def statistics_of(**changes: float) -> IntensityStatistics:
    values: dict[str, float] = {"mean": 100, "std": 20, "low": 40, "high": 160, "minimum": 0, "maximum": 255}
    return IntensityStatistics.model_validate({"n_nonfinite": 0, "n_sampled": 1000} | values | changes)


def make_info(**changes: object) -> ModelInfo:
    values: dict[str, object] = {
        "id": "m1",
        "name": "first",
        "recipe": "fast",
        "classes": ("membrane", "inside"),
        "voxel_size_nm": (40.0, 4.0, 4.0),
        "plan": TrainPlan(steps=7),
        "scores": {"dice": {"membrane": 0.5, "inside": float("nan")}, "mean": 0.5},
        "limits": {"halo": (2, 8, 8), "alignment": (1, 4, 4)},
        "n_annotated": {"membrane": 10, "inside": 20},
    }
    return ModelInfo.model_validate(values | changes)


def write(folder: Path, **changes: object) -> ModelInfo:
    info = make_info(**changes)
    write_model_folder(folder, info, NORMALISATION, lambda path: path.write_bytes(b"weights") and None)
    return info


def test_written_is_read(tmp_path: Path) -> None:
    info = write(tmp_path / "models" / "m1")
    assert {p.name for p in (tmp_path / "models" / "m1").iterdir()} == FILES
    read = read_model_info(tmp_path / "models" / "m1")
    assert read.model_copy(update={"scores": {}}) == info.model_copy(update={"scores": {}})
    assert read.scores == {"dice": {"membrane": 0.5, "inside": None}, "mean": 0.5}
    assert read.created.endswith("+00:00")
    assert "numpy" in read.versions
    assert read_normalisation(tmp_path / "models" / "m1") == NORMALISATION
    assert weights_path(tmp_path / "models" / "m1").read_bytes() == b"weights"


@pytest.mark.parametrize(
    ("change", "known"),
    [
        ({"voxel_size_nm": [40.0, 4.0, 4.0]}, (40.0, 4.0, 4.0)),
        ({"voxel_size_nm": [1.0, 1.0, 1.0]}, None),
        ({"voxel_size_nm": None}, None),
        ({"voxel_size_nm": [1.0, 1.0, 1.0], "is_voxel_size_known": True}, (1.0, 1.0, 1.0)),
    ],
)
def test_a_voxel_size_of_1_nm_of_version_0_2_is_one_that_is_not_known(
    tmp_path: Path, change: dict[str, object], known: tuple[float, float, float] | None
) -> None:
    write(tmp_path / "m1")
    provenance = json.loads((tmp_path / "m1" / "provenance.json").read_text())
    del provenance["is_voxel_size_known"]
    content = {name: value for name, value in {**provenance, **change}.items() if value is not None}
    (tmp_path / "m1" / "provenance.json").write_text(json.dumps(content))
    assert read_model_info(tmp_path / "m1").known_voxel_size_nm == known


def test_a_copy_elsewhere_is_the_same_model(tmp_path: Path) -> None:
    info = write(tmp_path / "m1")
    shutil.copytree(tmp_path / "m1", tmp_path / "elsewhere" / "renamed")
    shutil.rmtree(tmp_path / "m1")
    assert read_model_info(tmp_path / "elsewhere" / "renamed").id == info.id


def test_a_failure_while_writing_leaves_nothing(tmp_path: Path) -> None:
    def fail(path: Path) -> None:
        path.write_bytes(b"half")
        raise OSError("no space left on device")

    with pytest.raises(OSError, match="no space"):
        write_model_folder(tmp_path / "m1", make_info(), NORMALISATION, fail)
    assert list(tmp_path.iterdir()) == []


def test_a_failure_while_replacing_keeps_the_former_model(tmp_path: Path) -> None:
    write(tmp_path / "m1", name="former")
    with pytest.raises(ZeroDivisionError):
        write_model_folder(tmp_path / "m1", make_info(), NORMALISATION, lambda path: 1 // 0)
    assert read_model_info(tmp_path / "m1").name == "former"
    write(tmp_path / "m1", name="later")
    assert read_model_info(tmp_path / "m1").name == "later"
    assert [p.name for p in tmp_path.iterdir()] == ["m1"]


@pytest.mark.parametrize("name", sorted(FILES - {"normalisation.json"}))
def test_a_missing_file_is_named(tmp_path: Path, name: str) -> None:
    write(tmp_path / "m1")
    (tmp_path / "m1" / name).unlink()
    with pytest.raises(ModelError, match=name):
        read_model_info(tmp_path / "m1")


def test_a_missing_normalisation_is_named(tmp_path: Path) -> None:
    write(tmp_path / "m1")
    (tmp_path / "m1" / "normalisation.json").unlink()
    with pytest.raises(ModelError, match=r"normalisation\.json"):
        read_normalisation(tmp_path / "m1")


@pytest.mark.parametrize("name", ["plan.json", "provenance.json", "scores.json"])
@pytest.mark.parametrize("content", [b'{"half":', b"\xff\xfe", b"[]"])
def test_a_damaged_file_is_named(tmp_path: Path, name: str, content: bytes) -> None:
    write(tmp_path / "m1")
    (tmp_path / "m1" / name).write_bytes(content)
    with pytest.raises(ModelError, match=name):
        read_model_info(tmp_path / "m1")


def test_no_folder_and_a_strange_folder(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="no model folder"):
        read_model_info(tmp_path / "nowhere")
    (tmp_path / "provenance.json").write_text("{}")
    with pytest.raises(ModelError, match="not a model"):
        read_model_info(tmp_path)


def test_a_newer_format_is_refused_in_words(tmp_path: Path) -> None:
    write(tmp_path / "m1")
    path = tmp_path / "m1" / "provenance.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), "schema_version": 2, "unheard_of": 1}))
    with pytest.raises(ModelError, match="newer napari-pytc") as caught:
        read_model_info(tmp_path / "m1")
    assert "--upgrade" in caught.value.hint


@pytest.mark.parametrize("change", [{"classes": []}, {"steps": "many"}, {"id": ""}])
def test_a_value_that_cannot_be_is_named(tmp_path: Path, change: dict[str, object]) -> None:
    write(tmp_path / "m1")
    path = tmp_path / "m1" / "provenance.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), **change}))
    with pytest.raises(ModelError, match=next(iter(change))):
        read_model_info(tmp_path / "m1")


def test_a_network_that_is_not_installed_is_named(tmp_path: Path) -> None:
    write(tmp_path / "m1")
    path = tmp_path / "m1" / "plan.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), "network": {"kind": "of_tomorrow"}}))
    with pytest.raises(ModelError, match="of_tomorrow"):
        read_model_info(tmp_path / "m1")


def test_normalisation_scales_clips_and_fills() -> None:
    array = np.array([[[100.0, 120.0, -1e6, 1e6, np.nan, np.inf, -np.inf]]], np.float32)
    before = array.copy()
    found = NORMALISATION.apply(array)
    assert found.dtype == np.float32
    np.testing.assert_allclose(found[0, 0], [0, 1, -4.5, 5, 0, 0, 0], rtol=1e-6)
    np.testing.assert_array_equal(array, before)


@pytest.mark.parametrize("dtype", ["uint8", "uint16", "int16", "float32", "float64", ">f4", "bool"])
def test_normalisation_takes_every_type(dtype: str) -> None:
    array = np.array([0, 1], dtype).reshape(1, 1, 2)
    found = Normalisation(mean=0.5, std=0.5, low=0, high=1).apply(array)
    assert found.dtype == np.dtype("float32")
    np.testing.assert_allclose(found[0, 0], [-1, 1])


def test_normalisation_of_statistics_widens_the_range() -> None:
    found = Normalisation.from_statistics(statistics_of())
    assert (found.mean, found.std) == (100, 20)
    assert found.low == pytest.approx(10)
    assert found.high == pytest.approx(190)


def test_padding_does_not_clip_the_tissue_away() -> None:
    found = Normalisation.from_statistics(statistics_of(low=0, high=0))
    assert found.high > 255


@pytest.mark.parametrize(
    ("statistics", "words"),
    [
        (statistics_of(std=0, low=7, high=7, minimum=7, maximum=7, mean=7), "nothing can be learnt from a constant"),
        (statistics_of(mean=float("nan"), std=float("nan"), n_sampled=0), "no finite number"),
    ],
)
def test_a_volume_without_contrast_is_refused(statistics: IntensityStatistics, words: str) -> None:
    with pytest.raises(ModelError, match=words):
        Normalisation.from_statistics(statistics)


def test_a_copy_gets_the_name_that_was_asked_or_that_of_the_model(tmp_path: Path) -> None:
    info = write(tmp_path / "m1")
    named = copy_model(tmp_path / "m1", tmp_path / "new" / "other")
    assert named == tmp_path / "new" / "other"
    within = copy_model(tmp_path / "m1", tmp_path / "new")
    assert within == tmp_path / "new" / "m1"
    for copy in (named, within):
        assert {path.name for path in copy.iterdir()} == FILES
        assert read_model_info(copy).id == info.id
        assert weights_path(copy).read_bytes() == b"weights"


def test_a_copy_leaves_behind_what_is_not_of_the_model(tmp_path: Path) -> None:
    write(tmp_path / "m1")
    (tmp_path / "m1" / "notes.txt").write_text("mine")
    copied = copy_model(tmp_path / "m1", tmp_path / "copy")
    assert {path.name for path in copied.iterdir()} == FILES


@pytest.mark.parametrize("kind", ["file", "model"])
def test_nothing_is_replaced_by_a_copy(tmp_path: Path, kind: str) -> None:
    write(tmp_path / "m1")
    if kind == "file":
        target = destination = tmp_path / "taken"
        target.write_text("mine")
    else:
        destination = tmp_path / "models"
        target = destination / "m1"
        write(target, name="mine")
    with pytest.raises(ModelError, match=f"There is already something at {re.escape(str(target))}"):
        copy_model(tmp_path / "m1", destination)
    assert target.read_text() == "mine" if kind == "file" else read_model_info(target).name == "mine"


@pytest.mark.parametrize("name", sorted(FILES))
def test_an_incomplete_model_is_not_copied(tmp_path: Path, name: str) -> None:
    write(tmp_path / "m1")
    (tmp_path / "m1" / name).unlink()
    with pytest.raises(ModelError, match=re.escape(name)):
        copy_model(tmp_path / "m1", tmp_path / "copy")
    assert not (tmp_path / "copy").exists()


def test_a_disk_that_refuses_leaves_no_half_of_a_copy(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write(tmp_path / "m1")

    def fill_up(source: Path, target: Path) -> None:
        if source.name == "scores.json":
            raise OSError(errno.ENOSPC, "No space left on device")
        target.write_bytes(source.read_bytes())

    monkeypatch.setattr("napari_pytc.plans.model_folder.shutil.copyfile", fill_up)
    with pytest.raises(ModelError, match=r"could not be copied to .*: No space left on device\."):
        copy_model(tmp_path / "m1", tmp_path / "copies" / "m1")
    assert list((tmp_path / "copies").iterdir()) == []


def test_a_model_with_another_name_is_the_same_otherwise(tmp_path: Path) -> None:
    before = write(tmp_path / "m1")
    rename_model(tmp_path / "m1", "membranes of March")
    after = read_model_info(tmp_path / "m1")
    assert after.name == "membranes of March"
    assert after.id == before.id
    assert after.model_copy(update={"name": before.name, "scores": {}}) == before.model_copy(update={"scores": {}})


def test_a_model_that_is_not_there_cannot_be_renamed(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="There is no model folder"):
        rename_model(tmp_path / "m1", "any")
    assert not (tmp_path / "m1").exists()
