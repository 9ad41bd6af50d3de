"""A model folder is complete or absent, explains itself, and is refused when it cannot be trusted."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest

from napari_pytc.errors import ModelError
from napari_pytc.learning.config import TrainPlan
from napari_pytc.learning.model_folder import (
    ModelInfo,
    Normalisation,
    read_model_info,
    read_normalisation,
    weights_path,
    write_model_folder,
)
from napari_pytc.volumes.statistics import IntensityStatistics

FILES = {"weights.safetensors", "plan.json", "normalisation.json", "provenance.json", "scores.json"}
NORMALISATION = Normalisation(mean=100, std=20, low=10, high=200)


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
