"""The model of a live session is compared with the model in use, on held-out voxels."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from napari_pytc.geometry import Box
from napari_pytc.plans.live_messages import stop_message
from napari_pytc.plans.model_comparison import comparisons, refusal
from napari_pytc.plans.model_folder import read_model_info
from tests.support.live import LiveContext, LiveProject, Script, live_tissue

HELD_OUT = Box((0, 0, 64), (6, 96, 96))


def with_truth(root: Path) -> LiveProject:
    """A project with truth in a held-out box."""
    root.mkdir()
    project = LiveProject(root, tissue=live_tissue(shape=(6, 96, 96)))
    project.store.write(HELD_OUT, project.tissue.classes[HELD_OUT.slices].astype(np.uint8))
    return project


def look_once(project: LiveProject) -> Script:
    """Look at a section, then stop."""

    def script(ctx: LiveContext):  # type: ignore[no-untyped-def]
        yield [project.view()]
        yield from ctx.wait_for(lambda: ctx.curve("generation"))
        yield [stop_message()]

    return script


@pytest.mark.slow
def test_a_worse_live_model_is_refused_and_a_like_one_is_not(tmp_path: Path) -> None:
    good = with_truth(tmp_path / "good")
    first = good.job(held_out=(HELD_OUT,))
    scores = first.run(LiveContext(look_once(good)))["scores"]
    assert scores["mean"] > 0.6
    assert not comparisons(scores)

    bad = with_truth(tmp_path / "bad")
    painted = bad.store.read(bad.whole)
    outside = np.ones(painted.shape, bool)
    outside[HELD_OUT.slices] = False
    swapped = np.where(outside & (painted > 0), 3 - painted, painted)
    bad.store.write(bad.whole, swapped.astype(np.uint8))
    second = bad.job(held_out=(HELD_OUT,), baseline=first.output.model_folder)
    result = second.run(LiveContext(look_once(bad)))

    refused = refusal(read_model_info(second.output.model_folder).scores)
    assert refused is not None
    assert refused.baseline == first.output.model_folder.name
    assert result["scores"]["mean"] < scores["mean"] - 0.2

    again = good.job(
        held_out=(HELD_OUT,), baseline=first.output.model_folder, model_folder=good.root / "models" / "other"
    )
    alike = again.run(LiveContext(look_once(good)))["scores"]
    assert refusal(alike) is None
    assert comparisons(alike)[0].verdict == "no different"


@pytest.mark.slow
def test_the_model_that_is_replaced_is_no_baseline(tmp_path: Path) -> None:
    project = with_truth(tmp_path / "p")
    job = project.job(held_out=(HELD_OUT,))
    job.run(LiveContext(look_once(project)))

    again = project.job(held_out=(HELD_OUT,), baseline=job.output.model_folder)
    scores = again.run(LiveContext(look_once(project)))["scores"]

    assert scores["mean"] > 0.6
    assert not comparisons(scores)


@pytest.mark.slow
def test_without_held_out_truth_the_verdict_is_unknown(tmp_path: Path) -> None:
    project = LiveProject(tmp_path)
    job = project.job()
    job.run(LiveContext(look_once(project)))

    other = project.job(baseline=job.output.model_folder, model_folder=tmp_path / "models" / "other")
    compared = comparisons(other.run(LiveContext(look_once(project)))["scores"])

    assert [one.verdict for one in compared] == ["unknown"]
