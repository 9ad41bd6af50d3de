"""A configuration of PyTorch Connectomics as a plan, with the account of its keys."""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, ValidationError

from napari_pytc.errors import InvalidInput
from napari_pytc.geometry import Shape, VoxelSpace
from napari_pytc.plans.plan import PredictPlan, TrainPlan
from napari_pytc.plans.prediction_defaults import PredictionDefaults
from napari_pytc.plans.recipe_checks import explain
from napari_pytc.plans.specs import ImportModelJob
from napari_pytc.plans.windows import WindowSettings
from napari_pytc.pytc.architectures import network_settings
from napari_pytc.pytc.config_file import ConfigFile, Dialect, embedded_config, read_config
from napari_pytc.pytc.decoding_steps import decoder_settings
from napari_pytc.pytc.dialects import foreign_keys
from napari_pytc.pytc.embedded_config import read_embedded_config
from napari_pytc.pytc.keys import ForeignKeys, ImportedKey
from napari_pytc.pytc.loss_terms import loss_settings
from napari_pytc.pytc.target_channels import target_settings
from napari_pytc.pytc.test_time import augmentation_of_predictions
from napari_pytc.pytc.training_settings import augmentation_settings, optimisation_settings
from napari_pytc.pytc.yacs import READ_AS_LISTS

VoxelSize = tuple[float, float, float]

_BLENDINGS = {"bump": "bump", "gaussian": "gaussian", "constant": "constant"}
_REASONS = {
    "data.train": "data belong to a project: napari-pytc new, add and annotate",
    "data.val": "truth is what is held out in a project: napari-pytc hold-out",
    "data.test": "data belong to a project: napari-pytc new and add",
    "data.root_path": "data belong to a project: napari-pytc new, add and annotate",
    "data": "data are read and sampled in a way of this program's own",
    "data.split_enabled": "truth is what is held out in a project: napari-pytc hold-out",
    "data.label_transform": "labels are taken as they are annotated",
    "data.data_transform": "images are taken as they are, and padded where a network needs it",
    "inference": "predictions are written by tiles or windows that fit into the memory",
    "inference.test_time_augmentation": "copies are computed in a way of this program's own",
    "inference.window": "windows are placed and padded in a way of this program's own",
    "system": "the machine is chosen where the job runs",
    "monitor": "curves, scores and checkpoints are kept with the model",
    "test": "data belong to a project: napari-pytc new and add",
    "tune": "decoders are tuned by their slider and regroup",
    "decoding.postprocessing": "objects are as the decoder makes them: smallest sizes and proofreading are nearest",
    "evaluation": "scores are of held-out boxes, and napari-pytc evaluate",
    "decoding": "predictions are decoded block by block: napari-pytc segment",
    "model.input_size": "windows have the shape of the patch",
    "model.output_size": "windows have the shape of the patch",
    "model.primary_head": "losses and predictions name their heads",
    "optimization": "it changes nothing of what is learnt, or is chosen by the program",
    "legacy.MODEL.WEIGHT_OPT": "voxels are weighted by class_balance alone, which is 0 here",
    "legacy.SYSTEM": "the machine is chosen where the job runs",
    "legacy.DATASET": "data belong to a project, and are read and sampled in a way of this program's own",
    "legacy.AUGMENTOR": "how strong a change is, and along which axes, is fixed here",
    "legacy.SOLVER.WARMUP_ITERS": "its schedule has no warm-up there",
    "legacy.SOLVER.STEPS": "its schedule has no steps there",
    "legacy.SOLVER.GAMMA": "its schedule has no factor there",
    "legacy.SOLVER.SWA": "there is the moving average of ema_decay alone",
    "legacy.MONITOR": "curves, scores and checkpoints are kept with the model",
    "legacy.INFERENCE": "predictions are written by tiles or windows that fit into the memory",
    "train": "a training predicts nothing: what test says of it is read",
    "default": "a stage without sections, or within another, is not read",
    "shared": "a stage without sections, or within another, is not read",
    "test.model": "the network is that of the training",
    "test.system": "the machine is chosen where the job runs",
    "model.loss.loss_balancing": "losses that are not said are not balanced",
    "inference.model": "predictions have the channels that are kept",
    "model.external_weights_path": "a training begins with a model: napari-pytc train --from",
    "model.external_weights_key_prefix": "a training begins with a model: napari-pytc train --from",
    "model.loss.deep_supervision": "the network has no supervised levels",
    "model.loss.deep_supervision_clamp_min": "outputs are not cut before a loss",
    "model.loss.deep_supervision_clamp_max": "outputs are not cut before a loss",
    "model.loss.profile": "no profile has that name",
    "model.arch.variant": "the type says it all",
    "model.arch.params": "the type's own section says it all",
    "experiment_name": "the recipe has the name of its file",
    "description": "it is text",
    "save_path": "models lie in their project",
}
_RESOLUTIONS = ("data.train.resolution", "data.label_transform.resolution", "test.data.test.resolution")
_OTHERWISE = "there is no counterpart"


class ImportedConfig(BaseModel):
    """What a configuration becomes.

    Parameters
    ----------
    predict : PredictPlan
        How its predictions are made.
    classes : tuple of str
        Names of semantic classes, where it learns some.
    n_inputs : int
        Channels of the image.
    images, labels : tuple of str
        Files that it trains on, as they are written.
    notes : tuple of str
        Sentences on how it was read.
    """

    model_config = ConfigDict(frozen=True)

    plan: TrainPlan
    predict: PredictPlan
    keys: tuple[ImportedKey, ...]
    dialect: Dialect
    name: str
    classes: tuple[str, ...] = ()
    n_inputs: int = 1
    window_shape: Shape | None = None
    images: tuple[str, ...] = ()
    labels: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()

    @property
    def about(self) -> str:
        """The sentence that its recipe begins with."""
        return f"From the configuration {self.name} of PyTorch Connectomics."

    @property
    def prediction(self) -> PredictionDefaults | None:
        """Settings of predictions that a model of the configuration brings along; None where all are the usual ones."""
        in_windows = self.plan.network.tiles() == "windows"
        # The shape of the window is kept with every model of windows.
        windows = self.predict.windows.model_copy(update={"shape": None}) if in_windows else WindowSettings()
        found = PredictionDefaults(flips=self.predict.flips, tta=self.predict.tta, windows=windows)
        return None if found == PredictionDefaults() else found

    def job(self, checkpoint: Path, folder: Path) -> ImportModelJob:
        """The import of its checkpoint as a model, which appears at a folder."""
        return ImportModelJob(
            checkpoint=checkpoint,
            config=self.name,
            plan=self.plan,
            folder=folder,
            classes=self.classes,
            n_inputs=self.n_inputs,
            window_shape=self.window_shape,
            prediction=self.prediction,
        )

    def segment_command(self, project: str) -> list[str]:
        """Words of the command that decodes a prediction as it is done there; the recipe's decoder does the same."""
        decoder = dict(self.plan.decoder)
        kind = decoder.pop("kind", None)
        settings = [
            f"{name}={value:g}" if isinstance(value, float) else f"{name}={value}" for name, value in decoder.items()
        ]
        return ["segment", project, *([] if kind is None else ["--decoder", kind, *settings])]

    def commands(self, recipe: Path | str) -> list[str]:
        """Commands that make a project of the files that it trains on, train, predict and decode."""
        project = f"{self.name}.pytc"
        names = ",".join(self.classes) or "background,object"
        found = []
        for number, image in enumerate(self.images):
            size = self.plan.voxel_size_nm
            words = ["add", project] if number else ["new", project, "--classes", names]
            words += ["--image", image]
            words += ["--name", f"volume-{number + 1}"] if len(self.images) > 1 else []
            words += [] if size is None else ["--voxel-size", ",".join(f"{n:g}" for n in size)]
            found.append(words)
        # Labels there are dense: 0 is the background.
        how = ["--dense"] if self.classes else ["--instances", "--dense"]
        for number, label in enumerate(self.labels[: len(self.images)]):
            volume = ["--volume", f"volume-{number + 1}"] if len(self.images) > 1 else []
            found.append(["annotate", project, label, *how, *volume])
        every = ["--all"] if len(self.images) > 1 else []
        found += [["train", project, "--recipe", str(recipe)], ["predict", project, *every]]
        found.append([*self.segment_command(project), *every])
        return [f"napari-pytc {shlex.join(words)}" for words in found]


def import_config(paths: Sequence[Path], voxel_size_nm: VoxelSize | None = None) -> ImportedConfig:
    """Read and translate configuration files.

    Parameters
    ----------
    paths : sequence of Path
        The later ones over the earlier ones.
    voxel_size_nm : tuple of float, optional
        z, y, x; by default what the configuration says.

    Raises
    ------
    InvalidInput
        If a file cannot be read, or asks for what there is not.
    """
    return translate(read_config(paths), voxel_size_nm)


def import_embedded(checkpoint: Path, voxel_size_nm: VoxelSize | None = None) -> ImportedConfig:
    """Read and translate the configuration that a checkpoint holds.

    Raises
    ------
    ModelError
        If the file is no checkpoint, or holds none.
    InvalidInput
        If it asks for what there is not.
    """
    held = embedded_config(read_embedded_config(checkpoint), checkpoint, model_name(checkpoint))
    found = translate(held, voxel_size_nm)
    note = f"The configuration is the one that the checkpoint {checkpoint.name} holds."
    return found.model_copy(update={"notes": (note, *found.notes)})


def model_name(checkpoint: Path) -> str:
    """Name of the model of a checkpoint: that of the file, without what cannot be in a folder's name."""
    name = checkpoint.name
    for suffix in (".pth.tar", ".ckpt", ".pth", ".pt"):
        name = name.removesuffix(suffix)
    return "".join(one if one.isalnum() or one in "-_.=" else "-" for one in name).strip(".-") or "imported"


def translate(config: ConfigFile, voxel_size_nm: VoxelSize | None = None) -> ImportedConfig:
    """A configuration as a plan; errors as in `import_config`."""
    keys: ForeignKeys | None = None
    try:
        keys = foreign_keys(config)
        return _translated(config, keys, voxel_size_nm)
    except (ValueError, TypeError, AttributeError, LookupError, ArithmeticError, RecursionError) as error:
        place = keys.name(keys.last_read) if keys is not None and keys.last_read else "its sections"
        if config.dialect == "yacs" and keys is None:
            place = f"one of {', '.join(READ_AS_LISTS)}"
        reason = (str(error).splitlines() or [type(error).__name__])[0].rstrip(".")
        raise InvalidInput(
            f"The configuration {config.path.name} cannot be translated: {place} was being read, and {reason[:200]}.",
            "Write that value as PyTorch Connectomics has it.",
        ) from error


def _translated(config: ConfigFile, keys: ForeignKeys, voxel_size_nm: VoxelSize | None) -> ImportedConfig:
    if not keys.section("model"):
        raise InvalidInput(
            f"The configuration {config.path.name} describes no network: it has no section model, nor do the files "
            "that it builds on.",
            "Segment with the settings of napari-pytc segment, or give the configuration of the training.",
        )
    size = voxel_size_nm or _voxel_size(keys)
    if voxel_size_nm:
        for key in _RESOLUTIONS:
            keys.left_out(key, "another voxel size was given")
    target, n_channels, heads = target_settings(keys, size)
    values: dict[str, Any] = {
        "recipe": config.name,
        "target": target,
        "network": network_settings(keys, heads),
        **loss_settings(keys, n_channels, heads),
        **optimisation_settings(keys, config.dialect == "flat"),
        "augmentation": augmentation_settings(keys),
        "normalisation": _normalisation(keys),
        "voxel_size_nm": size,
        "class_balance": 0.0,
        "batch_size": max(1, int(keys.number("data.dataloader.batch_size", 4))),
    }
    keys.taken("data.dataloader.batch_size", f"batch_size={values['batch_size']}", 4)
    try:
        plan = TrainPlan.model_validate(values)
        space = VoxelSpace(size or (1.0, 1.0, 1.0))
        plan = plan.model_copy(update={"patch_shape": _patch(keys, plan, space)})
        classes = plan.target.class_names
        plan = _with_fitting_losses(keys, plan, space)
        decoder = decoder_settings(keys, size, plan.target.predicted_roles(classes, space))
        plan = plan.model_copy(update={"decoder": decoder})
        plan.check()
        predict, window = _prediction(keys, plan, space, config.dialect)
    except ValidationError as error:
        raise InvalidInput(*explain(error, f"the plan of {config.path.name}", TrainPlan, values)) from error
    n_inputs = int(keys.number("model.in_channels", 1))
    keys.taken("model.in_channels", f"images of {n_inputs} channels")
    images, labels = _files(keys, "image"), _files(keys, "label")
    return ImportedConfig(
        plan=plan,
        predict=predict,
        keys=keys.rows(_REASONS, _OTHERWISE),
        dialect=config.dialect,
        name=config.name,
        classes=classes,
        n_inputs=n_inputs,
        window_shape=window,
        images=images,
        labels=labels,
        notes=tuple(keys.notes),
    )


def _with_fitting_losses(keys: ForeignKeys, plan: TrainPlan, space: VoxelSpace) -> TrainPlan:
    """The plan, without losses that do not fit the channels of its target."""
    roles = plan.target.roles(plan.target.class_names, space)
    try:
        plan.check_channels(roles)
    except InvalidInput as error:
        if not plan.losses:
            raise
        key = "model.loss.losses"
        keys.changed_after_all(key, "the losses that suit the target", error.message)
        return plan.model_copy(update={"losses": (), "loss_balancing": "fixed"})
    return plan


def _voxel_size(keys: ForeignKeys) -> VoxelSize | None:
    taken: tuple[str, VoxelSize] | None = None
    for key in _RESOLUTIONS:
        found = keys.numbers(key)
        if found is None:
            continue
        if taken is not None:
            keys.left_out(key, f"the voxel size is that of {keys.name(taken[0])}")
            continue
        if len(found) == 2:
            keys.left_out(key, "it is of sections; name the size of voxels along z, y, x")
            continue
        if len(found) != 3:
            raise InvalidInput(f"The configuration's {keys.name(key)} is z, y, x in nm, got {found}.")
        z, y, x = found
        if min(found) <= 0 or (z, y, x) == (1, 1, 1):
            keys.left_out(key, "it is no size of voxels: such as 0 and 1 nm stand for one that nobody knows")
            continue
        keys.taken(key, f"voxel_size_nm={z:g},{y:g},{x:g}")
        taken = key, (z, y, x)
    return None if taken is None else taken[1]


def _patch(keys: ForeignKeys, plan: TrainPlan, space: VoxelSpace) -> Shape:
    """The patch, at lengths that the network takes."""
    key = "data.dataloader.patch_size"
    written = _shape(keys, key) or _shape(keys, "model.input_size") or (128, 128, 128)
    multiple = plan.network.window_multiple(space)
    z, y, x = (-(-n // m) * m for n, m in zip(written, multiple, strict=True))
    text = f"patch_shape={z},{y},{x}"
    if (z, y, x) != written:
        keys.changed(key, text, f"lengths are multiples of {' x '.join(map(str, multiple))}", list(written))
    keys.taken(key, text, list(written))
    return (z, y, x)


def _shape(keys: ForeignKeys, key: str) -> Shape | None:
    found = keys.numbers(key)
    if found is None:
        return None
    numbers = [int(n) for n in found]
    if len(numbers) not in (2, 3) or min(numbers) < 1:
        raise InvalidInput(f"The configuration's {keys.name(key)} has two or three lengths in voxels, got {found}.")
    y, x = numbers[-2:]
    return (numbers[0] if len(numbers) == 3 else 1, y, x)


def _normalisation(keys: ForeignKeys) -> dict[str, Any]:
    """How intensities are scaled, by the whole volume's numbers as there."""
    where = "data.image_transform"
    method = str(keys.get(f"{where}.normalize", "0-1"))
    low = 100 * keys.number(f"{where}.clip_percentile_low", 0.0)
    high = 100 * keys.number(f"{where}.clip_percentile_high", 1.0)
    found: dict[str, Any] = {"clip_percentiles": [low, high], "clip_margin": 0.0}
    if method in ("0-1", "True", "mean-std"):
        found["method"] = "min-max"
        if method != "0-1":
            mean, std = keys.number(f"{where}.mean", 0.5), keys.number(f"{where}.std", 0.5)
            found["scaled_to"] = [-mean / std, (1 - mean) / std] if std else [0.0, 1.0]
        if method == "mean-std":  # version 1.0 divides bytes by 255, and makes bytes of other images by their range
            found["bytes_as_they_are"] = True
            key = f"{where}.normalize_range"
            text = "normalisation.bytes_as_they_are=true"
            if keys.flag(key, True):
                keys.taken(key, text)
            else:
                why = "bytes are divided by 255 (divide-255), as there; other number types by their own range"
                keys.changed(key, text, why)
    elif method in ("normal", "z-score", "zscore"):
        found["method"] = "zscore"
    elif method in ("none", "False") or method.startswith("divide-"):
        text = method.removeprefix("divide-") if method.startswith("divide-") else "1"
        try:
            found |= {"method": "divide", "divide_by": float(text)}
        except ValueError as error:
            raise InvalidInput(f"The configuration's {keys.name(f'{where}.normalize')} is {method!r}.") from error
    else:
        raise InvalidInput(
            f"The configuration's {keys.name(f'{where}.normalize')} is {method!r}, which there is not here.",
            "There are none, normal, 0-1 and divide-K.",
        )
    text = f"normalisation.method={found['method']}"
    keys.taken(f"{where}.normalize", text, "0-1")
    for key in ("mean", "std"):
        keys.taken(f"{where}.{key}", f"normalisation.scaled_to={found.get('scaled_to')}")
    for key in ("clip_percentile_low", "clip_percentile_high"):
        keys.taken(f"{where}.{key}", f"normalisation.clip_percentiles={low:g},{high:g}")
    return found


def _prediction(
    keys: ForeignKeys, plan: TrainPlan, space: VoxelSpace, dialect: Dialect
) -> tuple[PredictPlan, Shape | None]:
    """How predictions are made, and the window, which a model of windows keeps."""
    where = "inference.window"
    blending = str(keys.get(f"{where}.blending", "bump"))
    multiple = plan.network.window_multiple(space)
    shape = _shape(keys, f"{where}.window_size") or plan.patch_shape
    if shape is not None:
        z, y, x = (-(-n // m) * m for n, m in zip(shape, multiple, strict=True))
        if (z, y, x) != shape:
            why = f"lengths are multiples of {' x '.join(map(str, multiple))}"
            keys.changed(f"{where}.window_size", f"windows.shape={z},{y},{x}", why)
        shape = (z, y, x)
        keys.taken(f"{where}.window_size", f"windows.shape={z},{y},{x}")
    overlap = keys.number(f"{where}.overlap", 0.5)
    batch = int(keys.number(f"{where}.sw_batch_size", 4))
    windows = WindowSettings.model_validate(
        {
            "shape": shape,
            "overlap": min(0.9, max(0.0, overlap)),
            "blending": _BLENDINGS.get(blending, "bump"),
            # Version 1.0 averages what comes out of the activation.
            "average": "probabilities" if dialect == "yacs" else "logits",
            "batch_size": max(1, batch),
        }
    )
    if blending not in _BLENDINGS:
        keys.changed(f"{where}.blending", "windows.blending=bump", f"there is no {blending}")
    keys.taken(f"{where}.blending", f"windows.blending={windows.blending}")
    keys.taken(f"{where}.overlap", f"windows.overlap={windows.overlap:g}")
    keys.taken(f"{where}.sw_batch_size", f"windows.batch_size={windows.batch_size}")
    of_copies = augmentation_of_predictions(keys, windows.average)
    return PredictPlan.model_validate({"windows": windows, **of_copies}), shape


def _files(keys: ForeignKeys, name: str) -> tuple[str, ...]:
    found = keys.get(f"data.train.{name}")
    found = found if isinstance(found, list) else [found]
    folder = str(keys.get("data.train.path") or keys.get("data.root_path") or "").rstrip("/")
    texts = [str(one) for one in found if one]
    return tuple(f"{folder}/{one}" if folder and not one.startswith("/") else one for one in texts)
