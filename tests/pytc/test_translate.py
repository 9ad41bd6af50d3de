"""Configurations of three dialects become plans that mean the same; every key is accounted for."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from napari_pytc.errors import InvalidInput
from napari_pytc.geometry import VoxelSpace
from napari_pytc.plans.plan import TrainPlan
from napari_pytc.plans.recipes import plan_from_yaml, recipe_yaml
from napari_pytc.pytc.translate import ImportedConfig, import_config, model_name

STAGES = """
default:
  model:
    arch: {type: mednext}
    mednext: {size: B, kernel_size: 5, checkpoint_style: outside_block}
    out_channels: 4
    loss:
      deep_supervision: true
      losses:
        - {function: WeightedBCEWithLogitsLoss, pos_weight: auto, weight: 1.0, pred_slice: "0:-1"}
        - {function: DiceLoss, weight: 0.5, pred_slice: "0:3"}
        - {function: SmoothL1Loss, weight: 2.0, kwargs: {tanh: true}, pred_slice: "-1:"}
      loss_balancing: {strategy: uncertainty}
  data:
    dataloader: {patch_size: [30, 128, 128], batch_size: 3, num_workers: 8}
    image_transform: {normalize: "0-1", clip_percentile_low: 0.01, clip_percentile_high: 0.99}
    label_transform:
      targets:
        - {name: affinity, kwargs: {offsets: ["0-0-1", "3-0-0"], affinity_mode: deepem}}
        - {name: instance_boundary, kwargs: {thickness: 2, edge_mode: seg-no-bg, mode: 2d}}
        - {name: skeleton_aware_edt, kwargs: {alpha: 0.7}}
    augmentation:
      flip: {enabled: true}
      slice_shift_z: {enabled: true, prob: 0.4, displacement: 10}
  inference:
    model:
      select_channel: [0, 1]
      channel_activations: [{channels: "0:3", activation: scale_sigmoid}, {channels: "3:", activation: tanh}]
    window: {window_size: [32, 160, 160], overlap: 0.25, blending: gaussian, sw_batch_size: 2}
    test_time_augmentation: {enabled: true, flip_axes: all}
  decoding: {steps: [{name: decode_waterz, kwargs: {thresholds: 0.5}}]}
train:
  data: {train: {image: [im.h5, im2.h5], label: [seg.h5, seg2.h5], resolution: [30, 6, 6]}}
  optimization:
    optimizer: {name: AdamW, lr: 0.001, weight_decay: 0.05, betas: [0.9, 0.99]}
    scheduler: {name: WarmupCosineLR, warmup_epochs: 5, min_lr: 1.0e-5}
    max_epochs: 100
    n_steps_per_epoch: 500
    gradient_clip_val: 0.5
    accumulate_grad_batches: 4
    precision: "32"
    ema: {enabled: true, decay: 0.998}
  monitor: {checkpoint: {monitor: train_loss_total_epoch, save_top_k: 2}}
  system: {seed: 42, num_gpus: 4}
"""
FLAT = """
model:
  architecture: monai_unet
  out_channels: 1
  filters: [8, 16]
  num_res_units: 1
  norm: instance
  dropout: 0.1
  loss_functions: [DiceLoss, FocalLoss]
  loss_weights: [1.0, 0.5]
  loss_kwargs: [{include_background: false}, {gamma: 3.0, alpha: 0.25}]
data: {patch_size: [16, 32, 32], batch_size: 4, normalize: true, mean: 0.5, std: 0.5}
optimizer: {name: SGD, lr: 0.1, weight_decay: 0.0}
scheduler: {name: StepLR, params: {step_size: 50, gamma: 0.5}}
training: {max_steps: 1000, precision: "16-mixed"}
early_stopping: {enabled: true, patience: 20}
augmentation: {enabled: true, elastic: {enabled: true, prob: 0.3}, flip: {enabled: true}}
inference: {overlap: 0.5, test_time_augmentation: false}
"""
YACS = """
MODEL:
  ARCHITECTURE: unet_3d
  BLOCK_TYPE: residual_se
  FILTERS: [8, 16, 24]
  ISOTROPY: [False, False, True]
  NORM_MODE: gn
  INPUT_SIZE: [17, 65, 65]
  OUT_PLANES: 5
  TARGET_OPT: ['2', '4-1-1', '5-2d-0-0-5.0-0']
  LOSS_OPTION: [['WeightedBCEWithLogitsLoss', 'DiceLoss'], ['WeightedBCEWithLogitsLoss'], ['WeightedMSE']]
  LOSS_WEIGHT: [[1.0, 0.5], [1.0], [2.0]]
SOLVER:
  LR_SCHEDULER_NAME: MultiStepLR
  STEPS: (500, 750)
  BASE_LR: 0.02
  ITERATION_TOTAL: 1000
  SAMPLES_PER_BATCH: 6
INFERENCE:
  OUTPUT_ACT: ['sigmoid', 'sigmoid', 'tanh']
  STRIDE: [8, 32, 32]
DATASET: {IMAGE_NAME: im.tif, PAD_SIZE: [4, 64, 64]}
"""


def imported(folder: Path, text: str, **options: Any) -> ImportedConfig:
    (folder / "config.yaml").write_text(text)
    return import_config([folder / "config.yaml"], **options)


def test_the_dialect_of_stages(tmp_path: Path) -> None:
    found = imported(tmp_path, STAGES)
    plan = found.plan
    network = plan.network.model_dump()
    assert (network["kind"], network["size"], network["kernel_size"]) == ("mednext", "B", 5)
    assert (network["checkpointing"], network["deep_supervision"]) == ("on", True)
    assert [one.role for one in plan.target.channels] == ["affinity", "affinity", "boundary", "skeleton_distance"]
    near, _, boundary, distance = plan.target.channels
    assert (near.offset, near.convention, near.activation, near.kept) == ((0, 0, 1), "deepem", "scaled_sigmoid", True)
    assert (boundary.thickness, boundary.edge_mode, boundary.per_section) == (2, "seg-no-bg", True)
    assert (boundary.kept, distance.kept, distance.power, distance.activation) == (False, False, 0.7, None)
    terms = [(term.loss.kind, term.weight, term.channels) for term in plan.losses]
    assert terms == [("per_channel_bce", 1.0, "0,1,2"), ("dice", 0.5, "0,1,2"), ("smooth_l1", 2.0, "3")]
    assert plan.loss_balancing == "uncertainty"
    assert plan.patch_shape == (32, 128, 128)
    assert (plan.batch_size, plan.steps, plan.seed) == (3, 50_000, 42)
    assert (plan.learning_rate, plan.weight_decay, plan.ema_decay) == (0.001, 0.05, 0.998)
    assert plan.optimiser.model_dump()["betas"] == (0.9, 0.99)
    assert plan.schedule.model_dump()["kind"] == "cosine"
    assert plan.schedule.warm_up == pytest.approx(0.05)
    assert plan.schedule.floor == pytest.approx(0.01)
    assert (plan.gradients.clip, plan.gradients.accumulate, plan.precision) == (0.5, 4, "float32")
    assert (plan.watching.score, plan.watching.keep_best) == ("loss", 2)
    assert (plan.normalisation.method, plan.normalisation.clip_percentiles) == ("min-max", (1.0, 99.0))
    assert plan.voxel_size_nm == (30, 6, 6)
    assert plan.augmentation.misaligned_section == 0.4
    assert (plan.augmentation.flips, plan.augmentation.turns, plan.augmentation.contrast) == (True, "never", 0)
    assert (plan.decoder["kind"], plan.decoder["threshold"]) == ("agglomeration", 0.5)
    windows = found.predict.windows
    assert (windows.shape, windows.overlap, windows.blending, windows.batch_size, windows.average) == (
        (32, 160, 160),
        0.25,
        "gaussian",
        2,
        "logits",
    )
    assert (found.predict.flips, found.window_shape, found.dialect) == (True, (32, 160, 160), "stages")
    assert found.commands("r.yaml") == [
        "napari-pytc new config.pytc --classes background,object --image im.h5 --name volume-1 --voxel-size 30,6,6",
        "napari-pytc add config.pytc --image im2.h5 --name volume-2 --voxel-size 30,6,6",
        "napari-pytc annotate config.pytc seg.h5 --instances --dense --volume volume-1",
        "napari-pytc annotate config.pytc seg2.h5 --instances --dense --volume volume-2",
        "napari-pytc train config.pytc --recipe r.yaml",
        "napari-pytc predict config.pytc --all",
        "napari-pytc segment config.pytc --decoder agglomeration threshold=0.5 score=quantile_of_maxima quantile=0.5 "
        "smallest_um3=0 smallest_um2=0 --all",
    ]


def test_the_flat_dialect(tmp_path: Path) -> None:
    found = imported(tmp_path, FLAT)
    plan = found.plan
    network = plan.network.model_dump()
    assert (network["channels"], network["residual_units"], network["norm"]) == ((8, 16), 1, "instance")
    assert [(term.loss.kind, term.weight) for term in plan.losses] == [("dice", 1.0), ("focal", 0.5)]
    assert plan.losses[1].loss.model_dump() == {"kind": "focal", "gamma": 3.0, "alpha": 0.25}
    assert (plan.steps, plan.batch_size, plan.patience) == (1000, 4, 20)
    assert plan.optimiser.model_dump() | {"nesterov": False, "momentum": 0.9} == plan.optimiser.model_dump()
    assert (plan.precision, plan.augmentation.elastic) == ("auto", 0.3)
    assert (found.dialect, found.predict.flips, found.predict.windows.average) == ("flat", False, "logits")
    keys = {row.key: row for row in found.keys}
    assert keys["model.architecture"].became == "network.kind=monai_unet"
    assert keys["optimizer.lr"].became == "learning_rate=0.1"
    assert keys["model.loss_functions"].outcome == "taken"


def test_the_dialect_of_version_1(tmp_path: Path) -> None:
    found = imported(tmp_path, YACS)
    plan = found.plan
    network = plan.network.model_dump()
    assert (network["kind"], network["block"], network["norm"]) == ("unet_3d", "residual_se", "group")
    assert (network["channels"], network["isotropic"]) == ((8, 16, 24), (False, False, True))
    offsets = [one.to_partner for one in plan.target.channels if one.role == "affinity"]
    assert offsets == [(-1, 0, 0), (0, -1, 0), (0, 0, -1)]
    assert [one.role for one in plan.target.channels[3:]] == ["boundary", "instance_distance"]
    terms = [(term.loss.kind, term.channels) for term in plan.losses]
    assert terms == [("bce", "0,1,2"), ("dice", "0,1,2"), ("bce", "3"), ("weighted_mse", "4")]
    assert plan.schedule.model_dump()["milestones"] == (0.5, 0.75)
    assert (plan.normalisation.scaled_to, plan.batch_size) == ((-1.0, 1.0), 6)
    assert plan.augmentation.turns == "always"
    assert found.predict.windows.average == "probabilities"
    assert plan.normalisation.bytes_as_they_are
    keys = {row.key: row for row in found.keys}
    assert keys["MODEL.NORM_MODE"].became == "network.norm=group"
    assert keys["DATASET.PAD_SIZE"].outcome == "left out"
    assert keys["INFERENCE.STRIDE"].outcome == "left out"


TARGETS_OF_1 = "MODEL: {{ARCHITECTURE: unet_3d, OUT_PLANES: 1, TARGET_OPT: ['{}'], LOSS_OPTION: [[DiceLoss]]}}"


@pytest.mark.parametrize(
    ("option", "left_out"),
    [
        ("0", {}),
        ("0-1", {"segment_id": "[1]"}),
        ("0-3-4", {"segment_id": "[3, 4]"}),
        ("5", {}),
        ("5-2d-0-0-5.0-0", {}),
        ("5-2d-1", {"padding": "True"}),
        ("5-3d-1-0-4.0-2", {"padding": "True", "erosion": "2", "resolution": "[4.0, 1.0, 1.0]"}),
    ],
)
def test_options_of_targets_of_version_1_are_told(tmp_path: Path, option: str, left_out: dict[str, str]) -> None:
    found = imported(tmp_path, TARGETS_OF_1.format(option))
    rows = [row for row in found.keys if row.key.startswith("MODEL.TARGET_OPT[0].kwargs.")]
    assert {row.key.rpartition(".")[2]: row.value for row in rows} == left_out
    assert all(row.outcome == "left out" and row.why for row in rows)


@pytest.mark.parametrize("option", ["0-a", "0-0", "5-4d-0-0-1.0-0", "5-2d-0-0-1.0-0-1", "5-2d-a", "6-2d", "9-4-1"])
def test_options_of_targets_that_version_1_has_not_are_told(tmp_path: Path, option: str) -> None:
    with pytest.raises(InvalidInput, match=f"MODEL.TARGET_OPT has '{option}', which is not known here"):
        imported(tmp_path, TARGETS_OF_1.format(option))


def schedule_of(found: ImportedConfig) -> dict[str, Any]:
    return found.plan.schedule.model_dump()


@pytest.mark.parametrize(
    ("interval", "warm_up"),
    [("epoch", 0.2), ("step", 0.002)],
)
def test_a_warm_up_is_counted_in_steps_of_the_schedule(tmp_path: Path, interval: str, warm_up: float) -> None:
    scheduler = f"{{name: WarmupCosineLR, warmup_epochs: 2, interval: {interval}}}"
    found = imported(tmp_path, SOLVE.format(f"max_steps: 1000, n_steps_per_epoch: 100, scheduler: {scheduler}"))
    assert schedule_of(found)["warm_up"] == warm_up


@pytest.mark.parametrize(
    ("name", "warm_up"), [("MultiStepLR", 0.0), ("WarmupMultiStepLR", 0.1), ("WarmupCosineLR", 0.1)]
)
def test_only_schedules_with_a_warm_up_have_one_in_version_1(tmp_path: Path, name: str, warm_up: float) -> None:
    text = YACS.replace("LR_SCHEDULER_NAME: MultiStepLR", f"LR_SCHEDULER_NAME: {name}\n  WARMUP_ITERS: 100")
    found = imported(tmp_path, text)
    assert schedule_of(found)["warm_up"] == warm_up
    outcome, _, why = row_of(found, "SOLVER.WARMUP_ITERS")
    assert outcome == ("taken" if warm_up else "left out")
    assert why == ("" if warm_up else "its schedule has no warm-up there")
    assert row_of(found, "SOLVER.STEPS")[0] == ("left out" if "Cosine" in name else "taken")


def test_a_silent_file_has_the_defaults_of_its_dialect(tmp_path: Path) -> None:
    plateau = "scheduler: {name: ReduceLROnPlateau}"
    flat = imported(tmp_path, f"model: {{architecture: rsunet}}\noptimization: {{{plateau}}}")
    stages = imported(tmp_path, SOLVE.format(plateau))
    assert (flat.plan.steps, stages.plan.steps) == (100_000, 200_000)
    assert (flat.plan.precision, stages.plan.precision) == ("float32", "auto")
    assert (schedule_of(flat)["factor_each"], schedule_of(stages)["factor_each"]) == (0.5, 0.1)
    assert row_of(flat, "optimization.precision")[0] == "taken"


def test_silent_schedules_have_the_defaults_of_their_functions(tmp_path: Path) -> None:
    several = "max_epochs: 600, n_steps_per_epoch: 10, scheduler: {{name: {}}}"
    found = imported(tmp_path, SOLVE.format(several.format("CosineAnnealingWarmRestarts")))
    assert schedule_of(found)["restarts"] == 2
    found = imported(tmp_path, SOLVE.format(several.format("MultiStepLR").replace("600", "100")))
    assert schedule_of(found)["milestones"] == (0.3, 0.6, 0.9)


def test_a_plateau_of_version_1_falls_by_gamma(tmp_path: Path) -> None:
    text = YACS.replace("MultiStepLR", "ReduceLROnPlateau\n  GAMMA: 0.3\n  ITERATION_VAL: 250")
    found = imported(tmp_path, text)
    schedule = schedule_of(found)
    assert (schedule["kind"], schedule["factor_each"], schedule["patience"]) == ("plateau", 0.3, 4)
    assert schedule["floor"] == pytest.approx(1e-6 / 0.02)
    assert row_of(found, "SOLVER.GAMMA")[0] == "taken"
    assert row_of(found, "SOLVER.STEPS")[0] == "left out"
    assert any("1000 steps" in note for note in found.notes)


def test_a_schedule_that_version_1_does_not_know_is_told(tmp_path: Path) -> None:
    with pytest.raises(InvalidInput, match="LR_SCHEDULER_NAME is OneCycle, which there is not here"):
        imported(tmp_path, YACS.replace("MultiStepLR", "OneCycle"))


@pytest.mark.parametrize(
    ("name", "kind", "outcome"),
    [
        ("constant", "constant", "taken"),
        ("ConstantLR", "constant", "taken"),
        ("warmupcosine", "cosine", "taken"),
        ("CosineWarmRestarts", "cosine", "taken"),
        ("reducelronplateau", "plateau", "taken"),
        ("steplr", "step", "taken"),
        ("PolynomialLR", "cosine", "changed"),
        ("none", "cosine", "changed"),
    ],
)
def test_schedules_have_their_names_in_any_letters(tmp_path: Path, name: str, kind: str, outcome: str) -> None:
    found = imported(tmp_path, SOLVE.format(f"max_steps: 100000, scheduler: {{name: {name}}}"))
    assert schedule_of(found)["kind"] == kind
    row = row_of(found, "optimization.scheduler.name")
    assert row[0] == outcome
    assert ("stands for CosineAnnealingLR there" in row[2]) == (outcome == "changed")


@pytest.mark.parametrize(("written", "outcome"), [("true", "taken"), ("false", "changed")])
def test_bytes_are_divided_by_255_in_version_1(tmp_path: Path, written: str, outcome: str) -> None:
    found = imported(tmp_path, YACS.replace("DATASET: {", f"DATASET: {{NORMALIZE_RANGE: {written}, "))
    assert found.plan.normalisation.bytes_as_they_are
    row = row_of(found, "DATASET.NORMALIZE_RANGE")
    assert row[:2] == (outcome, "normalisation.bytes_as_they_are=true")
    assert ("255" in row[2]) == (written == "false")
    assert not imported(tmp_path, FLAT).plan.normalisation.bytes_as_they_are


SECTIONS = """
MODEL: {{ARCHITECTURE: {}, FILTERS: [16, 32], NORM_MODE: gn, TARGET_OPT: ['2'], OUT_PLANES: 2, INPUT_SIZE: [1, 33, 33],
  LOSS_OPTION: [[WeightedBCEWithLogitsLoss]], ACT_MODE: leaky_relu}}
DATASET: {{DO_2D: true}}
"""


@pytest.mark.parametrize(("name", "is_plus"), [("unet_2d", False), ("unet_plus_2d", True)])
def test_networks_of_sections_of_version_1(tmp_path: Path, name: str, is_plus: bool) -> None:
    plan = imported(tmp_path, SECTIONS.format(name)).plan
    network = plan.network.model_dump()
    assert (network["kind"], network["non_local"], network["channels"]) == ("unet_2d", is_plus, (16, 32))
    assert (network["norm"], network["activation"]) == ("group", "leaky_relu")
    assert [one.offset for one in plan.target.channels] == [(0, 1, 0), (0, 0, 1)]
    assert plan.patch_shape == (1, 34, 34)


def test_the_larger_unet_of_version_1_has_a_non_local_block(tmp_path: Path) -> None:
    network = imported(tmp_path, YACS.replace("unet_3d", "unet_plus_3d")).plan.network.model_dump()
    assert (network["kind"], network["non_local"]) == ("unet_3d", True)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (("unet_2d", "unet_3d"), "DATASET.DO_2D=true"),
        (("NORM_MODE: gn", "NORM_MODE: gn, BLOCK_TYPE: residual_pa"), "residual and residual_se for unet_2d"),
        (("[16, 32]", "[8, 24]"), "multiples of 16"),
        (("unet_2d", "deeplabv3a"), "its dilated backbone in 2D has no counterpart"),
    ],
)
def test_networks_of_sections_that_cannot_be_are_told(tmp_path: Path, change: tuple[str, str], words: str) -> None:
    with pytest.raises(InvalidInput) as error:
        imported(tmp_path, SECTIONS.format("unet_2d").replace(*change))
    assert words in str(error.value)


@pytest.mark.parametrize("text", [STAGES, FLAT, YACS], ids=["stages", "flat", "yacs"])
def test_every_key_is_accounted_for_and_the_recipe_reads_as_the_same_plan(tmp_path: Path, text: str) -> None:
    import yaml

    found = imported(tmp_path, text)
    listed = {row.key for row in found.keys}
    values = yaml.safe_load(text)
    stages = ("default", "train", "test")
    for section, content in values.items():
        inner = content.items() if section in stages else [(section, content)]
        for name, below in inner:
            assert any(key == name or key.startswith(f"{name}.") for key in listed), name
            assert isinstance(below, dict)
    assert all(row.became or row.why for row in found.keys)
    assert all(row.why for row in found.keys if row.outcome != "taken")
    again = plan_from_yaml(recipe_yaml(found.plan, found.about), "config")
    assert again == found.plan
    assert isinstance(again, TrainPlan)


@pytest.mark.parametrize(
    ("model", "words"),
    [
        ("arch: {type: nnunet}", "is not among the networks here: it is made of the plans of nnU-Net"),
        ("arch: {type: vgg}", "'vgg', which is not among the networks here. Networks that are: mednext"),
        ("arch: {type: monai_unet}, monai: {upsample_mode: nontrainable}", "upsample_mode=nontrainable"),
        ("arch: {type: monai_basic_unet3d}, monai: {activation: leakyrelu}", "activation=leakyrelu"),
        ("arch: {type: monai_basic_unet3d}, input_size: [64, 64]", "in 2D; here it is 3D alone"),
        ("arch: {type: rsunet}, rsunet: {depth_2d: 1, kernel_2d: [1, 5, 5]}", "kernel_2d"),
        (
            "arch: {type: monai_unet}, monai: {norm: group, num_groups: 4, filters: [16, 32]}",
            "num_groups",
        ),
        ("arch: {type: monai_unet}, out_channels: 3", "does not say what they are"),
        ("arch: {type: mednext}, mednext: {size: XL}", "network.size"),
        ("arch: {type: mednext}, out_channels: many", "is a number"),
    ],
)
def test_what_a_network_does_not_have_is_told(tmp_path: Path, model: str, words: str) -> None:
    with pytest.raises(InvalidInput) as error:
        imported(tmp_path, f"model: {{{model}}}")
    assert words in str(error.value)


@pytest.mark.parametrize(
    ("targets", "words"),
    [
        ("[{name: energy_quantize}]", "target 'energy_quantize'"),
        ("[{name: affinity, kwargs: {offsets: ['1-0']}}]", "is written z-y-x"),
        ("[{name: affinity, kwargs: {affinity_mode: other}}]", "mode 'other'"),
        ("[{name: instance_edt, kwargs: {quantize: true}}]", "make 11 channels, but"),
        ("[{name: binary}, {name: binary}]", "make 2 channels, but"),
        ("[3]", "is a name or a mapping"),
    ],
)
def test_targets_that_there_are_not_are_told(tmp_path: Path, targets: str, words: str) -> None:
    text = f"model: {{arch: {{type: rsunet}}, out_channels: 1}}\ndata: {{label_transform: {{targets: {targets}}}}}"
    with pytest.raises(InvalidInput) as error:
        imported(tmp_path, text)
    assert words in str(error.value)


def test_a_quantised_distance_is_one_in_levels(tmp_path: Path) -> None:
    targets = "[{name: instance_edt, kwargs: {quantize: true, mode: 3d}}]"
    text = f"model: {{arch: {{type: rsunet}}, out_channels: 11}}\ndata: {{label_transform: {{targets: {targets}}}}}"
    roles = imported(tmp_path, text).plan.target.roles((), VoxelSpace((10, 10, 10)))
    assert [role.title for role in roles] == [f"instance distance level {level} of 10" for level in range(11)]


@pytest.mark.parametrize(
    ("kwargs", "partners"),
    [
        ("{}", [(-1, 0, 0), (0, -1, 0), (0, 0, -1)]),
        ("{offsets: [0-0-9]}", [(0, 0, -9)]),
        ("{offsets: [0-0-9], affinity_mode: banis}", [(0, 0, 9)]),
        ("{long_range: 10}", [(1, 0, 0), (0, 1, 0), (0, 0, 1), (10, 0, 0), (0, 10, 0), (0, 0, 10)]),
    ],
)
def test_affinities_have_the_partners_that_they_had(tmp_path: Path, kwargs: str, partners: list[Any]) -> None:
    text = (
        f"model: {{arch: {{type: rsunet}}, out_channels: {len(partners)}}}\n"
        f"data: {{label_transform: {{targets: [{{name: affinity, kwargs: {kwargs}}}]}}}}"
    )
    assert [one.to_partner for one in imported(tmp_path, text).plan.target.channels] == partners


def test_losses_that_there_are_not_leave_the_others_or_the_own_ones(tmp_path: Path) -> None:
    text = "model: {{arch: {{type: rsunet}}, loss: {{losses: [{}]}}}}"
    found = imported(tmp_path, text.format("{function: DiceLoss}, {function: MalisLoss}"))
    assert [term.loss.kind for term in found.plan.losses] == ["dice"]
    row = next(row for row in found.keys if row.key == "model.loss.losses")
    assert (row.outcome, row.why) == ("changed", "there is no MalisLoss here")
    assert imported(tmp_path, text.format("{function: MalisLoss}")).plan.losses == ()
    # A loss of probabilities on a distance does not go.
    more = "\ndata: {label_transform: {targets: [{name: sdt}]}}"
    assert imported(tmp_path, text.format("{function: DiceLoss}") + more).plan.losses == ()


def test_a_voxel_size_from_outside_wins_and_one_that_is_none_is_left_out(tmp_path: Path) -> None:
    text = "model: {arch: {type: rsunet}}\ndata: {train: {resolution: [1.0, 1.0, 1.0]}}"
    found = imported(tmp_path, text)
    assert found.plan.voxel_size_nm is None
    assert next(row for row in found.keys if row.key == "data.train.resolution").outcome == "left out"
    assert imported(tmp_path, text, voxel_size_nm=(30.0, 8.0, 8.0)).plan.voxel_size_nm == (30, 8, 8)


RSUNET = "model: {{arch: {{type: rsunet}}, {}}}"
LABELS = "model: {{arch: {{type: rsunet}}}}\ndata: {{label_transform: {{targets: [{}]}}}}"
SOLVE = "model: {{arch: {{type: rsunet}}}}\noptimization: {{{}}}"


def row_of(found: ImportedConfig, key: str) -> tuple[str, str, str]:
    row = next(row for row in found.keys if row.key == key)
    return row.outcome, row.became, row.why


@pytest.mark.parametrize(
    ("loss", "why"),
    [
        ("{function: DiceLoss, kwargs: {sigmoid: true, smooth_nr: 1.0e-5, include_background: false}}", ""),
        ("{function: DiceLoss, kwargs: {smooth_nr: 1, batch: true}}", "there is no smooth_nr=1 of DiceLoss here"),
        ("{function: DiceFocalLoss, kwargs: {gamma: 3, alpha: 0.5}}", "there is no alpha=0.5 of DiceFocalLoss here"),
        ("{function: BCEWithLogitsLoss, kwargs: {pos_weight: 3, reduction: mean}}", ""),
        ("{function: PerChannelBCEWithLogitsLoss, kwargs: {max_pos_weight: 5, auto_pos_weight: true}}", ""),
    ],
)
def test_settings_of_losses_without_a_counterpart_are_named(tmp_path: Path, loss: str, why: str) -> None:
    found = imported(tmp_path, RSUNET.format(f"loss: {{losses: [{loss}]}}"))
    outcome, _, reason = row_of(found, "model.loss.losses")
    assert (outcome, reason) == ("changed" if why else "taken", why)


def test_regions_are_compared_a_patch_at_a_time_but_where_it_says_batch(tmp_path: Path) -> None:
    losses = "[DiceLoss, {function: TverskyLoss, kwargs: {batch: true, beta: 0.7}}]"
    plan = imported(tmp_path, RSUNET.format(f"loss: {{losses: {losses}}}")).plan
    assert [term.loss.model_dump()["per_patch"] for term in plan.losses] == [True, False]


def test_weights_and_smoothing_of_classes_are_taken(tmp_path: Path) -> None:
    loss = "{function: CrossEntropyLoss, kwargs: {weight: [1, 2, 4], label_smoothing: 0.1}}"
    found = imported(tmp_path, RSUNET.format(f"out_channels: 3, loss: {{losses: [{loss}]}}"))
    settings = found.plan.losses[0].loss.model_dump()
    assert settings == {"kind": "ce", "class_weights": (1, 2, 4), "label_smoothing": 0.1}
    assert row_of(found, "model.loss.losses")[0] == "taken"


def test_raw_outputs_of_theirs_are_told(tmp_path: Path) -> None:
    key = "inference.model.channel_activations"
    assert row_of(imported(tmp_path, LABELS.format("binary")), key)[::2] == ("changed", "PyTC writes raw outputs")
    of_two = "model: {arch: {type: rsunet}, out_channels: 2}\ndata: {label_transform: {targets: [binary, sdt]}}\n"
    one = of_two + "inference: {model: {channel_activations: [{channels: '0:1', activation: sigmoid}]}}"
    assert row_of(imported(tmp_path, one), key)[0] == "changed"
    both = one.replace("sigmoid}", "sigmoid}, {channels: '1:', activation: tanh}")
    assert row_of(imported(tmp_path, both), key)[0] == "taken"
    assert row_of(imported(tmp_path, "MODEL: {ARCHITECTURE: unet_3d}"), "INFERENCE.OUTPUT_ACT")[0] == "taken"


@pytest.mark.parametrize(("written", "thickness"), [(1, 1), (5, 5), (7, 5), (0, 1)])
def test_a_boundary_of_another_thickness_is_told(tmp_path: Path, written: int, thickness: int) -> None:
    found = imported(tmp_path, LABELS.format(f"{{name: instance_boundary, kwargs: {{thickness: {written}}}}}"))
    assert found.plan.target.channels[0].thickness == thickness
    outcome, _, why = row_of(found, "data.label_transform.targets")
    assert outcome == ("taken" if written == thickness else "changed")
    assert (f"{thickness} for {written}" in why) == (written != thickness)


@pytest.mark.parametrize(
    ("training", "steps", "every"),
    [
        ("max_steps: 1000, max_epochs: 4, val_check_interval: 50", 400, 50),
        ("max_steps: 300, max_epochs: 4, val_check_interval: 0.5", 300, 50),
        ("max_steps: 300, val_check_interval: 1.0", 300, 100),
    ],
)
def test_the_flat_dialect_ends_and_validates_as_lightning_does(
    tmp_path: Path, training: str, steps: int, every: int
) -> None:
    text = "model: {architecture: rsunet, out_channels: 1}\ndata: {iter_num_per_epoch: 100}\n"
    plan = imported(tmp_path, f"{text}training: {{{training}}}").plan
    assert (plan.steps, plan.validate_every) == (steps, every)


@pytest.mark.parametrize(
    ("section", "settings", "told"),
    [
        ("optimization", "max_steps: 300, max_epochs: 4", ["max_steps and optimization.max_epochs were both limits"]),
        ("optimization", "val_check_interval: 50", ["val_check_interval counted batches until February 2026"]),
        ("optimization", "max_steps: 300, val_check_interval: 0.5", []),
        ("training", "max_steps: 300, max_epochs: 4, val_check_interval: 50", []),
    ],
)
def test_what_a_flat_file_leaves_open_is_told_with_the_reading_taken(
    tmp_path: Path, section: str, settings: str, told: list[str]
) -> None:
    found = imported(tmp_path, f"model: {{architecture: rsunet}}\n{section}: {{{settings}}}")
    assert len(found.notes) == len(told)
    for note, words in zip(found.notes, told, strict=True):
        assert words in note
        assert "it is read as before: " in note


def test_in_stages_max_steps_ends_and_intervals_are_epochs(tmp_path: Path) -> None:
    training = "max_steps: 1000, max_epochs: 4, n_steps_per_epoch: 100, val_check_interval: 2"
    plan = imported(tmp_path, SOLVE.format(training)).plan
    assert (plan.steps, plan.validate_every) == (1000, 200)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (SOLVE.format("optimizer: {lr: 0}"), "optimization.optimizer.lr is a number above 0"),
        (SOLVE.format("optimizer: {lr: .nan}"), "optimization.optimizer.lr is a number above 0"),
        (SOLVE.format("scheduler: {name: CosineAnnealingWarmRestarts, params: {T_0: 0}}"), "is a number above 0"),
        (SOLVE.format("scheduler: {name: StepLR, gamma: a}"), "optimization.scheduler.gamma was being read"),
        (RSUNET.format("input_size: 64"), "model.input_size"),
        (LABELS.format("{name: binary, kwargs: [1]}"), "kwargs of the target 'binary'"),
        (LABELS.format("{name: instance_boundary, kwargs: {thickness: thick}}"), "label_transform.targets was being"),
        (RSUNET.format("loss: {losses: [{function: DiceLoss, kwargs: [1]}]}"), "kwargs of the loss DiceLoss"),
        ("MODEL: {ARCHITECTURE: unet_3d}\nSOLVER: {STEPS: None}", "SOLVER.STEPS is a list"),
        ("MODEL: {LOSS_OPTION: null}", "MODEL.LOSS_OPTION is a list"),
        ("MODEL: {TARGET_OPT: ['4-a-1']}", "MODEL.TARGET_OPT has '4-a-1'"),
        ("MODEL: {LOSS_OPTION: [3]}", "cannot be translated"),
    ],
)
def test_values_that_cannot_be_are_told_with_their_key(tmp_path: Path, text: str, words: str) -> None:
    with pytest.raises(InvalidInput) as error:
        imported(tmp_path, text)
    assert words in str(error.value)
    assert "\n" not in str(error.value)


def test_a_file_without_a_network_is_told(tmp_path: Path) -> None:
    with pytest.raises(InvalidInput, match="describes no network"):
        imported(tmp_path, "decoding: {steps: [{name: decode_waterz}]}")


@pytest.mark.parametrize(
    ("name", "model"),
    [
        ("last.ckpt", "last"),
        ("checkpoint_100000.pth.tar", "checkpoint_100000"),
        ("epoch=1 a/b.ckpt", "b"),
        (".ckpt", "imported"),
    ],
)
def test_a_model_has_the_name_of_its_file(name: str, model: str) -> None:
    assert model_name(Path(name)) == model
