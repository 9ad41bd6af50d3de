from __future__ import annotations

from pathlib import Path

import h5py
import numpy as np
import pytest

from tests.cli.conftest import Command, is_one_error


def test_classes_against_themselves(cli: Command, tissue_file: Path):
    ended = cli("evaluate", f"{tissue_file}:classes", f"{tissue_file}:classes", "--json")
    document = ended.document
    assert (document["dice"], document["iou"]) == ({"1": 1.0, "2": 1.0}, {"1": 1.0, "2": 1.0})
    n = 12 * 40 * 44
    assert document["compared"] == {
        "voxels": n, "compared": n, "left_out": 0, "truth_0": 0, "box": "0:12,0:40,0:44"
    }  # fmt: skip
    assert document["notes"] == [f"All {n} voxels were compared."]
    assert "1.000" in cli("evaluate", f"{tissue_file}:classes", f"{tissue_file}:classes", "--classes").out


def test_ignore_and_box_choose_the_voxels(cli: Command, tmp_path: Path):
    truth = np.zeros((2, 4, 4), np.uint8)
    truth[0], truth[1, 0] = 1, 2
    ours = truth.copy()
    ours[1, 1:] = 1
    np.save(tmp_path / "truth.npy", truth)
    np.save(tmp_path / "ours.npy", ours)
    words = ("evaluate", tmp_path / "ours.npy", tmp_path / "truth.npy", "--json")
    assert cli(*words).document["dice"] == {"1": 1.0, "2": 1.0}
    everywhere = cli(*words, "--ignore", "-1").document["dice"]
    assert everywhere["1"] == pytest.approx(2 * 16 / (16 + 28))
    assert cli(*words, "--ignore", "2").document["dice"]["1"] == pytest.approx(2 * 16 / (16 + 28))
    assert cli(*words, "--ignore", "-1", "--box", "0:1,0:4,0:4").document["dice"] == {"1": 1.0}


def test_instances(cli: Command, tissue_file: Path, tmp_path: Path):
    with h5py.File(tissue_file) as file:
        cells = file["cells"][...]
    np.save(tmp_path / "one.npy", np.ones_like(cells))
    same = cli("evaluate", f"{tissue_file}:cells", f"{tissue_file}:cells", "--instances", "--json").document
    assert (same["voi_split"], same["voi_merge"], same["arand"]) == pytest.approx((0, 0, 0))
    assert (same["average_precision"], same["average_precision_50"]) == (1.0, 1.0)
    merged = cli("evaluate", tmp_path / "one.npy", f"{tissue_file}:cells", "--instances", "--json").document
    share = np.bincount(cells.ravel())[1:] / cells.size
    share = share[share > 0]
    assert merged["voi_split"] == pytest.approx(0)
    assert merged["voi_merge"] == pytest.approx(-(share * np.log2(share)).sum())
    shown = cli("evaluate", tmp_path / "one.npy", f"{tissue_file}:cells", "--instances").out
    assert "bits" in shown
    assert "average precision, IoU 0.5 to 0.95" in shown


def test_evaluate_explains_what_is_wrong(cli: Command, tissue_file: Path, tmp_path: Path):
    np.save(tmp_path / "small.npy", np.ones((1, 2, 3), np.uint8))
    truth = f"{tissue_file}:classes"
    assert is_one_error(cli("evaluate", tmp_path / "small.npy", truth), "shape")
    assert is_one_error(cli("evaluate", truth, truth, "--box", "0:13,0:4,0:4"), "0:12,0:40,0:44")
    assert is_one_error(cli("evaluate", truth, truth, "--classes", "--instances"), "not both")
    assert is_one_error(cli("evaluate", f"{tissue_file}:none", truth), "none")
    assert is_one_error(cli("evaluate", tmp_path / "missing.tif", truth), "missing.tif")


def test_what_was_left_out_is_told(cli: Command, tmp_path: Path):
    truth = np.zeros((2, 4, 5), np.uint8)
    truth[0, 0] = 1
    np.save(tmp_path / "truth.npy", truth)
    np.save(tmp_path / "ones.npy", np.ones_like(truth))
    words = ("evaluate", tmp_path / "ones.npy", tmp_path / "truth.npy")
    document = cli(*words, "--json").document
    assert document["dice"] == {"1": 1.0}
    assert (document["compared"]["compared"], document["compared"]["left_out"]) == (5, 35)
    assert "5 of 40 voxels (12.5%) were compared; 35 whose truth is 0 were left out" in document["notes"][0]
    assert "--ignore -1" in document["notes"][1]
    assert "Note: 5 of 40 voxels" in cli(*words).out
    everything = cli(*words, "--ignore", "-1", "--json").document
    assert everything["dice"]["1"] == pytest.approx(2 * 5 / (5 + 40))
    assert everything["notes"] == ["All 40 voxels were compared."]
    objects = cli(*words, "--instances", "--json").document
    assert objects["compared"]["truth_0"] == 35
    assert (objects["compared"]["predicted_objects"], objects["compared"]["truth_objects"]) == (1, 1)
    assert "adapted Rand error leaves them out" in objects["notes"][1]


def test_values_of_masks_are_mapped(cli: Command, tmp_path: Path):
    truth = np.zeros((2, 4, 5), np.uint8)
    truth[0, 0] = 255
    np.save(tmp_path / "truth.npy", truth)
    np.save(tmp_path / "ours.npy", truth > 0)
    words = ("evaluate", tmp_path / "ours.npy", tmp_path / "truth.npy", "--ignore", "-1")
    assert cli(*words, "--json").document["dice"]["1"] == 0
    assert cli(*words, "--map", "255=1", "--json").document["dice"] == {"0": 1.0, "1": 1.0}
    assert is_one_error(cli(*words, "--map", "255=mito"), "numbers", "255=mito")


def test_evaluate_takes_channels(cli: Command, tmp_path: Path):
    truth = np.random.default_rng(0).integers(1, 3, (2, 9, 9)).astype(np.uint8)
    np.save(tmp_path / "truth.npy", np.stack([3 - truth, truth]))
    np.save(tmp_path / "ours.npy", np.stack([truth, 3 - truth]))
    words = ("evaluate", tmp_path / "ours.npy", tmp_path / "truth.npy", "--channel", "0")
    assert is_one_error(cli(*words), "channel")
    assert cli(*words, "--truth-channel", "1", "--json").document["dice"] == {"1": 1.0, "2": 1.0}


def test_means_accuracies_and_confusion(cli: Command, tmp_path: Path):
    np.save(tmp_path / "truth.npy", np.array([[[1, 1, 1, 2, 2, 2, 2, 0]]], np.uint8))
    np.save(tmp_path / "ours.npy", np.array([[[1, 1, 2, 2, 2, 2, 3, 1]]], np.uint8))
    words = ("evaluate", tmp_path / "ours.npy", tmp_path / "truth.npy")
    document = cli(*words, "--json").document
    assert document["class_accuracy"] == {"1": pytest.approx(2 / 3), "2": pytest.approx(3 / 4), "3": None}
    assert document["mean_accuracy"] == pytest.approx((2 / 3 + 3 / 4) / 2)
    assert document["pixel_accuracy"] == pytest.approx(5 / 7)
    assert document["mean_iou"] == pytest.approx((2 / 3 + 3 / 5 + 0) / 3)
    assert document["mean_dice"] == pytest.approx((4 / 5 + 3 / 4 + 0) / 3)
    assert document["confusion"] == {"classes": [1, 2, 3], "voxels": [[2, 1, 0], [0, 3, 1], [0, 0, 0]]}
    shown = cli(*words).out
    assert "as 3" in shown
    assert "all voxels" in shown


def test_average_precision_of_each_class(cli: Command, tmp_path: Path):
    # Objects 1 and 2 are found; 3 is found with the class of 2 instead of its own; 4 has no class at all.
    truth = np.array([[[1, 1, 0, 2, 2, 0, 3, 3, 0, 4]]], np.uint32)
    ours = np.array([[[5, 5, 0, 6, 6, 0, 7, 7, 0, 0]]], np.uint32)
    np.save(tmp_path / "truth.npy", truth)
    np.save(tmp_path / "ours.npy", ours)
    np.save(tmp_path / "truth_classes.npy", np.array([[[1, 0, 0, 2, 2, 0, 1, 1, 0, 0]]], np.uint8))
    np.save(tmp_path / "ours_classes.npy", np.array([[[1, 1, 0, 2, 2, 0, 2, 0, 0, 0]]], np.uint8))
    words = ("evaluate", tmp_path / "ours.npy", tmp_path / "truth.npy", "--instances")
    classes = ("--predicted-classes", tmp_path / "ours_classes.npy", "--truth-classes", tmp_path / "truth_classes.npy")
    document = cli(*words, *classes, "--json").document
    assert document["average_precision_50"] == pytest.approx(3 / 4)
    assert document["of_class"] == {
        "1": {"average_precision": 0.5, "average_precision_50": 0.5, "predicted_objects": 1, "truth_objects": 2},
        "2": {"average_precision": 0.5, "average_precision_50": 0.5, "predicted_objects": 2, "truth_objects": 1},
    }
    assert document["mean_average_precision"] == 0.5
    stacked = (tmp_path / "ours_channels.npy", tmp_path / "ours_classes_channels.npy")
    np.save(stacked[0], np.stack([ours * 0, ours]))
    np.save(stacked[1], np.stack([ours * 0, np.load(tmp_path / "ours_classes.npy")]))
    of_channels = ("evaluate", stacked[0], tmp_path / "truth.npy", "--instances", "--channel", "1", "--axes", "czyx")
    for of_classes in (stacked[1], tmp_path / "ours_classes.npy"):
        again = cli(*of_channels, "--predicted-classes", of_classes, *classes[2:], "--json").document
        assert again["of_class"] == document["of_class"]
    assert "0 predicted and 1 true objects have no voxel with a class" in document["notes"][-1]
    assert "AP, IoU 0.5 to 0.95" in cli(*words, *classes).out
    assert is_one_error(cli(*words, *classes[:2]), "--instances, --predicted-classes and --truth-classes")
    assert is_one_error(cli(*words[:-1], *classes), "--instances")
    np.save(tmp_path / "ours_classes.npy", np.ones((1, 1, 9), np.uint8))
    assert is_one_error(cli(*words, *classes), "shape")
    np.save(tmp_path / "ours_classes.npy", np.ones((1, 1, 9), np.uint8))
    np.save(tmp_path / "truth_classes.npy", np.ones((1, 1, 9), np.uint8))
    assert is_one_error(cli(*words, *classes), "same voxels")
