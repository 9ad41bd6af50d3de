"""Learning tasks on several volumes: which of them are learnt from, and what is told of the others."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from napari_pytc.annotations.paint_store import PaintStore
from napari_pytc.errors import ModelError
from napari_pytc.geometry import Box, VoxelSpace
from napari_pytc.learning.data import voxel_features
from napari_pytc.learning.data.objects import ObjectLabels
from napari_pytc.learning.data.sampling import TrainingVolume
from napari_pytc.learning.data.training_data import TrainingData
from napari_pytc.learning.data.training_image import TrainingImage
from napari_pytc.learning.data.volume_data import VolumeData
from napari_pytc.learning.data.volume_opening import choose_space
from napari_pytc.learning.training import training_run
from napari_pytc.learning.training.tasks.task_of_plan import make_task
from napari_pytc.learning.training.train import train
from napari_pytc.plans.normalisation import ImageNormalisation
from napari_pytc.plans.recipes import load_recipe
from napari_pytc.plans.specs import VolumeInputs
from napari_pytc.volumes.spec import NpySpec
from tests.support.annotations import MemoryAnnotations
from tests.support.contexts import RecordingContext
from tests.support.images import memory_image, one_channel
from tests.support.learning import (
    HELD_OUT,
    MemoryObjects,
    folders,
    instance_plan,
    object_data,
    strokes,
    tiny_plan,
    tissue,
    training_data,
)

PLAIN = one_channel(mean=120, std=50, low=-1e6, high=1e6)
TWO = (4, 16, 16)
"""Shape of objects that are of another image."""


def several(*volumes: VolumeData) -> TrainingData:
    named = tuple(replace(volume, name=name) for name, volume in zip("abc", volumes, strict=False))
    return TrainingData(named, named[0].space)


def drawn_from(data: VolumeData) -> TrainingVolume:
    return TrainingVolume(data, TrainingImage(data.source, PLAIN, data.held_out))


def correction(of: VolumeData) -> ObjectLabels:
    """Two cells that were cut from one another, in the corner far from the held-out box."""
    ids = np.zeros(of.source.shape, np.uint32)
    ids[:, 30:40, 30:48], ids[:, 40:, 30:48] = 3, 4
    return ObjectLabels(MemoryObjects(ids), of.held_out)


def one_object(shape: tuple[int, int, int] = (8, 48, 48)) -> np.ndarray:
    ids = np.zeros(shape, np.uint32)
    ids[:, :30, 26:] = 7
    return ids


@pytest.mark.parametrize("ids", [one_object(), one_object(TWO) + 1])
def test_objects_that_are_refused_are_neither_drawn_nor_counted(ids: np.ndarray) -> None:
    ids = ids if ids.any() else np.ones(ids.shape, np.uint32)
    good, bad = object_data(), object_data(ids=ids)
    assert bad.objects is not None
    data = several(good, replace(bad, objects=ObjectLabels(MemoryObjects(ids), bad.held_out)))
    task = make_task(instance_plan(), data)

    (note,) = task.check()
    assert note.startswith("The objects of the volume 'b' are not learnt from: ")
    first, second = data.volumes
    assert first.objects is not None
    assert task.chunks(first) == first.objects.chunks
    assert task.chunks(second) == []
    assert task.n_annotated == {"objects": np.count_nonzero(first.objects.labels(Box.of_shape((8, 48, 48))))}
    plan = instance_plan()
    alone = make_task(plan, several(good))
    batch = task.batches([drawn_from(one) for one in data.volumes], plan, 4, (4, 16, 16)).batch(0)
    same = alone.batches([drawn_from(good)], plan, 4, (4, 16, 16)).batch(0)
    assert batch.image.equal(same.image)


def test_objects_of_another_image_are_no_truth(tmp_path: Path) -> None:
    bad = replace(object_data(), objects=ObjectLabels(MemoryObjects(np.ones(TWO)), (HELD_OUT,)))
    scorer = make_task(instance_plan(), data := several(object_data(), bad)).scorer([PLAIN, PLAIN], 10**6)
    assert len(scorer.volumes) == 2
    assert [volume.scorer.n_boxes > 0 for volume in scorer.volumes] == [True, False]
    found = train(instance_plan(steps=2), data, folders(tmp_path), ctx := RecordingContext())
    assert set(found.info.scores["volumes"]) == {"a"}
    assert any(note.startswith("The objects of the volume 'b' are not learnt from: ") for note in ctx.warnings)


def test_objects_in_held_out_boxes_alone_are_truth_all_the_same() -> None:
    ids = np.zeros((8, 48, 48), np.uint32)
    ids[HELD_OUT.slices] = tissue().cells[HELD_OUT.slices]
    task = make_task(instance_plan(), several(object_data(), object_data(ids=ids)))
    (note,) = task.check()
    assert "are not learnt from: All annotated objects lie in held-out boxes" in note
    assert all(volume.scorer.n_boxes for volume in task.scorer([PLAIN, PLAIN], 10**6).volumes)


def test_one_object_beside_the_corrections_of_another_volume_is_told_and_in_one_volume_refused() -> None:
    one = object_data(ids=one_object())
    corrected = replace(training_data(), corrections=(correction(training_data()),))
    task = make_task(instance_plan(), several(one, corrected))
    assert [note.split(":")[0] for note in task.check()] == ["The objects of the volume 'a' are not learnt from"]
    with pytest.raises(ModelError, match="at least two objects"):
        make_task(instance_plan(), replace(one, corrections=(correction(one),))).check()


def test_the_normalisation_of_the_model_is_that_of_the_volume_with_the_most_labels(tmp_path: Path) -> None:
    """Strokes decide for classes only: here the first volume has them, and the second one the objects."""
    painted = replace(object_data(ids=tissue().cells * (np.arange(48) > 40)), annotations=training_data().annotations)
    other = object_data(tissue(seed=3))
    other = replace(other, source=memory_image(tissue(seed=3).raw.astype(np.float32) * 50, other.space))
    train(instance_plan(steps=1), several(painted, other), folders(tmp_path), RecordingContext())
    found = ImageNormalisation.model_validate_json((tmp_path / "models" / "m1" / "normalisation.json").read_text())
    assert found.channels[0].mean > 1000


def test_a_volume_with_corrections_alone_is_learnt_from() -> None:
    nothing = MemoryAnnotations(np.zeros((8, 48, 48), np.uint8))
    one = replace(training_data(tissue(seed=5)), annotations=nothing, boundary_class="membrane")
    corrected = replace(one, corrections=(correction(one),))
    data = several(training_data(), corrected)
    task = make_task(tiny_plan(), data)
    assert task.check() == []
    assert task.chunks(data.volumes[1])
    assert make_task(tiny_plan(), several(training_data(), one)).check() == [
        "Nothing is learnt from the volume 'b': it has no strokes outside of held-out boxes."
    ]


def test_held_out_voxels_of_a_volume_with_corrections_alone_do_not_enter_its_normalisation(tmp_path: Path) -> None:
    found = []
    for number in range(2):
        of = tissue(seed=5)
        raw = of.raw.copy()
        raw[HELD_OUT.slices] = 255 - raw[HELD_OUT.slices] if number else raw[HELD_OUT.slices]
        nothing = MemoryAnnotations(np.zeros(raw.shape, np.uint8))
        one = replace(training_data(of, raw=raw), annotations=nothing, boundary_class="membrane")
        data = several(training_data(), replace(one, corrections=(correction(one),)))
        info = train(tiny_plan(steps=1), data, folders(tmp_path / str(number)), RecordingContext()).info
        found.append(info.volumes[1].normalisation)
    assert found[0] == found[1]


def test_volumes_that_are_only_scored_take_no_share_of_voxels_and_memory(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shares: list[int] = []
    original = voxel_features.annotated_features

    def noted(*args: Any, **options: Any) -> Any:
        shares.append(options["n_volumes"])
        return original(*args, **options)

    monkeypatch.setattr(training_run, "annotated_features", noted)
    blank = replace(training_data(), annotations=MemoryAnnotations(np.zeros((8, 48, 48), np.uint8)))
    plan = load_recipe("instant", ["steps=2", "device=cpu", "network.starter=false"])
    train(plan, several(blank, training_data(), blank), folders(tmp_path), RecordingContext())
    assert shares == [1]


@pytest.mark.parametrize("empty_nm", [(5.0, 5.0, 5.0), (10.0, 10.0, 10.0)])
def test_a_volume_without_labels_does_not_decide_the_voxel_size(
    tmp_path: Path, empty_nm: tuple[float, float, float]
) -> None:
    """Also where all volumes count the same: balance 1."""
    found, painted_nm = [], (40.0, 4.0, 4.0)
    for name, size in (("empty", empty_nm), ("painted", painted_nm)):
        np.save(tmp_path / f"{name}.npy", tissue().raw)
        store = PaintStore.create(tmp_path / f"{name}.zarr", (8, 48, 48), VoxelSpace(size))
        if name == "painted":
            store.write(Box.of_shape((8, 48, 48)), strokes(tissue()))
        spec = NpySpec(path=tmp_path / f"{name}.npy")
        found.append(VolumeInputs(name=name, volume=spec, space=VoxelSpace(size), annotations=store.folder))
    assert choose_space(found, None, volume_balance=1.0).voxel_size_nm == painted_nm
    store = PaintStore.open(found[1].annotations)
    store.write(Box.of_shape((8, 48, 48)), np.zeros((8, 48, 48), np.uint8))
    assert choose_space(found, None, volume_balance=1.0).voxel_size_nm in (empty_nm, painted_nm)


def test_corrections_of_objects_are_drawn_from_all_volumes_evenly_by_the_balance() -> None:
    one = object_data()
    many, few = (replace(one, corrections=found) for found in ((correction(one),) * 3, (correction(one),)))
    n = [sum(len(labels.chunks) for labels in of.corrections) for of in (many, few)]
    for balance, expected in ((0.0, n[0] / sum(n)), (1.0, 0.5)):
        plan = instance_plan(volume_balance=balance, corrections_share=0.5)
        task = make_task(plan, data := several(many, few))
        batches = task.batches([drawn_from(of) for of in data.volumes], plan, 1, (4, 16, 16))
        shares = np.diff(batches._shares, prepend=0.0)
        assert shares[0] == 0.5  # of the objects
        assert shares[1:].sum() == pytest.approx(0.5)
        assert shares[1:-1].sum() == pytest.approx(0.5 * expected)
