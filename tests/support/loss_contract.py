"""What every loss must do; tests subclass and say how it is called and what it ignores."""

from __future__ import annotations

import torch
from torch import Tensor


class LossContract:
    """Subclasses give an example of logits, what the loss ignores, and how it is called."""

    n_channels = 3
    shape = (2, 3, 2, 5, 5)

    def loss(self, logits: Tensor) -> Tensor:
        """The loss of logits (b, c, z, y, x) of the example."""
        raise NotImplementedError

    def ignored(self) -> Tensor:
        """Which logits must not matter, bool, broadcast over them; at least one, and not all."""
        raise NotImplementedError

    def without_labels(self, logits: Tensor) -> Tensor:
        """The loss of logits where nothing at all is known."""
        raise NotImplementedError

    def best(self) -> Tensor:
        """Logits that cost as little as any."""
        raise NotImplementedError

    def logits(self, seed: int = 0) -> Tensor:
        return torch.randn(self.shape, generator=torch.Generator().manual_seed(seed)).requires_grad_()

    def test_it_is_one_finite_number_that_is_not_negative(self):
        for seed in range(3):
            value = self.loss(self.logits(seed))
            assert value.shape == ()
            assert torch.isfinite(value)
            assert float(value.detach()) >= -1e-6

    def test_no_gradient_reaches_what_is_ignored_and_some_reaches_the_rest(self):
        logits = self.logits()
        self.loss(logits).backward()
        ignored = self.ignored().expand(logits.shape)
        assert ignored.any()
        assert not ignored.all()
        assert logits.grad is not None
        assert logits.grad[ignored].abs().max() == 0
        assert logits.grad[~ignored].abs().sum() > 0
        assert torch.isfinite(logits.grad).all()

    def test_what_is_ignored_changes_nothing(self):
        logits = self.logits().detach()
        for value in (50.0, -50.0, 0.0):
            other = torch.where(self.ignored(), value, logits)
            torch.testing.assert_close(self.loss(other), self.loss(logits))

    def test_the_same_logits_cost_the_same(self):
        assert torch.equal(self.loss(self.logits()), self.loss(self.logits()))

    def test_where_nothing_is_known_there_is_no_loss_but_a_graph(self):
        logits = self.logits()
        value = self.without_labels(logits)
        value.backward()
        assert value == 0
        assert logits.grad is not None
        assert not logits.grad.any()

    def test_it_is_summed_in_float32(self):
        value = self.loss(self.logits().detach().bfloat16())
        assert value.dtype == torch.float32
        torch.testing.assert_close(value, self.loss(self.logits().detach()), rtol=0.05, atol=0.02)

    def test_the_best_answer_costs_least_and_every_step_downhill_gains(self):
        best = float(self.loss(self.best()).detach())
        logits = self.logits()
        optimiser = torch.optim.SGD([logits], lr=1.0)
        before = float(self.loss(logits).detach())
        assert best <= before + 1e-6
        for _ in range(5):
            optimiser.zero_grad()
            self.loss(logits).backward()
            optimiser.step()
        assert best - 1e-6 <= float(self.loss(logits).detach()) < before

    def test_logits_of_any_size_keep_it_finite(self):
        for scale in (1e3, 1e4):
            logits = (self.logits().detach() * scale).requires_grad_()
            value = self.loss(logits)
            value.backward()
            assert torch.isfinite(value)
            assert logits.grad is not None
            assert torch.isfinite(logits.grad).all()
