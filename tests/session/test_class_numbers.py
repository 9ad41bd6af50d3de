"""Numbers of classes follow their names between a model, a project, and the files that it writes."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tifffile

from napari_pytc.geometry import Box, VoxelSpace
from napari_pytc.jobs.events import Finished
from napari_pytc.jobs.runners import InlineRunner
from napari_pytc.plans.plan import TrainPlan
from napari_pytc.plans.targets import InstancesTarget
from napari_pytc.session.records import PredictionRecord
from napari_pytc.session.session import Session
from napari_pytc.volumes.opening import open_volume
from napari_pytc.volumes.zarr_output import create_ome_zarr
from tests.session.models import make_model
from tests.support.tissue import MEMBRANE, Tissue

SHAPE = (12, 48, 40)
SPACE = VoxelSpace((40.0, 10.0, 10.0))


def predicted(session: Session, tissue: Tissue, names: tuple[str, ...]) -> None:
    """A prediction of a model with these classes; the membrane is where it is, all else is `inside`."""
    folder = session.folder / "volumes/v1/predictions" / "p1.zarr"
    folder.parent.mkdir(exist_ok=True)
    membrane = np.where(tissue.classes == MEMBRANE, 200, 50).astype(np.uint8)
    channels = {"membrane": membrane, "inside": 250 - membrane}
    array = create_ome_zarr(folder, SHAPE, np.uint8, SPACE, channels=names)
    array.write(Box.of_shape(SHAPE), np.stack([channels.get(name, np.zeros_like(membrane)) for name in names]))
    record = PredictionRecord(
        id="p1", volume="v1", model="m", folder=folder, box=None, flips=False, created="1", state="finished"
    )
    session.project.database.put_prediction(record, session.image.digest)


def run(session: Session, job: Any) -> dict[str, Any]:
    with InlineRunner() as runner:
        end = session.jobs.run(job, runner).wait()
    assert isinstance(end, Finished), end
    return end.result


@pytest.mark.parametrize("suffix", ["tif", "h5"])
def test_an_export_has_the_project_s_numbers_and_comes_back_as_the_same_classes(
    session: Session, tissue: Tissue, tmp_path: Path, suffix: str
) -> None:
    predicted(session, tissue, ("inside", "membrane"))  # the project has membrane, inside
    result = run(session, session.jobs.export_job("classes", tmp_path / f"c.{suffix}"))
    assert result["notes"] == []
    labels = open_volume(tmp_path / f"c.{suffix}").read(Box.of_shape(SHAPE))
    np.testing.assert_array_equal(labels == 1, tissue.classes == MEMBRANE)
    np.testing.assert_array_equal(labels == 2, tissue.classes != MEMBRANE)
    counts = session.strokes.add(open_volume(tmp_path / f"c.{suffix}")).counts
    assert counts["membrane"] == np.count_nonzero(tissue.classes == MEMBRANE)


def test_a_class_that_the_project_does_not_have_is_named(session: Session, tissue: Tissue, tmp_path: Path) -> None:
    predicted(session, tissue, ("glia", "inside", "membrane"))
    result = run(session, session.jobs.export_job("classes", tmp_path / "c.tif"))
    (note,) = result["notes"]
    assert "the class glia" in note
    np.testing.assert_array_equal(tifffile.imread(tmp_path / "c.tif") == 1, tissue.classes == MEMBRANE)


def test_a_model_with_other_classes_is_named_when_it_predicts(session: Session) -> None:
    make_model(session.folder / "models" / "m1", classes=("mito", "inside"))
    make_model(session.folder / "models" / "m2", classes=("inside", "membrane"))
    objects = TrainPlan(target=InstancesTarget())
    make_model(session.folder / "models" / "m3", classes=("a", "b"), plan=objects)
    (note,) = session.jobs.predict_job(model="m1").notes
    assert "The model m1 has the class mito" in note
    assert session.jobs.predict_job(model="m2").notes == ()
    assert session.jobs.predict_job(model="m3").notes == ()


def test_segments_have_their_class_by_name(session: Session, tissue: Tissue) -> None:
    predicted(session, tissue, ("inside", "membrane"))
    run(session, session.jobs.segment_job("components", settings={"object_class": "inside", "smallest_um3": 0}))
    document = session.proofreader.document
    assert document is not None
    assert document.class_names == ("inside", "membrane")
    assert {document.class_names[document.state(s).class_id - 1] for s in document.segment_ids().tolist()} == {"inside"}
