"""The network that trains behind the instant model, in Lightning's loop and without an end."""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import lightning.pytorch as pl
import numpy as np
import torch
from torch import Tensor

from napari_pytc.errors import ModelError
from napari_pytc.geometry import Box
from napari_pytc.jobs.context import JobContext
from napari_pytc.learning.data.augmentations.mixup import with_mixup
from napari_pytc.learning.data.prefetch_features import with_features
from napari_pytc.learning.data.pseudo_labels import PseudoLabels
from napari_pytc.learning.data.sampling import Batch, BatchSource, PatchBatches, TrainingVolume
from napari_pytc.learning.data.training_image import TrainingImage
from napari_pytc.learning.data.volume_data import VolumeData
from napari_pytc.learning.data.voxel_features import annotated_features
from napari_pytc.learning.live.prefetch_batches import PauseGate, PrefetchedBatches
from napari_pytc.learning.machine.oom_fallback import MemoryPlan, run_with_fallback
from napari_pytc.learning.machine.precision import Precision
from napari_pytc.learning.machine.weights import load_matching
from napari_pytc.learning.networks.filter_bank import FilterBank
from napari_pytc.learning.networks.network import build_network
from napari_pytc.learning.prediction.inference import Inferer
from napari_pytc.learning.prediction.model import TrainedModel
from napari_pytc.learning.training.state.checkpoints import TrainingState
from napari_pytc.learning.training.steps.loop import fit_network, measured_precision, memory_plans
from napari_pytc.learning.training.steps.module import SegmentationModule
from napari_pytc.learning.training.steps.nonfinite import LossGuard
from napari_pytc.learning.training.steps.optimisation import is_reported
from napari_pytc.plans.optimisation import ConstantSchedule
from napari_pytc.plans.plan import TrainPlan

Weights = dict[str, Tensor]


class LiveNetwork:
    """A network in training whose training data change.

    The learning rate stays constant after the warm-up, since the end is not known; the moving average of the weights
    takes the place of a decay. Predictions and scores use copies of that average.

    Parameters
    ----------
    plan : TrainPlan
        The recipe; its steps, minutes and patience do not matter here.
    data : VolumeData
        Image, classes and strokes; `set_data` replaces it.
    image : TrainingImage
        Normalised, blank in held-out boxes.
    unmasked : TrainingImage
        The same with nothing blank, for predictions.
    folder : Path
        Where a batch is kept whose loss is no finite number.
    """

    def __init__(
        self,
        plan: TrainPlan,
        data: VolumeData,
        image: TrainingImage,
        unmasked: TrainingImage,
        folder: Path,
        ctx: JobContext,
    ) -> None:
        self._folder = folder
        self.plan, self._data, self._image, self._unmasked, self._ctx = plan, data, image, unmasked, ctx
        torch.manual_seed(plan.seed)
        self.network = build_network(plan.network, len(data.classes), data.space, image.n_channels)
        self.limits = self.network.limits()
        self.step = 0
        self._generator = np.random.default_rng(plan.seed)
        self._memory_plans = memory_plans(plan, data.space, self.limits)
        self._memory = self._memory_plans[0]
        self._precision = Precision()
        self._module: SegmentationModule | None = None
        self._inferer: Inferer | None = None
        self._inferer_weights: Weights | None = None
        self._pseudo_labels: list[PseudoLabels] = []
        self._others: list[TrainingVolume] = []
        self._source: BatchSource | None = None
        self._is_stale = True
        self._gate = PauseGate()
        self._batches: PrefetchedBatches | None = None
        self._saved: TrainingState | None = None

    def share(self) -> float:
        """Fraction of the training that is over: 0, since its end is not known."""
        return 0.0

    @property
    def _volumes(self) -> list[TrainingVolume]:
        volumes = [TrainingVolume(self._data, self._image), *self._others]
        if not self._pseudo_labels:
            return volumes
        return [
            replace(volume, pseudo_labels=labels) for volume, labels in zip(volumes, self._pseudo_labels, strict=True)
        ]

    @property
    def precision(self) -> str:
        """The precision of its steps, as text."""
        return str(self._precision)

    def load_parent(self, weights: Weights) -> None:
        """Begin with those of a parent's weights that fit."""
        report = load_matching(self.network, weights)
        if report.reinitialised:
            self._ctx.warn(f"Not all of the parent fits: {report}")

    def start_from_bank(self, bank_weights: Weights, features: Tensor) -> None:
        """Begin with the instant model's weights, or else with the mean and scale of its features."""
        bank = self.network.feature_bank
        if not self.network.load_bank(bank_weights) and bank is not None:
            if features.shape[1] != bank.n_features:  # other filters than the instant model's
                found = [
                    annotated_features(bank, self.plan, one.data, one.image, self._ctx)[0]
                    for one in self._volumes
                    if one.data.chunks
                ]
                features = torch.cat(found)
            bank.fit_normalisation(features)

    def restore(self, state: TrainingState) -> None:
        """Begin with a checkpoint.

        Raises
        ------
        ModelError
            If it is of another network, or holds numbers that are not finite.
        """
        if not (_are_finite(state.network) and _are_finite(state.average or {})):
            raise ModelError("The checkpoint holds numbers that are not finite.", "Live learning begins anew.")
        try:
            self.network.load_state_dict(state.network)
        except RuntimeError as error:
            raise ModelError("The checkpoint does not fit the network.", "Live learning begins anew.") from error
        self.step, self._saved = state.step, state

    def state(self, fingerprint: str, seconds: float, **others: object) -> TrainingState | None:
        """A checkpoint; None before the first step, and where its weights are no finite numbers."""
        if self._module is None or self._module.optimiser is None:
            return self._saved
        if not (_are_finite(self.network.state_dict()) and _are_finite(self._averaged())):
            return None
        return TrainingState.capture(
            self.network,
            self._module.optimiser,
            self._generator,
            fingerprint=fingerprint,
            step=self.step,
            seconds=seconds,
            average=dict(self._module.average.state_dict()),
            **others,
        )

    def set_data(self, data: VolumeData, teacher: TrainedModel | None, others: Sequence[TrainingVolume] = ()) -> None:
        """Train on other strokes from the next step on.

        Parameters
        ----------
        others : sequence of TrainingVolume
            Other volumes to learn from, always the same ones.
        teacher : TrainedModel, optional
            Makes the pseudo-labels from now on; without it, the last teacher does.
        """
        self._data = data
        if teacher is not None and self.plan.guess_weight:
            images = (self._image, *(other.image for other in others))
            n_painted = sum(1 for one in (data, *(other.data for other in others)) if one.chunks)
            self._pseudo_labels = [
                PseudoLabels(
                    teacher, image, self.plan.guess_confidence, between=self._gate.wait, n_volumes=max(1, n_painted)
                )
                for image in images
            ]
        self._others = list(others)
        self._is_stale = True  # not waiting for the thread that makes batches saves a second

    def stop_batches(self) -> None:
        """End the thread that makes batches; the next step starts it again."""
        if self._batches is not None:
            self._batches.close()
            self._batches = None

    def pause_batches(self) -> None:
        """Pause the thread that makes batches, because more urgent work needs the processor."""
        self._gate.pause()

    def is_ready(self) -> bool:
        """Whether the next batch is made; it is made meanwhile if not."""
        self._gate.resume()
        return self._current_batches().is_ready

    def fit(self, wait: Callable[[], bool], after_step: Callable[[], None] = lambda: None) -> None:
        """Train in Lightning's loop, with less memory where it does not suffice.

        Parameters
        ----------
        wait : callable
            Called before every step; may take its time, and returns False to leave the loop.
        after_step : callable
            Called after every step.

        Raises
        ------
        OutOfMemory, ModelError
            If not even the smallest patch on the CPU fits, or the loss is no finite number any more.
        """

        def attempt(memory: MemoryPlan) -> None:
            module = self._prepare(memory)
            self.network.train()
            callback = _StepCallback(self._finish_step, after_step)
            fit_network(module, _Batches(wait, self._take_batch), memory, self._precision, [callback])

        run_with_fallback(self._memory_plans[self._memory_plans.index(self._memory) :], attempt, self._ctx)

    def average(self) -> Weights:
        """A copy of the averaged weights.

        Raises
        ------
        ModelError
            If they are no finite numbers: such weights are neither shown nor kept.
        """
        if self._module is not None:
            self._module.check_loss()
        found = self._averaged()
        if not _are_finite(found):
            raise ModelError("The network's weights are no finite numbers any more.", "Lower its learning_rate.")
        return found

    def _averaged(self) -> Weights:
        source = self.network if self._module is None else self._module.average.module
        return {name: tensor.detach().cpu().clone() for name, tensor in source.state_dict().items()}

    def averaged_bank(self) -> FilterBank | None:
        """A copy of the filter bank within the averaged network, on the CPU; None where there is no sound one."""
        bank, average = self.network.feature_bank, self._averaged()
        if not isinstance(bank, FilterBank) or not _are_finite(average):
            return None
        copied = copy.deepcopy(bank).cpu().eval()
        prefix = "bank."
        learnt = {name.removeprefix(prefix): t for name, t in average.items() if name.startswith(prefix)}
        copied.load_state_dict(learnt)
        return copied

    def predict(self, weights: Weights, box: Box) -> Tensor:
        """Probabilities (k, *box.shape) of a box by weights from `average`."""
        inferer, image = self._inferer_with(weights), self._unmasked
        return inferer.predict_box(image.read, box, image.whole)

    def _inferer_with(self, weights: Weights) -> Inferer:
        if self._inferer is None:
            device = torch.device(self._memory.device)
            precision = self._measured(training=False)
            network = precision.place_network(copy.deepcopy(self.network).to(device)).eval()
            self._inferer = Inferer(network, self.limits, device, precision, warn=self._ctx.warn)
            self._inferer_weights = None
        if self._inferer_weights is not weights:
            self._inferer.network.load_state_dict(weights)
            self._inferer_weights = weights
        return self._inferer

    def _finish_step(self, module: SegmentationModule, loss: Tensor) -> None:
        module.move_average()
        self.step += 1
        if is_reported(self.step):
            module.check_loss()
            self._ctx.metric("network/loss", self.step, float(loss))

    def _take_batch(self) -> Batch:
        return self._current_batches().take()

    def _current_batches(self) -> PrefetchedBatches:
        if self._is_stale:
            memory = self._memory
            batches = PatchBatches(self._volumes, self.plan, memory.batch_size, memory.shape)
            self._source = with_features(with_mixup(batches, self.plan), self.network, memory.device, self._gate.wait)
            self._is_stale = False
        if self._batches is None:
            self._batches = PrefetchedBatches(self._make, self.step, self._gate)
        return self._batches

    def _make(self, step: int) -> Batch:
        """The batch of a step from the present strokes; called in the thread that makes batches."""
        assert self._source is not None
        return self._source.batch(step)

    def _prepare(self, memory: MemoryPlan) -> SegmentationModule:
        """The module to fit; weights and optimiser go along to another batch, patch or device."""
        if self._module is not None and memory == self._memory:
            if self._module.optimiser is not None:
                self._module.optimiser_state = self._module.optimiser.state_dict()
            return self._module
        saved = self.state("", 0.0)
        if memory != self._memory:
            self.stop_batches()
            self._is_stale = True
            self._inferer = None
        self._memory = memory
        self._precision = self._measured(training=True)
        self._precision.place_network(self.network)
        roles = self.plan.target.roles(self._data.classes, self._data.space)
        guard = LossGuard(self._folder, self)
        self._module = SegmentationModule(
            self.network, _endless(self.plan), self, self._precision.channels_last, roles, guard=guard
        )
        if saved is not None:
            self._module.optimiser_state = saved.optimiser
            if saved.average is not None:
                self._module.average.load_state_dict(saved.average)
        return self._module

    def _measured(self, training: bool) -> Precision:
        return measured_precision(
            self.plan, self.network, len(self._data.classes), self._data.space, self._memory, training, self._ctx
        )


def _are_finite(tensors: Weights) -> bool:
    """Whether all are numbers; those of a norm may turn to none though the gradients did not."""
    return all(bool(torch.isfinite(tensor).all()) for tensor in tensors.values() if tensor.is_floating_point())


def _endless(plan: TrainPlan) -> TrainPlan:
    """The plan with a constant rate after its warm-up: the end is not known. A warm-up by share has no length then."""
    warm_up = plan.schedule.warm_up if plan.schedule.warm_up >= 1 else 0.0
    return plan.model_copy(update={"schedule": ConstantSchedule(warm_up=warm_up)})


class _Batches:
    """The batches that Lightning iterates; before each one the engine works."""

    def __init__(self, wait: Callable[[], bool], take: Callable[[], Batch]) -> None:
        self._wait, self._take = wait, take

    def __len__(self) -> int:
        return 2**40  # endless; without a length Lightning would fetch a batch ahead

    def __iter__(self) -> Iterator[Batch]:
        while self._wait():
            yield self._take()


class _StepCallback(pl.Callback):
    """Finishes every step of Lightning's loop."""

    def __init__(self, finish: Callable[[SegmentationModule, Tensor], None], after_step: Callable[[], None]) -> None:
        self._finish, self._after_step = finish, after_step

    def on_train_batch_end(
        self, trainer: pl.Trainer, module: pl.LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """See `Callback`."""
        assert isinstance(module, SegmentationModule)
        self._finish(module, outputs["loss"])
        self._after_step()
