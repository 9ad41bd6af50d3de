"""Specs of segmentation and comparison: what they take, and what they refuse before anything runs."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from pydantic import ValidationError

from napari_pytc.decoding import ComponentsDecoder, MutexWatershedDecoder, WatershedDecoder
from napari_pytc.decoding.evidence import MaskSettings
from napari_pytc.decoding.jobs import CompareJob, SegmentJob
from napari_pytc.errors import InvalidInput, VolumeError
from napari_pytc.geometry import Box, VoxelSpace
from napari_pytc.jobs.spec import JobSpec
from napari_pytc.volumes.channels import ClassRole
from tests.support.evidence import write_prediction

SPACE = VoxelSpace((30, 8, 8))
PREDICTION, OUTPUT = Path("p.zarr"), Path("segments/first")


@pytest.fixture
def prediction(tmp_path: Path) -> Path:
    """A prediction of a membrane and of mitochondria."""
    values = np.random.default_rng(0).random((2, 3, 8, 8))
    roles = [ClassRole(name="membrane"), ClassRole(name="mitochondrion")]
    return write_prediction(tmp_path / "p.zarr", values, roles, SPACE)


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"box": Box((0, 1, 2), (3, 4, 5)), "block_shape": (1, 2, 3), "workers": 4, "voxel_size_nm": (30, 8, 8)},
        {"mask_prediction": Path("q.zarr"), "mask_class": "glia", "mask_mode": "not_through"},
        {"reuse": Path("segments/a"), "changed": (Box((0, 0, 0), (1, 1, 1)),), "keep": Path("segments/b")},
        {"boundary_class": "membrane", "decoder": WatershedDecoder(seeds="boundary", seed_threshold=0.2)},
    ],
    ids=lambda options: ",".join(options) or "defaults",
)
def test_a_job_comes_back_from_its_json_with_its_decoder(options: dict[str, object]) -> None:
    values = {"prediction": PREDICTION, "output": OUTPUT, "decoder": ComponentsDecoder(threshold=0.25)} | options
    job = SegmentJob(**values)  # type: ignore[arg-type]
    again = JobSpec.parse(json.loads(job.model_dump_json()))
    assert again == job
    assert type(again.decoder) is type(job.decoder)


@pytest.mark.parametrize("decoder", ["components", {"kind": "components", "threshold": 0.7}])
def test_a_decoder_may_be_named(decoder: object) -> None:
    job = SegmentJob(prediction=PREDICTION, output=OUTPUT, decoder=decoder)
    assert isinstance(job.decoder, ComponentsDecoder)


def test_an_unknown_decoder_is_an_error_that_lists_the_known() -> None:
    with pytest.raises(InvalidInput, match="No decoder is called 'magic'") as caught:
        SegmentJob(prediction=PREDICTION, output=OUTPUT, decoder="magic")
    for kind in ("agglomeration", "components", "multicut", "mutex_watershed", "watershed"):
        assert kind in caught.value.hint


@pytest.mark.parametrize(
    ("options", "field"),
    [({"workers": 0}, "workers"), ({"mask_mode": "outside"}, "mask_mode"), ({"blocks": 3}, "blocks")],
)
def test_values_that_cannot_be_are_refused(options: dict[str, object], field: str) -> None:
    with pytest.raises(ValidationError, match=field):
        SegmentJob(prediction=PREDICTION, output=OUTPUT, decoder="components", **options)


@pytest.mark.parametrize("field", ["mean", "flipped"])
@pytest.mark.parametrize("value", [-0.1, 1.1])
def test_a_comparison_takes_shares(field: str, value: float) -> None:
    with pytest.raises(ValidationError, match=field):
        CompareJob(former=PREDICTION, prediction=PREDICTION, output=OUTPUT, **{field: value})


def test_what_restricts_is_a_class_of_the_prediction_itself_by_default() -> None:
    job = SegmentJob(prediction=PREDICTION, output=OUTPUT, decoder="components", mask_class="glia")
    assert job.mask() == MaskSettings(prediction=PREDICTION, name="glia")
    other = job.model_copy(update={"mask_prediction": Path("q.zarr"), "mask_mode": "not_through"})
    assert other.mask() == MaskSettings(prediction=Path("q.zarr"), name="glia", mode="not_through")
    assert SegmentJob(prediction=PREDICTION, output=OUTPUT, decoder="components").mask() is None


def test_a_prediction_that_restricts_without_a_class_is_reported() -> None:
    job = SegmentJob(prediction=PREDICTION, output=OUTPUT, decoder="components", mask_prediction=PREDICTION)
    with pytest.raises(InvalidInput, match="What restricts needs the name of a class"):
        job.mask()


def test_the_reader_knows_boundary_and_mask(prediction: Path) -> None:
    job = SegmentJob(
        prediction=prediction,
        output=OUTPUT,
        decoder="components",
        boundary_class="mitochondrion",
        mask_class="membrane",
    )
    reader = job.reader()
    assert reader.kind.boundary_class == "mitochondrion"
    evidence = reader.read(Box.of_shape((3, 8, 8)))
    np.testing.assert_array_equal(evidence.region(), evidence.class_map("membrane") >= 0.5)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"decoder": MutexWatershedDecoder()}, "needs affinities of neighbours"),
        ({"decoder": ComponentsDecoder(object_class="axon")}, "no class called 'axon'"),
        ({"boundary_class": "wall"}, "no class called 'wall'"),
        ({"mask_class": "glia"}, "has no class called 'glia'; it has membrane, mitochondrion"),
    ],
)
def test_a_job_that_does_not_suit_its_prediction_is_refused_when_it_opens(
    prediction: Path, options: dict[str, object], words: str
) -> None:
    values = {"prediction": prediction, "output": OUTPUT, "decoder": ComponentsDecoder()} | options
    with pytest.raises(InvalidInput, match=words):
        SegmentJob(**values).reader()  # type: ignore[arg-type]


def test_a_prediction_that_is_gone_is_reported(tmp_path: Path) -> None:
    job = SegmentJob(prediction=tmp_path / "gone.zarr", output=OUTPUT, decoder="components")
    with pytest.raises(VolumeError, match="gone"):
        job.reader()
