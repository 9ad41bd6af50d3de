"""Out of memory leads down the ladder, told step by step; any other error leads out."""

from __future__ import annotations

import itertools
import math
import weakref
from collections.abc import Iterator

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from napari_pytc.errors import OutOfMemory
from napari_pytc.geometry import Box, Shape
from napari_pytc.jobs.context import JobCancelled, JobMessage
from napari_pytc.learning.machine.oom_fallback import MemoryPlan, make_memory_plans, run_with_fallback

RUNGS = make_memory_plans(4, (16, 64, 64), "cuda", multiple=(4, 8, 8), smallest=(8, 32, 32))


class Context:
    """Keeps warnings; cancels at a given check."""

    def __init__(self, cancel_at: int | None = None) -> None:
        self.warnings: list[str] = []
        self.n_checks = 0
        self.cancel_at = cancel_at

    def report(self, done: int, total: int, note: str = "") -> None: ...
    def metric(self, name: str, step: int, value: float) -> None: ...
    def artifact(self, kind: str, box: Box) -> None: ...
    def messages(self) -> Iterator[JobMessage]:
        return iter(())

    def warn(self, message: str) -> None:
        self.warnings.append(message)

    def check(self) -> None:
        self.n_checks += 1
        if self.n_checks == self.cancel_at:
            raise JobCancelled


def out_of_memory(plan: MemoryPlan) -> Exception:
    if plan.device == "cuda":
        return torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB.")
    return RuntimeError("[enforce fail] DefaultCPUAllocator: can't allocate memory: you tried to allocate 9 bytes")


def test_the_order_is_batch_then_shape_then_cpu() -> None:
    assert [(r.batch_size, r.shape, r.device) for r in RUNGS] == [
        (4, (16, 64, 64), "cuda"),
        (2, (16, 64, 64), "cuda"),
        (1, (16, 64, 64), "cuda"),
        (1, (16, 32, 64), "cuda"),
        (1, (16, 32, 32), "cuda"),
        (1, (8, 32, 32), "cuda"),
        (1, (16, 64, 64), "cpu"),
        (1, (16, 32, 64), "cpu"),
        (1, (16, 32, 32), "cpu"),
        (1, (8, 32, 32), "cpu"),
    ]


def test_lengths_stay_multiples_and_the_plans_end() -> None:
    for shape in ((5, 100, 90), (1, 7, 7), (48, 48, 48)):
        plans = make_memory_plans(3, shape, "cpu", multiple=(1, 8, 8), smallest=(1, 10, 16))
        assert [r.batch_size for r in plans[:2]] == [3, 1]
        for higher, lower in itertools.pairwise(plans[1:]):
            assert lower.shape < higher.shape or sum(lower.shape) < sum(higher.shape)
            changed = [n for n, before in zip(lower.shape, higher.shape, strict=True) if n != before]
            assert len(changed) == 1
            assert all(n == before or n % m == 0 for n, before, m in zip(lower.shape, shape, (1, 8, 8), strict=True))
        assert {r.device for r in plans} == {"cpu"}


@pytest.mark.slow
@pytest.mark.parametrize("n_failing", range(len(RUNGS)))
def test_the_first_plan_that_is_small_enough_does_the_work(n_failing: int) -> None:
    ctx = Context()
    tried: list[MemoryPlan] = []

    def attempt(plan: MemoryPlan) -> str:
        tried.append(plan)
        if len(tried) <= n_failing:
            raise out_of_memory(plan)
        return f"done with {plan}"

    assert run_with_fallback(RUNGS, attempt, ctx) == f"done with {RUNGS[n_failing]}"
    assert tried == RUNGS[: n_failing + 1]
    assert ctx.warnings == [
        f"Out of memory with {before}; trying {after}." for before, after in itertools.pairwise(RUNGS[: n_failing + 1])
    ]


def test_a_memory_plan_in_words() -> None:
    assert str(RUNGS[0]) == "a batch of 4 x 16x64x64 voxels on cuda"
    assert str(RUNGS[-1]) == "8x32x32 voxels on cpu"


@pytest.mark.slow
def test_beyond_the_last_plan_is_an_error_with_a_hint() -> None:
    ctx = Context()

    def attempt(plan: MemoryPlan) -> None:
        raise out_of_memory(plan)

    with pytest.raises(OutOfMemory, match="8x32x32 voxels on cpu") as caught:
        run_with_fallback(RUNGS, attempt, ctx)
    assert "can't allocate memory" in caught.value.message
    assert caught.value.hint
    assert len(ctx.warnings) == len(RUNGS) - 1


@pytest.mark.parametrize("error", [RuntimeError("size mismatch"), ValueError("x"), JobCancelled()])
def test_other_errors_pass_through_at_once(error: BaseException) -> None:
    ctx = Context()

    def attempt(plan: MemoryPlan) -> None:
        raise error

    with pytest.raises(type(error)) as caught:
        run_with_fallback(RUNGS, attempt, ctx)
    assert caught.value is error
    assert ctx.warnings == []


@pytest.mark.slow
def test_the_failed_attempts_tensors_are_gone_before_the_next() -> None:
    alive: list[weakref.ref[torch.Tensor]] = []

    def attempt(plan: MemoryPlan) -> bool:
        assert all(ref() is None for ref in alive)
        tensor = torch.zeros(10)
        alive.append(weakref.ref(tensor))
        if len(alive) < 3:
            raise out_of_memory(plan)
        return True

    assert run_with_fallback(RUNGS, attempt, Context())


def test_a_cancelled_job_does_not_step_down() -> None:
    tried: list[MemoryPlan] = []

    def attempt(plan: MemoryPlan) -> None:
        tried.append(plan)
        raise out_of_memory(plan)

    with pytest.raises(JobCancelled):
        run_with_fallback(RUNGS, attempt, Context(cancel_at=2))
    assert tried == RUNGS[:1]


@given(
    batch_size=st.integers(1, 9),
    blocks=st.tuples(st.integers(1, 6), st.integers(1, 9), st.integers(1, 9)),
    multiple=st.sampled_from([(1, 1, 1), (1, 8, 8), (4, 16, 16)]),
    smallest=st.sampled_from([(1, 1, 1), (8, 32, 32)]),
    device=st.sampled_from(["cpu", "cuda", "cuda:1", "mps"]),
)
def test_every_plan_needs_less_than_the_one_before_and_the_network_takes_it(
    batch_size: int, blocks: Shape, multiple: Shape, smallest: Shape, device: str
) -> None:
    shape = (blocks[0] * multiple[0], blocks[1] * multiple[1], blocks[2] * multiple[2])
    plans = make_memory_plans(batch_size, shape, device, multiple=multiple, smallest=smallest)
    assert plans[0] == MemoryPlan(batch_size, shape, device)
    assert len(set(plans)) == len(plans)
    for one, next_one in itertools.pairwise(plans):
        n, n_next = (plan.batch_size * math.prod(plan.shape) for plan in (one, next_one))
        assert n_next < n or (next_one.device == "cpu" != one.device)
    for plan in plans:
        assert all(length % m == 0 for length, m in zip(plan.shape, multiple, strict=True))
        assert all(
            length >= min(least, asked) for length, least, asked in zip(plan.shape, smallest, shape, strict=True)
        )
    assert [plan.shape for plan in plans if plan.device == "cpu" and plan.batch_size == 1] == [
        plan.shape for plan in plans if plan.device == device and plan.batch_size == 1
    ]  # the processor, which comes last, is asked for no less than the accelerator was
