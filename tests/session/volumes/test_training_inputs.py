"""What trainings read of the volumes of a project."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest

from napari_pytc.errors import InvalidInput, ModelError, PytcError, VolumeError
from napari_pytc.geometry import Box
from napari_pytc.plans.targets import ChannelsTarget, ClassesTarget, InstancesTarget
from napari_pytc.session.session import Session
from napari_pytc.session.volumes.building import NewVolume
from napari_pytc.session.volumes.training_inputs import TrainingInputs
from napari_pytc.volumes.spec import ReadOptions
from tests.session.models import make_model
from tests.session.volumes.conftest import MakeImage

STROKE = Box((0, 0, 0), (1, 2, 2))


def inputs_of(session: Session) -> TrainingInputs:
    return session._shared.inputs


def mark_object(session: Session) -> None:
    labels = np.zeros(session.image.volume.shape, np.uint32)
    labels[1, 4:8, 4:8] = 7
    session.objects.add(labels)


def names(records: object) -> list[str]:
    return [record.name for record in records]  # type: ignore[attr-defined]


def test_volumes_are_learnt_from_where_the_target_finds_its_annotations(pair: Session) -> None:
    inputs = inputs_of(pair)
    both = ChannelsTarget.model_validate({"channels": ["classes", "foreground"]})
    assert inputs.painted() == inputs.with_objects() == inputs.to_learn_from(both) == []
    pair.strokes.paint(STROKE, 1)
    mark_object(pair.at("other"))

    assert names(inputs.to_learn_from(ClassesTarget())) == ["raw"]
    assert names(inputs.to_learn_from(InstancesTarget())) == ["other"]
    assert names(inputs.to_learn_from(both)) == ["raw", "other"]


def test_named_volumes_are_learnt_from_each_once_whatever_is_annotated(pair: Session) -> None:
    inputs = inputs_of(pair)
    assert names(inputs.to_learn_from(ClassesTarget(), ["other", "v1", "v2"])) == ["other", "raw"]
    with pytest.raises(InvalidInput, match="no volume 'third'"):
        inputs.to_learn_from(ClassesTarget(), ["third"])


def test_a_volume_is_described_as_it_is_now(pair: Session) -> None:
    other = pair.at("other")
    box = Box((5, 0, 0), (6, 24, 20))
    other.held_out.add(box)
    before = inputs_of(pair).of("v2")
    assert (before.name, before.held_out, before.objects) == ("other", (box,), None)
    assert before.space.voxel_size_nm == (30.0, 8.0, 8.0)
    assert before.annotations == other.strokes.store.folder

    mark_object(other)
    other.volumes.rename("other", "late")
    after = inputs_of(pair).of("v2")
    assert after.name == "late"
    assert after.objects is not None
    assert after.objects.is_dir()


def test_an_image_that_moved_is_named_with_its_volume(pair: Session, tmp_path: Path) -> None:
    pair.at("other").image.close()
    shutil.move(tmp_path / "other.h5", tmp_path / "moved.h5")
    with pytest.raises(VolumeError, match="The image of other cannot be used"):
        inputs_of(pair).of("v2")


def test_live_learns_from_the_painted_volumes_beside_and_tells_of_each_that_it_cannot(
    pair: Session, make_image: MakeImage, tmp_path: Path
) -> None:
    pair.volumes.add(NewVolume(make_image("third", (5, 20, 20))))
    for name in ("raw", "other", "third"):
        pair.at(name).strokes.paint(STROKE, 1)
    found, problems = inputs_of(pair).painted_beside("v1")
    assert (names(found), problems) == (["other", "third"], [])

    pair.at("third").image.close()
    (tmp_path / "third.h5").unlink()
    found, problems = inputs_of(pair).painted_beside("v1")
    assert names(found) == ["other"]
    assert ["The image of third cannot be used" in error.message for error in problems] == [True]


def test_strokes_that_cannot_be_read_are_told_with_their_volume(pair: Session) -> None:
    pair.at("other").strokes.paint(STROKE, 1)
    folder = pair.folder
    pair.close()
    (folder / "volumes" / "v2" / "annotations.zarr" / "zarr.json").write_text("{")
    with Session.open(folder) as again:
        found, problems = inputs_of(again).painted_beside("v1")
        assert found == []
        (problem,) = problems
        assert problem.message.startswith("The strokes of other cannot be read.")


def test_images_of_other_numbers_of_channels_are_refused_together_and_beside_a_parent(
    pair: Session, make_image: MakeImage, tmp_path: Path
) -> None:
    coloured = make_image("coloured", (5, 20, 20), n_channels=2)
    pair.volumes.add(NewVolume(coloured, options=ReadOptions(channel=(0, 1))))
    inputs, parent = inputs_of(pair), make_model(tmp_path / "parent")
    raw, other, two_channels = pair.volumes.records()
    inputs.check_channels([raw, other], parent)
    with pytest.raises(ModelError, match="the volume 'coloured'"):
        inputs.check_channels([raw, two_channels], None)
    with pytest.raises(PytcError, match="the image of coloured"):
        inputs.check_channels([two_channels], parent)


def test_what_a_training_learnt_has_another_revision_after_each_change(pair: Session) -> None:
    inputs = inputs_of(pair)
    described = inputs.of("v1")
    seen = [inputs.revisions(described)]
    pair.strokes.paint(STROKE, 1)
    seen.append(inputs.revisions(described))
    mark_object(pair)
    seen.append(inputs.revisions(described))
    assert len(set(seen)) == 3
    assert inputs.revisions(described) == seen[-1]

    of_elsewhere = described.model_copy(update={"annotations": pair.folder / "elsewhere.zarr"})
    assert inputs.ids_of([described, of_elsewhere]) == ["v1", ""]
    assert inputs.revisions(of_elsewhere).annotations == 0


def test_inputs_of_an_earlier_training_get_the_paths_of_now(pair: Session) -> None:
    inputs = inputs_of(pair)
    ids, then = ["v2", "v1"], [inputs.of("v2"), inputs.of("v1")]
    elsewhere = [one.model_copy(update={"annotations": Path("/gone"), "name": "as it was"}) for one in then]
    assert inputs.present_inputs(ids, elsewhere) == tuple(then)
    assert inputs.present_inputs(["v2"], elsewhere) is None
    assert inputs.present_inputs(["v2", "v9"], elsewhere) is None

    pair.held_out.add(Box((0, 0, 0), (2, 8, 8)))
    assert inputs.present_inputs(ids, elsewhere) is None, "other boxes are held out than then"
