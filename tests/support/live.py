"""Live learning on small tissue, driven by the messages of a script."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np

from napari_pytc.annotations.paint_store import PaintStore
from napari_pytc.geometry import Box
from napari_pytc.jobs.context import JobMessage
from napari_pytc.learning.data.training_image import TrainingImage
from napari_pytc.learning.live.instant import InstantModel
from napari_pytc.learning.live.labelled_features import LabelledFeatures
from napari_pytc.learning.live.stroke_split import StrokeSplit
from napari_pytc.learning.live.tiles import FeatureTiles
from napari_pytc.plans.live_messages import view_message
from napari_pytc.plans.live_plan import LivePlan
from napari_pytc.plans.live_spec import LiveJob
from napari_pytc.plans.networks import FilterUNetNetwork
from napari_pytc.plans.plan import TrainPlan
from napari_pytc.plans.recipes import load_recipe
from napari_pytc.plans.specs import ModelOutput, VolumeInputs
from napari_pytc.volumes.zarr_output import create_ome_zarr
from tests.support.contexts import RecordingContext
from tests.support.images import memory_image, one_channel
from tests.support.learning import CLASSES, STILL
from tests.support.tissue import Tissue, draw_strokes, make_tissue

INSTANT = load_recipe("instant")
NORMALISATION = one_channel(mean=128, std=50, low=0, high=255)

Script = Callable[["LiveContext"], Iterator[list[JobMessage]]]


def live_tissue(anisotropy: float = 4.0, shape: tuple[int, int, int] = (6, 64, 64)) -> Tissue:
    """Tissue that takes no time."""
    return make_tissue(shape, n_cells=8, anisotropy=anisotropy)


def tiny_network(**changes: Any) -> TrainPlan:
    """A network of two small levels on a filter bank like the instant model's."""
    settings: dict[str, Any] = {
        "network": FilterUNetNetwork(channels=(4, 8), starter=True),
        "batch_size": 1,
        "patch_shape": (1, 32, 32),
        "guess_weight": 0.5,
        "augmentation": STILL,
        "device": "cpu",
        "precision": "float32",
    }
    return TrainPlan(**{**settings, **changes})


def live_plan(**changes: Any) -> LivePlan:
    """A plan whose network takes a few hundredths of a second a step."""
    return LivePlan(**{"network": tiny_network(), "score_every": 4, **changes})


class LiveProject:
    """An image, a store of strokes and the job on them, in a folder.

    Parameters
    ----------
    n_strokes : int
        Of each class, painted before the job begins.
    """

    def __init__(self, root: Path, n_strokes: int = 10, tissue: Tissue | None = None) -> None:
        self.root, self.tissue = root, tissue or live_tissue()
        shape, space = self.tissue.raw.shape, self.tissue.space
        self.whole = Box.of_shape(shape)
        image = create_ome_zarr(root / "raw.zarr", shape, np.uint8, space)
        image.write(self.whole, self.tissue.raw)
        self.image = image.spec
        self.store = PaintStore.create(root / "annotations.zarr", shape, space)  # type: ignore[arg-type]
        if n_strokes:
            self.paint(n_strokes)

    def paint(self, n_strokes: int = 4, seed: int = 0) -> None:
        """Paint strokes of the truth, of each class."""
        strokes = draw_strokes(self.tissue.classes, n_strokes=n_strokes, length=10, seed=seed)
        self.store.paint(self.whole, strokes)

    def job(self, plan: LivePlan | None = None, **changes: Any) -> LiveJob:
        """The job; `changes` are other fields of its inputs and its output."""
        inputs = {"volume": self.image, "space": self.tissue.space, "annotations": self.store.folder}
        output = {"model_folder": self.root / "models" / "m-live", "run_folder": self.root / "live" / "run"}
        for name, value in changes.items():
            (output if name in ModelOutput.model_fields else inputs)[name] = value
        return LiveJob(
            inputs=VolumeInputs(**inputs),
            classes=CLASSES,
            plan=plan or live_plan(instant_only=True),
            prediction=self.root / "live" / "prediction.zarr",
            output=ModelOutput(**output),
        )

    def section(self, z: int = 2) -> Box:
        """A whole section."""
        return Box((z, 0, 0), (z + 1, *self.whole.stop[1:]))

    def view(self, generation: int = 1, z: int = 2) -> JobMessage:
        """Look at a section."""
        return view_message(self.section(z), generation)


class LiveContext(RecordingContext):
    """A context whose messages come from a script, the next ones every time the job reads them.

    Parameters
    ----------
    script : callable
        Given the context, yields lists of messages; what it yields last should be a stop.
    most : int
        The test fails if the job reads messages more often.
    """

    def __init__(self, script: Script, most: int = 20_000) -> None:
        super().__init__()
        self._script, self._left = script(self), most

    def messages(self) -> Iterator[JobMessage]:
        self._left -= 1
        assert self._left > 0, f"never stopped; reported {self.progress[-1:]}"
        yield from next(self._script, [])

    def wait_for(self, condition: Callable[[], object]) -> Iterator[list[JobMessage]]:
        """Let the job go on until something holds; for ``yield from`` in a script."""
        while not condition():
            yield []

    def tiles(self, since: int = 0) -> list[Box]:
        """The tiles of the prediction that were reported, in order."""
        return [box for kind, box in self.artifacts[since:] if kind == "prediction"]


def make_instant_model(n_steps: int = INSTANT.steps) -> InstantModel:
    """An instant model for the tissue of `live_tissue`."""
    plan = INSTANT.model_copy(update={"steps": n_steps})
    return InstantModel(plan, len(CLASSES), live_tissue().space)


def make_labelled_features(
    project: LiveProject, raw: np.ndarray, held_out: tuple[Box, ...] = ()
) -> tuple[LabelledFeatures, StrokeSplit]:
    """Features of a project's strokes in an image, and the split of the strokes."""
    source = memory_image(raw, project.tissue.space)
    network = make_instant_model().network
    limits = network.limits()
    unmasked = TrainingImage(source, NORMALISATION)
    tiles = FeatureTiles(network, limits, unmasked, 2**20)
    split = StrokeSplit(project.store, 2, held_out)
    split.refresh()
    return LabelledFeatures(network, limits, TrainingImage(source, NORMALISATION, held_out), unmasked, tiles), split
