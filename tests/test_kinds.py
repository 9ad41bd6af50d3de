"""Networks, decoders and jobs keep the contract of settings that come in kinds."""

from __future__ import annotations

import inspect
from pathlib import Path

import pytest

from napari_pytc.annotations.label_transform import LabelTransform
from napari_pytc.batch.jobs import ApplyJob, BatchInput
from napari_pytc.decoding import (
    AffinityComponentsDecoder,
    AgglomerationDecoder,
    BcdWatershedDecoder,
    ComponentsDecoder,
    DecoderSettings,
    MulticutDecoder,
    MutexWatershedDecoder,
    WatershedDecoder,
)
from napari_pytc.decoding.imports.boundary_map import BoundaryMap
from napari_pytc.decoding.jobs import CompareJob, ImportSegmentationJob, SegmentJob
from napari_pytc.exporting.jobs import ExportJob
from napari_pytc.geometry import Box, VoxelSpace
from napari_pytc.jobs.context import JobCancelled
from napari_pytc.jobs.spec import JobSpec
from napari_pytc.plans.live_spec import LiveJob
from napari_pytc.plans.losses import (
    BinaryCrossEntropyLoss,
    CenterlineDiceLoss,
    CrossEntropyLoss,
    DiceCrossEntropyLoss,
    DiceFocalLoss,
    DiceLoss,
    FocalLoss,
    GeneralisedDiceLoss,
    LossSettings,
    MeanAbsoluteLoss,
    PerChannelBinaryCrossEntropyLoss,
    SmoothL1Loss,
    TverskyLoss,
    WeightedSquaredLoss,
)
from napari_pytc.plans.network_list import NetworksJob
from napari_pytc.plans.networks import (
    DynUNetNetwork,
    FilterBankNetwork,
    FilterUNetNetwork,
    FPN3DNetwork,
    LeanUNetNetwork,
    MedNeXtCustomNetwork,
    MedNeXtNetwork,
    MonaiBasicUNetNetwork,
    MonaiFlexibleUNetNetwork,
    MonaiSwinUNETRNetwork,
    MonaiUNetNetwork,
    MonaiUNETRNetwork,
    NetworkSettings,
    RSUNetNetwork,
    SectionUNetNetwork,
    UNet2DNetwork,
    UNet3DNetwork,
    UNetNetwork,
)
from napari_pytc.plans.networks.mednext import TaskHead
from napari_pytc.plans.plan import PredictPlan, TrainPlan
from napari_pytc.plans.specs import ImportModelJob, ModelOutput, PredictJob, StepMemoryJob, TrainJob, VolumeInputs
from napari_pytc.settings import resolve
from napari_pytc.tuning.jobs import TuneJob
from napari_pytc.tuning.search_space import space_of
from napari_pytc.tuning.truth import HeldOutTruth
from napari_pytc.volumes.spec import ChunkedSpec, Hdf5Spec, NpySpec
from tests.support.contexts import RecordingContext
from tests.support.kind_contract import KindContract

FOLDER = Path("project.pytc")
BOX = Box((0, 1, 2), (3, 4, 5))
INPUTS = VolumeInputs(
    volume=Hdf5Spec(path=Path("raw.h5"), dataset="volumes/raw", channel=1),
    digest="a1b2",
    space=VoxelSpace((40, 4, 4), (1, 2, 3)),
    annotations=FOLDER / "annotations.zarr",
    objects=FOLDER / "objects.zarr",
    corrections=FOLDER / "corrections",
    held_out=(BOX, Box((0, 0, 0), (1, 1, 1))),
)
OUTPUT = ModelOutput(model_folder=FOLDER / "models" / "m", run_folder=FOLDER / "runs" / "m", parent=FOLDER / "p")
JOBS: tuple[JobSpec, ...] = (
    TrainJob(inputs=(INPUTS,), classes=("membrane", "inside"), plan=TrainPlan(steps=7, minutes=0.5), output=OUTPUT),
    LiveJob(inputs=INPUTS, classes=("membrane",), prediction=FOLDER / "live.zarr", output=OUTPUT),
    PredictJob(
        image=ChunkedSpec(url="s3://bucket/a.zarr", driver="zarr3", array="0"),
        model=FOLDER / "models" / "m",
        output=FOLDER / "p.zarr",
        plan=PredictPlan(flips=True, tile_shape=(8, 64, 64)),
        box=BOX,
        focus=(1.5, 2.5, 3.5),
        view=BOX,
    ),
    PredictJob(image=NpySpec(path=Path("raw.npy")), model=FOLDER, output=FOLDER / "p.zarr"),
    SegmentJob(prediction=FOLDER / "p.zarr", decoder=MulticutDecoder(beta=0.3), output=FOLDER / "s", changed=(BOX,)),
    ImportSegmentationJob(
        labels=NpySpec(path=Path("ids.npy")),
        transform=LabelTransform(offset=(1, 2, 3), ignored=(255,)),
        image=NpySpec(path=Path("raw.npy")),
        space=VoxelSpace((40, 4, 4), (1, 2, 3)),
        boundaries=BoundaryMap(volume=NpySpec(path=Path("b.npy")), start=(1, 0, 0), full=255),
        gap_um=0.02,
        output=FOLDER / "s",
    ),
    ApplyJob(
        model=FOLDER / "models" / "m",
        inputs=(BatchInput(path="a.h5:raw", output="a_segments.h5"),),
        folder=Path("out"),
        what="segments",
        decoder="components",
        settings={"threshold": 0.4},
    ),
    TuneJob(
        prediction=FOLDER / "p.zarr",
        truth=HeldOutTruth(objects=FOLDER / "objects.zarr", revision=3, boxes=(BOX,)),
        default=AgglomerationDecoder(),
        spaces=(space_of(WatershedDecoder(smoothing_um=0), fixed=("smoothing_um",)),),
        score="ap50",
        trials=3,
        timeout_s=2.5,
        output=FOLDER / "tuning" / "t.json",
    ),
    CompareJob(former=FOLDER / "p.zarr", prediction=FOLDER / "q.zarr", output=FOLDER / "c.json", box=BOX),
    NetworksJob(
        networks=(UNetNetwork(channels=(4, 8)),), voxel_size_nm=(30, 6, 6), n_inputs=2, patch_shape=(4, 32, 32)
    ),
    StepMemoryJob(
        plan=TrainPlan(steps=2),
        classes=("membrane", "inside"),
        space=VoxelSpace((40, 10, 10)),
        n_inputs=2,
        parent=FOLDER,
    ),
    ImportModelJob(
        checkpoint=Path("last.ckpt"),
        config="mito.yaml",
        plan=TrainPlan(steps=2),
        folder=FOLDER / "models" / "m",
        classes=("inside",),
        window_shape=(16, 64, 64),
    ),
    ExportJob(segmentation=FOLDER / "s", what="table", output=Path("out.csv"), box=BOX, overwrite=True),
)


class TestNetworks(KindContract):
    family = NetworkSettings
    examples = (
        UNetNetwork(channels=(4, 8, 16), residual_units=0, full_resolution=True),
        DynUNetNetwork(channels=(4, 8, 8), deep_supervision=0, residual=False),
        LeanUNetNetwork(channels=(4, 8), convolutions=1, block_nm=40),
        FilterBankNetwork(sigmas=(1.0,), hidden=(), dimensions="2d", starter=True),
        FilterUNetNetwork(sigmas=(0.7, 3.0), channels=(4, 8), flat=True),
        MedNeXtNetwork(size="L", kernel_size=5, strides="voxels", deep_supervision=False, checkpointing="off"),
        MedNeXtCustomNetwork(channels=8, blocks=(1, 1, 1), expansion=(2, 3, 2), dimensions="2d", grn=True),
        MedNeXtCustomNetwork(heads=(TaskHead(name="near", channels=2), TaskHead(name="far")), deep_supervision=False),
        MonaiBasicUNetNetwork(channels=(4, 4, 8, 8, 8, 4), norm="batch"),
        MonaiUNetNetwork(channels=(4, 8), norm="group", dropout=0.2),
        MonaiUNETRNetwork(image_shape=(16, 32, 32), hidden_size=24, heads=2),
        MonaiSwinUNETRNetwork(feature_size=24, depths=(1, 1, 2, 1), use_v2=True),
        MonaiFlexibleUNetNetwork(backbone="efficientnet-b1", dimensions="3d"),
        RSUNetNetwork(channels=(4, 8, 8), strides=((1, 2, 2), (2, 2, 2)), norm="none", deep_supervision=True),
        SectionUNetNetwork(channels=(4, 8), context_sections=1),
        UNet2DNetwork(channels=(16, 32), norm="batch", non_local=True, pooling=True),
        UNet3DNetwork(channels=(8, 16), isotropic=(False, True), block="residual_se", pooling=False),
        FPN3DNetwork(channels=(8, 16, 16), blocks=(1, 2), padding="zeros"),
    )


class TestLosses(KindContract):
    family = LossSettings
    examples = (
        BinaryCrossEntropyLoss(pos_weight=3.0),
        CenterlineDiceLoss(iterations=5),
        CrossEntropyLoss(class_weights=(1.0, 2.0), label_smoothing=0.1),
        DiceCrossEntropyLoss(ce_weight=0.5),
        DiceFocalLoss(gamma=1.0),
        DiceLoss(squared=True),
        FocalLoss(alpha=0.25),
        GeneralisedDiceLoss(weighting="simple"),
        MeanAbsoluteLoss(),
        PerChannelBinaryCrossEntropyLoss(pos_weight=(1.0, 2.0)),
        SmoothL1Loss(beta=0.5),
        TverskyLoss(alpha=0.3, beta=0.7),
        WeightedSquaredLoss(balance=1.0),
    )


class TestDecoders(KindContract):
    family = DecoderSettings
    examples = (
        ComponentsDecoder(threshold=0.25, connectivity=26, object_class="axon"),
        WatershedDecoder(seeds="boundary", seed_threshold=0.2, smoothing_um=0),
        MutexWatershedDecoder(repulsion_step=3, fill=False),
        AffinityComponentsDecoder(threshold=0.75, smallest_um3=0),
        BcdWatershedDecoder(seed_distance=0.3, contour=0.9, flooding="measured", smallest_seed=5),
        AgglomerationDecoder(threshold=0.75, sections="each", smallest_um3=0.001),
        AgglomerationDecoder(score="quantile", quantile=0.75, join_from=0.1, drop_below=0.5),
        MulticutDecoder(beta=0.25, solver="kernighan_lin"),
    )


class TestJobs(KindContract):
    family = JobSpec
    examples = JOBS


@pytest.mark.parametrize("job", JOBS, ids=lambda job: job.kind)
def test_a_job_names_a_function_that_takes_the_spec_and_a_context(job: JobSpec) -> None:
    work = resolve(job.runs)
    parameters = list(inspect.signature(work).parameters.values())
    assert len(parameters) == 2
    assert [p.kind for p in parameters] == [inspect.Parameter.POSITIONAL_OR_KEYWORD] * 2
    hints = [str(p.annotation) for p in parameters]
    assert type(job).__name__ in hints[0]
    assert "JobContext" in hints[1]
    assert work.__module__ == job.runs.partition(":")[0]


@pytest.mark.parametrize("job", JOBS, ids=lambda job: job.kind)
def test_a_job_cancelled_while_its_libraries_load_does_nothing(
    job: JobSpec, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    ctx = RecordingContext(cancel_after=0)
    with pytest.raises(JobCancelled):
        job.run(ctx)
    assert ctx.progress == [(0, 0, "loading the libraries")]
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("network", TestNetworks.examples, ids=lambda network: network.kind)
def test_a_network_names_a_function_that_takes_settings_classes_and_space(network: NetworkSettings) -> None:
    build = resolve(network.builds)
    settings, *others = inspect.signature(build).parameters.values()
    assert type(network).__name__ in str(settings.annotation)
    assert [p.name for p in others if p.default is inspect.Parameter.empty] == ["n_classes", "space"]


@pytest.mark.parametrize("settings", [*TestNetworks.examples, *TestDecoders.examples], ids=lambda s: s.kind)
def test_every_setting_has_a_title_and_a_sentence_for_its_form(settings: NetworkSettings | DecoderSettings) -> None:
    for name, field in type(settings).model_fields.items():
        if name != "kind":
            assert field.title, name
            assert field.title[0].isupper(), name
            assert field.description, name
            assert field.description.endswith("."), name
