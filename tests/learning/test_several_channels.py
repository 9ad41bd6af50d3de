"""Images of several channels: what each one says is learnt, predicted and refused where the number is another."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest

from napari_pytc.annotations.paint_store import PaintStore
from napari_pytc.errors import ModelError
from napari_pytc.geometry import Box, VoxelSpace
from napari_pytc.jobs.context import JobMessage
from napari_pytc.learning.data.training_data import TrainingData
from napari_pytc.learning.data.training_image import TrainingImage
from napari_pytc.learning.prediction.model import TrainedModel
from napari_pytc.learning.prediction.volume_normalisation import choose_normalisation, stored_normalisation
from napari_pytc.learning.training.train import train
from napari_pytc.plans.live_messages import stop_message, suggest_message
from napari_pytc.plans.model_folder import read_model_info, read_normalisation
from napari_pytc.plans.networks import FilterUNetNetwork, NetworkSettings, UNetNetwork
from napari_pytc.plans.normalisation import ImageNormalisation, NormalisationSettings
from napari_pytc.plans.recipes import load_recipe
from napari_pytc.plans.specs import ModelOutput, PredictJob, TrainJob, VolumeInputs
from napari_pytc.volumes.image import open_image_spec
from napari_pytc.volumes.spec import Hdf5Spec
from napari_pytc.volumes.zarr_output import open_ome_zarr
from tests.support.annotations import MemoryAnnotations
from tests.support.contexts import RecordingContext
from tests.support.images import MemoryImage
from tests.support.learning import (
    CLASSES,
    HELD_OUT,
    folders,
    instance_plan,
    object_data,
    tiny_plan,
    tissue,
    train_tiny,
    training_data,
)
from tests.support.live import LiveContext, LiveProject, live_plan

WHOLE = Box.of_shape((8, 48, 48))


def two_channels(seed: int = 0) -> np.ndarray:
    """Noise, and tissue at another contrast and number type."""
    raw = tissue(seed=seed).raw
    other = np.random.default_rng(seed).integers(0, 255, raw.shape)
    return np.stack([other, raw.astype(np.int64) * 40 + 1000]).astype(np.uint16)


def data_of(raw: np.ndarray, name: str = "", **changes: Any) -> Any:
    """The small tissue's strokes on an image of several channels."""
    return replace(training_data(), source=MemoryImage(raw, tissue().space, ("noise", "tissue")), name=name, **changes)


@pytest.fixture
def file(tmp_path: Path) -> Path:
    with h5py.File(tmp_path / "two.h5", "w") as written:
        dataset = written.create_dataset("raw", data=two_channels())
        dataset.attrs["DIMENSION_LABELS"] = ["c", "z", "y", "x"]
    return tmp_path / "two.h5"


def spec(file: Path, *channels: int) -> Hdf5Spec:
    channel = channels if len(channels) > 1 else channels[0]
    return Hdf5Spec(path=file, dataset="raw", axes="czyx", channel=channel, voxel_size_nm=tissue().space.voxel_size_nm)


def job_of(root: Path, *specs: Hdf5Spec, **changes: Any) -> TrainJob:
    inputs = []
    for number, one in enumerate(specs):
        store = PaintStore.create(root / f"a{number}.zarr", WHOLE.shape, tissue().space)
        store.paint(WHOLE, tissue().classes)
        inputs.append(
            VolumeInputs(
                name="ab"[number], volume=one, space=tissue().space, annotations=store.folder, held_out=(HELD_OUT,)
            )
        )
    output = ModelOutput(
        model_folder=root / "models" / "m1", run_folder=root / "run", parent=changes.pop("parent", None)
    )
    return TrainJob(inputs=tuple(inputs), classes=CLASSES, plan=tiny_plan(**changes), output=output)


def test_each_channel_is_normalised_by_its_own_statistics(tmp_path: Path) -> None:
    raw = two_channels()
    done = train_tiny(tmp_path, data_of(raw), steps=1)

    noise, bright = read_normalisation(done.folder).channels
    outside = np.ones(WHOLE.shape, bool)
    outside[HELD_OUT.slices] = False
    assert noise.mean == pytest.approx(raw[0][outside].mean(), rel=0.05)
    assert bright.mean == pytest.approx(raw[1][outside].mean(), rel=0.05)
    assert isinstance(json.loads((done.folder / "normalisation.json").read_text()), list)
    info = read_model_info(done.folder)
    assert (info.n_inputs, info.input_names) == (2, ("noise", "tissue"))
    assert info.volumes[0].normalisation == read_normalisation(done.folder)
    applied = read_normalisation(done.folder).apply(raw)
    assert np.array_equal(applied[0], noise.apply(raw[0]))
    assert np.array_equal(applied[1], bright.apply(raw[1]))


def test_the_normalisation_of_one_channel_is_written_as_before(tmp_path: Path) -> None:
    done = train_tiny(tmp_path, steps=1)
    written = json.loads((done.folder / "normalisation.json").read_text())
    assert set(written) == {"method", "mean", "std", "low", "high", "fill"}
    assert ImageNormalisation.model_validate(written) == read_normalisation(done.folder)
    info = read_model_info(done.folder)
    assert (info.n_inputs, info.input_names) == (1, ())


def test_an_image_of_another_number_of_channels_is_not_normalised() -> None:
    normalisation, _ = data_of(two_channels()).normalisation([], NormalisationSettings())
    with pytest.raises(ModelError, match="has 3 channels, its normalisation 2"):
        normalisation.apply(np.zeros((3, 1, 2, 2)))


def test_a_channel_that_is_constant_is_told_and_nothing(tmp_path: Path) -> None:
    raw = two_channels()
    raw[0] = 7
    done = train_tiny(tmp_path, data_of(raw, "a"), steps=1)
    (note,) = (note for note in done.notes if "sampled" in note)
    assert note.startswith("The channel 'noise' of the volume 'a' is 7 wherever it was sampled: nothing is learnt")
    applied = read_normalisation(done.folder).apply(raw)
    assert not applied[0].any()
    assert applied[1].std() == pytest.approx(1, rel=0.1)


@pytest.mark.parametrize("method", ["zscore", "min-max", "divide"])
def test_a_constant_channel_is_nothing_whatever_the_scaling(method: Any) -> None:
    raw = two_channels()
    raw[0] = 7
    found, _ = data_of(raw).normalisation([], NormalisationSettings(method=method))
    assert not found.apply(raw)[0].any()
    assert np.isfinite(found.to_zscores(found.apply(raw))).all()


def test_an_image_that_is_constant_in_all_channels_is_refused() -> None:
    raw = np.stack([np.full(WHOLE.shape, value, np.uint8) for value in (7, 8)])
    with pytest.raises(ModelError, match="The channel 'noise' of the volume: The image is 7 everywhere"):
        data_of(raw).normalisation([], NormalisationSettings())


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["instant", "filter_unet", "unet"])
def test_the_channel_that_shows_the_tissue_is_learnt_wherever_it_is(tmp_path: Path, kind: str, file: Path) -> None:
    """The first channel is noise: a model that saw it alone would be no better than a guess."""
    plans = {
        "instant": load_recipe("instant", ["device=cpu", "steps=60", "validate_every=30"]),
        "filter_unet": tiny_plan(network=FilterUNetNetwork(channels=(4, 8), starter=True), guess_weight=0.5, steps=20),
        "unet": tiny_plan(steps=80, validate_every=20),
    }
    job = job_of(tmp_path, spec(file, 0, 1)).model_copy(update={"plan": plans[kind]})
    result = job.run(RecordingContext())
    model = Path(result["folder"])

    predicted = []
    for number, tile in enumerate(((8, 48, 48), (4, 16, 16))):
        predict = PredictJob(
            image=spec(file, 0, 1),
            model=model,
            output=tmp_path / f"p{number}.zarr",
            plan={"tile_shape": tile, "device": "cpu", "precision": "float32", "flips": kind == "unet"},
            view=Box((0, 0, 0), (4, 16, 16)),
        )
        notes = predict.run(RecordingContext())["notes"]
        assert len(notes) == (kind == "unet")
        assert all("8 copies (mirrored along all axes), mean" in note for note in notes)
        predicted.append(open_ome_zarr(predict.output).read(WHOLE).astype(int))
    assert np.abs(predicted[0] - predicted[1]).max() <= 1
    truth = tissue().classes[HELD_OUT.slices]
    found = predicted[0].argmax(0)[HELD_OUT.slices] + 1
    assert (found == truth).mean() > max((truth == k).mean() for k in (1, 2)) + 0.1


@pytest.mark.slow
def test_a_network_of_windows_takes_all_channels(tmp_path: Path, file: Path) -> None:
    network = {"kind": "monai_basic_unet3d", "channels": (4, 4, 4, 4, 4, 4)}
    done = train_tiny(tmp_path, data_of(two_channels()), network=network, patch_shape=(16, 32, 32), steps=2)
    predict = PredictJob(image=spec(file, 0, 1), model=done.folder, output=tmp_path / "p.zarr", plan={"device": "cpu"})
    predict.run(RecordingContext())
    assert open_ome_zarr(predict.output).read(WHOLE).any(axis=0).all()


@pytest.mark.slow
def test_objects_are_learnt_from_several_channels(tmp_path: Path) -> None:
    data = replace(object_data(), source=MemoryImage(two_channels(), tissue().space))
    done = train(instance_plan(steps=3), data, folders(tmp_path), RecordingContext())
    assert TrainedModel.load(done.folder).network.n_inputs == 2
    assert done.info.scores["mean"] is not None


@pytest.mark.slow
def test_a_child_distils_and_goes_on_from_a_parent_of_as_many_channels(tmp_path: Path) -> None:
    for kind in ("network", "instant"):
        root = tmp_path / kind
        plan = tiny_plan(distil_weight=1.0)
        if kind == "instant":
            plan = load_recipe("instant", ["device=cpu", "steps=20", "distil_weight=1", "validate_every=20"])
        data = data_of(two_channels(), annotations=MemoryAnnotations(tissue().classes))
        parent = train(plan, data, folders(root / "a"), RecordingContext())
        ctx = RecordingContext()
        child = train(plan, data, folders(root / "b", parent=parent.folder), ctx)
        assert (child.info.parent, child.info.n_inputs) == ("m1", 2)
        assert not ctx.warnings


def test_volumes_of_other_numbers_of_channels_are_refused_by_name(tmp_path: Path) -> None:
    volumes = (data_of(two_channels(), "a"), replace(training_data(), name="b"), data_of(two_channels(), "c"))
    with pytest.raises(ModelError, match=r"as many channels: the volume 'a' has 2, the volume 'b' has 1\.") as caught:
        train(tiny_plan(), TrainingData(volumes, volumes[0].space), folders(tmp_path), RecordingContext())
    assert "--channel" in caught.value.hint
    assert not (tmp_path / "run").exists()


def test_a_parent_of_another_number_of_channels_is_refused(tmp_path: Path) -> None:
    parent = train_tiny(tmp_path / "parent", steps=1)
    with pytest.raises(ModelError, match="m1 takes images of one channel; the image of the volume 'a' has 2 channels"):
        train_tiny(tmp_path, data_of(two_channels(), "a"), parent=parent.folder)
    assert not (tmp_path / "run").exists()


def test_a_prediction_of_another_number_of_channels_is_refused(tmp_path: Path, file: Path) -> None:
    model = train_tiny(tmp_path, data_of(two_channels()), steps=1).folder
    job = PredictJob(image=spec(file, 1), model=model, output=tmp_path / "p.zarr")
    with pytest.raises(ModelError, match=r"takes images of 2 channels \(noise, tissue\); the image has one channel"):
        job.run(RecordingContext())
    assert not (tmp_path / "p.zarr").exists()


def test_a_model_whose_normalisation_has_other_channels_is_damaged(tmp_path: Path) -> None:
    folder = train_tiny(tmp_path, data_of(two_channels()), steps=1).folder
    written = json.loads((folder / "normalisation.json").read_text())
    (folder / "normalisation.json").write_text(json.dumps(written[0]))
    with pytest.raises(ModelError, match="is damaged: it is for 2 channels, its normalisation for 1"):
        TrainedModel.load(folder)
    (folder / "normalisation.json").write_text("[]")
    with pytest.raises(ModelError, match="is damaged"):
        TrainedModel.load(folder)


def test_a_builder_of_networks_for_one_channel_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def build(settings: NetworkSettings, n_classes: int, space: Any) -> Any:
        raise AssertionError("called")

    monkeypatch.setattr("napari_pytc.plans.networks.base.resolve", lambda name: build)
    with pytest.raises(ModelError, match="'unet' reads images of one channel, got 2"):
        train_tiny(tmp_path, data_of(two_channels()), network=UNetNetwork(channels=(4, 8)))


def test_notes_and_statistics_at_prediction_are_a_channel_s(tmp_path: Path) -> None:
    model = TrainedModel.load(train_tiny(tmp_path, data_of(two_channels()), steps=1).folder)
    raw = two_channels(seed=3)
    image = MemoryImage(raw, tissue().space, ("noise", "tissue"))
    assert choose_normalisation("own", model, image, "d").notes == ()

    raw[0] = 9
    raw[1] = np.random.default_rng(0).exponential(10, WHOLE.shape)
    chosen = choose_normalisation("own", model, MemoryImage(raw, tissue().space, ("noise", "tissue")), "d")
    assert chosen.normalisation.channels[0] == model.normalisation.channels[0]
    constant, other = chosen.notes
    assert constant.startswith("The channel 'noise' of the volume is 9 wherever it was sampled")
    assert other.startswith("The intensities of the channel 'tissue' of the volume are distributed otherwise")
    assert stored_normalisation(json.loads(json.dumps(chosen.attributes))) == chosen

    (note,) = choose_normalisation("training", model, MemoryImage(raw * 0 + raw[:1], tissue().space), "d").notes[1:]
    assert "The intensities of the channel 'channel 1' of the volume are 9 +- 0" in note


class TwoChannelProject(LiveProject):
    """A live project whose image has noise as its first channel."""

    def __init__(self, root: Path) -> None:
        super().__init__(root)
        raw = self.tissue.raw
        noise = np.random.default_rng(0).integers(0, 255, raw.shape)
        with h5py.File(root / "two.h5", "w") as written:
            written.create_dataset("raw", data=np.stack([noise, raw]).astype(np.uint8))
        self.image = Hdf5Spec(path=root / "two.h5", dataset="raw", axes="czyx", channel=(0, 1))


def test_live_refuses_a_parent_of_another_number_of_channels(tmp_path: Path) -> None:
    project = TwoChannelProject(tmp_path)
    parent = train_tiny(tmp_path / "parent", steps=1).folder
    with pytest.raises(ModelError, match="takes images of one channel; the image has 2 channels"):
        project.job(parent=parent).run(RecordingContext())


@pytest.mark.slow
@pytest.mark.parametrize("instant_only", [True, False])
def test_live_learns_from_all_channels(tmp_path: Path, instant_only: bool) -> None:
    project = TwoChannelProject(tmp_path)

    def script(ctx: LiveContext) -> Iterator[list[JobMessage]]:
        yield [project.view()]
        yield from ctx.wait_for(lambda: ctx.curve("generation"))
        yield [suggest_message(2, project.section())]
        yield from ctx.wait_for(lambda: any(kind == "suggestions" for kind, _ in ctx.artifacts))
        if not instant_only:
            yield from ctx.wait_for(lambda: ctx.curve("network/score"))
        yield [stop_message()]

    result = project.job(live_plan(instant_only=instant_only)).run(LiveContext(script))

    found = open_ome_zarr(project.root / "live" / "prediction.zarr").read(project.section())
    assert (found.argmax(0) + 1 == project.tissue.classes[project.section().slices]).mean() > 0.8
    info = read_model_info(Path(result["folder"]))
    assert (info.n_inputs, len(read_normalisation(Path(result["folder"])).channels)) == (2, 2)
    predict = PredictJob(image=project.image, model=Path(result["folder"]), output=tmp_path / "p.zarr")
    assert predict.run(RecordingContext())["notes"] == []


@pytest.mark.slow
def test_live_learns_without_a_volume_of_another_number_of_channels(tmp_path: Path) -> None:
    project = TwoChannelProject(tmp_path)
    one = LiveProject(tmp_path / "one")
    job = project.job()
    other = one.job().inputs[0].model_copy(update={"name": "b"})
    job = job.model_copy(update={"inputs": (*job.inputs, other)})

    def script(ctx: LiveContext) -> Iterator[list[JobMessage]]:
        yield [stop_message()]

    ctx = LiveContext(script)
    job.run(ctx)
    assert any("another number of channels (1) than that of the volume in view (2)" in note for note in ctx.warnings)


def test_an_image_opens_with_its_channels(file: Path) -> None:
    image = open_image_spec(spec(file, 1, 0))
    assert np.array_equal(image.read(WHOLE), two_channels()[::-1])


@pytest.mark.parametrize("method", ["min-max", "divide"])
def test_another_scaling_is_used_for_every_channel_and_volume(tmp_path: Path, method: Any) -> None:
    settings = NormalisationSettings(method=method, clip_percentiles=(1, 99), clip_margin=0)
    done = train_tiny(tmp_path, data_of(two_channels()), steps=2, normalisation=settings)
    model = TrainedModel.load(done.folder)
    assert model.info.plan.normalisation == settings
    image = model.normalisation.apply(two_channels())
    if method == "min-max":
        assert [(channel.min(), channel.max()) for channel in image] == [(0, 1), (0, 1)]
    else:
        low, high = np.percentile(two_channels()[1], (1, 99))
        assert image[1].max() == pytest.approx(high / 65535, rel=0.05)
        assert image[1].min() == pytest.approx(low / 65535, rel=0.05)
    own = choose_normalisation("own", model, MemoryImage(two_channels(3), tissue().space), "d").normalisation
    assert [channel.method for channel in own.channels] == [method] * 2
    assert own != model.normalisation
    resampled = MemoryImage(two_channels(3), VoxelSpace((80.0, 20.0, 20.0)))
    seen = model.on_its_voxels(resampled, None)
    assert seen is not None
    found = choose_normalisation("own", model, seen, "d").normalisation.channels[0]
    assert found.divisor == (65535 if method == "divide" else None)


def test_what_is_hidden_shows_the_mean_whatever_the_scaling() -> None:
    data = data_of(two_channels())
    for method in ("zscore", "min-max", "divide"):
        normalisation, _ = data.normalisation([], NormalisationSettings(method=method))
        image = TrainingImage(data.source, normalisation, (HELD_OUT,))
        hidden = image.read(HELD_OUT)
        for values, channel in zip(hidden, normalisation.channels, strict=True):
            assert (values == np.float32(channel.fill)).all()
        seen: list[np.ndarray] = []

        def change(zscores: np.ndarray, seen: list[np.ndarray] = seen) -> tuple[np.ndarray, np.ndarray]:
            seen.append(zscores)
            return zscores, np.zeros(1)

        patch, _ = image.augment(WHOLE, change)
        assert np.allclose(patch, image.read(WHOLE), atol=1e-5)
        assert abs(seen[0][:, HELD_OUT.stop[0] - 1].mean()) < 1
        assert 0.5 < seen[0].std() < 1.5


def test_a_parent_of_another_scaling_is_not_distilled(tmp_path: Path) -> None:
    data = training_data()
    parent = train_tiny(tmp_path / "parent", data, steps=1, normalisation={"method": "min-max"}).folder
    ctx = RecordingContext()
    train_tiny(tmp_path, data, ctx, parent=parent, steps=1, distil_weight=1.0)
    assert [warning for warning in ctx.warnings if "scaled otherwise" in warning]
