"""Settings of training and prediction: frozen models without torch; their text serves forms, help and docs."""

from __future__ import annotations

from typing import Any, Literal

from napari_pytc.errors import InvalidInput
from napari_pytc.geometry import Shape
from napari_pytc.learning.networks import AnyNetwork, UNetNetwork
from napari_pytc.learning.targets import AnyTarget, ClassesTarget
from napari_pytc.settings import Settings, setting

Device = Literal["auto", "cpu", "cuda", "mps"]
Precision = Literal["auto", "float32", "bf16", "fp16"]


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
    target: AnyTarget = setting(ClassesTarget(), "Target", "What the network learns to answer.")
    network: AnyNetwork = setting(UNetNetwork(), "Network", "Architecture and its settings.")
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
        "0: as often as they are painted; 1: all classes the same. For instances: voxels at borders and inside, and "
        "pairs to be joined and to be kept apart.",
        ge=0,
        le=1,
    )
    guess_weight: float = setting(
        0.0,
        "Weight of guesses",
        "How much the instant model's confident guesses on unpainted voxels teach beside the strokes; 0: not at all.",
        ge=0,
        le=10,
    )
    guess_confidence: float = setting(
        0.8, "Confidence of guesses", "Least probability of a guess that teaches.", ge=0.5, lt=1
    )
    corrections_share: float = setting(
        0.5,
        "Share of corrections",
        "Share of patches drawn from corrections made in proofreading, where they are learnt from; the rest replays "
        "what was annotated.",
        ge=0,
        le=1,
    )
    distil_weight: float = setting(
        0.0,
        "Stay near the parent",
        "How much the answers of the model that is gone on from count where nothing is said; 0: not at all.",
        ge=0,
        le=10,
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
    decoder: dict[str, Any] = setting(
        {},
        "Decoder",
        "Kind and settings of the decoder that suits this recipe's predictions; empty: none in particular.",
    )

    def for_corrections(self, minutes: float) -> TrainPlan:
        """The same for a short training that goes on from a model of this plan, and stays near it."""
        return self.model_copy(
            update={
                "minutes": minutes if self.minutes is None else min(minutes, self.minutes),
                "learning_rate": self.learning_rate / 3,
                "distil_weight": 1.0,
                # What the parent answers takes the place of what the instant model guesses.
                "guess_weight": 0.0,
                # The machine that trained the parent may have had another device.
                "device": "auto",
                "precision": "auto",
            }
        )

    def check(self) -> None:
        """Refuse settings that are fine one by one and do not go together.

        Raises
        ------
        InvalidInput
            For what only makes sense with classes, where instances are learnt.
        """
        if self.target.kind == "classes":
            return
        if self.network.learns_from == "voxels":
            raise InvalidInput(
                f"The network {self.network.kind!r} learns classes from single voxels; it cannot learn "
                f"{self.target.kind}.",
                "Choose a network that sees patches, as network.kind=unet.",
            )
        if self.guess_weight:
            raise InvalidInput(
                f"Guesses of the instant model are of classes; with target.kind={self.target.kind} there are none, got "
                f"guess_weight={self.guess_weight:g}.",
                "Set guess_weight=0.",
            )


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
