"""The end of a training whose loss is no number, with the batch kept to look at."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Protocol

import numpy as np
import torch
from torch import Tensor

from napari_pytc.errors import ModelError
from napari_pytc.learning.data.sampling import Batch
from napari_pytc.learning.training.steps.optimisation import is_reported


class StepCounter(Protocol):
    """Number of the steps so far."""

    step: int


class LossGuard:
    """Ends a training at a loss that is no finite number.

    On a CPU the loss of every step is looked at, and computed once more before it counts: low-precision convolutions
    return a wrong number once in some thousand steps. On other devices looking at it waits for the device, so that it
    happens every tenth step and in `check`; the batch of the first such loss since then is made again.

    Parameters
    ----------
    folder : Path
        Where the batch is written.
    batch_of : callable, optional
        Makes the batch of a number, counted from 0.
    n_each : int
        Batches of a step.
    waits : bool, optional
        Whether looking at a loss waits for the device; by default everywhere but on a CPU.
    """

    def __init__(
        self,
        folder: Path,
        counter: StepCounter,
        batch_of: Callable[[int], Batch] | None = None,
        n_each: int = 1,
        waits: bool | None = None,
    ) -> None:
        self._waits = waits
        self._last: tuple[Tensor, Batch] | None = None
        self._folder, self._counter, self._batch_of, self._n_each = folder, counter, batch_of, n_each
        self._step, self._n_before = -1, 0
        self._first_bad: Tensor | None = None
        """Number of the first batch with such a loss since one was looked at, on the device; -1 for none."""

    def checked(self, loss: Tensor, batch: Batch, repeat: Callable[[], Tensor] | None = None) -> Tensor:
        """The loss of a batch.

        Parameters
        ----------
        repeat : callable, optional
            Computes it again.

        Raises
        ------
        ModelError
            If it is no finite number; the message names the step and the file with the batch.
        """
        step = self._counter.step
        self._n_before = self._n_before + 1 if step == self._step else 0
        self._step = step
        if not (loss.device.type != "cpu" if self._waits is None else self._waits):
            if not torch.isfinite(loss) and repeat is not None:
                loss = repeat()
            if not torch.isfinite(loss):
                raise self._failure(loss, step, batch)
            return loss
        self._watch(loss.detach(), step, batch)
        return loss

    def _watch(self, loss: Tensor, step: int, batch: Batch) -> None:
        number = step * self._n_each + self._n_before
        if self._first_bad is None:
            self._first_bad = torch.full((), -1, device=loss.device)
        is_first = ~torch.isfinite(loss) & (self._first_bad < 0)
        self._first_bad = torch.where(is_first, number, self._first_bad)
        self._last = loss, batch
        if is_reported(step + 1):
            self.check()

    def check(self) -> None:
        """Look at the last loss, where it was only watched; to be called before the weights are taken for good.

        Raises
        ------
        ModelError
            As `checked`.
        """
        if self._last is None or self._first_bad is None:
            return
        (loss, batch), self._last = self._last, None
        first, self._first_bad = int(self._first_bad), None
        if torch.isfinite(loss):  # what a loss scaler has left out meanwhile
            return
        bad = batch if self._batch_of is None else self._batch_of(first)
        raise self._failure(loss, first // self._n_each, bad)

    def _failure(self, loss: Tensor, step: int, batch: Batch) -> ModelError:
        path = self._folder / f"bad-batch-step-{step + 1:06}.npz"
        arrays = {"image": batch.image, "labels": batch.labels, "loss": loss.detach()}
        if batch.features is not None:
            arrays["features"] = batch.features
        found = {
            name: values.float().cpu().numpy() if values.is_floating_point() else values.cpu().numpy()
            for name, values in arrays.items()
        }
        self._folder.mkdir(parents=True, exist_ok=True)
        np.savez_compressed(path, **found)  # type: ignore[arg-type]
        is_of_image = not np.isfinite(found["image"]).all()
        hint = (
            "Its image has values that are no numbers: look for them in the volume."
            if is_of_image
            else "Train again with a lower learning_rate, or with gradients.clip=1."
        )
        return ModelError(
            f"The loss of step {step + 1} is no finite number ({float(loss.detach()):g}); its batch is kept in {path} "
            "(numpy.load: image, labels, loss).",
            hint,
        )
