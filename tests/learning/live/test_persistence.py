"""The state that the next session goes on from, and when it is dropped."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch
from pydantic import ValidationError

from napari_pytc.geometry import Box
from napari_pytc.jobs.context import JobMessage
from napari_pytc.learning.live.stroke_split import ChunkLabels, StrokeSnapshot
from napari_pytc.learning.machine.weights import load_weights, load_weights_and_notes, save_weights
from napari_pytc.plans.live_messages import annotations_message, stop_message
from napari_pytc.plans.live_plan import LivePlan
from napari_pytc.plans.live_spec import LiveJob
from napari_pytc.plans.model_folder import weights_path
from tests.support.live import LiveContext, LiveProject, Script


def painted(n_per_class: tuple[int, ...], places: int = 10, of_class: int = 1) -> StrokeSnapshot:
    """Strokes whose voxels are the first ones of a chunk."""
    flat, classes = np.arange(places), np.full(places, of_class, np.uint8)
    none = np.zeros(places, bool)
    chunk = ChunkLabels(Box((0, 0, 0), (1, 10, 100)), flat, classes, none, none, 0.0)
    return StrokeSnapshot({chunk.box: chunk}, np.array(n_per_class))


def test_a_stroke_of_another_class_counts_as_erasing() -> None:
    before, after = painted((4, 4), 10), painted((4, 4), 12)
    assert not after.lacks_strokes_of(before)
    assert painted((4, 4), 12, of_class=2).lacks_strokes_of(before)
    assert before.lacks_strokes_of(after)
    assert StrokeSnapshot({}, np.array([4, 4])).lacks_strokes_of(before)
    assert before.digest == painted((9, 9), 10).digest != after.digest


def look_and_paint(project: LiveProject, rows: range) -> Script:
    """Look at a section, paint some strokes one by one, and stop."""

    def script(ctx: LiveContext) -> Iterator[list[JobMessage]]:
        yield [project.view()]
        yield from ctx.wait_for(lambda: ctx.curve("instant/score"))
        for row in rows:
            n_before = len(ctx.curve("instant/score"))
            box = Box((2, row, 0), (3, row + 1, 64))
            project.store.paint(box, project.tissue.classes[box.slices])
            yield [annotations_message(project.store.revision, box)]
            yield from ctx.wait_for(lambda n=n_before: len(ctx.curve("instant/score")) > n)  # type: ignore[misc]
        yield [stop_message()]

    return script


def head_after(project: LiveProject, rows: range, run_folder: Path | None = None) -> torch.Tensor:
    """The perceptron's first layer after a session in which these rows were painted."""
    changes = {} if run_folder is None else {"run_folder": run_folder}
    job = project.job(**changes)
    job.run(LiveContext(look_and_paint(project, rows)))
    return load_weights(weights_path(job.output.model_folder))["head.0.weight"]


@pytest.mark.slow
def test_the_next_session_begins_with_the_saved_weights(tmp_path: Path) -> None:
    project = LiveProject(tmp_path)

    first = head_after(project, range(10, 13))
    assert torch.equal(head_after(project, range(0)), first)
    assert not torch.equal(head_after(project, range(0), tmp_path / "another run"), first)

    project.store.write(Box((2, 10, 0), (3, 12, 64)), np.zeros((1, 2, 64), np.uint8))
    assert not torch.equal(head_after(project, range(0)), first)


@pytest.mark.slow
def test_without_the_saved_split_the_validation_copy_is_fitted_afresh(tmp_path: Path) -> None:
    project = LiveProject(tmp_path)
    first = head_after(project, range(10, 13))
    for state in (tmp_path / "live" / "run").iterdir():
        if not state.name.startswith("remembered"):
            state.unlink()

    assert not torch.equal(head_after(project, range(0)), first)


@pytest.mark.slow
def test_a_state_of_the_setting_that_was_removed_begins_afresh(tmp_path: Path) -> None:
    """Version 0.1 kept answers for voxels in view in its place, where "Stay near what was shown" was in use."""
    project = LiveProject(tmp_path)
    first = head_after(project, range(10, 13))
    state = tmp_path / "live" / "run" / "remembered.safetensors"
    _, notes = load_weights_and_notes(state)
    answers = {name: torch.zeros(4, 2) for name in ("instant", "twin")}
    save_weights(state, {**answers, "features": torch.zeros(4, 9), "tiles": torch.zeros(4, 6)}, notes)

    ctx = LiveContext(look_and_paint(project, range(0)))
    job = project.job()
    job.run(ctx)

    assert not ctx.warnings
    assert not torch.equal(load_weights(weights_path(job.output.model_folder))["head.0.weight"], first)


def test_a_plan_of_version_0_1_is_read_with_a_note(tmp_path: Path) -> None:
    project = LiveProject(tmp_path, n_strokes=0)
    stored = json.loads(project.job().model_dump_json())
    for weight, n_notes in ((0.0, 0), (1.0, 1)):
        stored["plan"]["hold_weight"] = weight
        for job in (LiveJob.model_validate_json(json.dumps(stored)), LiveJob(**stored)):
            assert len(job.plan.notes) == n_notes
            assert job.plan.instant_only

    ctx = LiveContext(lambda _: iter([[stop_message()]]))
    job.run(ctx)
    assert ctx.warnings == ['"Stay near what was shown" was removed; its value 1.0 is ignored.']
    with pytest.raises(ValidationError, match="hold_wait"):
        LivePlan(hold_wait=1.0)  # type: ignore[call-arg]
