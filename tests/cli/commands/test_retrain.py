from __future__ import annotations

from pathlib import Path

import pytest

from napari_pytc.session.session import Session
from tests.cli.conftest import Command, is_one_error

TINY = (
    "network.channels=[8,16]", "patch_shape=[4,32,32]", "validate_every=20", "device=cpu", "precision=float32",
)  # fmt: skip


@pytest.fixture(scope="module")
def proofread(cli: Command, tissue_file: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Segments of a tiny model of neurites, some of them edited."""
    project = tmp_path_factory.mktemp("retrain") / "tissue.pytc"
    for words in (
        ("new", project, "--image", f"{tissue_file}:raw", "--classes", "membrane,inside"),
        ("annotate", project, f"{tissue_file}:cells", "--instances", "--dense"),
        ("train", project, "--recipe", "neurites", "--steps", 60, *TINY),
        ("predict", project, "device=cpu", "precision=float32"),
        ("segment", project, "threshold=0.9", "smallest_um3=0.00001"),
    ):
        ended = cli(*words, "--json")
        assert ended.code == 0, ended.out
    with Session.open(project) as session:
        document = session.proofreader.document
        assert document is not None
        largest = sorted(document.segment_ids().tolist(), key=lambda k: -document.size(k))
        session.proofreader.apply({"kind": "lock", "segments": largest[:1]})
        session.proofreader.apply({"kind": "delete", "segments": largest[-1:]})
    return project


@pytest.mark.slow
def test_retrain_learns_and_keeps_the_edits(cli: Command, proofread: Path):
    before = cli("info", proofread, "--json").document["segmentations"]
    ended = cli("retrain", proofread, "--minutes", 0.05, "--json")
    assert ended.code == 0, ended.out
    document = ended.document
    assert document["model"] != document["parent"]
    assert document["steps"]["collect"]["n_locked"] == 1
    now = cli("info", proofread, "--json").document["segmentations"]
    if document["unchanged"]:
        assert now == before
    else:
        assert sum(document["edits"].values()) == 2
        assert [s["id"] for s in now if s["active"]] == [document["segmentation"]]
        history = cli("history", proofread).out
        assert "Before retraining" in history
        assert cli("history", proofread, "--jump", document["before"], "--json").code == 0
        back = cli("info", proofread, "--json").document["segmentations"]
        assert [s["id"] for s in back if s["active"]] == [document["former"]]
    assert not (proofread / "retraining").exists()
    shown = cli("retrain", proofread, "--minutes", 0.02).out
    assert "Edits: " in shown or "stay as they are" in shown


def test_discarding_what_was_not_begun(cli: Command, trained: Path):
    assert cli("retrain", trained, "--discard", "--json").document["discarded"] is False
    assert "No retraining" in cli("retrain", trained, "--discard").out


def test_retrain_explains_what_is_missing(cli: Command, trained: Path, segmented: Path):
    assert is_one_error(cli("retrain", trained), "no segmentation yet", "napari-pytc segment")
    assert is_one_error(cli("retrain", segmented), "painted voxels alone", "recipe fast")
    assert is_one_error(cli("retrain", segmented, "--minutes", 0), "minutes", code=2)
