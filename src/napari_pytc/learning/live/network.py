"""The network that trains behind the instant model, a step at a time and without an end."""

from __future__ import annotations

import copy

import numpy as np
import torch
from torch import Tensor

from napari_pytc.errors import ModelError
from napari_pytc.geometry import Box
from napari_pytc.jobs.context import JobContext
from napari_pytc.learning.arithmetic import Arithmetic, autocast_for, choose_precision
from napari_pytc.learning.checkpoints import TrainingState
from napari_pytc.learning.config import TrainPlan
from napari_pytc.learning.data import TrainingData, TrainingImage
from napari_pytc.learning.devices import choose_device
from napari_pytc.learning.features_ahead import with_features
from napari_pytc.learning.inference import Inferer
from napari_pytc.learning.ladder import Rung, make_rungs
from napari_pytc.learning.live.batches import BatchesAhead, Doorkeeper
from napari_pytc.learning.memory import is_out_of_memory, release_memory
from napari_pytc.learning.model import TrainedModel
from napari_pytc.learning.module import SegmentationModule
from napari_pytc.learning.networks.filter_bank import FilterBank
from napari_pytc.learning.networks.limits import measure_limits
from napari_pytc.learning.pseudo_labels import PseudoLabels
from napari_pytc.learning.sampling import Batch, BatchSource, PatchBatches
from napari_pytc.learning.voxel_features import annotated_features
from napari_pytc.learning.weights import load_matching

_WARM_UP_STEPS = 20
_SMALLEST_PATCH = (16, 32, 32)

Weights = dict[str, Tensor]


class NetworkBehind:
    """A network in training whose material changes under it.

    The learning rate stays where the warm-up brought it, since nobody knows when the end comes; the moving average of
    the weights takes the part of a decay. What is shown and scored are copies of that average.

    Parameters
    ----------
    plan : TrainPlan
        The recipe; its steps, minutes and patience do not matter here.
    data : TrainingData
        What the volume is; its annotations are replaced by `teach`.
    image : TrainingImage
        Normalised, blank in held-out boxes.
    visible : TrainingImage
        The same with nothing blank, to predict from.
    """

    def __init__(
        self, plan: TrainPlan, data: TrainingData, image: TrainingImage, visible: TrainingImage, ctx: JobContext
    ) -> None:
        self.plan, self._data, self._image, self._visible, self._ctx = plan, data, image, visible, ctx
        torch.manual_seed(plan.seed)
        self.network = plan.network.build(len(data.classes), data.space)
        self.limits = measure_limits(self.network)
        self.step = 0
        self.loss = float("nan")
        self._generator = np.random.default_rng(plan.seed)
        self._rungs = self._make_rungs()
        self._arithmetic = Arithmetic()
        self._module: SegmentationModule | None = None
        self._optimiser: torch.optim.Optimizer | None = None
        self._scaler: torch.amp.GradScaler | None = None
        self._judge: Inferer | None = None
        self._judged: Weights | None = None
        self._guesses: PseudoLabels | None = None
        self._source: BatchSource | None = None
        self._is_stale = True
        self._door = Doorkeeper()
        self._batches: BatchesAhead | None = None
        self._saved: TrainingState | None = None

    def share(self) -> float:
        """No end is known, so the training is always at its beginning."""
        return 0.0

    @property
    def arithmetic(self) -> str:
        """How it computes, for people."""
        return str(self._arithmetic)

    def begin_as(self, weights: Weights) -> None:
        """Begin with what fits of a parent's weights."""
        report = load_matching(self.network, weights)
        if report.reinitialised:
            self._ctx.warn(f"Not all of the parent fits: {report}")

    def begin_like(self, bank_weights: Weights, features: Tensor) -> None:
        """Begin with the instant model's weights, or at least with the scale of its features."""
        bank = getattr(self.network, "bank", None)
        shapes = {name: tensor.shape for name, tensor in bank_weights.items()}
        if bank is not None and {name: tensor.shape for name, tensor in bank.state_dict().items()} == shapes:
            bank.load_state_dict(bank_weights)
        elif hasattr(self.network, "fit_normalisation"):
            if bank is not None and features.shape[1] != bank.n_features:  # other filters than the instant model's
                features, _ = annotated_features(
                    self.network, self.plan, self._data, self._image, self.limits, self._ctx
                )
            self.network.fit_normalisation(features)  # type: ignore[operator]

    def go_on_from(self, state: TrainingState) -> None:
        """Take over a checkpoint before the first step."""
        try:
            self.network.load_state_dict(state.network)
        except RuntimeError as error:
            raise ModelError("The checkpoint does not fit the network.", "Live learning begins anew.") from error
        self.step, self._saved = state.step, state

    def state(self, fingerprint: str, seconds: float, **others: object) -> TrainingState | None:
        """A checkpoint; None before the first step."""
        if self._module is None or self._optimiser is None:
            return self._saved
        return TrainingState.capture(
            self.network,
            self._optimiser,
            self._generator,
            fingerprint=fingerprint,
            step=self.step,
            seconds=seconds,
            average=dict(self._module.average.state_dict()),
            **others,
        )

    def teach(self, data: TrainingData, teacher: TrainedModel | None) -> None:
        """Learn from other strokes from the next step on.

        Parameters
        ----------
        teacher : TrainedModel, optional
            Its guesses replace those of the teacher before; without it, those go on.
        """
        self._data = data
        if teacher is not None and self.plan.guess_weight:
            self._guesses = PseudoLabels(teacher, self._image, self.plan.guess_confidence, between=self._door.wait)
        self._is_stale = True  # the thread that makes batches goes on meanwhile: to wait for it would cost a second

    def rest(self) -> None:
        """End the thread that makes batches; the next step starts it again."""
        if self._batches is not None:
            self._batches.close()
            self._batches = None

    def hold(self) -> None:
        """Have the thread that makes batches wait: somebody waits for the processor."""
        self._door.hold()

    def is_ready(self) -> bool:
        """Whether a step can begin without waiting for its batch, which is made meanwhile."""
        self._door.release()
        return self._following().is_ready

    def train_step(self) -> None:
        """One step, on the next lower rung where memory does not suffice.

        Raises
        ------
        OutOfMemory, ModelError
            If not even the smallest patch on the CPU fits, or the loss is no finite number any more.
        """
        while True:
            try:
                self._step()
                return
            except (RuntimeError, MemoryError) as error:
                if not is_out_of_memory(error) or len(self._rungs) == 1:
                    raise
            self._step_down()

    def average(self) -> Weights:
        """A copy of the averaged weights."""
        source = self.network if self._module is None else self._module.average.module
        return {name: tensor.detach().cpu().clone() for name, tensor in source.state_dict().items()}

    def perceptron(self) -> FilterBank | None:
        """A copy of the filter bank within the averaged network, on the CPU; None where there is none."""
        bank = getattr(self.network, "bank", None)
        if not isinstance(bank, FilterBank):
            return None
        copied = copy.deepcopy(bank).cpu().eval()
        prefix = "bank."
        learnt = {name.removeprefix(prefix): t for name, t in self.average().items() if name.startswith(prefix)}
        copied.load_state_dict(learnt)
        return copied

    def predict(self, weights: Weights, box: Box) -> Tensor:
        """Probabilities (k, *box.shape) of a box by weights that `average` gave."""
        judge, image = self._judging(weights), self._visible
        read = box.grow(judge.limits.halo).aligned(judge.limits.alignment).intersect(image.whole)
        return judge(image.read(read), box.relative_to(read.start))

    def _judging(self, weights: Weights) -> Inferer:
        if self._judge is None:
            device = torch.device(self._rungs[0].device)
            arithmetic = self._measured(training=False)
            network = arithmetic.place_network(copy.deepcopy(self.network).to(device)).eval()
            self._judge, self._judged = Inferer(network, self.limits, device, arithmetic, warn=self._ctx.warn), None
        if self._judged is not weights:
            self._judge.network.load_state_dict(weights)
            self._judged = weights
        return self._judge

    def _step(self) -> None:
        module, optimiser, scaler = self._start()
        batch = self._following().take()
        device = torch.device(self._rungs[0].device)
        for group in optimiser.param_groups:
            group["lr"] = self.plan.learning_rate * min(1.0, (self.step + 1) / _WARM_UP_STEPS)
        self.network.train()
        with torch.enable_grad():
            with autocast_for(device, self._arithmetic):
                loss: Tensor = module.training_step(batch.to(device))
            optimiser.zero_grad(set_to_none=True)
            scaler.scale(loss).backward()
        module.on_before_optimizer_step(optimiser)
        scaler.step(optimiser)
        scaler.update()
        module.move_average()
        self.step += 1
        if self.step % 10 == 0 or self.step == 1:
            self.loss = float(loss.detach())
            if not np.isfinite(self.loss):
                raise ModelError("The network's loss is no finite number any more.", "Lower its learning_rate.")
            self._ctx.metric("network/loss", self.step, self.loss)

    def _following(self) -> BatchesAhead:
        if self._is_stale:
            rung = self._rungs[0]
            batches = PatchBatches(self._data, self._image, self.plan, rung.batch_size, rung.shape, self._guesses)
            self._source = with_features(batches, self.network, rung.device, self._door.wait)
            self._is_stale = False
        if self._batches is None:
            self._batches = BatchesAhead(self._make, self.step, self._door)
        return self._batches

    def _make(self, step: int) -> Batch:
        """The batch of a step of the strokes there are; called in the thread that makes batches."""
        assert self._source is not None
        return self._source.batch(step)

    def _start(self) -> tuple[SegmentationModule, torch.optim.Optimizer, torch.amp.GradScaler]:
        if self._module is None or self._optimiser is None or self._scaler is None:
            device = torch.device(self._rungs[0].device)
            self._arithmetic = self._measured(training=True)
            self._arithmetic.place_network(self.network.to(device))
            module = SegmentationModule(self.network, self.plan, self, self._arithmetic.channels_last)
            module.to(device)
            if self._saved is not None:
                module.optimiser_state = self._saved.optimiser
                if self._saved.average is not None:
                    module.average.load_state_dict(self._saved.average)
            scaler = torch.amp.GradScaler(device.type, enabled=self._arithmetic.precision == "fp16")
            optimiser = module.configure_optimizers()
            self._module, self._optimiser, self._scaler = module, optimiser, scaler
        return self._module, self._optimiser, self._scaler

    def _step_down(self) -> None:
        """Take the next rung; what was learnt goes along."""
        before = self._rungs.pop(0)
        self.rest()
        self._is_stale = True
        release_memory(before.device)
        self._ctx.warn(f"Out of memory with {before}; trying {self._rungs[0]}.")
        if self._rungs[0].device != before.device:
            self._saved = self.state("", 0.0)
            self.network.cpu()
            self._module = self._optimiser = self._judge = None

    def _make_rungs(self) -> list[Rung]:
        shape = self.plan.patch_shape or self.plan.network.patch_shape(self._data.space)
        z, y, x = (-(-n // a) * a for n, a in zip(shape, self.limits.alignment, strict=True))
        return make_rungs(
            self.plan.batch_size,
            (z, y, x),
            str(choose_device(self.plan.device)),
            multiple=self.limits.alignment,
            smallest=_SMALLEST_PATCH,
        )

    def _measured(self, training: bool) -> Arithmetic:
        plan, rung = self.plan, self._rungs[0]
        return choose_precision(
            torch.device(rung.device),
            lambda: plan.network.build(len(self._data.classes), self._data.space),
            (rung.batch_size, 1, *rung.shape),
            training=training,
            wanted=plan.precision,
            network_key=f"{plan.network} {self._data.space.anisotropy:.2g} {type(self.network).__name__}",
        )
