"""What makes a test slow, counted: Python processes that it starts, and steps of optimisers."""

from __future__ import annotations

import sys
from dataclasses import dataclass
from typing import Any

MOST_STEPS = 25
"""A training of more steps than this belongs into a slow test."""


@dataclass
class SlowWork:
    """Counts since the start of the test run."""

    n_processes: int = 0
    n_steps: int = 0
    _is_hooked: bool = False

    def start(self) -> None:
        """Count processes from now on; steps from the first call at which torch is imported."""
        sys.addaudithook(self._on_audit)

    def hook_optimisers(self) -> None:
        """Count steps of all optimisers, where torch is imported already."""
        if not self._is_hooked and "torch" in sys.modules:
            from torch.optim.optimizer import register_optimizer_step_post_hook

            register_optimizer_step_post_hook(self._on_step)
            self._is_hooked = True

    def since(self, before: tuple[int, int]) -> str:
        """What happened since `now` gave `before` that only a slow test may do; empty if nothing."""
        n_processes, n_steps = self.n_processes - before[0], self.n_steps - before[1]
        if n_processes:
            return f"it started {n_processes} processes"
        return f"it trained for {n_steps} steps" if n_steps > MOST_STEPS else ""

    def now(self) -> tuple[int, int]:
        """Both counts."""
        return self.n_processes, self.n_steps

    def _on_audit(self, event: str, arguments: tuple[Any, ...]) -> None:
        if event == "subprocess.Popen" and "python" in str(arguments[0]):
            self.n_processes += 1

    def _on_step(self, *_: object) -> None:
        self.n_steps += 1
