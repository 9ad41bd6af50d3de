"""The list of networks on the command line."""

from __future__ import annotations

import json
from pathlib import Path
from typing import ClassVar, Literal

import pytest

from napari_pytc.errors import InvalidInput
from napari_pytc.geometry import Shape, VoxelSpace
from napari_pytc.learning.networks.step_memory import StepMemory, StepMemoryCounter
from napari_pytc.plans.network_list import NetworksJob
from napari_pytc.plans.networks import NetworkSettings, UNetNetwork
from tests.cli.conftest import Command, is_one_error
from tests.support.contexts import RecordingContext
from tests.support.networks import SMALL


@pytest.mark.slow
def test_all_kinds_are_listed_with_what_they_cost(cli: Command) -> None:
    ended = cli("networks", "--voxel-size", "30,6,6", "--inputs", 2, "--classes", 3, "--json")

    assert ended.code == 0, ended.out
    found = {entry["kind"]: entry for entry in ended.document["networks"]}
    assert set(found) == set(NetworkSettings.variants())
    # Not those that other tests define.
    ours = {kind for kind, one in NetworkSettings.variants().items() if one.__module__.startswith("napari_pytc.")}
    found = {kind: entry for kind, entry in found.items() if kind in ours}
    assert {entry["tiles"] for entry in found.values()} == {"exact", "windows"}
    for entry in found.values():
        assert not entry["problem"], entry
        assert entry["description"].endswith(".")
        assert entry["parameters"] > 100
        assert 0 < entry["least_memory_bytes"] <= entry["step_memory_bytes"] < 20e9
        assert len(entry["patch_shape"]) == 3
        assert entry["when"].endswith(".")
        assert 1 <= entry["levels"] <= 5
        assert 1000 < entry["multiplications"] < 1e6, entry
    assert found["mednext"]["parameters"] == pytest.approx(5.55e6, rel=0.01)
    assert ended.document["free_bytes"] > 0
    assert "gradients" in ended.document["basis"]


def test_a_network_of_another_package_that_fails_is_listed_with_its_problem() -> None:
    class Unfinished(NetworkSettings):
        """A network without a patch."""

        builds: ClassVar[str] = "elsewhere:build"
        kind: Literal["test-unfinished"] = "test-unfinished"

    answer = NetworksJob(networks=(Unfinished(), UNetNetwork(channels=(4, 8)))).run(RecordingContext())

    unfinished, unet = answer["networks"]
    assert unfinished["problem"] == "Unfinished does not say how large a patch should be; No module named 'elsewhere'"
    assert not unet["problem"]


def test_one_number_that_cannot_be_had_leaves_the_others(monkeypatch: pytest.MonkeyPatch) -> None:
    count = StepMemoryCounter.count

    def one_at_a_time(self: StepMemoryCounter, batch_size: int, shape: Shape) -> StepMemory:
        if batch_size > 1:
            raise InvalidInput("The network takes single patches.")
        return count(self, batch_size, shape)

    monkeypatch.setattr(StepMemoryCounter, "count", one_at_a_time)
    (unet,) = NetworksJob(networks=(UNetNetwork(channels=(4, 8)),)).run(RecordingContext())["networks"]

    assert unet["problem"] == "The network takes single patches."
    assert unet["step_memory_bytes"] == 0
    assert unet["least_memory_bytes"] > 0
    assert unet["parameters"] > 100
    assert unet["levels"] == 1


def test_one_network_is_shown_with_its_settings(cli: Command) -> None:
    ended = cli("networks", "unet", "channels=[4,8]", "--patch", "8,32,32")

    assert ended.code == 0, ended.out
    assert "channels=[4, 8]" in ended.out
    assert "8 x 32 x 32" in ended.out


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (("networks", "vgg"), ("No network is called 'vgg'", "mednext")),
        (("networks", "unet", "chanels=[4,8]"), ("chanels",)),
        (("networks", "size=B"), ("named before its settings",)),
        (("networks", "--voxel-size", "a"), ("Z,Y,X in nm",)),
        (("networks", "--voxel-size", "0,1,1"), ("positive",)),
        (("networks", "--voxel-size", "nan,1,1"), ("positive",)),
        (("networks", "--voxel-size", "inf,1,1"), ("positive",)),
    ],
)
def test_what_is_wrong_is_told_in_one_sentence(cli: Command, words: tuple[str, ...], told: tuple[str, ...]) -> None:
    assert is_one_error(cli(*words), *told)


@pytest.mark.parametrize("kind", ["unet", "dynunet", "lean_unet", "filter_unet", "section_unet"])
def test_a_patch_is_listed_as_a_training_takes_it_whatever_the_voxel_size(kind: str) -> None:
    """Also the smallest one, of voxels whose size does not divide that of the network's pixels."""
    channels = (4, 8, 8) if kind == "dynunet" else (4, 8)
    settings = NetworkSettings.parse({"kind": kind, "channels": channels})
    job = NetworksJob(networks=(settings,), voxel_size_nm=(7.0, 3.3, 3.3), patch_shape=(17, 101, 91))
    (found,) = job.run(RecordingContext())["networks"]
    assert not found["problem"]
    multiple = settings.window_multiple(VoxelSpace(job.voxel_size_nm))
    assert all(
        0 <= n - wanted < m for n, wanted, m in zip(found["patch_shape"], job.patch_shape, multiple, strict=True)
    )  # type: ignore[arg-type]
    assert not any(n % m for n, m in zip(found["least_patch_shape"], multiple, strict=True))


@pytest.mark.slow
def test_a_kind_is_trained_by_a_recipe_and_predicts(cli: Command, project: Path) -> None:
    """Of each kind it is tried without the command line, in tests/learning/training/test_every_network.py."""
    changes = [f"network.{name}={json.dumps(value)}" for name, value in SMALL["monai_unet"].items()]
    trained = cli(
        *("train", project, "--recipe", "accurate", "network.kind=monai_unet", *changes, "--steps", 2),
        *("batch_size=1", "guess_weight=0", "validate_every=2", "device=cpu", "precision=float32", "--json"),
    )

    assert trained.code == 0, trained.out
    assert trained.document["steps"] == 2
    predicted = cli("predict", project, "--box", "0:8,0:32,0:32", "device=cpu", "precision=float32", "--json")
    assert predicted.code == 0, predicted.out


def test_a_patch_smaller_than_the_deepest_level_is_refused_early(cli: Command, project: Path) -> None:
    ended = cli("train", project, "--recipe", "accurate", "network.kind=mednext", "patch_shape=[8,32,32]", "--steps", 2)

    assert is_one_error(ended, "deepest level of the network mednext has voxels of 16x16x16", "got patch_shape 8x32x32")
