"""The recipe and the examples of the page on targets, trained for two steps on the bundled sample."""

from __future__ import annotations

import re
from pathlib import Path

import h5py
import numpy as np
import pytest

from napari_pytc.geometry import Box, VoxelSpace
from napari_pytc.learning.data.objects import ObjectLabels
from napari_pytc.learning.data.volume_data import VolumeData
from napari_pytc.learning.training.train import train
from napari_pytc.plans.plan import TrainPlan
from napari_pytc.plans.recipes import load_recipe, plan_from_yaml
from napari_pytc.plans.targets import ChannelsTarget
from napari_pytc.plans.targets.channel_kinds import CHANNEL_KINDS
from napari_pytc.plans.targets.tables import channel_table
from napari_pytc.samples import sample_path
from tests.support.annotations import MemoryAnnotations
from tests.support.contexts import RecordingContext
from tests.support.images import memory_image
from tests.support.learning import MemoryObjects, folders

PAGE = Path(__file__).parents[4] / "docs" / "targets.md"
SHORT = ["steps=2", "minutes=1", "device=cpu", "precision=float32", "patch_shape=[16,32,32]", "validate_every=2"]
SMALL = "network.channels=[4,8]"


def sample() -> VolumeData:
    """A corner of the sample with its objects and strokes, a part of it held out."""
    corner = (slice(0, 32), slice(0, 96), slice(0, 96))
    with h5py.File(sample_path("medulla")) as file:
        raw, neurons, strokes = (np.asarray(file[name][corner]) for name in ("raw", "neurons", "strokes"))
    held_out, space = (Box((0, 0, 0), (12, 48, 48)),), VoxelSpace((10.0, 10.0, 10.0))
    objects = ObjectLabels(MemoryObjects(neurons), held_out)
    source = memory_image(raw, space)
    return VolumeData(source, MemoryAnnotations(strokes), ("membrane", "inside"), held_out, space, objects)


def examples() -> list[TrainPlan]:
    """Plans of all YAML files and commands of the page."""
    text = PAGE.read_text(encoding="utf-8")
    found = [
        plan_from_yaml(block, "example", [*SHORT, SMALL]) for block in re.findall(r"```yaml\n(.*?)```", text, re.S)
    ]
    for line in re.findall(r"^\$ napari-pytc train cells.pytc --recipe (\w+) (.*)$", text, re.M):
        changes = re.findall(r"'([^']+)'|(\S+)", line[1])
        found.append(load_recipe(line[0], [*(a or b for a, b in changes), *SHORT, SMALL]))
    return found


def test_the_page_names_every_role() -> None:
    table = channel_table()
    for kind in CHANNEL_KINDS:
        assert f"| `{kind.model_fields['role'].default}` |" in table
    assert "<!-- channels -->" in PAGE.read_text(encoding="utf-8")
    assert len(examples()) == 4


@pytest.mark.slow
@pytest.mark.parametrize("number", [0, 1, 2, 3])
def test_the_examples_of_the_page_are_trained(tmp_path: Path, number: int) -> None:
    plan = examples()[number]
    assert isinstance(plan.target, ChannelsTarget)
    done = train(plan, sample(), folders(tmp_path), RecordingContext())
    assert done.info.steps == 2
    assert done.info.scores["mean"] is not None


@pytest.mark.slow
def test_the_recipe_of_foreground_boundary_and_distance_is_trained(tmp_path: Path) -> None:
    done = train(load_recipe("bcd", [*SHORT, SMALL]), sample(), folders(tmp_path), RecordingContext())
    assert done.info.classes == ("foreground", "boundary", "instance distance")
    assert set(done.info.scores["dice"]) == set(done.info.classes)
