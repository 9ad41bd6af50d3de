from __future__ import annotations

import csv
from pathlib import Path

import h5py
import numpy as np
import pytest
import tifffile

from napari_pytc.annotations.object_relations import BACKGROUND
from napari_pytc.decoding import DecoderSettings
from napari_pytc.geometry import Box
from napari_pytc.labels.store import LabelStore
from tests.cli.conftest import SHAPE, TINY, Command, is_one_error


def test_segment_makes_objects_of_the_newest_prediction(cli: Command, trained: Path):
    ended = cli("segment", trained, "--json")
    assert ended.code == 0, ended.out
    document = ended.document
    assert document["decoder"]["kind"] == "agglomeration"
    assert document["n_segments"] <= document["n_supervoxels"]
    assert Path(document["folder"]).is_dir()
    (info,) = cli("info", trained, "--json").document["segmentations"]
    assert (info["id"], info["active"]) == (document["segmentation"], True)
    shown = cli("info", trained).out
    assert "Segmentations" in shown
    assert "agglomeration" in shown


@pytest.mark.slow
@pytest.mark.parametrize("decoder", ["watershed", "multicut"])
def test_segment_with_a_decoder_a_box_and_settings(cli: Command, trained: Path, decoder: str):
    words = ("segment", trained, "--decoder", decoder, "--box", "0:6,0:40,0:44", "smallest_um3=0.00001")
    ended = cli(*words, "--boundary-class", "membrane", "--workers", "2", "--json")
    assert ended.code == 0, ended.out
    assert ended.document["decoder"]["kind"] == decoder
    assert ended.document["decoder"]["smallest_um3"] == 0.00001


@pytest.mark.slow
def test_a_class_restricts_the_objects(cli: Command, trained: Path):
    words = ("segment", trained, "--decoder", "components", "object_class=inside", "--mask-class", "inside", "--json")
    assert cli(*words).code == 0
    assert cli(*words, "--mask-mode", "not_through").code == 0
    assert len(cli("info", trained, "--json").document["segmentations"]) == 2


@pytest.mark.slow
def test_a_model_of_another_project_is_segmented_as_its_recipe_says(
    cli: Command, project: Path, tissue_file: Path, tmp_path: Path
) -> None:
    recipe = ("decoder.kind=components", "decoder.object_class=inside", "decoder.smallest_um3=0.0")
    trained = cli("train", project, "--recipe", "instant", *TINY, "steps=30", *recipe, "--json")
    assert trained.code == 0, trained.err
    other = tmp_path / "other.pytc"
    assert cli("new", other, "--image", f"{tissue_file}:raw", "--classes", "inside,mito,membrane").code == 0
    predicted = cli("predict", other, "--model", trained.document["folder"], "device=cpu", "--json")
    assert predicted.code == 0, predicted.err
    document = cli("segment", other, "--json").document
    assert (document["decoder"]["kind"], document["decoder"]["object_class"]) == ("components", "inside")
    assert document["notes"] == []
    exported = cli("export", other, tmp_path / "c.h5", "--json").document  # inside is 1, membrane is 3 there
    assert exported["notes"] == []
    with h5py.File(tmp_path / "c.h5") as file:
        assert set(np.unique(file["main"][...])) <= {1, 3}


def test_segment_tells_people_what_comes_next(cli: Command, trained: Path):
    shown = cli("segment", trained, "--model", cli("models", trained, "--json").document["models"][0]["id"]).out
    assert "supervoxels" in shown
    assert "--what segments" in shown


@pytest.mark.slow
def test_supervoxels_are_grouped_anew(cli: Command, trained: Path):
    first = cli("segment", trained, "threshold=0.95", "--json").document
    again = cli("segment", trained, "--regroup", "threshold=0.01", "--json").document
    assert again["segmentation"] == first["segmentation"]
    assert again["decoder"]["threshold"] == 0.01
    assert again["n_segments"] <= first["n_segments"]
    assert "of the same" in cli("segment", trained, "--regroup", "threshold=0.5").out
    joined = cli("segment", trained, "--regroup", "threshold=0.95", "smallest_um3=1000", "--json").document
    assert any("smaller than smallest_um3=1000 µm³" in note for note in joined["notes"])
    assert "Note: " in cli("segment", trained, "--regroup", "threshold=0.95", "smallest_um3=1000").out


def test_segment_before_any_prediction(cli: Command, project: Path):
    assert is_one_error(cli("segment", project), "no prediction yet", "napari-pytc predict")
    assert is_one_error(cli("segment", project, "--regroup"), "no segmentation yet")


@pytest.mark.slow
def test_segment_explains_what_is_wrong(cli: Command, trained: Path):
    assert is_one_error(cli("segment", trained, "--decoder", "guess"), "'guess'", "agglomeration")
    assert is_one_error(cli("segment", trained, "threshold=7"), "threshold")
    assert is_one_error(cli("segment", trained, "treshold=0.7"), "treshold")
    assert is_one_error(cli("segment", trained, "--mask-class", "axon"), "'axon'")
    assert is_one_error(cli("segment", trained, "--box", "0:99,0:1,0:1"), "0:99")
    assert is_one_error(cli("segment", trained, "--model", "m", "--prediction", "p"), "not both")
    assert is_one_error(cli("segment", trained, "--workers", "0"), "workers", code=2)
    assert cli("info", trained, "--json").document["segmentations"] == []


@pytest.mark.parametrize("name", ["out.tif", "out.h5"])
def test_segments_are_exported(cli: Command, segmented: Path, tmp_path: Path, name: str):
    ended = cli("export", segmented, "--what", "segments", tmp_path / name, "--json")
    assert ended.code == 0, ended.out
    assert (ended.document["shape"], ended.document["dtype"]) == (list(SHAPE), "uint32")
    if name == "out.tif":
        assert tifffile.imread(tmp_path / name).max() > 0


@pytest.mark.slow
def test_a_table_of_the_segments_fits_their_export(cli: Command, segmented: Path, tmp_path: Path):
    ended = cli("export", segmented, "--what", "table", tmp_path / "t.csv", "--json")
    assert ended.code == 0, ended.out
    assert cli("export", segmented, "--what", "segments", tmp_path / "s.h5", "--json").code == 0
    with h5py.File(tmp_path / "s.h5") as file:
        labels = file["main"][...]
    with (tmp_path / "t.csv").open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    assert ended.document["rows"] == len(rows)
    assert {int(row["id"]): int(row["voxels"]) for row in rows} == {
        int(k): int(n) for k, n in zip(*np.unique(labels[labels > 0], return_counts=True), strict=True)
    }
    assert "rows" in cli("export", segmented, "--what", "table", tmp_path / "t2.csv").out


@pytest.mark.slow
def test_an_older_segmentation_is_exported_by_its_id(cli: Command, segmented: Path, tmp_path: Path):
    (first,) = cli("info", segmented, "--json").document["segmentations"]
    assert cli("segment", segmented, "--decoder", "components", "object_class=inside", "--json").code == 0
    words = ("export", segmented, "--what", "table", "--segmentation", first["id"], tmp_path / "t.csv", "--json")
    assert cli(*words).document["rows"] == first["n_segments"]


def test_export_of_segments_explains_what_is_wrong(cli: Command, trained: Path, tmp_path: Path):
    out = tmp_path / "o.tif"
    assert is_one_error(cli("export", trained, "--what", "segments", out), "no segmentation yet", "napari-pytc segment")
    assert is_one_error(cli("export", trained, "--what", "segments", "--model", "m", out), "--segmentation")
    assert is_one_error(cli("export", trained, "--segmentation", "s", out), "--what segments")
    assert not out.exists()


@pytest.mark.slow
def test_objects_to_learn_from(cli: Command, project: Path, tissue_file: Path):
    with h5py.File(tissue_file) as file:
        cells = file["cells"][...]
    ended = cli("annotate", project, f"{tissue_file}:cells", "--instances", "--dense", "--json")
    assert ended.code == 0, ended.out
    n = len(np.unique(cells[cells > 0]))
    assert (ended.document["objects"], ended.document["voxels"]) == (n, np.count_nonzero(cells))
    stored = LabelStore.open(project / "volumes/v1/objects.zarr").read(Box.of_shape(SHAPE))
    assert np.array_equal(stored, np.where(cells > 0, cells, np.int64(BACKGROUND)))
    assert cli("info", project, "--json").document["objects"]
    assert "Single objects are annotated" in cli("info", project).out
    assert "--recipe neurites" in cli("annotate", project, f"{tissue_file}:cells", "--instances").out


def test_annotate_objects_explains_what_is_wrong(cli: Command, project: Path, tissue_file: Path, tmp_path: Path):
    np.save(tmp_path / "none.npy", np.zeros(SHAPE, np.uint8))
    assert is_one_error(cli("annotate", project, f"{tissue_file}:cells", "--dense"), "background")
    assert is_one_error(cli("annotate", project, tmp_path / "none.npy", "--instances"), "no object")
    words = ("annotate", project, f"{tissue_file}:cells", "--instances", "--offset", "9,0,0")
    assert is_one_error(cli(*words), "--offset")


@pytest.mark.slow
def test_help_lists_the_decoders_that_are_installed(cli: Command) -> None:
    words = " ".join(cli("segment", "--help").out.replace("│", " ").split())
    for kind in DecoderSettings.variants():
        assert kind in words
