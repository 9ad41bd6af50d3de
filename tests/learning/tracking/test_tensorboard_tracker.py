"""Event files read back as TensorBoard reads them."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from napari_pytc.learning.tracking.recorder import Recorder
from napari_pytc.learning.tracking.tracker import TrainingOutcome
from napari_pytc.plans.tracking import read_tracking
from tests.support.faults import file_size_limit
from tests.support.trackers import events_of, scalars_of, texts_of

SETTINGS = {"seed": 3, "network": {"kind": "unet", "channels": [4, 8]}, "minutes": None, "recipe": "fast"}
PROVENANCE = {"id": "m1", "volumes": [{"name": "medulla", "digest": "abc"}]}
DONE = TrainingOutcome("finished", {"steps": 30, "final/mean": 0.75})


def begin(folder: Path, first_step: int = 0) -> tuple[Recorder, list[str]]:
    told: list[str] = []
    recorder = Recorder(read_tracking([("tensorboard", {})], None), folder, told.append)
    recorder.begin("m1", SETTINGS, PROVENANCE, first_step)
    return recorder, told


def test_curves_texts_and_pictures_are_read_back(tmp_path: Path) -> None:
    recorder, told = begin(tmp_path / "m1")
    picture = np.random.default_rng(0).integers(0, 255, (8, 12, 3), dtype=np.uint8)
    for step in (1, 10, 20):
        recorder.scalar("loss", step, 1 / step)
        recorder.scalar("loss/dice of 0:3", step, 0.5)
    recorder.scalar("dice/mitochondria ä", 20, 0.5)
    recorder.pictures(20, {"1 medulla z 4": picture})
    recorder.finish(DONE)
    folder = tmp_path / "m1" / "tensorboard"
    curves = scalars_of(folder)
    assert curves["loss"] == [(1, 1.0), (10, pytest.approx(0.1)), (20, pytest.approx(0.05))]
    assert [step for step, _ in curves["loss/dice of 0:3"]] == [1, 10, 20]
    assert curves["dice/mitochondria ä"] == [(20, 0.5)]
    (shown,) = events_of(folder).Images("patches/1 medulla z 4")
    assert shown.step == 20
    np.testing.assert_array_equal(np.asarray(Image.open(io.BytesIO(shown.encoded_image_string))), picture)
    texts = texts_of(folder)
    assert "kind: unet" in texts["settings"]
    assert '"digest": "abc"' in texts["provenance"]
    assert "final/mean | 0.75" in texts["outcome"]
    (told_once,) = told
    assert f"tensorboard --logdir {tmp_path}" in told_once


def test_settings_are_in_the_tab_hparams(tmp_path: Path) -> None:
    from tensorboard.plugins.hparams.plugin_data_pb2 import HParamsPluginData

    recorder, _ = begin(tmp_path / "m1")
    recorder.finish(DONE)
    content = events_of(tmp_path / "m1" / "tensorboard").PluginTagToContent("hparams")
    begun = HParamsPluginData.FromString(content["_hparams_/session_start_info"]).session_start_info.hparams
    assert begun["network.kind"].string_value == "unet"
    assert begun["network.channels"].string_value == "[4, 8]"
    assert begun["seed"].number_value == 3
    assert "minutes" not in begun
    assert "_hparams_/session_end_info" in content


def test_a_training_that_goes_on_has_no_step_twice(tmp_path: Path) -> None:
    recorder, _ = begin(tmp_path / "m1")
    for step in (10, 20, 30, 40):
        recorder.scalar("loss", step, 1.0)
    recorder.finish(TrainingOutcome("stopped"))
    recorder, _ = begin(tmp_path / "m1", first_step=20)  # the last checkpoint
    for step in (30, 40, 50):
        recorder.scalar("loss", step, 2.0)
    recorder.finish(DONE)
    folder = tmp_path / "m1" / "tensorboard"
    assert scalars_of(folder)["loss"] == [(10, 1.0), (20, 1.0), (30, 2.0), (40, 2.0), (50, 2.0)]
    assert len(list(folder.glob("events*"))) == 2
    assert "settings" in texts_of(folder)


def test_a_training_that_begins_anew_in_its_folder_voids_what_was_there(tmp_path: Path) -> None:
    recorder, _ = begin(tmp_path / "m1")
    recorder.scalar("loss", 10, 1.0)
    recorder.begin("m1", SETTINGS, PROVENANCE, 0)
    recorder.scalar("loss", 5, 2.0)
    recorder.finish(DONE)
    assert scalars_of(tmp_path / "m1" / "tensorboard")["loss"] == [(5, 2.0)]


def test_a_full_disk_ends_the_record_and_is_told_once(tmp_path: Path) -> None:
    recorder, told = begin(tmp_path / "m1")
    recorder.scalar("loss", 1, 1.0)
    noise = np.random.default_rng(0).integers(0, 255, (256, 256, 3), dtype=np.uint8)
    with file_size_limit(50_000):
        for step in range(10, 60, 10):
            recorder.pictures(step, {"a": noise})
        recorder.finish(DONE)
    where, reason = told
    assert where.startswith("TensorBoard records this training in")
    assert reason.startswith("TensorBoard records no more of this training: ")
    assert "The training goes on without." in reason
