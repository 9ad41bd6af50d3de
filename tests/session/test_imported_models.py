"""A model that was imported is one of the project's."""

from __future__ import annotations

from pathlib import Path

import pytest

from napari_pytc.jobs.events import Finished
from napari_pytc.jobs.runners import InlineRunner
from napari_pytc.pytc.translate import import_config
from napari_pytc.session.session import Session
from tests.support.checkpoints import random_network, write_checkpoint, write_config

pytestmark = pytest.mark.slow


def test_an_imported_model_is_listed_and_its_run_recorded(session: Session, tmp_path: Path) -> None:
    config = import_config([write_config(tmp_path)], (40.0, 10.0, 10.0))
    checkpoint = write_checkpoint(tmp_path / "last.ckpt", config, random_network(config))
    job = session.jobs.import_model_job(config, checkpoint)
    assert session.jobs.import_model_job(config, checkpoint).folder != job.folder
    with InlineRunner() as runner:
        end = session.jobs.run(job, runner).wait()
    assert isinstance(end, Finished)
    (record,) = session.models.records()
    assert (record.id, record.recipe, record.problem) == (job.folder.name, "monai_unet", "")
    assert record.active
    assert [(run.kind, run.subject, run.state) for run in session.jobs.runs()] == [
        ("import_model", record.id, "finished")
    ]


def test_an_import_that_fails_leaves_no_model(session: Session, tmp_path: Path) -> None:
    config = import_config([write_config(tmp_path)])
    (tmp_path / "last.ckpt").write_bytes(b"no checkpoint at all")
    with InlineRunner() as runner:
        end = session.jobs.run(session.jobs.import_model_job(config, tmp_path / "last.ckpt"), runner).wait()
    assert "damaged or no checkpoint" in getattr(end, "message", "")
    assert session.models.records() == []
