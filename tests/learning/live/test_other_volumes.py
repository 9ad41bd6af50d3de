"""Live learns from the strokes of all volumes and predicts the one in view."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from napari_pytc.annotations.paint_store import PaintStore
from napari_pytc.errors import VolumeError
from napari_pytc.geometry import Box
from napari_pytc.jobs.context import JobMessage
from napari_pytc.learning.live import other_volumes
from napari_pytc.learning.live.other_volumes import OtherVolumes
from napari_pytc.plans.live_messages import stop_message
from napari_pytc.plans.live_plan import LivePlan
from napari_pytc.plans.live_spec import LiveJob
from napari_pytc.plans.model_folder import read_model_info
from napari_pytc.plans.plan import TrainPlan
from napari_pytc.plans.specs import VolumeInputs
from napari_pytc.volumes.spec import NpySpec
from napari_pytc.volumes.zarr_output import open_ome_zarr
from tests.support.contexts import RecordingContext
from tests.support.learning import CLASSES
from tests.support.live import LiveContext, LiveProject, Script, live_plan, live_tissue, make_instant_model

HELD_OUT = Box((0, 0, 0), (6, 24, 24))


@pytest.fixture
def seen(tmp_path: Path) -> LiveProject:
    """The volume in view, without a stroke."""
    return LiveProject(tmp_path / "seen", n_strokes=0)


@pytest.fixture
def other(tmp_path: Path) -> LiveProject:
    """Another volume, with strokes."""
    return LiveProject(tmp_path / "other")


def inputs(of: LiveProject, name: str = "other", **others: Any) -> VolumeInputs:
    return VolumeInputs(name=name, volume=of.image, space=of.tissue.space, annotations=of.store.folder, **others)


def job(seen: LiveProject, *others: VolumeInputs, plan: LivePlan | None = None) -> LiveJob:
    alone = seen.job(plan)
    return alone.model_copy(update={"inputs": (*alone.inputs, *others)})


def volumes_of(other: LiveProject, ctx: RecordingContext | None = None, **changes: Any) -> OtherVolumes:
    bank = make_instant_model().network
    return OtherVolumes(
        [inputs(other).model_copy(update=changes)],
        CLASSES,
        other.tissue.space,
        bank,
        bank.limits(),
        TrainPlan().normalisation,
        ctx or RecordingContext(),
    )


def look(seen: LiveProject, *between: Any) -> Script:
    """Look at a section until it is there, do something, wait until it is predicted anew, and stop."""

    def script(ctx: LiveContext) -> Iterator[list[JobMessage]]:
        yield [seen.view()]
        for number, act in enumerate((None, *between)):
            if act is not None:
                act()
            yield from ctx.wait_for(lambda n=number: len(ctx.curve("generation")) > n)
        yield [stop_message()]

    return script


def accuracy(project: LiveProject) -> float:
    box = project.section()
    found = open_ome_zarr(project.root / "live" / "prediction.zarr").read(box).argmax(0) + 1
    return float((found == project.tissue.classes[box.slices]).mean())


@pytest.mark.slow
def test_a_volume_without_strokes_is_predicted_by_those_of_another(seen: LiveProject, other: LiveProject) -> None:
    result = job(seen, inputs(other)).run(LiveContext(look(seen)))

    assert accuracy(seen) > 0.8
    info = read_model_info(seen.root / "models" / "m-live")
    assert [volume.name for volume in info.volumes] == ["", "other"]
    assert sum(info.n_annotated.values()) == np.count_nonzero(other.store.read(other.whole))
    assert result["shown"] == "instant"


@pytest.mark.slow
def test_strokes_that_are_painted_elsewhere_meanwhile_count(
    seen: LiveProject, other: LiveProject, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(other_volumes, "_REFRESH_S", 0.0)
    ctx = LiveContext(look(seen, lambda: other.paint(2, seed=5)))
    job(seen, inputs(other)).run(ctx)
    assert len(ctx.curve("generation")) == 2


@pytest.mark.slow
def test_the_network_learns_from_all(seen: LiveProject, other: LiveProject) -> None:
    seen.paint(6)

    def script(ctx: LiveContext) -> Iterator[list[JobMessage]]:
        yield [seen.view()]
        yield from ctx.wait_for(lambda: ctx.curve("network/loss") and ctx.curve("network/score"))
        yield [stop_message()]

    ctx = LiveContext(script, most=200_000)
    result = job(seen, inputs(other), plan=live_plan()).run(ctx)
    assert result["steps"] >= 4
    assert not ctx.warnings


@pytest.mark.slow
def test_a_volume_that_is_gone_is_left_out_and_told(seen: LiveProject, other: LiveProject, tmp_path: Path) -> None:
    seen.paint(8)
    gone = inputs(other, "gone").model_copy(update={"annotations": tmp_path / "nothing.zarr"})
    ctx = LiveContext(look(seen))
    job(seen, gone).run(ctx)
    (warning,) = ctx.warnings
    assert warning.startswith("Volume 'gone': ")
    assert warning.endswith("Live learns without this volume.")


def test_all_strokes_outside_held_out_boxes_are_examples_of_their_volume(other: LiveProject) -> None:
    volumes = volumes_of(other, held_out=(HELD_OUT,))
    labels = other.store.read(other.whole)
    labels[HELD_OUT.slices] = 0
    (examples,) = volumes.examples()
    assert sorted(examples.classes.tolist()) == sorted(labels[labels > 0].tolist())
    assert examples.volumes is not None
    assert set(examples.volumes.tolist()) == {1}
    assert volumes.examples()[0] is examples
    assert volumes.counts.tolist() == [np.count_nonzero(labels == k) for k in (1, 2)]
    (training,) = volumes.training_volumes()
    assert sum(sum(chunk.counts) for chunk in training.data.chunks) == len(examples)


def test_a_change_elsewhere_is_seen_in_the_snapshot(other: LiveProject, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(other_volumes, "_REFRESH_S", 0.0)
    volumes = volumes_of(other)
    assert not volumes.refresh()
    before = volumes.snapshots()[0].with_others(volumes.snapshots())
    other.paint(1, seed=9)
    n_before = len(volumes.examples()[0])
    assert volumes.refresh()
    assert len(volumes.examples()[0]) > n_before
    after = before.with_others(volumes.snapshots())
    assert after.digest != before.digest
    assert after.n_strokes > before.n_strokes
    assert not after.lacks_strokes_of(before)
    other.store.write(other.whole, np.zeros(other.whole.shape, np.uint8))
    assert volumes.refresh()
    assert before.with_others(volumes.snapshots()).lacks_strokes_of(after)


def test_strokes_are_read_again_only_where_they_changed(other: LiveProject, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(other_volumes, "_REFRESH_S", 0.0)
    volumes = volumes_of(other)
    (before,) = volumes.training_volumes()
    monkeypatch.setattr(PaintStore, "read", lambda *_: pytest.fail("read again"))
    assert not volumes.refresh()
    (same,) = volumes.training_volumes()
    assert same is before
    assert sum(sum(chunk.counts) for chunk in same.data.chunks) == len(volumes.examples()[0])  # they are in memory
    monkeypatch.undo()
    monkeypatch.setattr(other_volumes, "_REFRESH_S", 0.0)
    other.paint(1, seed=9)
    assert volumes.refresh()
    (after,) = volumes.training_volumes()
    assert after is not before
    assert np.array_equal(after.labels(other.whole), other.store.read(other.whole))


def test_notes_on_the_intensities_of_another_volume_are_told(other: LiveProject) -> None:
    raw = np.array(other.tissue.raw, np.float32)
    raw[0, :8, :8] = np.nan
    np.save(other.root / "nan.npy", raw)
    ctx = RecordingContext()
    volumes_of(other, ctx, volume=NpySpec(path=other.root / "nan.npy"))
    assert any("not finite numbers" in note and "'other'" in note for note in ctx.warnings)


def test_held_out_voxels_do_not_enter_the_normalisation_of_a_volume_that_is_painted_later(tmp_path: Path) -> None:
    found = []
    for number in range(2):
        project = LiveProject(tmp_path / str(number), n_strokes=0)
        raw = project.tissue.raw.copy()
        raw[HELD_OUT.slices] = 255 * number
        np.save(project.root / "raw.npy", raw)
        spec = NpySpec(path=project.root / "raw.npy")
        found.append(volumes_of(project, volume=spec, held_out=(HELD_OUT,)).volumes[0][1])
    assert found[0] == found[1]


@pytest.mark.parametrize("what", ["image", "strokes"])
def test_a_volume_that_cannot_be_read_any_more_is_left_out_and_told(
    other: LiveProject, monkeypatch: pytest.MonkeyPatch, what: str
) -> None:
    monkeypatch.setattr(other_volumes, "_REFRESH_S", 0.0)
    ctx = RecordingContext()
    volumes = volumes_of(other, ctx)
    before = volumes.snapshots()
    if what == "image":
        damaged = VolumeError("A block is damaged.")
        monkeypatch.setattr(type(volumes.volumes[0][0].source), "read", raising(damaged))
        assert len(volumes.examples()[0]) == 0
    else:
        other.paint(1, seed=9)
        monkeypatch.setattr(PaintStore, "read", raising(VolumeError("A block is damaged.")))
        assert volumes.refresh()
    assert ctx.warnings == ["Volume 'other': A block is damaged. Live learns without this volume."]
    assert volumes.volumes == []
    assert volumes.counts.tolist() == [0, 0]
    assert len(volumes.examples()[0]) == 0
    (training,) = volumes.training_volumes()
    assert not training.data.chunks
    assert volumes.snapshots()[0].lacks_strokes_of(before[0])
    assert not volumes.refresh()


def raising(error: Exception) -> Any:
    def fail(*_: object) -> None:
        raise error

    return fail


@pytest.mark.slow
def test_an_image_that_fails_while_a_batch_is_made_is_left_out(
    seen: LiveProject, other: LiveProject, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The network goes on with the volume in view."""
    seen.paint(6)
    original = OtherVolumes.training_volumes

    def damaged(self: OtherVolumes) -> list[Any]:
        found = original(self)
        for volume in found:  # the images of features stay as they are
            monkeypatch.setattr(volume.image, "_raw", Failing(self._volumes[0]), raising=True)
        return found

    monkeypatch.setattr(OtherVolumes, "training_volumes", damaged)

    def script(ctx: LiveContext) -> Iterator[list[JobMessage]]:
        yield [seen.view()]
        yield from ctx.wait_for(lambda: ctx.warnings and len(ctx.curve("network/loss")) > 1)
        yield [stop_message()]

    ctx = LiveContext(script, most=200_000)
    result = job(seen, inputs(other), plan=live_plan()).run(ctx)
    assert result["steps"] >= 4
    assert ctx.warnings == ["Volume 'other': It is gone. Live learns without this volume."]
    assert [volume.name for volume in read_model_info(seen.root / "models" / "m-live").volumes] == [""]


class Failing:
    """Blocks of an image that are gone."""

    def __init__(self, volume: Any) -> None:
        self._volume = volume

    def read(self, box: Box) -> np.ndarray:
        self._volume.errors.append(error := VolumeError("It is gone."))
        raise error


def test_another_voxel_size_is_resampled_to_that_in_view(tmp_path: Path) -> None:
    fine = LiveProject(tmp_path, tissue=live_tissue(anisotropy=2.0))
    bank, ctx = make_instant_model().network, RecordingContext()
    volumes = OtherVolumes(
        [inputs(fine)], CLASSES, live_tissue().space, bank, bank.limits(), TrainPlan().normalisation, ctx
    )
    ((data, _),) = volumes.volumes
    assert data.source.shape == (3, 64, 64)
    assert "is resampled" in ctx.warnings[0]
    assert len(volumes.examples()[0])
