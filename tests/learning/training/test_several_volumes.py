"""Trainings on several volumes: drawn evenly, normalised each by itself, scored each and together."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from napari_pytc.annotations.object_relations import ObjectRelations
from napari_pytc.annotations.paint_store import PaintStore
from napari_pytc.errors import ModelError, VolumeError
from napari_pytc.geometry import Box, VoxelSpace
from napari_pytc.jobs.context import JobCancelled
from napari_pytc.labels.store import LabelStore
from napari_pytc.learning.data.training_data import TrainingData
from napari_pytc.learning.data.volume_data import VolumeData
from napari_pytc.learning.data.volume_opening import choose_space, open_volume_data
from napari_pytc.learning.training.state.training_identity import training_fingerprint
from napari_pytc.learning.training.train import Checkpoint, train
from napari_pytc.plans.recipes import load_recipe
from napari_pytc.plans.specs import ModelOutput, TrainJob, VolumeInputs
from napari_pytc.volumes.resampling import ResampledImage
from napari_pytc.volumes.spec import NpySpec
from tests.support.annotations import MemoryAnnotations
from tests.support.contexts import RecordingContext
from tests.support.images import memory_image
from tests.support.learning import (
    CLASSES,
    HELD_OUT,
    folders,
    instance_plan,
    object_data,
    same_weights,
    strokes,
    tiny_plan,
    tissue,
    training_data,
    weights_of,
)

DENSE = {"steps": 4, "validate_every": 2}


def volume(
    name: str, seed: int, scale: float = 1.0, held_out: tuple[Box, ...] = (HELD_OUT,), **others: Any
) -> VolumeData:
    """A volume of dense annotations; its intensities are scaled."""
    of = tissue(seed=seed)
    raw = (of.raw * scale).astype(np.float32)
    labels = MemoryAnnotations(others.pop("labels", of.classes))
    return VolumeData(memory_image(raw, of.space), labels, CLASSES, (HELD_OUT,), of.space, name=name, **others)


def two(scale: float = 100.0) -> TrainingData:
    volumes = (volume("a", 0), volume("b", 5, scale))
    return TrainingData(volumes, volumes[0].space)


def trained(root: Path, data: TrainingData, ctx: RecordingContext | None = None, **changes: Any) -> Checkpoint:
    return train(tiny_plan(**{**DENSE, **changes}), data, folders(root), ctx or RecordingContext())


def test_each_volume_is_normalised_by_itself_and_scored_beside_all(tmp_path: Path) -> None:
    found = trained(tmp_path, two())

    a, b = found.info.volumes
    assert (a.name, b.name) == ("a", "b")
    assert b.normalisation.channels[0].mean > 50 * a.normalisation.channels[0].mean
    assert a.digest != b.digest
    scores = found.info.scores
    assert set(scores["volumes"]) == {"a", "b"}
    each = [scores["volumes"][name] for name in "ab"]
    assert scores["n_voxels"] == sum(one["n_voxels"] for one in each)
    assert min(one["mean"] for one in each) - 1e-9 <= scores["mean"] <= max(one["mean"] for one in each) + 1e-9
    assert each[0]["boxes"] == [str(HELD_OUT)]
    assert scores["boxes"] == [f"a: {HELD_OUT}", f"b: {HELD_OUT}"]
    assert found.info.n_annotated == {name: int(n) for name, n in zip(CLASSES, two().counts.sum(axis=0), strict=True)}


def test_the_brightness_of_a_volume_does_not_matter(tmp_path: Path) -> None:
    """Sums of large numbers round in another way, hence no equality."""
    one, other = (trained(tmp_path / str(k), two(scale)) for k, scale in enumerate((1.0, 64.0)))
    for name, weights in weights_of(one).items():
        assert np.allclose(weights.numpy(), weights_of(other)[name].numpy(), atol=1e-3), name


def test_a_single_volume_has_no_scores_of_volumes(tmp_path: Path) -> None:
    found = trained(tmp_path, TrainingData.of(training_data()))

    assert "volumes" not in found.info.scores
    assert [one.name for one in found.info.volumes] == [""]


@pytest.mark.slow
@pytest.mark.parametrize("recipe", ["network", "instant", "objects"])
def test_a_training_on_several_resumes_as_if_nothing_had_happened(tmp_path: Path, recipe: str) -> None:
    plan, data = tiny_plan(), two()
    if recipe == "instant":
        changes = ["steps=30", "checkpoint_every=5", "validate_every=10", "device=cpu", "network.starter=false"]
        plan = load_recipe("instant", changes)
    if recipe == "objects":
        plan, one = instance_plan(), object_data()
        data = TrainingData((one, object_data(tissue(seed=3))), one.space)
    whole = train(plan, data, folders(tmp_path / "whole"), RecordingContext())
    with pytest.raises(JobCancelled):
        train(plan, data, folders(tmp_path / "part"), RecordingContext(cancel_after=12))
    part = train(plan, data, folders(tmp_path / "part"), RecordingContext())
    assert same_weights(weights_of(part), weights_of(whole))
    assert part.info.scores["volumes"].keys() == whole.info.scores["volumes"].keys()


def test_a_volume_without_strokes_is_scored_all_the_same(tmp_path: Path) -> None:
    inside = np.zeros_like(tissue().classes)
    inside[HELD_OUT.slices] = tissue(seed=5).classes[HELD_OUT.slices]
    volumes = (volume("a", 0), volume("only scored", 5, labels=inside), volume("blank", 6, labels=0 * inside))
    ctx = RecordingContext()

    found = trained(tmp_path, TrainingData(volumes, volumes[0].space), ctx)

    assert set(found.info.scores["volumes"]) == {"a", "only scored"}
    assert any("Nothing is learnt from the volume 'only scored'" in note for note in ctx.warnings)
    assert any("Nothing is learnt from the volume 'blank'" in note for note in ctx.warnings)


@pytest.mark.slow
def test_pseudo_labels_and_the_parent_are_of_all_volumes(tmp_path: Path) -> None:
    data = two()
    first = trained(tmp_path / "first", data, guess_weight=0.5)
    where = folders(tmp_path / "second", parent=first.folder)
    second = train(tiny_plan(**DENSE, distil_weight=1.0), data, where, RecordingContext())
    comparison = second.info.scores["comparison"]
    assert comparison["baseline"] == "m1"
    assert comparison["n_blocks"] >= 10  # those of both volumes
    assert comparison["verdict"] != "unknown"


def test_instances_are_learnt_from_all_volumes(tmp_path: Path) -> None:
    one, other = object_data(), object_data(tissue(seed=3))
    data = TrainingData((one, other), one.space)
    found = train(instance_plan(steps=2), data, folders(tmp_path), RecordingContext())
    assert set(found.info.scores["volumes"]) == {"1", "2"}
    labelled = [int(np.count_nonzero(of.objects.labels(Box.of_shape(of.source.shape)))) for of in (one, other)]
    assert found.info.n_annotated == {"objects": sum(labelled)}


def test_the_digest_of_one_volume_is_that_of_before_and_of_several_names_all() -> None:
    plan, one, both = tiny_plan(), TrainingData.of(training_data()), two()
    assert training_fingerprint(plan, one, None) == "42f6ed7d1b5e9fb7"  # of version 0.2
    other = training_fingerprint(plan, both, None)
    assert other != training_fingerprint(plan, TrainingData(both.volumes[:1], both.space), None)
    assert other != training_fingerprint(tiny_plan(volume_balance=0.5), both, None)


class Files:
    """Volumes of a project on disk."""

    def __init__(self, root: Path) -> None:
        self.root = root

    def inputs(self, name: str, size: tuple[float, float, float], *, every: int = 1, **others: Any) -> VolumeInputs:
        """Tissue with strokes; of every section and row, or of every second one."""
        of = tissue((8, 48, 48), anisotropy=1.0)
        step = (slice(None, None, every),) * 3
        raw, labels = of.raw[step], strokes(of)[step]
        np.save(self.root / f"{name}.npy", raw)
        store = PaintStore.create(self.root / f"{name}.zarr", raw.shape, VoxelSpace(size))
        store.write(Box.of_shape(raw.shape), labels)
        return VolumeInputs(
            name=name,
            volume=NpySpec(path=self.root / f"{name}.npy"),
            space=VoxelSpace(size),
            annotations=store.folder,
            **others,
        )

    def job(self, *inputs: VolumeInputs, **changes: Any) -> TrainJob:
        output = ModelOutput(model_folder=self.root / "m", run_folder=self.root / "r")
        return TrainJob(inputs=inputs, classes=CLASSES, plan=tiny_plan(**changes), output=output)


@pytest.fixture
def files(tmp_path: Path) -> Files:
    return Files(tmp_path)


@pytest.mark.parametrize(
    ("sizes", "n_sections", "expected"),
    [
        ([(40, 4, 4), (10, 10, 10)], (8, 8), 1),  # 4 nm become 10, rather than 10 become 40
        ([(40, 4, 4), (20, 20, 20)], (8, 1), 0),
        ([(16, 16, 16), (40, 4, 4)], (8, 8), 1),
        ([(10, 10, 10), (20, 20, 20)], (1, 8), 0),  # finer voxels lose nothing
        ([(10, 10, 10), (10.5, 10, 10)], (1, 8), 0),
    ],
)
def test_the_voxel_size_is_that_at_which_least_detail_is_lost(
    files: Files, sizes: list[tuple[float, float, float]], n_sections: tuple[int, int], expected: int
) -> None:
    inputs = []
    for number, (size, n) in enumerate(zip(sizes, n_sections, strict=True)):
        one = files.inputs(str(number), size)
        labels = PaintStore.open(one.annotations)
        labels.write(Box((n, 0, 0), (8, 48, 48)), np.zeros((8 - n, 48, 48), np.uint8))
        inputs.append(one)
    assert choose_space(inputs, None) == VoxelSpace(sizes[expected])
    assert choose_space(inputs, (7, 7, 7)) == VoxelSpace((7, 7, 7))
    assert choose_space(inputs, sizes[0]) == VoxelSpace(sizes[0])


def test_volumes_of_other_voxels_are_resampled_to_those_of_the_finer_ones(files: Files) -> None:
    held = Box((0, 0, 0), (2, 6, 6))
    job = files.job(files.inputs("coarse", (20, 20, 20), every=2, held_out=(held,)), files.inputs("fine", (10, 10, 10)))
    data = TrainingData.open(job)

    coarse, fine = data.volumes
    assert data.space == VoxelSpace((10, 10, 10))
    assert isinstance(coarse.source, ResampledImage)
    assert (coarse.source.shape, fine.source.shape) == ((8, 48, 48), (8, 48, 48))
    assert (coarse.own_held_out, coarse.held_out) == ((held,), (Box((0, 0, 0), (5, 13, 13)),))
    inside = Box((0, 0, 0), (4, 12, 12))  # strokes in the margin are neither learnt nor truth
    assert coarse.scored == (inside,)
    assert all(inside.contains(tile) for tile in coarse.scored_tiles((8, 64, 64)))
    assert data.notes == [
        "The volume 'coarse' has voxels of 20 x 20 x 20 nm; it is resampled to 10 x 10 x 10 nm while it is read."
    ]
    assert sum(sum(chunk.counts) for chunk in coarse.chunks) > 0


def test_strokes_of_one_voxel_survive_coarser_voxels(files: Files) -> None:
    job = files.job(files.inputs("fine", (10, 10, 10)), files.inputs("b", (40, 40, 40)), voxel_size_nm=(40, 40, 40))
    fine, _ = TrainingData.open(job).volumes
    assert fine.source.shape == (2, 12, 12)
    drawn = np.count_nonzero(strokes(tissue((8, 48, 48), anisotropy=1.0)))
    assert np.count_nonzero(fine.labels(Box.of_shape(fine.source.shape))) > drawn / 40


@pytest.mark.parametrize(("size", "is_resampled"), [((10, 10, 10.9), False), ((10, 10, 11.1), True)])
def test_a_tenth_is_no_difference(files: Files, size: tuple[float, float, float], is_resampled: bool) -> None:
    inputs = files.inputs("a", (10, 10, 10)), files.inputs("b", size)
    data = TrainingData.open(files.job(*inputs, voxel_size_nm=(10, 10, 10)))
    assert isinstance(data.volumes[1].source, ResampledImage) == is_resampled
    assert data.space == VoxelSpace((10, 10, 10))


def test_unknown_voxel_sizes_are_told(files: Files) -> None:
    unknown = files.inputs("b", (1, 1, 1)).model_copy(update={"space": VoxelSpace.unknown()})
    data = TrainingData.open(files.job(unknown, files.inputs("a", (40, 10, 10))))
    assert data.space == VoxelSpace((40, 10, 10))
    assert data.volumes[0].source.shape == (8, 48, 48)
    assert data.notes == ["The voxel size of the volume 'b' is not known; it counts as the network's."]


def test_a_volume_that_is_gone_is_named(files: Files) -> None:
    job = files.job(files.inputs("a", (10, 10, 10)), files.inputs("gone", (10, 10, 10)))
    (files.root / "gone.npy").unlink()
    with pytest.raises(VolumeError, match="Volume 'gone': There is no file"):
        TrainingData.open(job)


def test_a_resampled_training_runs_and_scores_in_its_own_boxes(files: Files) -> None:
    held = Box((0, 0, 0), (4, 12, 12))
    job = files.job(
        files.inputs("fine", (10, 10, 10), held_out=(Box((0, 0, 0), (8, 24, 24)),)),
        files.inputs("coarse", (20, 20, 20), every=2, held_out=(held,)),
    )
    ctx = RecordingContext()
    answer = job.run(ctx)
    assert answer["scores"]["volumes"]["coarse"]["boxes"] == [str(held)]
    assert any("resampled" in note for note in answer["notes"])
    again = files.job(*job.inputs).model_copy(
        update={
            "output": ModelOutput(model_folder=files.root / "m2", run_folder=files.root / "r2", parent=files.root / "m")
        }
    )
    assert again.run(RecordingContext())["scores"]["comparison"]["baseline"] == "m"


def test_nothing_painted_anywhere_is_refused() -> None:
    nothing = 0 * tissue().classes
    volumes = (volume("a", 0, labels=nothing), volume("b", 1, labels=nothing))
    with pytest.raises(ModelError, match="at least two classes, got none"):
        TrainingData(volumes, volumes[0].space).check()


def test_what_is_held_out_of_a_resampled_volume_does_not_matter(tmp_path: Path) -> None:
    """Other intensities in the held-out box give the same weights, bit for bit."""
    held, found = Box((0, 0, 0), (3, 8, 8)), []
    for number in range(2):
        root = tmp_path / str(number)
        root.mkdir()
        files = Files(root)
        coarse = files.inputs("coarse", (20, 20, 20), every=2, held_out=(held,))
        if number:
            raw = np.load(root / "coarse.npy")
            raw[held.slices] = 255 - raw[held.slices]
            np.save(root / "coarse.npy", raw)
        job = files.job(files.inputs("fine", (10, 10, 10)), coarse, steps=3, validate_every=9)
        job.run(RecordingContext())
        found.append(weights_of(root / "m"))
    assert same_weights(*found)


def test_objects_and_corrections_are_resampled_with_their_volume(files: Files) -> None:
    coarse = files.inputs("coarse", (20, 20, 20), every=2)
    shape, space = (4, 24, 24), VoxelSpace((20, 20, 20))
    ids = np.zeros(shape, np.uint32)
    ids[:, :12], ids[:, 12:] = 5, 9
    objects = LabelStore.create(files.root / "objects.zarr", shape, np.uint32, space)
    objects.write(Box.of_shape(shape), ids)
    corrections = LabelStore.create(files.root / "corrections" / "s1.zarr", shape, np.uint32, space)
    corrections.write(Box((0, 0, 0), (4, 4, 4)), np.full((4, 4, 4), 7, np.uint32))
    ObjectRelations().save(corrections.path)
    coarse = coarse.model_copy(update={"objects": objects.path, "corrections": corrections.path.parent})
    data = open_volume_data(coarse, CLASSES, VoxelSpace((10, 10, 10)), learns_objects=True)
    assert data.objects is not None
    assert data.objects.shape == data.source.shape == (8, 48, 48)
    assert np.array_equal(data.objects.truth(Box((0, 20, 0), (1, 28, 1))).ravel(), [5] * 4 + [9] * 4)
    (corrected,) = data.corrections
    assert np.count_nonzero(corrected.labels(Box.of_shape(corrected.shape))) == 8 * 64
