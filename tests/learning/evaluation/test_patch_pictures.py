"""Pictures of patches: where they are, what they show, and how large they become."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest
import torch

from napari_pytc.geometry import Box
from napari_pytc.jobs.context import JobCancelled
from napari_pytc.learning.data.objects import ObjectLabels
from napari_pytc.learning.data.training_data import TrainingData
from napari_pytc.learning.data.volume_data import VolumeData
from napari_pytc.learning.evaluation.patch_pictures import N_PATCHES, SIDE, PatchPictures
from napari_pytc.learning.prediction.predictor import ReadImage
from napari_pytc.plans.normalisation import NormalisationSettings
from napari_pytc.volumes.channels import AffinityRole, BoundaryRole, ChannelRole, ClassRole, DistanceRole
from tests.support.learning import CLASSES, HELD_OUT, MemoryObjects, tissue, training_data

CLASS_ROLES = tuple(ClassRole(name=name) for name in CLASSES)
OBJECT_ROLES = (
    AffinityRole(offset=(-1, 0, 0)),
    AffinityRole(offset=(0, 0, -1)),
    AffinityRole(offset=(0, -9, 0)),
    DistanceRole(reach_nm=50),
    BoundaryRole(),
)


class Even:
    """Predicts the same share of everything everywhere; remembers where it was asked."""

    def __init__(self, n_channels: int) -> None:
        self.n_channels, self.boxes = n_channels, list[Box]()

    def predict_box(self, read: ReadImage, box: Box, whole: Box) -> torch.Tensor:
        self.boxes.append(box)
        return torch.full((self.n_channels, *box.shape), 0.5)


def pictures_of(volume: VolumeData, roles: Sequence[ChannelRole]) -> PatchPictures:
    data = TrainingData.of(volume)
    normalisation, _ = volume.normalisation([], NormalisationSettings())
    return PatchPictures(data, roles, [normalisation])


def with_objects(held_out: Sequence[Box] = (HELD_OUT,)) -> VolumeData:
    from dataclasses import replace

    of = tissue()
    objects = ObjectLabels(MemoryObjects(of.cells), held_out)
    return replace(training_data(of, held_out=held_out), objects=objects)


def test_held_out_patches_come_first_and_are_the_same_each_time() -> None:
    pictures = pictures_of(training_data(), CLASS_ROLES)
    inferer = Even(2)
    first, second = pictures.draw(inferer), pictures.draw(inferer)
    assert list(first) == list(second)
    assert 1 <= len(first) <= N_PATCHES
    assert all("held out" in title and "classes" in title for title in first)
    assert all(patch.box.overlaps(HELD_OUT) for patch in pictures.patches)
    for title, picture in first.items():
        np.testing.assert_array_equal(picture, second[title])
        assert picture.dtype == np.uint8


def test_without_held_out_boxes_they_are_of_what_is_learnt() -> None:
    assert all("training" in title for title in pictures_of(training_data(held_out=()), CLASS_ROLES).draw(Even(2)))


def test_nothing_annotated_gives_no_picture() -> None:
    empty = np.zeros(tissue().raw.shape, np.uint8)
    assert pictures_of(training_data(labels=empty), CLASS_ROLES).draw(Even(2)) == {}


def test_a_picture_has_image_prediction_and_truth_side_by_side() -> None:
    of = tissue()
    labels = np.where(of.raw > np.median(of.raw), 2, 1).astype(np.uint8)  # dense
    (_, picture), *_ = pictures_of(training_data(of, labels), CLASS_ROLES).draw(Even(2)).items()
    width = (picture.shape[1] - 4) // 3
    image, predicted, truth = (picture[:, n * (width + 2) :][:, :width] for n in range(3))
    assert image.std() > 0
    assert len(np.unique(predicted.reshape(-1, 3), axis=0)) == 1  # an even mixture of both colours
    assert len(np.unique(truth.reshape(-1, 3), axis=0)) == 2
    assert (picture[:, width : width + 2] == 255).all()


def test_of_objects_the_main_channels_are_shown() -> None:
    pictures = pictures_of(with_objects(), OBJECT_ROLES)
    for title, picture in pictures.draw(Even(5)).items():
        assert title.endswith(f"{OBJECT_ROLES[1].title}, {OBJECT_ROLES[2].title}, {OBJECT_ROLES[3].title}")
        truth = picture[:, -(picture.shape[1] - 4) // 3 :]
        assert truth.std() > 0


def test_classes_and_objects_are_shown_below_one_another() -> None:
    pictures = pictures_of(with_objects(), (*CLASS_ROLES, BoundaryRole()))
    drawn = pictures.draw(Even(3))
    assert drawn
    assert all(title.endswith("classes, boundary") for title in drawn)


def test_objects_of_another_image_are_no_truth() -> None:
    from dataclasses import replace

    volume = replace(with_objects(), objects=ObjectLabels(MemoryObjects(np.ones((3, 5, 5))), ()))
    assert pictures_of(volume, OBJECT_ROLES).draw(Even(5)) == {}


def test_pictures_stay_small() -> None:
    of = tissue((4, 300, 300))
    labels = np.where(of.raw > np.median(of.raw), 2, 1).astype(np.uint8)
    whole = Box((0, 0, 0), (4, 300, 300))
    for picture in pictures_of(training_data(of, labels, held_out=(whole,)), CLASS_ROLES).draw(Even(2)).values():
        assert picture.shape == (SIDE, 3 * SIDE + 4, 3)


def test_a_cancel_is_heard_between_patches() -> None:
    def cancelled() -> None:
        raise JobCancelled

    with pytest.raises(JobCancelled):
        pictures_of(training_data(), CLASS_ROLES).draw(Even(2), cancelled)


def test_ever_fewer_validations_are_drawn() -> None:
    pictures = pictures_of(training_data(), CLASS_ROLES)
    drawn = [number for number in range(1, 10_001) if pictures.are_due(number)]
    assert drawn[:64] == list(range(1, 65))[: drawn.index(64) + 1] + drawn[drawn.index(64) + 1 : 64]
    assert 64 in drawn
    assert 65 not in drawn
    assert 66 in drawn
    assert len(drawn) < 400
