"""A volume is normalised by its own statistics, and as in the training where the model learnt from it."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from napari_pytc.errors import InvalidInput, VolumeError
from napari_pytc.geometry import Box
from napari_pytc.jobs.context import JobCancelled
from napari_pytc.learning.prediction import disk_prediction
from napari_pytc.learning.prediction.model import TrainedModel
from napari_pytc.learning.prediction.volume_normalisation import choose_normalisation, stored_normalisation
from napari_pytc.plans.normalisation import ImageNormalisation, Normalisation
from napari_pytc.plans.specs import PredictJob
from napari_pytc.volumes.fingerprint import fingerprint
from napari_pytc.volumes.spec import NpySpec
from napari_pytc.volumes.statistics import sample_statistics
from napari_pytc.volumes.zarr_output import open_ome_zarr
from tests.support.contexts import RecordingContext
from tests.support.images import MemoryImage, memory_image
from tests.support.learning import tissue, train_tiny

WHOLE = Box.of_shape((8, 48, 48))
PLAN: dict[str, Any] = {"tile_shape": (8, 16, 24), "device": "cpu", "precision": "float32"}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model of `tissue()`, a corner of which was held out."""
    return train_tiny(tmp_path_factory.mktemp("model")).folder


@pytest.fixture(scope="module")
def model(folder: Path) -> TrainedModel:
    return TrainedModel.load(folder)


@pytest.fixture(scope="module")
def old_model(model: TrainedModel) -> TrainedModel:
    """The same as an older version wrote it, without its volumes."""
    return replace(model, info=model.info.model_copy(update={"volumes": ()}))


def volume(raw: np.ndarray) -> MemoryImage:
    return memory_image(raw, tissue().space)


def job(folder: Path, raw: np.ndarray, where: Path, **plan: Any) -> PredictJob:
    where.mkdir(exist_ok=True)
    np.save(where / "raw.npy", raw)
    image = NpySpec(path=where / "raw.npy", voxel_size_nm=(40, 10, 10))
    return PredictJob(image=image, model=folder, output=where / "p.zarr", plan={**PLAN, **plan})


def predicted(folder: Path, raw: np.ndarray, where: Path, **plan: Any) -> np.ndarray:
    made = job(folder, raw, where, **plan)
    made.run(RecordingContext())
    return open_ome_zarr(made.output).read(WHOLE).astype(int)


@pytest.mark.parametrize("setting", ["own", "training"])
def test_the_volume_of_the_training_is_normalised_as_in_the_training(model: TrainedModel, setting: Any) -> None:
    source = volume(tissue().raw)
    found = choose_normalisation(setting, model, source, fingerprint(source).digest)
    assert found.normalisation == model.normalisation
    assert found.notes == ()
    own = ImageNormalisation.of([Normalisation.from_statistics(sample_statistics(source.channels[0]))])
    assert own != model.normalisation  # it saw the corner that was held out


@pytest.mark.parametrize(
    ("factor", "dtype", "most"), [(257, np.uint16, 1), (1 / 255, np.float32, 1), (0.5, np.uint8, 20)]
)
def test_another_number_type_or_contrast_is_predicted_the_same(
    folder: Path, tmp_path: Path, factor: float, dtype: Any, most: int
) -> None:
    raw = tissue(seed=3).raw
    before = predicted(folder, raw, tmp_path / "a")
    after = predicted(folder, (raw.astype(float) * factor).astype(dtype), tmp_path / "b")
    assert np.abs(after - before).max() <= most
    assert (after.argmax(0) == before.argmax(0)).mean() > 0.99


def test_training_statistics_are_used_on_request_and_a_note_says_that_they_do_not_fit(
    folder: Path, tmp_path: Path
) -> None:
    raw = tissue(seed=3).raw.astype(np.uint16) * 257
    made = job(folder, raw, tmp_path / "a", normalisation="training")
    notes = made.run(RecordingContext())["notes"]
    assert len(notes) == 1
    assert "cannot be trusted here" in notes[0]
    assert job(folder, raw, tmp_path / "b").run(RecordingContext())["notes"] == []


def test_a_box_and_the_view_are_normalised_as_everything_is(folder: Path, tmp_path: Path) -> None:
    raw = tissue(seed=3).raw
    raw = np.where(np.arange(48) < 24, raw, raw // 3).astype(np.uint8)  # a half is darker
    whole = predicted(folder, raw, tmp_path / "whole")
    box = Box((0, 8, 0), (8, 40, 16))
    for within in (False, True):
        made = job(folder, raw, tmp_path / str(within))
        made.model_copy(update={"box": box, "within": within}).run(RecordingContext())
        found = open_ome_zarr(made.output).read(box).astype(int)
        assert np.abs(found - whole[(slice(None), *box.slices)]).max() <= 1


def test_a_resumed_prediction_takes_the_normalisation_that_it_began_with(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made, ctx = job(folder, np.pad(tissue(seed=3).raw, ((0, 0), (0, 30), (0, 30))), tmp_path), RecordingContext(6)
    with pytest.raises(JobCancelled):
        made.run(ctx)
    (note,) = ctx.warnings
    assert "is padding of one value" in note
    stored = open_ome_zarr(made.output).attributes["napari_pytc"]["normalisation"]
    assert stored["setting"] == "own"
    monkeypatch.setattr(disk_prediction, "choose_normalisation", lambda *_: pytest.fail("sampled again"))
    assert made.run(again := RecordingContext())["notes"] == [note]
    assert again.warnings == [note]


def test_predictions_of_two_normalisations_are_not_mixed(folder: Path, tmp_path: Path) -> None:
    made = job(folder, tissue(seed=3).raw // 2, tmp_path)
    with pytest.raises(JobCancelled):
        made.run(RecordingContext(cancel_after=6))
    other = job(folder, tissue(seed=3).raw // 2, tmp_path, normalisation="training")
    with pytest.raises(InvalidInput, match="another normalisation") as caught:
        other.run(RecordingContext())
    assert "another output" in caught.value.hint


def test_a_model_without_its_volumes_goes_on_with_its_normalisation_where_intensities_are_alike(
    old_model: TrainedModel,
) -> None:
    same, brighter = volume(tissue().raw), volume(tissue().raw.astype(np.uint16) + 100)
    assert choose_normalisation("own", old_model, same, "d").normalisation == old_model.normalisation
    found = choose_normalisation("own", old_model, brighter, "d").normalisation
    assert found.channels[0].mean == pytest.approx(tissue().raw.mean() + 100, rel=0.02)


def test_notes_of_padding_and_of_images_of_another_kind(model: TrainedModel) -> None:
    raw = tissue(seed=3).raw.copy()
    tissue_alone = choose_normalisation("own", model, volume(raw), "d")
    assert tissue_alone.notes == ()
    padded = np.pad(raw, ((0, 0), (0, 30), (0, 30)))
    found = choose_normalisation("own", model, volume(padded), "d")
    assert "is padding of one value" in found.notes[0]
    assert found.normalisation.channels[0].mean == pytest.approx(tissue_alone.normalisation.channels[0].mean, rel=0.02)
    rare = np.random.default_rng(0).exponential(10, WHOLE.shape).astype(np.float32)
    (note,) = choose_normalisation("own", model, volume(rare), "d").notes
    assert "distributed otherwise" in note


def test_a_constant_image_is_normalised_as_in_the_training(model: TrainedModel) -> None:
    found = choose_normalisation("own", model, volume(np.full(WHOLE.shape, 7, np.uint8)), "d")
    assert found.normalisation == model.normalisation
    assert "7 wherever it was sampled" in found.notes[0]


FLAT = Normalisation.of_constant(31)


def of_two_channels(model: TrainedModel, *second: Normalisation) -> TrainedModel:
    """The model with a second channel, of whose volumes each had a normalisation of it; the first volume's counts."""
    first, (known,) = model.normalisation.channels[0], model.info.volumes
    volumes = tuple(
        known.model_copy(update={"digest": str(number), "normalisation": ImageNormalisation.of([first, one])})
        for number, one in enumerate(second)
    )
    info = model.info.model_copy(update={"n_inputs": 2, "volumes": volumes})
    return replace(model, info=info, normalisation=volumes[0].normalisation)


def two_channels() -> MemoryImage:
    raw = tissue(seed=3).raw
    return MemoryImage(np.stack([raw, raw[::-1]]), tissue().space, names=("EM", "DAPI"))


@pytest.mark.parametrize("setting", ["own", "training"])
def test_a_channel_of_which_nothing_was_learnt_is_left_out(model: TrainedModel, setting: Any) -> None:
    found = choose_normalisation(setting, of_two_channels(model, FLAT, FLAT), two_channels(), "d")
    assert not found.normalisation.apply(two_channels().array)[1].any()
    assert found.normalisation.apply(two_channels().array)[0].any()
    (note,) = found.notes
    assert note.startswith("The channel 'DAPI' of the volume is left out: it was 31 everywhere in the training")


def test_a_channel_that_varied_in_some_volume_of_the_training_counts(model: TrainedModel) -> None:
    both = of_two_channels(model, FLAT, model.normalisation.channels[0])
    own = choose_normalisation("own", both, two_channels(), "d")
    assert own.normalisation.apply(two_channels().array)[1].any()
    assert own.notes == ()
    (note,) = choose_normalisation("training", both, two_channels(), "d").notes
    assert "learnt it from other volumes" in note
    assert "normalisation=own" in note


def test_a_comparison_leaves_out_what_the_older_model_did_not_learn(model: TrainedModel) -> None:
    image = ImageNormalisation.of([Normalisation(mean=1, std=2, low=0, high=9)] * 2)
    assert model.known_channels(one := ImageNormalisation.of(image.channels[:1])) == one
    assert of_two_channels(model, FLAT).known_channels(image).channels == (image.channels[0], FLAT)


def test_a_normalisation_survives_the_attributes(model: TrainedModel) -> None:
    found = choose_normalisation("own", model, volume(tissue(seed=3).raw), "d")
    assert stored_normalisation(found.attributes) == found
    told = replace(found, notes=("One.", "Two."))
    assert stored_normalisation(told.attributes) == told
    before = {name: value for name, value in found.attributes.items() if name != "notes"}
    assert stored_normalisation(before) == replace(found, notes=())
    assert stored_normalisation(None) is None
    with pytest.raises(VolumeError, match="cannot be read"):
        stored_normalisation({"setting": "own", "mean": "bright"})
