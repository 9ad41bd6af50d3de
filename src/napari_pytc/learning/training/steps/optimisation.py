"""Optimiser, learning rate, gradients and averaged weights, the same for networks and the filter bank's perceptron."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import torch
from torch import Tensor, nn
from torch.optim.lr_scheduler import ReduceLROnPlateau
from torch.optim.swa_utils import AveragedModel

from napari_pytc.errors import ModelError
from napari_pytc.plans.loop import Gradients
from napari_pytc.plans.optimisation import AdamOptimiser, AdamWOptimiser, PlateauSchedule, SGDOptimiser
from napari_pytc.plans.plan import TrainPlan


def make_optimiser(
    module: nn.Module,
    plan: TrainPlan,
    state: dict[str, Any] | None = None,
    backbone: nn.Module | None = None,
    others: Iterable[nn.Parameter] = (),
) -> torch.optim.Optimizer:
    """The optimiser of a plan on the parameters that learn.

    Parameters
    ----------
    state : dict, optional
        Its ``state_dict()`` where the training resumes.
    backbone : Module, optional
        The part of the network that has a rate of its own.
    others : iterable of Parameter
        Learnt beside the network, without weight decay.

    Raises
    ------
    ModelError
        If the backbone is to have a rate of its own and there is none.
    """
    groups = _groups(module, plan, backbone)
    extra = list(others)
    if extra:
        groups.append({"params": extra, "weight_decay": 0.0})
    first = groups[0]["params"][0]
    settings = plan.optimiser
    common: dict[str, Any] = {
        "lr": plan.learning_rate,
        "weight_decay": plan.weight_decay,
        "fused": first.device.type == "cpu",  # a fifth of the time; on a GPU the loss scaler decides
    }
    optimiser: torch.optim.Optimizer
    if isinstance(settings, SGDOptimiser):
        optimiser = torch.optim.SGD(groups, momentum=settings.momentum, nesterov=settings.nesterov, **common)
    elif isinstance(settings, AdamOptimiser | AdamWOptimiser):
        kind = torch.optim.AdamW if isinstance(settings, AdamWOptimiser) else torch.optim.Adam
        optimiser = kind(groups, betas=settings.betas, amsgrad=settings.amsgrad, **common)
    else:
        raise ModelError(f"No optimiser is known for {settings.kind!r}.", "Choose adamw, adam or sgd.")
    if state is not None:
        load_optimiser_state(optimiser, state)
    return optimiser


def load_optimiser_state(optimiser: torch.optim.Optimizer, state: dict[str, Any]) -> None:
    """Load moments, in the memory format of their weights.

    A fused optimiser takes both as they lie in memory: moments as a file gives them would be those of other weights
    where channels come last.
    """
    optimiser.load_state_dict(state)
    for weights, moments in optimiser.state.items():
        for name, moment in moments.items():
            if isinstance(moment, Tensor) and moment.shape == weights.shape and moment.stride() != weights.stride():
                moments[name] = torch.empty_like(weights, dtype=moment.dtype).copy_(moment)


def check_backbone(plan: TrainPlan, backbone: nn.Module | None) -> None:
    """Refuse a rate of the backbone for a network without one.

    Raises
    ------
    ModelError
        If there is no encoder whose weights learn.
    """
    factor = plan.optimiser.backbone_factor
    if factor != 1 and (backbone is None or not any(p.requires_grad for p in backbone.parameters())):
        raise ModelError(
            f"optimiser.backbone_factor={factor:g} is for networks with an encoder of its own, which "
            f"{plan.network.kind!r} does not have.",
            "Set optimiser.backbone_factor=1, or choose another network.",
        )


def _groups(module: nn.Module, plan: TrainPlan, backbone: nn.Module | None) -> list[dict[str, Any]]:
    """Parameters that learn, in groups of one rate and one decay; a single group where all are alike."""
    learning = [parameter for parameter in module.parameters() if parameter.requires_grad]
    settings = plan.optimiser
    check_backbone(plan, backbone)
    slow: set[int] = set()
    if settings.backbone_factor != 1 and backbone is not None:
        slow = {id(parameter) for parameter in backbone.parameters()}
    found: dict[tuple[bool, bool], list[nn.Parameter]] = {}
    for parameter in learning:
        has_decay = settings.decays_norms or parameter.ndim > 1
        found.setdefault((id(parameter) in slow, has_decay), []).append(parameter)
    return [
        {
            "params": parameters,
            **({"rate_factor": settings.backbone_factor} if is_slow else {}),
            **({} if has_decay else {"weight_decay": 0.0}),
        }
        for (is_slow, has_decay), parameters in found.items()
    ]


class LearningRate:
    """The learning rate of a plan, step by step.

    Its formulas are those of torch's schedulers (a test compares them); these count epochs only, while ours follow the
    share of a training that minutes may end. The plateau is torch's own.

    Parameters
    ----------
    highest : float, optional
        Instead of the plan's rate.
    """

    def __init__(self, plan: TrainPlan, highest: float | None = None) -> None:
        self.highest = plan.learning_rate if highest is None else highest
        self._schedule, self._averaging = plan.schedule, plan.averaging
        self._plateau: ReduceLROnPlateau | None = None
        if isinstance(self._schedule, PlateauSchedule):
            self._plateau = ReduceLROnPlateau(
                torch.optim.SGD([nn.Parameter(torch.zeros(1))], lr=1.0),
                mode="min" if plan.watching.score == "loss" else "max",
                factor=self._schedule.factor_each,
                patience=self._schedule.patience,
                threshold=plan.watching.min_change,
                threshold_mode="abs",
                min_lr=self._schedule.floor,
            )

    def at(self, step: int, share: float) -> float:
        """The rate of a step.

        Parameters
        ----------
        share : float
            Share of the training that is over, from 0 to 1.
        """
        averaging = self._averaging
        if averaging.swa_rate is not None and averaging.swa_start is not None and share >= averaging.swa_start:
            return averaging.swa_rate
        rate = self.highest * self._schedule.factor(step, share)
        return rate if self._plateau is None else rate * self._plateau.optimizer.param_groups[0]["lr"]

    def set(self, optimiser: torch.optim.Optimizer, step: int, share: float) -> None:
        """Set the rate of a step in all groups, each with its factor."""
        rate = self.at(step, share)
        for group in optimiser.param_groups:
            group["lr"] = rate * group.get("rate_factor", 1.0)

    def observe(self, score: float) -> None:
        """Take a watched score, by which a plateau lowers the rate."""
        if self._plateau is not None:
            self._plateau.step(score)

    def state(self) -> dict[str, Any]:
        """What `restore` needs, as JSON values; empty where the schedule has no memory."""
        if self._plateau is None:
            return {}
        return {
            "best": self._plateau.best,
            "num_bad_epochs": self._plateau.num_bad_epochs,
            "last_epoch": self._plateau.last_epoch,
            "factor": self._plateau.optimizer.param_groups[0]["lr"],
        }

    def restore(self, state: dict[str, Any]) -> None:
        """Go on as where `state` was taken."""
        if self._plateau is None or not state:
            return
        self._plateau.load_state_dict({name: state[name] for name in ("best", "num_bad_epochs", "last_epoch")})
        self._plateau.optimizer.param_groups[0]["lr"] = state["factor"]


def is_reported(step: int) -> bool:
    """Whether loss and norm of a step, counted from 1, go into the curves; reading them waits for the device."""
    return step == 1 or step % 10 == 0


def prepare_gradients(optimiser: torch.optim.Optimizer, gradients: Gradients, wants_norm: bool) -> Tensor | None:
    """Leave out gradients that are no numbers, as a loss scaler does on a GPU, and clip the rest.

    Processors' low-precision convolutions return such once in some thousand steps; weights would never recover.

    Returns
    -------
    Tensor or None
        The common norm of all gradients before they are clipped; None where it was not computed or none are left.
    """
    weights = [p for group in optimiser.param_groups for p in group["params"] if p.grad is not None]
    if not weights:
        return None
    is_on_cpu = weights[0].device.type == "cpu"
    if not (is_on_cpu or wants_norm or gradients.clip is not None):
        return None
    sizes = torch.stack(list(torch._foreach_norm([p.grad for p in weights])))
    if is_on_cpu and not sizes.isfinite().all():
        optimiser.zero_grad(set_to_none=True)
        return None
    norm = torch.linalg.vector_norm(sizes)
    if gradients.clip is not None and gradients.clip_by == "norm":
        nn.utils.clip_grads_with_norm_(weights, gradients.clip, norm)
    elif gradients.clip is not None:
        nn.utils.clip_grad_value_(weights, gradients.clip)
    return norm


class WeightAverage(AveragedModel):
    """A copy of a network with averaged weights: an exponential moving average, at the end perhaps a plain mean.

    The moving average forgets the random start: its decay grows with the steps.

    Parameters
    ----------
    decay : float
        Of the moving average.
    swa_start : float, optional
        Share of the training from which the plain mean of the weights takes its place.
    """

    n_plain: Tensor

    def __init__(self, network: nn.Module, decay: float, swa_start: float | None = None) -> None:
        super().__init__(network, multi_avg_fn=self._average, use_buffers=True)
        self._decay, self._swa_start = decay, swa_start
        if swa_start is not None:
            self.register_buffer("n_plain", torch.tensor(0))

    def advance(self, network: nn.Module, share: float) -> None:
        """Take in the weights of the step that is over.

        Parameters
        ----------
        share : float
            Share of the training that is over.
        """
        if self._is_plain or (self._swa_start is not None and share >= self._swa_start):
            if not self._is_plain:
                self.n_averaged.zero_()  # the first weights are copied
            self.n_plain += 1
        self.update_parameters(network)

    @property
    def _is_plain(self) -> bool:
        return self._swa_start is not None and bool(self.n_plain)

    @torch.no_grad()
    def _average(
        self,
        averaged: list[Tensor] | tuple[Tensor, ...],
        current: list[Tensor] | tuple[Tensor, ...],
        n_averaged: Tensor | int,
    ) -> None:
        n = float(n_averaged)
        weight = 1 / (n + 1) if self._is_plain else 1 - min(self._decay, (1 + n) / (10 + n))
        if averaged[0].is_floating_point():
            torch._foreach_lerp_(averaged, current, weight)
        else:
            for a, c in zip(averaged, current, strict=True):
                a.copy_(c)
