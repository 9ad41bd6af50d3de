"""A checkpoint becomes a model that predicts the same; what does not fit leaves nothing behind."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from napari_pytc.errors import ModelError
from napari_pytc.geometry import Box
from napari_pytc.learning.prediction.model import TrainedModel
from napari_pytc.plans.model_folder import read_model_info
from napari_pytc.plans.plan import PredictPlan
from napari_pytc.plans.specs import ImportModelJob, PredictJob
from napari_pytc.pytc.translate import ImportedConfig, import_config
from napari_pytc.volumes.spec import NpySpec
from napari_pytc.volumes.zarr_output import open_ome_zarr
from tests.support.checkpoints import TINY, foreign_names, random_network, write_checkpoint, write_config
from tests.support.contexts import RecordingContext

pytestmark = pytest.mark.slow

FIXTURES = Path(__file__).parents[2] / "fixtures" / "pytc"


def job_of(config: ImportedConfig, checkpoint: Path, folder: Path) -> ImportModelJob:
    return config.job(checkpoint, folder)


def told(job: ImportModelJob) -> str:
    with pytest.raises(ModelError) as error:
        job.run(RecordingContext())
    assert error.value.hint
    assert not job.folder.exists()
    return str(error.value)


@pytest.mark.parametrize("architecture", TINY)
def test_a_model_computes_what_the_network_of_its_checkpoint_does(tmp_path: Path, architecture: str) -> None:
    config = import_config([write_config(tmp_path, architecture)])
    network = random_network(config)
    path = write_checkpoint(tmp_path / "last.ckpt", config, network)

    answer = job_of(config, path, tmp_path / "model").run(RecordingContext())

    assert answer["weights"] == "moving average"
    assert answer["steps"] == 77
    assert answer["notes"] == []
    model = TrainedModel.load(tmp_path / "model")
    image = torch.randn(1, 1, 16, 32, 32)
    with torch.no_grad():
        assert torch.equal(model.network(image), network(image))
    assert [role.role for role in model.roles] == ["foreground", "boundary"]
    origin = model.info.origin
    assert origin is not None
    assert (origin.config_hash, origin.config, origin.file) == ("abcd1234", architecture, "last.ckpt")


SECTIONS = np.random.default_rng(0).random((1, 1, 16, 32, 32), dtype=np.float32)
OF_ITS_CLASSES = [
    ("mednext_heads", "ckpt", (slice(None), slice(None, None, 4)), (16, 32, 32)),
    ("unet_plus_3d", "pth.tar", (), (5, 17, 17)),
    ("unet_2d", "pth.tar", (), (3, 17, 17)),
    ("unet_plus_2d", "pth.tar", (), (3, 16, 16)),
]
"""Name, suffix, what is kept of the outputs besides every fourth pixel, and the shape of the image."""


@pytest.mark.parametrize(("name", "suffix", "kept", "shape"), OF_ITS_CLASSES)
def test_networks_of_pytcs_own_classes_give_their_numbers(
    tmp_path: Path, name: str, suffix: str, kept: tuple[slice, ...], shape: tuple[int, int, int]
) -> None:
    config = import_config([FIXTURES / f"{name}.yaml"])
    answer = job_of(config, FIXTURES / f"{name}.{suffix}", tmp_path / "model").run(RecordingContext())
    z, y, x = shape
    with torch.no_grad():
        logits = TrainedModel.load(tmp_path / "model").network(torch.from_numpy(SECTIONS[..., :z, :y, :x]))[0]
    expected = np.load(FIXTURES / f"{name}.npy")
    assert np.abs(logits.numpy()[kept][..., ::4, ::4] - expected).max() < 1e-5
    assert [note for note in answer["notes"] if "heads stand in" in note] if "heads" in name else not answer["notes"]


@pytest.mark.parametrize(("name", "suffix"), [("rsunet", "ckpt"), ("unet_3d", "pth.tar")])
def test_checkpoints_that_pytc_wrote_give_its_numbers(tmp_path: Path, name: str, suffix: str) -> None:
    config = import_config([FIXTURES / f"{name}.yaml"])
    job_of(config, FIXTURES / f"{name}.{suffix}", tmp_path / "model").run(RecordingContext())
    image = np.random.default_rng(0).random((1, 1, 4, 16, 16), dtype=np.float32)
    with torch.no_grad():
        logits = TrainedModel.load(tmp_path / "model").network(torch.from_numpy(image))[0]
    expected = np.load(FIXTURES / f"{name}.npy")
    assert np.abs(logits[:, :, ::4, ::4].numpy() - expected).max() < 1e-5


def test_last_weights_are_taken_where_there_is_no_average_whatever_wraps_them(tmp_path: Path) -> None:
    config = import_config([write_config(tmp_path)])
    network = random_network(config)
    names = foreign_names("monai_unet", network.state_dict())
    wrapped = {f"model._orig_mod.module.{name}": tensor for name, tensor in names.items()}
    path = write_checkpoint(tmp_path / "a.ckpt", config, network, state_dict=wrapped, callbacks=None)

    assert job_of(config, path, tmp_path / "model").run(RecordingContext())["weights"] == "last"

    found = TrainedModel.load(tmp_path / "model").network.state_dict()
    assert all(torch.equal(found[name], tensor) for name, tensor in network.state_dict().items())


def test_a_state_dict_alone_and_one_of_version_1_are_taken(tmp_path: Path) -> None:
    text = (
        "MODEL: {ARCHITECTURE: unet_3d, FILTERS: [2, 4], ISOTROPY: [true, true], OUT_PLANES: 3, TARGET_OPT: ['2'], "
        "INPUT_SIZE: [8, 16, 16], LOSS_OPTION: [[WeightedBCEWithLogitsLoss]]}\n"
    )
    (tmp_path / "v1.yaml").write_text(text)
    config = import_config([tmp_path / "v1.yaml"])
    network = random_network(config)
    weights = {f"module.{name}": tensor for name, tensor in network.state_dict().items()}
    torch.save({"iteration": 500, "state_dict": weights}, tmp_path / "a.pth.tar")
    torch.save(weights, tmp_path / "b.pth.tar")
    image = torch.randn(1, 1, 8, 16, 16)
    for name, steps in (("a", 500), ("b", 0)):
        answer = job_of(config, tmp_path / f"{name}.pth.tar", tmp_path / name).run(RecordingContext())
        assert answer["steps"] == steps
        with torch.no_grad():
            assert torch.equal(TrainedModel.load(tmp_path / name).network(image), network(image))
        assert TrainedModel.load(tmp_path / name).normalisation.channels[0].scaled_to == (-1, 1)


def test_heads_of_deep_supervision_may_be_missing_or_too_many(tmp_path: Path) -> None:
    config = import_config([write_config(tmp_path, "mednext_custom")])
    network = random_network(config)
    names = foreign_names("mednext_custom", network.state_dict())
    without = {name: tensor for name, tensor in names.items() if "out_" not in name or "out_0" in name}
    callbacks = {"EMAWeightsCallback": {"ema_state": without}}
    path = write_checkpoint(tmp_path / "a.ckpt", config, network, callbacks=callbacks)
    answer = job_of(config, path, tmp_path / "a").run(RecordingContext())
    assert "no heads of deep supervision" in answer["notes"][0]
    assert TrainedModel.load(tmp_path / "a").info.plan.network.model_dump()["deep_supervision"] is False

    plain = config.plan.network.model_copy(update={"deep_supervision": False})
    fewer = config.model_copy(update={"plan": config.plan.model_copy(update={"network": plain})})
    path = write_checkpoint(tmp_path / "b.ckpt", config, network)
    answer = job_of(fewer, path, tmp_path / "b").run(RecordingContext())
    assert "were left out" in answer["notes"][0]


def test_an_imported_model_predicts_a_volume(tmp_path: Path) -> None:
    more = "  inference: {model: {channel_activations: [{channels: ':', activation: sigmoid}]}}\n"
    config = import_config([write_config(tmp_path, more=more)])
    network = random_network(config)
    path = write_checkpoint(tmp_path / "a.ckpt", config, network)
    job_of(config, path, tmp_path / "model").run(RecordingContext())
    raw = np.random.default_rng(0).integers(0, 256, (16, 32, 32)).astype(np.uint8)
    raw.reshape(-1)[:2] = 0, 255
    np.save(tmp_path / "raw.npy", raw)
    plan = PredictPlan(device="cpu", precision="float32")
    job = PredictJob(
        image=NpySpec(path=tmp_path / "raw.npy"), model=tmp_path / "model", output=tmp_path / "p.zarr", plan=plan
    )

    job.run(RecordingContext())

    found = open_ome_zarr(job.output).read(Box((0, 0, 0), raw.shape))
    with torch.no_grad():
        expected = torch.sigmoid(network(torch.from_numpy(raw[None, None] / 255.0).float()))[0].numpy()
    assert np.abs(found / 255 - expected).max() < 1.01 / 255

    told_off = job.model_copy(update={"plan": plan.model_copy(update={"normalisation": "training"})})
    with pytest.raises(ModelError, match="was imported: the intensities"):
        told_off.model_copy(update={"output": tmp_path / "q.zarr"}).run(RecordingContext())


def test_the_origin_of_a_model_is_kept_and_others_have_none(tmp_path: Path) -> None:
    config = import_config([write_config(tmp_path)])
    path = write_checkpoint(tmp_path / "a.ckpt", config, random_network(config))
    job_of(config, path, tmp_path / "model").run(RecordingContext())
    info = read_model_info(tmp_path / "model")
    assert info.origin is not None
    assert len(info.origin.sha256) == 64
    assert "origin" not in json.loads(info.model_copy(update={"origin": None}).model_dump_json())


# What does not fit


@pytest.fixture
def config(tmp_path: Path) -> ImportedConfig:
    folder = tmp_path / "config"
    folder.mkdir()
    return import_config([write_config(folder)])


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda w: {**w, next(iter(w)): torch.zeros(3, 3)}, "has the shape 3 x 3"),
        (lambda w: dict(list(w.items())[1:]), "it lacks 1 of"),
        (lambda w: {**w, "model.model.extra.weight": torch.zeros(1)}, "the network has no tensor"),
        (lambda w: {**w, next(iter(w)): torch.full_like(next(iter(w.values())), torch.nan)}, "not finite"),
        (lambda w: {f"somewhere.{name}": tensor for name, tensor in w.items()}, "it lacks"),
        (lambda w: {}, "has no weights"),
        (lambda w: {**w, **{f"model.{name}": tensor for name, tensor in w.items()}}, "two tensors for"),
    ],
    ids=["shape", "missing", "extra", "nan", "names", "empty", "twice"],
)
def test_weights_that_do_not_fit_are_told(tmp_path: Path, config: ImportedConfig, change: Any, words: str) -> None:
    network = random_network(config)
    weights = foreign_names("monai_unet", network.state_dict())
    path = write_checkpoint(tmp_path / "a.ckpt", config, network, state_dict=change(weights), callbacks=None)
    (tmp_path / "models").mkdir()
    assert words in told(job_of(config, path, tmp_path / "models" / "a"))
    assert list((tmp_path / "models").iterdir()) == []


class Whole(torch.nn.Module):
    """A network that somebody saved as an object."""


def test_an_object_of_an_unknown_class_is_told(tmp_path: Path, config: ImportedConfig) -> None:
    torch.save(Whole(), tmp_path / "a.ckpt")
    assert "an object of the class" in told(job_of(config, tmp_path / "a.ckpt", tmp_path / "m" / "a"))
    torch.save([1, 2], tmp_path / "b.ckpt")
    assert "holds list" in told(job_of(config, tmp_path / "b.ckpt", tmp_path / "m" / "a"))


def test_a_folder_that_is_there_is_told(tmp_path: Path, config: ImportedConfig) -> None:
    path = write_checkpoint(tmp_path / "a.ckpt", config, random_network(config))
    (tmp_path / "there").mkdir()
    with pytest.raises(ModelError, match="already something"):
        job_of(config, path, tmp_path / "there").run(RecordingContext())


def test_a_head_that_is_missing_is_told(tmp_path: Path) -> None:
    config = import_config([FIXTURES / "mednext_heads.yaml"])
    heads = config.plan.network.heads  # type: ignore[attr-defined]
    renamed = tuple(head.model_copy(update={"name": f"{head.name} of another"}) for head in heads)
    network = config.plan.network.model_copy(update={"heads": renamed})
    other = config.model_copy(update={"plan": config.plan.model_copy(update={"network": network})})
    assert "it lacks" in told(job_of(other, FIXTURES / "mednext_heads.ckpt", tmp_path / "m" / "a"))
