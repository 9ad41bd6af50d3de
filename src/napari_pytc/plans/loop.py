"""Settings of the training loop: gradients, averaged weights, the score that decides, and how steps are computed."""

from __future__ import annotations

from typing import Literal

from napari_pytc.settings import Settings, setting


class Gradients(Settings):
    """What becomes of the gradients before a step."""

    clip: float | None = setting(None, "Clip", "Largest norm, or largest value, of the gradients of a step.", gt=0)
    clip_by: Literal["norm", "value"] = setting(
        "norm", "Clip by", "norm: scale all gradients so that their common norm fits; value: cut each by itself."
    )
    accumulate: int = setting(
        1,
        "Accumulate",
        "Batches of which the gradients are averaged for one step: as a batch so many times as large.",
        ge=1,
    )


class Averaging(Settings):
    """Stochastic weight averaging (Izmailov et al. 2018) at the end, in place of the moving average."""

    swa_start: float | None = setting(
        None,
        "Plain mean from",
        "Share of the training from which the averaged weights are the plain mean of those of all steps; by default "
        "the moving average goes on to the end.",
        gt=0,
        lt=1,
    )
    swa_rate: float | None = setting(
        None,
        "Rate meanwhile",
        "Constant learning rate during the plain mean; by default the schedule's.",
        gt=0,
    )

    def slowed(self, divisor: float) -> Averaging:
        """The same with a rate divided by a number."""
        return self if self.swa_rate is None else self.model_copy(update={"swa_rate": self.swa_rate / divisor})


class Watching(Settings):
    """The score that decides which weights are the best, and when to stop."""

    score: str = setting(
        "mean",
        "Score",
        "mean: of all classes or channels on the held-out boxes; the name of one of them; or loss: the mean training "
        "loss since the score before, which needs no held-out box.",
        min_length=1,
    )
    min_change: float = setting(0.0, "Least change", "How much better a score must be to count as better.", ge=0)
    keep_best: int = setting(
        0,
        "Keep the best",
        "How many of the best weights are kept in the model's folder `checkpoints`, beside those of the last step.",
        ge=0,
        le=50,
    )


class Execution(Settings):
    """How steps are computed."""

    deterministic: bool = setting(
        False,
        "Deterministic",
        "Only operations that give the same bits every time; on a CPU all do, on a GPU it is slower and some networks "
        "cannot.",
    )
    compile: bool = setting(
        False,
        "Compile",
        "Compile the network by torch.compile: a minute or more at the start, faster steps, most of all on a GPU.",
    )
