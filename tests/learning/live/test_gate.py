"""What live learning leaves is compared with the model in use, on held-out voxels."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from napari_pytc.geometry import Box
from napari_pytc.learning.live.messages import stop_message
from napari_pytc.learning.model_folder import read_model_info
from napari_pytc.learning.verdicts import comparisons, refusal
from tests.support.live import LiveContext, LiveProject, Script, live_tissue

HELD_OUT = Box((0, 0, 64), (6, 96, 96))


def with_truth(root: Path) -> LiveProject:
    """A project with truth in a held-out box."""
    root.mkdir()
    project = LiveProject(root, tissue=live_tissue(shape=(6, 96, 96)))
    project.store.write(HELD_OUT, project.tissue.classes[HELD_OUT.slices].astype(np.uint8))
    return project


def learn_for_a_moment(project: LiveProject) -> Script:
    """Look at a section, then stop."""

    def script(ctx: LiveContext):  # type: ignore[no-untyped-def]
        yield [project.view()]
        yield from ctx.wait_for(lambda: ctx.curve("generation"))
        yield [stop_message()]

    return script


def test_a_worse_live_model_is_refused_and_a_like_one_is_not(tmp_path: Path) -> None:
    good = with_truth(tmp_path / "good")
    first = good.job(held_out=(HELD_OUT,))
    scores = first.run(LiveContext(learn_for_a_moment(good)))["scores"]
    assert scores["mean"] > 0.6
    assert not comparisons(scores)

    bad = with_truth(tmp_path / "bad")
    painted = bad.store.read(bad.whole)
    outside = np.ones(painted.shape, bool)
    outside[HELD_OUT.slices] = False
    swapped = np.where(outside & (painted > 0), 3 - painted, painted)
    bad.store.write(bad.whole, swapped.astype(np.uint8))
    second = bad.job(held_out=(HELD_OUT,), baseline=first.model_folder)
    result = second.run(LiveContext(learn_for_a_moment(bad)))

    refused = refusal(read_model_info(second.model_folder).scores)
    assert refused is not None
    assert refused.baseline == first.model_folder.name
    assert result["scores"]["mean"] < scores["mean"] - 0.2

    again = good.job(held_out=(HELD_OUT,), baseline=first.model_folder, model_folder=good.root / "models" / "other")
    alike = again.run(LiveContext(learn_for_a_moment(good)))["scores"]
    assert refusal(alike) is None
    assert comparisons(alike)[0].verdict == "no different"


def test_the_model_that_is_replaced_is_no_baseline(tmp_path: Path) -> None:
    project = with_truth(tmp_path / "p")
    job = project.job(held_out=(HELD_OUT,))
    job.run(LiveContext(learn_for_a_moment(project)))

    scores = job.model_copy(update={"baseline": job.model_folder}).run(LiveContext(learn_for_a_moment(project)))[
        "scores"
    ]

    assert scores["mean"] > 0.6
    assert not comparisons(scores)


def test_without_held_out_truth_the_verdict_is_unknown(tmp_path: Path) -> None:
    project = LiveProject(tmp_path)
    job = project.job()
    job.run(LiveContext(learn_for_a_moment(project)))

    other = project.job(baseline=job.model_folder, model_folder=tmp_path / "models" / "other")
    compared = comparisons(other.run(LiveContext(learn_for_a_moment(project)))["scores"])

    assert [one.verdict for one in compared] == ["unknown"]
