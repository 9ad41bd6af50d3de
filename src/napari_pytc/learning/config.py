"""Settings of training and prediction: frozen models without torch; their text serves forms, help and docs."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from napari_pytc.geometry import Shape

Device = Literal["auto", "cpu", "cuda", "mps"]
Precision = Literal["auto", "float32", "bf16", "fp16"]


class Settings(BaseModel):
    """Base of all settings: frozen, and unknown names are errors."""

    model_config = ConfigDict(frozen=True, extra="forbid")


def setting(default: Any, title: str, description: str, unit: str = "", **bounds: Any) -> Any:
    """A field whose title, description, unit and bounds are shown to people."""
    extra: dict[str, Any] | None = {"unit": unit} if unit else None
    return Field(default, title=title, description=description, json_schema_extra=extra, **bounds)


class FilterBankNetwork(Settings):
    """Fixed multi-scale Gaussian derivative features and a small perceptron: the instant model."""

    kind: Literal["filter_bank"] = "filter_bank"
    sigmas: tuple[float, ...] = setting(
        (0.7, 1.0, 1.6, 3.5, 5.0, 10.0), "Scales", "Standard deviations of the Gaussians, in in-plane voxels.", "voxels"
    )
    hidden: tuple[int, ...] = setting((64, 32), "Hidden units", "Widths of the perceptron's hidden layers.")
    dimensions: Literal["auto", "2d", "3d"] = setting(
        "auto", "Dimensions", "Features section by section (2d) or in the volume (3d); auto follows the anisotropy."
    )


class UNetNetwork(Settings):
    """MONAI's residual U-Net with batch norm: small and quick."""

    kind: Literal["unet"] = "unet"
    channels: tuple[int, ...] = setting(
        (16, 32, 64), "Channels", "Feature maps of each level; the number of levels is the length."
    )
    residual_units: int = setting(1, "Residual units", "Convolutions in each residual block.", ge=0, le=4)


class DynUNetNetwork(Settings):
    """MONAI's DynUNet whose kernels and strides follow the anisotropy of the voxels, with deep supervision."""

    kind: Literal["dynunet"] = "dynunet"
    channels: tuple[int, ...] = setting((16, 32, 64), "Channels", "Feature maps of each level.")
    deep_supervision: int = setting(
        1, "Deep supervision", "How many coarser levels get a loss of their own.", ge=0, le=3
    )
    residual: bool = setting(True, "Residual blocks", "Add each block's input to its output.")


Network = Annotated[FilterBankNetwork | UNetNetwork | DynUNetNetwork, Field(discriminator="kind")]


class Augmentation(Settings):
    """How often each random change is applied to a training patch."""

    flips: bool = setting(True, "Flips", "Mirror along every axis, and turn by 90 degrees where the voxels are square.")
    affine: float = setting(0.2, "Rotation and scale", "Probability of a small rotation and scaling.", ge=0, le=1)
    contrast: float = setting(0.5, "Contrast", "Probability of a random brightness, contrast and gamma.", ge=0, le=1)
    noise: float = setting(0.2, "Noise", "Probability of Gaussian noise.", ge=0, le=1)
    blur: float = setting(0.1, "Blur", "Probability of a Gaussian blur of single sections.", ge=0, le=1)
    missing_section: float = setting(
        0.05, "Missing section", "Probability that a section is blank or badly torn in contrast.", ge=0, le=1
    )
    misaligned_section: float = setting(
        0.05, "Misaligned section", "Probability that a section, or all after it, is shifted in the plane.", ge=0, le=1
    )


class TrainPlan(Settings):
    """A recipe: all that decides a training but the data."""

    recipe: str = setting("custom", "Recipe", "Name of the recipe these settings come from.")
    network: Network = setting(UNetNetwork(), "Network", "Architecture and its settings.")
    steps: int = setting(400, "Steps", "Number of optimiser steps at most.", "steps", ge=1)
    minutes: float | None = setting(None, "Minutes", "Stop after this long, whatever the steps.", "minutes", gt=0)
    batch_size: int = setting(2, "Batch size", "Patches (or thousands of voxels for filter banks) a step.", ge=1)
    patch_shape: Shape | None = setting(
        None, "Patch shape", "Training patch (z, y, x); by default chosen from the voxel size.", "voxels"
    )
    learning_rate: float = setting(2e-3, "Learning rate", "Peak learning rate of AdamW.", gt=0)
    weight_decay: float = setting(1e-4, "Weight decay", "Weight decay of AdamW.", ge=0)
    dice_weight: float = setting(0.5, "Dice weight", "Share of the Dice loss beside cross entropy.", ge=0, le=1)
    class_balance: float = setting(
        0.5,
        "Class balance",
        "0: as often as they are painted; 1: all classes the same.",
        ge=0,
        le=1,
    )
    ema_decay: float = setting(
        0.99, "Weight averaging", "Decay of the moving average of the weights; 0 turns it off.", ge=0, lt=1
    )
    validate_every: int = setting(50, "Validate every", "Steps between scores on the held-out boxes.", "steps", ge=1)
    patience: int = setting(8, "Patience", "Stop after this many validations without a better score; 0: never.", ge=0)
    checkpoint_every: int = setting(50, "Checkpoint every", "Steps between checkpoints that resume.", "steps", ge=1)
    recent: float = setting(
        0.5, "Recent annotations", "Share of patches drawn from the latest annotated places.", ge=0, le=1
    )
    augmentation: Augmentation = setting(Augmentation(), "Augmentation", "Random changes of the training patches.")
    seed: int = setting(0, "Seed", "Same seed, data and machine: same model (on a CPU).", ge=0)
    device: Device = setting("auto", "Device", "Where to compute; auto takes a GPU where there is one.")
    precision: Precision = setting("auto", "Precision", "Arithmetic; auto measures what this machine does best.")


class PredictPlan(Settings):
    """How to run a model over a volume."""

    tile_shape: Shape | None = setting(
        None, "Tile shape", "Voxels written at a time (z, y, x); by default chosen from the memory.", "voxels"
    )
    flips: bool = setting(
        False, "Average over flips", "Predict mirrored copies too and average: slower, a little better."
    )
    device: Device = setting("auto", "Device", "Where to compute; auto takes a GPU where there is one.")
    precision: Precision = setting("auto", "Precision", "Arithmetic; auto measures what this machine does best.")
