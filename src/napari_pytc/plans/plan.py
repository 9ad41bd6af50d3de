"""Settings of training and prediction: frozen models without torch; their text serves forms, help and docs."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Any, Literal

from pydantic import field_validator, model_validator

from napari_pytc.errors import InvalidInput
from napari_pytc.geometry import Shape, VoxelSpace, whole_multiples
from napari_pytc.plans.augmentation import Augmentation
from napari_pytc.plans.loop import Averaging, Execution, Gradients, Watching
from napari_pytc.plans.losses import LossSettings, LossTerm, assign_losses
from napari_pytc.plans.networks import AnyNetwork, UNetNetwork
from napari_pytc.plans.normalisation import NormalisationSettings
from napari_pytc.plans.optimisation import (
    AdamWOptimiser,
    AnyOptimiser,
    AnySchedule,
    ConstantSchedule,
    CosineSchedule,
    PlateauSchedule,
    check_schedule,
    schedule_note,
)
from napari_pytc.plans.targets import AnyTarget, ChannelsTarget, ClassesTarget
from napari_pytc.plans.test_time import TtaSettings
from napari_pytc.plans.windows import WindowSettings
from napari_pytc.settings import Settings, setting
from napari_pytc.volumes.channels import ChannelRole

Device = Literal["auto", "cpu", "cuda", "mps"]
"""Where to compute."""
PrecisionName = Literal["auto", "float32", "bf16", "fp16"]
"""Number format of the computation."""

MACHINE_SETTINGS = ("device", "precision", "tile_shape")
"""Settings of a prediction that do not decide what is in it."""
_ADDED_LATER = {
    "losses",
    "loss_balancing",
    "supervision_weights",
    "optimiser",
    "schedule",
    "gradients",
    "averaging",
    "watching",
    "execution",
    "normalisation",
}
"""Settings that older versions do not have and that change nothing where they are at their default."""


class TrainPlan(Settings):
    """A recipe: all that decides a training but the data."""

    recipe: str = setting("custom", "Recipe", "Name of the recipe these settings come from.")
    target: AnyTarget = setting(ClassesTarget(), "Target", "What the network learns to predict.")
    network: AnyNetwork = setting(UNetNetwork(), "Network", "Architecture and its settings.")
    steps: int = setting(400, "Steps", "Number of optimiser steps at most.", "steps", ge=1)
    minutes: float | None = setting(None, "Minutes", "Stop after this long, whatever the steps.", "minutes", gt=0)
    batch_size: int = setting(2, "Batch size", "Patches (or thousands of voxels for filter banks) a step.", ge=1)
    patch_shape: Shape | None = setting(
        None, "Patch shape", "Training patch (z, y, x); by default chosen from the voxel size.", "voxels"
    )
    learning_rate: float = setting(2e-3, "Learning rate", "Highest learning rate.", gt=0)
    weight_decay: float = setting(1e-4, "Weight decay", "Weight decay.", ge=0)
    optimiser: AnyOptimiser = setting(AdamWOptimiser(), "Optimiser", "How gradients become steps.")
    schedule: AnySchedule = setting(
        CosineSchedule(),
        "Schedule",
        "The learning rate over the training, which ends it after its steps or minutes, whichever comes first.",
    )
    gradients: Gradients = setting(Gradients(), "Gradients", "What becomes of the gradients before a step.")
    dice_weight: float = setting(0.5, "Dice weight", "Share of the Dice loss beside cross entropy.", ge=0, le=1)
    losses: tuple[LossTerm, ...] = setting(
        (),
        "Losses",
        "Terms of the loss, each with weight, channels and heads; by default what suits the target: Dice and cross "
        "entropy of classes and probabilities, smooth L1 of distances.",
    )
    loss_balancing: Literal["fixed", "uncertainty"] = setting(
        "fixed",
        "Balance of losses",
        "How the terms of losses are weighed: as written, or by what is learnt of how sure each can be.",
    )
    supervision_weights: tuple[float, ...] | None = setting(
        None,
        "Weights of levels",
        "Weights of the losses of a network's levels, the finest first; by default each half of the finer one's.",
    )
    class_balance: float = setting(
        0.5,
        "Class balance",
        "0: as often as they are painted; 1: all classes the same. For instances: voxels at borders and inside, and "
        "pairs to be joined and to be kept apart.",
        ge=0,
        le=1,
    )
    volume_balance: float = setting(
        0.75,
        "Volume balance",
        "Where a training learns from several volumes. 0: each as often as it is annotated; 1: all volumes the same, "
        "so that a large one does not drown a small one.",
        ge=0,
        le=1,
    )
    normalisation: NormalisationSettings = setting(
        NormalisationSettings(), "Intensities", "How intensities are scaled for the network."
    )
    voxel_size_nm: tuple[float, float, float] | None = setting(
        None,
        "Voxel size",
        "Voxel size (z, y, x) that the network learns; volumes that differ by more than a tenth are resampled. By "
        "default the parent's, else that of the volumes' own sizes at which least detail is lost.",
        "nm",
    )
    guess_weight: float = setting(
        0.0,
        "Weight of pseudo-labels",
        "How much confident predictions of the instant model on unpainted voxels count beside the strokes; 0: not at "
        "all.",
        ge=0,
        le=10,
    )
    guess_confidence: float = setting(
        0.8, "Confidence of pseudo-labels", "Least probability of a prediction that counts.", ge=0.5, lt=1
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
        "How much the predictions of the parent model count where nothing is annotated; 0: not at all.",
        ge=0,
        le=10,
    )
    ema_decay: float = setting(
        0.99, "Weight averaging", "Decay of the moving average of the weights; 0 turns it off.", ge=0, lt=1
    )
    averaging: Averaging = setting(Averaging(), "Weight averaging at the end", "Plain mean of the last weights.")
    validate_every: int = setting(50, "Validate every", "Steps between scores on the held-out boxes.", "steps", ge=1)
    patience: int = setting(8, "Patience", "Stop after this many validations without a better score; 0: never.", ge=0)
    watching: Watching = setting(Watching(), "Score that decides", "Which weights are the best, and when to stop.")
    checkpoint_every: int = setting(50, "Checkpoint every", "Steps between checkpoints that resume.", "steps", ge=1)
    recent: float = setting(
        0.5, "Recent annotations", "Share of patches drawn from the latest annotated regions.", ge=0, le=1
    )
    augmentation: Augmentation = setting(Augmentation(), "Augmentation", "Random changes of the training patches.")
    seed: int = setting(0, "Seed", "Same seed, data and machine: same model (on a CPU).", ge=0)
    device: Device = setting("auto", "Device", "Where to compute; auto takes a GPU where there is one.")
    precision: PrecisionName = setting("auto", "Precision", "Number format; auto measures what this machine does best.")
    execution: Execution = setting(Execution(), "Execution", "How steps are computed.")
    decoder: dict[str, Any] = setting(
        {},
        "Decoder",
        "Kind and settings of the decoder that suits this recipe's predictions; empty: none in particular.",
    )

    @field_validator("losses", mode="before")
    @classmethod
    def _accept_one_loss(cls, value: Any) -> Any:
        return (value,) if isinstance(value, str | dict) else value

    def patch(self, space: VoxelSpace, multiple: Shape) -> Shape:
        """The training patch on voxels of a size, rounded up to multiples of what the network takes."""
        wanted = self.patch_shape or self.network.patch_shape(space)
        return whole_multiples(wanted, multiple)

    def for_corrections(self, minutes: float) -> TrainPlan:
        """The plan of a short training that starts from a model of this plan and distils it."""
        return self.model_copy(
            update={
                "minutes": minutes if self.minutes is None else min(minutes, self.minutes),
                "learning_rate": self.learning_rate / 3,
                "averaging": self.averaging.slowed(3),
                "distil_weight": 1.0,
                # The parent's predictions take the place of the instant model's pseudo-labels.
                "guess_weight": 0.0,
                # The machine that trained the parent may have had another device.
                "device": "auto",
                "precision": "auto",
            }
        )

    def for_trial(self) -> TrainPlan:
        """The plan of two steps that try everything once: batches, losses, a score, a checkpoint and the model."""
        return self.model_copy(
            update={
                "steps": 2,
                "minutes": None,
                "validate_every": 1,
                "checkpoint_every": 1,
                "patience": 0,
                "schedule": ConstantSchedule(warm_up=0.0),  # lengths in steps would lie beyond the end
            }
        )

    def identity(self, n_volumes: int, exclude: Collection[str] = ()) -> dict[str, Any]:
        """Settings by which a training is recognised as the same, as JSON values.

        Settings that came with several volumes are left out where they change nothing, so that trainings of older
        versions are recognised.

        Parameters
        ----------
        exclude : collection of str
            Settings that do not matter.
        """
        found: dict[str, Any] = self.model_dump(mode="json", exclude=set(exclude))
        if n_volumes == 1:
            del found["volume_balance"]
        if self.voxel_size_nm is None:
            del found["voxel_size_nm"]
        for name in _ADDED_LATER & set(found):
            if getattr(self, name) == type(self).model_fields[name].default:
                del found[name]
        for name in self.network.added_later if "network" in found else ():
            if getattr(self.network, name) == type(self.network).model_fields[name].default:
                del found["network"][name]
        if "augmentation" in found:
            found["augmentation"] = self.augmentation.identity()
        return found

    def notes(self) -> list[str]:
        """What is to be told of settings that have no effect, or may have none."""
        found = self.target.notes()
        if self.dice_weight != type(self).model_fields["dice_weight"].default:
            if self.losses:
                found.append(f"losses says what the loss is: dice_weight={self.dice_weight:g} has no effect.")
            elif not self.target.uses_dice_weight:
                found.append(
                    f"dice_weight={self.dice_weight:g} has no effect: every channel of the target names its loss, or "
                    "is a distance or another number."
                )
        found += dict.fromkeys(note for loss in self._named_losses for note in loss.name_conflicts())
        found += self.network.name_conflicts()
        if (note := self._weights_note()) is not None:
            found.append(note)
        if (note := schedule_note(self.schedule, self.steps, self.minutes)) is not None:
            found.append(note)
        if self.network.learns_from == "voxels":
            found += self._notes_on_patches()
        return found

    def notes_without_scores(self) -> list[str]:
        """What is to be told of settings that need scores, where nothing is held out that could be scored."""
        if self.watching.score == "loss":
            return []
        idle = [f"watching.{name}" for name in self.watching.changed_names]
        if isinstance(self.schedule, PlateauSchedule):
            idle.append("schedule.kind=plateau")
        if not idle:
            return []
        return [
            f"{' and '.join(idle)} {'has' if len(idle) == 1 else 'have'} no effect: nothing is held out for scores. "
            "Hold out an annotated box, or set watching.score=loss."
        ]

    @property
    def _named_losses(self) -> list[LossSettings]:
        """The losses that the plan names, or the channels of its target."""
        channels = self.target.channels if isinstance(self.target, ChannelsTarget) else ()
        return [term.loss for term in self.losses] or [one.loss for one in channels if one.loss is not None]

    def _weights_note(self) -> str | None:
        """A sentence on losses that do not weigh small objects; None where all do."""
        if not isinstance(self.target, ChannelsTarget) or self.target.small_object_weight == 1:
            return None
        kinds = sorted({loss.kind for loss in self._named_losses if not loss.weighs_voxels})
        if not kinds:
            return None
        return (
            f"target.small_object_weight={self.target.small_object_weight:g} has no effect on {', '.join(kinds)}: "
            "these losses compare regions, in which no voxel counts more than another."
        )

    def _notes_on_patches(self) -> list[str]:
        """Sentences on settings of patches, for a network that learns from single voxels."""
        found = []
        if self.execution.compile:
            found.append("execution.compile has no effect: this network is not compiled.")
        if self.execution.deterministic:
            found.append(
                "execution.deterministic has no effect on this network; on a CPU it learns the same every time."
            )
        if self.supervision_weights is not None:
            found.append("supervision_weights has no effect: this network has a single level.")
        changed = [f"augmentation.{name}" for name in self.augmentation.changed_names]
        changed += [name for name in ("patch_shape", "recent", "guess_weight") if name in self.changed_names]
        if changed:
            verb = "has" if len(changed) == 1 else "have"
            found.append(f"{', '.join(changed)} {verb} no effect: this network learns from single voxels, not patches.")
        return found

    def check_channels(self, roles: Sequence[ChannelRole]) -> None:
        """Refuse losses, and a network, that do not fit the channels of the target.

        Raises
        ------
        InvalidInput
            See `assign_losses` and `NetworkSettings.check_outputs`.
        """
        self.network.check_outputs(len(roles))
        assign_losses(self.losses, roles, single_voxels=self.network.learns_from == "voxels")
        if isinstance(self.target, ChannelsTarget):
            self.target.assigned_losses(roles)

    def check(self) -> None:
        """Refuse settings that are fine one by one and do not go together.

        Raises
        ------
        InvalidInput
            For what only makes sense with classes, where instances are learnt, and for what contradicts itself.
        """
        self._check_losses()
        self._check_loop()
        self.normalisation.check()
        self._check_scaling()
        if self.target.kind == "classes":
            return
        if self.patch_shape is not None:
            self.target.check_patch(self.patch_shape)
        if self.augmentation.copy_paste and isinstance(self.target, ChannelsTarget) and self.target.uncopied:
            raise InvalidInput(
                f"Objects cannot be copied to other places of a patch: {self.target.uncopied}.",
                "Set augmentation.copy_paste=0.",
            )
        if self.network.learns_from == "voxels":
            raise InvalidInput(
                f"The network {self.network.kind!r} learns classes from single voxels; it cannot learn "
                f"{self.target.kind}.",
                "Choose a network that sees patches, as network.kind=unet.",
            )
        if self.guess_weight:
            raise InvalidInput(
                f"Pseudo-labels are of classes; with target.kind={self.target.kind} there are none, got "
                f"guess_weight={self.guess_weight:g}.",
                "Set guess_weight=0.",
            )

    def _check_loop(self) -> None:
        check_schedule(self.schedule, self.steps, self.minutes is not None)
        if self.averaging.swa_rate is not None and self.averaging.swa_start is None:
            raise InvalidInput(
                f"averaging.swa_rate={self.averaging.swa_rate:g} is the rate during the plain mean of the weights, but "
                "averaging.swa_start says that there is none.",
                "Set averaging.swa_start, for example 0.75, or leave averaging.swa_rate out.",
            )
        watched = self.watching
        if watched.min_change and self.watching.score != "loss" and watched.min_change >= 1:
            raise InvalidInput(
                f"Scores are from 0 to 1, so that none gets better by watching.min_change={watched.min_change:g}.",
                "For example watching.min_change=0.002.",
            )

    def _check_scaling(self) -> None:
        if self.normalisation.method == "zscore":
            return
        hint = "Set normalisation.method=zscore, or choose a network without filters, as network.kind=unet."
        if self.network.needs_zscores:
            raise InvalidInput(
                f"The filters of the network {self.network.kind!r} are made for normalisation.method=zscore, got "
                f"{self.normalisation.method}.",
                hint,
            )
        if self.guess_weight:
            raise InvalidInput(
                "Pseudo-labels come from the instant model, whose filters are made for normalisation.method=zscore, "
                f"got {self.normalisation.method}.",
                "Set guess_weight=0, or normalisation.method=zscore.",
            )

    def _check_losses(self) -> None:
        weights = self.supervision_weights
        if weights is not None and (not weights or min(weights) < 0 or weights[0] == 0):
            raise InvalidInput(
                f"supervision_weights are numbers from 0, the first of the finest level and above 0, got "
                f"{list(weights)}.",
                "For example supervision_weights=[1,0.5,0.25].",
            )
        if self.losses and isinstance(self.target, ChannelsTarget) and self.target.has_losses:
            raise InvalidInput(
                "Losses and their weights stand both in losses and in the channels of the target.",
                "Leave one of the two out.",
            )
        if self.loss_balancing == "uncertainty" and len(self.losses) < 2:
            raise InvalidInput(
                f"loss_balancing=uncertainty weighs terms against one another, but losses has {len(self.losses)}.",
                "Name at least two, as losses=[dice,ce], or set loss_balancing=fixed.",
            )


class PredictPlan(Settings):
    """Settings of a prediction: a model run over a volume."""

    tile_shape: Shape | None = setting(
        None, "Tile shape", "Voxels written at a time (z, y, x); by default chosen from the memory.", "voxels"
    )
    flips: bool = setting(
        False,
        "Average over flips",
        "Predict mirrored copies too and average: slower, a little better. The same as tta.flips=all.",
    )
    tta: TtaSettings = setting(
        TtaSettings(),
        "Test-time augmentation",
        "Copies of the image that are predicted, too: mirrored, turned and scaled, and how they are combined.",
    )
    normalisation: Literal["own", "training"] = setting(
        "own",
        "Normalisation",
        "Which statistics scale the intensities. own: those of the volume, so that its brightness, contrast and number "
        "type do not matter; training: those of the volume that the model learnt from.",
    )
    resample: bool = setting(
        True,
        "Resample",
        "Bring a volume whose voxel size differs from the model's by more than a tenth to that size while reading; the "
        "prediction is written on the volume's own voxels.",
    )
    device: Device = setting("auto", "Device", "Where to compute; auto takes a GPU where there is one.")
    precision: PrecisionName = setting("auto", "Precision", "Number format; auto measures what this machine does best.")
    windows: WindowSettings = setting(
        WindowSettings(),
        "Windows",
        "For networks that predict in overlapping windows; those of exact tiles have none.",
    )

    @model_validator(mode="after")
    def _check_flips(self) -> PredictPlan:
        if self.flips and self.tta.flips not in ("none", "all"):
            raise InvalidInput(
                f"flips=true mirrors along all axes, but tta.flips says {', '.join(self.tta.mirrors)}.",
                "Leave one of the two out.",
            )
        return self

    @property
    def copies(self) -> TtaSettings:
        """The test-time augmentation, flips among it."""
        return self.tta.model_copy(update={"flips": "all"}) if self.flips else self.tta

    @property
    def has_all_flips(self) -> bool:
        """Whether copies are mirrored along all axes."""
        return self.copies.flips == "all"

    def identity(self) -> dict[str, Any]:
        """Settings that decide what a prediction is, as JSON values.

        Settings that older versions do not have are left out where they change nothing. Copies that are mirrored along
        all axes are told by flips, as in older versions, however they are written.
        """
        found: dict[str, Any] = self.model_dump(mode="json", exclude={*MACHINE_SETTINGS, "tta"})
        found["flips"] = self.has_all_flips
        rest = self.tta.model_copy(update={"flips": "none"}) if self.has_all_flips else self.tta
        if self.copies.is_used and rest != TtaSettings():
            found["tta"] = rest.model_dump(mode="json")
        return found
