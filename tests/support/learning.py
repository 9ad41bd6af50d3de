"""Small trainings: data, plans and folders that take a second."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch

from napari_pytc.geometry import Box, Shape, TileGrid, VoxelSpace
from napari_pytc.labels.store import StoredChunk
from napari_pytc.learning.data.objects import ObjectLabels
from napari_pytc.learning.data.volume_data import VolumeData
from napari_pytc.learning.machine.weights import load_weights
from napari_pytc.learning.training.train import Checkpoint, TrainingFolders, train
from napari_pytc.plans.networks import UNetNetwork
from napari_pytc.plans.plan import Augmentation, TrainPlan
from napari_pytc.plans.test_time import TtaSettings
from tests.support.annotations import MemoryAnnotations
from tests.support.contexts import RecordingContext
from tests.support.images import memory_image
from tests.support.tissue import Tissue, draw_strokes, make_tissue

CLASSES = ("membrane", "inside")
HELD_OUT = Box((0, 0, 0), (8, 24, 24))
STILL = Augmentation(
    flips=False, affine=0, contrast=0, noise=0, blur=0, missing_section=0, misaligned_section=0
)  # no random changes


def tissue(shape: Shape = (8, 48, 48), anisotropy: float = 4.0, seed: int = 0) -> Tissue:
    """Tissue of a shape that takes no time."""
    return make_tissue(shape, n_cells=8, anisotropy=anisotropy, seed=seed)


def strokes(of: Tissue, seed: int = 0) -> np.ndarray:
    """A few strokes of both classes, all over."""
    return draw_strokes(of.classes, n_strokes=10, length=8, seed=seed)


def training_data(
    of: Tissue | None = None,
    labels: np.ndarray | None = None,
    held_out: Sequence[Box] = (HELD_OUT,),
    classes: Sequence[str] = CLASSES,
    raw: np.ndarray | None = None,
) -> VolumeData:
    """Tissue and strokes in memory, a corner held out."""
    of = tissue() if of is None else of
    source = memory_image(of.raw if raw is None else raw, of.space)
    annotations = MemoryAnnotations(strokes(of) if labels is None else labels)
    return VolumeData(source, annotations, tuple(classes), tuple(held_out), of.space)


def tiny_plan(**changes: Any) -> TrainPlan:
    """Six steps of a network with two small levels."""
    settings: dict[str, Any] = {
        "network": UNetNetwork(channels=(4, 8)),
        "steps": 6,
        "batch_size": 2,
        "patch_shape": (4, 16, 16),
        "validate_every": 2,
        "checkpoint_every": 2,
        "device": "cpu",
        "precision": "float32",
    }
    return TrainPlan(**{**settings, **changes})


def folders(root: Path, **changes: Any) -> TrainingFolders:
    """Where a training writes in a test's folder."""
    return TrainingFolders(**{"model": root / "models" / "m1", "run": root / "run", **changes})


def train_tiny(
    root: Path,
    data: VolumeData | None = None,
    ctx: RecordingContext | None = None,
    *,
    parent: Path | None = None,
    resume: bool = True,
    **changes: Any,
) -> Checkpoint:
    """Train a tiny plan on a tiny tissue; `changes` are of the plan."""
    where = folders(root, parent=parent, resume=resume)
    return train(tiny_plan(**changes), data or training_data(), where, ctx or RecordingContext())


def weights_of(checkpoint: Checkpoint | Path) -> dict[str, torch.Tensor]:
    """The weights of a model folder."""
    folder = checkpoint if isinstance(checkpoint, Path) else checkpoint.folder
    return load_weights(folder / "weights.safetensors")


def same_weights(a: dict[str, torch.Tensor], b: dict[str, torch.Tensor]) -> bool:
    """Whether two sets of weights are the same, bit for bit."""
    return a.keys() == b.keys() and all(torch.equal(a[name], b[name]) for name in a)


def tta_of(flips: bool) -> TtaSettings:
    """The test-time augmentation that mirrors along all axes, or none."""
    return TtaSettings(flips="all" if flips else "none")


def space(anisotropy: float = 1.0) -> VoxelSpace:
    """Voxels of 10 nm, thicker along z."""
    return VoxelSpace((10.0 * anisotropy, 10.0, 10.0))


class MemoryObjects:
    """Object ids in memory as an `ObjectSource`; notes which boxes were read."""

    def __init__(self, ids: np.ndarray, chunk_shape: Shape = (8, 24, 24)) -> None:
        self.ids = ids.astype(np.uint32)
        self._grid = TileGrid(Box.of_shape(ids.shape), chunk_shape)
        self.was_read: list[Box] = []

    @property
    def shape(self) -> Shape:
        return self.ids.shape  # type: ignore[return-value]

    def chunks(self) -> list[StoredChunk]:
        return [StoredChunk(tile.write, 0.0) for tile in self._grid if self.ids[tile.write.slices].any()]

    def read(self, box: Box) -> np.ndarray:
        assert Box.of_shape(self.shape).contains(box)
        self.was_read.append(box)
        return self.ids[box.slices].copy()


def object_data(
    of: Tissue | None = None, ids: np.ndarray | None = None, held_out: Sequence[Box] = (HELD_OUT,)
) -> VolumeData:
    """Tissue in memory with every cell labelled, a corner held out, and not a stroke."""
    of = tissue() if of is None else of
    objects = ObjectLabels(MemoryObjects(of.cells if ids is None else ids), held_out)
    nothing = MemoryAnnotations(np.zeros(of.raw.shape, np.uint8))
    return VolumeData(memory_image(of.raw, of.space), nothing, CLASSES, tuple(held_out), of.space, objects)


def instance_plan(target: dict[str, Any] | None = None, **changes: Any) -> TrainPlan:
    """As `tiny_plan`, for affinities, boundary, foreground and distance."""
    everything = {"kind": "instances", "long_range": (3,), "boundary": True, "foreground": True, "distance": True}
    return tiny_plan(target=everything if target is None else {"kind": "instances", **target}, **changes)
