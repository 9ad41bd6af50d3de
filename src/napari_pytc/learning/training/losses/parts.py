"""The parts that the loss of a training is made of, for those who record it."""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor, nn


class TrainingLoss(nn.Module):
    """Base of the losses of trainings, modules of logits and labels, which remember their parts of a step.

    Parts are values before they are weighted. Of several calls in a step, as for levels of a network or batches whose
    gradients are accumulated, the first counts: it is the finest level's.
    """

    def __init__(self) -> None:
        super().__init__()
        self._noted: dict[tuple[str, ...], tuple[Tensor, Tensor | None]] = {}

    def note(self, names: Sequence[str], values: Tensor, known: Tensor | None = None) -> None:
        """Remember parts until they are taken; nothing waits for the device.

        Parameters
        ----------
        names : sequence of str
            Of each value; values of the same name are averaged.
        values : Tensor
            (n,), or a scalar for a single name.
        known : Tensor, optional
            (n,), 0 where a value means nothing.
        """
        if tuple(names) not in self._noted:
            self._noted[tuple(names)] = (values.detach(), None if known is None else known.detach())

    def take_parts(self) -> dict[str, float]:
        """The parts of the step that is over, of this loss and those it is made of, by name; they are forgotten."""
        found: dict[str, list[float]] = {}
        noted = {names: part for loss in self._losses_within() for names, part in loss._noted.items()}
        for names, (values, known) in noted.items():
            counts = [1.0] * len(names) if known is None else known.reshape(-1).tolist()
            for name, value, count in zip(names, values.float().reshape(-1).tolist(), counts, strict=True):
                if count:
                    found.setdefault(name, []).append(value)
        self.forget_parts()
        return {name: sum(values) / len(values) for name, values in found.items()}

    def forget_parts(self) -> None:
        """Forget the parts of the step that is over."""
        for loss in self._losses_within():
            loss._noted = {}

    def _losses_within(self) -> list[TrainingLoss]:
        return [module for module in self.modules() if isinstance(module, TrainingLoss)]


def told_apart(names: Sequence[str]) -> list[str]:
    """Names of which later ones that are the same get a number."""
    return [f"{name} {names[:n].count(name) + 1}" if name in names[:n] else name for n, name in enumerate(names)]
