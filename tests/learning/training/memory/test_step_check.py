"""The memory of a step before a training: it fits, begins with less, or is refused as the training would be."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from napari_pytc.geometry import VoxelSpace
from napari_pytc.learning.networks.step_memory import step_memory
from napari_pytc.learning.training.memory import step_check
from napari_pytc.plans.networks import LeanUNetNetwork, MonaiBasicUNetNetwork, NetworkSettings, UNetNetwork
from napari_pytc.plans.plan import TrainPlan
from napari_pytc.plans.recipes import load_recipe
from napari_pytc.plans.specs import StepMemoryJob
from tests.session.models import make_model
from tests.support.contexts import RecordingContext
from tests.support.learning import space

PLAN = TrainPlan(network=UNetNetwork(channels=(4, 8)), batch_size=2, patch_shape=(8, 32, 32), device="cpu")
ENOUGH = 1 << 40


def check(plan: TrainPlan, monkeypatch: pytest.MonkeyPatch, free: int = ENOUGH, **inputs: Any) -> dict[str, Any]:
    monkeypatch.setattr(step_check, "free_memory_bytes", lambda device: free)
    job = StepMemoryJob(plan=plan, classes=("membrane", "inside", "outside"), space=space(), **inputs)
    return StepMemoryJob.parse(job.model_dump(mode="json")).run(RecordingContext())


def test_a_step_that_fits_is_counted_on_its_device(monkeypatch: pytest.MonkeyPatch) -> None:
    found = check(PLAN, monkeypatch, n_inputs=2)

    assert found["needed_bytes"] == step_memory(PLAN.network, 3, space(), 2, 2, (8, 32, 32)).total
    assert (found["free_bytes"], found["device"], found["device_name"]) == (ENOUGH, "cpu", "")
    assert found["step"] == "a batch of 2 x 8x32x32 voxels on cpu"
    assert (found["begins_with"], found["problem"]) == ("", "")


def test_a_training_that_would_begin_with_less_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    enough_for_one = step_memory(PLAN.network, 3, space(), 1, 1, (8, 32, 32)).total

    found = check(PLAN, monkeypatch, free=enough_for_one)

    assert found["needed_bytes"] > enough_for_one
    assert found["begins_with"] == "8x32x32 voxels on cpu"
    assert found["problem"] == ""


@pytest.mark.parametrize("network", [PLAN.network, MonaiBasicUNetNetwork(channels=(4, 4, 4, 4, 4, 4))])
def test_one_that_fits_nowhere_is_refused_with_both_numbers(
    network: NetworkSettings, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = check(PLAN.model_copy(update={"network": network, "patch_shape": None}), monkeypatch, free=1_000_000)

    assert "1 MB of memory are free on cpu" in found["problem"]
    assert "smaller network" in found["hint"]
    assert found["needed_bytes"] > found["free_bytes"]


def test_a_patch_between_the_networks_strides_is_rounded_up_as_in_a_training(monkeypatch: pytest.MonkeyPatch) -> None:
    network = LeanUNetNetwork(channels=(4, 8))

    found = check(PLAN.model_copy(update={"network": network, "patch_shape": (8, 31, 31)}), monkeypatch)

    assert found["problem"] == ""
    assert "32x32" in found["step"]


def test_what_else_a_training_refuses_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    found = check(load_recipe("mednext-s", ["patch_shape=[2,8,8]"]), monkeypatch)
    assert "deepest level" in found["problem"]
    assert "patch_shape" in found["hint"]


def test_a_parent_that_is_distilled_is_counted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    classes = ("membrane", "inside", "outside")
    size = space().voxel_size_nm
    parent = make_model(tmp_path / "parent", classes=classes, plan=PLAN, voxel_size_nm=size)
    other = make_model(tmp_path / "other", plan=PLAN, voxel_size_nm=size)  # of two classes
    plan = PLAN.model_copy(update={"distil_weight": 0.5})

    alone = check(plan, monkeypatch)["needed_bytes"]
    distilled = check(plan, monkeypatch, parent=parent)["needed_bytes"]

    assert distilled > alone
    assert check(PLAN.model_copy(update={"distil_weight": 0.0}), monkeypatch, parent=parent)["needed_bytes"] == alone
    assert check(plan, monkeypatch, parent=other)["needed_bytes"] == alone
    found = check(plan, monkeypatch, free=distilled - 1, parent=parent)
    assert found["begins_with"] == "8x32x32 voxels on cpu"


def test_a_network_of_single_voxels_needs_little(monkeypatch: pytest.MonkeyPatch) -> None:
    found = check(load_recipe("instant"), monkeypatch)
    assert 0 < found["needed_bytes"] < 1e9
    assert found["step"].endswith("thousand voxels")


def test_the_voxels_of_the_parent_are_learnt_unless_the_plan_says_others(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    parent = make_model(tmp_path / "parent")
    plan = PLAN.model_copy(update={"patch_shape": None})
    finer = plan.model_copy(update={"voxel_size_nm": (10.0, 10.0, 10.0)})

    found = [check(plan, monkeypatch, parent=parent), check(finer, monkeypatch, parent=parent)]

    patches = [PLAN.network.patch_shape(VoxelSpace(size)) for size in ((40.0, 10.0, 10.0), (10.0, 10.0, 10.0))]
    assert patches[0] != patches[1]
    for one, patch in zip(found, patches, strict=True):
        assert "x".join(map(str, patch)) in one["step"]
