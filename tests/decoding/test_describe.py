from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from napari_pytc.decoding.describe import choose_decoder, describe_segmentation, read_recipe, recipe_decoder
from napari_pytc.errors import InvalidInput
from napari_pytc.geometry import Box, VoxelSpace
from napari_pytc.plans.plan import TrainPlan
from napari_pytc.volumes.channels import (
    BoundaryRole,
    ChannelRole,
    ClassRole,
    DistanceRole,
    PredictionRecipe,
    prediction_attributes,
)
from napari_pytc.volumes.zarr_output import create_ome_zarr
from tests.session.models import make_model
from tests.support.evidence import write_prediction

SPACE = VoxelSpace((8, 8, 8))
CLASSES = (ClassRole(name="background"), ClassRole(name="mito"))
ORGANELLES = (BoundaryRole(), ClassRole(name="foreground"), DistanceRole(reach_nm=100))
WATERSHED = {"kind": "watershed", "object_class": "foreground", "smallest_um3": 0.001}


def carrying(path: Path, roles: tuple[ChannelRole, ...], decoder: dict | None, shape=(3, 6, 6), **said) -> Path:
    """A prediction that says which decoder its model's recipe names; with None it says nothing, as older ones do."""
    if decoder is None:
        return write_prediction(path, np.full((len(roles), *shape), 0.5), roles, SPACE)
    attributes = {"napari_pytc": prediction_attributes(roles, decoder, **said)}
    array = create_ome_zarr(path, shape, np.uint8, SPACE, channels=[r.title for r in roles], attributes=attributes)
    array.write(Box.of_shape(shape), np.full((len(roles), *shape), 128, np.uint8))
    return path


def test_a_prediction_of_another_project_is_decoded_as_its_model_s_recipe_says(tmp_path: Path) -> None:
    prediction = carrying(tmp_path / "p.zarr", ORGANELLES, WATERSHED)
    job = describe_segmentation(prediction, tmp_path / "s")
    assert job.decoder.kind == "watershed"
    assert (job.decoder.object_class, job.decoder.smallest_um3) == ("foreground", 0.001)
    assert job.notes == ()


def test_an_older_prediction_is_decoded_as_the_model_s_folder_says(tmp_path: Path) -> None:
    prediction = carrying(tmp_path / "p.zarr", ORGANELLES, None)
    model = make_model(tmp_path / "m", plan=TrainPlan(recipe="organelles", decoder=WATERSHED))
    assert describe_segmentation(prediction, tmp_path / "s", model=model).decoder.kind == "watershed"
    decoder = recipe_decoder(prediction, model)
    assert decoder is not None
    assert decoder.kind == "watershed"
    assert recipe_decoder(prediction) is None
    assert read_recipe(prediction, tmp_path / "gone") is None


@pytest.mark.parametrize(
    ("roles", "kind", "object_class"),
    [
        (ORGANELLES, "watershed", "foreground"),
        ((BoundaryRole(),), "agglomeration", ""),
        ((ClassRole(name="membrane"), ClassRole(name="inside")), "agglomeration", ""),
        (CLASSES, "components", "mito"),
    ],
)
def test_without_any_recipe_a_decoder_fits_and_a_note_says_why(
    tmp_path: Path, roles: tuple[ChannelRole, ...], kind: str, object_class: str
) -> None:
    job = describe_segmentation(carrying(tmp_path / "p.zarr", roles, None), tmp_path / "s")
    assert (job.decoder.kind, job.decoder.object_class) == (kind, object_class)
    (note,) = job.notes
    assert type(job.decoder).title in note
    assert "because" in note
    assert "the model is not here" in note


def test_a_recipe_without_a_decoder_is_told_too(tmp_path: Path) -> None:
    prediction = carrying(tmp_path / "p.zarr", CLASSES, {})
    (note,) = describe_segmentation(prediction, tmp_path / "s").notes
    assert "the recipe of its model names none" in note
    assert "mito is the only class of objects" in note


def test_what_the_user_names_comes_first_with_the_recipe_s_settings(tmp_path: Path) -> None:
    prediction = carrying(tmp_path / "p.zarr", ORGANELLES, WATERSHED, boundary_class=None)
    job = describe_segmentation(prediction, tmp_path / "s", "watershed", {"smallest_um3": 0.5})
    assert (job.decoder.object_class, job.decoder.smallest_um3) == ("foreground", 0.5)
    assert choose_decoder(prediction, "components").content == {"kind": "components"}
    assert job.notes == ()


def test_the_boundary_class_of_the_training_stands_for_the_boundary(tmp_path: Path) -> None:
    roles = (ClassRole(name="glia"), ClassRole(name="gap"))
    prediction = carrying(tmp_path / "p.zarr", roles, {}, boundary_class="gap")
    job = describe_segmentation(prediction, tmp_path / "s")
    assert (job.boundary_class, job.decoder.kind) == ("gap", "agglomeration")
    assert describe_segmentation(prediction, tmp_path / "s", boundary_class="glia").boundary_class == "glia"


def test_where_several_classes_might_be_meant_the_user_is_asked(tmp_path: Path) -> None:
    prediction = carrying(tmp_path / "p.zarr", (ClassRole(name="mito"), ClassRole(name="vesicle")), {})
    with pytest.raises(InvalidInput, match="which of them to segment"):
        describe_segmentation(prediction, tmp_path / "s")


@pytest.mark.parametrize(("depth", "given", "used"), [(1, "smallest_um3", "smallest_um2"), (3, "smallest_um2", "um3")])
def test_a_size_of_the_wrong_dimension_is_told(tmp_path: Path, depth: int, given: str, used: str) -> None:
    prediction = carrying(tmp_path / "p.zarr", CLASSES, {"kind": "components", "object_class": "mito"}, (depth, 6, 6))
    (note,) = describe_segmentation(prediction, tmp_path / "s", settings={given: 0.25}).notes
    assert f"{given}=0.25 is not used" in note
    assert used in note
    both = {"smallest_um2": 0.1, "smallest_um3": 0.1}
    assert describe_segmentation(prediction, tmp_path / "s", settings=both).notes == ()


def test_a_recipe_is_part_of_what_is_read(tmp_path: Path) -> None:
    prediction = carrying(tmp_path / "p.zarr", ORGANELLES, WATERSHED)
    assert read_recipe(prediction) == PredictionRecipe(decoder=WATERSHED, classes=("foreground",))
