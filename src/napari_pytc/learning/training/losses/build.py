"""The losses of terms, built and checked: also those of other packages."""

from __future__ import annotations

import inspect
from collections.abc import Sequence

from torch import Tensor, nn

from napari_pytc.errors import InvalidInput
from napari_pytc.plans.losses import AssignedLoss


class CheckedLoss(nn.Module):
    """A loss whose value is one number; anything else would be summed without a word."""

    def __init__(self, loss: nn.Module, kind: str) -> None:
        super().__init__()
        self.loss, self._kind = loss, kind

    def forward(self, logits: Tensor, target: Tensor, mask: Tensor) -> Tensor:
        """See `Loss`."""
        found = self.loss(logits, target, mask)
        if not isinstance(found, Tensor) or found.ndim:
            got = f"a tensor of the shape {tuple(found.shape)}" if isinstance(found, Tensor) else type(found).__name__
            raise InvalidInput(
                f"The loss {self._kind!r} is to return one number, got {got}.",
                "Return the mean over the voxels that count.",
            )
        return found


def build_losses(assigned: Sequence[AssignedLoss]) -> nn.ModuleList:
    """The loss of each term.

    Raises
    ------
    InvalidInput
        If the function of a loss does not make a module of logits, target and mask.
    """
    return nn.ModuleList(_build(one) for one in assigned)


def _build(one: AssignedLoss) -> nn.Module:
    settings = one.term.loss
    loss = settings.build(one.activation, one.kept)
    if settings.builds.startswith("napari_pytc."):
        return loss
    hint = "See `A loss of your own` in the documentation."
    if not isinstance(loss, nn.Module):
        raise InvalidInput(
            f"The function {settings.builds!r} of the loss {settings.kind!r} is to return a torch.nn.Module, got "
            f"{type(loss).__name__}.",
            hint,
        )
    signature = inspect.signature(loss.forward)
    try:
        signature.bind(None, None, None)
    except TypeError:
        raise InvalidInput(
            f"The loss {settings.kind!r} is called with logits, target and mask, but takes {signature}.", hint
        ) from None
    return CheckedLoss(loss, settings.kind)
