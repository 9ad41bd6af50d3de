"""The teacher of the network's pseudo-labels."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from napari_pytc.geometry import Box
from napari_pytc.jobs.context import JobMessage
from napari_pytc.learning.live import trainer
from napari_pytc.learning.networks.ensemble import agreement_of
from napari_pytc.learning.networks.filter_bank import FilterBank
from napari_pytc.plans.live_messages import annotations_message, stop_message
from napari_pytc.plans.networks import FilterUNetNetwork
from tests.support.live import LiveContext, LiveProject, live_plan, tiny_network


def free_rows(project: LiveProject) -> list[Box]:
    """Places where nothing is painted, nor beside."""
    painted = project.store.read(project.whole).any(axis=2)
    rows = [(z, y) for z, y in np.argwhere(~painted).tolist() if 0 < y < 63 and not painted[z, y - 1 : y + 2].any()]
    return [Box((z, y, 4), (z + 1, y + 1, 60)) for z, y in rows[:: len(rows) // 2]]


@pytest.fixture
def has_network(monkeypatch: pytest.MonkeyPatch) -> list[bool]:
    """Whether the network took part in each teacher; there is a new one at every stroke."""
    found: list[bool] = []

    def agree(one: FilterBank, other: FilterBank) -> FilterBank:
        found[-1] = True
        return agreement_of(one, other)

    made = trainer.NetworkTrainer._teacher

    def make(self: trainer.NetworkTrainer, *args: object) -> object:
        found.append(False)
        return made(self, *args)  # type: ignore[arg-type]

    monkeypatch.setattr(trainer, "_TEACHER_S", (0.0, 0.0))
    monkeypatch.setattr(trainer, "agreement_of", agree)
    monkeypatch.setattr(trainer.NetworkTrainer, "_teacher", make)
    return found


@pytest.mark.slow
def test_the_network_takes_part_unless_something_was_erased(tmp_path: Path, has_network: list[bool]) -> None:
    project = LiveProject(tmp_path)

    def script(ctx: LiveContext) -> Iterator[list[JobMessage]]:
        yield from ctx.wait_for(lambda: len(ctx.curve("network/loss")) > 0)
        one, other = free_rows(project)[:2]
        for box, label in ((one, 1), (one, 0), (other, 1)):
            n_teachers = len(has_network)
            project.store.write(box, np.full(box.shape, label, np.uint8))
            yield [annotations_message(project.store.revision, box)]
            yield from ctx.wait_for(lambda n=n_teachers: len(has_network) > n)  # type: ignore[misc]
        yield [stop_message()]

    ctx = LiveContext(script)
    project.job(live_plan()).run(ctx)

    assert has_network == [False, True, False, True]
    assert not ctx.warnings


@pytest.mark.slow
def test_a_network_of_other_filters_does_not_take_part(tmp_path: Path, has_network: list[bool]) -> None:
    project = LiveProject(tmp_path)
    plan = live_plan(network=tiny_network(network=FilterUNetNetwork(channels=(4, 8), sigmas=(1.0, 2.0))))

    def script(ctx: LiveContext) -> Iterator[list[JobMessage]]:
        yield from ctx.wait_for(lambda: len(ctx.curve("network/loss")) > 0)
        box = free_rows(project)[0]
        project.store.write(box, np.full(box.shape, 1, np.uint8))
        yield [annotations_message(project.store.revision, box)]
        yield from ctx.wait_for(lambda: len(has_network) > 1)
        yield [stop_message()]

    project.job(plan).run(LiveContext(script))

    assert has_network == [False, False]
