"""Activation checkpointing: what a block computes is thrown away and computed again for the gradients.

Chen et al. 2016, "Training deep nets with sublinear memory cost".
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm
from torch.utils.checkpoint import checkpoint


class Recomputed(nn.Module):
    """Mixin of a module that keeps only its inputs for the gradients; its weights keep their names."""

    def forward(self, *inputs: Any) -> Tensor:
        """What the module itself returns."""
        if not (self.training and torch.is_grad_enabled()):
            return super().forward(*inputs)

        def contexts() -> tuple[AbstractContextManager[None], AbstractContextManager[None]]:
            return nullcontext(), _frozen_statistics(self)

        return checkpoint(super().forward, *inputs, use_reentrant=False, context_fn=contexts)


def recompute(modules: Iterable[nn.Module]) -> None:
    """Let each of the modules keep only its inputs; their classes become ones of both, so that they can be copied."""
    for module in modules:
        kind = type(module)
        module.__class__ = type(kind.__name__, (Recomputed, kind), {})


def computed_once(module: Recomputed, *inputs: Any) -> Tensor:
    """What such a module returns, with all that it computes kept."""
    found: Tensor = super(Recomputed, module).forward(*inputs)
    return found


@contextmanager
def _frozen_statistics(module: nn.Module) -> Iterator[None]:
    """Keep batch norms from counting the same batch twice."""
    norms = [norm for norm in module.modules() if isinstance(norm, _BatchNorm)]
    before = [norm.momentum for norm in norms]
    for norm in norms:
        norm.momentum = 0.0
    try:
        yield
    finally:
        for norm, momentum in zip(norms, before, strict=True):
            norm.momentum = momentum
